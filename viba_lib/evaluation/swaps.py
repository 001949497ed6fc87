"""A statistic of two sets of values of the same frames: its difference, with interval and test."""

from collections import ChainMap

import numpy as np
import pandas as pd

from viba_lib.evaluation.clusters import CLIP, PERSON, VIDEO, with_units
from viba_lib.evaluation.sentences import VALUE, Finding
from viba_lib.evaluation.significance import Columns, Statistics, with_intervals

SWAPS = 999


def swap_finding(
    rows: pd.DataFrame,
    statistic: Statistics,
    pair: tuple[str, str],
    samples: int = 1000,
    seed: int = 0,
    units: pd.DataFrame | None = None,
) -> Finding:
    """A statistic of the first column of a pair minus that of the second.

    It is for statistics that are no means, such as an AUC. The test swaps both columns of randomly
    chosen source clips; the interval is a bootstrap over people and their clips.

    Parameters
    ----------
    rows : with video_id and both columns
    statistic : function from columns to one value by name; it reads the column `pair[0]`
    samples, seed, units : see `with_intervals`
    """
    first, second = pair
    rows = with_units(rows, units).reset_index(drop=True)

    def difference(columns: Columns) -> dict[str, float]:
        (own,) = statistic(columns).values()
        swapped = ChainMap({first: columns[second]}, columns)  # type: ignore[arg-type]  # only read
        (other,) = statistic(swapped).values()
        return {VALUE: own - other}

    row = with_intervals(rows, difference, samples, seed, units)
    clips, rng = rows[CLIP].astype("category").cat, np.random.default_rng(seed)
    both, columns = rows[[first, second]].to_numpy(), {str(n): rows[n].to_numpy() for n in rows}
    extreme = 0
    for _ in range(SWAPS):
        swap = rng.random(len(clips.categories))[clips.codes] < 0.5
        one, two = np.where(swap[:, None], both[:, ::-1], both).T
        found = difference(columns | {first: one, second: two})[VALUE]
        extreme += abs(found) >= abs(row[VALUE]) - 1e-12
    return Finding(
        row[VALUE], row[f"{VALUE}_low"], row[f"{VALUE}_high"], (extreme + 1) / (SWAPS + 1),
        rows[VIDEO].nunique(), len(clips.categories), rows[PERSON].nunique(), how="swap test",
    )  # fmt: skip
