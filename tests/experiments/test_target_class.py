"""Decisions for each target of the bottleneck, on frames whose maps are known."""

import numpy as np
import pandas as pd
import pytest

from tests.units import BOOTSTRAP, VIDEOS
from viba_lib.experiments import target_class as t


@pytest.fixture
def frames() -> pd.DataFrame:
    """Four frames of each video; one of them is classified wrongly."""
    label = np.repeat([v.endswith("fake") for v in VIDEOS], 4).astype(int)
    right = np.tile([True, True, True, False], len(VIDEOS))
    p_fake = np.where((label == 1) == right, 0.7, 0.3)
    return pd.DataFrame({
        "video_id": np.repeat(VIDEOS, 4), "position": np.tile(range(4), len(VIDEOS)),
        "label": label, "p_fake": p_fake, "p_fake_bottleneck": np.where(p_fake > 0.5, 0.8, 0.2),
    })  # fmt: skip


def follows(rows: pd.DataFrame, target: str) -> np.ndarray:
    """A bottleneck that gives its target a probability of 0.9."""
    wanted = rows.label if target == "true" else 1 - rows.label
    return np.where(wanted == 1, 0.9, 0.1)


def ignores(rows: pd.DataFrame, _target: str) -> np.ndarray:
    """A bottleneck that has no effect."""
    return rows.p_fake.to_numpy()


def test_only_frames_whose_class_is_not_the_predicted_one_are_explained_again(frames):
    again = {}

    def explain(rows, target):
        again[target] = rows
        return follows(rows, target)

    found = t.with_targets(frames, explain, seed=3)
    predicted = (frames.p_fake > 0.5).astype(int)
    wrong, other = predicted != frames.label, found["random"] != predicted
    assert set(again["true"].index) == set(frames.index[wrong])
    assert set(again["false"].index) == set(frames.index[~wrong & other])
    assert 0.3 < other.mean() < 0.7 and len(again["false"]) > 0
    assert ((found.p_fake_true > 0.5) == frames.label).all()
    assert ((found.p_fake_random > 0.5) == found["random"]).all()
    same = found.p_fake_random[~other]
    assert same.tolist() == frames.p_fake_bottleneck[~other].tolist()


def test_random_classes_follow_the_seed(frames):
    chosen = [t.with_targets(frames, follows, seed)["random"].tolist() for seed in (1, 1, 2)]
    assert chosen[0] == chosen[1] != chosen[2]


def test_nothing_is_explained_for_the_true_class_if_all_are_right(frames):
    asked = []
    right = frames.assign(p_fake=frames.label.astype(float))
    t.with_targets(right, lambda rows, target: asked.append(target) or follows(rows, target))
    assert asked == ["false"]


def test_table_of_each_target(frames):
    explained = {"net": t.with_targets(frames, follows, seed=3)}
    table = t.target_table(explained, BOOTSTRAP).set_index("target")
    assert table.accuracy[t.NONE] == table.accuracy["predicted"] == pytest.approx(3 / 4)
    assert table.accuracy["true"] == 1 and table.accuracy["random"] < 0.7
    assert table.confidence[t.NONE] == pytest.approx(0.7)
    assert table.confidence["predicted"] == pytest.approx(0.8)
    assert table.gain[t.NONE] == 0 and table.gain["predicted"] == pytest.approx(0.1)
    # 0.7 becomes 0.8, of three frames in four, and 0.3 becomes 0.9 for a wrong one.
    assert table.gain["true"] == pytest.approx((3 * 0.1 + 0.6) / 4)


def test_the_text_says_that_decisions_follow_the_target_only_if_they_do(frames):
    text = t.targets_text({"net": t.with_targets(frames, follows, seed=3)}, BOOTSTRAP)
    assert text.startswith(
        "net: the accuracy is 0.750 without a bottleneck, 0.750 with one for the "
    )
    assert "The one for the predicted class turns 0% of the decisions." in text
    assert "turns 100% of their decisions" in text and "close to a tautology" in text
    text = t.targets_text({"net": t.with_targets(frames, ignores, seed=3)}, BOOTSTRAP)
    assert "does not show that decisions follow the target" in text and "tautology" not in text


def test_a_random_class_that_is_always_the_predicted_one_is_said(frames):
    one = t.with_targets(frames, follows, seed=3)
    one = one[one["random"] == (one.p_fake > 0.5)]
    assert "The random class is the predicted one in all" in t.targets_text({"n": one}, BOOTSTRAP)
