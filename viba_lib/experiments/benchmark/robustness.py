"""Attacks on what a map marks, and maps of networks that know nothing, for a contest; cached."""

from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from viba_lib.baselines.explainers import Network, draw_maps
from viba_lib.core.cache import code_hash
from viba_lib.evaluation.attack import AttackSettings, attack_scores, stability
from viba_lib.evaluation.randomisation import marked, sanity_checks
from viba_lib.experiments.benchmark.maps import Contest, network_of, probabilities_of

CODE = ("baselines", "bottleneck", "comparison.contest")
TRAINING = 32  # frames that random networks take their statistics from


def _key(contest: Contest, rows: pd.DataFrame, **more: object) -> dict[str, object]:
    study = contest.study
    return {
        "weights": study.weights_path(contest.detector).parent.name,
        "rows": rows[["video_id", "position"]].to_numpy().tolist(),
        "chosen": {name: str(contest.values[name]) for name in contest.names},
        "settings": asdict(study.profile.bottleneck),
        "passes": study.profile.comparison.short_passes,
        "seed": study.seed,
        **more,
    }


def attacks(contest: Contest, tops: tuple[int, ...] = (1, 2, 3)) -> pd.DataFrame:
    """The protocol of Tsigos et al. (2024) on the first rows of a contest, see `evaluation.attack`.

    Returns
    -------
    method, video_id, top, sufficiency, kept, passes, and stability (of the map, the same for each
    top).
    """
    study, numbers = contest.study, contest.study.profile.comparison
    few = contest.rows.head(numbers.attacked)
    settings = AttackSettings(samples=numbers.attack_samples, iterations=numbers.attack_steps)
    code = code_hash(*CODE, "evaluation.attack", "experiments.benchmark.robustness")
    key = _key(contest, few, attack=str(settings), tops=tops, long=numbers.passes, code=code)

    def compute(folder: Path) -> None:
        network = network_of(study, contest.detector)
        probabilities = probabilities_of(study, contest.detector)
        inputs = study.inputs(contest.detector, few)
        maps = {name: found.maps.values[: len(few)] for name, found in contest.maps().items()}
        study.progress(f"{contest.detector}: attacks on {len(few)} frames")
        table = attack_scores(probabilities, inputs, maps, settings, tops, study.seed)
        for name in contest.names:
            study.progress(f"{contest.detector}: stability of {name}")
            draw = partial(_draw, network, name, contest)
            plain = draw(inputs)
            steady = stability(draw, probabilities, inputs, plain, settings, seed=study.seed)
            own = table.method == name
            table.loc[own, "stability"] = steady[table.item[own]]
        table["video_id"] = few.video_id.to_numpy()[table.item]
        table.to_parquet(folder / "scores.parquet")

    folder = study.stage(f"attack-{contest.detector}", key, compute)
    return pd.read_parquet(folder / "scores.parquet")


def _draw(network: Network, name: str, contest: Contest, frames: torch.Tensor) -> np.ndarray:
    passes = contest.study.profile.comparison.short_passes
    seed, value = contest.study.seed, contest.values[name]
    return draw_maps(name, network, frames, None, passes, seed, value)


def attacks_table(scores: pd.DataFrame) -> pd.DataFrame:
    """Means of `attacks` by method, most sufficient first.

    Returns
    -------
    method, sufficiency and kept for each number of attacked segments, stability.
    """
    wide = scores.pivot_table(index="method", columns="top", values=["sufficiency", "kept"])
    wide.columns = [f"{measure} {top}" for measure, top in wide.columns]
    wide["stability"] = scores.groupby("method").stability.mean()
    most = next(c for c in reversed(wide.columns) if c.startswith("sufficiency"))
    return wide.sort_values(most, ascending=False).reset_index()


def sanity(contest: Contest) -> pd.DataFrame:
    """Likeness of each method's maps with those of randomised networks, see `sanity_checks`.

    Returns
    -------
    detector, method, stage, item, rank, ssim.
    """
    study, numbers = contest.study, contest.study.profile.comparison
    few = contest.rows.head(numbers.sanity)
    training = study.frames("train", contest.detector)
    training = training.sample(min(TRAINING, len(training)), random_state=study.seed)
    code = code_hash(
        *CODE, "bottleneck", "evaluation.randomisation", "experiments.benchmark.robustness"
    )
    key = _key(contest, few, training=len(training), code=code)

    def compute(folder: Path) -> None:
        table = sanity_checks(
            network_of(study, contest.detector),
            contest.names,
            study.inputs(contest.detector, few),
            study.inputs(contest.detector, training),
            torch.from_numpy(training.label.to_numpy()),
            numbers.short_passes,
            study.seed,
            contest.values,
            lambda line: study.progress(f"{contest.detector}: {line}"),
        )
        table.assign(detector=contest.detector).to_parquet(folder / "checks.parquet")

    folder = study.stage(f"sanity-{contest.detector}", key, compute)
    return pd.read_parquet(folder / "checks.parquet")


def sanity_table(checks: pd.DataFrame) -> pd.DataFrame:
    """`sanity.marked` by detector: which methods show much the same map for a random network."""
    parts = [
        marked(part).assign(detector=name) for name, part in checks.groupby("detector", sort=False)
    ]
    return pd.concat(parts, ignore_index=True)
