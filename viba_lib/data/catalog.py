"""The catalog: one row per video."""

import os
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pyarrow.lib import ArrowException

from viba_lib.core.errors import VibaError
from viba_lib.core.files import atomic_write, user_path
from viba_lib.core.tables import read_csv

CLASSES = ("real", "fake")
SPLITS = ("train", "val", "test")
REQUIRED = ("video_id", "path", "label")
# The identity is the person that the video shows. The donor is the person whose face or expression
# was put on, named like the identities of the data set, or "" if there is none or it is not known.
COLUMNS = ("dataset", "video_id", "path", "label", "method", "identity", "donor", "split",
           "original", "mask_path", "start", "end", "source", "licence")  # fmt: skip
TEXT = tuple(name for name in COLUMNS if name not in (*REQUIRED, "start", "end"))


class CatalogError(VibaError):
    """A catalog is missing, unreadable or wrong."""


def validate_catalog(frame: pd.DataFrame) -> pd.DataFrame:
    """Check a catalog and fill in the columns that may be left out.

    Raises
    ------
    CatalogError
        Missing or doubled columns, no rows, empty or doubled ids, ids that are not file names,
        unknown labels or splits, times that are not numbers, paths that leave the catalog's folder
        through `..`.
    """
    doubled = frame.columns[frame.columns.duplicated()].tolist()
    missing = [c for c in REQUIRED if c not in frame]
    if doubled or missing:
        what = f"columns twice: {doubled}" if doubled else f"no columns {missing}"
        raise CatalogError(f"the catalog has {what}; expected {', '.join(REQUIRED)} once each")
    if frame.empty:
        raise CatalogError("the catalog has no rows; expected one row per video")
    out = frame.copy()
    for column in TEXT:
        out[column] = as_text(out[column]) if column in out else ""
    unknown = pd.Series(False, index=out.index)
    for column in ("start", "end"):
        given = out[column] if column in out else pd.Series(np.nan, index=out.index)
        numbers = pd.to_numeric(given, errors="coerce").replace([np.inf, -np.inf], np.nan)
        if given.dtype.kind in "mMb":  # dates and spans would be counted in nanoseconds
            numbers = pd.Series(np.nan, index=out.index)
        out[column] = numbers.mask(numbers < 0)
        unknown |= out[column].isna() & (as_text(given) != "")
    for column in ("video_id", "path", "label"):
        out[column] = as_text(out[column])
    for problem, column, bad in _checks(out, unknown):
        if bad.any():
            examples = ", ".join(map(repr, out.loc[bad, column].astype(str).unique()[:3]))
            raise CatalogError(
                f"the catalog is wrong in {int(bad.sum())} of {len(out)} rows: {problem} "
                f"({examples}); correct these rows and read it again"
            )
    rest = [c for c in out if c not in COLUMNS]
    return out[[*COLUMNS, *rest]].reset_index(drop=True)


def _checks(out: pd.DataFrame, unknown: pd.Series) -> list[tuple[str, str, pd.Series]]:
    """What may be wrong in rows of a catalog: in words, the column to show, and which rows have it.

    Parameters
    ----------
    unknown : rows whose start or end is no number
    """
    empty = (out.video_id == "") | (out.path == "")
    # Hidden files are those that a killed writer left, and some disks ignore the case of letters.
    no_file_name = ~out.video_id.str.fullmatch(r"[^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*")
    folded = out.video_id.map(lambda name: unicodedata.normalize("NFC", name).casefold())
    surrogate = r"[\ud800-\udfff]"
    not_unicode = out[["video_id", "path", "mask_path"]].apply(
        lambda names: names.str.contains(surrogate)
    )
    leaves = out.path.str.split(r"[/\\]").map(lambda parts: ".." in parts)
    return [
        ("video ids or paths are empty", "video_id", empty),
        ("start or end is not a number of seconds from 0", "video_id", unknown),
        ("start is not before end", "video_id", out.start >= out.end),
        ("names of files are not Unicode; rename these files", "path", not_unicode.any(axis=1)),
        ("video ids are given twice", "video_id", folded.duplicated()),
        (
            "video ids contain characters that a file name cannot, or a dot first",
            "video_id",
            no_file_name,
        ),
        (f"labels are none of {CLASSES}", "label", ~out.label.isin(CLASSES)),
        (f"splits are none of {SPLITS}", "split", ~out.split.isin([*SPLITS, ""])),
        ("paths leave the folder through '..'", "video_id", leaves),
    ]


def as_text(column: pd.Series) -> pd.Series:
    """A column of any type as text, "" where a value is missing."""
    return column.astype(object).astype(str).mask(column.isna(), "")


def load_catalog(path: str | Path) -> pd.DataFrame:
    """Read and check a catalog (Parquet or CSV)."""
    path = user_path(path)
    if not path.is_file():
        raise CatalogError(f"catalog {path} does not exist; write it with `viba data catalog`")
    table = read_table(path)
    if "video_id" not in table and {"path", "label"} <= {*table}:
        raise CatalogError(
            f"{path} has no video_id; `viba data catalog {path} --source table` makes a catalog "
            "with one of each path"
        )
    return validate_catalog(table)


def read_table(path: Path) -> pd.DataFrame:
    """Read a Parquet table or, with any other suffix, a text table; see `read_csv`.

    Raises
    ------
    CatalogError
        The file is not such a table.
    """
    if path.suffix.lower() != ".parquet":
        return read_csv(path, (*REQUIRED, *TEXT, "start", "end", "source_url"), CatalogError)
    try:
        return pd.read_parquet(path)
    except (ValueError, OSError, KeyError, TypeError, IndexError, ArrowException) as error:
        # A damaged file may fail in any of these ways.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CatalogError(
            f"{path} cannot be read as a table ({reason}); expected Parquet with the columns "
            f"{', '.join(REQUIRED)}"
        ) from error


def catalog_name(path: str | Path) -> Path:
    """The path of a catalog to write.

    Raises
    ------
    CatalogError
        Another suffix than .parquet and .csv.
    """
    path = user_path(path)
    if path.suffix.lower() not in (".parquet", ".csv"):
        raise CatalogError(f"{path} is no name of a catalog; expected one in .parquet or .csv")
    return path


def save_catalog(frame: pd.DataFrame, path: str | Path) -> Path:
    """Check a catalog and write it as Parquet or CSV, completely or not at all.

    Raises
    ------
    CatalogError
        A wrong catalog, or another suffix than .parquet and .csv.
    """
    checked, path = validate_catalog(frame), catalog_name(path)
    with atomic_write(path) as tmp:
        if path.suffix.lower() == ".csv":
            checked.to_csv(tmp, index=False)
        else:
            checked.to_parquet(tmp, index=False)
    return path


def resolve(path: str, root: str | Path) -> Path:
    """A catalog's path on disk, see `user_path`; relative ones must stay inside `root`.

    A link must not lead out of it either.
    """
    root, given = Path(root), user_path(path, root)
    if given.is_absolute():
        return given
    # Not `Path.resolve`, which before Python 3.13 fails for links in a circle: one such video would
    # keep a whole catalog from being read.
    resolved = Path(os.path.realpath(root / given))
    if not resolved.is_relative_to(root.resolve()):
        raise CatalogError(f"path {path!r} leads out of {root}; expected a file inside it")
    return resolved


def elsewhere(catalog: pd.DataFrame, root: Path, folder: Path) -> pd.DataFrame:
    """A catalog to be written into a folder, whose relative paths begin at `root`.

    In another folder they would name other files, so they become absolute.
    """
    if folder.resolve() == root.resolve():
        return catalog
    out = catalog.copy()
    for column in ("path", "mask_path"):
        out[column] = [p and str(root.absolute() / user_path(p, root)) for p in out[column]]
    return out


def segment(
    row: Mapping[str, Any] | pd.Series, root: str | Path
) -> tuple[Path, float | None, float | None]:
    """File of a catalog row, and the start and end of its part in seconds; None = not given."""
    start, end = (
        None if pd.isna(row.get(name, np.nan)) else float(row[name]) for name in ("start", "end")
    )
    return resolve(str(row["path"]), root), start, end
