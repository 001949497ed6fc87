"""What preparing a video costs beside the straightforward way, and what listing files costs."""

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from viba_lib.core.errors import VibaError
from viba_lib.core.memory import resident_memory, run_in_new_process
from viba_lib.data.catalog import save_catalog
from viba_lib.data.clip_store import SUFFIX, save_clip
from viba_lib.data.faces import FaceDetector
from viba_lib.data.keyframes import frame_differences
from viba_lib.data.prepare import PreparationSettings, choose_frames, prepare_frames, prepare_video
from viba_lib.data.readers import read_source
from viba_lib.data.splits import complete_splits
from viba_lib.data.video import read_video, write_video


def standard_video(source: Path, out: Path, frames: int = 300, width: int = 640) -> Path:
    """A film of a given length and width, 4 to 3, made of the frames of another.

    Parameters
    ----------
    source : a film with a face; it is played again and again until there are enough frames
    frames : length of the film
    """
    size = (width, width * 3 // 4)
    pictures = read_video(source, max_frames=min(frames, 150)).frames
    small = [cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in pictures]
    # Forward and back, so that no cut is among the differences of frames.
    there_and_back = cycle([*small, *reversed(small)])
    return write_video(out, np.stack(list(islice(there_and_back, frames))), 25.0)


def prepare_plain(video: Path, out: Path, settings: PreparationSettings) -> None:
    """The straightforward way: all frames in memory, faces looked for in each of them."""
    frames = read_video(video).frames
    chosen, found = choose_frames(frame_differences(frames), settings, "x")
    detector = FaceDetector()
    # Each frame once: those that are chosen follow below.
    for index in sorted(set(range(len(frames))) - set(chosen.tolist())):
        detector.largest(frames[index])
    clip, lost = prepare_frames(enumerate(frames), chosen, settings)
    if clip is None:
        raise VibaError(f"no face in the key frames of {video}; expected a film with a face")
    save_clip(clip, out, {"chosen": chosen.tolist(), "lost": lost, "key_frames": found})


def prepare_lean(video: Path, out: Path, settings: PreparationSettings) -> None:
    """The library's way, see `prepare_video`."""
    prepare_video({"video_id": "x", "path": str(video)}, video.parent, out, settings)


WAYS: dict[str, Callable[[Path, Path, PreparationSettings], None]] = {
    "plain": prepare_plain,
    "library": prepare_lean,
}


def _run(way: str, video: Path, settings: PreparationSettings) -> tuple[float, float]:
    """Seconds, and the MiB by which the most memory of this process grew."""
    cv2.setNumThreads(1)
    # The models are loaded once for all videos.
    FaceDetector().largest(read_video(video, max_frames=1).frames[0])
    before = resident_memory()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        WAYS[way](video, Path(folder) / f"clip{SUFFIX}", settings)
    seconds = time.perf_counter() - start
    return seconds, resident_memory(peak=True) - before


def preparation_cost(source: Path, settings: PreparationSettings, counts: tuple[int, ...] = (300,)
                     ) -> Iterator[dict[str, Any]]:  # fmt: skip
    """Time both ways on films of so many frames, each in a process of its own.

    Yields
    ------
    Rows with way, frames, seconds, ratio (of the plain way's seconds to these) and memory (MiB that
    the process grew by; NaN where the system does not tell).
    """
    with tempfile.TemporaryDirectory() as folder:
        for count in counts:
            video = standard_video(source, Path(folder) / f"{count}.mp4", count)
            plain = 0.0
            for way in WAYS:
                seconds, memory = run_in_new_process(_run, way, video, settings)
                plain = plain or seconds
                yield {
                    "way": way, "frames": count, "seconds": seconds,
                    "ratio": plain / seconds, "memory": memory,
                }  # fmt: skip


def catalog_cost(files: int) -> float:
    """Seconds to list, split and write a data set of so many files.

    The files are empty and lie as those of DFDC do, 2,000 to a folder, half of them fakes.
    """
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for part in range(0, files, 2000):
            folder = root / "train" / f"dfdc_train_part_{part // 2000}"
            folder.mkdir(parents=True)
            entries: dict[str, dict[str, str]] = {}
            for number in range(part, min(part + 2000, files), 2):
                real, fake = f"r{number}.mp4", f"f{number}.mp4"
                entries[real] = {"label": "REAL", "split": "train"}
                entries[fake] = {"label": "FAKE", "split": "train", "original": real}
            for video in entries:
                (folder / video).touch()
            (folder / "metadata.json").write_text(json.dumps(entries))
        start = time.perf_counter()
        found = complete_splits(read_source("dfdc", root))
        save_catalog(found, root / "catalog.parquet")
        return time.perf_counter() - start
