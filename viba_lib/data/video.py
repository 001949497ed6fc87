"""Decode and encode frames."""

import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from viba_lib.core.errors import VibaError
from viba_lib.core.files import atomic_write


class VideoError(VibaError):
    """A video is missing, cannot be decoded or holds no frames."""


class Video(NamedTuple):
    """Decoded frames (T, H, W, 3) uint8 RGB, and their number per second."""

    frames: np.ndarray
    rate: float


def _open(path: str | Path) -> av.container.InputContainer:
    path = Path(path)
    if path.is_dir():
        raise VideoError(f"{path} is a folder; expected one video file inside it")
    if not path.is_file():
        raise VideoError(f"video {path} does not exist; expected a video file: check the path")
    try:
        container = av.open(str(path))
    except (av.FFmpegError, ValueError) as error:
        raise VideoError(
            f"{path} cannot be read as a video ({error.__class__.__name__}); expected a file that "
            "FFmpeg decodes, such as MP4 with H.264: check that it is whole"
        ) from error
    if not container.streams.video:
        container.close()
        raise VideoError(f"{path} has no picture, only other streams; expected a video stream")
    return container


def frame_rate(path: str | Path) -> float:
    """Frames per second as the container gives it, 25 where it does not say."""
    with _open(path) as container:
        rate = container.streams.video[0].average_rate
    return float(rate) if rate else 25.0


def _array(frame: av.VideoFrame, form: str, width: int, height: int) -> np.ndarray:
    array = frame.to_ndarray(format=form, width=width, height=height)
    # Telephones store pictures as the sensor lies and say how to turn them.
    turns = round(frame.rotation / 90) % 4
    return np.rot90(array, turns).copy() if turns else array


def iter_frames(
    path: str | Path, start: float | None = None, end: float | None = None, form: str = "rgb24"
) -> Iterator[np.ndarray]:
    """Decode one frame after another, so that memory does not grow with the video's length.

    Parameters
    ----------
    start, end : seconds; None = from the first, to the last frame
    form : pixel format, "rgb24" or "gray"

    Yields
    ------
    (H, W, 3) uint8 RGB, or (H, W) for "gray".

    Raises
    ------
    VideoError
        The file is missing, cannot be decoded or has no frame in the range.
    """
    width = height = 0
    for frame in _decoded(path, start, end):
        # Some streams change size half-way; the first frame's holds for all.
        width, height = width or frame.width, height or frame.height
        yield _array(frame, form, width, height)


def _decoded(path: str | Path, start: float | None, end: float | None) -> Iterator[av.VideoFrame]:
    count = 0
    with _open(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        try:
            for frame in container.decode(stream):
                at = frame.time or 0.0
                if start is not None and at < start - 1e-6:
                    continue
                if end is not None and at >= end:
                    break
                count += 1
                yield frame
        except av.FFmpegError as error:
            if not count:
                raise VideoError(
                    f"{path} cannot be decoded ({error.__class__.__name__}); expected a whole "
                    "video file: fetch or export it again"
                ) from error
            # A file that is cut off: what was decoded before the break is good.
    if not count:
        raise VideoError(
            f"{path} has no frames{'' if start is None and end is None else ' in the range'}; "
            "expected at least one: check that the file is whole"
        )


def count_frames(path: str | Path) -> int:
    """Number of frames that can be decoded; see `iter_frames` for the errors.

    A container may claim any number; only decoding tells.
    """
    return sum(1 for _ in _decoded(path, None, None))


def pick_frames(
    path: str | Path,
    numbers: Iterable[int],
    length: int,
    start: float | None = None,
    end: float | None = None,
    form: str = "rgb24",
) -> Iterator[tuple[int, np.ndarray]]:
    """Some frames of a video, ascending, without decoding more than they need.

    A frame is decoded from the last entry point of the file before it, so a long film of which a
    few frames are wanted is not decoded as a whole.

    Parameters
    ----------
    numbers : wanted frames, counted from `start`
    length : number of frames from `start` to `end`, as `iter_frames` gave them

    Yields
    ------
    (number, frame), see `iter_frames`.
    """
    wanted = sorted(set(numbers))
    if not wanted:
        return
    done = -1
    entries = _entries(path, length, start, end)
    if entries is not None:
        for number, frame in _jumping(path, wanted, *entries, form):
            done = number
            yield number, frame
    # A file whose entry points mislead is decoded from its first frame on.
    rest = {n for n in wanted if n > done}
    if rest:
        for number, frame in enumerate(iter_frames(path, start, end, form)):
            if number in rest:
                yield number, frame
            if number >= wanted[-1]:
                break


def _entries(
    path: str | Path, length: int, start: float | None, end: float | None
) -> tuple[list[int], list[int]] | None:
    """Time stamps of the frames from start to end, and of all frames decoding can begin with."""
    facts = os.stat(path)
    return _listed(str(path), (facts.st_size, facts.st_mtime_ns), length, start, end)


@lru_cache(maxsize=8)
def _listed(
    path: str, facts: tuple[int, int], length: int, start: float | None, end: float | None
) -> tuple[list[int], list[int]] | None:
    # Kept: a film whose face is lost often is asked for many short pieces. `facts` are of its
    # content, which may change.
    with _open(path) as container:
        stream = container.streams.video[0]
        base = stream.time_base
        packets = [(p.pts, p.is_keyframe) for p in container.demux(stream) if p.size]
    found = [(pts, key) for pts, key in packets if pts is not None]
    if base is None or len(found) < len(packets):
        return None
    stamps = sorted(pts for pts, _ in found)
    begin = -np.inf if start is None else start - 1e-6
    inside = [t for t in stamps if begin <= float(t * base) < (np.inf if end is None else end)]
    # As many packets as frames, each with a time of its own: a frame's number tells its time.
    if len(inside) != length or len(set(stamps)) != len(stamps):
        return None
    return inside, sorted(pts for pts, key in found if key)


def _jumping(
    path: str | Path, wanted: list[int], stamps: list[int], keys: list[int], form: str
) -> Iterator[tuple[int, np.ndarray]]:
    """The wanted frames, as far as each is found at its time."""
    with _open(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        frames = container.decode(stream)
        at = None
        try:
            for number in wanted:
                target = stamps[number]
                before = bisect_right(keys, target)
                entry = keys[before - 1] if before else None
                if entry is not None and (at is None or entry > at):
                    container.seek(entry, stream=stream)
                for frame in frames:
                    at = frame.pts
                    if at is None or at >= target:
                        break
                if at != target:
                    return
                yield number, _array(frame, form, stream.width, stream.height)
        except av.FFmpegError:
            return


def read_video(
    path: str | Path,
    start: float | None = None,
    end: float | None = None,
    max_frames: int | None = None,
    form: str = "rgb24",
) -> Video:
    """Decode a video into memory; see `iter_frames` for the arguments and errors."""
    frames = []
    for frame in iter_frames(path, start, end, form):
        frames.append(frame)
        if max_frames is not None and len(frames) >= max_frames:
            break
    return Video(np.stack(frames), frame_rate(path))


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
    frames : (T, H, W, 3) uint8 RGB, or (T, H, W) grey (lossless only), or one after another
    crf : quality of H.264, lower is better

    Returns
    -------
    The path. The file is written aside and renamed, so it is whole or absent.
    """
    path = Path(path)
    rest = iter(frames)
    head = next(rest, None)
    if head is None:
        raise VideoError(f"no frames to write to {path}; expected at least one")
    form = "gray" if head.ndim == 2 else "rgb24"
    # Bit-exact: no random identifiers, no name of the encoder's version.
    options = {"fflags": "+bitexact"} | ({} if lossless else {"movflags": "+faststart"})
    with atomic_write(path) as tmp, av.open(str(tmp), "w", options=options) as container:
        stream = container.add_stream(
            "ffv1" if lossless else "libx264", rate=Fraction(rate).limit_denominator(1001)
        )
        first = head if lossless else _even(head)
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = ("gray" if form == "gray" else "bgr0") if lossless else "yuv420p"
        if not lossless:
            # One thread and no macroblock tree: with them x264 gives the same bytes each time
            # and on any number of cores; the tree's own estimate varies from run to run.
            stream.options = {"crf": str(crf), "preset": "fast", "threads": "1"}
            stream.options |= {"x264-params": "mbtree=0"}
        for array in chain([head], rest):
            pixels = np.ascontiguousarray(array if lossless else _even(array))
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format=form)):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path
