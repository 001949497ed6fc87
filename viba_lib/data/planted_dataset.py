"""The default data set: real faces of packaged videos, cut into clips, with planted artefacts."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from pydantic import Field

from viba_lib.core.cache import Work
from viba_lib.core.download import source_path
from viba_lib.core.errors import VibaError
from viba_lib.core.files import write_text
from viba_lib.core.parallel import Failed, map_counted
from viba_lib.core.settings import Count, Integer, Settings, Whole
from viba_lib.data.artefacts import SPATIAL, TEMPORAL, TEMPORAL_REGIONS, move, plant
from viba_lib.data.catalog import load_catalog, save_catalog
from viba_lib.data.faces import FaceDetector
from viba_lib.data.source_videos import SourceVideo
from viba_lib.data.stills import photograph, swing, turning_head
from viba_lib.data.video import VideoReader, compress, write_video

MAX_WIDTH = 8192  # pixels; H.264 has no wider frames
COARSE = 200  # pixels; sources that are not wider are not degraded
STILL_RATE = 25.0  # frames per second of a clip from a photograph
DETECTED = 5  # a face is looked for in each fifth frame of a clip
FINISHED = "finished"  # folder with the catalog rows of finished clips


class PlantedSettings(Settings):
    """How much of the sources is used: lengths in frames, `width` the largest width in pixels.

    `photographs` is the number of clips that are made from one image. Test clips have the quality
    `crf`; those of the other splits are recorded in many ways, see `Recording`.
    """

    clip_length: Count = 16
    max_clips: Count | None = None
    photographs: Count = 16
    spatial_per_clip: Whole = 1
    temporal_per_clip: Whole = 1
    width: Integer = Field(640, ge=16, le=MAX_WIDTH)
    crf: Integer = Field(10, ge=0, le=51)


@dataclass(frozen=True)
class Recording:
    """How a clip was recorded and published; a fake is planted between the two compressions.

    width : largest width in pixels; first, crf : quality of H.264 before and after planting
    """

    width: int
    first: int | None
    crf: int

    @classmethod
    def sample(cls, rng: np.random.Generator, width: int, crf: int) -> "Recording":
        """A random recording: smaller or not, compressed once or twice, well or badly.

        Parameters
        ----------
        width : of the source; one of few pixels is degraded enough, and stays as it is
        crf : of the best recordings
        """
        if width < COARSE:
            return cls(width, None, crf)
        # Even, because H.264 would add a column that masks do not have.
        width = 2 * round(width / 2 * (rng.uniform(0.5, 1) if rng.random() < 0.5 else 1))
        first = int(rng.integers(18, 35)) if rng.random() < 0.5 else None
        return cls(width, first, int(rng.integers(18, 41)) if rng.random() < 0.75 else crf)

    def before(self, frames: np.ndarray) -> np.ndarray:
        """Frames (T, H, W, 3) as a forger finds them."""
        small = _shrink(frames, self.width)
        return small if self.first is None else compress(small, self.first)


def clip_landmarks(frames: np.ndarray) -> np.ndarray | None:
    """Landmarks (T, 68, 2) of the largest face, or None if it is not there throughout."""
    detector, last = FaceDetector(), len(frames) - 1
    # The detector takes most of the time. A head does not move far in a few frames.
    seen = np.unique([*range(0, last, DETECTED), last])
    found = [detector.largest(frames[t]) for t in seen]
    if None in found:
        return None
    sides = np.array(found, float).T
    boxes = np.stack([np.interp(np.arange(last + 1), seen, side) for side in sides], axis=1)
    rows = [
        detector.landmarks(frame, tuple(box))
        for frame, box in zip(frames, boxes.round().astype(int).tolist(), strict=True)
    ]
    points = np.stack(rows)
    # Landmarks jitter by a pixel from frame to frame. A mask that jitters would be an artefact of
    # its own in every fake, so landmarks are smoothed along time.
    kernel = cv2.getGaussianKernel(5, 1.0)[:, 0]
    padded = np.pad(points, [(2, 2), (0, 0), (0, 0)], mode="edge")
    smooth = sum(w * padded[i : i + len(points)] for i, w in enumerate(kernel))
    return np.asarray(smooth, np.float32)


def sway(frames: np.ndarray, rng: np.random.Generator, amount: float = 0.03) -> np.ndarray:
    """Let a clip (T, H, W, 3) sway slowly, like a hand-held camera.

    Some people sit so still in front of a fixed camera that a frozen region could not be
    distinguished from the rest. Real clips and fakes sway alike, so swaying does not give the label
    away.

    Parameters
    ----------
    amount : largest shift as a fraction of the frame's height
    """
    path = np.stack([swing(len(frames), rng, 10, 20) for _ in range(2)], axis=1)
    path *= amount * frames.shape[1]
    return np.stack([move(f, by, 1.0, np.zeros(2)) for f, by in zip(frames, path, strict=True)])


def _shrink(frames: np.ndarray, width: int) -> np.ndarray:
    if frames.shape[2] <= width:
        return frames
    height = round(frames.shape[1] * width / frames.shape[2] / 2) * 2
    return np.stack([cv2.resize(f, (width, height), interpolation=cv2.INTER_AREA) for f in frames])


@dataclass(frozen=True)
class _Clip:
    """Consecutive frames of a source video, and the methods that are planted in them.

    source : number of the source video, part of the random seed; length : its frames;
    index : of the clip in the source video
    """

    video: SourceVideo
    source: int
    length: int
    index: int
    methods: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{Path(self.video.name).stem}-{self.index:03d}"


def _clips(
    video: SourceVideo, source: int, data_root: Path, settings: PlantedSettings, seed: int
) -> list[_Clip]:
    """Clips of a source, `clip_length` frames each or one a photograph, with methods in turn."""
    if video.grid:
        length, count, most = settings.clip_length, video.grid**2, settings.photographs
    else:
        with VideoReader(source_path(video, data_root)) as reader:
            length = reader.length
        count, most = length // settings.clip_length, length
    rng = np.random.default_rng([seed, source])
    spatial, temporal = rng.permutation(SPATIAL), rng.permutation(TEMPORAL)
    chosen = np.arange(count)
    most = min(most, settings.max_clips or most)
    if count > most:
        chosen = np.unique(np.linspace(0, count - 1, most).round().astype(int))
    clips = []
    for turn, index in enumerate(chosen.tolist()):
        methods = _in_turn(spatial, turn, settings.spatial_per_clip)
        methods += _in_turn(temporal, turn, settings.temporal_per_clip)
        clips.append(_Clip(video, source, length, index, tuple(methods)))
    return clips


def _in_turn(methods: np.ndarray, turn: int, count: int) -> list[str]:
    return [str(methods[(turn * count + i) % len(methods)]) for i in range(count)]


def _build_clip(
    clip: _Clip, data_root: Path, out_dir: Path, settings: PlantedSettings, seed: int
) -> list[dict[str, Any]]:
    """Catalog rows of a clip and its fakes, which are made unless they are finished."""
    finished = out_dir / FINISHED / f"{clip.name}.json"
    if not finished.is_file():
        cv2.setNumThreads(1)
        key = [seed, clip.source, clip.index]
        frames, rate = _source_frames(clip, data_root, settings, np.random.default_rng([*key, 3]))
        frames = sway(_shrink(frames, settings.width), np.random.default_rng([*key, 1]))
        recording = Recording(settings.width, None, settings.crf)
        if clip.video.split != "test":
            rng = np.random.default_rng([*key, 2])
            recording = Recording.sample(rng, frames.shape[2], settings.crf)
        frames = recording.before(frames)
        rows = _write_clip(clip, frames, rate, out_dir, recording.crf, key)
        write_text(finished, json.dumps(rows))
    return json.loads(finished.read_text(encoding="utf-8"))


def _source_frames(
    clip: _Clip, data_root: Path, settings: PlantedSettings, rng: np.random.Generator
) -> tuple[np.ndarray, float]:
    """Frames (T, H, W, 3) of a clip of a video, or of a photograph that moves, and their rate."""
    path, length = source_path(clip.video, data_root), settings.clip_length
    if clip.video.grid:
        image, points = photograph(path, clip.video.grid, clip.index, settings.width)
        return turning_head(image, points, length, rng), STILL_RATE
    first = clip.index * length
    with VideoReader(path, length=clip.length) as reader:
        return np.stack(list(reader.frames(range(first, first + length)))), reader.rate


def _write_clip(
    clip: _Clip, frames: np.ndarray, rate: float, out_dir: Path, crf: int, key: list[int]
) -> list[dict[str, Any]]:
    """Write one real clip and its fakes; return their catalog rows (none without a face)."""
    points = clip_landmarks(frames)
    if points is None:
        return []
    common = {
        "dataset": "planted",
        "identity": clip.video.identity,
        "split": clip.video.split,
        "source": f"{clip.video.package} {clip.video.version}: {clip.video.name}",
        "licence": clip.video.licence,
    }
    real = {"video_id": clip.name, "path": f"real/{clip.name}.mp4", "label": "real", "region": ""}
    write_video(out_dir / real["path"], frames, rate, crf)
    rows = [common | real]
    for number, method in enumerate(clip.methods):
        rng = np.random.default_rng([*key, number])
        region = str(rng.choice(TEMPORAL_REGIONS)) if method in TEMPORAL else method
        fakes, masks = plant(frames, points, method, rng, region)
        name = f"{clip.name}-{method}"
        fake = {
            "video_id": name,
            "path": f"fake/{method}/{name}.mp4",
            "label": "fake",
            "method": method,
            "original": clip.name,
            "mask_path": f"masks/{name}.mkv",
            "region": region,
        }
        write_video(out_dir / fake["path"], fakes, rate, crf)
        masks8 = np.round(masks * 255).astype(np.uint8)
        write_video(out_dir / fake["mask_path"], masks8, rate, lossless=True)
        rows.append(common | fake)
    return rows


def build_planted(
    files: Sequence[SourceVideo], out_dir: Path, settings: PlantedSettings, seed: int, work: Work
) -> pd.DataFrame:
    """Build the planted data set from fetched sources.

    Parameters
    ----------
    files : source videos, fetched beforehand
    out_dir : folder that receives `real/`, `fake/<method>/`, `masks/` and `catalog.parquet`
    work : where the files were fetched to, and who builds the clips

    Returns
    -------
    Catalog, one row per video. Splits are those of the sources, so no identity is in two splits.
    """
    data_root, out_dir = work.data_root.absolute(), Path(out_dir).absolute()
    given: dict[str, Any] = {"data_root": data_root, "settings": settings, "seed": seed}
    clips = [clip for n, video in enumerate(files) for clip in _clips(video, n, **given)]
    build = partial(_build_clip, out_dir=out_dir, **given)
    built = map_counted(build, clips, work, "clips made")
    rows: list[dict[str, Any]] = []
    for number, clip in enumerate(clips):
        if isinstance(built[number], Failed):
            raise VibaError(
                f"clips of {clip.video.name} could not be made: {built[number]}; finished clips "
                "are kept, so run it again"
            )
        rows += built[number]
    if not rows:
        raise VibaError(
            f"no face was found in any clip of {len(files)} sources; expected a talking face: run "
            "`viba data verify` to check whether the sources are complete"
        )
    path = save_catalog(pd.DataFrame(rows), out_dir / "catalog.parquet")
    shutil.rmtree(out_dir / FINISHED)
    return load_catalog(path)
