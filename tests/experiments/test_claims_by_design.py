"""Claims that definitions or arithmetic decide."""

import numpy as np
import pandas as pd
import pytest

from viba_lib.evaluation.consistency import mean_iou
from viba_lib.experiments import claims_by_design as design
from viba_lib.experiments.consistency import chance_iou


def test_what_the_method_needs_and_leaves():
    assert design.without_internals().holds is False
    data = design.without_data()
    assert data.holds is False and "times the bits" in data.text
    assert design.after_training().holds is True
    assert design.without_convolutions().holds is True


def test_frames_are_explained_one_by_one():
    assert design.over_time().holds is False


def test_grad_cam_has_maps_at_each_layer():
    fact = design.grad_cam_last_layer()
    assert fact.holds is False and "at 2 of 2" in fact.text


def test_the_bits_of_one_input_may_be_below_the_information():
    fact = design.bits_are_information()
    assert fact.holds is False and "0.500 bits" in fact.text and "0.459" in fact.text


def test_measures_of_stability_that_unstable_regions_pass():
    tcs, rpi = design.tcs_is_stability(), design.rpi_is_stability()
    assert tcs.holds is False and "0.25" in tcs.text and rpi.holds is False


@pytest.mark.parametrize("area", [0.2, 0.5, 0.9])
def test_unrelated_masks_have_the_expected_overlap(area):
    masks = np.random.default_rng(0).random((6, 200, 200)) < area
    expected = chance_iou(area)
    assert mean_iou(masks) == pytest.approx(expected, abs=0.01)
    table = pd.DataFrame({"tcs": [area, area, 1.0], "iou": [expected, 1.0, 1.0]})
    scaled = design.beyond_unrelated(table)
    assert scaled[0] == pytest.approx(0) and scaled[1] == pytest.approx(1) and np.isnan(scaled[2])


def test_printed_consistency_of_both_detectors():
    assert design.printed_iou("xception").holds is True
    flow = design.printed_iou("flow-vgg11")
    assert flow.holds is False and "fake 0.76 (0.76 for" in flow.text


def test_printed_differences_of_accuracy_and_top_1():
    accuracy, top = design.printed_accuracy(), design.printed_top1()
    assert accuracy.holds is None and "0.09, 0.04 points" in accuracy.text
    assert top.holds is None and "17 of 27" in top.text and "11 of 27" in top.text


def regions(annotated, highlighted):
    return pd.DataFrame({"annotated": annotated, "highlighted": highlighted})


def test_overlap_is_recall_if_a_map_marks_as_many_regions():
    few = design.overlap_adds(regions(["L", "BN"], ["LBN", "ECO"]))
    assert few.holds is None and "in 2 of 2" in few.text
    assert "in 0 of 2" in design.overlap_adds(regions(["LBN", "BNE"], ["L", "E"])).text
    assert design.overlap_adds(regions([], [])).holds is None


def test_recall_above_precision_for_any_map():
    any_map = regions(["L", "B", "N", "L", "B", "N"], ["LBN"] * 6)
    found = design.recall_is_of_maps(any_map)
    assert found.holds is None and "with the maps of other videos 1.00 and 0.33" in found.text
    # Maps that mark fewer regions than are annotated have the higher precision.
    assert design.recall_is_of_maps(regions(["LBN", "LBE"], ["L", "L"])).holds is None
    # Only with the right map are all regions found, and most that are marked are wrong.
    assert design.recall_is_of_maps(regions([], [])).holds is None
