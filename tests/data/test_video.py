"""Decoding, encoding and bad files. The videos have no sound, which must not matter."""

import struct
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from viba_lib.core.errors import VibaError
from viba_lib.data import video
from viba_lib.data.video import (
    VideoError,
    frame_rate,
    iter_frames,
    pick_frames,
    read_video,
    write_video,
)


@pytest.fixture
def frames() -> np.ndarray:
    """(5, 40, 64, 3): left half red, right half a grey that grows with time."""
    out = np.zeros((5, 40, 64, 3), np.uint8)
    out[:, :, :32, 0] = 200
    out[:, :, 32:] = (40 * np.arange(5, dtype=np.uint8))[:, None, None, None]
    return out


def test_lossy_round_trip_keeps_size_rate_and_colours(tmp_path: Path, frames: np.ndarray) -> None:
    film = read_video(write_video(tmp_path / "a.mp4", frames, 12.5, crf=10))
    assert film.frames.shape == frames.shape and film.frames.dtype == np.uint8
    assert film.rate == pytest.approx(12.5)
    inner = np.s_[:, 4:-4, 4:28]
    assert np.abs(film.frames[inner].astype(int) - frames[inner]).mean() < 8


@pytest.mark.parametrize("grey", [True, False])
def test_lossless_round_trip_is_exact(tmp_path: Path, frames: np.ndarray, grey: bool) -> None:
    given = frames[..., 0] if grey else frames
    path = write_video(tmp_path / "a.mkv", given, 25, lossless=True)
    np.testing.assert_array_equal(read_video(path, form="gray" if grey else "rgb24").frames, given)


def test_odd_sizes_are_padded_for_the_browser(tmp_path: Path, frames: np.ndarray) -> None:
    path = write_video(tmp_path / "odd.mp4", frames[:, :39, :63], 25)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.height, stream.width) == (40, 64)
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
    # +faststart: the index comes before the pictures, so that playing starts at once.
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_ranges_in_seconds_and_frame_limits(tmp_path: Path, frames: np.ndarray) -> None:
    path = write_video(tmp_path / "a.mp4", frames, 10)
    assert len(read_video(path, start=0.1, end=0.3).frames) == 2
    assert len(read_video(path, max_frames=3).frames) == 3
    assert frame_rate(path) == 10
    with pytest.raises(VideoError, match="no frames in the range"):
        read_video(path, start=9.0)


def test_pictures_of_a_telephone_are_turned_upright(tmp_path: Path, frames: np.ndarray) -> None:
    # A telephone held upright stores the sensor's lying picture and a matrix that says
    # "turn clockwise by 90 degrees"; here that matrix is put in place of the identity.
    upright = np.ascontiguousarray(frames[:, :, :40])
    path = write_video(tmp_path / "a.mp4", np.rot90(upright, 1, axes=(1, 2)), 10, crf=5)
    one = 1 << 16
    identity = struct.pack(">9i", one, 0, 0, 0, one, 0, 0, 0, 1 << 30)
    turned = struct.pack(">9i", 0, one, 0, -one, 0, 0, 0, 0, 1 << 30)
    head, track, tail = path.read_bytes().partition(b"tkhd")
    path.write_bytes(head + track + tail.replace(identity, turned, 1))
    found = read_video(path).frames
    assert np.abs(found.astype(int) - upright).mean() < 8


def test_decoding_is_lazy(tmp_path: Path, frames: np.ndarray) -> None:
    path = write_video(tmp_path / "a.mp4", frames, 10)
    stream = iter_frames(path)
    assert next(stream).shape == (40, 64, 3)
    stream.close()
    path.unlink()


def test_bad_files_name_themselves_and_the_remedy(tmp_path: Path, frames: np.ndarray) -> None:
    with pytest.raises(VideoError, match=r"absent\.mp4 does not exist"):
        read_video(tmp_path / "absent.mp4")
    with pytest.raises(VideoError, match="is a folder"):
        read_video(tmp_path)
    text, empty, cut = (tmp_path / f"{n}.mp4" for n in ("text", "empty", "cut"))
    text.write_text("no video")
    empty.write_bytes(b"")
    cut.write_bytes(write_video(tmp_path / "a.mp4", frames, 10).read_bytes()[:500])
    for path in (text, empty, cut):
        with pytest.raises(VideoError, match=path.name):
            read_video(path)
    assert issubclass(VideoError, VibaError)


@pytest.fixture
def long_film(tmp_path: Path) -> Path:
    """60 frames of 10 a second, with an entry point every 10 frames and frames out of order."""
    path = tmp_path / "long.mp4"
    grey = np.linspace(0, 255, 60).astype(np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.options = {"g": "10", "bf": "2", "crf": "1", "sc_threshold": "0"}
        for level in grey:
            frame = np.full((64, 64, 3), level, np.uint8)
            frame[: level // 4] = 255 - level
            for packet in stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


@pytest.mark.parametrize("span", [{}, {"start": 1.3}, {"start": 0.5, "end": 4.2}])
def test_picked_frames_are_those_of_a_whole_decoding(long_film: Path, span: dict) -> None:
    whole = list(iter_frames(long_film, form="gray", **span))
    numbers = [0, 1, 7, 20, 21, len(whole) - 1]
    found = list(pick_frames(long_film, numbers, len(whole), form="gray", **span))
    assert [n for n, _ in found] == numbers
    for number, frame in found:
        np.testing.assert_array_equal(frame, whole[number])
    assert list(pick_frames(long_film, [], len(whole))) == []


def test_few_frames_of_a_film_need_few_to_be_decoded(long_film: Path, monkeypatch) -> None:
    decoded = []
    decode = av.container.InputContainer.decode

    class Counting:
        def __init__(self, container):
            self.container = container

        def __getattr__(self, name):
            return getattr(self.container, name)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.container.close()

        def decode(self, stream):
            for frame in decode(self.container, stream):
                decoded.append(frame.pts)
                yield frame

    real = video._open
    monkeypatch.setattr(video, "_open", lambda path: Counting(real(path)))
    assert [n for n, _ in pick_frames(long_film, [3, 52], 60)] == [3, 52]
    assert len(decoded) <= 8


@pytest.mark.parametrize("wrong", ["length", "stamps"])
def test_misleading_entry_points_cost_time_and_no_frame(
    long_film: Path, monkeypatch, wrong: str
) -> None:
    whole = list(iter_frames(long_film))
    if wrong == "stamps":
        stamps, keys = video._entries(long_film, 60, None, None)
        bad = [*stamps[:30], *(t + 1 for t in stamps[30:])]
        monkeypatch.setattr(video, "_entries", lambda *args: (bad, keys))
    found = dict(pick_frames(long_film, [3, 52], 61 if wrong == "length" else 60))
    assert set(found) == {3, 52}
    np.testing.assert_array_equal(found[52], whole[52])


def test_a_cut_off_stream_gives_the_frames_before_the_break(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (20, 64, 64, 3), np.uint8)
    path = write_video(tmp_path / "a.mkv", noise, 10, lossless=True)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    kept = read_video(path).frames
    assert 0 < len(kept) < len(noise)
    np.testing.assert_array_equal(kept[:5], noise[:5])


def test_sound_without_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(
            np.zeros((1, 800), np.int16), format="s16", layout="mono"
        )
        sound.sample_rate = 8000
        for packet in [*stream.encode(sound), *stream.encode()]:
            container.mux(packet)
    with pytest.raises(VideoError, match="no picture"):
        read_video(path)


def test_nothing_is_left_behind_when_writing_fails(tmp_path: Path, frames: np.ndarray) -> None:
    with pytest.raises(VideoError, match="no frames to write"):
        write_video(tmp_path / "a.mp4", frames[:0], 25)
    with pytest.raises((ValueError, TypeError)):
        write_video(tmp_path / "a.mp4", frames.astype(np.float64), 25)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("lossless", [False, True])
def test_the_same_frames_give_the_same_bytes_in_every_process(tmp_path, lossless):
    program = """
import sys
import numpy as np
from viba_lib.data.video import write_video
rng = np.random.default_rng(0)
still = rng.integers(0, 255, (144, 176, 3), np.uint8)
frames = np.stack([np.roll(still, 3 * t, axis=1) // 2 + 7 * t for t in range(16)]).astype(np.uint8)
write_video(sys.argv[1], frames, 25.0, crf=10, lossless=sys.argv[2] == "1")
"""
    paths = [tmp_path / f"{n}{'.mkv' if lossless else '.mp4'}" for n in range(3)]
    for path in paths:
        flag = str(int(lossless))
        subprocess.run([sys.executable, "-c", program, str(path), flag], check=True)
    assert len({path.read_bytes() for path in paths}) == 1
