"""Attacks on the regions that maps mark, and maps of randomised networks."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from viba_lib.baselines.names import CONTROLS, VIBA
from viba_lib.core.cache import Stage, Work
from viba_lib.core.words import plural
from viba_lib.evaluation.attack import AttackSettings, attack_scores, stability
from viba_lib.evaluation.randomisation import SIMILAR, marked, sanity_checks
from viba_lib.evaluation.sentences import FEWEST_VIDEOS, ILLUSTRATED
from viba_lib.experiments.benchmark.maps import Benchmark
from viba_lib.experiments.benchmark.runs import BenchmarkRun, Positions, Values, run_stage
from viba_lib.experiments.common import stacked
from viba_lib.pipeline.explain import open_maps
from viba_lib.pipeline.stages import positions_of

ATTACK = ("attack_samples", "attack_steps", "short_passes")  # of `ComparisonSettings`
TOPS = (1, 2, 3)  # numbers of segments that are attacked
TRAINING = 32  # training frames for the statistics of randomised networks


def compute_attacks(
    folder: Path, work: Work, *, rows: Positions, values: Values, **given: Any
) -> None:
    """Attacks on the segments that each method ranks first, and the stability of its maps.

    Parameters
    ----------
    values : of the methods' settings; `given` has the folders of their maps under the same names
    """
    maps = {name: open_maps(given.pop(name)).maps.values[: len(rows)] for name in values}
    run = BenchmarkRun(work=work, **given)
    samples, steps, passes = (run.numbers[name] for name in ATTACK)
    settings, inputs = AttackSettings(samples=samples, iterations=steps), run.inputs_at(rows)
    work.progress(f"{run.detector.name}: attacks on {len(rows)} frames")
    table = attack_scores(run.probabilities, inputs, maps, settings, TOPS, run.seed)
    for name, value in values.items():
        work.progress(f"{run.detector.name}: stability of {name}")
        sample = partial(run.maps, name, passes=passes, value=value)
        plain, own = sample(inputs), table.method == name
        similarity = stability(sample, run.probabilities, inputs, plain, settings, seed=run.seed)
        table.loc[own, "stability"] = similarity[table.item[own]]
    table["video_id"] = np.array([video for video, _ in rows], object)[table.item]
    table.to_parquet(folder / "scores.parquet")


def attack_stage(benchmark: Benchmark) -> Stage:
    """Stage of `attacks`."""
    study, detector, layer = benchmark.study, benchmark.detector, benchmark.layer
    rows = positions_of(benchmark.rows.head(study.profile.comparison.attacked))
    settings = {"rows": rows, "values": benchmark.values}
    maps = {name: benchmark.maps_stage(name) for name in benchmark.names}
    return run_stage(study, detector, "attack", compute_attacks, layer, ATTACK, settings, maps)


def attacks(benchmark: Benchmark) -> pd.DataFrame:
    """The protocol of Tsigos et al. (2024) on the first rows, see `evaluation.attack`; cached.

    Returns
    -------
    method, video_id, top, sufficiency, kept, passes, and stability (of the map, the same for each
    top).
    """
    return pd.read_parquet(benchmark.study.get(attack_stage(benchmark)) / "scores.parquet")


def attack_table(scores: pd.DataFrame) -> pd.DataFrame:
    """Means of `attacks` by method, highest sufficiency first.

    Returns
    -------
    method, sufficiency and kept for each number of attacked segments, stability.
    """
    wide = scores.pivot_table(index="method", columns="top", values=["sufficiency", "kept"])
    wide.columns = [f"{measure} {top}" for measure, top in wide.columns]
    wide["stability"] = scores.groupby("method").stability.mean()
    last = next(c for c in reversed(wide.columns) if c.startswith("sufficiency"))
    return wide.sort_values(last, ascending=False).reset_index()


def attack_text(table: pd.DataFrame, name: str = VIBA) -> str:
    """Sufficiency and stability of a method and of the best one, from an `attack_table`."""
    methods = table[~table.method.isin(CONTROLS)].set_index("method")
    if name not in methods.index:
        return ""
    last = [column for column in methods if column.startswith("sufficiency")][-1]
    parts = []
    for column, what in ((last, f"sufficiency with {last.split()[-1]} segments"),
                         ("stability", "stability")):  # fmt: skip
        values = methods[column].dropna()
        if name in values:
            parts.append(
                f"{what} {values[name]:.2f} (highest: {values.idxmax()}, {values.max():.2f})"
            )
    return f"{name}: {'; '.join(parts)}. These means have no test." if parts else ""


def compute_sanity(
    folder: Path, work: Work, *, rows: Positions, values: Values, **given: Any
) -> None:
    """Similarity of maps of the trained network and of randomised networks."""
    run = BenchmarkRun(work=work, **given)
    inputs, frames, passes = run.inputs_at(rows), run.sample(TRAINING), run.numbers["short_passes"]
    labels = torch.from_numpy(frames.label.to_numpy())
    table = sanity_checks(
        run.network, values, inputs, run.inputs(frames), labels, passes, run.seed, work.progress
    )
    table.to_parquet(folder / "checks.parquet")


def sanity_stage(benchmark: Benchmark) -> Stage:
    """Stage of `sanity`."""
    study, detector, layer = benchmark.study, benchmark.detector, benchmark.layer
    rows = positions_of(benchmark.rows.head(study.profile.comparison.sanity))
    settings = {"rows": rows, "values": benchmark.values}
    return run_stage(study, detector, "sanity", compute_sanity, layer, ["short_passes"], settings)


def sanity(benchmark: Benchmark) -> pd.DataFrame:
    """Similarity of each method's maps to those of randomised networks; cached.

    Returns
    -------
    method, stage, item, rank, ssim (see `sanity_checks`), detector.
    """
    checks = pd.read_parquet(benchmark.study.get(sanity_stage(benchmark)) / "checks.parquet")
    return checks.assign(detector=benchmark.detector)


def sanity_table(checks: pd.DataFrame) -> pd.DataFrame:
    """`randomisation.marked` by detector: methods with similar maps for a random network."""
    return stacked({name: marked(part) for name, part in checks.groupby("detector", sort=False)})


def sanity_text(table: pd.DataFrame, name: str = VIBA) -> str:
    """Sentences on a `sanity_table`, the method `name` first.

    Fewer than FEWEST_VIDEOS frames of a detector are an illustration.
    """
    text = ""
    for row in table[table.method == name].itertuples():
        text += (
            f"{name} on {row.detector}, {plural(row.frames, 'frame')}: the rank correlation of its "
            f"maps with those of a fully randomised network is {row.rank:.2f}, "
            f"{'above' if row.same else 'at most'} {SIMILAR:g}. "
        )
    others = table[table.same & (table.method != name)]
    for detector, part in others.groupby("detector", sort=False):
        known = [method for method in part.method if method not in CONTROLS]
        text += f"On {detector}, it is above that for {plural(len(known), 'other method')}"
        text += f": {', '.join(known)}. " if known else ". "
    if len(table) and table.frames.max() < FEWEST_VIDEOS:
        text += ILLUSTRATED
    return text.strip().replace("  ", " ")
