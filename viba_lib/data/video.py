"""Decode and encode videos."""

import hashlib
import io
import sys
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from fractions import Fraction
from functools import cached_property
from itertools import chain, count, islice
from pathlib import Path
from typing import Any, NamedTuple

import av
import cv2
import numpy as np
from av.stream import Disposition

from viba_lib.core.errors import VibaError
from viba_lib.core.files import atomic_write

MAX_SIDE = 16384  # pixels, more than any encoder of today writes
SAME_SHAPE = 0.95  # sides of a frame over those of the first, up to which it is not letterboxed


class VideoError(VibaError):
    """A video is missing, cannot be decoded or contains no frames."""


class Video(NamedTuple):
    """Decoded frames (T, H, W, 3) uint8 RGB, and the frame rate in frames per second."""

    frames: np.ndarray
    rate: float


class VideoReader:
    """A video file that is opened once, however often it is read.

    Frames are those that players show: of the default stream, without cover art, turned and
    mirrored as the container states, with square pixels, all at the size of the first frame.

    All iterators over its frames share one decoder, so they may be interleaved. A frame is decoded
    from the current position or from the last entry point before the frame, whichever is nearer.
    If the entry points of the file are misleading, frames are decoded from the first one.

    Parameters
    ----------
    path : the file
    start, end : part of the video in seconds after its first frame; None = from the first frame,
        to the last frame
    length : number of frames in this part, if known from an earlier reader; None = counted when
        it is needed

    Raises
    ------
    VideoError
        The file is missing or is not a video. The methods raise it as well if no frame can be
        decoded or if the part contains none.
    """

    def __init__(
        self,
        path: str | Path,
        start: float | None = None,
        end: float | None = None,
        length: int | None = None,
    ) -> None:
        self.path, self.start, self.end = Path(path), start, end
        self._length = length
        self._origin: int | None = None  # time stamp of the first frame of the file
        self.damage = ""  # in words, where decoding has failed
        if self.path.is_dir():
            raise VideoError(f"{path} is a folder; expected one video file inside it")
        if not self.path.is_file():
            raise VideoError(f"video {path} does not exist; expected a video file: check the path")
        try:
            with ExitStack() as on_error:
                self._file = on_error.enter_context(self.path.open("rb"))
                self._begin()
                on_error.pop_all()  # it stays open until `close`
        except (av.FFmpegError, OSError) as error:
            raise VideoError(
                f"{path} cannot be read as a video ({error.__class__.__name__}); expected a file "
                "that FFmpeg decodes, such as MP4 with H.264: check that it is complete"
            ) from error

    def __enter__(self) -> "VideoReader":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the reader gives no more frames."""
        self._container.close()
        self._file.close()

    @property
    def rate(self) -> float:
        """Frames per second according to the container, 25 if it does not say."""
        rate = self._stream.average_rate
        return float(rate) if rate else 25.0

    @property
    def length(self) -> int:
        """Number of frames that can be decoded, which a container may misstate."""
        if self._length is None:
            self._advance(sys.maxsize)
        if not self._length:
            raise self._no_frames()
        return self._length

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of all frames in pixels."""
        (width, height), transposed, *_ = self._geometry
        return (width, height) if transposed else (height, width)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the file, in hexadecimal."""
        position = self._file.tell()
        self._file.seek(0)
        try:
            return hashlib.file_digest(self._file, "sha256").hexdigest()
        finally:
            self._file.seek(position)

    def frames(
        self, numbers: Iterable[int] | None = None, format: str = "rgb24"
    ) -> Iterator[np.ndarray]:
        """Decode frames one after another, so that memory does not grow with the video's length.

        Parameters
        ----------
        numbers : frames to decode, counted from `start`; None = all
        format : pixel format, "rgb24" or "gray"

        Yields
        ------
        (H, W, 3) uint8 RGB, or (H, W) for "gray", by ascending number and each number once. All
        have the size of the first frame; a frame of another shape is scaled to fit, with black
        bars. Numbers after the last frame are left out.
        """
        for number in count() if numbers is None else sorted(set(numbers)):
            _, transposed, *steps = self._geometry
            frame = self._decode(number)
            if frame is None:
                return
            array = self._fitted(frame, format)
            array = array.swapaxes(0, 1) if transposed else array
            yield np.ascontiguousarray(array[:: steps[0], :: steps[1]])

    @cached_property
    def _geometry(self) -> tuple[tuple[int, int], bool, int, int]:
        """Width and height at which images are decoded, and how they are then put upright.

        That is, whether rows become columns, and then the steps (1 or -1) along rows and columns.
        """
        # The size of some streams changes half-way. The first frame decides for all.
        first = self._decode(0)
        if first is None:
            raise self._no_frames()
        # Phones store images as the sensor lies, and front cameras may store them mirrored. The
        # container has the matrix (x, y) -> (a x + c y, b x + d y) to the image that is shown.
        stated: Any = first.side_data.get("DISPLAYMATRIX")
        matrix = np.array([1, 0, 0, 0, 1]) if stated is None else np.frombuffer(stated, np.int32)
        a, b, _, c, d = matrix[:5].tolist()
        transposed = abs(b) + abs(c) > abs(a) + abs(d)
        down, right = (b, c) if transposed else (d, a)
        return self._size(first), transposed, -1 if down < 0 else 1, -1 if right < 0 else 1

    def _size(self, frame: av.VideoFrame) -> tuple[int, int]:
        """Width and height of a stored frame with square pixels; the stretched side is even."""
        width, height, aspect = frame.width, frame.height, self._aspect
        if aspect > 1:
            width = 2 * round(width * aspect / 2)
        elif aspect < 1:
            height = 2 * round(height / aspect / 2)
        if aspect != 1 and max(width, height) > MAX_SIDE:
            raise VideoError(
                f"{self.path} states a pixel aspect ratio of {aspect}, which gives frames of "
                f"{width}x{height}; expected at most {MAX_SIDE} a side: export it with square "
                "pixels"
            )
        return width, height

    def _fitted(self, frame: av.VideoFrame, format: str) -> np.ndarray:
        """A frame with square pixels inside the size of the first one."""
        (width, height), *_ = self._geometry
        own = self._size(frame)
        zoom = min(width / own[0], height / own[1])
        inner_width, inner_height = (max(1, round(side * zoom)) for side in own)
        # Calls change their resolution, which encoders round; a phone that is turned changes shape.
        if inner_width >= SAME_SHAPE * width and inner_height >= SAME_SHAPE * height:
            return frame.to_ndarray(format=format, width=width, height=height)
        inner = frame.to_ndarray(format=format, width=inner_width, height=inner_height)
        out = np.zeros((height, width, *inner.shape[2:]), np.uint8)
        top, left = (height - inner_height) // 2, (width - inner_width) // 2
        out[top : top + inner_height, left : left + inner_width] = inner
        return out

    def _rewind(self) -> None:
        """Start again at the first frame, with a new decoder on the same open file."""
        self._container.close()
        self._begin()

    def _begin(self) -> None:
        self._file.seek(0)
        # Titles of older files are not always UTF-8.
        self._container = av.open(self._file, "r", metadata_errors="replace")
        # Cover art is a stream too, and may be the first one.
        every = self._container.streams.video
        streams = [s for s in every if not s.disposition & Disposition.attached_pic]
        if not streams:
            raise VideoError(f"{self.path} has no video stream, only others; expected a video file")
        # Of several, the default one, or else the one that FFmpeg finds best: a cover need not be
        # marked as one.
        best = self._container.streams.best("video")
        self._stream = max(
            streams, key=lambda s: (bool(s.disposition & Disposition.default), s is best)
        )
        self._stream.thread_type = "AUTO"
        # AVI has times of packets alone, which may be stored in another order than is shown.
        in_order = not self._stream.codec_context.has_b_frames
        self._is_timed = in_order or self._container.format.name != "avi"
        self._aspect = self._stream.sample_aspect_ratio or Fraction(1)
        self._coming: Iterator[tuple[int, av.VideoFrame]] = enumerate(self._counted())
        self._number, self._from_entry = -1, False
        self._frame: av.VideoFrame | None = None
        self._break: Exception | None = None

    def _counted(self) -> Iterator[av.VideoFrame]:
        """Frames from `start` to `end`, decoded from the first frame of the file."""
        found = 0
        try:
            for number, frame in enumerate(self._container.decode(self._stream)):
                seconds = number / self.rate
                if self._is_timed and frame.pts is not None:
                    self._origin = frame.pts if self._origin is None else self._origin
                    seconds = self._seconds(frame.pts)
                if self.start is not None and seconds < self.start - 1e-6:
                    continue
                if self.end is not None and seconds >= self.end:
                    break
                found += 1
                yield frame
        except av.FFmpegError as error:
            # The file is truncated: the frames before the break are good.
            self._break = error
            self.damage = f"damaged after {found} frames ({type(error).__name__}): these are used"
        self._length = found

    def _seconds(self, stamp: int) -> float:
        """Seconds after the first frame of the file, whatever time its clock started at."""
        return float((stamp - (self._origin or 0)) * (self._stream.time_base or 0))

    def _stamped(self, stamps: list[int]) -> Iterator[tuple[int, av.VideoFrame]]:
        """Frames from the current entry point on, with their numbers by time stamp."""
        numbers = {stamp: number for number, stamp in enumerate(stamps)}
        with suppress(av.FFmpegError):  # the caller then decodes from the first frame
            for frame in self._container.decode(self._stream):
                if frame.pts in numbers:
                    yield numbers[frame.pts], frame

    def _no_frames(self) -> VideoError:
        if self._break is not None:
            return VideoError(
                f"{self.path} cannot be decoded ({self._break.__class__.__name__}); expected a "
                "complete video file: fetch or export it again"
            )
        part = "" if self.start is None and self.end is None else " in the range"
        return VideoError(
            f"{self.path} has no frames{part}; expected at least one: check that the file is "
            "complete"
        )

    def _decode(self, number: int) -> av.VideoFrame | None:
        """Frame of a number, None after the last."""
        if number == self._number:
            return self._frame
        if self._length is not None and number >= self._length:
            return None
        if number != self._number + 1:
            self._approach(number)
        found = self._advance(number)
        if found is None and self._from_entry:
            self._entries = None  # they are misleading
            self._rewind()
            found = self._advance(number)
        return found

    def _advance(self, number: int) -> av.VideoFrame | None:
        """Decode up to a frame after the current one; None if it does not come."""
        for found, frame in self._coming:
            self._number, self._frame = found, frame
            if found >= number:
                return frame if found == number else None
        return None

    def _approach(self, number: int) -> None:
        """Go to the last entry point before a frame, unless the current position is nearer."""
        # Time stamps give the numbers of frames only if all frames have been counted.
        if self._length is not None and self._entries is not None:
            stamps, keys = self._entries
            current = stamps[self._number] if self._number >= 0 else -np.inf
            before = bisect_right(keys, stamps[number])
            if before and (number < self._number or keys[before - 1] > current):
                self._container.seek(keys[before - 1], stream=self._stream)
                self._coming = self._stamped(stamps)
                self._number, self._frame, self._from_entry = -1, None, True
                return
        if number < self._number:
            self._rewind()

    @cached_property
    def _entries(self) -> tuple[list[int], list[int]] | None:
        """Time stamps of the frames, and those at which decoding can begin.

        None if the packets of the file do not give the number of a frame by its time.
        """
        self._rewind()
        packets = self._packets()
        self._rewind()
        stamps = sorted(pts for pts, _ in packets if pts is not None)
        # There must be as many packets as frames, each with a time of its own.
        if not self._is_timed or len(set(stamps)) < len(packets):
            return None
        start = -np.inf if self.start is None else self.start - 1e-6
        end = np.inf if self.end is None else self.end
        stamps = [stamp for stamp in stamps if start <= self._seconds(stamp) < end]
        if len(stamps) != self._length:
            return None
        keys = sorted(pts for pts, is_key in packets if is_key and pts is not None)
        return stamps, keys

    def _packets(self) -> list[tuple[int | None, bool]]:
        with suppress(av.FFmpegError):
            packets = self._container.demux(self._stream)
            # An edit list discards packets that are decoded for others but not shown.
            shown = (packet for packet in packets if packet.size and not packet.is_discard)
            return [(packet.pts, packet.is_keyframe) for packet in shown]
        return []


def read_video(
    path: str | Path,
    start: float | None = None,
    end: float | None = None,
    max_frames: int | None = None,
    format: str = "rgb24",
    begin: int = 0,
) -> Video:
    """Decode a video into memory; see `VideoReader` for the arguments and errors.

    Parameters
    ----------
    begin : number of the first of the `max_frames` frames
    """
    stop = None if max_frames is None else begin + max_frames
    with VideoReader(path, start, end) as reader:
        frames = islice(reader.frames(format=format), begin, stop)
        return Video(np.stack(list(frames)), reader.rate)


def _even(frame: np.ndarray) -> np.ndarray:
    # yuv420p halves the colour planes: both sides must be even.
    pad = [(0, frame.shape[0] % 2), (0, frame.shape[1] % 2)] + [(0, 0)] * (frame.ndim - 2)
    return np.pad(frame, pad, mode="edge")


def write_video(
    path: str | Path,
    frames: Iterable[np.ndarray],
    rate: float,
    crf: int = 18,
    lossless: bool = False,
) -> Path:
    """Write frames as H.264 that plays in a browser, or lossless as FFV1.

    Parameters
    ----------
    frames : (T, H, W, 3) uint8 RGB, or (T, H, W) greyscale (lossless only), or one after another
    crf : quality of H.264, lower is better

    Returns
    -------
    The path. The file is complete or absent, even if writing is interrupted.
    """
    path = Path(path)
    # Bit-exact: no random identifiers, no name of the encoder's version.
    options = {"fflags": "+bitexact"} | ({} if lossless else {"movflags": "+faststart"})
    with atomic_write(path) as tmp, av.open(str(tmp), "w", options=options) as container:
        if not _encode(container, frames, rate, None if lossless else crf):
            raise VideoError(f"no frames to write to {path}; expected at least one")
    return path


def _encode(container: Any, frames: Iterable[np.ndarray], rate: float, crf: int | None) -> bool:
    """Encode frames into an open container, without loss if `crf` is None; False if none came."""
    rest = iter(frames)
    head = next(rest, None)
    if head is None:
        return False
    lossless = crf is None
    pixels, stored = ("gray", "gray") if head.ndim == 2 else ("rgb24", "bgr0")
    codec = "ffv1" if lossless else "libx264"
    stream = container.add_stream(codec, rate=Fraction(rate).limit_denominator(1001))
    stream.height, stream.width = head.shape[:2] if lossless else _even(head).shape[:2]
    stream.pix_fmt = stored if lossless else "yuv420p"
    if not lossless:
        # One thread and no macroblock tree: with them x264 gives the same bytes each time and on
        # any number of cores; the tree's own estimate varies from run to run.
        stream.options = {"crf": str(crf), "preset": "fast", "threads": "1"}
        stream.options |= {"x264-params": "mbtree=0"}
    for array in chain([head], rest):
        given = np.ascontiguousarray(array if lossless else _even(array))
        container.mux(stream.encode(av.VideoFrame.from_ndarray(given, format=pixels)))
    container.mux(stream.encode())
    return True


def jpeg(image: np.ndarray, quality: float) -> np.ndarray:
    """An image (H, W, 3) uint8 as it comes out of JPEG of a quality from 0 to 100."""
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))


def compress(frames: np.ndarray, crf: int) -> np.ndarray:
    """Frames (T, H, W, 3) uint8 RGB as they come out of H.264 of a quality; lower is better."""
    memory = io.BytesIO()
    with av.open(memory, "w", format="h264") as container:
        _encode(container, frames, 25, crf)
    memory.seek(0)
    height, width = frames.shape[1:3]
    with av.open(memory, "r", format="h264") as stream:
        stream.streams.video[0].thread_count = 1
        decoded = [f.to_ndarray(format="rgb24") for f in stream.decode(video=0)]
    return np.stack(decoded)[:, :height, :width]
