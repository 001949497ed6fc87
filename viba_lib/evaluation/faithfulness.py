"""Localisation of planted artefacts, and faithfulness of maps to the decision."""

from collections.abc import Callable

import cv2
import numpy as np
import pandas as pd
import torch

MIN_SPAN = 0.1  # of a probability; curves that are scaled by less would amplify noise
Probabilities = Callable[[torch.Tensor], np.ndarray]  # (N, 3, S, S) -> (N, classes)


def mass_inside(relevance: np.ndarray, mask: np.ndarray) -> float:
    """Relevance mass accuracy: fraction of relevance (H, W) inside a mask (H, W) in [0, 1].

    NaN for an empty map or mask.
    """
    total = float(np.sum(relevance))
    known = total > 0 and np.any(mask)
    return float(np.sum(relevance * mask) / total) if known else float("nan")


def mass_ratio(relevance: np.ndarray, mask: np.ndarray) -> float:
    """Fraction of relevance inside the mask over the mask's fraction of the frame; chance is 1."""
    area = float(np.mean(mask))
    return mass_inside(relevance, mask) / area if area > 0 else float("nan")


def inside_of(mask: np.ndarray) -> np.ndarray:
    """Pixels of a soft mask (H, W) that count as inside: above 0, and above half its maximum."""
    return np.asarray((mask > 0.5 * mask.max()) & (mask > 0))


def pointing_game(relevance: np.ndarray, mask: np.ndarray) -> bool:
    """Whether the strongest pixel of a map (H, W) lies inside the mask, see `inside_of`."""
    top = np.unravel_index(int(np.argmax(relevance)), relevance.shape)
    return bool(inside_of(mask)[top])


def rank_accuracy(relevance: np.ndarray, mask: np.ndarray) -> float:
    """Relevance rank accuracy: share inside the mask of the n strongest pixels, n = its pixels.

    Arras et al. 2022. Of pixels with the same relevance each counts as likely; NaN for an empty
    mask.
    """
    inside = inside_of(mask).ravel()
    count = int(inside.sum())
    if not count:
        return float("nan")
    values = np.ravel(relevance)
    limit = np.partition(values, -count)[-count]
    above, tied = values > limit, values == limit
    left = (count - above.sum()) / max(int(tied.sum()), 1)
    return float((inside[above].sum() + left * inside[tied].sum()) / count)


def precision_recall_area(relevance: np.ndarray, mask: np.ndarray) -> float:
    """Area under the precision-recall curve of pixels (average precision); NaN for an empty mask.

    A random map has the mask's fraction of the frame.
    """
    # Here: most processes that measure maps need no other part of scikit-learn.
    from sklearn.metrics import average_precision_score

    inside = inside_of(mask).ravel()
    if not inside.any():
        return float("nan")
    # Sums of shares can pass 1 by a rounding.
    return min(1.0, float(average_precision_score(inside, np.ravel(relevance))))


def entropy(relevance: np.ndarray) -> float:
    """Entropy of a map (H, W) over pixels, in bits; low is focused."""
    positive = np.clip(relevance, 0, None).ravel()
    share = positive / max(float(positive.sum()), 1e-12)
    share = share[share > 0]
    return float(-(share * np.log2(share)).sum())


def map_measures(relevance: np.ndarray, masks: np.ndarray) -> pd.DataFrame:
    """Measures of maps (T, H, W), also against planted masks (T, H, W) in [0, 1].

    Returns
    -------
    One row per frame: bits (sum of the map), entropy (of the map over pixels, in bits), inside
    (fraction of relevance inside the mask), area (the mask's fraction of the frame), ratio
    (inside / area, chance is 1) and hit (1 if the strongest pixel is inside the mask, else 0). For
    an empty mask, inside, ratio and hit are NaN.
    """
    pairs = list(zip(relevance, masks, strict=True))
    return pd.DataFrame(
        {
            "bits": relevance.sum((1, 2)),
            "entropy": [entropy(one) for one in relevance],
            "inside": [mass_inside(*pair) for pair in pairs],
            "area": [float(mask.mean()) for mask in masks],
            "ratio": [mass_ratio(*pair) for pair in pairs],
            "hit": [float(pointing_game(*pair)) if pair[1].any() else np.nan for pair in pairs],
        }
    )


def _ranks(values: np.ndarray) -> np.ndarray:
    """Rank of each pixel, strongest first, from 0."""
    order = np.argsort(-np.ravel(values), kind="stable")
    rank = np.empty(order.size, int)
    rank[order] = np.arange(order.size)
    return rank.reshape(values.shape)


def _tiles(shape: tuple[int, ...], tile: int) -> np.ndarray:
    """Number of the tile of each pixel (H, W), from 0."""
    rows, columns = (np.arange(n) // tile for n in shape)
    return np.asarray(rows[:, None] * (columns[-1] + 1) + columns)


def _curve(
    probabilities: Probabilities,
    frame: torch.Tensor,
    ranks: np.ndarray,
    replacement: torch.Tensor,
    steps: int,
) -> np.ndarray:
    """Probability of the frame's predicted class while its pixels are replaced, rank 0 first.

    The first of the steps + 1 values is of the frame (3, S, S), the last of the replacement.
    """
    rank, size = torch.from_numpy(ranks), ranks.size
    left = torch.stack([rank >= size * step // steps for step in range(steps + 1)])[:, None]
    found = probabilities(torch.where(left, frame[None], replacement[None]))
    return np.asarray(found[:, found[0].argmax()], float)


def deletion_areas(
    probabilities: Probabilities, inputs: torch.Tensor, relevance: np.ndarray, steps: int = 10
) -> np.ndarray:
    """Area under the deletion curve of each input (Petsiuk et al. 2018, RISE).

    The most relevant pixels are set to zero first, an equal share in each step. The curve is the
    probability of the class that is predicted for the original input. A small area means that the
    map contains the pixels which the decision depends on.

    Parameters
    ----------
    probabilities : of a batch (N, 3, S, S): (N, classes)
    inputs : (T, 3, S, S)
    relevance : (T, S, S)
    steps : number of equal shares in which pixels are removed; the last leaves none

    Returns
    -------
    (T,) areas, 0 to 1.
    """
    areas = []
    for frame, values in zip(inputs, relevance, strict=True):
        curve = _curve(probabilities, frame, _ranks(values), torch.zeros_like(frame), steps)
        areas.append(float(np.trapezoid(curve, dx=1 / steps)))
    return np.array(areas)


def insertion_areas(
    probabilities: Probabilities,
    inputs: torch.Tensor,
    relevance: np.ndarray,
    steps: int = 10,
    sigma: float = 0.05,
) -> np.ndarray:
    """Area under the insertion curve of each input (Petsiuk et al. 2018, RISE).

    The most relevant pixels are inserted into a blurred input first. The curve is the probability
    of the class that is predicted for the original input. A large area means that the map contains
    pixels which are sufficient for the decision.

    Parameters
    ----------
    probabilities, inputs, relevance, steps : see `deletion_areas`
    sigma : of the blur, as a fraction of the side

    Returns
    -------
    (T,) areas, 0 to 1.
    """
    areas = []
    for frame, values in zip(inputs, relevance, strict=True):
        # Reversed in time, a curve that loses the weakest pixels first gains the strongest first.
        ranks = values.size - 1 - _ranks(values)
        curve = _curve(probabilities, frame, ranks, _blurred(frame, sigma), steps)
        areas.append(float(np.trapezoid(curve, dx=1 / steps)))
    return np.array(areas)


def _blurred(frame: torch.Tensor, sigma: float) -> torch.Tensor:
    image = frame.permute(1, 2, 0).float().numpy()
    blurred = cv2.GaussianBlur(image, (0, 0), sigma * image.shape[0])
    return torch.from_numpy(blurred).permute(2, 0, 1)


def _tile_ranks(values: np.ndarray, tile: int) -> np.ndarray:
    """Ranks of pixels by the mean relevance of their tile; pixels of a tile are consecutive."""
    number = _tiles(values.shape, tile)
    means = np.bincount(number.ravel(), np.ravel(values)) / np.bincount(number.ravel())
    return _ranks(-_ranks(means)[number])


def degradation_scores(
    probabilities: Probabilities,
    inputs: torch.Tensor,
    relevance: np.ndarray,
    tile: int = 14,
    steps: int = 10,
) -> np.ndarray:
    """Degradation score of each input (Schulz et al. 2020, the paper of IBA).

    Tiles are ranked by mean relevance and replaced by the mean colour of the input, once the most
    and once the least relevant first. The score is the mean gap of the two curves, each scaled to 1
    for the whole input and 0 for the one without content.

    Parameters
    ----------
    probabilities, inputs, relevance : see `deletion_areas`
    tile : side of a tile in pixels, 8 or 14 in the paper of IBA
    steps : points of a curve

    Returns
    -------
    (T,) scores, about -1 to 1, 0 for a random map; NaN if the class keeps its probability, up to
    0.1, without any content, because the scale is undefined then.
    """
    scores = []
    for frame, values in zip(inputs, relevance, strict=True):
        flat = frame.mean((1, 2), keepdim=True).expand_as(frame)
        ranks = _tile_ranks(values, tile)
        most_first = _curve(probabilities, frame, ranks, flat, steps)
        least_first = _curve(probabilities, frame, ranks.size - 1 - ranks, flat, steps)
        span = most_first[0] - most_first[-1]
        gap = float(np.trapezoid(least_first - most_first, dx=1 / steps))
        scores.append(gap / span if span > MIN_SPAN else float("nan"))
    return np.array(scores)


def sensitivity_n(
    probabilities: Probabilities,
    inputs: torch.Tensor,
    relevance: np.ndarray,
    share: float = 0.1,
    draws: int = 32,
    tile: int = 14,
    seed: int = 0,
) -> np.ndarray:
    """Sensitivity-n of each input (Ancona et al. 2018), on tiles.

    Random sets of tiles are set to zero. The measure is the correlation of the relevance that they
    contain with the probability that is lost.

    Parameters
    ----------
    probabilities, inputs, relevance : see `deletion_areas`
    share : of the tiles in a set
    draws : number of sets

    Returns
    -------
    (T,) Pearson correlations; NaN if nothing varies.
    """
    rng, scores = np.random.default_rng(seed), []
    for frame, values in zip(inputs, relevance, strict=True):
        number = _tiles(values.shape, tile)
        count = int(number.max()) + 1
        contained = np.bincount(number.ravel(), np.ravel(values), minlength=count)
        chosen = np.stack([
            rng.permutation(count) < max(1, round(share * count)) for _ in range(draws)
        ])  # fmt: skip
        left = torch.from_numpy(~chosen[:, number])[:, None]
        found = probabilities(torch.cat([frame[None], frame[None] * left]))
        lost = found[0].max() - found[1:, found[0].argmax()]
        sums = chosen @ contained
        varies = np.ptp(sums) > 0 and np.ptp(lost) > 0
        scores.append(float(np.corrcoef(sums, lost)[0, 1]) if varies else float("nan"))
    return np.array(scores)
