"""Measures of detection against hand-worked cases, scikit-learn and torchmetrics."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, precision_score, recall_score, roc_auc_score
from torchmetrics.functional.classification import multiclass_calibration_error

from viba_lib.core.errors import VibaError
from viba_lib.evaluation import expected_calibration_error
from viba_lib.evaluation.detection import detection_metrics


def test_ece_by_hand():
    p = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]])
    # Bin (0.867, 0.933]: confidence 0.9, half right; bin (0.533, 0.6]: confidence 0.6, right.
    wanted = 2 / 3 * abs(0.9 - 0.5) + 1 / 3 * abs(0.6 - 1.0)
    assert expected_calibration_error(p, np.array([0, 1, 1])) == pytest.approx(wanted)
    with pytest.raises(VibaError, match="softmax"):
        expected_calibration_error(np.array([[3.0, -2.0]]), np.array([0]))


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=1, max_size=30))
def test_ece_bounds(rows):
    p = np.array([(1 - a, a) for a, _ in rows])
    assert 0 <= expected_calibration_error(p, np.array([b for _, b in rows])) <= 1


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1)), min_size=1, max_size=30))
def test_ece_is_torchmetrics(rows):
    # In between the edges of bins, which lie at multiples of 1/15: single precision rounds there.
    p = np.array([(1 - a, a) for a in ((k + 0.37) / 1001.3 for k, _ in rows)])
    y = np.array([b for _, b in rows])
    wanted = multiclass_calibration_error(torch.from_numpy(p), torch.from_numpy(y), 2, n_bins=15)
    assert expected_calibration_error(p, y) == pytest.approx(float(wanted), abs=1e-5)


def test_detection_with_one_class_has_no_auc():
    found = detection_metrics(np.array([1, 1]), np.array([0.2, 0.9]))
    assert np.isnan(found["auc"]) and found["recall"] == 0.5


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=1, max_size=30))
def test_detection_is_scikit_learns(rows):
    p, y = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    ours, decided = detection_metrics(y, p), p > 0.5
    assert ours["accuracy"] == pytest.approx(accuracy_score(y, decided))
    assert ours["precision"] == pytest.approx(precision_score(y, decided, zero_division=0))
    assert ours["recall"] == pytest.approx(recall_score(y, decided, zero_division=0))
    if len(set(y)) == 2:
        assert ours["auc"] == pytest.approx(roc_auc_score(y, p))
