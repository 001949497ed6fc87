"""Agreement with annotators against hand-worked and published cases, and other libraries."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import precision_recall_fscore_support
from sklearn.preprocessing import MultiLabelBinarizer
from statsmodels.stats.inter_rater import aggregate_raters, fleiss_kappa

from tests.landmarks import face
from viba_lib.core.errors import VibaError
from viba_lib.data.artefacts import SPATIAL
from viba_lib.evaluation import overlap_coefficient
from viba_lib.evaluation.agreement import (
    REGIONS,
    RULES,
    agreement_table,
    annotator_agreement,
    krippendorff_alpha,
    planted_regions,
    region_masks,
    regions_of,
    shuffled_agreement,
    vote,
)


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


def table_of(pairs):
    return pd.DataFrame(pairs, columns=["annotated", "highlighted"])


def test_maps_of_other_videos_agree_less():
    right = table_of([("L", "L"), ("B", "B"), ("C", "C"), ("N", "N")])
    chance = shuffled_agreement(right, samples=400).mean()
    assert chance.overlap == pytest.approx(1 / 4, abs=0.06)
    same = table_of([("L", "LB"), ("B", "LB"), ("L", "LB")])
    always = shuffled_agreement(same, samples=5)
    assert (always.overlap == 1).all(), "maps that are all the same agree with each video"
