"""Confidence intervals, and tests for differences, of methods among others."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import permutation_test
from statsmodels.stats.contingency_tables import mcnemar as _mcnemar
from statsmodels.stats.multitest import multipletests

from viba_lib.baselines.explainers import CONTROLS, VIBA

INCONCLUSIVE = "inconclusive"
LOWER = ("deletion",)  # measures for which lower is better
SIGNIFICANCE = 0.05


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


def _sign(measure: str) -> float:
    """-1 for measures for which lower is better, else 1."""
    return -1.0 if measure in LOWER else 1.0


def paired_tests(
    scores: pd.DataFrame, measure: str, reference: str = VIBA, draws: int = 10_000, seed: int = 0
) -> pd.DataFrame:
    """Compare a method with each other one on the same videos: a sign-flip permutation test.

    Controls are left out, because their tests would only make the correction stricter. Frames of
    one video are similar, so each video counts once, with its mean. p-values are two-sided and
    corrected by Holm's step-down procedure for the number of methods compared.

    Parameters
    ----------
    scores : rows with method, video_id and the measure; NaN if it has no value
    draws : number of sampled flips, if there are too many to enumerate

    Returns
    -------
    method, videos, difference (mean of the reference minus the method, with the sign changed for
    measures in LOWER: positive if the reference is better), p, p_holm, better (name of the better
    method, or INCONCLUSIVE at a corrected level of 5 %).
    """
    scores = scores[~scores.method.isin(CONTROLS)]
    wide = scores.pivot_table(index="video_id", columns="method", values=measure, dropna=False)
    rows: list[dict[str, Any]] = []
    for name in wide.columns.drop(reference, errors="ignore"):
        both = wide[[reference, name]].dropna()
        differences = _sign(measure) * (both[reference] - both[name]).to_numpy(float)
        p = _flip_test(differences, draws, seed)
        mean = float(differences.mean()) if len(differences) else float("nan")
        rows.append({"method": name, "videos": len(differences), "difference": mean, "p": p})
    table = pd.DataFrame(rows, columns=["method", "videos", "difference", "p"])
    table["p_holm"] = multipletests(table.p, method="holm")[1] if len(table) else []
    better = np.where(table.difference > 0, reference, table.method)
    return table.assign(better=np.where(table.p_holm < SIGNIFICANCE, better, INCONCLUSIVE))


def _flip_test(differences: np.ndarray, draws: int, seed: int) -> float:
    """p-value of paired differences (N,); 1 if there are fewer than two or all are zero."""
    if len(differences) < 2 or not np.any(differences):
        return 1.0
    result = permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=draws, vectorized=True,
        rng=np.random.default_rng(seed),
    )  # fmt: skip
    return float(result.pvalue)


def rank_of(scores: pd.DataFrame, measure: str, name: str = VIBA, seed: int = 0) -> dict[str, Any]:
    """Rank of a method in a measure, among all methods that are not controls.

    Returns
    -------
    rank (1 is best, by the mean), best (the method with the best mean), behind (methods that are
    better at a corrected level of 5 %), ahead (methods that are worse), even (methods for which
    the test is inconclusive), videos, min_p (the smallest corrected p-value that is possible with
    this number of videos), and verdict: "first" (no mean is better), "tied for first" (some means
    are better, none significantly), "behind", or INCONCLUSIVE (min_p is 0.05 or more).
    """
    means = scores[~scores.method.isin(CONTROLS)].groupby("method")[measure].mean().dropna()
    signed = means * _sign(measure)
    tests = paired_tests(scores, measure, name, seed=seed).set_index("method")
    videos = int(tests.videos.max()) if len(tests) else 0
    min_p = min(1.0, len(tests) * 2.0 ** (1 - videos))
    above = list(signed.index[signed > signed[name]]) if name in signed else []
    # Of equal means the first in the alphabet would be best: the method itself comes before it.
    first = name in signed and not above
    best = name if first else str(signed.idxmax()) if len(signed) else ""
    behind = [method for method in above if tests.better[method] == method]
    verdict = "behind" if behind else "tied for first" if above else "first"
    return {
        "measure": measure,
        "rank": len(above) + 1,
        "best": best,
        "behind": behind,
        "ahead": list(tests.index[tests.better == name]),
        "even": list(tests.index[tests.better == INCONCLUSIVE]),
        "videos": videos,
        "min_p": min_p,
        "verdict": verdict if min_p < SIGNIFICANCE else INCONCLUSIVE,
    }
