"""Temporal consistency against hand-worked cases, scikit-learn and its own bounds."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import jaccard_score

from tests.squares import square
from viba_lib.core.errors import VibaError
from viba_lib.evaluation import iou, mean_iou, region_persistence, temporal_consistency
from viba_lib.evaluation.consistency import MASK_RULES, cuts_of, highlight, pixel_persistence

masks = arrays(bool, (4, 6, 5))


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
    gap = np.stack([square(0, 0), square(0, 3), np.zeros((10, 10), bool), square(4, 3)])
    assert region_persistence(gap) == pytest.approx(3 / np.hypot(10, 10))


def test_equations_3_and_4_do_not_depend_on_the_frame_s_size():
    clip = np.stack([square(0, 0), square(1, 3), square(4, 4)])
    wide = clip.repeat(7, axis=1).repeat(7, axis=2)
    assert temporal_consistency(wide) == pytest.approx(temporal_consistency(clip))
    assert region_persistence(wide) == pytest.approx(region_persistence(clip))
    assert mean_iou(wide) == pytest.approx(mean_iou(clip))


def test_persistence_is_what_the_text_describes():
    assert pixel_persistence(np.stack([square(0, 0)] * 4)) == 1
    assert pixel_persistence(np.stack([square(0, 0), square(5, 5)])) == 0.5
    assert np.isnan(pixel_persistence(square(0, 0)[None])), "one frame persists in nothing"
    assert np.isnan(pixel_persistence(np.zeros((3, 4, 4), bool)))


def test_empty_masks_overlap_fully_and_have_no_centroid():
    empty = np.zeros((3, 4, 4), bool)
    assert mean_iou(empty) == 1 and temporal_consistency(empty) == 0
    assert np.isnan(region_persistence(empty))


def test_steps_over_a_cut_do_not_count():
    clip = np.stack([square(0, 0), square(0, 0), square(6, 6), square(6, 6)])
    assert mean_iou(clip) == pytest.approx(2 / 3) and mean_iou(clip, [2]) == 1
    assert region_persistence(clip) > 0 and region_persistence(clip, [2]) == 0
    assert pixel_persistence(clip) == 0.5 and pixel_persistence(clip, [2]) == 1
    assert temporal_consistency(clip) == pytest.approx(0.04), "an area knows no cut"
    alone = [mean_iou(clip, [1, 2, 3]), region_persistence(clip, [1, 2, 3])]
    assert np.isnan(alone).all(), "scenes of one frame have no step"
    with pytest.raises(VibaError, match="scene begins"):
        mean_iou(clip, [4])


def test_a_cut_is_where_the_face_is_suddenly_elsewhere():
    near = [[100, 100, 60], [130, 110, 60], [150, 100, 60]]
    assert cuts_of(np.array(near)) == []
    assert cuts_of(np.array([*near, [400, 100, 60], [410, 100, 60]])) == [3]
    assert cuts_of(np.array([[100, 100, 60]])) == []


@given(masks)
def test_no_cut_and_a_clip_in_two_are_the_same_where_both_ends_meet(clip):
    doubled = np.concatenate([clip, clip])
    assert mean_iou(doubled, [len(clip)]) == pytest.approx(mean_iou(clip))
    one, two = region_persistence(clip), region_persistence(doubled, [len(clip)])
    assert two == pytest.approx(one, nan_ok=True)


@given(masks)
def test_iou_is_scikit_learns(clip):
    wanted = [jaccard_score(a.ravel(), b.ravel(), zero_division=1.0) for a, b in pairwise(clip)]
    assert mean_iou(clip) == pytest.approx(np.mean(wanted))


@given(arrays(float, (3, 4, 5), elements=st.floats(0, 9)), st.sampled_from(list(MASK_RULES)))
def test_higher_thresholds_highlight_less(relevance, rule):
    low, high = (highlight(relevance, fraction, rule) for fraction in (0.2, 0.7))
    assert not (high & ~low).any()
    assert (highlight(relevance * 4, 0.5, rule) == highlight(relevance, 0.5, rule)).all()


def test_what_a_threshold_is_a_share_of():
    clip = np.stack([np.arange(10.0).reshape(2, 5), np.arange(10.0).reshape(2, 5) / 10])
    assert highlight(clip, 0.5).sum((1, 2)).tolist() == [5, 5]
    assert highlight(clip, 0.5, "clip").sum((1, 2)).tolist() == [5, 0]
    assert highlight(clip, 0.8, "area").sum((1, 2)).tolist() == [2, 2]
    assert not highlight(np.zeros((1, 2, 2)), 0.5, "area").any()
    with pytest.raises(VibaError, match="rule"):
        highlight(clip, 0.5, "film")


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
