"""Right answers that follow from a definition, computed with the functions of the library."""

from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
import torch

from tests.book.quizzes import quiz
from viba_lib.baselines.explainers import VIBA
from viba_lib.book.chapters import find_chapter
from viba_lib.bottleneck import gaussian_kl
from viba_lib.evaluation.agreement import REGIONS, overlap_coefficient
from viba_lib.evaluation.consistency import mean_iou, region_persistence, temporal_consistency
from viba_lib.evaluation.faithfulness import mass_ratio
from viba_lib.evaluation.ranks import rank_of
from viba_lib.evaluation.significance import mcnemar
from viba_lib.experiments.benchmark.ranking import pareto


def right(chapter: str, number: int) -> str:
    """Text of the right option of a question."""
    question = quiz(find_chapter(chapter))[number - 1]
    return question.options[question.right]


def bits(activation: float, share: float) -> float:
    """The information estimate of one unit, in nats."""
    values = (torch.tensor([value]) for value in (activation, share, 0.0, 1.0))
    return float(gaussian_kl(*values))


def test_a_unit_transmits_nothing_at_a_signal_fraction_of_zero():
    assert right("01", 1) == "none, for any activation"
    assert [bits(r, 0.0) for r in (0.0, 1.0, 4.0)] == pytest.approx([0, 0, 0], abs=1e-6)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_rare_activation_has_more_bits(share):
    assert right("01", 2) == "the unit with the rare activation"
    assert bits(3.0, share) > bits(0.0, share)


def test_mcnemar_depends_on_cases_that_one_network_classifies_correctly():
    assert right("08", 2) == "those that only one classifies correctly"
    label, first, second = np.array([1, 1, 1, 0]), np.array([1, 1, 1, 0]), np.array([0, 0, 1, 0])
    both = np.ones(50, int)  # further cases, classified by both correctly or by both wrongly
    for labels in (both, 1 - both):
        more = mcnemar(*(np.concatenate([a, b]) for a, b in
                         ((label, labels), (first, both), (second, both))))  # fmt: skip
        assert more["p_value"] == mcnemar(label, first, second)["p_value"]
    assert mcnemar(label, first, first)["p_value"] != mcnemar(label, first, second)["p_value"]


def test_a_map_that_highlights_everything_has_the_best_values():
    masks, moving = np.ones((4, 6, 6), bool), np.zeros((4, 6, 6), bool)
    for frame in range(4):
        moving[frame, frame, frame] = True
    assert mean_iou(masks) == temporal_consistency(masks) == 1 > mean_iou(moving)
    assert region_persistence(masks) == 0 < region_persistence(moving)
    assert right("09", 1) == "all of IoU, RPI and TCS"


def test_random_answers_of_three_regions_overlap_by_one_half():
    answers = list(combinations(REGIONS, 3))
    chance = np.mean([overlap_coefficient(a, b) for a, b in product(answers, answers)])
    assert chance == pytest.approx(0.5)
    assert "0.5 in this overlap, with three regions" in quiz(find_chapter("10"))[5].text
    assert right("10", 6) == "the agreement does not exceed the chance level"


def test_the_ratio_of_one_map_depends_on_where_the_mask_lies():
    assert right("11", 2) == "the masks of some methods lie nearer to the middle of the crop"
    y, x = np.mgrid[-1:1:21j, -1:1:21j]
    prior, middle = np.exp(-4 * (x**2 + y**2)), np.hypot(x, y) < 0.4
    corner = np.roll(middle, (7, 7), (0, 1))
    assert mass_ratio(prior, middle.astype(float)) > 1 > mass_ratio(prior, corner.astype(float))


def test_few_clips_decide_nothing_whatever_the_means():
    assert right("11", 3) == "the test cannot show a difference, whatever the means"
    videos = [f"v{i}" for i in range(5)]
    units = pd.DataFrame({"clip": videos, "person": videos}, index=videos)
    for gap in (0.1, 100.0):
        scores = pd.concat(
            pd.DataFrame({"method": method, "video_id": videos, "ratio": value})
            for method, value in ((VIBA, gap), ("LIME", 0.0), ("RISE", 0.0))
        )
        rank = rank_of(scores, "ratio", units=units)
        assert rank["min_p"] > 0.05 and len(rank["even"]) == 2


def test_a_method_below_the_line_is_dominated_by_one_on_it():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({
        "method": list("abcdefghij"), "seconds": rng.random(10), "ratio": rng.random(10),
    })  # fmt: skip
    found = pareto(table)
    line = found[found.front]
    for row in found[~found.front].itertuples():
        assert ((line.seconds <= row.seconds) & (line.ratio > row.ratio)).any()
    assert right("13", 1) == "at least one method on the line is faster and better"
