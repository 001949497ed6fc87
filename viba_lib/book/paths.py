"""Paths of the book's sources, its progress lines and its error."""

import time
from pathlib import Path

from viba_lib.core.errors import VibaError
from viba_lib.core.files import atomic_write

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
_START = time.perf_counter()


class BookError(VibaError):
    """A chapter failed, a pair disagrees, or a built page is not as it should be."""


def print_progress(line: str) -> None:
    """Print one line of progress with the time since the start."""
    passed = int(time.perf_counter() - _START)
    print(f"[{passed // 60:02d}:{passed % 60:02d}] {line}", flush=True)


def write_changed(path: Path, content: str | bytes) -> bool:
    """Write a file unless it has that content; returns whether it was written.

    Sphinx builds again what is newer.
    """
    data = content.encode() if isinstance(content, str) else content
    if path.is_file() and path.read_bytes() == data:
        return False
    with atomic_write(path) as tmp:
        tmp.write_bytes(data)
    return True
