"""The size of a test split in words, and in the banner of a page."""

import pandas as pd
import pytest

from viba_lib.data.catalog import validate_catalog
from viba_lib.pipeline.study import Study
from viba_lib.pipeline.units import split_text

FAKES = {"fake0": "real0", "fake1": "real0", "fake2": "real1", "fake3": "real2"}


@pytest.fixture
def catalog():
    """Two people in test, one of them with two clips; one person in training."""
    people = {"real0": "ann", "real1": "ann", "real2": "bob", "real3": "cal"}
    rows = [(video, "real", "", person) for video, person in people.items()]
    rows += [(fake, "fake", real, people[real]) for fake, real in FAKES.items()]
    frame = pd.DataFrame(rows, columns=["video_id", "label", "original", "identity"])
    frame["split"] = frame.identity.map({"ann": "test", "bob": "test", "cal": "train"})
    return validate_catalog(frame.assign(path=frame.video_id + ".mp4"))


def test_the_test_split_in_words(catalog):
    assert split_text(catalog) == "2 test people, 3 source clips, 7 videos"
    assert split_text(catalog[catalog.identity != "ann"]) == (
        "1 test person, 1 source clip, 2 videos"
    )
    unknown = split_text(catalog.assign(identity=""))
    assert unknown == "3 source clips, 7 videos", "unknown people are not one person"


def test_a_banner_waits_for_no_data(tmp_path):
    study = Study("tiny", tmp_path / "data", tmp_path / "results")
    assert "Its results" not in study.banner()
    assert not (tmp_path / "results" / "tiny" / "dataset").exists()


def test_a_banner_counts_the_videos_of_a_catalog(catalog, tmp_path):
    profile = Study("paper", tmp_path, tmp_path).profile.model_copy(update={"name": "own"})
    study = Study(profile, tmp_path / "data", tmp_path / "results")
    assert "Its results" not in study.banner(), "no catalog yet"
    (tmp_path / "data").mkdir()
    catalog.to_parquet(tmp_path / "data" / profile.dataset.catalog)
    study = Study(profile, tmp_path / "data", tmp_path / "results")
    assert "2 test people, 3 source clips, 7 videos" in study.banner()
