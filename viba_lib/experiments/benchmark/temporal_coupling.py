"""Maps of a clip made frame by frame against maps made jointly: what coupling buys."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.ndimage import gaussian_filter1d

from viba_lib.core.cache import code_hash
from viba_lib.evaluation.consistency import highlight, mean_iou, region_persistence
from viba_lib.evaluation.faithfulness import deletion_areas, insertion_areas, mass_ratio
from viba_lib.experiments.benchmark.maps import contest_rows, probabilities_of
from viba_lib.experiments.common import Bootstrap, means_of, with_intervals
from viba_lib.pipeline.consecutive import inputs_and_masks
from viba_lib.pipeline.study import Study

ALONE = "each frame alone"
MEASURES = ("iou", "step", "ratio", "insertion", "deletion", "bits")


def joint_scores(
    study: Study, detector: str, sigma: float = 1.0, weight: float = 100.0
) -> pd.DataFrame:
    """Clips explained frame by frame and jointly, with two ways to only look steady; cached.

    "smoothed afterwards" is the frame-by-frame map smoothed along time as much as the joint one,
    without the network being asked again; "one map for all" is the mean map, shown in each frame:
    nothing is steadier.

    Parameters
    ----------
    sigma : of the smoothing along time, in frames
    weight : of the penalty on change, see `bottleneck.temporal`

    Returns
    -------
    name, video_id, iou (mean overlap of consecutive highlighted regions), step (of their centroid,
    as a share of the diagonal), ratio (relevance inside the mask over chance), insertion, deletion,
    bits (of a frame), truth (overlap of consecutive planted masks).
    """
    settings = study.profile.comparison
    videos = contest_rows(study, detector, "test", settings.joint_clips).video_id.to_list()
    bottleneck = asdict(study.profile.bottleneck)
    sizes = [settings.joint_frames, settings.steps, sigma, weight, study.seed]
    code = code_hash(
        "bottleneck",
        "evaluation",
        "experiments.benchmark.temporal_coupling",
        "pipeline.consecutive",
    )
    weights = study.weights_path(detector).parent.name
    key = {"weights": weights, "videos": videos, "settings": bottleneck, "sizes": sizes,
           "code": code}  # fmt: skip

    def compute(folder: Path) -> None:
        parts = [_of_video(study, detector, video, sigma, weight) for video in videos]
        pd.concat(parts, ignore_index=True).to_parquet(folder / "scores.parquet")

    folder = study.stage(f"joint-{detector}", key, compute)
    return pd.read_parquet(folder / "scores.parquet")


def _of_video(study: Study, detector: str, video: str, sigma: float, weight: float) -> pd.DataFrame:
    settings = study.profile.comparison
    study.progress(f"{detector}: {video} frame by frame and jointly")
    inputs, masks = inputs_and_masks(study, detector, video, settings.joint_frames)
    probabilities, rows = probabilities_of(study, detector), []
    for name, maps in ways(study, detector, inputs, sigma, weight).items():
        shown = highlight(maps)
        given = (probabilities, inputs, maps, settings.steps)
        ratios = [mass_ratio(r, m) for r, m in zip(maps, masks, strict=True)]
        rows.append({
            "name": name, "video_id": video, "iou": mean_iou(shown),
            "step": region_persistence(shown), "ratio": float(np.nanmean(ratios)),
            "insertion": insertion_areas(*given).mean(),
            "deletion": deletion_areas(*given).mean(),
            "bits": float(maps.sum((1, 2)).mean()), "truth": mean_iou(masks > 0.5 * masks.max()),
        })  # fmt: skip
    return pd.DataFrame(rows)


def ways(
    study: Study, detector: str, inputs: torch.Tensor, sigma: float, weight: float
) -> Mapping[str, np.ndarray]:
    """Maps (T, S, S) of consecutive frames by each way of `joint_scores`."""

    def maps(**settings: Any) -> np.ndarray:
        found = study.bottleneck(detector, **settings).attribute(inputs.to(study.device))
        return found.bits_per_pixel.float().cpu().numpy()

    alone = maps()
    return {
        ALONE: alone,
        f"joint, smoothed within, sigma {sigma:g}": maps(temporal_sigma=sigma),
        f"joint, change penalised, weight {weight:g}": maps(temporal_weight=weight),
        f"alone, smoothed afterwards, sigma {sigma:g}": gaussian_filter1d(
            alone, sigma, axis=0, mode="nearest"
        ),
        "one map for all": np.repeat(alone.mean(0, keepdims=True), len(alone), 0),
    }


def joint_table(scores: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Means of `joint_scores` with 95 % intervals over videos: name, videos, MEASURES."""
    rows = []
    for name, part in scores.groupby("name", sort=False):
        means = with_intervals(part, means_of(MEASURES), Bootstrap.of(study))
        rows.append({"name": name, "videos": len(part)} | means)
    return pd.DataFrame(rows)


def said(table: pd.DataFrame) -> str:
    """What coupling changed against each frame alone and against smoothing afterwards."""
    by_name = table.set_index("name")
    alone = by_name.loc[ALONE]
    within = by_name[by_name.index.str.startswith("joint, smoothed")].iloc[0]
    after = by_name[by_name.index.str.startswith("alone, smoothed")].iloc[0]
    return (
        f"the overlap of consecutive regions is {alone.iou:.2f} frame by frame, {within.iou:.2f} "
        f"coupled and {after.iou:.2f} smoothed afterwards; relevance on the artefact is "
        f"{alone.ratio:.2f}, {within.ratio:.2f} and {after.ratio:.2f} times chance; insertion "
        f"{alone.insertion:.2f}, {within.insertion:.2f} and {after.insertion:.2f}."
    )
