"""Decoding, encoding and bad files. The videos have no sound, which must not matter."""

import hashlib
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import psutil
import pytest

from tests.videos import encode, resized, trimmed
from viba_lib.core.errors import VibaError
from viba_lib.data.keyframes import frame_differences
from viba_lib.data.video import VideoError, VideoReader, compress, read_video, write_video


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
    np.testing.assert_array_equal(
        read_video(path, format="gray" if grey else "rgb24").frames, given
    )


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
    with VideoReader(path) as reader:
        assert reader.rate == 10
    with pytest.raises(VideoError, match="no frames in the range"):
        read_video(path, start=9.0)


def test_decoding_is_lazy(tmp_path: Path, frames: np.ndarray) -> None:
    path = write_video(tmp_path / "a.mp4", frames, 10)
    with VideoReader(path) as reader:
        assert next(reader.frames()).shape == (40, 64, 3)
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
        with pytest.raises(VideoError, match=path.name) as refused:
            read_video(path)
        # Also while the error, and with it the reader, is still there.
        assert refused.value and str(path) not in {f.path for f in psutil.Process().open_files()}
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


SPANS = [{}, {"start": 1.3}, {"start": 0.5, "end": 4.2}]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Time stamps of the frames that were decoded, in this order."""
    stamps: list[int] = []
    open_container = av.open

    class Counting:
        """A container whose decoded frames are noted."""

        def __init__(self, *arguments, **options) -> None:
            self.container = open_container(*arguments, **options)

        def __getattr__(self, name: str):
            return getattr(self.container, name)

        def decode(self, stream):
            for frame in self.container.decode(stream):
                stamps.append(frame.pts)
                yield frame

    monkeypatch.setattr(av, "open", Counting)
    return stamps


@pytest.mark.parametrize("span", SPANS)
@pytest.mark.parametrize("counted", [True, False])
def test_picked_frames_are_those_of_a_whole_decoding(
    long_film: Path, span: dict, counted: bool
) -> None:
    every = read_video(long_film, **span, format="gray").frames
    numbers = [0, 1, 7, 20, 21, len(every) - 1]
    with VideoReader(long_film, **span) as reader:
        assert not counted or reader.length == len(every)
        found = list(reader.frames([*reversed(numbers), 7, len(every), 900], "gray"))
        np.testing.assert_array_equal(found, every[numbers])
        assert list(reader.frames([])) == [] and reader.length == len(every)


@pytest.mark.parametrize("span", SPANS)
def test_iterators_of_a_reader_may_be_interleaved(long_film: Path, span: dict) -> None:
    every = read_video(long_film, **span).frames
    with VideoReader(long_film, **span) as reader:
        for counted in (False, True):
            assert not counted or reader.length == len(every)
            one, other = reader.frames(), reader.frames(range(5, len(every), 7))
            for number in range(5, len(every), 7):
                np.testing.assert_array_equal(next(other), every[number])
                np.testing.assert_array_equal(next(one), every[number // 7])


def test_few_frames_of_a_film_need_few_to_be_decoded(long_film: Path, decoded: list[int]) -> None:
    with VideoReader(long_film, length=60) as reader:
        assert len(list(reader.frames([3, 52]))) == 2
    assert len(decoded) <= 8


def test_frames_are_decoded_on_from_the_position_of_another_iterator(
    long_film: Path, decoded: list[int]
) -> None:
    with VideoReader(long_film, length=60) as reader:
        frames = reader.frames([13, 14, 19])
        next(frames)
        list(reader.frames([13, 14, 16], "gray"))
        del decoded[:]
        list(frames)
    # Frame 14 needs its entry point again, and the rest of that group of ten.
    assert len(decoded) <= 11


@pytest.mark.parametrize("wrong", ["length", "stamps"])
def test_misleading_entry_points_cost_time_and_no_frame(
    long_film: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    every = read_video(long_film).frames
    packets = VideoReader._packets

    def misled(reader: VideoReader) -> list:
        shift = 0 if wrong == "length" else 1
        return [(pts + shift * (n >= 30), key) for n, (pts, key) in enumerate(packets(reader))]

    monkeypatch.setattr(VideoReader, "_packets", misled)
    with VideoReader(long_film, length=61 if wrong == "length" else 60) as reader:
        np.testing.assert_array_equal(list(reader.frames([52, 3])), every[[3, 52]])


def test_a_video_is_opened_once_for_all_that_is_read(long_film: Path, opened: list[str]) -> None:
    with VideoReader(long_film) as reader:
        differences = frame_differences(reader.frames(format="gray"))
        assert reader.length == len(differences) == 60 and reader.rate == 10
        assert len(list(reader.frames([50, 3, 20]))) == 3
        assert len(reader.sha256) == 64 and reader.shape == (64, 64)
        assert len(list(reader.frames())) == 60
    assert opened.count(str(long_film)) == 1


def test_the_hash_does_not_disturb_decoding(long_film: Path) -> None:
    every = read_video(long_film).frames
    with VideoReader(long_film) as reader:
        frames = reader.frames()
        first = next(frames)
        assert reader.sha256 == hashlib.sha256(long_film.read_bytes()).hexdigest()
        np.testing.assert_array_equal([first, *frames], every)


def test_a_part_without_frames_is_refused_each_time(long_film: Path) -> None:
    with VideoReader(long_film, start=9.0) as reader:
        for _ in range(2):
            with pytest.raises(VideoError, match="no frames in the range"):
                next(reader.frames([4]))
            with pytest.raises(VideoError, match="no frames in the range"):
                _ = reader.length


def test_all_frames_have_the_size_of_the_first(tmp_path: Path) -> None:
    sizes = [(48, 64)] * 5 + [(96, 128)] * 4 + [(94, 128)]
    images = [np.full((*size, 3), 20 * n, np.uint8) for n, size in enumerate(sizes)]
    with VideoReader(resized(tmp_path / "grows.mkv", images), length=10) as reader:
        picked = list(reader.frames([8, 9]))
        every = list(reader.frames())
    assert {frame.shape for frame in [*picked, *every]} == {(48, 64, 3)} and len(every) == 10
    assert [round(float(frame.mean())) for frame in picked] == [160, 180]


def test_frames_of_another_shape_are_not_distorted(tmp_path: Path) -> None:
    # A phone that is turned during a call: a square stays a square, between black bars.
    lying, standing = np.full((48, 64, 3), 90, np.uint8), np.full((64, 48, 3), 90, np.uint8)
    standing[16:32, 16:32] = 255
    with VideoReader(resized(tmp_path / "turns.mkv", [lying, lying, standing])) as reader:
        first, _, turned = reader.frames(format="gray")
    assert first.shape == turned.shape == (48, 64)
    rows, columns = (np.flatnonzero((turned > 170).any(axis)) for axis in (1, 0))
    assert len(rows) == pytest.approx(12, abs=1) and len(columns) == pytest.approx(12, abs=1)
    assert turned[:, :13].max() < 9 and turned[:, 51:].max() < 9 and turned[24, 20] > 80


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
    with pytest.raises(VideoError, match="no video stream"):
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


# ---- what a container says beyond pixels ---------------------------------------------------------


@pytest.fixture
def corner() -> np.ndarray:
    """(12, 48, 64, 3): only the upper left quarter is bright, more so with time."""
    out = np.full((12, 48, 64, 3), 30, np.uint8)
    out[:, :24, :32] = np.linspace(100, 250, 12).astype(np.uint8)[:, None, None, None]
    return out


def differs(found: np.ndarray, expected: np.ndarray) -> float:
    assert found.shape == expected.shape
    return float(np.abs(found.astype(int) - expected).mean())


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_images_are_turned_and_mirrored(
    tmp_path: Path, corner: np.ndarray, suffix: str, degrees: int, mirrored: bool
) -> None:
    path = encode(tmp_path / f"a.{suffix}", corner, shown=(degrees, mirrored))
    upright = np.rot90(corner, degrees // 90, axes=(1, 2))
    upright = upright[:, :, ::-1] if mirrored else upright
    assert differs(read_video(path).frames, upright) < 4
    with VideoReader(path) as reader:
        assert reader.shape == upright.shape[1:3]


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "avi", "ts"])
@pytest.mark.parametrize("aspect", [Fraction(4, 3), Fraction(2), Fraction(8, 9)])
def test_pixels_become_square(
    tmp_path: Path, corner: np.ndarray, suffix: str, aspect: Fraction
) -> None:
    path = encode(tmp_path / f"a.{suffix}", corner, aspect=aspect)
    shape = {Fraction(4, 3): (48, 86), Fraction(2): (48, 128), Fraction(8, 9): (54, 64)}[aspect]
    found = read_video(path, format="gray").frames
    assert found.shape == (12, *shape)
    assert (found[6] > 90).mean() == pytest.approx(0.25, abs=0.02)


def test_pixels_of_a_turned_image_become_square(tmp_path: Path, corner: np.ndarray) -> None:
    path = encode(tmp_path / "a.mp4", corner, shown=(90, False), aspect=Fraction(2))
    assert read_video(path).frames.shape == (12, 128, 48, 3)


def test_an_impossible_pixel_aspect_is_refused(tmp_path: Path, corner: np.ndarray) -> None:
    path = encode(tmp_path / "a.mp4", np.tile(corner, (1, 10, 1, 1)), aspect=Fraction(300))
    with pytest.raises(VideoError, match=r"aspect ratio of 300.*19200x480.*square pixels"):
        read_video(path)


# In MP4, an unmarked image is a video of its own.
@pytest.mark.parametrize("cover", ["first", "last"])
@pytest.mark.parametrize(
    ("suffix", "marked"), [("mp4", True), ("mkv", True), ("mkv", False), ("avi", False)]
)
def test_cover_art_is_not_the_video(
    tmp_path: Path, corner: np.ndarray, suffix: str, marked: bool, cover: str
) -> None:
    path = encode(tmp_path / f"a.{suffix}", corner, cover=cover, marked=marked)
    assert differs(read_video(path).frames, corner) < 4


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_the_default_video_of_several_is_read(
    tmp_path: Path, corner: np.ndarray, suffix: str
) -> None:
    path = encode(tmp_path / f"a.{suffix}", corner, others=255 - np.tile(corner, (2, 1, 1, 1)))
    assert differs(read_video(path).frames, corner) < 4


@pytest.mark.parametrize("start", [0, 5000, 3_600_000])
@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "ts", "webm"])
def test_seconds_count_from_the_first_frame(
    tmp_path: Path, corner: np.ndarray, suffix: str, start: int
) -> None:
    codec = "libvpx-vp9" if suffix == "webm" else "libx264"
    path = encode(tmp_path / f"a.{suffix}", corner, codec, rate=10, start=start)
    every = read_video(path).frames
    assert len(every) == 12
    np.testing.assert_array_equal(read_video(path, 0.0, 0.5).frames, every[:5])
    with VideoReader(path, 0.3, 1.1) as reader:
        assert reader.length == 8
        np.testing.assert_array_equal(list(reader.frames([6, 1])), every[[4, 9]])


def test_seconds_of_a_variable_frame_rate_are_those_of_the_frames(
    tmp_path: Path, corner: np.ndarray
) -> None:
    stamps = [500, 510, 900, 930, 2500, 2510]
    path = encode(tmp_path / "a.mp4", corner[:6], stamps=stamps)
    every = read_video(path).frames
    np.testing.assert_array_equal(read_video(path, 0.4, 2.0).frames, every[2:4])


@pytest.mark.parametrize("suffix", ["avi", "h264"])
def test_frames_without_times_of_their_own(tmp_path: Path, corner: np.ndarray, suffix: str) -> None:
    # AVI and raw streams store packets in the order of decoding, without times of frames.
    path = encode(tmp_path / f"a.{suffix}", np.tile(corner, (3, 1, 1, 1)), g="12", bf="3")
    every = read_video(path).frames
    assert len(every) == 36
    np.testing.assert_array_equal(read_video(path, 0.2, 0.8).frames, every[5:20])
    with VideoReader(path) as reader:
        assert reader.length == 36
        for number in (30, 3, 2, 13, 25, 12):
            np.testing.assert_array_equal(next(reader.frames([number])), every[number])


def test_an_edit_list_leaves_frames_out(tmp_path: Path, corner: np.ndarray) -> None:
    path = encode(tmp_path / "a.mp4", np.tile(corner, (3, 1, 1, 1)), rate=10, g="6", bf="2")
    every = read_video(path).frames
    trimmed(path, 1)
    np.testing.assert_array_equal(read_video(path).frames, every[10:])
    np.testing.assert_array_equal(read_video(path, 0.5, 1.0).frames, every[15:20])
    with VideoReader(path) as reader:
        assert reader.length == 26
        for number in (20, 3, 2, 13, 25, 0):
            np.testing.assert_array_equal(next(reader.frames([number])), every[10 + number])


NAMES = [
    "2024-05-01T10:20:30.mp4", "-clip.mp4", "--out.mp4", "file:a.mp4", "http:a.mp4",
    "concat:a|b.mp4", "pipe:0.mp4", "50%.mp4", "%03d.mp4", "a b.mp4", "a*?.mp4", "[a].mp4",
    "\u00fc\u5f71.mp4", "~a.mp4", "~", "a::b.mp4", "it's.mp4", "a\nb.mp4", "a\udce9.mp4",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_neither_an_address_nor_a_pattern(
    tmp_path: Path, frames: np.ndarray, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    film = write_video("film.mp4", frames, 10)
    film.rename(name)
    if name.endswith(".mp4"):
        assert write_video(name, frames, 10) == Path(name)
    assert len(read_video(name).frames) == 5 and [p.name for p in tmp_path.iterdir()] == [name]
    Path("folder:" + name).mkdir()
    path = write_video(Path("folder:" + name, "film.mkv"), frames, 10, lossless=True)
    np.testing.assert_array_equal(read_video(path).frames, frames)


@pytest.mark.parametrize("name", ["50%d.gif", "%03d.gif", "a*.gif"])
def test_a_name_like_that_of_numbered_images(
    tmp_path: Path, corner: np.ndarray, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    encode(Path("film.gif"), corner, "gif", "rgb8").rename(name)
    assert len(read_video(name).frames) == 12


def test_only_one_reader_opens_videos() -> None:
    root = Path(__file__).parents[2] / "viba_lib"
    calls = re.compile(r"av\.open\(|VideoCapture|imageio|read_video_file|torchvision\.io|decord")
    found = [p.name for p in root.rglob("*.py") if calls.search(p.read_text(encoding="utf-8"))]
    # The other one repeats the packets of a video that it has just written.
    assert sorted(found) == ["scaling.py", "video.py"]


def test_compressed_frames_lose_more_at_a_lower_quality_and_keep_their_shape() -> None:
    rng = np.random.default_rng(0)
    frames = cv2.GaussianBlur(rng.integers(0, 256, (33, 47, 3), dtype=np.uint8), (0, 0), 1.5)
    clip = np.stack([frames, frames[::-1]])
    lost = [np.abs(compress(clip, crf).astype(int) - clip).mean() for crf in (18, 28, 40)]
    assert compress(clip, 18).shape == clip.shape and lost[0] < lost[1] < lost[2]
    np.testing.assert_array_equal(compress(clip, 30), compress(clip, 30))


def test_a_title_that_is_not_utf8(tmp_path: Path, frames: np.ndarray) -> None:
    path = tmp_path / "old.mp4"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "\u00c4rger 1999"
        stream = container.add_stream("libx264", 25, width=64, height=40)
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(stream.encode())
    data = path.read_bytes()
    title = "\u00c4rger".encode()
    assert title in data
    path.write_bytes(data.replace(title, b"\xc4rger "))
    assert len(read_video(path).frames) == 5


def test_where_decoding_fails_is_said(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (50, 64, 64, 3), np.uint8)
    path = write_video(tmp_path / "holed.mp4", noise, 25)
    with VideoReader(path) as whole:
        assert (whole.length, whole.damage) == (50, "")
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    position, size = packets[20]
    data = bytearray(path.read_bytes())
    data[position : position + size] = bytes(size)
    path.write_bytes(data)
    with VideoReader(path) as holed:
        assert 1 <= holed.length < 50
        said = f"damaged after {holed.length} frames (InvalidDataError): these are used"
        assert holed.damage == said
        next(holed.frames([0]))
        assert holed.damage == said, "reading again forgets nothing"
