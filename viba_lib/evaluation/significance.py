"""Tests for the paper's claims about differences."""

import numpy as np
from statsmodels.stats.contingency_tables import mcnemar as _mcnemar


def mcnemar(labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> dict[str, float]:
    """Exact McNemar test: do two sets of decisions (N,) err equally often?

    Returns
    -------
    only_first, only_second: numbers that only the one got right; p_value.
    """
    a, b = np.asarray(first) == labels, np.asarray(second) == labels
    table = [[int((a & b).sum()), int((a & ~b).sum())], [int((~a & b).sum()), int((~a & ~b).sum())]]
    result = _mcnemar(table, exact=True)
    return {
        "only_first": table[0][1],
        "only_second": table[1][0],
        "p_value": float(result.pvalue),
    }
