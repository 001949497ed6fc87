"""The log of a results folder: what was started, finished, found broken, and why work stopped."""

import logging
import os
from pathlib import Path

NAME = "viba.log"
LEVEL = "VIBA_LOG_LEVEL"  # in the environment: DEBUG, INFO, WARNING, ERROR or OFF
LARGEST = 5_000_000  # bytes, after which a log is begun anew and the old one kept as viba.log.1
FORM = "%(asctime)s %(levelname)-7s %(process)d %(name)s: %(message)s"


class _Quiet(logging.FileHandler):
    """Writes to a file if it can: no work is lost because its log cannot be written."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if self.stream is None:
                if not Path(self.baseFilename).parent.is_dir():
                    return  # a wrong name is refused before there is any result to tell of
                self._turn()
            super().emit(record)
        except OSError:
            self.close()

    def _turn(self) -> None:
        path = Path(self.baseFilename)
        if path.is_file() and path.stat().st_size > LARGEST:
            path.replace(path.with_name(f"{path.name}.1"))

    def handleError(self, record: logging.LogRecord) -> None:
        """Say nothing: a full disk is told by the work itself."""


def log_to(folder: Path) -> Path | None:
    """Let the library's loggers write to `viba.log` in a folder, from now on and only there.

    Times are those of the machine, with their offset from UTC. The level is INFO, or that of
    `VIBA_LOG_LEVEL`.

    Returns
    -------
    The file, which the first line makes once the folder is there; None where the log is off.
    """
    logger = logging.getLogger("viba_lib")
    for old in [h for h in logger.handlers if isinstance(h, _Quiet)]:
        logger.removeHandler(old)
        old.close()
    level = os.environ.get(LEVEL, "INFO").upper()
    if level == "OFF":
        return None
    path = Path(folder).absolute() / NAME
    handler = _Quiet(path, delay=True, encoding="utf-8")
    handler.setFormatter(logging.Formatter(FORM, "%Y-%m-%dT%H:%M:%S%z"))
    logger.addHandler(handler)
    logger.setLevel(level if level in logging.getLevelNamesMapping() else "INFO")
    return path
