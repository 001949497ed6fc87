"""Information-bottleneck attribution for video (VIBA)."""

import logging

__version__ = "0.1.0"

# Without a log of its own, nothing is written: see `viba_lib.pipeline.logs`.
logging.getLogger(__name__).addHandler(logging.NullHandler())
