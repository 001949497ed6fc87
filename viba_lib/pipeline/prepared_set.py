"""The prepared clips of a run beside the catalog that they come from."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from viba_lib.core.errors import VibaError
from viba_lib.data.catalog import CLASSES, load_catalog, resolve, segment
from viba_lib.data.clip_store import ClipStore, PreparedClip
from viba_lib.data.faces import NoFaceError
from viba_lib.data.prepare import Preparation, PreparationSettings, prepared_rows
from viba_lib.data.video import read_video
from viba_lib.models.detectors import Change, Detector

TABLES = ("index", "frames", "problems")
FROM_CATALOG = ("video_id", "dataset", "label", "method", "identity", "split", "original", "region")


class PreparedSet:
    """Tables and arrays of the prepared clips, opened from their folders.

    Parameters
    ----------
    dataset : folder of a planted data set, or the catalog file of a licensed one
    folder : finished stage `prepare`

    Attributes
    ----------
    root : folder that the catalog's paths are relative to
    """

    def __init__(self, dataset: Path, folder: Path) -> None:
        self.dataset, self.folder = dataset, folder
        self.root = dataset if dataset.is_dir() else dataset.parent

    @cached_property
    def catalog(self) -> pd.DataFrame:
        """One row per video."""
        planted = self.dataset.is_dir()
        return load_catalog(self.dataset / "catalog.parquet" if planted else self.dataset)

    @cached_property
    def preparation(self) -> Preparation:
        """What became of the catalog's videos: index, frames and problems."""
        return Preparation(**{n: pd.read_parquet(self.folder / f"{n}.parquet") for n in TABLES})

    @cached_property
    def all_frames(self) -> pd.DataFrame:
        """One row per prepared frame, with what the catalog knows of its video; label 0 or 1."""
        columns = [name for name in FROM_CATALOG if name in self.catalog]
        table = self.preparation.frames.merge(
            self.catalog[columns], on="video_id", how="left", validate="many_to_one"
        )
        table["label"] = table.label.map({name: i for i, name in enumerate(CLASSES)})
        return table

    def frames(self, split: str | None = None, methods: Sequence[str] = ()) -> pd.DataFrame:
        """Rows of `all_frames`.

        Parameters
        ----------
        split : "train", "val" or "test"; None = all
        methods : keep real frames and these methods; empty = all
        """
        rows = self.all_frames
        if split is not None:
            rows = rows[rows.split == split]
        if methods:
            rows = rows[(rows.label == 0) | rows.method.isin(list(methods))]
        return rows.reset_index(drop=True)

    def rows(self, positions: Sequence[tuple[str, int]]) -> pd.DataFrame:
        """Rows of `all_frames` by video_id and position, in this order."""
        wanted = pd.DataFrame(list(positions), columns=["video_id", "position"])
        return wanted.merge(self.all_frames, how="left", validate="many_to_one")

    @cached_property
    def store(self) -> ClipStore:
        """Prepared clips by path."""
        return ClipStore(self.folder)

    def clip(self, video_id: str) -> PreparedClip:
        """Prepared arrays of one video.

        Raises
        ------
        VibaError
            The video was not prepared.
        """
        found = self.all_frames.loc[self.all_frames.video_id == video_id, "path"]
        if found.empty:
            raise VibaError(f"video {video_id!r} was not prepared; see study.problems()")
        return self.store[found.iloc[0]]

    def inputs(
        self, detector: Detector, rows: pd.DataFrame, change: Change | None = None
    ) -> torch.Tensor:
        """Detector inputs (T, 3, S, S) float32 of rows of `frames`.

        Parameters
        ----------
        change : of the crops, before anything is computed on them
        """
        if change is None:
            parts = self._each(detector.inputs, rows, detector.size)
        else:
            parts = self._each(detector.degrade, rows, change, detector.size)
        # An empty part would change the memory format, and with it the rounding of sums.
        return torch.cat(parts) if parts else torch.zeros(0, 3, detector.size, detector.size)

    def batches(
        self, detector: Detector, rows: pd.DataFrame, count: int = 16
    ) -> Iterator[torch.Tensor]:
        """The same inputs, `count` frames at a time."""
        for at in range(0, len(rows), count):
            yield self.inputs(detector, rows.iloc[at : at + count])

    def images(self, detector: Detector, rows: pd.DataFrame) -> np.ndarray:
        """Images (T, S, S, 3) uint8 of the inputs: what a map is painted on."""
        return np.concatenate(self._each(detector.images, rows, detector.size))

    def masks(self, detector: Detector, rows: pd.DataFrame) -> np.ndarray:
        """Planted masks (T, S, S) float32 in [0, 1], zero for real frames."""
        return np.concatenate(self._each(detector.masks, rows, detector.size))

    def first_frames(
        self, video_id: str, count: int, begin: int = 0
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """`count` frames (T, H, W, 3) of a video, and its planted masks (T, H, W) or None.

        Parameters
        ----------
        begin : number of the first one

        Raises
        ------
        VibaError
            A video that the catalog does not have.
        """
        catalog = self.catalog.set_index("video_id")
        if video_id not in catalog.index:
            raise VibaError(f"video {video_id!r} is not in the catalog; see study.catalog()")
        row = catalog.loc[video_id]
        path, start, end = segment(row, self.root)
        frames = read_video(path, start, end, count, begin=begin).frames
        if not row.get("mask_path"):
            return frames, None
        mask = resolve(str(row.mask_path), self.root)
        return frames, read_video(mask, start, end, count, "gray", begin).frames

    def consecutive(
        self, video_id: str, count: int, preparation: Mapping[str, Any]
    ) -> PreparedClip:
        """Prepared crops of up to `count` consecutive frames of a video, with its planted masks.

        They are the first ones. If these have no face, because a video begins with a title, they
        begin at the first prepared key frame in which one was detected.

        Parameters
        ----------
        preparation : fields of `PreparationSettings`

        Raises
        ------
        VibaError
            A video that the catalog does not have.
        NoFaceError
            No face is found in these frames.
        """
        settings = PreparationSettings(**preparation)
        rows = self._rows_from(0, video_id, count, settings)
        if not rows:
            found = self.preparation.frames.query("video_id == @video_id and not tracked").frame
            if len(found):
                rows = self._rows_from(int(found.min()), video_id, count, settings)
        if not rows:
            raise NoFaceError(
                f"no face in the first {count + 1} frames of {video_id!r}; take another"
            )
        return PreparedClip.stack(rows)

    def _rows_from(
        self, begin: int, video_id: str, count: int, settings: PreparationSettings
    ) -> list[dict[str, Any]]:
        """Rows of `prepared_rows` of up to `count` frames of a video from number `begin` on."""
        frames, masks = self.first_frames(video_id, count + 1, begin)
        by_index = None if masks is None else dict(enumerate(masks, begin))
        indices = np.arange(begin, begin + len(frames) - 1)
        return list(prepared_rows(enumerate(frames, begin), indices, settings, by_index))

    def _each(self, function: Callable[..., Any], rows: pd.DataFrame, *rest: Any) -> list[Any]:
        return [function(self.store[row.path], [row.position], *rest) for row in rows.itertuples()]
