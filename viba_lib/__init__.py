"""Information-bottleneck attribution for video (VIBA)."""

import logging

# Nothing is logged until `viba_lib.pipeline.logs.log_to` opens a file.
logging.getLogger(__name__).addHandler(logging.NullHandler())
