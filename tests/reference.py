"""A small reference run."""

from collections.abc import Mapping
from datetime import date

import pandas as pd

from viba_lib.experiments.reference_run import COLUMNS, About

ABOUT = About(
    profile="tiny", settings="0123", seed=3, device="cpu", processor="Some CPU: 2 GHz #1",
    commit="abc", date=date(2026, 11, 27), weights={"net": "1234567890123456"},
    versions={"torch": "2.10", "python": "3.11"},
)  # fmt: skip


def numbers_of(rows: Mapping[str, tuple[float, float, float]]) -> pd.DataFrame:
    """Numbers of Table 2 from value, low and high of each measure."""
    found = [("Table 2", "net", measure, *ends, 9, 3, 2) for measure, ends in rows.items()]
    counts = dict.fromkeys(("videos", "clips", "people"), "Int64")
    values = dict.fromkeys(("value", "low", "high"), float)
    return pd.DataFrame(found, columns=COLUMNS).astype(values | counts)
