"""A map over items that keeps finished results as files, so that a stopped run resumes."""

import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from viba_lib.core.errors import VibaError
from viba_lib.core.files import atomic_write
from viba_lib.core.parallel import Failed, map_unordered
from viba_lib.core.progress import Progress, ProgressLines

Arrays = dict[str, np.ndarray]


class Results:
    """Results of a map over items, on disk; each is read when it is asked for.

    Parameters
    ----------
    folder : of the files
    failed : for each item None, or why it has no result
    """

    def __init__(self, folder: Path, failed: Sequence[Failed | None]) -> None:
        self.folder, self.failed = folder, failed

    def __getitem__(self, number: int) -> Arrays:
        """The arrays of an item; raises its error if there are none."""
        if failed := self.failed[number]:
            raise failed
        return finished_checkpoint(self.folder, number)

    def __iter__(self) -> Iterator[Arrays]:
        return (self[number] for number in range(len(self.failed)))


def map_checkpointed(
    folder: Path,
    items: Sequence[Any],
    function: Callable[[Any], Mapping[str, np.ndarray]],
    sizes: Sequence[int],
    progress: Progress = lambda _: None,
    what: str = "",
    scheduler: str = "",
) -> Results:
    """Arrays that a function computes of each item, in the order of the items.

    Parameters
    ----------
    folder : receives a file for each finished item; files of an earlier run are not computed again
    function : of one item; it travels to other machines if there is a scheduler
    sizes : units of work in each item, such as frames, for progress
    what : begins each progress line
    scheduler : see `viba_lib.core.parallel.map_unordered`
    """
    folder = Path(folder).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    missing = [n for n in range(len(items)) if read_checkpoint(folder, n) is None]
    done = sum(sizes) - sum(sizes[number] for number in missing)
    lines = ProgressLines(progress, what, sum(sizes), done)
    work = partial(_compute, folder, function)
    given = [(number, items[number]) for number in missing]
    failed: list[Failed | None] = [None] * len(items)
    for at, failure in map_unordered(work, given, 1, scheduler):
        failed[missing[at]] = failure
        lines.update(sizes[missing[at]])
    return Results(folder, failed)


def _compute(
    folder: Path, function: Callable[[Any], Mapping[str, np.ndarray]], numbered: tuple[int, Any]
) -> None:
    number, item = numbered
    write_checkpoint(folder, number, function(item))


def write_checkpoint(folder: Path, number: int, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a finished result, completely or not at all."""
    with atomic_write(folder / f"{number:06d}.npz") as tmp, tmp.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)


def finished_checkpoint(folder: Path, number: int) -> Arrays:
    """A finished result; a `VibaError` if it is damaged."""
    arrays = read_checkpoint(folder, number)
    if arrays is None:
        raise VibaError(f"part {number} in {folder} is broken; remove that folder and run again")
    return arrays


def read_checkpoint(folder: Path, number: int) -> Arrays | None:
    """A finished result; None if it is missing or damaged, which its CRC-32 shows."""
    try:
        path = folder / f"{number:06d}.npz"
        # NumPy leaves a file open that it cannot read.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return None
