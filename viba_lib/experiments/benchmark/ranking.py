"""Ranks of the methods as text, and the front of cost against quality."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from viba_lib.baselines.explainers import CONTROLS, VIBA
from viba_lib.evaluation.significance import SIGNIFICANCE


def rank_message(rank: Mapping[str, Any], name: str = VIBA) -> str:
    """The result of `evaluation.significance.rank_of` as text."""
    if not rank["best"]:
        return "these frames have no planted masks, so the methods cannot be ranked."
    start = f"by the mean, {name} is best. "
    if rank["rank"] > 1:
        start = f"by the mean, {name} has rank {rank['rank']} and {rank['best']} is best. "
    if rank["min_p"] >= SIGNIFICANCE:
        return start + (
            f"{rank['clips']} source clips are too few for the test: the smallest corrected "
            f"p-value that they can give is {rank['min_p']:.2g}."
        )
    lists = {key: ", ".join(rank[key]) or "none" for key in ("behind", "ahead", "even")}
    return start + (
        f"By the corrected test over {rank['clips']} source clips it is better than "
        f"{lists['ahead']} and worse than {lists['behind']}; "
        f"the test is inconclusive for {lists['even']}."
    )


def costs(maps: Mapping[str, xr.Dataset]) -> pd.DataFrame:
    """Cost of a frame: method, seconds, forward (passes), see `maps.maps_of`."""
    rows = [(name, m.attrs["seconds"], m.attrs["forward"]) for name, m in maps.items()]
    return pd.DataFrame(rows, columns=["method", "seconds", "forward"])


def pareto(table: pd.DataFrame, cost: str = "seconds", worth: str = "ratio") -> pd.DataFrame:
    """The table with `control`, and `front`: whether no other method is both cheaper and better.

    A method without a value is not on the front.

    Controls cost nothing and explain nothing. They are not on the front, and they do not exclude
    other methods from it.
    """
    control = table.method.isin(CONTROLS)
    methods = table[~control]
    dominated = [
        bool(((methods[cost] <= row[cost]) & (methods[worth] > row[worth])).any())
        for _, row in table.iterrows()
    ]
    front = ~control & ~np.array(dominated, bool) & table[worth].notna()
    return table.assign(control=control, front=front)
