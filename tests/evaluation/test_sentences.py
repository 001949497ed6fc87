"""Verdicts on ties, one cluster, tiny samples and no data, and the sentences about them."""

import numpy as np
import pandas as pd
import pytest

from viba_lib.evaluation import sentences as s


def values(numbers, people=None):
    """Values of videos v0, v1, ..., and units that give each video to one of some people."""
    videos = [f"v{i}" for i in range(len(numbers))]
    people = people or [f"p{i}" for i in range(len(numbers))]
    units = pd.DataFrame({"clip": videos, "person": people[: len(videos)]}, index=videos)
    return pd.DataFrame({"video_id": videos, "value": np.asarray(numbers, float)}), units


def found(numbers, people=None, at=0.0):
    return s.finding(*values(numbers, people), samples=300, at=at)


CLEAR = [1.0, 1.2, 0.9, 1.1, 1.3, 0.8, 1.05, 0.95]


@pytest.mark.parametrize(
    ("numbers", "people", "at", "said"),
    [
        (CLEAR, None, 0, s.HIGHER),
        (CLEAR, None, 3, s.LOWER),
        (CLEAR, None, 1.03, s.NO_DIFFERENCE),
        ([0.0] * 8, None, 0, s.NO_DIFFERENCE),  # a tie is no win
        ([1.0] * 8, ["p"] * 8, 0, s.ILLUSTRATION),  # one person
        (CLEAR[:4], None, 0, s.ILLUSTRATION),
        (CLEAR[:5], None, 0, s.NO_DIFFERENCE),  # p is at least 1/16
        ([1.0], None, 0, s.ILLUSTRATION),
        ([], None, 0, s.NOT_COMPUTED),
        ([np.nan] * 9, None, 0, s.NOT_COMPUTED),
        (CLEAR, ["p", "q"] * 4, 0, s.HIGHER),
    ],
)
def test_verdicts(numbers, people, at, said):
    assert s.verdict(found(numbers, people, at)) == said


def test_with_six_people_the_test_is_over_people():
    people = [f"p{i % 6}" for i in range(24)]
    wide = found([1.0 + 0.01 * i for i in range(24)], people)
    assert wide.tested == "people" and wide.p == pytest.approx(2 / 2**6) and wide.people == 6
    few = found([1.0] * 24, [f"p{i % 5}" for i in range(24)])
    assert few.tested == "source clips" and few.p < 1e-3


def test_people_who_disagree_leave_no_difference():
    # Twenty clips of one person and one of each of two others, who show the opposite.
    people = ["p"] * 20 + ["q", "r"]
    assert s.verdict(found([1.0] * 20 + [-2.0, -2.0], people)) == s.NO_DIFFERENCE


def test_frames_and_fakes_of_one_clip_count_once():
    rows, units = values([1.0, 1.0, 1.0, 5.0])
    units["clip"], units["person"] = ["a", "a", "a", "b"], "p"
    one = s.finding(rows, units, samples=50)
    assert one.estimate == 3 and (one.videos, one.clips) == (4, 2)
    again = s.finding(pd.concat([rows, rows[:1]]), units, samples=50)
    assert again.estimate == 3


def test_pairs_are_by_source_clip():
    rows = pd.DataFrame(
        {
            "video_id": ["a", "a1", "a2", "b", "b1", "c"],
            "label": ["real", "fake", "fake", "real", "fake", "real"],
            "iou": [0.9, 0.5, 0.7, 0.4, np.nan, 0.1],
        }
    )
    units = pd.DataFrame({"clip": list("aaabbc"), "person": "p"}, index=rows.video_id)
    pairs = s.paired(rows, "iou", "label", "real", "fake", units)
    assert list(pairs.video_id) == ["a", "a1", "a2"]
    assert pairs.value.tolist() == pytest.approx([0.3] * 3)
    assert s.paired(rows[:1], "iou", "label", "real", "fake", units).empty


@pytest.mark.parametrize(
    ("numbers", "direction", "margin", "said"),
    [
        (CLEAR, "higher", np.nan, s.SUPPORTS),
        (CLEAR, "lower", np.nan, s.CONTRADICTS),
        ([0.0] * 8, "higher", np.nan, s.UNDECIDED),
        ([0.001, -0.001] * 5, "equal", 0.05, s.SUPPORTS),
        ([1.0, -1.0] * 5, "equal", 0.05, s.UNDECIDED),
        (CLEAR, "equal", 0.05, s.CONTRADICTS),
        (CLEAR, "equal", np.nan, s.CONTRADICTS),
        (CLEAR[:3], "higher", np.nan, s.ILLUSTRATION),
        ([], "equal", 1.0, s.NOT_COMPUTED),
    ],
)
def test_claims(numbers, direction, margin, said):
    assert s.claim_verdict(found(numbers), direction, margin) == said


def test_sentences_say_numbers_people_and_test():
    text = s.level_text("Mass ratio, faces", found(CLEAR, ["p", "q"] * 4, at=0.5))
    assert text.startswith("Mass ratio, faces: 1.04 (95 % interval ")
    assert "8 videos from 8 source clips of 2 people), above chance (0.5; p = 0.00781" in text
    text = s.difference_text("IoU", "real", "fake", found([-x for x in CLEAR]))
    assert "IoU, real minus fake: -1.04" in text and "It is lower for real" in text
    none = s.difference_text("IoU", "real", "fake", found([0.0] * 8))
    assert "No difference was found (p = 1," in none
    assert "illustration" in s.level_text("x", found(CLEAR, ["p"] * 8))
    assert "8 source clips of 1 person" in s.level_text("x", found(CLEAR, ["p"] * 8))
    assert s.level_text("x", found([])) == "x: not computed, because no video has a value."
    assert "no source clip" in s.difference_text("x", "a", "b", found([]))
    assert "no interval" in s.level_text("x", found([1.0]))


def test_each_verdict_on_a_claim_has_its_sentence():
    said = [s.SUPPORTS, s.CONTRADICTS, s.UNDECIDED, s.ILLUSTRATION, s.NOT_COMPUTED]
    texts = [s.claim_text("maps of real videos are more consistent", v) for v in said]
    assert len(set(texts)) == 4 and all("more consistent." in t for t in texts)


@pytest.mark.parametrize(
    ("clips", "said"), [(12, s.UNDECIDED), (149, s.UNDECIDED), (151, s.SUPPORTS), (900, s.SUPPORTS)]
)
def test_clips_that_all_agree_support_equality_by_their_number(clips, said):
    """Three in 150 is 2 %, the margin."""
    found = s.Finding(0.0, 0.0, 0.0, 1.0, clips, clips, 6)
    assert s.claim_verdict(found, "equal", 0.02) == said
    assert s.claim_verdict(found._replace(low=-0.01), "equal", 0.02) == s.SUPPORTS
    assert s.claim_verdict(found._replace(low=-0.03), "equal", 0.02) == s.UNDECIDED
