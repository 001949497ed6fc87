"""Ranks: a tie is not a first place, and few clips or people carry no verdict."""

import numpy as np
import pandas as pd
import pytest

from tests.scores import scores_of
from viba_lib.baselines.names import VIBA
from viba_lib.evaluation.ranks import (
    BEHIND,
    BY_MEAN,
    FIRST,
    OPEN,
    rank_of,
    rank_text,
    sample_text,
    verdicts_text,
)
from viba_lib.evaluation.sentences import ILLUSTRATION, NOT_COMPUTED
from viba_lib.evaluation.significance import INCONCLUSIVE


def rank(means: dict[str, float], videos: int = 12, spread: float = 0.3, **given):
    return rank_of(scores_of(means, videos, spread), "ratio", **given)


def test_first_needs_the_best_mean_and_every_other_method_worse():
    found = rank({VIBA: 3.0, "Grad-CAM": 1.0, "RISE": 2.0})
    assert found["verdict"] == FIRST and found["ahead"] == ["Grad-CAM", "RISE"]
    assert "each of the 2 other methods is worse" in rank_text("Ratio", found)
    # The second is close: the mean alone is not a first place.
    close = scores_of({VIBA: 1.5, "Grad-CAM": 1.0}, spread=0.1)
    noisy = scores_of({"RISE": 0.9}, spread=1.0)
    found = rank_of(pd.concat([close, noisy]), "ratio")
    assert found["rank"] == 1 and found["best"] == [VIBA] and found["even"] == ["RISE"]
    assert found["verdict"] == BY_MEAN
    text = rank_text("Ratio", found)
    assert "is first by the mean, not distinguished from 1 of 2 methods" in text


def test_an_exact_tie_is_no_first_place():
    found = rank({VIBA: 1.0, "Grad-CAM": 1.0}, spread=0)
    assert found["best"] == ["Grad-CAM", VIBA] and found["rank"] == 1
    # No clip has a difference, so no test can decide.
    assert found["verdict"] == INCONCLUSIVE and found["min_p"] == 1
    text = rank_text("Ratio", found)
    assert "best: Grad-CAM and VIBA" in text and "is first" not in text


def test_behind_and_not_distinguished_from_the_best():
    behind = rank({VIBA: 1.0, "Grad-CAM": 3.0, "Random": 9.0})
    assert behind["verdict"] == BEHIND and behind["behind"] == ["Grad-CAM"]
    assert behind["best"] == ["Grad-CAM"], "controls are not ranked"
    assert "VIBA is behind Grad-CAM; rank 2 of 2" in rank_text("Ratio", behind)
    close = rank({VIBA: 1.0, "Grad-CAM": 1.1}, spread=1.0)
    assert close["rank"] == 2 and close["verdict"] == OPEN
    lower = scores_of({VIBA: 1.0, "Grad-CAM": 3.0}).rename(columns={"ratio": "deletion"})
    assert rank_of(lower, "deletion")["verdict"] == FIRST, "lower is better"


def test_source_clips_that_are_too_few_are_inconclusive():
    means = {VIBA: 3.0, "Grad-CAM": 1.0}
    assert rank(means)["verdict"] == FIRST
    # The same twelve videos, made from five clips of five people: 2 / 2^5 is above 5 %.
    names = [str(video) for video in range(12)]
    clips = [f"clip {video % 5}" for video in range(12)]
    units = pd.DataFrame({"clip": clips, "person": clips}, index=names)
    found = rank(means, units=units)
    assert found["verdict"] == INCONCLUSIVE and found["min_p"] == pytest.approx(0.0625)
    assert "12 videos from 5 source clips of 5 people" in rank_text("Ratio", found)
    assert "0.0625" in rank_text("Ratio", found)


def test_few_videos_or_one_person_are_an_illustration():
    means = {VIBA: 3.0, "Grad-CAM": 1.0}
    names = [str(video) for video in range(12)]
    units = pd.DataFrame({"clip": names, "person": ["the same"] * 12}, index=names)
    for found in (rank(means, units=units), rank(means, videos=4)):
        assert found["verdict"] == ILLUSTRATION
        assert "This is an illustration" in rank_text("Ratio", found)
    assert "12 source clips of 1 person" in rank_text("Ratio", rank(means, units=units))


def test_scores_without_a_value_have_no_rank():
    blank = scores_of({VIBA: 1.0, "Grad-CAM": 3.0}).assign(ratio=np.nan)
    for unknown in (blank, blank.head(0)):
        found = rank_of(unknown, "ratio")
        assert found["verdict"] == NOT_COMPUTED
        assert "not computed" in rank_text("Ratio", found)
    scores = scores_of({VIBA: 1.0, "Grad-CAM": 3.0, "RISE": 2.0})
    alone = scores.assign(ratio=scores.ratio.where(scores.method != VIBA))
    assert rank_of(alone, "ratio")["verdict"] == NOT_COMPUTED, "the method alone has no value"


def test_the_summary_says_what_drops_out_and_that_the_rest_is_correlated():
    ranks = [
        rank({VIBA: 3.0, "Grad-CAM": 1.0}),
        rank({VIBA: 1.0, "Grad-CAM": 3.0}),
        rank({VIBA: 3.0, "Grad-CAM": 1.0}, videos=5),
        rank({VIBA: 3.0, "Grad-CAM": 1.0}, videos=2),
    ]
    named = [found | {"detector": f"net {at}"} for at, found in enumerate(ranks)]
    text = verdicts_text(named)
    assert "compared in 4 measures" in text
    assert "1 drops out because they have fewer than 5 videos or 2 people: ratio (net 3)" in text
    assert "1 drops out because the number of source clips cannot decide: ratio (net 2)" in text
    assert "In the 2 that are left, VIBA is: first in 1; first by the mean in 0;" in text
    assert "behind in 1" in text and "correlated" in text
    assert "None is left" in verdicts_text(named[2:])
    assert verdicts_text(named[1:3]).endswith("In the one that is left, VIBA is behind.")
    assert "2 drop out because" in verdicts_text([*named, named[3]])
    assert "no verdict" in verdicts_text([])


def test_a_table_says_what_it_rests_on():
    rows = pd.DataFrame({"video_id": list("aabbcde")})
    assert sample_text("Attack", rows) == "Attack: 5 videos from 5 source clips of 5 people."
    few = sample_text("Attack", rows.head(2))
    assert few.startswith("Attack: 1 video from 1 source clip of 1 person. This is an illustration")
    units = pd.DataFrame({"clip": list("abcde"), "person": "x"}, index=list("abcde"))
    assert "of 1 person. This is an illustration" in sample_text("Attack", rows, units)
