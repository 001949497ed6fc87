"""Parts of a drawn face, and the relevance in them."""

import numpy as np
import pandas as pd
import pytest

from tests.landmarks import face
from viba_lib.experiments.common import ExplainedVideo
from viba_lib.experiments.face_parts import PARTS, relevance_by_part
from viba_lib.experiments.region_claims import part_masks

SIZE = 100


def video(name, label, relevance):
    frames = pd.DataFrame({"video_id": [name] * 2, "label": [label] * 2})
    return ExplainedVideo(frames, relevance, np.zeros((2, 3)), np.stack([face()] * 2))


def test_relevance_is_relative_to_the_frame():
    flat, eyes = np.ones((2, SIZE, SIZE)), np.zeros((2, SIZE, SIZE))
    eyes[0] = part_masks(face(), SIZE)["eyes"]  # in one of two frames
    none = np.zeros_like(flat)
    table = relevance_by_part([video("a", 0, flat), video("b", 1, eyes), video("c", 1, none)])
    assert table.label.tolist() == ["real", "fake", "fake"]
    assert np.allclose(table.loc[0, list(PARTS)].astype(float), 1)
    share = part_masks(face(), SIZE)["eyes"].mean()
    assert table.eyes[1] == pytest.approx(1 / share) and table.mouth[1] == table.chin[1] == 0
    assert table.loc[2, list(PARTS)].isna().all()
    assert relevance_by_part([]).empty
