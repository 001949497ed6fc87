"""Scores of the methods' maps: localisation of the planted artefact, and faithfulness."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from viba_lib.baselines.names import VIBA
from viba_lib.core.cache import Stage, Work
from viba_lib.evaluation.faithfulness import (
    degradation_scores,
    deletion_areas,
    insertion_areas,
    map_measures,
    precision_recall_area,
    rank_accuracy,
    sensitivity_n,
)
from viba_lib.evaluation.significance import LOWER, interval_table, means_of
from viba_lib.experiments.benchmark.maps import Benchmark
from viba_lib.experiments.benchmark.runs import BenchmarkRun, Positions, run_stage
from viba_lib.experiments.common import Bootstrap
from viba_lib.pipeline.explain import open_maps
from viba_lib.pipeline.stages import positions_of

LOCALISATION = ("ratio", "inside", "rank", "hit", "precision_recall")
PIXEL_RANKS = {"rank": rank_accuracy, "precision_recall": precision_recall_area}
FAITHFULNESS = ("insertion", "deletion", "degradation", "sensitivity")
SIZES = (0.0, 0.1, 0.2, 1.0)  # bounds of the mask's fraction of the frame
SIZE_NAMES = ("up to 10 %", "10 to 20 %", "over 20 %")


def localisation_scores(benchmark: Benchmark) -> pd.DataFrame:
    """Localisation of the artefact by each method, frame by frame; frames without a mask left out.

    Returns
    -------
    detector, method, video_id, planted (the planted method), area (the mask's fraction of the
    frame), size (of the mask, in SIZE_NAMES), and: ratio (fraction of relevance inside over
    chance), inside (relevance mass accuracy), rank (relevance rank accuracy), hit (pointing game),
    precision_recall (area under the curve).
    """
    rows, detector = benchmark.rows, benchmark.detector
    masks, parts = benchmark.study.masks(detector, rows), []
    area = masks.mean((1, 2))
    facts = pd.DataFrame({
        "video_id": rows.video_id.to_numpy(), "planted": rows.method.to_numpy(), "area": area,
        "size": pd.cut(area, SIZES, labels=SIZE_NAMES),
    })  # fmt: skip
    for name, result in benchmark.maps().items():
        maps = result.maps.values
        scores = map_measures(maps, masks)[["ratio", "inside", "hit"]].astype(float)
        # A method must not gain from empty maps.
        empty = ~maps.any((1, 2)) & masks.any((1, 2))
        scores.loc[empty, ["ratio", "inside"]] = 0.0
        for measure, function in PIXEL_RANKS.items():
            scores[measure] = [function(r, m) for r, m in zip(maps, masks, strict=True)]
        scores = scores[list(LOCALISATION)]
        parts.append(facts.assign(detector=detector, method=name).join(scores))
    scores = pd.concat(parts, ignore_index=True)
    return scores[scores.area > 0].reset_index(drop=True)


def compute_faithfulness(
    folder: Path, work: Work, *, maps: Path, rows: Positions, **given: Any
) -> None:
    """Faithfulness of the maps of a method, for the first rows of a benchmark."""
    run = BenchmarkRun(work=work, **given)
    steps, sets = run.numbers["steps"], run.numbers["sets"]
    work.progress(f"{run.detector.name}: faithfulness of maps of {len(rows)} frames")
    shared = (run.probabilities, run.inputs_at(rows), open_maps(maps).maps.values[: len(rows)])
    scores = {
        "video_id": [video for video, _ in rows],
        "insertion": insertion_areas(*shared, steps=steps),
        "deletion": deletion_areas(*shared, steps=steps),
        "degradation": degradation_scores(*shared, steps=steps),
        "sensitivity": sensitivity_n(*shared, draws=sets, seed=run.seed),
    }
    pd.DataFrame(scores).to_parquet(folder / "scores.parquet")


def faithfulness_stage(benchmark: Benchmark, name: str) -> Stage:
    """Stage of `faithfulness_scores` for one method."""
    study, numbers = benchmark.study, ["steps", "sets"]
    rows = positions_of(benchmark.rows.head(study.profile.comparison.faithful))
    return run_stage(
        study, benchmark.detector, "faithful", compute_faithfulness, None, numbers,
        {"rows": rows}, {"maps": benchmark.maps_stage(name)},
    )  # fmt: skip


def faithfulness_scores(benchmark: Benchmark) -> pd.DataFrame:
    """Faithfulness of each method's maps to the decision, for the first rows; cached.

    Returns
    -------
    video_id, detector, method, insertion, deletion, degradation, sensitivity.
    """
    parts = []
    for name in benchmark.names:
        folder = benchmark.study.get(faithfulness_stage(benchmark, name))
        scores = pd.read_parquet(folder / "scores.parquet")
        parts.append(scores.assign(detector=benchmark.detector, method=name))
    columns = ["video_id", "detector", "method", *FAITHFULNESS]
    return pd.concat(parts, ignore_index=True)[columns]


def tuned_gain(plain: pd.DataFrame, tuned: pd.DataFrame, tried: pd.DataFrame) -> pd.DataFrame:
    """Gain of the ratio on test frames from a setting that was tuned on the validation split.

    Parameters
    ----------
    plain, tuned : `localisation_scores` with default and with tuned settings
    tried : `Benchmark.tuning`

    Returns
    -------
    detector, method, option, value (chosen), changed (whether it differs from the default),
    default, tuned (means of the ratio) and gain.
    """
    chosen = tried[tried.chosen].reset_index(drop=True)
    table = chosen[["detector", "method", "option", "value"]].assign(changed=~chosen.default)
    for name, scores in (("default", plain), ("tuned", tuned)):
        table[name] = table.method.map(scores.groupby("method").ratio.mean())
    return table.assign(gain=table.tuned - table.default)


def groups_text(scores: pd.DataFrame, column: str, what: str, name: str = VIBA) -> str:
    """Mean ratio of a method in groups of frames, for each detector, highest first, without a test.

    Parameters
    ----------
    scores : `localisation_scores`, with the column of the groups
    what : the groups
    """
    sentences = []
    for detector, rows in scores[scores.method == name].groupby("detector", sort=False):
        means = rows.groupby(column, observed=True).ratio.mean().dropna()
        shown = ", ".join(
            f"{group} {value:.2f}" for group, value in means.sort_values(ascending=False).items()
        )
        if shown:
            sentences.append(f"{name} on {detector}, mean ratio by {what}: {shown} (no test).")
    return " ".join(sentences)


def score_table(
    scores: pd.DataFrame, measures: Sequence[str], bootstrap: Bootstrap, count: str = "frames"
) -> pd.DataFrame:
    """`interval_table` of scores by method, best in the first measure first."""
    table = interval_table(scores, ["method"], means_of(measures), bootstrap, count)
    return table.sort_values(measures[0], ascending=measures[0] in LOWER, ignore_index=True)
