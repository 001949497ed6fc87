"""Crops of one video in chunks on disk, so that memory does not grow with its length."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from viba_lib.core.checkpoints import finished_checkpoint, write_checkpoint
from viba_lib.core.files import write_text
from viba_lib.core.progress import ProgressLines
from viba_lib.data.clip_store import PreparedClip
from viba_lib.data.prepare import PreparationSettings, check_pairs, prepare_key_frames
from viba_lib.data.video import VideoReader

CHUNK_FRAMES = 16
DONE = "done.json"


def spread_frames(video: VideoReader, max_frames: int) -> np.ndarray:
    """Numbers of up to `max_frames` evenly spaced frames that have a successor.

    Raises
    ------
    VideoError
        Not decodable, or one frame only.
    """
    check_pairs(video)
    numbers = np.linspace(0, video.length - 2, min(max_frames, video.length - 1))
    return np.unique(numbers.round().astype(int))


def read_clip(video: VideoReader, settings: PreparationSettings, max_frames: int) -> PreparedClip:
    """Crops of up to `max_frames` evenly spaced frames, in memory.

    Raises
    ------
    VideoError, NoFaceError
        Not decodable, one frame only, or no face in any chosen frame.
    """
    indices = spread_frames(video, max_frames)
    return PreparedClip.stack(prepare_key_frames(video, indices, settings))


@dataclass(frozen=True)
class VideoChunks:
    """Crops of a video on disk, `CHUNK_FRAMES` frames a chunk.

    Parameters
    ----------
    folder : of the chunks
    frames : numbers of the frames with a face
    """

    folder: Path
    frames: list[int]

    @classmethod
    def prepare(
        cls,
        folder: Path,
        video: VideoReader,
        indices: np.ndarray,
        settings: PreparationSettings,
        progress: Callable[[str], None] = lambda _: None,
    ) -> "VideoChunks":
        """Find faces and write the chunks, unless they exist.

        A face is followed from frame to frame, so a run that was stopped before the last chunk
        starts again with the first.

        Raises
        ------
        NoFaceError
            No frame has a face.
        """
        done = folder / DONE
        if done.is_file():
            return cls(folder, json.loads(done.read_text(encoding="utf-8"))["frames"])
        frames: list[int] = []
        lines = ProgressLines(progress, "faces found in frames", len(indices))
        rows = lines.counted(prepare_key_frames(video, indices, settings))
        while chunk := list(islice(rows, CHUNK_FRAMES)):
            number = len(frames) // CHUNK_FRAMES
            write_checkpoint(folder, number, vars(PreparedClip.stack(chunk)))
            frames += [int(row["frame"]) for row in chunk]
        write_text(done, json.dumps({"frames": frames}))
        return cls(folder, frames)

    def __len__(self) -> int:
        return len(self.sizes())

    def __getitem__(self, number: int) -> PreparedClip:
        return PreparedClip(**finished_checkpoint(self.folder, number))

    def sizes(self) -> list[int]:
        """Frames in each chunk."""
        count = len(self.frames)
        return [min(CHUNK_FRAMES, count - first) for first in range(0, count, CHUNK_FRAMES)]
