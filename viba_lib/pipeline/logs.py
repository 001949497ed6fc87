"""The log of a results folder: work that started, finished or stopped, and damaged results."""

import logging
import os
from logging.handlers import RotatingFileHandler
from pathlib import Path

NAME = "viba.log"
LEVEL = "VIBA_LOG_LEVEL"  # in the environment: DEBUG, INFO, WARNING, ERROR or OFF
MAX_BYTES = 5_000_000  # after which a new log begins and the old one is kept as viba.log.1
FORMAT = "%(asctime)s %(levelname)-7s %(process)d %(name)s: %(message)s"


class _LogFile(RotatingFileHandler):
    def handleError(self, record: logging.LogRecord) -> None:
        """Ignore errors: a log that cannot be written stops no work."""


def log_to(folder: Path) -> Path | None:
    """Let the library's loggers write to `viba.log` in a folder, from now on and only there.

    Times are local, with their offset from UTC. The level is INFO, or that of `VIBA_LOG_LEVEL`.

    Returns
    -------
    The file, which appears with its first line if the folder exists by then; None if the log is
    off.
    """
    logger = logging.getLogger("viba_lib")
    for old in [h for h in logger.handlers if isinstance(h, _LogFile)]:
        logger.removeHandler(old)
        old.close()
    level = os.environ.get(LEVEL, "INFO").upper()
    if level == "OFF":
        return None
    path = Path(folder).absolute() / NAME
    handler = _LogFile(path, maxBytes=MAX_BYTES, backupCount=1, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter(FORMAT, "%Y-%m-%dT%H:%M:%S%z"))
    logger.addHandler(handler)
    logger.setLevel(level if level in logging.getLevelNamesMapping() else "INFO")
    return path
