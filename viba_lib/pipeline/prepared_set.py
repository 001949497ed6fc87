"""The prepared clips of a run beside the catalog that they come from."""

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from viba_lib.core.cache import read_meta
from viba_lib.core.errors import VibaError
from viba_lib.core.progress import Progress
from viba_lib.data.catalog import CLASSES, load_catalog
from viba_lib.data.clip_store import ClipStore, PreparedClip
from viba_lib.data.prepare import Preparation, PreparationSettings, prepare_video
from viba_lib.models.detectors import Detector

log = logging.getLogger(__name__)
TABLES = ("index", "frames", "problems")
FROM_CATALOG = ("video_id", "dataset", "label", "method", "identity", "split", "original", "region")


class PreparedSet:
    """Tables and arrays of the prepared clips, opened from their folders.

    Parameters
    ----------
    catalog_path : Parquet file of the catalog
    root : folder that the catalog's paths are relative to
    folder : finished stage `prepare`
    progress : told when a broken clip is prepared again
    """

    def __init__(
        self, catalog_path: Path, root: Path, folder: Path, progress: Progress = lambda _: None
    ) -> None:
        self.catalog_path, self.root, self.folder = catalog_path, root, folder
        self.progress = progress

    @cached_property
    def catalog(self) -> pd.DataFrame:
        """One row per video."""
        return load_catalog(self.catalog_path)

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

    def sample(self, count: int, seed: int, methods: Sequence[str] = ()) -> pd.DataFrame:
        """Up to `count` training frames, sampled without replacement."""
        rows = self.frames("train", methods)
        return rows.sample(min(count, len(rows)), random_state=seed)

    @cached_property
    def store(self) -> ClipStore:
        """Prepared clips by path; a broken one is prepared again."""
        meta = read_meta(self.folder)
        return ClipStore(self.folder, meta["files"] if meta else None, repair=self._prepare_again)

    def _prepare_again(self, name: str, wrong: str) -> None:
        meta = read_meta(self.folder)
        if meta is None:
            raise VibaError(f"{self.folder} is not a finished stage; remove it and run again")
        self.progress(f"prepare: a stored clip is broken ({wrong}); it is prepared again")
        log.warning("prepare %s: %s is broken (%s)", self.folder.name, name, wrong)
        settings = meta["key"]["settings"]
        video = self.preparation.index.set_index("path").video_id[name]
        row = self.catalog.set_index("video_id", drop=False).loc[video].to_dict()
        given = PreparationSettings(**settings["settings"])
        prepare_video(row, self.root, self.folder / name, given, settings["seed"])

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

    def inputs(self, detector: Detector, rows: pd.DataFrame, size: int) -> torch.Tensor:
        """Detector inputs (T, 3, size, size) float32 of rows of `frames`."""
        empty = torch.zeros(0, 3, size, size)
        return torch.cat([empty, *self._each(detector.inputs, rows, size)])

    def batches(
        self, detector: Detector, rows: pd.DataFrame, size: int, count: int = 16
    ) -> Iterator[torch.Tensor]:
        """The same inputs, `count` frames at a time."""
        for at in range(0, len(rows), count):
            yield self.inputs(detector, rows.iloc[at : at + count], size)

    def images(self, detector: Detector, rows: pd.DataFrame, size: int) -> np.ndarray:
        """Images (T, size, size, 3) uint8 of the inputs: what a map is painted on."""
        return np.concatenate(self._each(detector.images, rows, size))

    def masks(self, detector: Detector, rows: pd.DataFrame, size: int) -> np.ndarray:
        """Planted masks (T, size, size) float32 in [0, 1], zero for real frames."""
        return np.concatenate(self._each(detector.masks, rows, size))

    def degraded(
        self,
        detector: Detector,
        rows: pd.DataFrame,
        change: Callable[[np.ndarray], np.ndarray],
        size: int,
    ) -> torch.Tensor:
        """Detector inputs of rows whose crops were changed, before anything is computed on them."""
        parts = [
            detector.degrade(self.store[row.path], [row.position], change, size)
            for row in rows.itertuples()
        ]
        return torch.cat([torch.zeros(0, 3, size, size), *parts])

    def _each(self, function: Callable[..., Any], rows: pd.DataFrame, size: int) -> list[Any]:
        return [function(self.store[row.path], [row.position], size) for row in rows.itertuples()]
