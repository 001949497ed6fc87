"""A file with the folder of each data set, and the catalogs of all of them."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from viba_lib.core.files import user_path
from viba_lib.core.yaml_text import read_yaml
from viba_lib.data.catalog import CatalogError
from viba_lib.data.readers import COMPRESSED, SOURCES, read_source

EXPECTED = "a YAML mapping of data sets to folders, such as `celebdf: /data/Celeb-DF-v2`"


def read_folders(path: str | Path) -> dict[str, Path]:
    """Folder, or table, of each data set.

    Names that are none of `SOURCES`, such as kodf, are tables. Relative folders are those beside
    the file, and `~` is the home folder.

    Raises
    ------
    CatalogError
        No such file, not of that form, or folders that do not exist.
    """
    path = user_path(path)
    if not path.is_file():
        raise CatalogError(f"{path} does not exist; expected {EXPECTED}")
    try:
        # Names such as NO and 007 stay text.
        content = read_yaml(path.read_bytes(), typed=False)
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise CatalogError(f"{path} is not YAML ({reason}); expected {EXPECTED}") from error
    if not isinstance(content, dict) or not content:
        raise CatalogError(f"{path} holds a {type(content).__name__}; expected {EXPECTED}")
    wrong = [f"{k}: {v!r}" for k, v in content.items() if not isinstance(v, str) or not v]
    if wrong:
        raise CatalogError(f"{path} holds {', '.join(wrong)}; expected {EXPECTED}")
    folders = {
        str(name): path.parent / user_path(value, path.parent) for name, value in content.items()
    }
    absent = [f"{name} ({folder})" for name, folder in folders.items() if not folder.exists()]
    if absent:
        raise CatalogError(
            f"{path} names folders that do not exist: {', '.join(absent)}; correct the paths, or "
            "remove the lines of data sets that you do not have"
        )
    return folders


def read_all(
    folders: Mapping[str, Path], compression: str = ""
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Catalogs of data sets, one after another.

    Parameters
    ----------
    compression : of the sets that come in several

    Yields
    ------
    (name, catalog); the rows of a table are of the data set it is named for.
    """
    for name, folder in folders.items():
        if name in SOURCES and name != "table":
            yield name, read_source(name, folder, compression if name in COMPRESSED else "")
        else:
            yield name, read_source("table", folder).assign(dataset=name)
