"""Cost of long videos and of many videos: memory, time, and a projection to a cluster."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
from scipy.stats import linregress

from viba_lib.core.memory import resident_memory
from viba_lib.data.catalog import segment
from viba_lib.experiments.memory import run_in_new_process
from viba_lib.experiments.preparation_cost import LONGEST_LOOP, RATE, looped_video
from viba_lib.experiments.speed import layer_costs
from viba_lib.pipeline.explain_video import explain_video
from viba_lib.pipeline.study import Study

MAX_MIB = 4096  # the limit that a long video must stay under
MAX_EXPONENT = 1.2  # of time over length, for growth that is still linear apart from noise


def long_video(study: Study, path: Path, minutes: float, size: tuple[int, int]) -> Path:
    """Write a video of a real face in a loop, of any length; only ten seconds are encoded.

    Parameters
    ----------
    size : width and height in pixels, even
    """
    catalog = study.catalog()
    rows = catalog[(catalog.split == "test") & (catalog.label == "real")]
    source = segment((rows if len(rows) else catalog).iloc[0], study.catalog_root())
    count = max(2, min(LONGEST_LOOP, round(minutes * 60 * RATE)))
    with tempfile.TemporaryDirectory() as folder:
        short = looped_video(source, Path(folder) / "loop.mp4", count, size)
        return _repeated(short, path, max(1, round(minutes * 60 * RATE / count)))


def _repeated(short: Path, path: Path, times: int) -> Path:
    """A video whose packets are those of another, several times."""
    parts = short.with_suffix(".txt")
    parts.write_text(f"file '{short.name}'\n" * times)
    with av.open(str(parts), format="concat") as source, av.open(str(path), "w") as sink:
        stream = source.streams.video[0]
        copy = sink.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is not None:
                packet.stream = copy
                sink.mux(packet)
    return path


def _explain(study: tuple[Any, ...], video: Path, detector: str, frames: int) -> dict[str, float]:
    opened = Study(*study)
    opened.statistics(detector)  # training, statistics and domain are not part of the time
    opened.domain(detector)
    before = resident_memory()
    with tempfile.TemporaryDirectory() as out:
        start = time.perf_counter()
        summary = explain_video(video, Path(out) / "out", opened, detector, max_frames=frames)
        seconds = time.perf_counter() - start
    return {
        "explained": float(len(summary["explained_frames"])),
        "seconds": seconds,
        "before": before,
        "memory": resident_memory(peak=True),
    }


def scale_rows(
    study: Study,
    detector: str,
    minutes: Sequence[float],
    per_minute: float,
    size: tuple[int, int],
) -> Iterator[dict[str, Any]]:
    """Cost of videos of several lengths, each explained in a process of its own.

    Parameters
    ----------
    minutes : lengths of the videos
    per_minute : explained frames for each minute of video
    size : width and height

    Yields
    ------
    minutes, frames (of the video), explained, seconds, memory (peak in MiB), before (MiB before the
    video was opened).
    """
    study.statistics(detector)
    study.domain(detector)
    opened = (study.profile, study.data_root, study.root.parent, study.device, study.seed)
    for length in minutes:
        with tempfile.TemporaryDirectory() as folder:
            study.progress(f"writing a video of {length:g} minutes, {size[0]}x{size[1]}")
            video = long_video(study, Path(folder) / "video.mp4", length, size)
            study.progress(f"explaining it with {detector}")
            count = max(1, round(length * per_minute))
            row = run_in_new_process(_explain, opened, video, detector, count)
        yield {"minutes": length, "frames": round(length * 60 * RATE), **row}


def line(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Straight line through seconds over minutes of video.

    Returns
    -------
    fixed (seconds), per_minute (seconds), r2 (fraction of the variance that the line explains),
    exponent (of a power law without the fixed part: 1 is linear; NaN for fewer than two lengths).
    """
    x = np.array([row["minutes"] for row in rows], float)
    y = np.array([row["seconds"] for row in rows], float)
    if len(x) < 2:
        return {"fixed": 0.0, "per_minute": float(y[0] / x[0]), "r2": np.nan, "exponent": np.nan}
    fit = linregress(x, y)
    growing = np.clip(y - max(0.0, fit.intercept), 1e-9, None)
    return {
        "fixed": float(fit.intercept),
        "per_minute": float(fit.slope),
        "r2": float(fit.rvalue**2),
        "exponent": float(linregress(np.log(x), np.log(growing)).slope),
    }


def operations(study: Study, detector: str) -> float:
    """Floating-point operations of explaining one frame, counted.

    One forward pass to the layer. Then, in each step and for each noise sample, a forward pass
    downstream of it and a backward pass, which costs about two forward passes.
    """
    costs = layer_costs({detector: study.settings(detector).size}).set_index("layer")
    cost, settings = costs.loc[study.layer(detector)], study.profile.bottleneck
    passes = 3 * settings.steps * settings.noise_samples
    return float(2e9 * (cost.upstream + cost.downstream * passes))


def projection(
    row: dict[str, Any], flops: float, workers: int, teraflops: float, measured_on_gpu: bool
) -> list[dict[str, Any]]:
    """Cost of 1,000 and 1,000,000 videos such as the one that was measured.

    Videos do not share work. Therefore the time of a cluster is that of one video, times their
    number, over its workers. The start of workers and slow disks are not included.

    Parameters
    ----------
    row : of `scale_rows`
    flops : operations of one explained frame, see `operations`
    workers : of the Dask cluster, each as fast as the machine that measured
    teraflops : of a GPU, sustained, in 10^12 operations per second
    measured_on_gpu : the seconds are those of a GPU; they become its hours, decoding included

    Returns
    -------
    videos, worker_hours, days (on that many workers), gpu_hours (of the networks alone unless
    measured).
    """
    hours = row["seconds"] / 3600
    networks = row["explained"] * flops / (teraflops * 1e12) / 3600
    return [
        {
            "videos": count,
            "worker_hours": hours * count,
            "days": hours * count / workers / 24,
            "gpu_hours": (hours if measured_on_gpu else networks) * count,
        }
        for count in (1_000, 1_000_000)
    ]
