"""Readings of detection performance: they say what the numbers say, and no more."""

import numpy as np
import pandas as pd
import pytest

from tests.units import ALONE, BOOTSTRAP, VIDEOS
from viba_lib.experiments import detection, detection_readings


def frames(p_fake: float = 0.7, with_bottleneck: float = 0.7, turned: int = 0) -> pd.DataFrame:
    """Four right frames of each video; the bottleneck turns the first `turned` frames."""
    label = np.repeat([v.endswith("fake") for v in VIDEOS], 4).astype(int)
    after = np.where(label == 1, with_bottleneck, 1 - with_bottleneck)
    position = np.tile(range(4), len(VIDEOS))
    after = np.where(position < turned, 1 - after, after)
    method = np.where(np.repeat([int(v[1:3]) % 3 > 0 for v in VIDEOS], 4), "mouth", "edge")
    return pd.DataFrame({
        "video_id": np.repeat(VIDEOS, 4), "position": position, "label": label,
        "method": np.where(label == 1, method, ""),
        "p_fake": np.where(label == 1, p_fake, 1 - p_fake), "p_fake_bottleneck": after,
    })  # fmt: skip


def test_the_cost_of_the_bottleneck_is_said_and_judged():
    text = detection_readings.cost_text({"a": frames(), "b": frames(turned=1)}, BOOTSTRAP)
    # Not one decision of `a` changes, so that its interval has no width.
    assert "does not decide whether the accuracy of a does not change" in text
    assert "less than 2 points per frame" in text
    assert "contradicts the paper's claim that the accuracy of b does not change" in text
    assert "AUC of a per frame, the bottleneck minus none:" in text


def test_a_lost_order_is_said_beside_kept_decisions():
    some = frames(0.9, 0.9)
    rng = np.random.default_rng(0)
    some["p_fake_bottleneck"] = np.where(some.p_fake > 0.5, 0.6, 0.4)
    some["p_fake"] = np.clip(some.p_fake + rng.normal(0, 0.01, len(some)), 0, 1)
    shuffled = some.assign(p_fake_bottleneck=rng.random(len(some)))
    text = detection_readings.cost_text({"net": shuffled}, BOOTSTRAP)
    assert "It is lower for the bottleneck (p = 0.001, swap test over source clips" in text
    kept = detection_readings.cost_text({"net": some}, BOOTSTRAP)
    assert "AUC of net per frame, the bottleneck minus none: 0 (" in kept


def test_a_bottleneck_after_which_one_class_is_left_is_named():
    some = frames()
    text = detection_readings.cost_text({"net": some.assign(p_fake_bottleneck=0.2)}, BOOTSTRAP)
    assert "net calls 50% of the frames fake without it and 0% with it." in text
    assert "it decides for one class only" in text
    assert "one class only" not in detection_readings.cost_text({"net": some}, BOOTSTRAP)


def test_one_person_decides_no_claim():
    text = detection_readings.cost_text({"b": frames(turned=1)}, ALONE)
    assert "too small to test whether the accuracy of b" in text and "contradicts" not in text


def test_methods_that_are_never_found_are_named():
    some = frames()
    some.loc[some.method == "mouth", "p_fake"] = 0.2
    text = detection_readings.methods_text({"net": some}, BOOTSTRAP)
    assert "most found is edge (100% of 16 frames, videos: 4)" in text
    assert "Not one frame is found of mouth (32 frames)." in text
    assert "The bottleneck changes mouth from 0% to 100%." in text
    assert "Share called fake, edge, fakes minus their real clips: 1 (" in text
    alone = detection_readings.methods_text({"net": some}, ALONE)
    assert "Too few videos or people for a verdict: edge, mouth." in alone
    none = detection_readings.methods_text({"net": frames()}, BOOTSTRAP)
    assert "Not one frame" not in none and "The bottleneck changes no method." in none


def test_a_lower_calibration_error_is_a_side_effect_of_higher_confidence():
    text = detection_readings.calibration_text({"net": frames(0.7, 0.9)})
    assert "underconfident" in text and "side effect" in text
    assert "from 0.300 to 0.100" in text
    worse = detection_readings.calibration_text({"net": frames(0.9, 0.7)})
    assert "side effect" not in worse and "ECE is higher" in worse


def test_an_overconfident_detector_is_called_so():
    some = frames(0.9, 0.9)
    some.loc[some.position == 0, "p_fake"] = 1 - some.p_fake
    assert "overconfident on average" in detection_readings.calibration_text({"net": some})


def test_mcnemar_counts_are_said_with_their_weakness():
    text = detection_readings.mcnemar_text(detection.mcnemar_tests({"net": frames(turned=1)}))
    assert "net, frames: 24 of 96 are right only without the bottleneck and 0 only with it" in text
    assert "tend to be too small" in text


@pytest.mark.parametrize(("std", "more"), [(0.0, True), (0.4, False)])
def test_noise_is_compared_with_the_interval_over_videos(std, more):
    row = {"detector": "net", "unit": "frame", "bottleneck": True, "accuracy_std": std,
           "accuracy_low": 0.5, "accuracy_high": 0.9}  # fmt: skip
    text = detection_readings.noise_text(pd.DataFrame([row]), 4)
    assert f"a standard deviation of {std:.4f}" in text and "0.400 wide" in text
    assert ("more samples would gain little" in text) == more
