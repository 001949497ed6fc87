"""Crops of one video in chunks on disk, and what a run that was stopped leaves."""

from pathlib import Path

import numpy as np
import pytest

from viba_lib.core.errors import VibaError
from viba_lib.data import video_chunks
from viba_lib.data.faces import NoFaceError
from viba_lib.data.prepare import PreparationSettings
from viba_lib.data.video import VideoError, VideoReader
from viba_lib.data.video_chunks import DONE, VideoChunks, read_clip, spread_frames

SETTINGS = PreparationSettings(spatial_size=64, flow_size=64)


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_chunks, "CHUNK_FRAMES", 2)


def test_frames_are_spread_evenly_and_have_a_successor(videos: Path) -> None:
    with VideoReader(videos / "face.mp4") as video:
        assert spread_frames(video, 3).tolist() == [0, 2, 4]
        assert spread_frames(video, 99).tolist() == [0, 1, 2, 3, 4]
    with (
        VideoReader(videos / "one.mp4") as video,
        pytest.raises(VideoError, match="has one frame; a flow map needs two"),
    ):
        spread_frames(video, 3)


@pytest.mark.usefixtures("small_chunks")
def test_chunks_contain_the_clip_and_the_video_is_opened_once(
    videos: Path, tmp_path: Path, opened: list[str]
) -> None:
    with VideoReader(videos / "face.mp4") as video:
        indices = spread_frames(video, 5)
        chunks = VideoChunks.prepare(tmp_path / "chunks", video, indices, SETTINGS)
        clip = read_clip(video, SETTINGS, 5)
        assert video.sha256
    assert opened.count(str(videos / "face.mp4")) == 1
    assert chunks.sizes() == [2, 2, 1] and len(chunks) == 3 and chunks.frames == [0, 1, 2, 3, 4]
    for name, array in vars(clip).items():
        parts = [getattr(chunks[number], name) for number in range(len(chunks))]
        np.testing.assert_array_equal(np.concatenate(parts), array)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("stopped", [True, False])
def test_chunks_that_are_prepared_again_are_the_same(
    videos: Path, tmp_path: Path, stopped: bool
) -> None:
    indices = np.array([0, 2, 4])
    with VideoReader(videos / "face.mp4") as video:
        first = VideoChunks.prepare(tmp_path, video, indices, SETTINGS)
        if stopped:
            (tmp_path / DONE).unlink()
        again = VideoChunks.prepare(tmp_path, video, indices, SETTINGS)
    assert again == first and again.frames == [0, 2, 4]


@pytest.mark.usefixtures("small_chunks")
def test_a_broken_chunk_and_a_video_without_a_face_are_named(videos: Path, tmp_path: Path) -> None:
    with VideoReader(videos / "face.mp4") as video:
        chunks = VideoChunks.prepare(tmp_path, video, np.array([0, 2, 4]), SETTINGS)
    (tmp_path / "000001.npz").write_bytes(b"broken")
    with pytest.raises(VibaError, match=r"part 1 in .* is broken"):
        chunks[1]
    with (
        VideoReader(videos / "shapes.mp4") as video,
        pytest.raises(NoFaceError, match=r"no face in any of 2 frames of .*shapes\.mp4"),
    ):
        VideoChunks.prepare(tmp_path / "none", video, np.array([0, 2]), SETTINGS)
    assert not (tmp_path / "none").exists()
