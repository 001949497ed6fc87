"""The sentence beside a quiz answer changes with the tables of a run."""

import numpy as np
import pandas as pd
import pytest

from tests.units import ALONE, BOOTSTRAP, VIDEOS
from viba_lib.experiments.quiz_answers import motion_hidden, target_preserves, totals_differ

SUPPORTS, CONTRADICTS = "This run supports the answer.", "This run contradicts the answer."
UNDECIDED = "This run does not decide whether the answer holds."
TOO_SMALL = "This run is too small to test the answer."


def predictions(p_of_fakes: float, in_scope: bool = False) -> pd.DataFrame:
    label = np.array([video.endswith("fake") for video in VIDEOS], int)
    return pd.DataFrame({
        "video_id": VIDEOS, "label": label, "in_scope": in_scope | (label == 0),
        "p_fake": np.where(label, p_of_fakes, 0.2),
    })  # fmt: skip


def test_temporal_fakes_that_are_all_called_real_leave_it_undecided() -> None:
    text = motion_hidden(predictions(0.3), BOOTSTRAP)
    assert "0 of 12 frames of temporal fakes" in text and "0 of 12 frames of real videos" in text
    # Not one frame is called fake, so that the interval has no width.
    assert text.endswith(UNDECIDED)


def test_temporal_fakes_that_are_called_fake_contradict_the_answer() -> None:
    text = motion_hidden(predictions(0.9), BOOTSTRAP)
    assert "12 of 12 frames of temporal fakes" in text and text.endswith(CONTRADICTS)


def test_without_temporal_fakes_or_with_one_person_nothing_is_tested() -> None:
    assert motion_hidden(predictions(0.9, in_scope=True), BOOTSTRAP).endswith(TOO_SMALL)
    assert motion_hidden(predictions(0.9), ALONE).endswith(TOO_SMALL)


def measures(**bits: float) -> pd.DataFrame:
    noise = np.random.default_rng(0).normal(0, 1, len(VIDEOS))
    parts = [
        pd.DataFrame({"video_id": VIDEOS, "layer": layer, "bits": value + noise * (-1) ** i})
        for i, (layer, value) in enumerate(bits.items())
    ]
    return pd.concat(parts).assign(detector="xception")


@pytest.mark.parametrize(("other", "said"), [(20.0, SUPPORTS), (100.0, UNDECIDED)])
def test_the_answer_on_scales_follows_the_totals(other, said) -> None:
    text = totals_differ(measures(block4=100.0, bn4=other), {"xception": "block4"}, BOOTSTRAP)
    assert text.startswith("xception: ") and text.endswith(said)
    assert ("bits at bn4 to 99.9 at block4" in text) == (said == SUPPORTS)


def test_one_layer_has_no_other_to_compare_with() -> None:
    text = totals_differ(measures(block4=100.0), {"xception": "block4"}, BOOTSTRAP)
    assert "Only one layer" in text


def explained(p_fake_random: float) -> pd.DataFrame:
    label = np.array([video.endswith("fake") for video in VIDEOS], int)
    p_fake = np.where(label, 0.8, 0.2)
    own = np.where(label, 1 - p_fake_random, p_fake_random)  # the random class is the other one
    return pd.DataFrame({
        "video_id": VIDEOS, "label": label, "p_fake": p_fake, "p_fake_bottleneck": p_fake,
        "p_fake_true": p_fake, "p_fake_random": own, "random": 1 - label,
    })  # fmt: skip


@pytest.mark.parametrize(
    ("probability", "turned", "said"),
    [(0.9, "100%", SUPPORTS), (0.3, "0%", UNDECIDED), (0.1, "0%", UNDECIDED)],
)
def test_the_answer_on_targets_needs_changed_decisions(probability, turned, said) -> None:
    text = target_preserves({"xception": explained(probability)}, BOOTSTRAP)
    assert f"turns {turned} of their decisions" in text and text.endswith(said)


def test_frames_without_another_class_test_nothing() -> None:
    frames = explained(0.9).assign(random=[int(v.endswith("fake")) for v in VIDEOS])
    text = target_preserves({"xception": frames}, BOOTSTRAP)
    assert "The random class is the predicted one" in text and text.endswith(UNDECIDED)
