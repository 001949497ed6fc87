"""Any data set that comes as a table: KoDF, clips from the web, one's own."""

from pathlib import Path

import pandas as pd

from viba_lib.core.files import user_path
from viba_lib.data.catalog import CatalogError, as_text, read_table, resolve, validate_catalog


def table(root: Path) -> pd.DataFrame:
    """Catalog from a CSV or Parquet table, or from the only table in a folder.

    The table is Parquet or text, see `viba_lib.core.tables.read_csv`. Columns path and label, and
    if known dataset, method, identity, donor, split, original, start, end (seconds), source_url,
    licence. An original is named by its video_id or by its path as the table writes it. Missing ids
    are made from paths and times, and the name of a data set without one is that of the table's
    file.

    Raises
    ------
    CatalogError
        No table or several, not readable, missing columns, paths that leave the folder. A video
        that does not exist is not an error here: it becomes a problem when it is prepared.
    """
    path = table_file(root)
    frame = read_table(path)
    if "path" not in frame:
        raise CatalogError(
            f"{path} has columns {list(frame)}; expected path and label in its first line, "
            "separated by commas, semicolons, tabs or |"
        )
    written = as_text(frame.path)
    if (written == "").any():
        raise CatalogError(f"{path} has rows without a path; expected one in each row")
    given = written.map(lambda p: str(user_path(p, path.parent)))
    for column in {"path", "mask_path"} & set(frame):
        # The catalog may be written to another folder, so its paths must not be relative.
        frame[column] = [str(resolve(p, path.parent)) if p else "" for p in as_text(frame[column])]
    if "video_id" not in frame:
        frame.insert(0, "video_id", _ids(given, frame.get("start")))
    if "original" in frame:
        named, ids = as_text(frame.original), as_text(frame.video_id)
        frame["original"] = _originals(named, [written, given], ids)
    sets = as_text(frame["dataset"]) if "dataset" in frame else pd.Series("", index=frame.index)
    frame["dataset"] = sets.replace("", path.stem)
    if "source" not in frame:
        frame["source"] = frame.get("source_url", path.name)
    return validate_catalog(frame)


def table_file(root: Path) -> Path:
    """The table, or the only one in a folder.

    Raises
    ------
    CatalogError
        None or several.
    """
    tables = [root] if root.is_file() else sorted(p for p in root.iterdir() if _is_table(p))
    if len(tables) != 1:
        raise CatalogError(
            f"{root} holds {len(tables)} tables; expected one file: .csv, .tsv or .parquet"
        )
    return tables[0]


def _is_table(path: Path) -> bool:
    # Hidden are macOS' `._x.csv` and the locks of open spreadsheets.
    named = path.suffix.lower() in (".csv", ".tsv", ".parquet") and not path.name.startswith(".")
    return named and path.is_file()


def _originals(named: pd.Series, spellings: list[pd.Series], ids: pd.Series) -> pd.Series:
    """Ids of originals that are named by their id or path; others stay as they are.

    A name need not be a path: it may be the address that a video came from.

    Parameters
    ----------
    spellings : paths of the rows, as the table writes them and as they are read
    """
    by_path: dict[str, str] = {}
    for paths in spellings:
        once = ~paths.duplicated(keep=False)  # not the parts of one file
        by_path |= dict(zip(paths[once], ids[once], strict=True))

    def id_of(name: str) -> str:
        plain = str(Path(name.replace("\\", "/")))  # `./a.mp4` is a.mp4
        return by_path.get(name, by_path.get(plain, name))

    return named.where(named.isin(ids), named.map(id_of))


def _ids(paths: pd.Series, start: pd.Series | None) -> pd.Series:
    """Names of the files, with their folders if names repeat, and the start of a part."""
    where = [paths] if start is None else [paths, as_text(start)]
    twice = pd.concat(where, axis=1).duplicated()
    if twice.any():
        named = ", ".join(map(repr, paths[twice].unique()[:3]))
        raise CatalogError(
            f"the table lists {int(twice.sum())} paths twice ({named}); give each video once, or "
            "a video_id and another part (start, end) for each row"
        )
    files = paths.map(lambda p: Path(p).stem)
    if files[~paths.duplicated()].duplicated().any():
        files = paths.map(lambda p: "-".join(Path(p).with_suffix("").parts).strip("/-"))
    if files[~paths.duplicated()].duplicated().any():  # a.mp4 beside a.mov
        files = files + paths.map(lambda p: Path(p).suffix.replace(".", "-"))
    if start is not None:
        seconds = pd.to_numeric(start, errors="coerce")
        files = files + seconds.map(lambda s: "" if pd.isna(s) else f"@{s}")
    return files
