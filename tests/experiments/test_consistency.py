"""Readings of temporal consistency, on tables with known answers."""

import numpy as np
import pandas as pd
import pytest

from tests.units import ALONE, BOOTSTRAP, VIDEOS
from viba_lib.experiments import consistency as c
from viba_lib.experiments.paper_numbers import TABLE_3


def videos(real: float = 0.0, motion: float = 0.0) -> pd.DataFrame:
    """IoU 0.6; `real` more for real videos, and `motion` more for the motion detector."""
    rows = [
        {"detector": name, "video_id": video, "label": video[4:], "threshold": 0.5,
         "iou": 0.6 + real * video.endswith("real") + motion * (name == "flow-vgg11"),
         "tcs": 0.2 + motion * (name == "flow-vgg11"), "rpi": 0.05, "persistence": 0.5}
        for name in ("xception", "flow-vgg11")
        for video in VIDEOS
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_the_iou_of_random_masks_is_that_of_their_area():
    rng = np.random.default_rng(0)
    first, second = rng.random((2, 400, 400)) < 0.7
    assert c.chance_iou(0.7) == pytest.approx(
        (first & second).sum() / (first | second).sum(), abs=0.01
    )


def test_flat_maps_are_named_and_others_are_not():
    flat = {"detector": "motion", "label": "fake", "tcs": 0.9, "iou": 0.82, "effective_area": 0.98}
    sharp = {"detector": "face", "label": "real", "tcs": 0.3, "iou": 0.8, "effective_area": 0.4}
    text = c.flat_text(pd.DataFrame([flat, sharp]))
    assert (
        "motion, fake: 90% of the frame is highlighted, and the entropy of the maps is that of 98%"
        in text
    )
    assert "have an IoU of 0.82; the IoU of the maps is 0.82" in text
    assert "explains most of the IoU of: motion, fake. " in text
    assert "in no row" in c.flat_text(pd.DataFrame([sharp]))


def test_the_paper_s_motion_detector_has_the_signature_of_flat_maps():
    text = c.flat_text(TABLE_3)
    assert "explains most of the IoU of: flow-vgg11, fake; flow-vgg11, real. " in text


def test_real_and_fake_videos_are_compared_with_the_claim():
    text = c.label_text(videos(real=0.1), BOOTSTRAP)
    assert "supports the paper's claim that the IoU of xception is higher for real" in text
    assert "does not decide whether the RPI of xception is lower for real" in text
    assert "contradicts the paper's claim that the IoU" in c.label_text(videos(-0.1), BOOTSTRAP)
    assert "supports" not in c.label_text(videos(0.1), ALONE)


def test_both_detectors_are_compared_on_the_same_clips():
    table = c.detectors_table(videos(motion=0.3), BOOTSTRAP).set_index("measure")
    assert table.difference["iou"] == pytest.approx(-0.3) and table.clips["iou"] == 12
    assert table.xception["tcs"] == pytest.approx(0.2) and table["flow-vgg11"]["tcs"] == 0.5
    assert table.claim.to_dict() == {
        "iou": "contradicts", "tcs": "supports", "rpi": "", "persistence": "",
    }  # fmt: skip
    text = c.detectors_text(videos(motion=0.3), BOOTSTRAP)
    assert (
        "contradicts the paper's claim that the IoU of xception is higher than that of flow-vgg11"
        in text
    )
    assert "supports the paper's claim that the TCS of xception is lower" in text


@pytest.mark.parametrize(
    ("middle", "end"), [(0.5, "All of them fall at each step."), (0.95, "IoU.")]
)
def test_the_threshold_is_read(middle, end):
    sweep = pd.DataFrame({
        "threshold": [0.1, 0.5, 0.9], "iou": [0.9, middle, 0.2], "tcs": [0.8, 0.4, 0.1],
        "persistence": [0.9, 0.5, 0.3],
    })  # fmt: skip
    text = c.sweep_text(sweep)
    assert "from a threshold of 0.1 to one of 0.9" in text and "IoU from 0.90 to 0.20" in text
    assert text.endswith(end)
