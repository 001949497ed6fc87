"""Maps of a clip computed frame by frame and jointly: the gain from temporal coupling."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.ndimage import gaussian_filter1d

from viba_lib.bottleneck import PerSampleBottleneck
from viba_lib.core.cache import Stage, Work
from viba_lib.evaluation.consistency import highlight, mean_iou, region_persistence
from viba_lib.evaluation.faithfulness import deletion_areas, insertion_areas, map_measures
from viba_lib.evaluation.significance import interval_table, means_of
from viba_lib.experiments.benchmark.maps import benchmark_rows
from viba_lib.experiments.benchmark.runs import BenchmarkRun, run_stage
from viba_lib.experiments.common import Bootstrap
from viba_lib.pipeline.study import Study

ALONE = "each frame alone"
SIGMA = 1.0  # of the smoothing along time, in frames
WEIGHT = 100.0  # of the penalty on change, see `PerSampleBottleneck`
COUPLING = ("iou", "step", "ratio", "insertion", "deletion", "bits")


def compute_joint(folder: Path, work: Work, *, videos: Sequence[str], **given: Any) -> None:
    """Scores of clips explained frame by frame, jointly and smoothed afterwards."""
    run, rows = BenchmarkRun(work=work, **given), []
    for video in videos:
        work.progress(f"{run.detector.name}: {video} frame by frame and jointly")
        clip = run.clips.consecutive(video, run.numbers["joint_frames"], run.preparation)
        inputs = run.detector.inputs(clip, None, run.detector.size)
        masks = run.detector.masks(clip, None, run.detector.size)
        for name, maps in _ways(run, inputs).items():
            scores = _scores(run, inputs, maps, masks)
            rows.append({"name": name, "video_id": video} | scores)
    pd.DataFrame(rows).to_parquet(folder / "scores.parquet")


def _ways(run: BenchmarkRun, inputs: torch.Tensor) -> Mapping[str, np.ndarray]:
    """Maps (T, S, S) of consecutive frames by each way of `joint_scores`."""
    given = (run.network.model, run.layer, run.network.statistics[run.layer])
    bottleneck = PerSampleBottleneck(*given)

    def maps(**coupling: float) -> np.ndarray:
        varied = bottleneck.varied(**{**run.bottleneck, **coupling})
        attribution = varied.attribute(inputs.to(run.work.device))
        return attribution.bits_per_pixel.float().cpu().numpy()

    alone = maps()
    smoothed = gaussian_filter1d(alone, SIGMA, axis=0, mode="nearest")
    return {
        ALONE: alone,
        f"joint, smoothed within, sigma {SIGMA:g}": maps(temporal_sigma=SIGMA),
        f"joint, change penalised, weight {WEIGHT:g}": maps(temporal_weight=WEIGHT),
        f"alone, smoothed afterwards, sigma {SIGMA:g}": smoothed,
        "one map for all": np.repeat(alone.mean(0, keepdims=True), len(alone), 0),
    }


def _scores(
    run: BenchmarkRun, inputs: torch.Tensor, maps: np.ndarray, masks: np.ndarray
) -> dict[str, float]:
    """Scores of the maps (T, S, S) of one clip, see `joint_scores`."""
    given = (run.probabilities, inputs, maps, run.numbers["steps"])
    highlighted = highlight(maps)
    return {
        "iou": mean_iou(highlighted),
        "step": region_persistence(highlighted),
        "ratio": map_measures(maps, masks).ratio.mean(),
        "insertion": insertion_areas(*given).mean(),
        "deletion": deletion_areas(*given).mean(),
        "bits": float(maps.sum((1, 2)).mean()),
    }


def joint_stage(study: Study, detector: str, videos: Sequence[str]) -> Stage:
    """Stage of `joint_scores` for some videos."""
    layer, numbers = study.layer(detector), ["joint_frames", "steps"]
    settings = {"videos": list(videos)}
    return run_stage(study, detector, "joint", compute_joint, layer, numbers, settings)


def joint_scores(study: Study, detector: str) -> pd.DataFrame:
    """Clips explained frame by frame and jointly, with two references; cached.

    Both references are temporally consistent without another run of the network. "smoothed
    afterwards" is the frame-by-frame map, smoothed along time as much as the joint one. "one map
    for all" is the mean map of the clip, shown in each frame: no map is more consistent.

    Returns
    -------
    name, video_id, iou (mean overlap of consecutive highlighted regions), step (of their centroid,
    as a fraction of the diagonal), ratio (relevance inside the mask over chance), insertion,
    deletion, bits (of a frame).
    """
    rows = benchmark_rows(study, detector, "test", study.profile.comparison.joint_clips)
    stage = joint_stage(study, detector, rows.video_id.to_list())
    return pd.read_parquet(study.get(stage) / "scores.parquet")


def joint_table(scores: pd.DataFrame, bootstrap: Bootstrap) -> pd.DataFrame:
    """`interval_table` of `joint_scores`: name, videos, and COUPLING with _low and _high."""
    return interval_table(scores, ["name"], means_of(COUPLING), bootstrap, "videos")
