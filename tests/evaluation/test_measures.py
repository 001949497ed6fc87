"""Measures against hand-worked cases, other libraries and their own bounds."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from statsmodels.stats.contingency_tables import mcnemar as other_mcnemar

from viba_lib.errors import VibaError
from viba_lib.evaluation import (
    expected_calibration_error,
    iou,
    mean_iou,
    overlap_coefficient,
    region_persistence,
    temporal_consistency,
)
from viba_lib.evaluation.agreement import (
    REGIONS,
    agreement_table,
    planted_regions,
    region_masks,
    regions_of,
)
from viba_lib.evaluation.consistency import highlight, pixel_persistence
from viba_lib.evaluation.detection import bootstrap_interval, detection_metrics
from viba_lib.evaluation.faithfulness import mass_inside, mass_ratio, pointing_game
from viba_lib.evaluation.significance import mcnemar

masks = arrays(bool, (4, 6, 5))


def square(top, left, size=10, side=2):
    mask = np.zeros((size, size), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_iou_by_hand():
    assert iou(square(0, 0), square(0, 1)) == pytest.approx(2 / 6)
    assert iou(square(0, 0), square(5, 5)) == 0
    assert iou(np.zeros((3, 3)), np.zeros((3, 3))) == 1
    assert np.isnan(mean_iou(square(0, 0)[None]))


def test_equation_3_is_the_mean_area():
    clip = np.stack([square(0, 0), np.ones((10, 10), bool)])
    assert temporal_consistency(clip) == pytest.approx((0.04 + 1) / 2)


def test_equation_4_by_hand():
    clip = np.stack([square(0, 0), square(0, 3), square(4, 3)])
    assert region_persistence(clip) == pytest.approx((3 + 4) / 2 / np.hypot(10, 10))
    assert region_persistence(np.stack([square(2, 2)] * 3)) == 0
    assert np.isnan(region_persistence(square(0, 0)[None]))
    empty = np.stack([square(0, 0), np.zeros((10, 10), bool)])
    assert np.isnan(region_persistence(empty))


def test_persistence_is_what_the_text_describes():
    assert pixel_persistence(np.stack([square(0, 0)] * 4)) == 1
    assert pixel_persistence(np.stack([square(0, 0), square(5, 5)])) == 0.5


@settings(max_examples=40, deadline=None)
@given(masks)
def test_bounds(clip):
    assert 0 <= temporal_consistency(clip) <= 1
    assert 0 <= mean_iou(clip) <= 1
    steps = region_persistence(clip)
    assert np.isnan(steps) or 0 <= steps <= 1
    assert mean_iou(clip) == pytest.approx(mean_iou(clip[::-1]))


def test_highlight_takes_a_share_of_the_maximum():
    relevance = np.array([[[0.0, 1.0], [0.4, 0.6]]])
    assert highlight(relevance, 0.5).tolist() == [[[False, True], [False, True]]]
    assert not highlight(np.zeros((1, 2, 2))).any()
    with pytest.raises(VibaError, match="fraction"):
        highlight(relevance, 1.5)


def test_ece_by_hand():
    p = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]])
    # Bin (0.867, 0.933]: confidence 0.9, half right; bin (0.533, 0.6]: confidence 0.6, right.
    wanted = 2 / 3 * abs(0.9 - 0.5) + 1 / 3 * abs(0.6 - 1.0)
    assert expected_calibration_error(p, np.array([0, 1, 1])) == pytest.approx(wanted)
    with pytest.raises(VibaError, match="softmax"):
        expected_calibration_error(np.array([[3.0, -2.0]]), np.array([0]))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=1, max_size=30))
def test_ece_bounds(rows):
    p = np.array([(1 - a, a) for a, _ in rows])
    assert 0 <= expected_calibration_error(p, np.array([b for _, b in rows])) <= 1


def test_detection_with_one_class_has_no_auc():
    found = detection_metrics(np.array([1, 1]), np.array([0.2, 0.9]))
    assert np.isnan(found["auc"]) and found["recall"] == 0.5


def test_bootstrap_draws_videos():
    frame = pd.DataFrame({"video_id": list("aabbcc"), "value": [0, 0, 1, 1, 2, 2.0]})
    low, high = bootstrap_interval(frame, lambda d: float(d.value.mean()), draws=300)
    assert 0 <= low < 1 < high <= 2
    again = bootstrap_interval(frame, lambda d: float(d.value.mean()), draws=300)
    assert (low, high) == again
    one = frame[frame.video_id == "a"]
    assert np.isnan(bootstrap_interval(one, lambda d: 1.0)).all()


def test_overlap_is_symmetric_and_one_for_a_subset():
    assert overlap_coefficient("LB", "LBN") == 1
    assert overlap_coefficient("LB", "BC") == overlap_coefficient("BC", "LB") == 0.5
    assert overlap_coefficient("", "") == 1 and overlap_coefficient("L", "") == 0


def test_agreement_by_hand():
    found = agreement_table([{"L"}, {"B"}], [["L", "B"], ["N", "B"]])
    assert found.top1 == 0.5 and found.overlap == 1 and found.recall == 1
    assert found.precision == pytest.approx((1 + 0.5) / 2)
    assert agreement_table([], []).videos == 0


def face():
    """Landmarks of a plain face, in units of the crop."""
    angle = np.linspace(np.pi, 0, 17)
    jaw = np.c_[0.5 + 0.3 * np.cos(angle), 0.45 + 0.4 * np.sin(angle)]
    brows = np.c_[np.linspace(0.28, 0.72, 10), np.full(10, 0.33)]
    nose = np.c_[np.r_[np.full(4, 0.5), np.linspace(0.44, 0.56, 5)],
                 np.r_[np.linspace(0.4, 0.55, 4), np.full(5, 0.58)]]  # fmt: skip
    turn = np.linspace(0, 2 * np.pi, 6, endpoint=False)
    eyes = [np.c_[x + 0.05 * np.cos(turn), 0.4 + 0.02 * np.sin(turn)] for x in (0.37, 0.63)]
    turn = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    mouth = np.c_[0.5 + 0.1 * np.cos(turn), 0.7 + 0.04 * np.sin(turn)]
    return np.concatenate([jaw, brows, nose, *eyes, mouth])


def test_regions_share_out_the_crop():
    found = region_masks(face(), 120)
    assert list(found) == list(REGIONS)
    assert (sum(m.astype(int) for m in found.values()) == 1).all()
    assert all(m.any() for m in found.values())
    assert found["L"][int(0.7 * 120), 60] and found["B"][int(0.38 * 120), 60] and found["O"][0, 0]


def test_the_region_with_the_densest_relevance_comes_first():
    found = region_masks(face(), 120)
    assert regions_of(found["L"].astype(float), found, top=1) == ["L"]
    assert planted_regions("mouth") == {"L"}
    with pytest.raises(VibaError, match="planted region"):
        planted_regions("hat")


def test_localisation_by_hand():
    mask = square(0, 0).astype(float)
    assert mass_inside(np.ones((10, 10)), mask) == pytest.approx(0.04)
    assert mass_ratio(np.ones((10, 10)), mask) == pytest.approx(1)
    assert mass_ratio(mask, mask) == pytest.approx(25)
    assert pointing_game(mask, mask) and not pointing_game(1 - mask, mask)
    assert np.isnan(mass_inside(np.zeros((10, 10)), mask))


def test_mcnemar_agrees_with_statsmodels():
    labels = np.array([1] * 10)
    first, second = np.array([1] * 8 + [0] * 2), np.array([1] * 3 + [0] * 6 + [1])
    found = mcnemar(labels, first, second)
    assert (found["only_first"], found["only_second"]) == (5, 1)
    wanted = other_mcnemar([[3, 5], [1, 1]], exact=True).pvalue
    assert found["p_value"] == pytest.approx(wanted)
