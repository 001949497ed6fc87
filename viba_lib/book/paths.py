"""Paths of the book's sources, its progress lines and its error."""

import importlib.util
import os
import time
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, select_autoescape

from viba_lib.core.errors import VibaError
from viba_lib.core.files import atomic_write

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
# When the build began; the processes that it starts inherit it.
_BEGUN = float(os.environ.setdefault("VIBA_BEGUN", str(time.time())))


@cache
def _templates() -> Environment:
    loader = FileSystemLoader(ROOT / "book" / "_ext")
    html = select_autoescape(["html.jinja"])
    return Environment(loader=loader, autoescape=html, trim_blocks=True)


def fill_template(name: str, **values: Any) -> str:
    """Text of a template in `book/_ext` with its values."""
    return _templates().get_template(f"{name}.jinja").render(values)


def package_folder(package: str) -> Path:
    """Folder of an installed package with files for the pages.

    Raises
    ------
    BookError
        It is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise BookError(f"{package} is not installed; run `make env`")
    return Path(spec.origin).parent


class BookError(VibaError):
    """A chapter failed, a pair disagrees, or a built page is not as it should be."""


def print_progress(line: str) -> None:
    """Print one line of progress with the time since the start."""
    passed = int(time.time() - _BEGUN)
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
