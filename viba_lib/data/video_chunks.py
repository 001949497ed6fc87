"""A video's crops in pieces on disk: memory does not grow with its length, and a run can go on."""

import json
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np

from viba_lib.core.checkpoints import read_checkpoint, write_checkpoint
from viba_lib.core.files import write_text
from viba_lib.core.progress import ProgressLines
from viba_lib.data.clip_store import PreparedClip
from viba_lib.data.faces import NoFaceError
from viba_lib.data.prepare import PreparationSettings, frames_between, prepared_rows
from viba_lib.data.video import VideoError, count_frames, pick_frames

AT_ONCE = 16  # frames of a piece
DONE = "done.json"
NAMES = tuple(field.name for field in fields(PreparedClip))


def spread_frames(video: Path, max_frames: int) -> tuple[np.ndarray, int]:
    """Up to `max_frames` evenly spaced frames that have a successor, and the video's length.

    Raises
    ------
    VideoError
        Not decodable, or one frame only.
    """
    length = count_frames(video)
    if length < 2:
        raise VideoError(f"{video} has one frame; a flow map needs two: give a longer video")
    places = np.linspace(0, length - 2, min(max_frames, length - 1)).round().astype(int)
    return np.unique(places), length


def iter_rows(
    video: Path, indices: np.ndarray, length: int, settings: PreparationSettings
) -> Iterator[dict[str, np.ndarray]]:
    """Arrays of one frame after another, of those that have a face; see `PreparedClip`."""
    wanted = {int(i) + step for i in indices for step in (0, 1)}
    frames = pick_frames(video, wanted, length)
    return prepared_rows(frames, indices, settings, between=frames_between(video, length))


def no_face(video: Path, count: int) -> NoFaceError:
    """The error of a video whose frames have no face."""
    return NoFaceError(
        f"no face in any of {count} frames of {video}; expected a face at least 80 pixels "
        "wide in a frame 480 wide, looking to the camera: choose another video"
    )


def read_clip(
    video: Path, settings: PreparationSettings, max_frames: int
) -> tuple[PreparedClip, int]:
    """Crops of up to `max_frames` evenly spaced frames in memory, and the video's length.

    Raises
    ------
    VideoError, NoFaceError
        Not decodable, one frame only, or no face in any chosen frame.
    """
    indices, length = spread_frames(video, max_frames)
    rows = list(iter_rows(video, indices, length, settings))
    if not rows:
        raise no_face(video, len(indices))
    return _stacked(rows), length


def _stacked(rows: list[dict[str, np.ndarray]]) -> PreparedClip:
    return PreparedClip(**{name: np.stack([row[name] for row in rows]) for name in NAMES})


class ClipPieces:
    """Crops of a video on disk, `AT_ONCE` frames a piece.

    Parameters
    ----------
    folder : of the pieces; what an earlier run finished is used
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.frames: list[int] = []

    def prepare(
        self,
        video: Path,
        indices: np.ndarray,
        length: int,
        settings: PreparationSettings,
        progress: Callable[[str], None] = lambda _: None,
    ) -> "ClipPieces":
        """Find faces and write the pieces, unless they are there.

        A face is followed from frame to frame, so that a run which was stopped before the last
        piece begins with the first again.

        Raises
        ------
        NoFaceError
            No frame has a face.
        """
        done = self.folder / DONE
        if done.is_file():
            self.frames = json.loads(done.read_text(encoding="utf-8"))["frames"]
            return self
        waiting: list[dict[str, np.ndarray]] = []
        lines = ProgressLines(progress, "faces found in frames", len(indices))
        number = 0
        for row in iter_rows(video, indices, length, settings):
            self.frames.append(int(row["frame"]))
            waiting.append(row)
            lines.update()
            if len(waiting) == AT_ONCE:
                write_checkpoint(self.folder, number, vars(_stacked(waiting)))
                number, waiting = number + 1, []
        if waiting:
            write_checkpoint(self.folder, number, vars(_stacked(waiting)))
        if not self.frames:
            raise no_face(video, len(indices))
        write_text(done, json.dumps({"frames": self.frames}))
        return self

    def __len__(self) -> int:
        return -(-len(self.frames) // AT_ONCE)

    def __getitem__(self, number: int) -> PreparedClip:
        arrays = read_checkpoint(self.folder, number)
        if arrays is None:
            raise VideoError(
                f"piece {number} in {self.folder} is broken; remove that folder and run it again"
            )
        return PreparedClip(**arrays)

    def sizes(self) -> list[int]:
        """Frames in each piece."""
        return [
            min(AT_ONCE, len(self.frames) - first) for first in range(0, len(self.frames), AT_ONCE)
        ]
