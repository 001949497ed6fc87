"""Tables in text files, as spreadsheets and programs write them."""

import re
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import pandas as pd

from viba_lib.core.errors import VibaError
from viba_lib.core.files import read_text

SEPARATORS = ",;\t|"


def read_csv(
    path: Path, columns: Sequence[str], error: type[VibaError] = VibaError
) -> pd.DataFrame:
    """Table of text: NA, 007 and True stay what they are, and an empty cell is "".

    The file is UTF-8 or UTF-16. Its separator is the comma, semicolon, tab or | that its first line
    has most of. Spaces around cells, and empty rows, are left out.

    Parameters
    ----------
    columns : names that are also found in capitals
    error : class of the error

    Raises
    ------
    VibaError
        Not such a table, or a column twice.
    """
    try:
        text = read_text(path).lstrip("\r\n")
        if "\x00" in text:  # the reader would end the cell there
            raise ValueError("it holds a zero byte")
        first = re.split(r"[\r\n]", text)[0]
        separator = max(SEPARATORS, key=re.sub('"[^"]*"', "", first).count)
        # Without a header: pandas would rename columns that are there twice.
        cells = pd.read_csv(
            StringIO(text), sep=separator, header=None, dtype=str, na_filter=False,
            skipinitialspace=True,
        )  # fmt: skip
    except (OSError, ValueError) as problem:
        reason = str(problem).splitlines()[0]
        raise error(
            f"{path} cannot be read as a table ({reason}); expected CSV in UTF-8 with columns such "
            f"as {', '.join(columns[:3])}, separated by commas, semicolons, tabs or |"
        ) from problem
    cells = cells.fillna("").apply(lambda column: column.str.strip())
    known = {name.casefold(): name for name in columns}
    # Spreadsheets write a separator after the last column.
    cells = cells.loc[:, (cells != "").any()]
    names = [known.get(name.casefold(), name) for name in cells.iloc[0]]
    twice = [name for name in known.values() if names.count(name) > 1]
    if twice:
        raise error(f"{path} has columns twice: {twice}; expected each once")
    table = cells.iloc[1:].set_axis(names, axis=1)
    return table[(table != "").any(axis=1)].reset_index(drop=True)
