"""Tables of the maps' consistency: Table 3 and its thresholds."""

import cv2
import numpy as np
import pandas as pd

from viba_lib.evaluation.consistency import (
    highlight,
    mean_iou,
    pixel_persistence,
    region_persistence,
    temporal_consistency,
)
from viba_lib.study import DETECTORS, Study
from viba_lib.tables.common import explained, with_intervals

CONSISTENCY = ("iou", "tcs", "rpi", "persistence")
PAPER_SIZE = 924  # pixels a side, section 3.4


def consistency_by_video(study: Study, detector: str, threshold: float) -> pd.DataFrame:
    """IoU, TCS, RPI and persistence of each explained test video, at the paper's 924 px."""
    frame, maps = explained(study, detector)
    rows = []
    for video_id, group in frame.groupby("video_id", sort=True):
        relevance = maps.relevance.values[group.sort_values("frame").index]
        size = (PAPER_SIZE, PAPER_SIZE)
        wide = np.stack([cv2.resize(r, size, interpolation=cv2.INTER_LINEAR) for r in relevance])
        masks = highlight(wide, threshold)
        rows.append(
            {
                "detector": detector,
                "video_id": video_id,
                "label": "fake" if group.label.iloc[0] else "real",
                "threshold": threshold,
                "iou": mean_iou(masks),
                "tcs": temporal_consistency(masks),
                "rpi": region_persistence(masks),
                "persistence": pixel_persistence(masks),
            }
        )
    return pd.DataFrame(rows)


def table_3(study: Study, threshold: float = 0.5) -> pd.DataFrame:
    """Means over videos with 95 % intervals (paper's Table 3)."""
    rows = []
    for detector in DETECTORS:
        videos = consistency_by_video(study, detector, threshold)
        for label in ("fake", "real"):
            part = videos[videos.label == label]
            row = {"name": f"{detector} {label}", "detector": detector, "label": label}
            measured = with_intervals(part, lambda v: v[list(CONSISTENCY)].mean().to_dict(), study)
            rows.append(row | {"videos": len(part)} | measured)
    return pd.DataFrame(rows)


def threshold_sweep(study: Study) -> pd.DataFrame:
    """Mean IoU, TCS and RPI over thresholds, per detector and label (chapter 09)."""
    parts = [
        consistency_by_video(study, detector, threshold)
        for detector in DETECTORS
        for threshold in (0.1, 0.3, 0.5, 0.7, 0.9)
    ]
    groups = pd.concat(parts).groupby(["detector", "label", "threshold"])
    return groups[["iou", "tcs", "rpi"]].mean().reset_index()
