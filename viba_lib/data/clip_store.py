"""Prepared clips on disk: arrays with labelled dimensions, one zipped Zarr store per video."""

import os
import shutil
import tempfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from filelock import FileLock
from zarr.storage import ZipStore

from viba_lib.core.cache import Record
from viba_lib.core.errors import VibaError

SUFFIX = ".zarr.zip"
DIMENSIONS: dict[str, tuple[str, ...]] = {
    "frame": ("frame",),
    "faces": ("frame", "y", "x", "rgb"),
    "pairs": ("frame", "time", "flow_y", "flow_x", "rgb"),
    "flow": ("frame", "component", "flow_y", "flow_x"),
    "landmarks": ("frame", "point", "axis"),
    "next_landmarks": ("frame", "point", "axis"),
    "masks": ("frame", "y", "x"),
    "squares": ("frame", "square"),
    "tracked": ("frame",),
}
MEANING = {
    "frame": "index in the video, or in its piece from start to end",
    "faces": "face crop of the key frame",
    "pairs": "crops of the key frame and of its successor, under one square",
    "flow": "optical flow of the pair: dx, dy in pixels of the crop",
    "landmarks": "68 landmarks of the key frame: x, y in units of the crop",
    "next_landmarks": "68 landmarks of the successor: x, y in units of the key frame's crop",
    "masks": "mask of what was changed, 0 to 255",
    "squares": "crop in the video: centre x, centre y, side in pixels",
    "tracked": "1 where the face was followed from an earlier key frame, 0 where it was detected",
}


@dataclass(frozen=True)
class PreparedClip:
    """Prepared arrays of one video, N key frames.

    frame (N,) index in the video; faces (N, 299, 299, 3) uint8; pairs (N, 2, 256, 256, 3) uint8,
    key frame and successor under one box; flow (N, 2, 256, 256) float16 in pixels; landmarks and
    next_landmarks (N, 68, 2) in units of the crop; masks (N, 299, 299) uint8, planted mask, zero
    where there is none; squares (N, 3) centre x, centre y and side of the crop in the frame;
    tracked (N,) uint8, 1 where the face was not detected but followed.
    """

    frame: np.ndarray
    faces: np.ndarray
    pairs: np.ndarray
    flow: np.ndarray
    landmarks: np.ndarray
    next_landmarks: np.ndarray
    masks: np.ndarray
    squares: np.ndarray
    tracked: np.ndarray

    @classmethod
    def stack(cls, rows: Sequence[Mapping[str, Any]]) -> "PreparedClip":
        """Clip of the fields of one frame after another."""
        return cls(**{name: np.stack([row[name] for row in rows]) for name in DIMENSIONS})

    @property
    def nbytes(self) -> int:
        """Size in memory."""
        return sum(getattr(self, field.name).nbytes for field in fields(self))

    def dataset(self) -> xr.Dataset:
        """The same arrays with labelled dimensions."""
        arrays = {
            name: (dims, getattr(self, name), {"description": MEANING[name]})
            for name, dims in DIMENSIONS.items()
        }
        return xr.Dataset(arrays).set_coords("frame")


def save_clip(clip: PreparedClip, path: Path, facts: Mapping[str, Any]) -> None:
    """Write a clip as one file, aside first and then renamed; equal clips give equal bytes.

    Parameters
    ----------
    facts : numbers and lists about the video, kept as attributes of the store
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=path.parent, suffix=".part"))
    try:
        data = clip.dataset().assign_attrs(facts)
        data.to_zarr(aside / "store", mode="w", zarr_format=3, consolidated=False)
        with zipfile.ZipFile(aside / "zip", "w", zipfile.ZIP_STORED) as archive:
            for file in sorted(p for p in (aside / "store").rglob("*") if p.is_file()):
                # Without a date of its own, the same clip is the same file.
                entry = zipfile.ZipInfo(file.relative_to(aside / "store").as_posix())
                archive.writestr(entry, file.read_bytes())
        os.replace(aside / "zip", path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def _open(path: Path) -> Iterator[zarr.Group]:
    try:
        with ZipStore(path, mode="r") as store:
            # The third format knows no pickled objects.
            yield zarr.open_group(store, mode="r", zarr_format=3)
    # AttributeError: the store closes an archive that it could not open.
    except (OSError, ValueError, KeyError, RuntimeError, AttributeError,
            zipfile.BadZipFile) as error:  # fmt: skip
        raise VibaError(
            f"{path} is no whole prepared clip ({type(error).__name__}: {error}); expected a "
            "zipped Zarr store that `viba data prepare` wrote: remove the file and prepare again"
        ) from error


def load_clip(path: str | Path) -> PreparedClip:
    """Read a prepared clip.

    Raises
    ------
    VibaError
        No such file, cut off, or something else in it.
    """
    with _open(Path(path)) as group:
        return PreparedClip(**{name: np.asarray(group[name]) for name in DIMENSIONS})


def read_facts(path: str | Path) -> dict[str, Any]:
    """What `save_clip` was told of a video, with the lists `frame` and `tracked` of its frames."""
    with _open(Path(path)) as group:
        lists = {name: np.asarray(group[name]).tolist() for name in ("frame", "tracked")}
        return dict(group.attrs) | lists


class ClipStore:
    """Prepared clips by path; the last ones used stay in memory.

    Parameters
    ----------
    root : folder that the paths are relative to
    limit : bytes that are kept
    records : sizes and hashes of the files as they were written; left out, none are compared
    mend : called with a path and what is wrong with its file, to make it again
    """

    def __init__(
        self,
        root: Path,
        records: Mapping[str, Record] | None = None,
        mend: Callable[[str, str], None] | None = None,
        limit: int = 2**30,
    ) -> None:
        self.root, self.limit = Path(root), limit
        self.records, self.mend = dict(records or {}), mend
        self._clips: OrderedDict[str, PreparedClip] = OrderedDict()

    def __getstate__(self) -> dict[str, object]:
        # Another process reads what it needs itself, and leaves mending to the one that has a lock.
        return vars(self) | {"mend": None, "_clips": OrderedDict()}

    def check(self, paths: Iterable[str]) -> None:
        """Compare files with what was written, and mend those that differ.

        Raises
        ------
        VibaError
            A file differs and cannot be made again as it was.
        """
        for path in paths:
            record = self.records.get(path)
            wrong = record.differs(self.root / path) if record else ""
            if wrong and self.mend is not None:
                with FileLock(self.root.with_name(f"{self.root.name}.lock")):
                    # Another run may have mended it meanwhile.
                    if record and record.differs(self.root / path):
                        self.mend(path, wrong)
                wrong = record.differs(self.root / path) if record else ""
            if wrong:
                raise VibaError(
                    f"a prepared clip is broken: {wrong}; remove the folder {self.root} and "
                    "prepare again"
                )

    def __getitem__(self, path: str) -> PreparedClip:
        if path not in self._clips:
            self.check([path])
            self._clips[path] = load_clip(self.root / path)
            kept = sum(clip.nbytes for clip in self._clips.values())
            while kept > self.limit and len(self._clips) > 1:
                kept -= self._clips.popitem(last=False)[1].nbytes
        self._clips.move_to_end(path)
        return self._clips[path]
