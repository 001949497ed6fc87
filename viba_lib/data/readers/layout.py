"""Files, metadata, rows and errors that the readers of data sets share."""

import json
import os
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from viba_lib.core import tables
from viba_lib.data.catalog import CatalogError, validate_catalog

LICENCE = "terms of its authors, who give it out on request"


def video_files(folder: Path, root: Path | None = None) -> list[Path]:
    """MP4 files of one folder by name, without hidden files and links out of the data set.

    Parameters
    ----------
    root : folder of the data set, which links must not leave; None = `folder`

    Returns
    -------
    Paths; none if the folder does not exist or is itself a link out.
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
    # macOS puts a hidden `._x.mp4`, which is not a video, beside each x.mp4.
    if entry.name.startswith(".") or not entry.name.lower().endswith(".mp4"):
        return False
    if not entry.is_symlink():
        return entry.is_file()  # known from the folder: opening 100,000 files takes minutes
    return Path(os.path.realpath(entry)).is_relative_to(inside) and os.path.isfile(entry)


def all_video_files(folder: Path, root: Path | None = None) -> Iterator[Path]:
    """MP4 files of a folder and its subfolders, see `video_files`; not of links to folders."""
    for subfolder, names, _ in os.walk(folder):
        names[:] = sorted(name for name in names if not name.startswith("."))
        yield from video_files(Path(subfolder), root or folder)


def name_key(name: str) -> str:
    """Form in which a name in metadata and a name on disk are compared.

    Copies may have the suffix in capitals, macOS writes an accent as a separate character, and
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
        content = json.loads(path.read_bytes())  # UTF-8 or UTF-16, with a mark or without
    except (OSError, ValueError) as error:
        raise CatalogError(f"{path} cannot be read ({error}); expected {said}") from error
    if not isinstance(content, expected):
        raise CatalogError(f"{path} holds a {type(content).__name__}; expected {said}")
    return content


def read_csv(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Table of text, see `viba_lib.core.tables.read_csv`.

    Raises
    ------
    CatalogError
        Not readable, or without these columns.
    """
    table = tables.read_csv(path, columns, CatalogError)
    if not {*columns} <= {*table}:
        raise CatalogError(
            f"{path} has the columns {list(table)}; expected {', '.join(columns)}: take the file "
            "that comes with the data set"
        )
    return table


class Rows:
    """Rows of the catalog of a data set in a folder.

    Parameters
    ----------
    dataset : name of the data set, with which all ids begin
    root : its folder
    """

    def __init__(self, dataset: str, root: Path) -> None:
        self.dataset, self.root = dataset, root
        self.rows: list[dict[str, Any]] = []

    def id_of(self, name: str | Path) -> str:
        """Id of a video by its name, with folders but without suffix."""
        return "-".join([self.dataset, *Path(name).with_suffix("").parts])

    def add(
        self, path: Path, label: str, of_fake: Mapping[str, Any] | None = None, **fields: Any
    ) -> None:
        """Add a video.

        Parameters
        ----------
        of_fake : more fields if the video is fake
        fields : columns of the catalog; without `video_id`, it is made from the file's name
        """
        self.rows.append(
            {"dataset": self.dataset, "source": self.dataset, "licence": LICENCE}
            | {"video_id": f"{self.dataset}-{path.stem}", "path": str(path), "label": label}
            | fields
            | (dict(of_fake or {}) if label == "fake" else {})
        )

    def catalog(self, expected: str) -> pd.DataFrame:
        """Catalog of the rows.

        Raises
        ------
        CatalogError
            There are no rows; `expected` is the layout that the error names.
        """
        root = self.root
        if not self.rows:
            there = sorted(p.name for p in root.iterdir())[:8] if root.is_dir() else [root.name]
            raise CatalogError(
                f"{root} holds no videos of this layout, but {', '.join(there) or 'nothing'}; "
                f"expected {expected} (links out of the folder are not followed)"
            )
        return validate_catalog(pd.DataFrame(self.rows))
