"""Confidence intervals, and tests for differences."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from statsmodels.stats.contingency_tables import mcnemar as _mcnemar


def mcnemar(labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> dict[str, float]:
    """Exact McNemar test: do two sets of decisions (N,) err equally often?

    Returns
    -------
    only_first, only_second: numbers that only one of them got right; p_value.
    """
    a, b = np.asarray(first) == labels, np.asarray(second) == labels
    table = [[int((a & b).sum()), int((a & ~b).sum())], [int((~a & b).sum()), int((~a & ~b).sum())]]
    result = _mcnemar(table, exact=True)
    return {
        "only_first": table[0][1],
        "only_second": table[1][0],
        "p_value": float(result.pvalue),
    }


def bootstrap_intervals(
    frame: pd.DataFrame,
    statistics: Callable[[pd.DataFrame], Mapping[str, float]],
    groups: str = "video_id",
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, tuple[float, float]]:
    """Percentile intervals of several statistics by one bootstrap over groups.

    Frames of one video are similar, so videos are sampled, not frames.

    Parameters
    ----------
    statistics : of rows of `frame`: values by name
    draws : number of bootstrap samples

    Returns
    -------
    (low, high) by name, over the samples in which a statistic is defined; NaN if it never is, or
    if there are fewer than two groups.
    """
    rng = np.random.default_rng(seed)
    parts = list(frame.groupby(groups, sort=True).indices.values())
    if len(parts) < 2:
        return {name: (float("nan"), float("nan")) for name in statistics(frame)}
    samples = []
    for _ in range(draws):
        chosen = rng.integers(len(parts), size=len(parts))
        samples.append(statistics(frame.iloc[np.concatenate([parts[i] for i in chosen])]))
    found = {}
    for name, values in pd.DataFrame(samples).astype(float).items():
        ends = values.quantile([(1 - level) / 2, (1 + level) / 2])
        found[str(name)] = (float(ends.iloc[0]), float(ends.iloc[1]))
    return found
