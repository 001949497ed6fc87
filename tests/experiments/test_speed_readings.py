"""Readings of `speed`: the shape of a cost is said as it was measured."""

import pandas as pd
import pytest

from tests.units import BOOTSTRAP, VIDEOS
from viba_lib.experiments import speed_readings as s
from viba_lib.experiments.benchmark.temporal_coupling import ALONE


@pytest.mark.parametrize(
    ("seconds", "word"),
    [
        ([2.0, 3.5, 5.1, 6.3], "concave"),
        ([1.0, 1.5, 2.5, 4.5], "straight line"),
        ([1.0, 2.0, 5.0, 20.0], "convex"),
        ([1.0, 2.0, 2.5, 9.0], "is not known"),
    ],
)
def test_the_shape_of_the_cost_is_that_of_the_further_frames(seconds, word):
    text = s.growth_text(pd.DataFrame({"frames": [1, 2, 4, 8], "seconds": seconds}))
    assert word in text
    others = {"concave", "straight line", "convex", "is not known"} - {word}
    assert not any(other in text for other in others)


def test_the_cost_of_further_frames_is_listed():
    calls = pd.DataFrame({"frames": [1, 2, 4], "seconds": [2.0, 3.5, 5.1]})
    text = s.growth_text(calls)
    assert text.startswith(
        "Frames in a call and its time: 2.00 s for 1, 3.50 s for 2, 5.10 s for 4."
    )
    assert "Each further frame cost 1.50 s from 1 to 2 frames, 0.80 s from 2 to 4 frames." in text
    assert s.growth_text(calls.head(1)) == "Frames in a call and its time: 2.00 s for 1."
    assert "do not show" in s.growth_text(calls.head(2))


def test_costs_and_settings_are_read():
    costs = {"detector": "net", "layer": "a", "upstream": 1.0, "downstream": 3.0, "expected": 2.0}
    text = s.costs_text(pd.DataFrame([costs]))
    assert "net at a: 3.0 of 4.0 billion" in text and "take 2.0 times less time" in text
    timed = pd.DataFrame({
        "detector": "net", "settings": ["plain", "default", "fast"], "ratio": [1.0, 4.0, 16.0],
        "agreement": [float("nan"), 0.99, 0.97], "seconds": [16.0, 4.0, 1.0],
    })  # fmt: skip
    other = {"detector": "net", "settings": "bfloat16", "seconds": float("nan")}
    with_other = s.settings_text(pd.concat([timed, pd.DataFrame([other])]))
    text = s.settings_text(timed)
    assert with_other.startswith(text) and "Not timed: bfloat16" in with_other
    assert "4.0 times as fast" in text and "fast 16 times" in text and "0.990 and 0.970" in text


def test_convergence_is_read():
    row = {"frames": 4, "steps": 10, "beta": 10.0, "bits": 1234.4, "ratio": 2.0, "hit": 0.5}
    ten = pd.Series(row)
    last, best = pd.Series(row | {"steps": 40}), pd.Series(row | {"beta": 1.0, "ratio": 3.0})
    text = s.convergence_text(ten, last, best)
    assert "1,234 bits per frame" in text and "After 40 steps" in text and "at beta 1 after" in text


def test_coupling_has_a_verdict_for_each_measure():
    rows = [
        {"name": name, "video_id": video, "iou": iou, "ratio": 2.0, "insertion": 0.5}
        for name, iou in ((ALONE, 0.4), ("joint", 0.7))
        for video in VIDEOS
    ]
    text = s.coupling_text(pd.DataFrame(rows), BOOTSTRAP)
    assert text.startswith("Joint: IoU 0.40 becomes 0.70 (higher), ")
    assert "insertion 0.50 becomes 0.50 (no difference found)." in text
    few = pd.DataFrame(rows)[lambda t: t.video_id.isin(VIDEOS[:2])]
    assert "(higher)" not in s.coupling_text(few, BOOTSTRAP)
