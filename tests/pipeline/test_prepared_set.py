"""Rows of prepared frames, by video and position."""

from pathlib import Path

import pandas as pd

from viba_lib.core.cache import Work
from viba_lib.pipeline.prepared_set import PreparedSet


def test_rows_come_in_the_order_asked_for_and_twice_if_asked_for_twice():
    clips = PreparedSet(Path("catalog.parquet"), Path(), Work())
    frames = {"video_id": ["a", "a", "b"], "position": [0, 1, 0], "frame": [3, 7, 5]}
    clips.all_frames = pd.DataFrame(frames)
    assert clips.rows([("b", 0), ("a", 1), ("b", 0)]).frame.tolist() == [5, 7, 5]
