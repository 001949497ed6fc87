"""Confidence intervals, tests for differences."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from viba_lib.baselines.names import CONTROLS, VIBA
from viba_lib.evaluation.clusters import Clusters, counts, with_units

INCONCLUSIVE = "inconclusive"
LOWER = ("deletion",)  # measures for which lower is better
SIGNIFICANCE = 0.05
LEVEL = 0.95  # of confidence intervals
Columns = Mapping[str, np.ndarray]  # of a table, or of some of its rows
Statistics = Callable[[Columns], Mapping[str, float]]


def mcnemar(labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> dict[str, float]:
    """Exact McNemar test: do two sets of decisions (N,) err equally often?

    Returns
    -------
    only_first, only_second: numbers that only one of them got right; p_value.
    """
    # Here, as SciPy's tests below: the imports take a second in each process that writes sentences.
    from statsmodels.stats.contingency_tables import mcnemar as exact_mcnemar

    a, b = np.asarray(first) == labels, np.asarray(second) == labels
    table = [[int((a & b).sum()), int((a & ~b).sum())], [int((~a & b).sum()), int((~a & ~b).sum())]]
    result = exact_mcnemar(table, exact=True)
    return {
        "only_first": table[0][1],
        "only_second": table[1][0],
        "p_value": float(result.pvalue),
    }


class _Sample(Mapping[str, np.ndarray]):
    """Some rows of a table, column by column: pandas would copy all columns for each sample."""

    def __init__(self, columns: Columns, rows: np.ndarray) -> None:
        self.columns, self.rows = columns, rows

    def __getitem__(self, name: str) -> np.ndarray:
        return self.columns[name][self.rows]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)


def with_intervals(
    frame: pd.DataFrame,
    statistics: Statistics,
    samples: int = 1000,
    seed: int = 0,
    units: pd.DataFrame | None = None,
) -> dict[str, float]:
    """Statistics of rows with 95 % percentile intervals, by one bootstrap over people and clips.

    Frames of one video are similar, a fake is similar to the clip that it was made from, and so are
    clips of one person. Therefore people are sampled, and of each person source clips.

    Parameters
    ----------
    frame : rows with video_id
    statistics : function from the columns of rows to values by name
    samples : number of bootstrap samples
    units : see `clusters.units_of`; None = each video is independent

    Returns
    -------
    name, name_low and name_high of each statistic. The ends are over the samples in which it is
    defined; NaN if it never is, or if there are fewer than two source clips.
    """
    columns = {str(name): frame[name].to_numpy() for name in frame}
    values, rng = statistics(columns), np.random.default_rng(seed)
    clusters = Clusters(frame, units)
    found = [
        statistics(_Sample(columns, clusters.sample(rng)))
        for _ in range(samples if clusters.clips > 1 else 0)
    ]
    sampled = pd.DataFrame(found, columns=list(values), dtype=float)
    row: dict[str, float] = {}
    for name, value in values.items():
        low, high = sampled[name].quantile([(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        row |= {name: value, f"{name}_low": low, f"{name}_high": high}
    return row


def mean_of(values: np.ndarray) -> float:
    """Mean of the values that are defined; NaN if there is none."""
    known = np.asarray(values, float)
    known = known[~np.isnan(known)]
    return float(known.mean()) if len(known) else float("nan")


def means_of(measures: Iterable[str]) -> Statistics:
    """Function from rows to the means of some columns, for `with_intervals`."""
    names = list(measures)
    return lambda rows: {name: mean_of(rows[name]) for name in names}


def interval_table(
    rows: pd.DataFrame,
    by: Sequence[str],
    statistics: Statistics,
    bootstrap: tuple[int, int, pd.DataFrame | None],
    count: str = "frames",
) -> pd.DataFrame:
    """Statistics of groups of rows, with 95 % intervals over people and source clips.

    Parameters
    ----------
    by : columns whose values are the groups, in the order of the rows
    statistics, bootstrap : see `with_intervals`; number of samples, random seed and units
    count : name of the column with the number of rows of a group

    Returns
    -------
    name (the values of `by`), `by`, `count`, videos, clips, people, and each statistic with _low
    and _high. No rows make a table without rows, with these columns.
    """
    table = []
    for key, part in rows.groupby(list(by), sort=False, dropna=False):
        facts: dict[str, object] = {"name": ", ".join(map(str, key))}
        facts |= dict(zip(by, key, strict=True))
        facts |= {count: len(part)} | counts(part, bootstrap[2])
        table.append(facts | with_intervals(part, statistics, *bootstrap))
    if not table:
        sizes = dict.fromkeys([count, *counts(rows, None)])
        columns = ["name", *by, *sizes, *with_intervals(rows, statistics, *bootstrap)]
        return pd.DataFrame(columns=columns)
    return pd.DataFrame(table)


def sign_of(measure: str) -> float:
    """-1 for measures for which lower is better, else 1."""
    return -1.0 if measure in LOWER else 1.0


def paired_tests(
    scores: pd.DataFrame,
    measure: str,
    reference: str = VIBA,
    draws: int = 10_000,
    seed: int = 0,
    units: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Compare a method with each other one on the same videos: a sign-flip permutation test.

    Controls are left out, because their tests would only make the correction stricter. Each source
    clip counts once, with the mean over its frames and fakes. p-values are two-sided and corrected
    by Holm's step-down procedure for the number of methods compared.

    Parameters
    ----------
    scores : rows with method, video_id and the measure; NaN if it has no value
    draws : number of sampled flips, if there are too many to enumerate
    units : see `clusters.units_of`; None = each video is a source clip of its own

    Returns
    -------
    method, clips, unequal (clips with a difference), difference (mean of the reference minus the
    method, with the sign changed for measures in LOWER: positive if the reference is better), p,
    p_holm, better (name of the better method, or INCONCLUSIVE at a corrected level of 5 %).
    """
    scores = with_units(scores[~scores.method.isin(CONTROLS)], units)
    wide = scores.pivot_table(index="clip", columns="method", values=measure, dropna=False)
    rows: list[dict[str, Any]] = []
    for name in wide.columns.drop(reference) if reference in wide else []:
        both = wide[[reference, name]].dropna()
        differences = sign_of(measure) * (both[reference] - both[name]).to_numpy(float)
        p = flip_test(differences, draws, seed)
        mean = float(differences.mean()) if len(differences) else float("nan")
        unequal = int(np.count_nonzero(differences))
        rows.append(
            {
                "method": name,
                "clips": len(differences),
                "unequal": unequal,
                "difference": mean,
                "p": p,
            }
        )
    table = pd.DataFrame(rows, columns=["method", "clips", "unequal", "difference", "p"])
    table["p_holm"] = holm(table.p)
    better = np.where(table.difference > 0, reference, table.method)
    return table.assign(better=np.where(table.p_holm < SIGNIFICANCE, better, INCONCLUSIVE))


def flip_test(differences: np.ndarray, draws: int = 10_000, seed: int = 0) -> float:
    """Two-sided p-value of paired differences (N,) by a sign-flip permutation test.

    Exact if there are at most `draws` flips. 1 if there are fewer than two differences or if all
    are zero.
    """
    from scipy.stats import permutation_test

    if len(differences) < 2 or not np.any(differences):
        return 1.0
    result = permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=draws, vectorized=True,
        rng=np.random.default_rng(seed),
    )  # fmt: skip
    return float(result.pvalue)


def holm(p_values: Sequence[float]) -> np.ndarray:
    """p-values (N,) corrected for their number by Holm's step-down procedure; N may be 0."""
    from statsmodels.stats.multitest import multipletests

    return np.asarray(multipletests(p_values, method="holm")[1] if len(p_values) else [], float)


def least_p(units: int, comparisons: int) -> float:
    """Smallest p-value that `flip_test` of so many units can give, corrected for comparisons."""
    return min(1.0, comparisons * 2.0 ** (1 - units)) if units else 1.0
