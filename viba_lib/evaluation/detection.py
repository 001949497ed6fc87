"""Detection performance and calibration: Table 2 of the paper."""

import numpy as np

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
        Shapes that do not fit, or values that are not probabilities.
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
    # The fraction of a bin, times the gap of its means, is the gap of its sums over all.
    gaps = np.bincount(bin_of, confidence - right)
    return float(np.abs(gaps).sum() / len(p))


def detection_metrics(labels: np.ndarray, p_fake: np.ndarray) -> dict[str, float]:
    """Accuracy, precision, recall (of fake), AUC and ECE; decided at a probability of 0.5.

    Parameters
    ----------
    labels : (N,) 0 real, 1 fake
    p_fake : (N,) probability of fake

    Returns
    -------
    Values 0 to 1. AUC is NaN with one class only. Precision is 0 if nothing is classified as fake,
    and recall if nothing is fake. All are NaN for N = 0.
    """
    y, p = np.asarray(labels).astype(bool), np.asarray(p_fake, float)
    if not len(y):
        return dict.fromkeys(("accuracy", "precision", "recall", "auc", "ece"), float("nan"))
    # Not by scikit-learn, because its input validation takes most of the time of a bootstrap.
    decided = p > 0.5
    hits, fakes = int((decided & y).sum()), int(y.sum())
    reals = len(y) - fakes
    # Number of pairs in which the fake has the higher score.
    from scipy.stats import rankdata  # it takes a second, and few commands need it

    above = rankdata(p)[y].sum() - fakes * (fakes + 1) / 2
    return {
        "accuracy": float((decided == y).mean()),
        "precision": hits / max(int(decided.sum()), 1),
        "recall": hits / max(fakes, 1),
        "auc": float(above / (fakes * reals)) if fakes and reals else float("nan"),
        "ece": expected_calibration_error(np.c_[1 - p, p], y),
    }
