"""Any data set that comes as a table: KoDF, clips from the web, one's own."""

from pathlib import Path

import pandas as pd

from viba_lib.data.catalog import CatalogError, resolve, validate_catalog


def catalog(root: Path) -> pd.DataFrame:
    """Catalog from a CSV or Parquet table, or from the only table in a folder.

    Columns path and label, and if known method, identity, split, original, start, end (seconds),
    source_url, licence. Ids are made from paths and times where there are none.

    Raises
    ------
    CatalogError
        No table or several, missing columns, paths that leave the folder or do not exist.
    """
    tables = [root] if root.is_file() else sorted([*root.glob("*.csv"), *root.glob("*.parquet")])
    if len(tables) != 1:
        raise CatalogError(f"{root} holds {len(tables)} tables; expected one .csv or .parquet file")
    path = tables[0]
    frame = pd.read_csv(path) if path.suffix.lower() == ".csv" else pd.read_parquet(path)
    if "path" not in frame:
        raise CatalogError(f"{path} has columns {list(frame)}; expected path and label")
    frame["path"] = [str(resolve(str(p), path.parent)) for p in frame.path]
    if "video_id" not in frame:
        ids = frame.path.map(lambda p: Path(p).stem)
        if "start" in frame:
            ids = ids + frame.start.map(lambda s: "" if pd.isna(s) else f"@{s:g}")
        frame.insert(0, "video_id", ids)
    if "source" not in frame:
        frame["source"] = frame.get("source_url", path.name)
    return validate_catalog(frame)
