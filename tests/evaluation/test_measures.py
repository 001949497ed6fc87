"""Measures against hand-worked cases, other libraries and their own bounds."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import (
    accuracy_score,
    jaccard_score,
    precision_recall_fscore_support,
    precision_score,
    recall_score,
    roc_auc_score,
)
from sklearn.preprocessing import MultiLabelBinarizer
from statsmodels.stats.contingency_tables import mcnemar as other_mcnemar
from statsmodels.stats.inter_rater import aggregate_raters, fleiss_kappa
from torchmetrics.functional.classification import multiclass_calibration_error

from tests.landmarks import face
from viba_lib.core.errors import VibaError
from viba_lib.data.artefacts import SPATIAL
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
    RULES,
    agreement_table,
    annotator_agreement,
    krippendorff_alpha,
    planted_regions,
    region_masks,
    regions_of,
    vote,
)
from viba_lib.evaluation.consistency import MASK_RULES, cuts_of, highlight, pixel_persistence
from viba_lib.evaluation.detection import bootstrap_interval, bootstrap_intervals, detection_metrics
from viba_lib.evaluation.faithfulness import (
    degradation_scores,
    deletion_areas,
    entropy,
    insertion_areas,
    mass_inside,
    mass_ratio,
    pointing_game,
    precision_recall_area,
    rank_accuracy,
    sensitivity_n,
)
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


def test_ece_by_hand():
    p = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]])
    # Bin (0.867, 0.933]: confidence 0.9, half right; bin (0.533, 0.6]: confidence 0.6, right.
    wanted = 2 / 3 * abs(0.9 - 0.5) + 1 / 3 * abs(0.6 - 1.0)
    assert expected_calibration_error(p, np.array([0, 1, 1])) == pytest.approx(wanted)
    with pytest.raises(VibaError, match="softmax"):
        expected_calibration_error(np.array([[3.0, -2.0]]), np.array([0]))


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=1, max_size=30))
def test_ece_bounds(rows):
    p = np.array([(1 - a, a) for a, _ in rows])
    assert 0 <= expected_calibration_error(p, np.array([b for _, b in rows])) <= 1


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1)), min_size=1, max_size=30))
def test_ece_is_torchmetrics(rows):
    # In between the edges of bins, which lie at multiples of 1/15: single precision rounds there.
    p = np.array([(1 - a, a) for a in ((k + 0.37) / 1001.3 for k, _ in rows)])
    y = np.array([b for _, b in rows])
    wanted = multiclass_calibration_error(torch.from_numpy(p), torch.from_numpy(y), 2, n_bins=15)
    assert expected_calibration_error(p, y) == pytest.approx(float(wanted), abs=1e-5)


def test_detection_with_one_class_has_no_auc():
    found = detection_metrics(np.array([1, 1]), np.array([0.2, 0.9]))
    assert np.isnan(found["auc"]) and found["recall"] == 0.5


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=1, max_size=30))
def test_detection_is_scikit_learns(rows):
    p, y = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    ours, decided = detection_metrics(y, p), p > 0.5
    assert ours["accuracy"] == pytest.approx(accuracy_score(y, decided))
    assert ours["precision"] == pytest.approx(precision_score(y, decided, zero_division=0))
    assert ours["recall"] == pytest.approx(recall_score(y, decided, zero_division=0))
    if len(set(y)) == 2:
        assert ours["auc"] == pytest.approx(roc_auc_score(y, p))


def test_bootstrap_leaves_out_draws_without_a_value():
    frame = pd.DataFrame({"video_id": list("abcd"), "label": [0, 0, 0, 1], "p": [0.1, 0.2, 0.6, 1]})
    found = bootstrap_intervals(frame, lambda d: detection_metrics(d.label, d.p), draws=100)
    assert found["auc"] == (1, 1)
    assert set(found) == {"accuracy", "precision", "recall", "auc", "ece"}


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
    found = agreement_table(["L", "BC"], ["LB", "NB"])
    # found L 1 of 1, B 1 of 2, N 0 of 1; annotated L 1 of 1, B 1 of 1, C 0 of 1
    assert found.precision == pytest.approx((1 + 0.5 + 0) / 3)
    assert found.recall == pytest.approx(2 / 3)
    assert found.f1 == pytest.approx((1 + 2 / 3 + 0 + 0) / 4)
    assert found.overlap == pytest.approx((1 + 0.5) / 2)
    assert agreement_table([], []).videos == 0
    with pytest.raises(VibaError, match="as many"):
        agreement_table(["L"], [])


def test_top_1_asks_whether_the_first_annotated_region_is_highlighted():
    assert agreement_table(["LB", "CN"], ["BL", "NE"]).top1 == 0.5


answers = st.lists(
    st.tuples(*[st.sets(st.sampled_from(list(REGIONS)), min_size=1).map("".join)] * 2),
    min_size=1, max_size=8,
)  # fmt: skip


@given(answers)
def test_agreement_is_scikit_learns(pairs):
    annotated, found = zip(*pairs, strict=True)
    coder = MultiLabelBinarizer(classes=list(REGIONS)).fit([])
    wanted = precision_recall_fscore_support(
        coder.transform(annotated), coder.transform(found), average="macro", zero_division=np.nan
    )
    ours = agreement_table(annotated, found)
    assert ours[["precision", "recall", "f1"]].tolist() == pytest.approx(list(wanted[:3]))


def test_votes_of_annotators():
    assert vote(["LB", "BL", "BN", "C"]) == "BLN"
    assert vote(["LL", "B"], top=1) == "L", "one annotator, one voice"
    assert vote([]) == ""
    with pytest.raises(VibaError, match="letters"):
        vote(["LX"])


def test_regions_share_out_the_crop():
    found = region_masks(face(), 120)
    assert list(found) == list(REGIONS)
    assert (sum(m.astype(int) for m in found.values()) == 1).all()
    assert all(m.any() for m in found.values())
    assert found["L"][int(0.7 * 120), 60] and found["B"][int(0.38 * 120), 60] and found["O"][0, 0]


def test_the_region_with_the_densest_relevance_comes_first():
    found = region_masks(face(), 120)
    assert regions_of(found["L"].astype(float), found, top=1) == ["L"]
    assert all(planted_regions(name) <= set(REGIONS) for name in SPATIAL)
    with pytest.raises(VibaError, match="planted region"):
        planted_regions("hat")


def test_rules_rank_regions_differently():
    left, right, none = np.zeros((3, 4, 4), bool)
    left[:, 0], right[:, 1:] = True, True
    relevance = np.where(left, 2.0, 1.0)
    relevance[0, 3] = 5.0
    masks = {"L": left, "C": right, "O": none}
    first = {rule: regions_of(relevance, masks, 3, rule) for rule in RULES}
    assert first["density"] == ["L", "C", "O"], "2 against 16 / 12"
    assert first["mass"] == ["C", "L", "O"] and first["peak"] == ["C", "L", "O"]
    with pytest.raises(VibaError, match="rule"):
        regions_of(relevance, masks, 1, "size")
    with pytest.raises(VibaError, match="top"):
        regions_of(relevance, masks, 0)


def test_alpha_is_the_published_one():
    # Krippendorff, "Computing Krippendorff's alpha-reliability" (2011), four observers: 0.743.
    no = np.nan
    answers = pd.DataFrame(
        {"A": [1, 2, 3, 3, 2, 1, 4, 1, 2, no, no, no], "B": [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, no, 3],
         "C": [no, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, no], "D": [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, no]}
    )  # fmt: skip
    assert krippendorff_alpha(answers) == pytest.approx(0.743, abs=5e-4)


@given(arrays(int, (6, 3), elements=st.integers(0, 2)))
def test_alpha_is_fleiss_kappa_but_for_the_size_of_the_sample(answers):
    alpha = krippendorff_alpha(pd.DataFrame(answers))
    if len(np.unique(answers)) == 1:
        assert np.isnan(alpha)
        return
    kappa = fleiss_kappa(aggregate_raters(answers)[0])
    assert alpha == pytest.approx(1 - (1 - kappa) * (answers.size - 1) / answers.size)
    assert alpha <= 1


def test_annotators_who_agree_and_who_do_not():
    both = pd.DataFrame(
        [("a", "x", "L"), ("b", "x", "L"), ("a", "y", "LB"), ("b", "y", "B"), ("a", "z", "")],
        columns=["annotator", "video", "regions"],
    )
    found = annotator_agreement(both).set_index("region")
    assert found.videos.eq(2).all() and found.annotators.eq(2).all()
    assert found.alpha["B"] == 1 and found.alpha["L"] < 1 and np.isnan(found.alpha["C"])
    assert found.chosen["L"] == pytest.approx(3 / 5)
    # Twelve items with two answers: eleven the same (of 24 answers 5 are yes), one not.
    assert found.alpha["all"] == pytest.approx(1 - 23 * 2 / (24**2 - 19**2 - 5**2))
    alone = annotator_agreement(both[both.annotator == "a"])
    assert alone.alpha.isna().all(), "one annotator agrees with nobody"


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
