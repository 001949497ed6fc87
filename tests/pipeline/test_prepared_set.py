"""Rows of prepared frames, by video and position."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from viba_lib.core.cache import Work
from viba_lib.core.errors import VibaError
from viba_lib.data.catalog import save_catalog
from viba_lib.data.faces import crop
from viba_lib.data.prepare import PreparationSettings
from viba_lib.data.video import write_video
from viba_lib.models.detectors import DETECTORS
from viba_lib.pipeline import compute
from viba_lib.pipeline.prepared_set import PreparedSet
from viba_lib.pipeline.run import Run


def test_rows_come_in_the_order_asked_for_and_twice_if_asked_for_twice():
    clips = PreparedSet(Path("catalog.parquet"), Path())
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


def test_a_video_that_begins_with_a_title_begins_at_its_first_face(tmp_path, face_frames):
    title = np.zeros((9, *face_frames.shape[1:]), np.uint8)
    frames = np.concatenate([title, face_frames])
    (tmp_path / "sets" / "kodf").mkdir(parents=True)
    write_video(tmp_path / "sets" / "kodf" / "title.mp4", frames, 25, 10)
    row = {"video_id": ["title"], "path": ["title.mp4"], "label": ["real"]}
    dataset = save_catalog(pd.DataFrame(row), tmp_path / "sets" / "kodf" / "catalog.csv")
    settings = PreparationSettings(frames_per_video=4, spatial_size=96, flow_size=64).model_dump()
    folder = tmp_path / "prepared"
    folder.mkdir()
    # The catalog lies below the data folder, and its paths begin at its own folder.
    work = Work(data_root=tmp_path / "sets")
    compute.prepare(folder, work, dataset=dataset, settings=settings, seed=0)
    clips = PreparedSet(dataset, folder)
    first = clips.preparation.frames.frame.min()
    assert first >= 9
    clip = clips.consecutive("title", 3, settings)
    assert clip.frame[0] == first and (np.diff(clip.frame) == 1).all()
    shown, _ = clips.first_frames("title", 1, int(first))
    inside = crop(shown[0], clip.squares[0], 96)
    np.testing.assert_array_equal(inside, clip.faces[0])
