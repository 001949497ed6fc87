"""Readings of the agreement with regions, on answers with known overlap."""

import pandas as pd
import pytest

from tests.units import ALONE, BOOTSTRAP, VIDEOS
from viba_lib.experiments import human_agreement as h

FAKES = [video for video in VIDEOS if video.endswith("fake")]
LETTERS = "LBNC" * 3


def regions(annotated, highlighted) -> dict[str, pd.DataFrame]:
    given = {"annotated": list(annotated), "highlighted": list(highlighted)}
    return {"net": pd.DataFrame({"video_id": FAKES, "method": "m"} | given)}


def test_maps_of_the_own_video_are_compared_with_those_of_any():
    own = h.agreement_text(regions(LETTERS, LETTERS), BOOTSTRAP)
    assert "Overlap of net" in own and "is higher" in own and ": 0.75 (95" in own
    assert "No difference was found" in h.agreement_text(regions(LETTERS, ["L"] * 12), BOOTSTRAP)
    few = {"net": regions(LETTERS, LETTERS)["net"].head(1)}
    assert "nothing to shuffle" in h.agreement_text(few, BOOTSTRAP)


def test_recall_above_precision_is_arithmetic_if_fewer_regions_are_known():
    text = h.recall_text(regions(["L"] * 12, ["LBN"] * 12), 3, BOOTSTRAP)
    assert "highlights 3 regions, and 1.0 are known on average" in text
    assert "supports the paper's claim that recall of net is above precision" in text
    assert "It says nothing about the maps" in text
    same = h.recall_text(regions(["LBC"] * 12, ["LBN"] * 12), 3, BOOTSTRAP)
    assert "says nothing" not in same and "supports" not in same
    alone = h.recall_text(regions(["L"] * 12, ["LBN"] * 12), 3, ALONE)
    assert "too small to test whether recall of net is above precision" in alone


def test_shares_name_the_most_frequent_region_and_those_that_never_occur():
    shares = h.region_shares(regions(["L"] * 12, ["LB"] * 6 + ["LC"] * 6))
    text = h.shares_text(shares)
    assert "planted for net: most often L (100% of the videos), never E, B, N, O, C." in text
    assert "VIBA, net: most often L (100% of the videos), never E, N, O." in text


def test_rules_have_a_range_of_f1():
    rules = pd.DataFrame({
        "detector": "net", "rule": ["density", "mass", "mass"], "top": [3, 3, 1],
        "f1": [0.5, 0.3, 0.9],
    })  # fmt: skip
    assert h.rules_text(rules) == (
        "net: with 3 regions, F1 is from 0.30 (mass) to 0.50 (density), by the rule alone."
    )


@pytest.mark.parametrize(("other", "word"), [(1.0, "higher"), (3.0, "lower")])
def test_viba_is_compared_with_each_other_method(other, word):
    rows = [
        {"method": method, "video_id": video, "ratio": ratio}
        for method, ratio in (("VIBA", 2.0), ("Grad-CAM", other))
        for video in FAKES
    ]
    text = h.controls_text({"net": pd.DataFrame(rows)}, BOOTSTRAP)
    assert "net, VIBA minus Grad-CAM" in text and f"It is {word} for VIBA" in text
