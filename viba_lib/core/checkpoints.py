"""A map over items that keeps finished results as files, so that a stopped run resumes."""

import zipfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from viba_lib.core.files import atomic_write
from viba_lib.core.parallel import Failed, map_unordered
from viba_lib.core.progress import Progress, ProgressLines

Arrays = dict[str, np.ndarray]


def map_checkpointed(
    folder: Path,
    items: Sequence[Any],
    function: Callable[[Any], Mapping[str, np.ndarray]],
    sizes: Sequence[int],
    progress: Progress = lambda _: None,
    what: str = "",
    scheduler: str = "",
) -> list[Arrays | Failed]:
    """Arrays that a function computes of each item, in the order of the items.

    Parameters
    ----------
    folder : receives a file for each finished item; files of an earlier run are not computed again
    function : of one item; it travels to other machines if there is a scheduler
    sizes : units of work in each item, such as frames, for progress
    what : begins each progress line
    scheduler : see `viba_lib.core.parallel.map_unordered`

    Returns
    -------
    For each item its arrays, or the `Failed` that says why there are none.
    """
    folder = Path(folder).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    results: list[Any] = [read_checkpoint(folder, number) for number in range(len(items))]
    missing = [number for number, result in enumerate(results) if result is None]
    done = sum(sizes) - sum(sizes[number] for number in missing)
    lines = ProgressLines(progress, what, sum(sizes), done)
    work = partial(_compute, folder, function)
    given = [(number, items[number]) for number in missing]
    for at, failed in map_unordered(work, given, 1, scheduler, progress):
        number = missing[at]
        results[number] = failed or read_checkpoint(folder, number)
        lines.update(sizes[number])
    return results


def _compute(
    folder: Path, function: Callable[[Any], Mapping[str, np.ndarray]], numbered: tuple[int, Any]
) -> None:
    number, item = numbered
    write_checkpoint(folder, number, function(item))


def arrays_of(result: Arrays | Failed) -> Arrays:
    """The arrays of a result; raises its error if there are none."""
    if isinstance(result, Failed):
        raise result
    return result


def write_checkpoint(folder: Path, number: int, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a finished result, completely or not at all."""
    with atomic_write(folder / f"{number:06d}.npz") as tmp, tmp.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)


def read_checkpoint(folder: Path, number: int) -> Arrays | None:
    """A finished result; None if it is missing or damaged, which its CRC-32 shows."""
    try:
        with np.load(folder / f"{number:06d}.npz", allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return None
