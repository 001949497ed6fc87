"""What the readers of data sets share: files, metadata, rows and errors."""

import json
import os
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from viba_lib.data.catalog import CatalogError, validate_catalog

LICENCE = "terms of its authors, who give it out on request"


def video_files(folder: Path, root: Path | None = None) -> list[Path]:
    """MP4 files of one folder by name, without hidden files and links out of the data set.

    Parameters
    ----------
    root : folder of the data set, which links must not leave; None = `folder`

    Returns
    -------
    Paths; none where the folder is not there, or is itself a link out.
    """
    if not folder.is_dir():
        return []
    home = folder.resolve()
    inside = home if root is None else root.resolve()
    if not home.is_relative_to(inside):
        return []
    with os.scandir(folder) as entries:
        return sorted(home / entry.name for entry in entries if _is_video(entry, inside))


def _is_video(entry: "os.DirEntry[str]", inside: Path) -> bool:
    # macOS puts a hidden `._x.mp4`, which is no video, beside each x.mp4.
    if entry.name.startswith(".") or not entry.name.lower().endswith(".mp4"):
        return False
    if not entry.is_symlink():
        return entry.is_file()  # the folder told: looking at each of 100,000 files takes minutes
    return Path(os.path.realpath(entry)).is_relative_to(inside) and os.path.isfile(entry)


def all_video_files(folder: Path, root: Path | None = None) -> Iterator[Path]:
    """MP4 files of a folder and those in it, see `video_files`; links to folders are left."""
    for place, names, _ in os.walk(folder):
        names[:] = sorted(name for name in names if not name.startswith("."))
        yield from video_files(Path(place), root or folder)


def name_key(name: str) -> str:
    """What a name in metadata and one on disk are compared by.

    Copies may have the suffix in capitals, macOS writes an accent as a character of its own, and
    Windows writes backslashes.
    """
    stem, dot, suffix = name.replace("\\", "/").rpartition(".")
    return unicodedata.normalize("NFC", stem + dot + suffix.lower())


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
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise CatalogError(f"{path} cannot be read ({error}); expected {said}") from error
    if not isinstance(content, expected):
        raise CatalogError(f"{path} holds a {type(content).__name__}; expected {said}")
    return content


def read_csv(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Table of text; what is left out is "".

    Raises
    ------
    CatalogError
        Not readable, or without these columns.
    """
    said = f"{', '.join(columns)}: take the file that comes with the data set"
    try:
        table = pd.read_csv(path, dtype=str).fillna("")
    except (OSError, ValueError) as error:
        raise CatalogError(f"{path} cannot be read ({error}); expected columns {said}") from error
    if not {*columns} <= {*table}:
        raise CatalogError(f"{path} has the columns {list(table)}; expected {said}")
    return table


def row(dataset: str, path: Path, label: str, **more: Any) -> dict[str, Any]:
    """One row of a catalog; the id is the data set and the file's name unless given."""
    name = {"video_id": f"{dataset}-{path.stem}"}
    origin = {"source": dataset, "licence": LICENCE}
    return {"dataset": dataset, "path": str(path), "label": label} | origin | name | more


def checked(rows: list[dict[str, Any]], root: Path, expected: str) -> pd.DataFrame:
    """Catalog of rows; raises CatalogError where there are none."""
    if not rows:
        there = sorted(p.name for p in root.iterdir())[:8] if root.is_dir() else [root.name]
        raise CatalogError(
            f"{root} holds no videos of this layout, but {', '.join(there) or 'nothing'}; "
            f"expected {expected} (links out of the folder are not followed)"
        )
    return validate_catalog(pd.DataFrame(rows))
