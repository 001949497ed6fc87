"""Bootstrap intervals, and McNemar's test against statsmodels."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.contingency_tables import mcnemar as other_mcnemar

from viba_lib.evaluation.detection import detection_metrics
from viba_lib.evaluation.significance import bootstrap_intervals, mcnemar


def test_bootstrap_leaves_out_samples_without_a_value():
    frame = pd.DataFrame({"video_id": list("abcd"), "label": [0, 0, 0, 1], "p": [0.1, 0.2, 0.6, 1]})
    found = bootstrap_intervals(frame, lambda d: detection_metrics(d.label, d.p), draws=100)
    assert found["auc"] == (1, 1)
    assert set(found) == {"accuracy", "precision", "recall", "auc", "ece"}


def mean(rows):
    return {"mean": float(rows.value.mean())}


def test_bootstrap_samples_videos():
    frame = pd.DataFrame({"video_id": list("aabbcc"), "value": [0, 0, 1, 1, 2, 2.0]})
    low, high = bootstrap_intervals(frame, mean, draws=300)["mean"]
    # Three videos of two equal frames: the mean of a sample is a multiple of a third, and the mean
    # 0 has a probability of 1/27, more than the 2.5 % that lie below the interval.
    assert (low, high) == (0, 2)
    assert bootstrap_intervals(frame, mean, draws=300)["mean"] == (low, high)
    one = frame[frame.video_id == "a"]
    assert np.isnan(bootstrap_intervals(one, mean)["mean"]).all()


def test_mcnemar_agrees_with_statsmodels():
    labels = np.array([1] * 10)
    first, second = np.array([1] * 8 + [0] * 2), np.array([1] * 3 + [0] * 6 + [1])
    found = mcnemar(labels, first, second)
    assert (found["only_first"], found["only_second"]) == (5, 1)
    wanted = other_mcnemar([[3, 5], [1, 1]], exact=True).pvalue
    assert found["p_value"] == pytest.approx(wanted)
