"""Drawing videos, and splits that keep together what belongs together."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from viba_lib.data.catalog import CatalogError, load_catalog, save_catalog
from viba_lib.data.sampling import (
    PAPER_COUNTS,
    draw_catalog,
    fair_shares,
    is_paper_sample,
    join_catalogs,
    sample_catalog,
)
from viba_lib.data.splits import leaks
from viba_lib.experiments.paper_and_run import table_1, table_1_text
from viba_lib.experiments.paper_numbers import DATASET_NAMES


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 20), max_size=6), st.integers(0, 60))
def test_shares_are_as_even_as_the_amounts_allow(available, total):
    shares = fair_shares(available, total)
    assert sum(shares.values()) == min(total, sum(available.values()))
    assert all(0 <= shares[k] <= n for k, n in available.items())
    most = max(shares.values(), default=0)
    # Who gives less than another by more than one has given all.
    assert all(shares[k] == n or shares[k] >= most - 1 for k, n in available.items())


def test_a_draw_is_balanced_and_seeded(faces):
    drawn = sample_catalog(faces, {"set": 20}, seed=3)
    assert drawn.label.value_counts().to_dict() == {"real": 10, "fake": 10}
    assert drawn[drawn.label == "fake"].method.value_counts().to_dict() == {"swap": 5, "lips": 5}
    shuffled = faces.sample(frac=1, random_state=1)
    assert set(sample_catalog(shuffled, {"set": 20}, seed=3).video_id) == set(drawn.video_id)
    assert set(sample_catalog(faces, {"set": 20}, seed=4).video_id) != set(drawn.video_id)


def test_what_one_kind_lacks_the_others_give(faces):
    few = faces[(faces.label == "real") | faces.video_id.isin(["swap1", "lips1", "lips2"])]
    drawn = sample_catalog(few, {"set": 20})
    assert drawn.label.value_counts().to_dict() == {"real": 17, "fake": 3}


def test_too_few_videos_are_said(faces):
    with pytest.raises(CatalogError, match=r"61 videos of 'set'.*has 60"):
        sample_catalog(faces, {"set": 61})
    with pytest.raises(CatalogError, match="catalog has 0"):
        sample_catalog(faces, {"other": 1})


def test_the_papers_counts_are_those_of_its_table():
    assert list(PAPER_COUNTS) == list(DATASET_NAMES.index)
    assert sum(PAPER_COUNTS.values()) == 378


def test_a_part_of_the_papers_videos_is_not_its_sample():
    names = [name for name, count in PAPER_COUNTS.items() for _ in range(count)]
    catalog = pd.DataFrame({"dataset": names})
    assert is_paper_sample(catalog)
    assert not is_paper_sample(catalog.iloc[1:])
    assert not is_paper_sample(pd.concat([catalog, pd.DataFrame({"dataset": ["own"]})]))


def test_a_study_is_drawn_from_several_catalogs(faces):
    other = faces.assign(dataset="other", video_id="o-" + faces.video_id, original="")
    drawn = draw_catalog([faces, other, faces], {"set": 30, "other": 20}, seed=1)
    assert drawn.dataset.value_counts().to_dict() == {"set": 30, "other": 20}
    assert set(drawn.split) == {"train", "val", "test"}
    assert (leaks(drawn)[["person", "original", "linked"]] == 0).all(axis=None)
    random = draw_catalog([faces, other], None, seed=1, together=False)
    assert len(random) == 120 and leaks(random).person.min() > 0.5
    again = draw_catalog([faces, other], {"set": 30, "other": 20}, seed=1)
    pd.testing.assert_frame_equal(again, drawn)


def test_one_id_for_two_videos_is_refused(faces):
    with pytest.raises(CatalogError, match="given twice"):
        join_catalogs([faces, faces.assign(path="elsewhere.mp4")])


def test_the_papers_table_stands_beside_any_catalog(faces):
    known = faces.assign(dataset="celebdf", video_id="c-" + faces.video_id)
    beside = table_1(pd.concat([faces, known.head(9)]))
    assert table_1_text(beside) == (
        "The paper's Table 1 lists 9 sources, and its numbers sum to 378 videos. This catalog has "
        "69 videos, 9 of them from 1 of these sources."
    )
    table = beside.set_index("dataset")
    assert table.loc["Celeb-DF", ["paper", "videos", "real", "fake"]].tolist() == [56, 9, 3, 6]
    assert table.loc["KoDF", "videos"] == 0 and pd.isna(table.loc["set", "paper"])
    assert table.loc["set", ["videos", "methods", "people"]].tolist() == [60, 2, 20]
    assert table.loc["all", ["paper", "videos"]].tolist() == [378, 69]


def test_a_further_column_may_be_text_in_one_catalog_and_numbers_in_another(faces, tmp_path):
    other = faces.assign(dataset="other", video_id="o-" + faces.video_id, age=31)
    joined = join_catalogs([faces.assign(age="31"), other])
    assert set(joined.age) == {"31"}
    assert len(load_catalog(save_catalog(joined, tmp_path / "c.parquet"))) == len(joined)
