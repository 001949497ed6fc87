"""Does relevance lie where the planted artefact is?"""

import numpy as np


def mass_inside(relevance: np.ndarray, mask: np.ndarray) -> float:
    """Relevance mass accuracy: share of relevance (H, W) inside a mask (H, W) in [0, 1]."""
    total = float(np.sum(relevance))
    return float(np.sum(relevance * mask) / total) if total > 0 else float("nan")


def mass_ratio(relevance: np.ndarray, mask: np.ndarray) -> float:
    """Share of relevance inside the mask over the mask's share of the frame; chance is 1."""
    area = float(np.mean(mask))
    return mass_inside(relevance, mask) / area if area > 0 else float("nan")


def pointing_game(relevance: np.ndarray, mask: np.ndarray, threshold: float = 0.5) -> bool:
    """Whether the strongest pixel lies inside the mask (mask above `threshold` of its maximum)."""
    top = np.unravel_index(int(np.argmax(relevance)), relevance.shape)
    return bool(mask.max() > 0 and mask[top] > threshold * mask.max())
