"""Localisation and faithfulness against hand-worked cases and their own bounds."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.squares import square
from viba_lib.evaluation.faithfulness import (
    degradation_scores,
    deletion_areas,
    entropy,
    insertion_areas,
    inside_of,
    map_measures,
    mass_inside,
    mass_ratio,
    pointing_game,
    precision_recall_area,
    rank_accuracy,
    sensitivity_n,
)


def test_localisation_by_hand():
    mask = square(0, 0).astype(float)
    assert mass_inside(np.ones((10, 10)), mask) == pytest.approx(0.04)
    assert mass_ratio(np.ones((10, 10)), mask) == pytest.approx(1)
    assert mass_ratio(mask, mask) == pytest.approx(25)
    assert pointing_game(mask, mask) and not pointing_game(1 - mask, mask)
    assert np.isnan(mass_inside(np.zeros((10, 10)), mask))


def corner(batch: torch.Tensor) -> np.ndarray:
    """A detector that sees the upper left corner only: bright is fake."""
    fake = torch.sigmoid(8 * batch[:, :, :4, :4].mean((1, 2, 3)) - 2)
    return torch.stack([1 - fake, fake], 1).numpy()


def test_deletion_rewards_maps_of_what_the_decision_needs() -> None:
    frame = torch.ones(1, 3, 16, 16)
    right = np.zeros((1, 16, 16))
    right[0, :4, :4] = 1
    wrong = 1 - right
    random = np.random.default_rng(0).random((1, 16, 16))
    areas = [float(deletion_areas(corner, frame, r, 16)[0]) for r in (right, random, wrong)]
    assert areas == sorted(areas) and areas[0] < 0.25 and areas[2] > areas[0] + 0.3
    # The corner is a sixteenth: the first step takes all of it, and nothing else counts.
    full, empty = corner(frame)[0, 1], corner(0 * frame)[0, 1]
    assert areas[0] == pytest.approx((full / 2 + 15 * empty + empty / 2) / 16, rel=1e-5)


def test_a_focused_map_has_little_entropy() -> None:
    assert entropy(np.ones((8, 8))) == pytest.approx(6)
    assert entropy(np.eye(8)) == pytest.approx(3)


def test_rank_accuracy_by_hand():
    mask = square(0, 0).astype(float)
    assert rank_accuracy(mask, mask) == 1 and rank_accuracy(1 - mask, mask) == 0
    assert rank_accuracy(np.ones((10, 10)), mask) == pytest.approx(0.04), "ties share"
    half = np.zeros((10, 10))
    half[0, :4] = 1
    assert rank_accuracy(half, mask) == 0.5
    assert np.isnan(rank_accuracy(half, 0 * mask)) and np.isnan(
        precision_recall_area(half, 0 * mask)
    )


@given(arrays(int, (5, 4), elements=st.integers(0, 9)), arrays(bool, (5, 4)))
def test_localisation_is_bounded_and_knows_order_only(relevance, mask):
    if not mask.any():
        return
    area, rank = (f(relevance / 7, mask * 1.0) for f in (precision_recall_area, rank_accuracy))
    assert 0 <= rank <= 1 and 0 < area <= 1
    assert rank_accuracy(relevance * 3 + 1, mask) == pytest.approx(rank)
    assert precision_recall_area(mask.astype(float), mask) == pytest.approx(1)
    assert precision_recall_area(0 * relevance, mask) == pytest.approx(mask.mean())


def corner_maps():
    right = np.zeros((1, 16, 16))
    right[0, :4, :4] = 1
    return right, np.random.default_rng(0).random((1, 16, 16)), 1 - right


def test_insertion_rewards_maps_of_what_makes_the_decision():
    frame = torch.full((1, 3, 16, 16), -1.0)
    frame[..., :4, :4] = 1.0
    areas = [float(insertion_areas(corner, frame, r, 16, 0.3)[0]) for r in corner_maps()]
    assert areas == sorted(areas, reverse=True) and areas[0] > 0.9


def test_degradation_tells_right_from_wrong_and_from_random():
    frame = torch.zeros(1, 3, 16, 16)
    frame[..., :4, :4] = 1.0
    right, _, wrong = (
        float(degradation_scores(corner, frame, r, tile=4, steps=16)[0]) for r in corner_maps()
    )
    assert right > 0.85 and wrong < -0.85
    # One tile counts: where chance puts it is even over many maps.
    maps = np.random.default_rng(1).random((60, 16, 16))
    scores = degradation_scores(corner, frame.expand(60, -1, -1, -1), maps, tile=4, steps=16)
    assert abs(scores.mean()) < 0.25
    assert np.isnan(degradation_scores(corner, 0 * frame, corner_maps()[0]))


def test_sensitivity_is_a_correlation_with_what_is_lost():
    frame = torch.zeros(1, 3, 16, 16)
    frame[..., :4, :4] = 1.0
    right, _, wrong = (sensitivity_n(corner, frame, r, 0.2, 64, 4)[0] for r in corner_maps())
    assert right == pytest.approx(1) and wrong < -0.9
    assert np.isnan(sensitivity_n(corner, frame, np.ones((1, 16, 16)), 0.2, 16, 4)[0])


def test_localisation_of_maps_with_and_without_a_mask():
    maps, masks = np.ones((3, 4, 4)), np.zeros((3, 4, 4), np.float32)
    maps[0, 0, 0], maps[1, :2, :2] = 3, 5
    masks[:2, :2, :2] = 1
    table = map_measures(maps, masks)
    assert table.inside[:2].tolist() == pytest.approx([6 / 18, 20 / 32])
    assert table.ratio[:2].tolist() == pytest.approx([4 / 3, 2.5])
    assert table.hit[:2].tolist() == [1, 1] and table.area.tolist() == [0.25, 0.25, 0]
    assert table.loc[2, ["inside", "ratio", "hit"]].isna().all(), "an empty mask is not a miss"


def test_inside_is_what_a_soft_mask_mostly_covers():
    mask = np.zeros((8, 8), np.float32)
    mask[2:6, 2:6], mask[3, 3] = 0.4, 0.6
    assert inside_of(mask).sum() == 16
    assert not inside_of(np.zeros((8, 8))).any()
