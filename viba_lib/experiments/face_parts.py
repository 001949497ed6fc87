"""Relevance in parts of the face that are smaller than the paper's regions (chapter 11)."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from viba_lib.evaluation.agreement import region_masks
from viba_lib.experiments.common import ExplainedVideo

PARTS = ("forehead", "eyes", "nose", "cheeks", "ears", "mouth", "chin", "edges", "outside")
EYE, EAR = 1.6, 0.15  # scale of an eye's outline; width of an ear, in widths of the face


def part_masks(landmarks: np.ndarray, size: int) -> dict[str, np.ndarray]:
    """Masks of parts of the face, from 68 landmarks.

    The paper names parts and draws no borders; these are ours. The 68 points contain neither ears
    nor hair: ears are strips beside the face between eyes and mouth, and the forehead is the upper
    region of the face above the brows.

    Parameters
    ----------
    landmarks : (68, 2) in units of the crop, 0 to 1
    size : side of the masks in pixels

    Returns
    -------
    Masks (size, size) bool by part; a part without a pixel is possible.
    """
    p, regions = np.asarray(landmarks, float), region_masks(landmarks, size)
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    eyes = _around(p[36:42], x, y) | _around(p[42:48], x, y)
    nose = _around(p[27:36], x, y, 1.0) & ~regions["L"]
    left, right = p[:3, 0].min(), p[14:17, 0].max()
    width, high, low = EAR * (right - left), p[36:48, 1].mean(), p[48:68, 1].mean()
    beside = ((x < left) & (x > left - width)) | ((x > right) & (x < right + width))
    return {
        "forehead": regions["B"] & (y < p[17:27, 1].mean()) & ~eyes,
        "eyes": eyes,
        "nose": nose,
        "cheeks": regions["N"] & ~nose & ~eyes,
        "ears": beside & (y > high) & (y < low),
        "mouth": regions["L"],
        "chin": regions["C"],
        "edges": regions["E"],
        "outside": regions["O"],
    }


def _around(points: np.ndarray, x: np.ndarray, y: np.ndarray, scale: float = EYE) -> np.ndarray:
    """The ellipse in the box around points, scaled."""
    middle = (points.min(0) + points.max(0)) / 2
    half = np.maximum(scale * np.ptp(points, axis=0) / 2, 1e-6)
    return np.asarray(((x - middle[0]) / half[0]) ** 2 + ((y - middle[1]) / half[1]) ** 2 <= 1)


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
        facts = {"video_id": video.video_id, "label": "fake" if video.fake else "real"}
        rows.append(facts | {part: density.get(part, np.nan) for part in PARTS})
    return pd.DataFrame(rows, columns=["video_id", "label", *PARTS])
