"""Tables of temporal consistency: Table 3 and its thresholds."""

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
import pandas as pd

from viba_lib.evaluation import consistency as measures
from viba_lib.evaluation.significance import Columns, interval_table, mean_of, means_of
from viba_lib.experiments import common
from viba_lib.models.detectors import DETECTORS
from viba_lib.pipeline.study import Study

CONSISTENCY = ("iou", "tcs", "rpi", "persistence")
PAPER_SIZE = 924  # pixels a side, section 3.4
THRESHOLDS = (0.1, 0.3, 0.5, 0.7, 0.9)


def consistency_by_video(
    videos: Iterable[common.ExplainedVideo], thresholds: Sequence[float], rule: str = "frame"
) -> pd.DataFrame:
    """IoU, TCS, RPI and persistence of explained videos, at the paper's 924 px.

    Parameters
    ----------
    thresholds, rule : see `evaluation.consistency.highlight`

    Returns
    -------
    video_id, label, frames, cuts (scenes minus one), threshold, empty (share of frames without a
    highlighted pixel) and the measures; one row per video and threshold.
    """
    rows = []
    for video in videos:
        cuts, size = measures.cuts_of(video.squares), (PAPER_SIZE, PAPER_SIZE)
        relevance = np.stack(
            [cv2.resize(r, size, interpolation=cv2.INTER_LINEAR) for r in video.relevance]
        )
        label = "fake" if video.fake else "real"
        facts = (video.video_id, label, len(video.frames), len(cuts))
        for threshold in thresholds:
            masks = measures.highlight(relevance, threshold, rule)
            empty = float((~masks.any((1, 2))).mean())
            iou, tcs = measures.mean_iou(masks, cuts), measures.temporal_consistency(masks)
            rpi = measures.region_persistence(masks, cuts)
            persistence = measures.pixel_persistence(masks, cuts)
            rows.append((*facts, threshold, empty, iou, tcs, rpi, persistence))
    columns = ["video_id", "label", "frames", "cuts", "threshold", "empty", *CONSISTENCY]
    return pd.DataFrame(rows, columns=columns)


def consistency(study: Study, thresholds: Sequence[float], rule: str = "frame") -> pd.DataFrame:
    """`consistency_by_video` for the explained videos of each `detector`, fakes first."""
    tables = {
        name: consistency_by_video(common.explained_videos(study, name), thresholds, rule)
        for name in DETECTORS
    }
    return common.stacked({k: v.sort_values("label", kind="stable") for k, v in tables.items()})


def table_3(videos: pd.DataFrame, bootstrap: common.Bootstrap) -> pd.DataFrame:
    """Means over videos with 95 % intervals (paper's Table 3).

    Parameters
    ----------
    videos : `consistency` at one threshold
    """
    by = ["detector", "label"]
    sums = {"frames": ("frames", "sum"), "cuts": ("cuts", "sum"), "empty": ("empty", "mean")}
    facts = videos.groupby(by).agg(**sums).reset_index()
    table = interval_table(videos, by, means_of(CONSISTENCY), bootstrap, count="videos")
    return table.merge(facts, on=by)


def real_minus_fake(videos: pd.DataFrame, bootstrap: common.Bootstrap) -> pd.DataFrame:
    """How much more consistent maps of real videos are: the paper's claim, with 95 % intervals.

    Parameters
    ----------
    videos : `consistency` at one threshold

    Returns
    -------
    detector and each measure's mean over real minus that over fake videos, with _low and _high.
    """

    def difference(rows: Columns) -> dict[str, float]:
        real, fake = (rows["label"] == label for label in ("real", "fake"))
        return {m: mean_of(rows[m][real]) - mean_of(rows[m][fake]) for m in CONSISTENCY}

    return interval_table(videos, ["detector"], difference, bootstrap, count="videos")


def threshold_sweep(videos: pd.DataFrame) -> pd.DataFrame:
    """Mean IoU, TCS, RPI and persistence per detector, label and threshold, of `consistency`."""
    groups = videos.groupby(["detector", "label", "threshold"])
    return groups[list(CONSISTENCY)].mean().reset_index()
