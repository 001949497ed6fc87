"""Cost of the methods, and the front of cost against quality."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr

from viba_lib.baselines.budget import Passes
from viba_lib.baselines.names import CONTROLS


def costs(maps: Mapping[str, xr.Dataset]) -> pd.DataFrame:
    """Cost of a frame: method, seconds, forward, backward and equivalents, see `maps.maps_of`."""
    rows = []
    for name, found in maps.items():
        used = Passes(found.attrs["forward"], found.attrs["backward"])
        rows.append((name, found.attrs["seconds"], used.forward, used.backward, used.equivalents))
    return pd.DataFrame(rows, columns=["method", "seconds", "forward", "backward", "equivalents"])


def front_text(costs_of: Mapping[str, pd.DataFrame]) -> str:
    """Methods that none beats in both cost and quality, from a `pareto` of each detector."""
    sentences = []
    for name, table in costs_of.items():
        front = table[table.front].sort_values("seconds").method
        if len(front):
            sentences.append(
                f"{name}: no method is both cheaper and better by the mean than {', '.join(front)} "
                "(cheapest first, without a test)."
            )
    return " ".join(sentences)


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
