"""Rows of prepared frames, by video and position."""

from pathlib import Path

import pandas as pd
import pytest

from viba_lib.core.cache import Work
from viba_lib.core.errors import VibaError
from viba_lib.models.detectors import DETECTORS
from viba_lib.pipeline.prepared_set import PreparedSet
from viba_lib.pipeline.run import Run


def test_rows_come_in_the_order_asked_for_and_twice_if_asked_for_twice():
    clips = PreparedSet(Path("catalog.parquet"), Path(), Work())
    frames = {"video_id": ["a", "a", "b"], "position": [0, 1, 0], "frame": [3, 7, 5]}
    clips.all_frames = pd.DataFrame(frames)
    assert clips.rows([("b", 0), ("a", 1), ("b", 0)]).frame.tolist() == [5, 7, 5]


@pytest.mark.parametrize("split", ["", "train"])
def test_a_split_without_videos_is_said_when_it_is_needed(split):
    run = Run(work=Work(), dataset=Path("c"), prepared=Path(), detector=DETECTORS["xception"])
    rows = {"video_id": ["a", "a", "b"], "label": [0, 0, 1], "split": split, "method": "swap"}
    run.clips.all_frames = pd.DataFrame(rows)
    assert run.clips.frames("test").empty
    with pytest.raises(VibaError, match=rf"in the split 'test'; .* {{'{split}': 2}}: give"):
        run.frames("test")
    if split:
        assert len(run.frames("train")) == 3
