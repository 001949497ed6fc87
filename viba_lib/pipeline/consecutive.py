"""Consecutive frames of a catalog's videos: what coupling and time need, key frames do not give."""

import numpy as np
import torch

from viba_lib.core.errors import VibaError
from viba_lib.data.catalog import resolve, segment
from viba_lib.data.clip_store import PreparedClip
from viba_lib.data.prepare import prepared_rows
from viba_lib.data.video import read_video
from viba_lib.pipeline.study import Study


def film_of(study: Study, video_id: str, count: int) -> tuple[np.ndarray, np.ndarray | None]:
    """First `count` frames (T, H, W, 3) of a video, and its planted masks (T, H, W) or None.

    Raises
    ------
    VibaError
        A video that the catalog does not have.
    """
    catalog = study.catalog().set_index("video_id")
    if video_id not in catalog.index:
        raise VibaError(f"video {video_id!r} is not in the catalog; see study.catalog()")
    row, root = catalog.loc[video_id], study.catalog_root()
    path, start, end = segment(row, root)
    frames = read_video(path, start, end, count).frames
    if not row.get("mask_path"):
        return frames, None
    mask = resolve(str(row.mask_path), root)
    return frames, read_video(mask, start, end, count, "gray").frames


def consecutive(study: Study, video_id: str, count: int) -> PreparedClip:
    """Prepared crops of up to `count` consecutive frames of a video, with its planted masks.

    Raises
    ------
    VibaError
        A video that the catalog does not have, or in which no face is found.
    """
    frames, masks = film_of(study, video_id, count + 1)
    by_index = None if masks is None else dict(enumerate(masks))
    settings = study.profile.preparation
    indices = np.arange(len(frames) - 1)
    rows = list(prepared_rows(enumerate(frames), indices, settings, by_index))
    if not rows:
        raise VibaError(f"no face in the first {len(frames)} frames of {video_id!r}; take another")
    return PreparedClip.stack(rows)


def inputs_and_masks(
    study: Study, detector: str, video_id: str, count: int
) -> tuple[torch.Tensor, np.ndarray]:
    """Detector inputs (T, 3, S, S) and masks (T, S, S) of consecutive frames."""
    clip = consecutive(study, video_id, count)
    found, size = study.registered(detector), study.settings(detector).size
    return found.inputs(clip, None, size), found.masks(clip, None, size)
