"""Relevance in all parts of a face, relative to the frame (`15_paper_and_run`)."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from viba_lib.experiments.common import ExplainedVideo
from viba_lib.experiments.region_claims import part_masks

PARTS = ("forehead", "eyes", "nose", "ears", "cheeks", "mouth", "chin", "edges", "outside")


def relevance_by_part(videos: Iterable[ExplainedVideo]) -> pd.DataFrame:
    """Relevance per pixel in each part, relative to the frame, of the mean map of each video.

    Returns
    -------
    video_id, label ("real" or "fake") and PARTS; 1 is the mean of the frame, NaN for a part
    without a pixel or a map without relevance.
    """
    rows = []
    for video in videos:
        relevance = video.relevance.mean(0)
        masks, mean = part_masks(video.landmarks.mean(0), len(relevance)), relevance.mean()
        known = {k: m for k, m in masks.items() if m.any() and mean > 0}
        density = {k: float(relevance[m].mean() / mean) for k, m in known.items()}
        facts = {"video_id": video.video_id, "label": video.label}
        rows.append(facts | {part: density.get(part, np.nan) for part in PARTS})
    return pd.DataFrame(rows, columns=["video_id", "label", *PARTS])
