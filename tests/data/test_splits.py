"""Splits: the paper's shares, and nobody on both sides where it is asked for."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from viba_lib.data.catalog import CatalogError, validate_catalog
from viba_lib.data.splits import (
    complete_splits,
    leaks,
    linked_groups,
    split_catalog,
    split_together,
)


@pytest.mark.parametrize("group", [None, "identity"])
def test_splits_have_the_papers_shares(catalog: pd.DataFrame, group: str | None) -> None:
    found = split_catalog(catalog, seed=3, group=group)
    share = found.split.value_counts(normalize=True)
    np.testing.assert_allclose(share[["train", "val", "test"]], [0.7, 0.15, 0.15], atol=0.11)
    pd.testing.assert_frame_equal(found, split_catalog(catalog, seed=3, group=group))
    if group:
        assert found.groupby("identity").split.nunique().max() == 1


def test_impossible_splits(catalog: pd.DataFrame) -> None:
    with pytest.raises(CatalogError, match=r"4 videos in 2 groups by identity .*at least 3"):
        split_catalog(catalog.head(4), group="identity")


def test_one_or_two_videos_have_no_split(catalog: pd.DataFrame) -> None:
    for count in (1, 2):
        found = complete_splits(validate_catalog(catalog.head(count)))
        assert (found.split == "").all() and len(leaks(found)) == 2
    given = validate_catalog(catalog.head(2).assign(split=["test", ""]))
    assert complete_splits(given).split.tolist() == ["test", "train"]


def test_three_people_make_three_splits(catalog: pd.DataFrame) -> None:
    assert split_catalog(catalog.head(6), group="identity").split.nunique() == 3


def test_missing_splits_are_completed_by_identity(catalog: pd.DataFrame) -> None:
    found = complete_splits(validate_catalog(catalog))
    assert set(found.split) == {"train", "val", "test"}
    assert found.groupby("identity").split.nunique().max() == 1


def test_official_splits_stay(catalog: pd.DataFrame) -> None:
    given = validate_catalog(catalog.assign(split=["test"] * 6 + [""] * 14))
    found = complete_splits(given, seed=1)
    assert (found.split[:6] == "test").all()
    assert found.split[6:].value_counts().to_dict() == {"train": 12, "val": 2}
    assert found.groupby("identity").split.nunique().max() == 1
    pd.testing.assert_frame_equal(complete_splits(found), found)


def test_links_are_persons_and_originals(listed):
    frame = listed(
        [
            ("a", "one", "real", "", "p", ""),
            ("b", "one", "fake", "m", "q", "a"),  # of person p's video
            ("c", "one", "fake", "m", "q", ""),  # linked to a through b
            ("d", "two", "real", "", "p", ""),  # another set's person p
            ("e", "two", "fake", "m", "", "gone"),  # two fakes of an absent original
            ("f", "one", "fake", "m", "", "gone"),
            ("g", "one", "real", "", "", ""),
        ]
    )
    groups = dict(zip(frame.video_id, linked_groups(frame), strict=True))
    assert groups["a"] == groups["b"] == groups["c"] and groups["e"] == groups["f"]
    assert len(set(groups.values())) == 4


def test_a_random_split_leaks_and_a_linked_one_does_not(faces):
    random = leaks(split_catalog(faces, seed=0)).set_index("split")
    assert random.loc["test", "person"] > 0.5 and random.loc["test", "original"] > 0.5
    assert random.loc["test", "linked"] >= random.loc["test", "person"]
    kept = split_together(faces, seed=0)
    assert (leaks(kept)[["person", "original", "linked"]] == 0).all(axis=None)
    assert kept.split.value_counts().to_dict() == {"train": 42, "val": 9, "test": 9}


@given(st.lists(st.integers(1, 9), min_size=3, max_size=40), st.integers(0, 3))
def test_groups_of_any_size_stay_whole_and_the_shares_come_as_near_as_they_can(sizes, seed):
    groups = np.repeat(np.arange(len(sizes)), sizes)
    frame = pd.DataFrame({"person": groups})
    found = split_catalog(frame, seed=seed, group="person")
    assert found.groupby("person").split.nunique().max() == 1
    counts = found.split.value_counts()
    assert set(counts.index) == {"train", "val", "test"}
    # No split is over its share by more than the largest group.
    for split, share in (("train", 0.7), ("val", 0.15), ("test", 0.15)):
        assert counts[split] <= share * len(frame) + max(sizes)


def test_large_and_small_groups_are_spread_alike():
    sizes = np.repeat([6, 1], [30, 120])
    frame = pd.DataFrame({"person": np.repeat(np.arange(150), sizes)})
    frame["large"] = frame.person < 30
    found = split_catalog(frame, seed=0, group="person")
    share = found.groupby("split").large.mean()
    assert share.between(0.5, 0.7).all()  # of all videos it is 0.6


def swaps(listed, pairs):
    """A real film of each person, and fakes: the first person's film with the second's face."""
    people = sorted({p for pair in pairs for p in pair})
    rows = [(f"r-{p}", "set", "real", "", p, "", "") for p in people]
    rows += [(f"f-{a}-{b}", "set", "fake", "swap", a, f"r-{a}", b) for a, b in pairs]
    return listed(rows)


def test_pairs_of_people_stay_together(listed):
    # As in FaceForensics++: people come in pairs, and each lends its face to the other.
    frame = swaps(listed, [(f"{n}{x}", f"{n}{y}") for n in range(20) for x, y in ("ab", "ba")])
    assert linked_groups(frame).nunique() == 20
    assert linked_groups(frame, donors=False).nunique() == 40
    found = leaks(split_together(frame, seed=1))
    assert (found[["person", "donor", "original", "linked"]] == 0).all(axis=None)


def test_where_everyone_lends_to_everyone_only_the_people_shown_are_kept_together(listed):
    # As in Celeb-DF: with donors, all videos would be one group.
    people = [f"p{n:02d}" for n in range(12)]
    frame = swaps(listed, [(a, b) for a in people for b in people if a != b])
    assert linked_groups(frame).nunique() == 1
    found = leaks(split_together(frame, seed=1)).set_index("split")
    assert (found[["person", "original", "linked"]] == 0).all(axis=None)
    assert found.donor.min() > 0.9


def test_two_people_cannot_be_split_but_their_videos_can(listed):
    frame = swaps(listed, [("a", "b"), ("b", "a")])
    with pytest.raises(CatalogError, match="cannot be split three ways"):
        split_together(frame)
    assert set(complete_splits(frame).split) == {"train", "val", "test"}
