"""Preparation, explanation, comparison, the viewer and the annotator show the same frames."""

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from tests.videos import encode, resized
from viba_lib.book import viewer
from viba_lib.core.cache import Work
from viba_lib.data.catalog import save_catalog, validate_catalog
from viba_lib.data.faces import crop
from viba_lib.data.prepare import PreparationSettings
from viba_lib.data.video import VideoReader, read_video
from viba_lib.data.video_chunks import VideoChunks, read_clip, spread_frames
from viba_lib.experiments.relevance_videos import preview
from viba_lib.pipeline import compute
from viba_lib.pipeline.prepared_set import PreparedSet

SETTINGS = PreparationSettings(frames_per_video=3, spatial_size=96, flow_size=64)


def odd(path: Path, upright: np.ndarray) -> Path:
    """Stored lying and mirrored, with pixels twice as wide as high, on a clock one hour late."""
    stored = np.rot90(upright[:, :, ::-1], -1, axes=(1, 2))
    narrow = [cv2.resize(frame, (120, 320), interpolation=cv2.INTER_AREA) for frame in stored]
    return encode(path, narrow, shown=(90, True), aspect=Fraction(2), start=3_600_000, crf="5")


def grows(path: Path, upright: np.ndarray) -> Path:
    """A call whose frame size changes half-way."""
    wide = [cv2.resize(frame, (640, 480)) for frame in upright[3:]]
    return resized(path, [*upright[:3], *wide], rate=25)


@pytest.mark.parametrize("make", [odd, grows])
def test_all_readers_show_the_same_frames(tmp_path: Path, face_frames, make) -> None:
    path = make(tmp_path / "odd.mkv", face_frames)
    every = read_video(path).frames
    assert every.shape == face_frames.shape
    assert np.abs(every.astype(int) - face_frames).mean() < 6

    row = {"video_id": ["odd"], "path": ["odd.mkv"], "label": ["real"]}
    catalog = validate_catalog(pd.DataFrame(row))
    dataset = save_catalog(catalog, tmp_path / "catalog.parquet")
    work = Work(data_root=tmp_path)
    (tmp_path / "prepared").mkdir()
    given = {"settings": SETTINGS.model_dump(), "seed": 0}
    compute.prepare(tmp_path / "prepared", work, dataset=dataset, **given)
    prepared = PreparedSet(dataset, tmp_path / "prepared")

    with VideoReader(path) as reader:
        compared = read_clip(reader, SETTINGS, 99)
        chunks = VideoChunks.prepare(tmp_path / "e", reader, spread_frames(reader, 99), SETTINGS)
        assert chunks.frames == compared.frame.tolist() == [0, 1, 2, 3, 4]
        assert reader.shape == every.shape[1:3]
    for clip in (compared, chunks[0], prepared.clip("odd")):
        assert len(clip.frame) >= 3
        for at, number in enumerate(clip.frame):
            np.testing.assert_array_equal(clip.faces[at], compared.faces[number])
            np.testing.assert_array_equal(clip.pairs[at], compared.pairs[number])
            shown = crop(every[number], clip.squares[at], 96)
            assert np.abs(shown.astype(int) - clip.faces[at]).mean() < 2
        # The photograph moves two pixels from one frame to the next, everywhere.
        assert np.abs(clip.flow.astype(float)).mean() < 2

    np.testing.assert_array_equal(prepared.first_frames("odd", 6)[0], every)
    images: viewer.Images = {}
    row = prepared.all_frames.assign(group="").iloc[0]
    clip = prepared.consecutive("odd", 12, SETTINGS.model_dump())
    entry = viewer._clip_entry(row, clip, viewer._rate(prepared, "odd"), "c0", images)
    assert entry["frames"] == compared.frame.tolist()
    assert entry["seconds"] == [round(number / 25, 3) for number in entry["frames"]]
    for name, face in zip(entry["originals"], compared.faces, strict=True):
        np.testing.assert_array_equal(images[name], viewer._sized(face))
    annotated = read_video(preview(catalog.iloc[0], tmp_path, tmp_path / "page.mp4")).frames
    assert annotated.shape == every.shape
    assert np.abs(annotated.astype(int) - every).mean() < 4
