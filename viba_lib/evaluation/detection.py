"""How well a detector decides: Table 2 of the paper, with calibration."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, precision_score, recall_score, roc_auc_score

from viba_lib.errors import VibaError


def expected_calibration_error(
    probabilities: np.ndarray, labels: np.ndarray, bins: int = 15
) -> float:
    """Expected calibration error (Guo et al. 2017) over equal-width bins (lo, hi].

    Parameters
    ----------
    probabilities : (N, classes), rows sum to 1
    labels : (N,) class indices

    Returns
    -------
    Mean gap between confidence and accuracy, 0 to 1; NaN for N = 0.

    Raises
    ------
    VibaError
        Shapes that do not fit, or values that are no probabilities.
    """
    p, y = np.asarray(probabilities, float), np.asarray(labels)
    if p.ndim != 2 or len(p) != len(y):
        raise VibaError(
            f"probabilities {p.shape} and labels {y.shape}; expected (N, classes), (N,)"
        )
    if not len(p):
        return float("nan")
    if not np.isfinite(p).all() or p.min() < 0 or p.max() > 1 + 1e-6:
        raise VibaError("probabilities must lie between 0 and 1; apply a softmax to logits first")
    confidence, right = p.max(1), p.argmax(1) == y
    bin_of = np.ceil(confidence * bins).astype(int).clip(1, bins)
    gaps = [
        (bin_of == b).mean() * abs(confidence[bin_of == b].mean() - right[bin_of == b].mean())
        for b in np.unique(bin_of)
    ]
    return float(np.sum(gaps))


def detection_metrics(labels: np.ndarray, p_fake: np.ndarray) -> dict[str, float]:
    """Accuracy, precision, recall (of fake), AUC and ECE at the threshold 0.5.

    Parameters
    ----------
    labels : (N,) 0 real, 1 fake
    p_fake : (N,) probability of fake

    Returns
    -------
    NaN where a measure is not defined (AUC with one class only).
    """
    labels, p_fake = np.asarray(labels), np.asarray(p_fake, float)
    if not len(labels):
        return dict.fromkeys(("accuracy", "precision", "recall", "auc", "ece"), float("nan"))
    decided = (p_fake > 0.5).astype(int)
    both = len(np.unique(labels)) == 2
    return {
        "accuracy": float(accuracy_score(labels, decided)),
        "precision": float(precision_score(labels, decided, zero_division=0)),
        "recall": float(recall_score(labels, decided, zero_division=0)),
        "auc": float(roc_auc_score(labels, p_fake)) if both else float("nan"),
        "ece": expected_calibration_error(np.c_[1 - p_fake, p_fake], labels),
    }


def bootstrap_interval(
    frame: pd.DataFrame,
    statistic: Callable[[pd.DataFrame], float],
    groups: str = "video_id",
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile interval of a statistic by a bootstrap over groups.

    Frames of one video are alike, so videos are drawn, not frames.

    Returns
    -------
    (low, high); NaN where fewer than two groups are there.
    """
    rng = np.random.default_rng(seed)
    parts = [part for _, part in frame.groupby(groups, sort=True)]
    if len(parts) < 2:
        return float("nan"), float("nan")
    values = []
    for _ in range(draws):
        chosen = rng.integers(len(parts), size=len(parts))
        values.append(statistic(pd.concat([parts[i] for i in chosen])))
    found = np.array(values, float)
    found = found[np.isfinite(found)]
    if not len(found):
        return float("nan"), float("nan")
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
