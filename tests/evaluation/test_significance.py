"""Bootstrap intervals, McNemar's test against statsmodels, and ranks by paired tests."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.contingency_tables import mcnemar as other_mcnemar

from tests.scores import scores_of
from viba_lib.baselines.names import VIBA
from viba_lib.evaluation.detection import detection_metrics
from viba_lib.evaluation.significance import (
    INCONCLUSIVE,
    mcnemar,
    paired_tests,
    with_intervals,
)


def test_bootstrap_leaves_out_samples_without_a_value():
    frame = pd.DataFrame({"video_id": list("abcd"), "label": [0, 0, 0, 1], "p": [0.1, 0.2, 0.6, 1]})
    row = with_intervals(frame, lambda d: detection_metrics(d["label"], d["p"]), samples=100)
    assert row["auc_low"] == row["auc_high"] == 1
    measures = ["accuracy", "precision", "recall", "auc", "ece"]
    assert list(row) == [m + end for m in measures for end in ("", "_low", "_high")]


def mean(rows):
    return {"mean": float(rows["value"].mean())}


def test_bootstrap_samples_videos():
    frame = pd.DataFrame({"video_id": list("aabbcc"), "value": [0, 0, 1, 1, 2, 2.0]})
    row = with_intervals(frame, mean, samples=300)
    # Three videos of two equal frames: the mean of a sample is a multiple of a third, and the mean
    # 0 has a probability of 1/27, more than the 2.5 % that lie below the interval.
    assert row == {"mean": 1, "mean_low": 0, "mean_high": 2}
    assert with_intervals(frame, mean, samples=300) == row
    one = with_intervals(frame[frame.video_id == "b"], mean)
    assert one["mean"] == 1 and np.isnan([one["mean_low"], one["mean_high"]]).all()


def test_mcnemar_agrees_with_statsmodels():
    labels = np.array([1] * 10)
    first, second = np.array([1] * 8 + [0] * 2), np.array([1] * 3 + [0] * 6 + [1])
    found = mcnemar(labels, first, second)
    assert (found["only_first"], found["only_second"]) == (5, 1)
    wanted = other_mcnemar([[3, 5], [1, 1]], exact=True).pvalue
    assert found["p_value"] == pytest.approx(wanted)


def test_paired_tests_detect_differences_and_nothing_else():
    scores = scores_of({VIBA: 2.0, "Grad-CAM": 1.0, "RISE": 2.0})
    tests = paired_tests(scores, "ratio").set_index("method")
    assert tests.better["Grad-CAM"] == VIBA and tests.better["RISE"] == INCONCLUSIVE
    assert tests.difference["Grad-CAM"] == pytest.approx(1.0, abs=0.3)
    assert (tests.p_holm >= tests.p).all()
    # The exact two-sided p-value if twelve of twelve differences have the same sign.
    assert tests.p["Grad-CAM"] == pytest.approx(2 / 2**12)
    worse = scores.rename(columns={"ratio": "deletion"})
    assert paired_tests(worse, "deletion").set_index("method").better["Grad-CAM"] == "Grad-CAM"
