"""Tables of the maps' consistency: Table 3 and its thresholds."""

from collections.abc import Sequence

import cv2
import numpy as np
import pandas as pd

from viba_lib.evaluation.consistency import (
    cuts_of,
    highlight,
    mean_iou,
    pixel_persistence,
    region_persistence,
    temporal_consistency,
)
from viba_lib.experiments.common import Bootstrap, explained, with_intervals
from viba_lib.pipeline.study import DETECTORS, Study

CONSISTENCY = ("iou", "tcs", "rpi", "persistence")
PAPER_SIZE = 924  # pixels a side, section 3.4
THRESHOLDS = (0.1, 0.3, 0.5, 0.7, 0.9)


def consistency_by_video(
    study: Study, detector: str, thresholds: Sequence[float], rule: str = "frame"
) -> pd.DataFrame:
    """IoU, TCS, RPI and persistence of each explained test video, at the paper's 924 px.

    Parameters
    ----------
    thresholds, rule : see `evaluation.consistency.highlight`

    Returns
    -------
    detector, video_id, label, threshold, frames, cuts (scenes less one), empty (share of frames
    without a highlighted pixel) and the measures; one row per video and threshold.
    """
    frame, maps = explained(study, detector)
    rows = []
    for video_id, group in frame.groupby("video_id", sort=True):
        group = group.sort_values("frame")
        cuts = cuts_of(study.clip(str(video_id)).squares[group.position])
        size = (PAPER_SIZE, PAPER_SIZE)
        relevance = maps.relevance.values[group.index]
        wide = np.stack([cv2.resize(r, size, interpolation=cv2.INTER_LINEAR) for r in relevance])
        facts = {
            "detector": detector,
            "video_id": video_id,
            "label": "fake" if group.label.iloc[0] else "real",
            "frames": len(group),
            "cuts": len(cuts),
        }
        for threshold in thresholds:
            masks = highlight(wide, threshold, rule)
            rows.append(facts | {"threshold": threshold} | _measures(masks, cuts))
    return pd.DataFrame(rows)


def _measures(masks: np.ndarray, cuts: Sequence[int]) -> dict[str, float]:
    return {
        "empty": float((~masks.any((1, 2))).mean()),
        "iou": mean_iou(masks, cuts),
        "tcs": temporal_consistency(masks),
        "rpi": region_persistence(masks, cuts),
        "persistence": pixel_persistence(masks, cuts),
    }


def table_3(study: Study, threshold: float = 0.5, rule: str = "frame") -> pd.DataFrame:
    """Means over videos with 95 % intervals (paper's Table 3)."""
    rows = []
    for detector in DETECTORS:
        videos = consistency_by_video(study, detector, [threshold], rule)
        for label in ("fake", "real"):
            part = videos[videos.label == label]
            row: dict[str, object] = {"name": f"{detector} {label}", "detector": detector}
            row |= {"label": label}
            row |= {"videos": len(part), "frames": int(part.frames.sum())}
            row |= {"cuts": int(part.cuts.sum()), "empty": float(part["empty"].mean())}
            measured = with_intervals(
                part, lambda v: v[list(CONSISTENCY)].mean().to_dict(), Bootstrap.of(study)
            )
            rows.append(row | measured)
    return pd.DataFrame(rows)


def real_less_fake(study: Study, threshold: float = 0.5, rule: str = "frame") -> pd.DataFrame:
    """How much steadier maps of real videos are: the paper's claim, with 95 % intervals.

    Returns
    -------
    detector and each measure's mean over real less that over fake videos, with _low and _high.
    """

    def less(videos: pd.DataFrame) -> dict[str, float]:
        means = videos.groupby("label")[list(CONSISTENCY)].mean().reindex(["real", "fake"])
        return (means.loc["real"] - means.loc["fake"]).to_dict()

    rows = []
    for detector in DETECTORS:
        videos = consistency_by_video(study, detector, [threshold], rule)
        row = {"name": f"{detector}: real less fake", "detector": detector}
        rows.append(row | with_intervals(videos, less, Bootstrap.of(study)))
    return pd.DataFrame(rows)


def threshold_sweep(study: Study, rule: str = "frame") -> pd.DataFrame:
    """Mean IoU, TCS, RPI and persistence over thresholds, per detector and label (chapter 09)."""
    parts = [consistency_by_video(study, name, THRESHOLDS, rule) for name in DETECTORS]
    groups = pd.concat(parts).groupby(["detector", "label", "threshold"])
    return groups[list(CONSISTENCY)].mean().reset_index()
