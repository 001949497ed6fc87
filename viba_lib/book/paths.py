"""Where the book's sources lie, and how its progress is told."""

import time
from pathlib import Path

from viba_lib.core.errors import VibaError
from viba_lib.core.files import write_text

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
_START = time.perf_counter()


class BookError(VibaError):
    """A chapter failed, a pair disagrees, or a built page is not as it should be."""


def say(line: str) -> None:
    """One line of progress with the time since the start."""
    passed = int(time.perf_counter() - _START)
    print(f"[{passed // 60:02d}:{passed % 60:02d}] {line}", flush=True)


def write_changed(path: Path, text: str) -> bool:
    """Write aside and rename, unless the file holds that text; Sphinx builds what is newer."""
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    write_text(path, text)
    return True
