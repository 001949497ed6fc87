"""From a video to the inputs of the detectors: key frames, face crops, flow fields, landmarks."""

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pandas as pd
from pydantic import Field

from viba_lib.core.cache import Work
from viba_lib.core.errors import VibaError
from viba_lib.core.parallel import map_counted
from viba_lib.core.settings import Count, Integer, Settings
from viba_lib.data.catalog import resolve, segment
from viba_lib.data.clip_store import SUFFIX, PreparedClip, read_facts, save_clip
from viba_lib.data.faces import NoFaceError, crop, square_box, to_crop
from viba_lib.data.flow import farneback
from viba_lib.data.keyframes import frame_differences, key_frames
from viba_lib.data.tracking import FaceTrack, Sighting
from viba_lib.data.video import VideoError, VideoReader

# The tracker sees every third frame between two key frames: heads do not move far in a tenth of
# a second, and it costs as much as decoding.
STRIDE = 3
MAX_SIZE = 4096  # pixels of a crop's side; no video has a larger face
Between = Callable[[int, int], Iterable[np.ndarray]]


class PreparationSettings(Settings):
    """How a video becomes crops and flow fields.

    Sizes are in pixels. `face_scale` is the side of the crop over the side of the face box. If a
    video has more key frames than `frames_per_video`, `choose` samples some at random, as the paper
    does for flow, or takes those with the highest peaks. `face` is the face that is taken first of
    several, and then followed. A face that the detector misses is followed ("track") or left out
    ("drop").
    """

    face_scale: float = Field(1.3, gt=0)
    frames_per_video: Count = 6
    keyframe_threshold: float = Field(0.3, ge=0, le=1)
    choose: Literal["random", "strongest"] = "random"
    face: Literal["largest", "central"] = "largest"
    lost: Literal["track", "drop"] = "track"
    spatial_size: Integer = Field(299, ge=16, le=MAX_SIZE)
    flow_size: Integer = Field(256, ge=16, le=MAX_SIZE)


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
    size, flow_size = settings.spatial_size, settings.flow_size
    track = FaceTrack(prefer=settings.face, bridge=settings.lost == "track")
    landmarks, no_mask = track.detector.landmarks, np.zeros((size, size), np.uint8)
    wanted, last = set(map(int, indices)), 0
    before: tuple[int, np.ndarray, Sighting] | None = None
    for index, frame in frames:
        if before is not None and index == before[0] + 1:
            key, first, face = before
            square = square_box(face.box, settings.face_scale)
            pair = np.stack([crop(first, square, flow_size), crop(frame, square, flow_size)])
            mask = None if masks is None else masks.get(key)
            yield {
                "frame": key,
                "faces": crop(first, square, size),
                "pairs": pair,
                "flow": farneback(pair[0], pair[1]).transpose(2, 0, 1).astype(np.float16),
                "landmarks": to_crop(landmarks(first, face.box), square),
                "next_landmarks": to_crop(landmarks(frame, face.box), square),
                "masks": no_mask if mask is None else crop(mask, square, size),
                "squares": np.array(square, np.float32),
                "tracked": np.uint8(face.tracked),
            }
        before = None
        if index in wanted:
            sighting = track.find(frame, partial(between, last, index))
            if sighting is not None:
                before, last = (index, frame, sighting), index


def prepare_key_frames(
    video: VideoReader,
    indices: np.ndarray,
    settings: PreparationSettings,
    masks: Mapping[int, np.ndarray] | None = None,
) -> Iterator[dict[str, Any]]:
    """Crops, flow and landmarks of key frames of a video, see `prepared_rows`.

    Raises
    ------
    NoFaceError
        No key frame has a face.
    """
    numbers = sorted({int(i) + step for i in indices for step in (0, 1)})

    def between(first: int, last: int) -> Iterable[np.ndarray]:
        return video.frames([*range(first, last, STRIDE), last], "gray")

    frames = zip(numbers, video.frames(numbers), strict=False)
    row = None
    for row in prepared_rows(frames, indices, settings, masks, between):
        yield row
    if row is None:
        raise NoFaceError(
            f"no face in any of {len(indices)} frames of {video.path}; expected a face at least 80 "
            "pixels wide in a frame 480 wide, looking to the camera: choose another video"
        )


def choose_frames(
    differences: np.ndarray, settings: PreparationSettings, video_id: str, seed: int = 0
) -> tuple[np.ndarray, int]:
    """Key frames that are prepared, ascending, and how many the video has.

    Parameters
    ----------
    differences : (T,), see `frame_differences`
    video_id, seed : of the choice among more key frames than are wanted
    """
    wanted, threshold = settings.frames_per_video, settings.keyframe_threshold
    peaks = key_frames(differences, threshold, minimum=0)
    if len(peaks) <= wanted or settings.choose == "strongest":
        return key_frames(differences, threshold, minimum=wanted, maximum=wanted), len(peaks)
    # The sample of a video does not depend on the videos before it in the catalog.
    rng = np.random.default_rng([seed, zlib.crc32(video_id.encode())])
    return np.sort(rng.choice(peaks, wanted, replace=False)), len(peaks)


def check_pairs(video: VideoReader) -> None:
    """Raise a `VideoError` if a video has no two consecutive frames."""
    if video.length < 2:
        raise VideoError(f"{video.path} has one frame; a flow map needs two: give a longer video")


def prepare_video(
    row: Mapping[str, Any],
    root: str | Path,
    out_path: str | Path,
    settings: PreparationSettings,
    seed: int = 0,
) -> dict[str, Any]:
    """Prepare one video of a catalog and write its arrays, see `clip_store`.

    Returns
    -------
    The facts that are stored with the arrays: video_id, decoded (number of frames), key_frames
    (number found), chosen (their indices), lost (those of them without a face), shape (height and
    width of the frames), damage (in words, if only a part of the file can be decoded).

    Raises
    ------
    VideoError
        Not decodable, or a single frame: a flow field needs two.
    NoFaceError
        No key frame has a face.
    """
    cv2.setNumThreads(1)
    video_id = str(row["video_id"])
    with VideoReader(*segment(row, root)) as video:
        differences = frame_differences(video.frames(format="gray"))
        check_pairs(video)
        indices, found = choose_frames(differences, settings, video_id, seed)
        masks = _planted_masks(row, root, video, indices)
        clip = PreparedClip.stack(prepare_key_frames(video, indices, settings, masks))
        shape, damage = list(video.shape), video.damage
    facts = {
        "video_id": video_id,
        "decoded": len(differences),
        "key_frames": found,
        "chosen": indices.tolist(),
        "lost": sorted({*indices.tolist()} - {*clip.frame.tolist()}),
        "shape": shape,
        "damage": damage,
    }
    save_clip(clip, Path(out_path), facts)
    return facts


def _planted_masks(
    row: Mapping[str, Any], root: str | Path, video: VideoReader, indices: np.ndarray
) -> dict[int, np.ndarray] | None:
    """Masks (H, W) of key frames by frame number, None if the row names no mask video."""
    if not row.get("mask_path"):
        return None
    path, numbers = resolve(str(row["mask_path"]), root), indices.tolist()
    with VideoReader(path, video.start, video.end, video.length) as masks:
        if masks.shape != video.shape:
            (h, w), (rows, columns) = masks.shape, video.shape
            raise VideoError(
                f"masks {path} are shown at {w}x{h}, and {video.path} at {columns}x{rows}; "
                "expected one size: export both with square pixels and without rotation"
            )
        found = dict(zip(numbers, masks.frames(numbers, "gray"), strict=False))
    if len(found) < len(numbers):
        raise VideoError(
            f"masks {path} have no frame {numbers[len(found)]}, and {video.path} has; expected a "
            "mask for each frame of the fake"
        )
    return found


@dataclass(frozen=True)
class Preparation:
    """Result of preparing a catalog.

    index : one row per prepared video: video_id, path of its arrays under the output folder,
        decoded (frames), damage (in words; "" if the complete file was decoded), key_frames
        (found), chosen, frames (kept), tracked (number of faces among these that were followed, not
        detected)
    frames : one row per kept frame: video_id, path, position (in the arrays), frame (in the video),
        tracked
    problems : video_id, stage, frame (none if the complete video is excluded), reason
    """

    index: pd.DataFrame
    frames: pd.DataFrame
    problems: pd.DataFrame


def prepare_catalog(
    catalog: pd.DataFrame,
    root: str | Path,
    out_dir: str | Path,
    settings: PreparationSettings,
    seed: int,
    work: Work,
) -> Preparation:
    """Prepare every video of a catalog in parallel; finished ones are not prepared again.

    Parameters
    ----------
    seed : of the choice of key frames
    work : who prepares the videos; the result does not depend on it

    Returns
    -------
    Tables in the order of the catalog. Every video is in the index or in the problems, and every
    chosen frame is in the frames or in the problems. The problems include a video whose worker
    dies in each try.

    Raises
    ------
    VibaError
        No video could be prepared.
    """
    rows = catalog.to_dict("records")
    # Relative folders mean something else on a worker.
    root, out_dir = Path(root).absolute(), Path(out_dir).absolute()
    facts_of = partial(_facts, root=root, out_dir=out_dir, settings=settings, seed=seed)
    results = map_counted(facts_of, rows, work, "videos prepared")
    problems: list[tuple[str, str, int | None, str]] = []
    done = []
    for number, row in enumerate(rows):
        facts = results[number]
        if isinstance(facts, VibaError):
            problems.append((row["video_id"], "prepare", None, str(facts)))
            continue
        problems += [(row["video_id"], "prepare", frame, "no face") for frame in facts["lost"]]
        done.append(facts)
    if not done:
        raise VibaError(
            f"none of {len(catalog)} videos could be prepared; the first reason: {problems[0][3]}"
        )
    table = pd.DataFrame(problems, columns=["video_id", "stage", "frame", "reason"])
    return Preparation(*_tables(pd.DataFrame(done)), table.astype({"frame": "Int64"}))


def _facts(
    row: dict[str, Any], root: Path, out_dir: Path, settings: PreparationSettings, seed: int
) -> dict[str, Any] | VibaError:
    """Facts of a video, prepared if need be; one bad video does not end a run."""
    path = f"clips/{row['video_id']}{SUFFIX}"
    if not (out_dir / path).is_file():
        try:
            prepare_video(row, root, out_dir / path, settings, seed)
        except VibaError as error:
            return error
    return read_facts(out_dir / path) | {"path": path}


def _tables(done: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Index and frames of a `Preparation`, from the facts of its videos."""
    index = done[["video_id", "path", "decoded", "damage", "key_frames"]].assign(
        chosen=done.chosen.map(len), frames=done.frame.map(len), tracked=done.tracked.map(sum)
    )
    frames = done[["video_id", "path", "frame", "tracked"]].explode(["frame", "tracked"])
    frames = frames.reset_index(drop=True).astype({"frame": int, "tracked": bool})
    frames.insert(2, "position", frames.groupby("path").cumcount())
    return index, frames


def account(catalog: pd.DataFrame, prepared: Preparation) -> pd.DataFrame:
    """Numbers of prepared and excluded videos and frames; columns what and number.

    Raises
    ------
    VibaError
        The numbers do not add up: something was dropped without a problem.
    """
    index, problems = prepared.index, prepared.problems
    of_videos, of_frames = problems[problems.frame.isna()], problems[problems.frame.notna()]
    counts = {
        "videos in the catalog": len(catalog),
        "videos prepared": len(index),
        "videos left out": of_videos.video_id.nunique(),
        "damaged videos, of which a part was decoded": int((index.damage != "").sum()),
        "frames decoded in prepared videos": int(index.decoded.sum()),
        "key frames found in them": int(index.key_frames.sum()),
        "frames chosen": int(index.chosen.sum()),
        "frames kept": len(prepared.frames),
        "of these, faces that were followed": int(prepared.frames.tracked.sum()),
        "frames left out": len(of_frames),
    }
    videos = counts["videos prepared"] + counts["videos left out"]
    frames = counts["frames kept"] + counts["frames left out"]
    if videos != counts["videos in the catalog"] or frames != counts["frames chosen"]:
        raise VibaError(
            f"the tables of the preparation do not add up: {counts}; remove its folder under "
            "results/<profile>/prepare and prepare again"
        )
    return pd.DataFrame({"what": list(counts), "number": list(counts.values())})
