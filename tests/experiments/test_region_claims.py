"""The paper's findings by region, on maps that mark known parts of a face."""

import numpy as np
import pandas as pd
import pytest

from tests.landmarks import face
from tests.units import ALONE, BOOTSTRAP, VIDEOS
from viba_lib.experiments import region_claims as r
from viba_lib.experiments.common import ExplainedVideo

SIZE = 60
MASKS = r.part_masks(face(), SIZE)


def video(name: str, *parts: str) -> ExplainedVideo:
    """Two frames whose maps mark some parts of the face."""
    marked = np.logical_or.reduce([MASKS[part] for part in parts]).astype(float)
    frames = pd.DataFrame({"video_id": [name] * 2, "label": [int(name.endswith("fake"))] * 2})
    return ExplainedVideo(frames, np.stack([marked] * 2), np.zeros((2, 3)), np.stack([face()] * 2))


def test_parts_lie_where_they_are_on_a_face():
    assert all(mask.any() and mask.shape == (SIZE, SIZE) for mask in MASKS.values())
    rows = {name: np.argwhere(mask)[:, 0].mean() for name, mask in MASKS.items()}
    assert rows["forehead"] < rows["eyes"] < rows["nose"] < rows["chin"]
    columns = np.argwhere(MASKS["ears"])[:, 1] / SIZE
    assert set(np.sign(columns - 0.5)) == {-1, 1} and np.abs(columns - 0.5).min() > 0.2
    for first, second in (("forehead", "eyes"), ("nose", "cheeks"), ("eyes", "cheeks")):
        assert not (MASKS[first] & MASKS[second]).any()


def test_shares_of_parts():
    videos = [video("a-fake", "forehead", "nose"), video("a-real", "eyes", "cheeks", "chin")]
    shares = r.part_shares(videos).set_index("label")
    assert shares.forehead["fake"] == 1 and shares.forehead["real"] < 0.1
    assert shares.nose_ears["fake"] == 1 and shares.nose_ears["real"] < 0.1
    assert shares.nose.to_dict() == {"fake": 1, "real": 0}
    assert shares.chin.to_dict() == {"fake": 0, "real": 1}


def test_maps_of_zeros_have_no_shares():
    shares = r.part_shares([video("a-fake", "chin")])
    assert np.isnan(shares.forehead[0]) and shares.chin[0] == 1
    empty = video("a-fake", "chin")
    shares = r.part_shares(
        [ExplainedVideo(empty.frames, 0 * empty.relevance, empty.squares, empty.landmarks)]
    )
    assert shares[list(r.FINDINGS)].isna().all(axis=None)


def test_findings_are_judged_on_pairs_of_one_source_clip():
    as_said = [
        video(v, *(("forehead", "ears") if v.endswith("fake") else ("eyes", "nose")))
        for v in VIDEOS
    ]
    shares = dict.fromkeys(("xception", "flow-vgg11"), r.part_shares(as_said))
    table = r.findings_table(shares, BOOTSTRAP).set_index("measure")
    assert table.verdict["forehead"] == table.verdict["nose"] == "supports"
    assert table.difference["forehead"] == pytest.approx(1, abs=0.1) and table.people["nose"] == 4
    assert table.verdict["chin"] == "undecided", "no map marks it"
    text = r.findings_text(table.reset_index())
    assert "supports the paper's claim that maps of fakes mark the forehead" in text
    assert "a marked nose is 0.00 in fakes and 1.00 in real videos" in text
    assert set(r.findings_table(shares, ALONE).verdict) == {"illustration"}
