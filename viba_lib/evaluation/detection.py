"""How well a detector decides: Table 2 of the paper, with calibration."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from viba_lib.core.errors import VibaError


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
    """Accuracy, precision, recall (of fake), AUC and ECE; decided at a probability of 0.5.

    Parameters
    ----------
    labels : (N,) 0 real, 1 fake
    p_fake : (N,) probability of fake

    Returns
    -------
    Values 0 to 1. AUC is NaN with one class only; precision is 0 where nothing is called fake,
    recall where nothing is fake; all are NaN for N = 0.
    """
    y, p = np.asarray(labels).astype(bool), np.asarray(p_fake, float)
    if not len(y):
        return dict.fromkeys(("accuracy", "precision", "recall", "auc", "ece"), float("nan"))
    # Counted here, and not by scikit-learn, whose checks of its inputs take most of a bootstrap.
    decided = p > 0.5
    hits, fakes = int((decided & y).sum()), int(y.sum())
    reals = len(y) - fakes
    above = rankdata(p)[y].sum() - fakes * (fakes + 1) / 2  # pairs in which the fake is on top
    return {
        "accuracy": float((decided == y).mean()),
        "precision": hits / max(int(decided.sum()), 1),
        "recall": hits / max(fakes, 1),
        "auc": float(above / (fakes * reals)) if fakes and reals else float("nan"),
        "ece": expected_calibration_error(np.c_[1 - p, p], y),
    }


def bootstrap_intervals(
    frame: pd.DataFrame,
    statistics: Callable[[pd.DataFrame], Mapping[str, float]],
    groups: str = "video_id",
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, tuple[float, float]]:
    """Percentile intervals of several statistics by one bootstrap over groups.

    Frames of one video are alike, so videos are drawn, not frames.

    Parameters
    ----------
    statistics : of rows of `frame`: values by name

    Returns
    -------
    (low, high) by name, over the draws in which a statistic is defined; NaN where it never is, or
    where fewer than two groups are there.
    """
    rng = np.random.default_rng(seed)
    parts = list(frame.groupby(groups, sort=True).indices.values())
    if len(parts) < 2:
        return {name: (float("nan"), float("nan")) for name in statistics(frame)}
    drawn = []
    for _ in range(draws):
        chosen = rng.integers(len(parts), size=len(parts))
        drawn.append(statistics(frame.iloc[np.concatenate([parts[i] for i in chosen])]))
    found = {}
    for name, values in pd.DataFrame(drawn).astype(float).items():
        ends = values.quantile([(1 - level) / 2, (1 + level) / 2])
        found[str(name)] = (float(ends.iloc[0]), float(ends.iloc[1]))
    return found


def bootstrap_interval(
    frame: pd.DataFrame,
    statistic: Callable[[pd.DataFrame], float],
    groups: str = "video_id",
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile interval of one statistic; see `bootstrap_intervals`."""

    def named(part: pd.DataFrame) -> dict[str, float]:
        return {"value": statistic(part)}

    return bootstrap_intervals(frame, named, groups, draws, seed, level)["value"]
