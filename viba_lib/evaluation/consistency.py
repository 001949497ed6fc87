"""Temporal consistency of maps: Table 3, Eq. (3) and (4) of the paper.

The paper leaves some cases open. Here, two empty masks overlap fully, because nothing was
highlighted twice. An empty mask has no centroid, so steps from or to it do not count. A single
frame has no step, and measures of steps are NaN. After a cut another scene begins, so steps over it
do not count.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from viba_lib.core.errors import VibaError


def _masks(masks: np.ndarray) -> np.ndarray:
    found = np.asarray(masks)
    if found.ndim != 3 or not len(found):
        raise VibaError(f"masks have shape {found.shape}; expected (T, H, W) with T of 1 or more")
    return found.astype(bool)


# Base of the threshold, because the paper does not say how a map becomes a mask.
MASK_RULES = {
    "frame": "of the frame's strongest pixel",
    "clip": "of the clip's strongest pixel, so that weak frames may highlight nothing",
    "area": "of the pixels, the weakest, that are left out; ties are left out with them",
}


def highlight(relevance: np.ndarray, fraction: float = 0.5, rule: str = "frame") -> np.ndarray:
    """Binary masks of the highlighted region.

    A pixel is highlighted if its relevance is more than `fraction` of the base that `rule` names. A
    map of zeros highlights nothing.

    Parameters
    ----------
    relevance : (T, H, W) in any unit
    fraction : 0 or more, below 1
    rule : one of MASK_RULES

    Returns
    -------
    (T, H, W) bool.

    Raises
    ------
    VibaError
        A fraction out of range, or an unknown rule.
    """
    if not 0 <= fraction < 1:
        raise VibaError(f"fraction {fraction} must be 0 or more and below 1")
    if rule not in MASK_RULES:
        raise VibaError(f"rule {rule!r} is not known; choose one of {', '.join(MASK_RULES)}")
    relevance = np.asarray(relevance, float)
    if rule == "area":
        limit = np.quantile(relevance, fraction, axis=(1, 2), keepdims=True)
        return np.asarray(relevance > np.maximum(limit, 0))
    top = relevance.max(axis=(1, 2) if rule == "frame" else None, keepdims=True)
    return np.asarray(relevance > fraction * top)


def iou(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection over union of two masks (H, W); 1 if both are empty."""
    a, b = np.asarray(first, bool), np.asarray(second, bool)
    if a.shape != b.shape:
        raise VibaError(f"masks of shapes {a.shape} and {b.shape}; expected one shape")
    union = np.logical_or(a, b).sum()
    return float(np.logical_and(a, b).sum() / union) if union else 1.0


def cuts_of(squares: np.ndarray) -> list[int]:
    """Cuts: frames in which the square of the face does not touch the one before.

    Parameters
    ----------
    squares : (T, 3) centre x, centre y and side of the face in each frame, in pixels

    Returns
    -------
    Indices of the frames that begin a new scene, 1 to T - 1.
    """
    squares = np.asarray(squares, float)
    apart = np.abs(np.diff(squares[:, :2], axis=0)).max(1)
    reach = (squares[1:, 2] + squares[:-1, 2]) / 2
    return [int(i) + 1 for i in np.flatnonzero(apart >= reach)]


def _scenes(masks: np.ndarray, cuts: Sequence[int]) -> list[np.ndarray]:
    """Masks of each scene of two frames or more; the others have no step."""
    m = _masks(masks)
    if wrong := [cut for cut in cuts if not 0 < cut < len(m)]:
        raise VibaError(f"cuts {wrong} are no frames of 1 to {len(m) - 1}; expected where a scene "
                        "begins, counted from 0")  # fmt: skip
    return [part for part in np.split(m, sorted(set(cuts))) if len(part) > 1]


def mean_iou(masks: np.ndarray, cuts: Sequence[int] = ()) -> float:
    """Mean IoU of consecutive frames of (T, H, W); NaN without a step.

    Parameters
    ----------
    cuts : frames that begin a new scene; steps over them do not count
    """
    pairs = [iou(a, b) for scene in _scenes(masks, cuts) for a, b in pairwise(scene)]
    return float(np.mean(pairs)) if pairs else float("nan")


def temporal_consistency(masks: np.ndarray) -> float:
    """TCS as printed, Eq. (3) of the paper: the mean fraction of the frame that is highlighted.

    The text calls it the fraction of frames in which regions stay highlighted, but the formula is
    the mean highlighted area. `pixel_persistence` computes what the text describes.
    """
    return float(_masks(masks).mean(axis=(1, 2)).mean())


def pixel_persistence(masks: np.ndarray, cuts: Sequence[int] = ()) -> float:
    """Mean fraction of frames in which a pixel stays highlighted, over pixels that ever are.

    This is what the paper's text describes as TCS. Scenes count by their pixels. NaN if none has
    two frames, or if nothing is highlighted.
    """
    shares = [scene.mean(0)[scene.any(0)] for scene in _scenes(masks, cuts)]
    found = np.concatenate(shares) if shares else np.zeros(0)
    return float(found.mean()) if len(found) else float("nan")


def region_persistence(masks: np.ndarray, cuts: Sequence[int] = ()) -> float:
    """RPI, Eq. (4) of the paper: mean step of the centroid over the diagonal; 0 is constant.

    Parameters
    ----------
    masks : (T, H, W)
    cuts : frames that begin a new scene; steps over them do not count

    Returns
    -------
    0 to 1; steps from or to an empty mask have no centroid and are left out; NaN without a step.
    """
    found = [_steps(scene) for scene in _scenes(masks, cuts)]
    steps = np.concatenate(found) if found else np.zeros(0)
    diagonal = np.hypot(*np.shape(masks)[1:])
    return float(steps.mean() / diagonal) if len(steps) else float("nan")


def _steps(scene: np.ndarray) -> np.ndarray:
    """Steps of the centroid in pixels, those that have two ends."""
    _, height, width = scene.shape
    area = scene.sum((1, 2))
    with np.errstate(invalid="ignore"):  # an empty mask has no centroid: 0 / 0 is the NaN it gets
        x = scene.sum(1) @ np.arange(width) / area
        y = scene.sum(2) @ np.arange(height) / area
    steps = np.hypot(np.diff(x), np.diff(y))
    return np.asarray(steps[np.isfinite(steps)])
