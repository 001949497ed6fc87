"""Prepared clips on disk: arrays with labelled dimensions, one zipped Zarr store per video."""

import zipfile
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from zarr.storage import MemoryStore, ZipStore

from viba_lib.core.errors import VibaError
from viba_lib.core.files import atomic_write

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
    key frame and successor in the same square; flow (N, 2, 256, 256) float16 in pixels; landmarks
    and next_landmarks (N, 68, 2) in units of the crop; masks (N, 299, 299) uint8, planted mask,
    zero if there is none; squares (N, 3) centre x, centre y and side of the crop in the frame;
    tracked (N,) uint8, 1 if the face was not detected but followed.
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
    def stack(cls, rows: Iterable[Mapping[str, Any]]) -> "PreparedClip":
        """Clip of the fields of one frame after another, at least one."""
        given = list(rows)
        return cls(**{name: np.stack([row[name] for row in given]) for name in given[0]})

    @property
    def nbytes(self) -> int:
        """Size in memory."""
        return sum(array.nbytes for array in vars(self).values())

    def dataset(self) -> xr.Dataset:
        """The same arrays with labelled dimensions."""
        arrays = {
            name: (dimensions, getattr(self, name), {"description": MEANING[name]})
            for name, dimensions in DIMENSIONS.items()
        }
        return xr.Dataset(arrays).set_coords("frame")


def save_clip(clip: PreparedClip, path: Path, facts: Mapping[str, Any]) -> None:
    """Write a clip as one file, completely or not at all; equal clips give equal bytes.

    Parameters
    ----------
    facts : numbers and lists about the video, stored as attributes
    """
    entries: dict[str, Any] = {}  # a store of small files would take longer to remove than to write
    data = clip.dataset().assign_attrs(facts)
    data.to_zarr(MemoryStore(entries), mode="w", zarr_format=3, consolidated=False)
    with atomic_write(path) as tmp, zipfile.ZipFile(tmp, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(entries):
            # A date would make the files of equal clips different.
            archive.writestr(zipfile.ZipInfo(name), entries[name].to_bytes())


@contextmanager
def _open(path: Path) -> Iterator[zarr.Group]:
    try:
        with ZipStore(path, mode="r") as store:
            # Version 3 of the format has no pickled objects.
            yield zarr.open_group(store, mode="r", zarr_format=3)
    # AttributeError: the store closes an archive that it could not open.
    except (OSError, ValueError, KeyError, RuntimeError, AttributeError,
            zipfile.BadZipFile) as error:  # fmt: skip
        raise VibaError(
            f"{path} is not a complete prepared clip ({type(error).__name__}: {error}); expected a "
            "zipped Zarr store that `viba data prepare` wrote: remove the file and prepare again"
        ) from error


def load_clip(path: str | Path) -> PreparedClip:
    """Read a prepared clip.

    Raises
    ------
    VibaError
        The file is missing, truncated or something else.
    """
    with _open(Path(path)) as group:
        return PreparedClip(**{name: np.asarray(group[name]) for name in DIMENSIONS})


def read_facts(path: str | Path) -> dict[str, Any]:
    """Facts that `save_clip` stored, with the lists `frame` and `tracked` of the frames."""
    with _open(Path(path)) as group:
        lists = {name: np.asarray(group[name]).tolist() for name in ("frame", "tracked")}
        return dict(group.attrs) | lists


class StoredClip(PreparedClip):
    """Prepared clip on disk. An array is read when it is first used, and then kept.

    The face detector needs a third of the bytes of a clip, and a measure of maps a tenth.

    Raises
    ------
    VibaError
        As `load_clip`, when an array is read.
    """

    path: Path

    def __init__(self, path: Path) -> None:
        object.__setattr__(self, "path", path)

    def __getattr__(self, name: str) -> np.ndarray:  # called for what was not read yet
        if name not in DIMENSIONS:
            raise AttributeError(name)
        with _open(self.path) as group:
            array = np.asarray(group[name])
        object.__setattr__(self, name, array)
        return array

    @property
    def nbytes(self) -> int:
        """Size in memory of what was read."""
        return sum(array.nbytes for name, array in vars(self).items() if name in DIMENSIONS)


KEPT = 2**28  # bytes of clips that stay in memory; a training reads all clips again and again
KEPT_FOR_TRAINING = 2**30


class ClipStore:
    """Prepared clips by path, see `StoredClip`; those used last stay in memory.

    Parameters
    ----------
    root : folder that the paths are relative to
    limit : bytes that stay in memory
    """

    def __init__(self, root: Path, limit: int = KEPT) -> None:
        self.root, self.limit = Path(root), limit
        self._clips: OrderedDict[str, PreparedClip] = OrderedDict()

    def __getstate__(self) -> dict[str, object]:
        # Another process reads its own clips.
        return vars(self) | {"_clips": OrderedDict()}

    def __getitem__(self, path: str) -> PreparedClip:
        if path not in self._clips:
            # What earlier clips have read since: the new one has read nothing yet.
            size = sum(clip.nbytes for clip in self._clips.values())
            while size > self.limit:
                size -= self._clips.popitem(last=False)[1].nbytes
            self._clips[path] = StoredClip(self.root / path)
        self._clips.move_to_end(path)
        return self._clips[path]
