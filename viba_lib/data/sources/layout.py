"""What the readers of data sets share: files, metadata, rows and errors."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from viba_lib.data.catalog import CatalogError, validate_catalog


def video_files(folder: Path) -> list[Path]:
    """MP4 files of one folder by name, without macOS' `._` files and links out of the folder."""
    if not folder.is_dir():
        return []
    home = folder.resolve()
    with os.scandir(folder) as entries:
        found = [
            home / entry.name
            for entry in entries
            if entry.name.lower().endswith(".mp4")
            and not entry.name.startswith("._")
            # Only links are followed: looking at each of 100,000 files would take minutes.
            and (not entry.is_symlink() or Path(entry.path).resolve().is_relative_to(home))
        ]
    return sorted(found)


def all_video_files(root: Path) -> Iterator[Path]:
    """MP4 files of a folder and those in it, see `video_files`; folders that are links are left."""
    for folder, names, _ in os.walk(root):
        names.sort()
        yield from video_files(Path(folder))


def read_json(path: Path, expected: type, said: str) -> Any:
    """Content of a JSON file.

    Parameters
    ----------
    expected : list or dict
    said : what the file should hold, for the error

    Raises
    ------
    CatalogError
        Not readable, or something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CatalogError(f"{path} cannot be read ({error}); expected {said}") from error
    if not isinstance(content, expected):
        raise CatalogError(f"{path} holds a {type(content).__name__}; expected {said}")
    return content


def row(dataset: str, path: Path, label: str, **more: Any) -> dict[str, Any]:
    """One row of a catalog; the id is the data set and the file's name unless given."""
    name = {"video_id": f"{dataset}-{path.stem}"}
    return {"dataset": dataset, "path": str(path), "label": label, "source": dataset} | name | more


def checked(rows: list[dict[str, Any]], root: Path, expected: str) -> pd.DataFrame:
    """Catalog of rows; raises CatalogError where there are none."""
    if not rows:
        there = sorted(p.name for p in root.iterdir())[:8] if root.is_dir() else [root.name]
        raise CatalogError(
            f"{root} holds no videos of this layout, but {', '.join(there) or 'nothing'}; "
            f"expected {expected}"
        )
    return validate_catalog(pd.DataFrame(rows))
