"""Videos as cameras, editors and calls write them: what a container says beyond pixels."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition

TICKS = Fraction(1, 1000)  # seconds


def encode(
    path: Path,
    frames: Sequence[np.ndarray],
    codec: str = "libx264",
    form: str = "yuv420p",
    given: str = "rgb24",
    stamps: Sequence[int] | None = None,
    rate: int = 25,
    start: int = 0,
    shown: tuple[float, bool] | None = None,
    aspect: Fraction | None = None,
    others: Sequence[np.ndarray] = (),
    cover: str = "",
    marked: bool = True,
    **options: str,
) -> Path:
    """A video as only a careful hand writes it.

    Parameters
    ----------
    stamps : times of the frames in thousandths of a second; None = by `rate`, from `start` on
    shown : counterclockwise degrees and mirroring from left to right, in the display matrix
    aspect : of the pixels
    others : frames of a first video stream, which is not the default one
    cover : a grey image as "first" or "last" stream, or none
    marked : whether the cover is marked as one
    options : of the encoder
    """
    with av.open(str(path), "w") as container:
        streams = [add_cover(container, marked)] if cover == "first" else []
        for part in filter(len, (others, frames)):
            stream = container.add_stream(codec, rate=rate)
            stream.height, stream.width = part[0].shape[:2]
            stream.pix_fmt, stream.options = form, options
            stream.codec_context.time_base = TICKS if stamps else Fraction(1, rate)
            if aspect:
                stream.codec_context.sample_aspect_ratio = aspect
            if shown:
                stream.set_display_rotation(*shown)
            if len(others):
                stream.disposition = Disposition.default if part is frames else Disposition(0)
            streams.append(stream)
        if cover == "last":
            streams.append(add_cover(container, marked))
        for stream in streams:
            part, layout = others if stream is streams[0] and len(others) else frames, given
            if stream.codec_context.name == "mjpeg" and codec != "mjpeg":
                part, layout = [np.full((32, 32, 3), 99, np.uint8)], "rgb24"
            for number, frame in enumerate(part):
                image = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format=layout)
                stamp = stamps[number] if stamps else start + round(number * 1000 / rate)
                image.pts, image.time_base = stamp, TICKS
                container.mux(stream.encode(image))
            container.mux(stream.encode())
    return path


def add_cover(container: av.container.OutputContainer, marked: bool) -> av.VideoStream:
    stream = container.add_stream("mjpeg", rate=25)
    stream.width, stream.height, stream.pix_fmt = 32, 32, "yuvj420p"
    stream.codec_context.time_base = TICKS
    if marked:
        stream.disposition = Disposition.attached_pic
    return stream


def resized(path: Path, frames: Sequence[np.ndarray], rate: int = 10) -> Path:
    """A Matroska video whose frames may differ in size, as those of a call do."""
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("mjpeg", rate=rate)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuvj420p"
        for number, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame = frame.reformat(format="yuvj420p")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            codec = av.CodecContext.create("mjpeg", "w")
            codec.width, codec.height, codec.pix_fmt = frame.width, frame.height, "yuvj420p"
            codec.time_base, codec.options = frame.time_base, {"qmin": "1", "qmax": "1"}
            for packet in [*codec.encode(frame), *codec.encode()]:
                packet.stream = stream
                container.mux(packet)
    return path


def trimmed(path: Path, seconds: int) -> Path:
    """Let the edit list of an MP4 video begin later, as the editor of a phone does."""
    data = path.read_bytes()
    with av.open(str(path)) as container:
        ticks = seconds * container.streams.video[0].time_base.denominator
    # Version, flags, number of entries and duration come before the first time that is shown.
    at = data.index(b"elst") + 16
    start = int.from_bytes(data[at : at + 4], "big") + ticks
    path.write_bytes(data[:at] + start.to_bytes(4, "big") + data[at + 4 :])
    return path
