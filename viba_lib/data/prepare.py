"""From a video to what the detectors take: key frames, face crops, flow maps, landmarks."""

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from viba_lib.core.errors import VibaError
from viba_lib.core.parallel import Failed, map_unordered
from viba_lib.core.progress import ProgressLines
from viba_lib.data.catalog import resolve, segment
from viba_lib.data.clip_store import SUFFIX, PreparedClip, read_facts, save_clip
from viba_lib.data.faces import FaceDetector, NoFaceError, Square, crop, square_box, to_crop
from viba_lib.data.flow import farneback
from viba_lib.data.keyframes import frame_differences, key_frames
from viba_lib.data.tracking import FaceTrack, Sighting
from viba_lib.data.video import VideoError, VideoReader

# The tracker sees every third frame between two key frames: heads do not move far in a tenth of
# a second, and it costs as much as decoding.
STRIDE = 3
Between = Callable[[int, int], Iterable[np.ndarray]]


class PreparationSettings(BaseModel):
    """How a video becomes crops and flow maps.

    Sizes are in pixels; `face_scale` is the crop's side over the face box's; where a film has more
    key frames than `frames_per_video`, `choose` takes some at random, as the paper does for flow,
    or those with the highest peaks; `face` is the one that is taken of several at first, and then
    followed; a face that the detector does not see is followed ("track") or left out ("drop").
    """

    model_config = ConfigDict(extra="forbid")
    face_scale: float = Field(1.3, gt=0)
    frames_per_video: int = Field(6, ge=1)
    keyframe_threshold: float = Field(0.3, ge=0, le=1)
    choose: Literal["random", "strongest"] = "random"
    face: Literal["largest", "central"] = "largest"
    lost: Literal["track", "drop"] = "track"
    spatial_size: int = Field(299, ge=16)
    flow_size: int = Field(256, ge=16)


def prepare_frames(
    frames: Iterable[tuple[int, np.ndarray]],
    indices: np.ndarray,
    settings: PreparationSettings,
    masks: Mapping[int, np.ndarray] | None = None,
    between: Between = lambda first, last: (),
) -> tuple[PreparedClip | None, list[int]]:
    """Crops, flow and landmarks of key frames, see `prepared_rows` for the arguments.

    Returns
    -------
    The clip (None if no key frame has a face), and the key frames without a face.
    """
    rows = list(prepared_rows(frames, indices, settings, masks, between))
    lost = _lost(indices, rows)
    if not rows:
        return None, lost
    return PreparedClip.stack(rows), lost


def prepared_rows(
    frames: Iterable[tuple[int, np.ndarray]],
    indices: np.ndarray,
    settings: PreparationSettings,
    masks: Mapping[int, np.ndarray] | None = None,
    between: Between = lambda first, last: (),
) -> Iterator[dict[str, Any]]:
    """Crops, flow and landmarks of one key frame after another; those without a face are left out.

    Parameters
    ----------
    frames : key frames and their successors, (index, RGB), ascending
    indices : key frames; the successor of `i` is `i + 1`
    masks : (H, W) by index
    between : frames from one index to another, for a face that has to be followed

    Yields
    ------
    The fields of `PreparedClip` for one frame.
    """
    track = FaceTrack(prefer=settings.face, bridge=settings.lost == "track")
    wanted, last = set(map(int, indices)), 0
    before: tuple[int, np.ndarray, Sighting] | None = None
    for index, frame in frames:
        if before is not None and index == before[0] + 1:
            mask = None if masks is None else masks.get(before[0])
            yield _arrays(*before, frame, mask, settings, track.detector)
        before = None
        if index in wanted:
            found = track.find(frame, partial(between, last, index))
            if found is not None:
                before, last = (index, frame, found), index


def video_rows(
    video: VideoReader,
    indices: np.ndarray,
    settings: PreparationSettings,
    masks: Mapping[int, np.ndarray] | None = None,
) -> Iterator[dict[str, Any]]:
    """Crops, flow and landmarks of key frames of a video, see `prepared_rows`."""
    numbers = sorted({int(i) + step for i in indices for step in (0, 1)})

    def between(first: int, last: int) -> Iterable[np.ndarray]:
        return video.frames([*range(first, last, STRIDE), last], "gray")

    frames = zip(numbers, video.frames(numbers), strict=False)
    return prepared_rows(frames, indices, settings, masks, between)


def no_face(video: VideoReader, count: int) -> NoFaceError:
    """The error of a video without a face in any of its `count` chosen frames."""
    return NoFaceError(
        f"no face in any of {count} frames of {video.path}; expected a face at least 80 pixels "
        "wide in a frame 480 wide, looking to the camera: choose another video"
    )


def _lost(indices: np.ndarray, rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Key frames without a face."""
    return sorted({*map(int, indices)} - {row["frame"] for row in rows})


def _arrays(
    index: int,
    first: np.ndarray,
    face: Sighting,
    second: np.ndarray,
    mask: np.ndarray | None,
    settings: PreparationSettings,
    detector: FaceDetector,
) -> dict[str, Any]:
    """One frame of a prepared clip, from a key frame and its successor."""
    size, flow_size = settings.spatial_size, settings.flow_size
    square: Square = square_box(face.box, settings.face_scale)
    pair = np.stack([crop(first, square, flow_size), crop(second, square, flow_size)])
    empty = np.zeros((size, size), np.uint8)
    return {
        "frame": index,
        "faces": crop(first, square, size),
        "pairs": pair,
        "flow": farneback(pair[0], pair[1]).transpose(2, 0, 1).astype(np.float16),
        "landmarks": to_crop(detector.landmarks(first, face.box), square),
        "next_landmarks": to_crop(detector.landmarks(second, face.box), square),
        "masks": empty if mask is None else crop(mask, square, size),
        "squares": np.array(square, np.float32),
        "tracked": np.uint8(face.tracked),
    }


def choose_frames(
    differences: np.ndarray, settings: PreparationSettings, video_id: str, seed: int = 0
) -> tuple[np.ndarray, int]:
    """Key frames that are prepared, ascending, and how many the film has.

    Parameters
    ----------
    differences : (T,), see `frame_differences`
    video_id, seed : of the choice among more key frames than are wanted
    """
    wanted, threshold = settings.frames_per_video, settings.keyframe_threshold
    found = key_frames(differences, threshold, minimum=0)
    if len(found) <= wanted or settings.choose == "strongest":
        return key_frames(differences, threshold, minimum=wanted, maximum=wanted), len(found)
    # Each video draws for itself, whatever comes before it in the catalog.
    rng = np.random.default_rng([seed, zlib.crc32(video_id.encode())])
    chosen = rng.choice(found, wanted, replace=False)
    return np.sort(chosen), len(found)


def prepare_video(
    row: Mapping[str, Any],
    root: str | Path,
    out_path: str | Path,
    settings: PreparationSettings,
    seed: int = 0,
) -> dict[str, Any]:
    """Prepare one video of a catalog and write its arrays, see `prepared`.

    Returns
    -------
    decoded (number of frames), key_frames (number found), chosen (their indices), lost (of these,
    the ones without a face).

    Raises
    ------
    VideoError
        Not decodable, or a single frame: a flow map needs two.
    NoFaceError
        No key frame has a face.
    """
    cv2.setNumThreads(1)
    path, start, end = segment(row, root)
    with VideoReader(path, start, end) as video:
        differences = frame_differences(video.frames(format="gray"))
        if video.length < 2:
            raise VideoError(f"{path} has one frame; a flow map needs two: give a longer video")
        indices, found = choose_frames(differences, settings, str(row["video_id"]), seed)
        masks = _masks(row, root, video, indices)
        rows = list(video_rows(video, indices, settings, masks))
        if not rows:
            raise no_face(video, len(indices))
    facts = {
        "video_id": str(row["video_id"]), "decoded": len(differences), "key_frames": found,
        "chosen": indices.tolist(), "lost": _lost(indices, rows),
    }  # fmt: skip
    save_clip(PreparedClip.stack(rows), Path(out_path), facts)
    return facts


def _masks(
    row: Mapping[str, Any], root: str | Path, video: VideoReader, indices: np.ndarray
) -> dict[int, np.ndarray] | None:
    """Planted masks (H, W) of key frames by number, None if the row names no mask video."""
    if not row.get("mask_path"):
        return None
    path, numbers = resolve(str(row["mask_path"]), root), indices.tolist()
    with VideoReader(path, video.start, video.end, video.length) as masks:
        return dict(zip(numbers, masks.frames(numbers, "gray"), strict=False))


INDEX = ("video_id", "path", "decoded", "key_frames", "chosen", "frames", "tracked")
PROBLEMS = ("video_id", "stage", "frame", "reason")


def _prepare_one(
    row: dict[str, Any], root: Path, out_dir: Path, settings: PreparationSettings, seed: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """One video; an error becomes rows of problems, so that one bad file does not end a run."""
    name = f"clips/{row['video_id']}{SUFFIX}"
    target = out_dir / name
    if not target.is_file():
        try:
            prepare_video(row, root, target, settings, seed)
        except VibaError as error:
            return [], [_problem(row, str(error))]
    facts = read_facts(target)
    problems = [_problem(row, "no face", frame) for frame in facts["lost"]]
    base = {"video_id": row["video_id"], "path": name, "decoded": facts["decoded"],
            "key_frames": facts["key_frames"], "chosen": len(facts["chosen"])}  # fmt: skip
    pairs = zip(facts["frame"], facts["tracked"], strict=True)
    return [base | {"frame": f, "tracked": bool(t)} for f, t in pairs], problems


def _problem(row: Mapping[str, Any], reason: str, frame: int | None = None) -> dict[str, Any]:
    return {"video_id": row["video_id"], "stage": "prepare", "frame": frame, "reason": reason}


@dataclass(frozen=True)
class Preparation:
    """What became of a catalog.

    index : one row per prepared video: video_id, path of its arrays under the output folder,
        decoded (frames), key_frames (found), chosen, frames (kept), tracked (of these, the faces
        that were followed and not detected)
    frames : one row per kept frame: video_id, path, position (in the arrays), frame (in the video),
        tracked
    problems : video_id, stage, frame (none where the whole video is out), reason
    """

    index: pd.DataFrame
    frames: pd.DataFrame
    problems: pd.DataFrame


def prepare_catalog(
    catalog: pd.DataFrame,
    root: str | Path,
    out_dir: str | Path,
    settings: PreparationSettings,
    workers: int = 2,
    scheduler: str = "",
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> Preparation:
    """Prepare every video of a catalog in parallel; finished ones are not done again.

    Parameters
    ----------
    workers : processes on this machine
    scheduler : address of a Dask cluster that sees the same folders; "" = this machine
    seed : of the choice of key frames; the result does not depend on who does the work
    progress : is told how many videos are done, and for how long the rest will take

    Returns
    -------
    Tables in the catalog's order, whoever was done first. Every video is in the index or in
    problems, and every chosen frame in frames or in problems; one whose worker dies each time it
    is tried is among the latter.

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
        seed=seed,
    )
    found, lines = [], ProgressLines(progress, "videos prepared", len(rows))
    for number, result in map_unordered(work, rows, workers, scheduler, out_dir, progress):
        found.append((number, _outcome(rows[number], result)))
        lines.update()
    done = [outcome for _, outcome in sorted(found, key=itemgetter(0))]
    problems = pd.DataFrame([p for _, found in done for p in found], columns=list(PROBLEMS))
    problems["frame"] = problems.frame.astype("Int64")
    kept = pd.DataFrame([row for frames, _ in done for row in frames])
    if kept.empty:
        raise VibaError(
            f"none of {len(catalog)} videos could be prepared; the first reason: "
            f"{problems.reason.iloc[0]}"
        )
    per_video = kept.groupby("video_id", sort=False)
    index = per_video.first().drop(columns=["frame", "tracked"])
    index = index.assign(frames=per_video.size(), tracked=per_video.tracked.sum()).reset_index()
    frames = kept[["video_id", "path", "frame", "tracked"]]
    frames.insert(2, "position", per_video.cumcount())
    return Preparation(index[list(INDEX)], frames, problems)


def _outcome(row: dict[str, Any], result: Any) -> Any:
    return ([], [_problem(row, str(result))]) if isinstance(result, Failed) else result


def account(catalog: pd.DataFrame, prepared: Preparation) -> pd.DataFrame:
    """Where all videos and frames went: what, number, and what makes up a sum.

    Raises
    ------
    VibaError
        The numbers do not add up: something was dropped without a word.
    """
    index, problems = prepared.index, prepared.problems
    whole = problems[problems.frame.isna()]
    lost = problems[problems.frame.notna()]
    counts = {
        "videos in the catalog": len(catalog),
        "videos prepared": len(index),
        "videos left out": whole.video_id.nunique(),
        "frames decoded in prepared videos": int(index.decoded.sum()),
        "key frames found in them": int(index.key_frames.sum()),
        "frames chosen": int(index.chosen.sum()),
        "frames kept": len(prepared.frames),
        "of these, faces that were followed": int(prepared.frames.tracked.sum()),
        "frames left out": len(lost),
    }
    videos = counts["videos prepared"] + counts["videos left out"]
    frames = counts["frames kept"] + counts["frames left out"]
    if videos != counts["videos in the catalog"] or frames != counts["frames chosen"]:
        raise VibaError(
            f"the tables of the preparation do not add up: {counts}; remove its folder under "
            "results/<profile>/prepare and prepare again"
        )
    return pd.DataFrame({"what": list(counts), "number": list(counts.values())})
