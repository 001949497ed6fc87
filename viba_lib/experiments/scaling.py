"""What long videos and many videos cost: memory, time, and a projection to a cluster."""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from viba_lib.core.memory import resident_memory, run_in_new_process
from viba_lib.data.catalog import segment
from viba_lib.data.video import VideoReader, write_video
from viba_lib.experiments.speed import layer_costs
from viba_lib.pipeline.explain_video import explain_video
from viba_lib.pipeline.study import Study

RATE = 25
LOOP_SECONDS = 10
MIB = 4096  # the ceiling that a long film must stay under
STEEPEST = 1.2  # exponent of time over length that still passes for linear, with its noise


@dataclass(frozen=True)
class Opened:
    """What a fresh process needs to open the study again."""

    profile: str
    data_root: Path
    results_root: Path
    device: str
    seed: int


def real_video(study: Study) -> tuple[Path, float | None, float | None]:
    """A real video of the test split, and the start and end of its part in seconds."""
    catalog = study.catalog()
    rows = catalog[(catalog.split == "test") & (catalog.label == "real")]
    return segment((rows if len(rows) else catalog).iloc[0], study.catalog_root())


def long_film(study: Study, path: Path, minutes: float, size: tuple[int, int]) -> Path:
    """A film of a face in a loop, of any length and size; its encoding costs ten seconds' worth.

    Parameters
    ----------
    size : width and height in pixels, even
    """
    with VideoReader(*real_video(study)) as video:
        frames = [_fitted(f, size) for f in islice(video.frames(), RATE * LOOP_SECONDS)]
    # There and back again, so that the loop has no jump.
    there = [*frames, *frames[-2:0:-1]]
    count = max(2, round(min(LOOP_SECONDS, minutes * 60) * RATE))
    loop = (there[i % len(there)] for i in range(count))
    with tempfile.TemporaryDirectory() as folder:
        short = write_video(Path(folder) / "loop.mp4", loop, RATE)
        return _repeated(short, path, max(1, round(minutes * 60 * RATE / count)))


def _fitted(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The middle of a frame in another size; nothing is stretched."""
    zoom = max(size[0] / frame.shape[1], size[1] / frame.shape[0])
    scaled = cv2.resize(frame, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_LINEAR)
    top, left = (scaled.shape[0] - size[1]) // 2, (scaled.shape[1] - size[0]) // 2
    return scaled[top : top + size[1], left : left + size[0]]


def _repeated(short: Path, path: Path, times: int) -> Path:
    """The packets of a film again and again, as they are."""
    with av.open(str(short)) as source, av.open(str(path), "w") as sink:
        stream = source.streams.video[0]
        copy = sink.add_stream_from_template(stream)
        packets = [p for p in source.demux(stream) if p.size and p.dts is not None]
        length = sum(p.duration or 0 for p in packets)
        for turn in range(times):
            for packet in packets:
                again = av.Packet(bytes(packet))
                again.time_base, again.duration = packet.time_base, packet.duration
                again.pts = (packet.pts or 0) + turn * length
                again.dts = (packet.dts or 0) + turn * length
                again.is_keyframe = packet.is_keyframe
                again.stream = copy
                sink.mux(again)
    return path


def _explain(opened: Opened, film: Path, detector: str, frames: int) -> dict[str, float]:
    study = Study(opened.profile, opened.data_root, opened.results_root, opened.device, opened.seed)
    # Trained, and statistics known, before the clock runs.
    study.statistics(detector)
    before = resident_memory()
    with tempfile.TemporaryDirectory() as out:
        start = time.perf_counter()
        summary = explain_video(film, Path(out) / "out", study, detector, max_frames=frames)
        seconds = time.perf_counter() - start
    return {
        "explained": float(len(summary["explained_frames"])),
        "seconds": seconds,
        "before": before,
        "memory": resident_memory(peak=True),
    }


def scale_rows(
    study: Study,
    opened: Opened,
    detector: str,
    minutes: Sequence[float],
    per_minute: float,
    size: tuple[int, int],
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[dict[str, Any]]:
    """Cost of films of several lengths, each explained in a process of its own.

    Parameters
    ----------
    minutes : lengths of the films
    per_minute : explained frames for each minute of film
    size : width and height

    Yields
    ------
    minutes, frames (of the film), explained, seconds, memory (MiB at most), before (MiB before the
    film was opened).
    """
    study.statistics(detector)
    for length in minutes:
        with tempfile.TemporaryDirectory() as folder:
            progress(f"making a film of {length:g} minutes, {size[0]}x{size[1]}")
            film = long_film(study, Path(folder) / "film.mp4", length, size)
            progress(f"explaining it with {detector}")
            count = max(1, round(length * per_minute))
            row = run_in_new_process(_explain, opened, film, detector, count)
        yield {"minutes": length, "frames": round(length * 60 * RATE), **row}


def line(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Straight line through seconds over minutes of film.

    Returns
    -------
    fixed (seconds), per_minute (seconds), r2 (share of the variance that the line explains),
    exponent (of a power law without the fixed part: 1 is linear; NaN for fewer than two lengths).
    """
    x = np.array([row["minutes"] for row in rows], float)
    y = np.array([row["seconds"] for row in rows], float)
    if len(x) < 2:
        return {"fixed": 0.0, "per_minute": float(y[0] / x[0]), "r2": np.nan, "exponent": np.nan}
    slope, fixed = np.polyfit(x, y, 1)
    rest = y - (fixed + slope * x)
    spread = float(((y - y.mean()) ** 2).sum())
    base = np.clip(y - max(0.0, fixed), 1e-9, None)
    return {
        "fixed": float(fixed),
        "per_minute": float(slope),
        "r2": 1 - float((rest**2).sum()) / spread if spread else np.nan,
        "exponent": float(np.polyfit(np.log(x), np.log(base), 1)[0]),
    }


def operations(study: Study, detector: str) -> float:
    """Floating-point operations of explaining one frame, counted.

    One pass to the layer; then in each step and for each draw of noise a pass behind it and one
    back, which costs about twice a pass.
    """
    table = layer_costs(study).set_index(["detector", "layer"])
    cost = table.loc[(detector, study.layer(detector))]
    chosen = study.profile.bottleneck
    passes = 3 * chosen.steps * chosen.noise_samples
    return float(2e9 * (cost.before + cost.behind * passes))


def projection(
    row: dict[str, Any],
    flops: float,
    videos: Sequence[int] = (1_000, 1_000_000),
    workers: int = 32,
    teraflops: float = 20.0,
    measured_on_gpu: bool = False,
) -> list[dict[str, Any]]:
    """What many films like one that was measured would cost.

    Videos do not share work, so that a cluster's time is that of one video, times their number,
    over its workers; the start of workers and slow disks are not in it.

    Parameters
    ----------
    row : of `scale_rows`
    flops : operations of one explained frame, see `operations`
    workers : of the Dask cluster, each as fast as the machine that measured
    teraflops : that a GPU is assumed to keep up, in 10^12 operations a second
    measured_on_gpu : the seconds are a GPU's own; they are then its hours, decoding included

    Returns
    -------
    videos, worker_hours, days (on that many workers), gpu_hours (of the networks alone unless
    measured).
    """
    found = []
    for count in videos:
        hours = row["seconds"] * count / 3600
        networks = row["explained"] * flops * count / (teraflops * 1e12) / 3600
        found.append(
            {
                "videos": count,
                "worker_hours": hours,
                "days": hours / workers / 24,
                "gpu_hours": hours if measured_on_gpu else networks,
            }
        )
    return found
