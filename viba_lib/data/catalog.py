"""The catalog: one row per video."""

import os
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupShuffleSplit, ShuffleSplit

from viba_lib.errors import VibaError

CLASSES = ("real", "fake")
SPLITS = ("train", "val", "test")
REQUIRED = ("video_id", "path", "label")
TEXT = ("dataset", "method", "identity", "split", "original", "mask_path", "source", "licence")
COLUMNS = ("dataset", "video_id", "path", "label", "method", "identity", "split", "original",
           "mask_path", "start", "end", "source", "licence")  # fmt: skip


class CatalogError(VibaError):
    """A catalog is missing, unreadable or wrong."""


def _examples(values: pd.Series) -> str:
    return ", ".join(repr(v) for v in values.astype(str).unique()[:3])


def validate_catalog(frame: pd.DataFrame) -> pd.DataFrame:
    """Check a catalog and fill in the columns that may be left out.

    Raises
    ------
    CatalogError
        Missing or doubled columns, no rows, doubled ids, ids that are no file names, unknown
        labels or splits, paths that leave the catalog's folder through `..`.
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
        out[column] = out[column].fillna("").astype(str) if column in out else ""
    for column in ("start", "end"):
        out[column] = pd.to_numeric(out[column], errors="coerce") if column in out else np.nan
    out["video_id"], out["path"] = out.video_id.astype(str), out.path.astype(str)
    checks = {
        "video ids are given twice": out.video_id.duplicated(),
        "video ids hold characters that a file name cannot": ~out.video_id.str.fullmatch(
            r"[^/\\\x00]+"
        )
        | out.video_id.isin([".", ".."]),
        f"labels are none of {CLASSES}": ~out.label.isin(CLASSES),
        f"splits are none of {SPLITS}": ~out.split.isin([*SPLITS, ""]),
        "paths leave the folder through '..'": out.path.str.split(r"[/\\]").map(
            lambda parts: ".." in parts
        ),
    }
    for problem, bad in checks.items():
        if bad.any():
            column = (
                "label" if "label" in problem else "split" if "split" in problem else "video_id"
            )
            raise CatalogError(
                f"the catalog is wrong in {int(bad.sum())} of {len(out)} rows: {problem} "
                f"({_examples(out.loc[bad, column])}); mend these rows and read it again"
            )
    rest = [c for c in out if c not in COLUMNS]
    return out[[*COLUMNS, *rest]].reset_index(drop=True)


def load_catalog(path: str | Path) -> pd.DataFrame:
    """Read and check a catalog (Parquet or CSV)."""
    path = Path(path)
    if not path.is_file():
        raise CatalogError(f"catalog {path} does not exist; write it with `viba data catalog`")
    try:
        frame = pd.read_csv(path) if path.suffix.lower() == ".csv" else pd.read_parquet(path)
    except (ValueError, OSError, UnicodeError) as error:
        raise CatalogError(f"catalog {path} cannot be read: {error}") from error
    return validate_catalog(frame)


def save_catalog(frame: pd.DataFrame, path: str | Path) -> Path:
    """Check a catalog and write it as Parquet, aside first and then renamed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    checked = validate_catalog(frame)
    handle, aside = tempfile.mkstemp(dir=path.parent, suffix=".part")
    os.close(handle)
    try:
        checked.to_parquet(aside, index=False)
        os.chmod(aside, 0o644)
        os.replace(aside, path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise
    return path


def resolve(path: str, root: str | Path) -> Path:
    """A catalog's path on disk; relative ones must stay inside `root`, also through links."""
    root = Path(root)
    if Path(path).is_absolute():
        return Path(path)
    found = (root / path).resolve()
    if not found.is_relative_to(root.resolve()):
        raise CatalogError(f"path {path!r} leads out of {root}; expected a file inside it")
    return found


def split_catalog(
    frame: pd.DataFrame,
    fractions: tuple[float, float, float] = (0.70, 0.15, 0.15),
    seed: int = 0,
    group: str | None = None,
) -> pd.DataFrame:
    """Assign train, val and test at random, as in the paper (70/15/15).

    Parameters
    ----------
    group : column whose values must not be in two splits, such as "identity"; None = by video

    Raises
    ------
    CatalogError
        Fractions that do not sum to 1, or too few groups for three splits.
    """
    if abs(sum(fractions) - 1) > 1e-6 or min(fractions) <= 0:
        raise CatalogError(f"fractions {fractions} must be positive and sum to 1")
    groups = frame[group] if group else frame.index.to_series()
    if groups.nunique() < 3:
        raise CatalogError(
            f"{groups.nunique()} groups cannot be split three ways; expected at least 3 videos"
            + (f" with different {group}" if group else "")
        )
    splitter = GroupShuffleSplit if group else ShuffleSplit
    first = splitter(n_splits=1, test_size=1 - fractions[0], random_state=seed)
    _, rest = next(first.split(frame, groups=groups))
    second = splitter(
        n_splits=1, test_size=fractions[2] / (fractions[1] + fractions[2]), random_state=seed
    )
    val, test = next(second.split(frame.iloc[rest], groups=groups.iloc[rest]))
    split = np.full(len(frame), "train", object)
    split[rest[val]], split[rest[test]] = "val", "test"
    return frame.assign(split=split)
