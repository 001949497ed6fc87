"""Cost of preparing a video, compared with a reference implementation, and of listing files."""

import json
import tempfile
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from PIL import Image, ImageOps

from viba_lib.core.errors import VibaError
from viba_lib.core.memory import resident_memory
from viba_lib.data.catalog import load_catalog, save_catalog
from viba_lib.data.clip_store import SUFFIX, PreparedClip, save_clip
from viba_lib.data.faces import FaceDetector
from viba_lib.data.keyframes import frame_differences
from viba_lib.data.prepare import PreparationSettings, choose_frames, prepare_video, prepared_rows
from viba_lib.data.readers import read_source
from viba_lib.data.splits import complete_splits
from viba_lib.data.video import VideoReader, read_video, write_video
from viba_lib.experiments.memory import run_in_new_process

RATE = 25
LONGEST_LOOP = 250  # frames


def looped_video(source: tuple[Any, ...], path: Path, count: int, size: tuple[int, int]) -> Path:
    """Write a video of `count` frames, made of the first frames of another in a loop.

    Parameters
    ----------
    source : arguments of `VideoReader`
    size : width and height in pixels, even
    """
    with VideoReader(*source) as video:
        images = islice(video.frames(), min(count, LONGEST_LOOP) // 2 + 1)
        fitted = [ImageOps.fit(Image.fromarray(image), size) for image in images]
    frames = list(map(np.asarray, fitted))
    # Forward and back, so that the loop has no jump.
    return write_video(path, islice(cycle([*frames, *frames[-2:0:-1]]), count), RATE)


def prepare_reference(video: Path, out: Path, settings: PreparationSettings) -> None:
    """Reference implementation: all frames in memory, and face detection in each of them."""
    frames = read_video(video).frames
    chosen, key_frames = choose_frames(frame_differences(frames), settings, "x")
    detector = FaceDetector()
    # Each frame once: faces in the chosen frames are detected below.
    for index in sorted(set(range(len(frames))) - set(chosen.tolist())):
        detector.largest(frames[index])
    rows = list(prepared_rows(enumerate(frames), chosen, settings))
    if not rows:
        raise VibaError(f"no face in the key frames of {video}; expected a video with a face")
    save_clip(PreparedClip.stack(rows), out, {"chosen": chosen.tolist(), "key_frames": key_frames})


def prepare_library(video: Path, out: Path, settings: PreparationSettings) -> None:
    """The library's implementation, see `prepare_video`."""
    prepare_video({"video_id": "x", "path": str(video)}, video.parent, out, settings)


WAYS = {"plain": prepare_reference, "library": prepare_library}


def _run(way: str, video: Path, settings: PreparationSettings) -> tuple[float, float]:
    """Seconds, and the MiB by which the peak memory of this process grew."""
    cv2.setNumThreads(1)
    # The models are loaded once for all videos.
    FaceDetector().largest(read_video(video, max_frames=1).frames[0])
    before, start = resident_memory(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        WAYS[way](video, Path(folder) / f"clip{SUFFIX}", settings)
    return time.perf_counter() - start, resident_memory(peak=True) - before


def preparation_cost(
    source: Path, settings: PreparationSettings, counts: tuple[int, ...] = (300,)
) -> Iterator[dict[str, Any]]:
    """Time both implementations on videos of several lengths, each in a process of its own.

    Yields
    ------
    way, frames, seconds, ratio (of the reference's seconds to these) and memory (MiB by which the
    process grew; NaN if the system does not report it).
    """
    with tempfile.TemporaryDirectory() as folder:
        for count in counts:
            video = looped_video((source,), Path(folder) / f"{count}.mp4", count, (640, 480))
            costs = {way: run_in_new_process(_run, way, video, settings) for way in WAYS}
            reference, _ = costs["plain"]
            for way, (seconds, memory) in costs.items():
                row = {"way": way, "frames": count, "seconds": seconds}
                yield row | {"ratio": reference / seconds, "memory": memory}


def catalog_cost(files: int) -> tuple[float, pd.DataFrame]:
    """Seconds to list, split and write a data set of so many files, and its catalog.

    The files are empty and in the layout of DFDC, 2,000 to a folder, half of them fakes.
    """
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for first in range(0, files, 2000):
            folder = root / "train" / f"dfdc_train_part_{first // 2000}"
            folder.mkdir(parents=True)
            entries: dict[str, dict[str, str]] = {}
            for number in range(first, min(first + 2000, files), 2):
                real, fake = f"r{number}.mp4", f"f{number}.mp4"
                entries[real] = {"label": "REAL", "split": "train"}
                entries[fake] = {"label": "FAKE", "split": "train", "original": real}
            for video in entries:
                (folder / video).touch()
            (folder / "metadata.json").write_text(json.dumps(entries))
        start = time.perf_counter()
        path = save_catalog(complete_splits(read_source("dfdc", root)), root / "catalog.parquet")
        return time.perf_counter() - start, load_catalog(path)
