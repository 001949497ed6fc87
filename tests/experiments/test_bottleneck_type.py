"""Bottleneck types: clear and right are two questions."""

import numpy as np
import pandas as pd
import pytest

from viba_lib.evaluation.sentences import Finding
from viba_lib.experiments.bottleneck_type import clear_and_right, saved_time_text, types_text
from viba_lib.experiments.common import Bootstrap


def found(estimate, p=0.01, at=0.0, people=8, videos=12):
    half = 0.1 if p < 0.05 else 5.0
    return Finding(estimate, estimate - half, estimate + half, p, videos, videos, people, at)


@pytest.mark.parametrize(
    ("focus", "place", "expected"),
    [
        (found(-1), found(0.5, at=1), "clearer by the book's measure (lower entropy), and wrong"),
        (
            found(-1),
            found(1.2, 0.6, at=1),
            "lower entropy), and not shown to be right",
        ),
        (found(-1), found(3, at=1), "clearer by the book's measure (lower entropy), and right"),
        (found(1), found(3, at=1), "less clear by the book's measure (higher entropy), but right"),
        (found(0, 0.9), found(0.5, at=1), "not distinguished in clarity, and wrong"),
    ],
)
def test_clear_and_right_are_said_apart(focus, place, expected):
    assert expected in clear_and_right(focus, place)


def test_few_people_are_an_illustration_and_no_mask_is_no_sentence():
    text = clear_and_right(found(-1, people=1), found(0.5, at=1, people=1))
    assert "is not decided here: there are too few videos or people" in text
    assert "lower entropy" not in text and "wrong" not in text
    assert clear_and_right(found(-1), found(np.nan, videos=0, at=1)) == ""


def test_the_reading_of_measured_maps():
    values = {
        "per-sample": {"entropy": 14.0, "ratio": 3.0},
        "readout": {"entropy": 13.0, "ratio": 0.5},
    }
    rows = pd.DataFrame([
        {"type": kind, "video_id": f"v{i}"} | {k: v + wobble for k, v in given.items()}
        for kind, given in values.items()
        for i, wobble in enumerate(np.linspace(-0.01, 0.01, 8))
    ])  # fmt: skip
    overlaps = rows[["type", "video_id"]].assign(iou=(rows.type == "readout") * 0.3 + 0.2)
    text = types_text(rows, overlaps, Bootstrap(100))
    assert "readout minus per-sample: -1 (" in text and "It is lower for readout" in text
    assert "readout: 0.5 (" in text and "below chance" in text and "above chance" in text
    assert "and wrong: they are off the artefact more than chance. Overlap (iou)" in text
    assert "two frames of a video, readout minus per-sample: 0.3 (" in text
    blank = types_text(rows.assign(ratio=np.nan), overlaps, Bootstrap(100))
    assert "Relevance on the artefact, readout: not computed" in blank and "wrong" not in blank


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.5, "after 20 frames"),
        (0.6, "after 25 frames"),
        (0.3, "after 15 frames"),
        (1.0, "never saves"),
        (2.0, "never saves"),
    ],
)
def test_the_readout_saves_time_only_if_it_is_faster(seconds, expected):
    rows = {"training": [10.0, 0.0], "seconds": [seconds, 1.0]}
    types = pd.DataFrame(rows, index=["readout", "per-sample"])
    assert expected in saved_time_text(types)
