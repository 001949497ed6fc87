"""Methods ranked by their scores: paired tests, ranks, and the front of cost against quality."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import permutation_test
from statsmodels.stats.multitest import multipletests

from viba_lib.baselines.explainers import CONTROLS, VIBA

INCONCLUSIVE = "inconclusive"
LOWER = ("deletion",)  # measures for which lower is better
SIGNIFICANCE = 0.05


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


def ranks(
    scores: Mapping[str, pd.DataFrame], measures: Sequence[str], seed: int = 0
) -> list[dict[str, Any]]:
    """`rank_of` in each measure, for scores by detector."""
    return [
        {"detector": detector} | rank_of(table, measure, seed=seed)
        for detector, table in scores.items()
        for measure in measures
    ]


def rank_message(rank: Mapping[str, Any], name: str = VIBA) -> str:
    """The result of `rank_of` as text."""
    if not rank["best"]:
        return "these frames have no planted masks, so the methods cannot be ranked."
    start = f"by the mean, {name} is best. "
    if rank["rank"] > 1:
        start = f"by the mean, {name} has rank {rank['rank']} and {rank['best']} is best. "
    if rank["min_p"] >= SIGNIFICANCE:
        return start + (
            f"{rank['videos']} videos are too few for the test: the smallest corrected p-value "
            f"that they can give is {rank['min_p']:.2g}."
        )
    lists = {key: ", ".join(rank[key]) or "none" for key in ("behind", "ahead", "even")}
    return start + (
        f"By the corrected test over {rank['videos']} videos it is better than {lists['ahead']} "
        f"and worse than {lists['behind']}; the test is inconclusive for {lists['even']}."
    )


def costs(maps: Mapping[str, xr.Dataset]) -> pd.DataFrame:
    """Cost of a frame: method, seconds, forward (passes), see `maps.maps_of`."""
    rows = [
        {"method": name, "seconds": found.attrs["seconds"], "forward": found.attrs["forward"]}
        for name, found in maps.items()
    ]
    return pd.DataFrame(rows, columns=["method", "seconds", "forward"])


def pareto(table: pd.DataFrame, cost: str = "seconds", worth: str = "ratio") -> pd.DataFrame:
    """The table with `control`, and `front`: whether no other method is both cheaper and better.

    Controls cost nothing and explain nothing. They are not on the front, and they do not exclude
    other methods from it.
    """
    control = table.method.isin(CONTROLS)
    methods = table[~control]
    dominated = [
        bool(((methods[cost] <= row[cost]) & (methods[worth] > row[worth])).any())
        for _, row in table.iterrows()
    ]
    return table.assign(control=control, front=~control & ~np.array(dominated, bool))
