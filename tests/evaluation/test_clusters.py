"""Source clips and people behind videos, and samples of them."""

import numpy as np
import pandas as pd

from viba_lib.evaluation.clusters import Clusters, counts, units_of, with_units
from viba_lib.evaluation.significance import with_intervals

CATALOG = pd.DataFrame(
    {
        "video_id": ["a", "a-mouth", "b", "c", "d"],
        "original": ["", "a", None, "", ""],
        "identity": ["anna", "anna", "anna", "carl", ""],
    }
)
ROWS = pd.DataFrame({"video_id": ["d", "a-mouth", "a", "c", "a"], "value": [0, 1, 2, 3, 4.0]})


def test_a_fake_shares_the_clip_and_the_person_of_its_original():
    units = units_of(CATALOG)
    assert units["clip"].to_dict() == {"a": "a", "a-mouth": "a", "b": "b", "c": "c", "d": "d"}
    assert list(units.person) == ["anna", "anna", "anna", "carl", "d"]
    assert list(units_of(CATALOG[["video_id"]]).person) == list(CATALOG.video_id)


def test_rows_get_their_units_and_are_counted():
    known = with_units(ROWS, units_of(CATALOG))
    assert list(known["clip"]) == ["d", "a", "a", "c", "a"]
    assert counts(ROWS, units_of(CATALOG)) == {"videos": 4, "clips": 3, "people": 3}
    assert counts(ROWS, None) == {"videos": 4, "clips": 4, "people": 4}
    unlisted = with_units(ROWS, units_of(CATALOG[:1]))
    assert list(unlisted.person) == ["d", "a-mouth", "anna", "c", "anna"]


def test_a_clip_is_never_taken_apart_and_people_are_sampled_whole():
    clusters = Clusters(ROWS, units_of(CATALOG))
    assert clusters.clips == 3
    rng = np.random.default_rng(0)
    for _ in range(50):
        rows = list(clusters.sample(rng))
        assert rows.count(1) == rows.count(2) == rows.count(4), "the three rows of clip a"
        assert rows.count(0) + rows.count(1) + rows.count(3) == 3, "three people each time"


def test_clips_of_one_person_do_not_count_as_people():
    rng = np.random.default_rng(1)
    people = np.repeat([f"p{i}" for i in range(6)], 20)
    videos = [f"v{i}" for i in range(120)]
    values = rng.normal(size=6)[np.repeat(range(6), 20)] + 0.1 * rng.normal(size=120)
    rows = pd.DataFrame({"video_id": videos, "value": values})
    units = pd.DataFrame({"clip": videos, "person": people}, index=videos)

    def width(given):
        row = with_intervals(rows, lambda r: {"m": float(r["value"].mean())}, 300, 0, given)
        return row["m_high"] - row["m_low"]

    assert width(units) > 2.5 * width(None)
    alone = units.assign(person="p")
    assert width(alone) < width(units), "with one person only clips are sampled"
