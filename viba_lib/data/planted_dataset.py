"""The default data set: real faces of packaged films, cut into clips, with planted artefacts."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from viba_lib.core.download import source_path
from viba_lib.core.errors import VibaError
from viba_lib.core.files import write_text
from viba_lib.core.parallel import Failed, map_unordered
from viba_lib.core.progress import ProgressLines
from viba_lib.data.artefacts import SPATIAL, TEMPORAL, TEMPORAL_REGIONS, move, plant
from viba_lib.data.catalog import load_catalog, save_catalog
from viba_lib.data.faces import FaceDetector
from viba_lib.data.source_videos import SourceVideo
from viba_lib.data.video import VideoReader, write_video

# Clips that one worker makes before it takes others, and the folder that says which are finished.
PART_CLIPS = 8
FINISHED = "finished"


class PlantedSettings(BaseModel):
    """How much of the sources is used: lengths in frames, `width` the largest width in pixels."""

    model_config = ConfigDict(extra="forbid")
    clip_length: int = 16
    max_clips: int | None = None
    spatial_per_clip: int = 1
    temporal_per_clip: int = 1
    width: int = 640
    crf: int = 10


def clip_landmarks(frames: np.ndarray) -> np.ndarray | None:
    """Landmarks (T, 68, 2) of the largest face, or None where a frame has no face."""
    detector = FaceDetector()
    rows = []
    for frame in frames:
        box = detector.largest(frame)
        if box is None:
            return None
        rows.append(detector.landmarks(frame, box))
    points = np.stack(rows)
    # Landmarks tremble by a pixel from frame to frame; a mask that trembles would be an artefact
    # of its own in every fake, so they are smoothed along time.
    kernel = cv2.getGaussianKernel(5, 1.0)[:, 0]
    padded = np.concatenate([points[:1], points[:1], points, points[-1:], points[-1:]])
    smooth = sum(w * padded[i : i + len(points)] for i, w in enumerate(kernel))
    return np.asarray(smooth, np.float32)


def sway(frames: np.ndarray, rng: np.random.Generator, amount: float = 0.03) -> np.ndarray:
    """Let a clip (T, H, W, 3) sway slowly, as a camera in a hand does.

    Some sources sit before a fixed camera so still that a frozen region could not be told from
    the rest, by anyone. Real clips and fakes sway alike, so swaying itself betrays nothing.

    Parameters
    ----------
    amount : largest shift as a share of the frame's height
    """
    size = amount * frames.shape[1]
    times = np.arange(len(frames))
    path = np.zeros((len(frames), 2))
    for axis in (0, 1):
        period, phase = rng.uniform(10, 20), rng.uniform(0, 2 * np.pi)
        path[:, axis] = size * rng.uniform(0.5, 1) * np.sin(2 * np.pi * times / period + phase)
    centre = np.zeros(2)
    moved = [move(f, by, 1.0, centre) for f, by in zip(frames, path, strict=True)]
    return np.stack(moved)


def _shrink(frames: np.ndarray, width: int) -> np.ndarray:
    if frames.shape[2] <= width:
        return frames
    height = round(frames.shape[1] * width / frames.shape[2] / 2) * 2
    return np.stack([cv2.resize(f, (width, height), interpolation=cv2.INTER_AREA) for f in frames])


def _build_clip(
    name: str,
    frames: np.ndarray,
    rate: float,
    file: SourceVideo,
    methods: Sequence[str],
    out_dir: Path,
    settings: PlantedSettings,
    key: list[int],
) -> list[dict[str, Any]]:
    """Write one real clip and its fakes; return their catalog rows (none without a face)."""
    cv2.setNumThreads(1)
    points = clip_landmarks(frames)
    if points is None:
        return []
    base = {
        "dataset": "planted",
        "identity": file.identity,
        "split": file.split,
        "original": "",
        "mask_path": "",
        "start": np.nan,
        "end": np.nan,
        "source": f"{file.package} {file.version}: {file.name}",
        "licence": file.licence,
        "region": "",
    }
    real = {"video_id": name, "path": f"real/{name}.mp4", "label": "real", "method": ""}
    write_video(out_dir / real["path"], frames, rate, crf=settings.crf)
    rows = [base | real]
    for number, method in enumerate(methods):
        rng = np.random.default_rng([*key, number])
        region = str(rng.choice(TEMPORAL_REGIONS)) if method in TEMPORAL else method
        fakes, masks = plant(frames, points, method, rng, region)
        fake_id = f"{name}-{method}"
        fake = {
            "video_id": fake_id,
            "path": f"fake/{method}/{fake_id}.mp4",
            "label": "fake",
            "method": method,
            "original": name,
            "mask_path": f"masks/{fake_id}.mkv",
            "region": region,
        }
        write_video(out_dir / fake["path"], fakes, rate, crf=settings.crf)
        masks8 = np.round(masks * 255).astype(np.uint8)
        write_video(out_dir / fake["mask_path"], masks8, rate, lossless=True)
        rows.append(base | fake)
    return rows


@dataclass(frozen=True)
class _Part:
    """Some clips of one source: their places in it, and the methods planted in each."""

    file: SourceVideo
    number: int
    length: int
    clips: tuple[tuple[int, tuple[str, ...]], ...]


def _parts(
    file: SourceVideo, number: int, data_root: Path, settings: PlantedSettings, seed: int
) -> list[_Part]:
    """Cut a source into clips of `clip_length` frames and assign methods in turn."""
    with VideoReader(source_path(file, data_root)) as video:
        length = video.length
    count = length // settings.clip_length
    order = np.random.default_rng([seed, number])
    spatial, temporal = order.permutation(SPATIAL), order.permutation(TEMPORAL)
    chosen = np.arange(count)
    if settings.max_clips and count > settings.max_clips:
        chosen = np.unique(np.linspace(0, count - 1, settings.max_clips).round().astype(int))
    clips = []
    for turn, index in enumerate(chosen):
        methods = _turn(spatial, turn, settings.spatial_per_clip)
        methods += _turn(temporal, turn, settings.temporal_per_clip)
        clips.append((int(index), tuple(methods)))
    return [
        _Part(file, number, length, tuple(clips[first : first + PART_CLIPS]))
        for first in range(0, len(clips), PART_CLIPS)
    ]


def _turn(methods: np.ndarray, turn: int, count: int) -> list[str]:
    return [str(methods[(turn * count + i) % len(methods)]) for i in range(count)]


def _build_part(
    part: _Part, data_root: Path, out_dir: Path, settings: PlantedSettings, seed: int
) -> list[dict[str, Any]]:
    """Rows of some clips; a clip that is finished is not made again."""
    with VideoReader(source_path(part.file, data_root), length=part.length) as video:
        files = [
            _finished_clip(part, index, methods, video, out_dir, settings, seed)
            for index, methods in part.clips
        ]
    return [row for file in files for row in json.loads(file.read_text(encoding="utf-8"))]


def _finished_clip(
    part: _Part,
    index: int,
    methods: Sequence[str],
    video: VideoReader,
    out_dir: Path,
    settings: PlantedSettings,
    seed: int,
) -> Path:
    """File with the rows of a clip, which is made unless it is finished."""
    name = f"{Path(part.file.name).stem}-{index:03d}"
    finished = out_dir / FINISHED / f"{name}.json"
    if not finished.is_file():
        first, key = index * settings.clip_length, [seed, part.number, index]
        frames = np.stack(list(video.frames(range(first, first + settings.clip_length))))
        frames = sway(_shrink(frames, settings.width), np.random.default_rng([*key, 1]))
        rows = _build_clip(name, frames, video.rate, part.file, methods, out_dir, settings, key)
        write_text(finished, json.dumps(rows))
    return finished


def build_planted(
    files: Sequence[SourceVideo],
    data_root: Path,
    out_dir: Path,
    settings: PlantedSettings,
    seed: int = 0,
    workers: int = 2,
    scheduler: str = "",
    progress: Callable[[str], None] = lambda _: None,
) -> pd.DataFrame:
    """Build the planted data set from fetched sources.

    Parameters
    ----------
    files : sources, fetched beforehand under `data_root`
    out_dir : folder that receives `real/`, `fake/<method>/`, `masks/` and `catalog.parquet`
    workers : processes on this machine
    scheduler : address of a Dask cluster that sees the same folders; "" = this machine
    progress : is told how many clips are done, and for how long the rest will take

    Returns
    -------
    Catalog, one row per video. Splits are those of the sources: no identity is in two of them.
    """
    data_root, out_dir = Path(data_root).absolute(), Path(out_dir).absolute()
    parts = [
        part
        for number, file in enumerate(files)
        for part in _parts(file, number, data_root, settings, seed)
    ]
    work = partial(_build_part, data_root=data_root, out_dir=out_dir, settings=settings, seed=seed)
    built, lines = {}, ProgressLines(progress, "clips made", sum(len(part.clips) for part in parts))
    for number, rows in map_unordered(work, parts, workers, scheduler, out_dir, progress):
        built[number] = rows
        lines.update(len(parts[number].clips))
    for part, found in zip(parts, (built[n] for n in range(len(parts))), strict=True):
        if isinstance(found, Failed):
            raise VibaError(
                f"clips of {part.file.name} could not be made: {found}; what is finished is kept, "
                "so run it again"
            )
    catalog = pd.DataFrame([row for n in range(len(parts)) for row in built[n]])
    if catalog.empty:
        raise VibaError(
            f"no face was found in any clip of {len(files)} sources; expected at "
            "least one talking face: run `viba data verify` to see whether the sources are whole"
        )
    path = save_catalog(catalog, out_dir / "catalog.parquet")
    shutil.rmtree(out_dir / FINISHED)
    return load_catalog(path)
