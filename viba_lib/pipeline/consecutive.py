"""Consecutive frames of a catalog's videos, for temporal coupling and temporal localisation."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from viba_lib.core.errors import VibaError
from viba_lib.data.catalog import resolve, segment
from viba_lib.data.clip_store import PreparedClip
from viba_lib.data.prepare import PreparationSettings, prepared_rows
from viba_lib.data.video import read_video
from viba_lib.pipeline.prepared_set import PreparedSet


def first_frames(
    clips: PreparedSet, video_id: str, count: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """First `count` frames (T, H, W, 3) of a video, and its planted masks (T, H, W) or None.

    Raises
    ------
    VibaError
        A video that the catalog does not have.
    """
    catalog = clips.catalog.set_index("video_id")
    if video_id not in catalog.index:
        raise VibaError(f"video {video_id!r} is not in the catalog; see study.catalog()")
    row = catalog.loc[video_id]
    path, start, end = segment(row, clips.root)
    frames = read_video(path, start, end, count).frames
    if not row.get("mask_path"):
        return frames, None
    mask = resolve(str(row.mask_path), clips.root)
    return frames, read_video(mask, start, end, count, "gray").frames


def consecutive(
    clips: PreparedSet, video_id: str, count: int, preparation: Mapping[str, Any]
) -> PreparedClip:
    """Prepared crops of up to `count` consecutive frames of a video, with its planted masks.

    Parameters
    ----------
    preparation : fields of `PreparationSettings`

    Raises
    ------
    VibaError
        A video that the catalog does not have, or in which no face is found.
    """
    frames, masks = first_frames(clips, video_id, count + 1)
    by_index = None if masks is None else dict(enumerate(masks))
    settings, indices = PreparationSettings(**preparation), np.arange(len(frames) - 1)
    rows = list(prepared_rows(enumerate(frames), indices, settings, by_index))
    if not rows:
        raise VibaError(f"no face in the first {len(frames)} frames of {video_id!r}; take another")
    return PreparedClip.stack(rows)
