"""Scores of the methods' maps: localisation of the planted artefact, and faithfulness."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from viba_lib.core.cache import Stage, Work
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
from viba_lib.experiments.benchmark.maps import Benchmark, open_maps
from viba_lib.experiments.benchmark.ranking import LOWER
from viba_lib.experiments.benchmark.runs import BenchmarkRun, Positions, run_stage
from viba_lib.experiments.common import Bootstrap, interval_table, means_of
from viba_lib.pipeline.stages import positions_of

LOCALISATION = ("ratio", "inside", "rank", "hit", "precision_recall")
FAITHFULNESS = ("insertion", "deletion", "degradation", "sensitivity")
SIZES = (0.0, 0.1, 0.2, 1.0)  # bounds of the mask's share of the frame
SIZE_NAMES = ("up to 10 %", "10 to 20 %", "over 20 %")


def localisation_scores(benchmark: Benchmark) -> pd.DataFrame:
    """Localisation of the planted artefact by each method, frame by frame.

    Returns
    -------
    detector, method, video_id, planted (the planted method), area (the mask's share of the frame),
    size (of the mask, in SIZE_NAMES), and: ratio (share of relevance inside over chance), inside
    (relevance mass accuracy), rank (relevance rank accuracy), hit (pointing game),
    precision_recall (area under the curve).
    """
    rows, detector = benchmark.rows, benchmark.detector
    masks, parts = benchmark.study.masks(detector, rows), []
    area = masks.mean((1, 2))
    facts = pd.DataFrame({
        "video_id": rows.video_id.to_numpy(), "planted": rows.method.to_numpy(), "area": area,
        "size": pd.cut(area, SIZES, labels=SIZE_NAMES).astype(str),
    })  # fmt: skip
    for name, found in benchmark.maps().items():
        pairs = list(zip(found.maps.values, masks, strict=True))
        scores = {
            "ratio": [_or_zero(mass_ratio(r, m), r, m) for r, m in pairs],
            "inside": [_or_zero(mass_inside(r, m), r, m) for r, m in pairs],
            "rank": [rank_accuracy(r, m) for r, m in pairs],
            "hit": [float(pointing_game(r, m)) for r, m in pairs],
            "precision_recall": [precision_recall_area(r, m) for r, m in pairs],
        }
        parts.append(facts.assign(detector=detector, method=name, **scores))
    return pd.concat(parts, ignore_index=True)


def _or_zero(value: float, relevance: np.ndarray, mask: np.ndarray) -> float:
    """The value, or 0 for a map of zeros: a method must not gain from empty maps."""
    return 0.0 if not relevance.any() and mask.any() else value


def compute_faithfulness(
    folder: Path, work: Work, *, maps: Path, rows: Positions, steps: int, sets: int, **given: Any
) -> None:
    """Faithfulness of the maps of a method, for the first rows of a benchmark."""
    run = BenchmarkRun(work=work, **given)
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
    study, numbers = benchmark.study, benchmark.study.profile.comparison
    rows = positions_of(benchmark.rows.head(numbers.faithful))
    settings = {"rows": rows, "steps": numbers.steps, "sets": numbers.sets}
    maps = {"maps": benchmark.maps_stage(name)}
    compute = compute_faithfulness
    return run_stage(study, benchmark.detector, "faithful", compute, None, settings, maps)


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


def tuned_gain(
    plain: pd.DataFrame, tuned: pd.DataFrame, tried: pd.DataFrame, measure: str = "ratio"
) -> pd.DataFrame:
    """Gain on test frames from a setting that was tuned on the validation split.

    Parameters
    ----------
    plain, tuned : `localisation_scores` with default and with tuned settings
    tried : result of `maps.tuning`

    Returns
    -------
    detector, method, option, value (chosen), changed (whether it differs from the default),
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


def score_table(
    scores: pd.DataFrame, measures: Sequence[str], bootstrap: Bootstrap, count: str = "frames"
) -> pd.DataFrame:
    """`interval_table` of scores by method, best in the first measure first."""
    table = interval_table(scores, ["method"], means_of(measures), bootstrap, count)
    return table.sort_values(measures[0], ascending=measures[0] in LOWER, ignore_index=True)
