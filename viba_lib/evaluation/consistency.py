"""How steady maps are along a clip: Table 3, Eq. (3) and (4) of the paper."""

from itertools import pairwise

import numpy as np

from viba_lib.errors import VibaError


def _masks(masks: np.ndarray) -> np.ndarray:
    found = np.asarray(masks)
    if found.ndim != 3 or not len(found):
        raise VibaError(f"masks have shape {found.shape}; expected (T, H, W) with T of 1 or more")
    return found.astype(bool)


def highlight(relevance: np.ndarray, fraction: float = 0.5) -> np.ndarray:
    """Binary masks of the highlighted region.

    The paper does not say how a map becomes a mask. Here a pixel is highlighted where its
    relevance is more than `fraction` of the frame's maximum; a map of zeros highlights nothing.

    Parameters
    ----------
    relevance : (T, H, W) in any unit
    fraction : 0 or more, below 1

    Returns
    -------
    (T, H, W) bool.

    Raises
    ------
    VibaError
        A fraction out of range.
    """
    if not 0 <= fraction < 1:
        raise VibaError(f"fraction {fraction} must be 0 or more and below 1")
    relevance = np.asarray(relevance, float)
    return relevance > fraction * relevance.max(axis=(1, 2), keepdims=True)


def iou(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection over union of two masks (H, W); 1 where both are empty."""
    a, b = np.asarray(first, bool), np.asarray(second, bool)
    if a.shape != b.shape:
        raise VibaError(f"masks of shapes {a.shape} and {b.shape}; expected one shape")
    union = np.logical_or(a, b).sum()
    return float(np.logical_and(a, b).sum() / union) if union else 1.0


def mean_iou(masks: np.ndarray) -> float:
    """Mean IoU of consecutive frames of (T, H, W); NaN for a single frame."""
    m = _masks(masks)
    pairs = [iou(a, b) for a, b in pairwise(m)]
    return float(np.mean(pairs)) if pairs else float("nan")


def temporal_consistency(masks: np.ndarray) -> float:
    """TCS as printed, Eq. (3): the mean share of the frame that is highlighted.

    The text calls it the share of frames in which regions stay highlighted; the formula is the
    mean highlighted area. `pixel_persistence` does what the text describes.
    """
    return float(_masks(masks).mean(axis=(1, 2)).mean())


def pixel_persistence(masks: np.ndarray) -> float:
    """Mean share of frames in which a pixel stays highlighted, over pixels that ever are.

    NaN where nothing is highlighted.
    """
    m = _masks(masks)
    ever = m.any(0)
    return float(m.mean(0)[ever].mean()) if ever.any() else float("nan")


def region_persistence(masks: np.ndarray) -> float:
    """RPI, Eq. (4): mean step of the mask's centroid over the frame's diagonal; 0 is steady.

    Parameters
    ----------
    masks : (T, H, W)

    Returns
    -------
    0 to 1; steps from or to an empty mask have no centroid and are left out; NaN without a step.
    """
    m = _masks(masks)
    _, height, width = m.shape
    area = m.sum((1, 2))
    with np.errstate(invalid="ignore"):  # an empty mask has no centroid: 0 / 0 is the NaN it gets
        x = m.sum(1) @ np.arange(width) / area
        y = m.sum(2) @ np.arange(height) / area
    steps = np.hypot(np.diff(x), np.diff(y))
    steps = steps[np.isfinite(steps)]
    return float(steps.mean() / np.hypot(width, height)) if len(steps) else float("nan")
