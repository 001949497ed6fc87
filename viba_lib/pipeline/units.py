"""The size of a test split in words."""

import pandas as pd

from viba_lib.core.words import plural
from viba_lib.evaluation.clusters import counts, units_of


def split_text(catalog: pd.DataFrame) -> str:
    """Size of a catalog's test split, such as "3 test people, 24 source clips, 72 videos".

    People are not counted if none is known.
    """
    test = catalog[catalog.split == "test"]
    size = counts(test, units_of(test))
    parts = [plural(size["clips"], "source clip"), plural(size["videos"], "video")]
    if (test.identity != "").any():
        parts.insert(0, plural(size["people"], "test person", "test people"))
    return ", ".join(parts)
