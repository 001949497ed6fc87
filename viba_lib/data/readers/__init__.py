"""Readers of data sets: from the layout on disk to catalog rows."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from viba_lib.core.errors import VibaError
from viba_lib.core.files import user_path
from viba_lib.data.readers.avdeepfake1m import avdeepfake1m
from viba_lib.data.readers.celebdf import celebdf
from viba_lib.data.readers.deeperforensics import deeperforensics
from viba_lib.data.readers.dfdc import dfdc
from viba_lib.data.readers.faceforensics import dfd, faceforensics
from viba_lib.data.readers.fakeavceleb import fakeavceleb
from viba_lib.data.readers.table import table

READERS = (table, faceforensics, dfd, celebdf, dfdc, deeperforensics, fakeavceleb, avdeepfake1m)
SOURCES: dict[str, Callable[..., pd.DataFrame]] = {read.__name__: read for read in READERS}
# Sets that come in several compressions, whose readers take the argument.
COMPRESSED = ("faceforensics", "dfd")


def read_source(name: str, root: str | Path, compression: str = "") -> pd.DataFrame:
    """Catalog of a data set on disk.

    Parameters
    ----------
    name : one of SOURCES
    root : folder of the data set, or the table
    compression : of FaceForensics++ and DFD, see `faceforensics`; "" = the one that most folders
        have

    Raises
    ------
    VibaError
        A data set that has no reader or one compression only, or a folder with another layout.
    """
    if name not in SOURCES:
        raise VibaError(
            f"source {name!r} has no reader; expected one of {', '.join(SOURCES)}. Any other set "
            "comes in through 'table': a table with the columns path and label (real or fake), and "
            "if known method, identity, donor, split, original, start, end"
        )
    root = user_path(root)
    if not root.exists():
        raise VibaError(f"{root} does not exist; expected the folder of the data set")
    if name in COMPRESSED:
        return SOURCES[name](root, compression)
    if compression:
        raise VibaError(
            f"source {name!r} has one compression only, and {compression!r} was asked for; leave "
            f"--compression out, which is for {' and '.join(COMPRESSED)}"
        )
    return SOURCES[name](root)
