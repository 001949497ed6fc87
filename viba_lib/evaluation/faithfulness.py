"""Does relevance lie where the planted artefact is, and does the decision need what it marks?"""

from collections.abc import Callable

import numpy as np
import torch


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


def entropy(relevance: np.ndarray) -> float:
    """Entropy of a map (H, W) over pixels, in bits; low is focused."""
    share = np.clip(relevance, 0, None).ravel() / max(
        float(np.clip(relevance, 0, None).sum()), 1e-12
    )
    share = share[share > 0]
    return float(-(share * np.log2(share)).sum())


def deletion_areas(
    probabilities: Callable[[torch.Tensor], np.ndarray],
    inputs: torch.Tensor,
    relevance: np.ndarray,
    steps: int = 10,
) -> np.ndarray:
    """Area under the deletion curve of each input (Petsiuk et al. 2018, RISE).

    The most relevant pixels are set to zero first, an equal share in each step, and the probability
    of the class that was predicted for the whole input is followed. A small area means that the
    map found what the decision needs.

    Parameters
    ----------
    probabilities : of a batch (N, 3, S, S): (N, classes)
    inputs : (T, 3, S, S)
    relevance : (T, S, S)
    steps : shares in which pixels are taken away; the last leaves none

    Returns
    -------
    (T,) areas, 0 to 1.
    """
    areas = []
    for frame, values in zip(inputs, relevance, strict=True):
        order = np.argsort(-np.ravel(values), kind="stable")
        rank = np.empty(order.size, int)
        rank[order] = np.arange(order.size)
        gone = torch.from_numpy(rank.reshape(values.shape))
        left = torch.stack([gone >= order.size * step // steps for step in range(steps + 1)])
        found = probabilities(frame[None] * left[:, None])
        curve = found[:, found[0].argmax()]
        areas.append(float(np.trapezoid(curve, dx=1 / steps)))
    return np.array(areas)
