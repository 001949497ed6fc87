"""From a video to what the detectors take: key frames, face crops, flow maps, landmarks."""

import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict
from tqdm import tqdm

from viba_lib.data.catalog import resolve
from viba_lib.data.faces import FaceDetector, NoFaceError, crop, square_box, to_crop
from viba_lib.data.flow import farneback
from viba_lib.data.keyframes import frame_differences, key_frames
from viba_lib.errors import VibaError
from viba_lib.parallel import Failed, each
from viba_lib.video import VideoError, iter_frames


class PreparationSettings(BaseModel):
    """Sizes in pixels; `face_scale` is the crop's side over the face box's."""

    model_config = ConfigDict(extra="forbid")
    face_scale: float = 1.3
    frames_per_video: int = 6
    keyframe_threshold: float = 0.3
    spatial_size: int = 299
    flow_size: int = 256


@dataclass(frozen=True)
class PreparedClip:
    """Prepared arrays of one video, N key frames.

    frame (N,) index in the video; faces (N, 299, 299, 3) uint8; pairs (N, 2, 256, 256, 3) uint8,
    key frame and successor under one box; flow (N, 2, 256, 256) float16 in pixels; landmarks and
    next_landmarks (N, 68, 2) in units of the crop; masks (N, 299, 299) uint8, planted mask, zero
    where there is none; squares (N, 3) centre x, centre y and side of the crop in the frame.
    """

    frame: np.ndarray
    faces: np.ndarray
    pairs: np.ndarray
    flow: np.ndarray
    landmarks: np.ndarray
    next_landmarks: np.ndarray
    masks: np.ndarray
    squares: np.ndarray


def load_clip(path: str | Path) -> PreparedClip:
    """Read a prepared clip; no pickled object is ever loaded."""
    with np.load(path, allow_pickle=False) as stored:
        return PreparedClip(**{name: stored[name] for name in PreparedClip.__dataclass_fields__})


def _pick(path: Path, indices: set[int], form: str = "rgb24", **span: Any) -> dict[int, np.ndarray]:
    """Decode only up to the last wanted frame and keep the wanted ones."""
    found = {}
    for number, frame in enumerate(iter_frames(path, form=form, **span)):
        if number in indices:
            found[number] = frame
        if number >= max(indices):
            break
    return found


def prepare_frames(
    frames: Mapping[int, np.ndarray],
    indices: np.ndarray,
    settings: PreparationSettings,
    masks: Mapping[int, np.ndarray] | None = None,
    detector: FaceDetector | None = None,
) -> tuple[PreparedClip | None, list[int]]:
    """Crops, flow and landmarks of key frames.

    Parameters
    ----------
    frames : key frames and their successors, RGB, by index
    indices : key frames; the successor of `i` is `i + 1`

    Returns
    -------
    The clip (None if no key frame has a face), and the key frames without a face.
    """
    detector = detector or FaceDetector()
    size, flow_size = settings.spatial_size, settings.flow_size
    rows: list[dict[str, Any]] = []
    lost = []
    for index in map(int, indices):
        first, second = frames[index], frames[index + 1]
        box = detector.largest(first)
        if box is None:
            lost.append(index)
            continue
        square = square_box(box, settings.face_scale)
        pair = np.stack([crop(first, square, flow_size), crop(second, square, flow_size)])
        mask = None if masks is None else masks.get(index)
        rows.append(
            {
                "frame": index,
                "faces": crop(first, square, size),
                "pairs": pair,
                "flow": farneback(pair[0], pair[1]).transpose(2, 0, 1).astype(np.float16),
                "landmarks": to_crop(detector.landmarks(first, box), square),
                "next_landmarks": to_crop(detector.landmarks(second, box), square),
                "masks": np.zeros((size, size), np.uint8) if mask is None
                else crop(mask, square, size),
                "squares": np.array(square, np.float32),
            }
        )  # fmt: skip
    if not rows:
        return None, lost
    return PreparedClip(**{name: np.stack([r[name] for r in rows]) for name in rows[0]}), lost


def prepare_video(
    row: Mapping[str, Any], root: str | Path, out_path: str | Path, settings: PreparationSettings
) -> dict[str, Any]:
    """Prepare one video of a catalog and write its arrays as one `.npz`.

    Returns
    -------
    video_id, frames (number kept) and lost (key frames without a face).

    Raises
    ------
    VideoError
        Not decodable, or a single frame: a flow map needs two.
    NoFaceError
        No key frame has a face.
    """
    cv2.setNumThreads(1)
    path = resolve(str(row["path"]), root)
    span: dict[str, Any] = {
        name: None if pd.isna(row.get(name, np.nan)) else float(row[name])
        for name in ("start", "end")
    }
    differences = frame_differences(iter_frames(path, form="gray", **span))
    if len(differences) < 2:
        raise VideoError(f"{path} has one frame; a flow map needs two: give a longer video")
    indices = key_frames(
        differences,
        settings.keyframe_threshold,
        minimum=settings.frames_per_video,
        maximum=settings.frames_per_video,
    )
    wanted = {int(i) for i in indices} | {int(i) + 1 for i in indices}
    frames = _pick(path, wanted, **span)
    masks = None
    if row.get("mask_path"):
        masks = _pick(resolve(str(row["mask_path"]), root), wanted, form="gray", **span)
    clip, lost = prepare_frames(frames, indices, settings, masks)
    if clip is None:
        raise NoFaceError(
            f"no face in any of {len(indices)} key frames of {path}; expected a face at least 80 "
            "pixels wide that looks to the camera: choose another video"
        )
    _save(clip, lost, Path(out_path))
    return {"video_id": row["video_id"], "frames": len(clip.frame), "lost": lost}


def _save(clip: PreparedClip, lost: list[int], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(dir=path.parent, suffix=".npz")
    os.close(handle)
    try:
        # With the frames that were lost, so that a resumed run can name them.
        np.savez(aside, **clip.__dict__, lost=np.array(lost, int))
        os.replace(aside, path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise


def _prepare_one(
    row: dict[str, Any], root: Path, out_dir: Path, settings: PreparationSettings
) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """One video; an error becomes rows of problems, so that one bad file does not end a run."""
    name = f"clips/{row['video_id']}.npz"
    problem = {"video_id": row["video_id"], "stage": "prepare"}
    target = out_dir / name
    if not target.is_file():
        try:
            prepare_video(row, root, target, settings)
        except VibaError as error:
            return None, [problem | {"reason": str(error)}]
    with np.load(target, allow_pickle=False) as stored:
        count, lost = len(stored["frame"]), stored["lost"].tolist()
    problems = [problem | {"reason": f"frame {i}: no face"} for i in lost]
    return {"video_id": row["video_id"], "path": name, "frames": count}, problems


def prepare_catalog(
    catalog: pd.DataFrame,
    root: str | Path,
    out_dir: str | Path,
    settings: PreparationSettings,
    workers: int = 2,
    scheduler: str = "",
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Prepare every video of a catalog in parallel; finished ones are not done again.

    Parameters
    ----------
    workers : processes on this machine
    scheduler : address of a Dask cluster that sees the same folders; "" = this machine

    Returns
    -------
    index : video_id, path (of the `.npz`, relative to `out_dir`), frames
    problems : video_id, stage, reason
    Both are in the catalog's order, whoever was done first. Every video is in the index or in
    problems; one whose worker dies each time it is tried is among the latter.

    Raises
    ------
    VibaError
        Not one video could be prepared.
    """
    rows = catalog.to_dict("records")
    # Relative folders mean something else on a worker.
    work = partial(
        _prepare_one,
        root=Path(root).absolute(),
        out_dir=Path(out_dir).absolute(),
        settings=settings,
    )
    found = each(work, rows, workers, scheduler)
    bar = tqdm(found, total=len(rows), unit="video", disable=not sys.stderr.isatty())
    done = [_outcome(rows[number], result) for number, result in sorted(bar, key=itemgetter(0))]
    index = pd.DataFrame([row for row, _ in done if row], columns=["video_id", "path", "frames"])
    problems = pd.DataFrame(
        [p for _, rows in done for p in rows], columns=["video_id", "stage", "reason"]
    )
    if index.empty:
        raise VibaError(
            f"none of {len(catalog)} videos could be prepared; the first reason: "
            f"{problems.reason.iloc[0]}"
        )
    return index, problems


def _outcome(row: dict[str, Any], result: Any) -> Any:
    if isinstance(result, Failed):
        return None, [{"video_id": row["video_id"], "stage": "prepare", "reason": str(result)}]
    return result


__all__ = ["PreparationSettings", "PreparedClip", "load_clip", "prepare_catalog",
           "prepare_frames", "prepare_video"]  # fmt: skip
