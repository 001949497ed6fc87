"""What maps are worth: on the planted artefact, to the decision, and against each other."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import permutation_test
from statsmodels.stats.multitest import multipletests

from viba_lib.baselines.explainers import CONTROLS, VIBA
from viba_lib.core.cache import code_hash
from viba_lib.evaluation.faithfulness import (
    degradation_scores,
    deletion_areas,
    insertion_areas,
    mass_inside,
    mass_ratio,
    pointing_game,
    precision_recall_area,
    rank_accuracy,
    sensitivity_n,
)
from viba_lib.experiments.benchmark.maps import Contest, probabilities_of
from viba_lib.experiments.common import Bootstrap, means_of, with_intervals
from viba_lib.pipeline.study import Study

LOCALISATION = ("ratio", "inside", "rank", "hit", "precision_recall")
FAITHFULNESS = ("insertion", "deletion", "degradation", "sensitivity")
SAME = "not told apart"
LOWER = ("deletion",)  # the measures of which less is better
SIZES = (0.0, 0.1, 0.2, 1.0)  # shares of the frame that a mask takes
SIZE_NAMES = ("up to 10 %", "10 to 20 %", "over 20 %")


def localisation_scores(contest: Contest) -> pd.DataFrame:
    """Where each method's relevance lies, frame by frame.

    Returns
    -------
    detector, method, video_id, planted (the planted method), area (the mask's share of the frame),
    size (of the mask, in SIZE_NAMES), and: ratio (share of relevance inside over chance), inside
    (relevance mass accuracy), rank (relevance rank accuracy), hit (pointing game),
    precision_recall (area under the curve).
    """
    rows, detector = contest.rows, contest.detector
    masks, parts = contest.study.masks(detector, rows), []
    area = masks.mean((1, 2))
    facts = pd.DataFrame({
        "video_id": rows.video_id.to_numpy(), "planted": rows.method.to_numpy(), "area": area,
        "size": pd.cut(area, SIZES, labels=SIZE_NAMES).astype(str),
    })  # fmt: skip
    for name, found in contest.maps().items():
        pairs = list(zip(found.maps.values, masks, strict=True))
        scores = {
            "ratio": [_or_nothing(mass_ratio(r, m), r, m) for r, m in pairs],
            "inside": [_or_nothing(mass_inside(r, m), r, m) for r, m in pairs],
            "rank": [rank_accuracy(r, m) for r, m in pairs],
            "hit": [float(pointing_game(r, m)) for r, m in pairs],
            "precision_recall": [precision_recall_area(r, m) for r, m in pairs],
        }
        parts.append(facts.assign(detector=detector, method=name, **scores))
    return pd.concat(parts, ignore_index=True)


def _or_nothing(value: float, relevance: np.ndarray, mask: np.ndarray) -> float:
    """A map of zeros has nothing inside a mask: a method gains nothing by staying silent."""
    return 0.0 if not relevance.any() and mask.any() else value


def faithfulness_scores(contest: Contest) -> pd.DataFrame:
    """Whether the decision needs what each method marks, on the first rows; cached.

    Returns
    -------
    detector, method, video_id, insertion, deletion, degradation, sensitivity.
    """
    study, detector = contest.study, contest.detector
    settings = study.profile.comparison
    few = contest.rows.head(settings.faithful)
    which = few[["video_id", "position"]].to_numpy().tolist()
    chosen = {name: str(contest.values[name]) for name in contest.names}
    sizes = [settings.steps, settings.sets, settings.passes]
    code = code_hash("evaluation.faithfulness", "baselines", "bottleneck", "baselines.explainers")
    weights = study.weights_path(detector).parent.name
    bottleneck = asdict(study.profile.bottleneck)
    key = {"weights": weights, "rows": which, "chosen": chosen, "sizes": sizes,
           "seed": study.seed, "settings": bottleneck, "code": code}  # fmt: skip

    def compute(folder: Path) -> None:
        probabilities, inputs = probabilities_of(study, detector), study.inputs(detector, few)
        parts = []
        for name, found in contest.maps().items():
            study.progress(f"{detector}: faithfulness of {name}")
            maps = found.maps.values[: len(few)]
            given = (probabilities, inputs, maps)
            scores = {
                "insertion": insertion_areas(*given, steps=settings.steps),
                "deletion": deletion_areas(*given, steps=settings.steps),
                "degradation": degradation_scores(*given, steps=settings.steps),
                "sensitivity": sensitivity_n(*given, draws=settings.sets, seed=study.seed),
            }
            parts.append(few[["video_id"]].assign(detector=detector, method=name, **scores))
        pd.concat(parts, ignore_index=True).to_parquet(folder / "scores.parquet")

    folder = study.stage(f"faithful-{detector}", key, compute)
    return pd.read_parquet(folder / "scores.parquet")


def tuned_gain(
    plain: pd.DataFrame, tuned: pd.DataFrame, tried: pd.DataFrame, measure: str = "ratio"
) -> pd.DataFrame:
    """What tuning a setting on the validation split gains on held-out frames.

    Parameters
    ----------
    plain, tuned : `localisation_scores` with default and with tuned settings
    tried : result of `trial.tuning`

    Returns
    -------
    detector, method, option, value (chosen), changed (whether it is another than the default),
    default, tuned (means of the measure) and gain.
    """
    chosen = tried[tried.chosen][["detector", "method", "option", "value", "default"]]
    table = chosen.assign(changed=~chosen.default.astype(bool)).drop(columns="default")
    means = {
        name: scores.groupby("method")[measure].mean()
        for name, scores in (("default", plain), ("tuned", tuned))
    }
    table = table.assign(**{name: table.method.map(mean) for name, mean in means.items()})
    return table.assign(gain=table.tuned - table.default).reset_index(drop=True)


def standings(scores: pd.DataFrame, measures: Sequence[str], study: Study) -> pd.DataFrame:
    """Means of scores by method with 95 % intervals over videos, best in the first measure first.

    Returns
    -------
    name, method, frames, and each measure with _low and _high.
    """
    rows = []
    for name, part in scores.groupby("method", sort=False):
        means = with_intervals(part, means_of(measures), Bootstrap.of(study))
        rows.append({"name": name, "method": name, "frames": len(part)} | means)
    first = measures[0]
    return pd.DataFrame(rows).sort_values(first, ascending=first in LOWER, ignore_index=True)


def paired_tests(
    scores: pd.DataFrame, measure: str, reference: str = VIBA, draws: int = 10_000, seed: int = 0
) -> pd.DataFrame:
    """A method against each other one, on the same videos: a sign-flip permutation test.

    Controls are no rivals, and a test of them would only make the correction stricter.

    Frames of one video are alike, so a video counts once, with its mean. p-values are two-sided,
    and corrected by Holm's step-down procedure for the number of methods compared.

    Parameters
    ----------
    scores : rows with method, video_id and the measure; NaN where it has no value
    draws : flips that are drawn where there are too many to go through

    Returns
    -------
    method, videos, difference (mean of reference less method, positive where the reference is
    better, also for measures of which less is better), p, p_holm, better (the name of the better
    one, or "not told apart" at a corrected 5 %).
    """
    scores = scores[~scores.method.isin(CONTROLS)]
    wide = scores.pivot_table(index="video_id", columns="method", values=measure, dropna=False)
    sign = -1.0 if measure in LOWER else 1.0
    rows: list[dict[str, Any]] = []
    for name in wide.columns.drop(reference, errors="ignore"):
        both = wide[[reference, name]].dropna()
        less = sign * (both[reference] - both[name]).to_numpy(float)
        p = _flip_test(less, draws, seed)
        mean = float(less.mean()) if len(less) else float("nan")
        rows.append({"method": name, "videos": len(less), "difference": mean, "p": p})
    columns = ["method", "videos", "difference", "p"]
    table = pd.DataFrame(rows, columns=columns)
    table["p_holm"] = multipletests(table.p, method="holm")[1] if len(table) else []
    sure = table.p_holm < 0.05
    winner = np.where(table.difference > 0, reference, table.method)
    return table.assign(better=np.where(sure, winner, SAME))


def _flip_test(less: np.ndarray, draws: int, seed: int) -> float:
    """p-value of paired differences (N,); 1 where there are fewer than two or none differs."""
    if len(less) < 2 or not np.any(less):
        return 1.0
    found = permutation_test(
        (less,), np.mean, permutation_type="samples", n_resamples=draws, vectorized=True,
        rng=np.random.default_rng(seed),
    )  # fmt: skip
    return float(found.pvalue)


def place(scores: pd.DataFrame, measure: str, name: str = VIBA, seed: int = 0) -> dict[str, Any]:
    """Where a method stands in a measure among the methods; controls are no rivals.

    Returns
    -------
    rank (1 is best, by the mean), best (the method with the best mean), behind (methods that are
    better at a corrected 5 %), ahead (those that it is better than), even (those that are not told
    apart from it), videos, least (the smallest corrected p that so many videos can give: where it
    is not below 0.05, nothing can be told apart), and verdict: "first" (no mean is better), "tied
    for first" (none that is better is so by the test), "behind", or "not told apart".
    """
    means = scores[~scores.method.isin(CONTROLS)].groupby("method")[measure].mean().dropna()
    signed = means * (-1 if measure in LOWER else 1)
    tests = paired_tests(scores, measure, name, seed=seed).set_index("method")
    videos = int(tests.videos.max()) if len(tests) else 0
    least = min(1.0, len(tests) * 2.0 ** (1 - videos))
    before = list(signed.index[signed > signed[name]]) if name in signed else []
    behind = [m for m in before if tests.better[m] == m]
    best = str(signed.idxmax()) if len(signed) else ""
    best = name if name in signed and not before else best
    verdict = "behind" if behind else "tied for first" if before else "first"
    return {
        "measure": measure,
        "rank": len(before) + 1,
        "best": name
        if not before and name in signed
        else str(signed.idxmax())
        if len(signed)
        else "",
        "behind": behind,
        "ahead": list(tests.index[tests.better == name]),
        "even": list(tests.index[tests.better == SAME]),
        "videos": videos,
        "least": least,
        "verdict": verdict if least < 0.05 else SAME,
    }


def costs(maps: Mapping[str, xr.Dataset]) -> pd.DataFrame:
    """What a frame costs: method, seconds, forward (passes), see `trial.maps_of`."""
    rows = [
        {"method": name, "seconds": found.attrs["seconds"], "forward": found.attrs["forward"]}
        for name, found in maps.items()
    ]
    return pd.DataFrame(rows, columns=["method", "seconds", "forward"])


def pareto(table: pd.DataFrame, cost: str = "seconds", worth: str = "ratio") -> pd.DataFrame:
    """The table with `control`, and `front`: no other method is both cheaper and better.

    Controls cost nothing and explain nothing: they are neither on the front nor do they bar it.
    """
    control = table.method.isin(CONTROLS)
    rivals = table[~control]
    beaten = [
        bool(((rivals[cost] <= row[cost]) & (rivals[worth] > row[worth])).any())
        for _, row in table.iterrows()
    ]
    return table.assign(control=control, front=~control & ~np.array(beaten, bool))


def told(found: Mapping[str, Any], name: str = VIBA) -> str:
    """What `place` found, as a sentence."""
    if not found["best"]:
        return "these frames have no planted masks, so nobody can be judged."
    start = f"by the mean, {name} is number {found['rank']} and {found['best']} is best. "
    if found["rank"] == 1:
        start = f"by the mean, {name} is best. "
    if found["least"] >= 0.05:
        return start + (
            f"{found['videos']} videos cannot tell methods apart: the smallest corrected p-value "
            f"that they can give is {found['least']:.2g}."
        )
    lists = {key: ", ".join(found[key]) or "none" for key in ("behind", "ahead", "even")}
    return start + (
        f"By the corrected test over {found['videos']} videos it is better than {lists['ahead']}; "
        f"not told apart from {lists['even']}; worse than {lists['behind']}."
    )


def places(
    scores: Mapping[str, pd.DataFrame], measures: Sequence[str], seed: int = 0
) -> list[dict[str, Any]]:
    """`place` in each measure, of scores by detector."""
    return [
        {"detector": detector} | place(table, measure, seed=seed)
        for detector, table in scores.items()
        for measure in measures
    ]
