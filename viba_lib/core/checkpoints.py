"""A map over items whose finished results are kept as files, so that a stopped run resumes."""

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
    """Arrays that a function makes of each item, in the order of the items.

    Parameters
    ----------
    folder : receives a file for each finished item; what is there already is not made again
    function : of one item; it travels to other machines where a scheduler is given
    sizes : units of work in each item, such as frames, for progress
    what : begins each line of progress
    scheduler : see `viba_lib.core.parallel.map_unordered`

    Returns
    -------
    For each item its arrays, or the `Failed` that says why there are none.
    """
    folder = Path(folder).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[int, Any] = {n: read_checkpoint(folder, n) for n in range(len(items))}
    waiting = [n for n, piece in found.items() if piece is None]
    done = sum(size for n, size in enumerate(sizes) if found[n] is not None)
    lines = ProgressLines(progress, what, sum(sizes), done)
    work = partial(_piece, folder, function)
    given = [(n, items[n]) for n in waiting]
    for at, result in map_unordered(work, given, 1, scheduler, progress):
        number = waiting[at]
        found[number] = result if isinstance(result, Failed) else read_checkpoint(folder, number)
        lines.update(sizes[number])
    return [found[n] for n in range(len(items))]


def arrays_of(found: Arrays | Failed) -> Arrays:
    """The arrays of a piece; raises where there are none."""
    if isinstance(found, Failed):
        raise found
    return found


def _piece(
    folder: Path, function: Callable[[Any], Mapping[str, np.ndarray]], numbered: tuple[int, Any]
) -> None:
    number, item = numbered
    write_checkpoint(folder, number, function(item))


def write_checkpoint(folder: Path, number: int, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a finished piece, whole or not at all."""
    with atomic_write(folder / f"{number:06d}.npz") as tmp, tmp.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)


def read_checkpoint(folder: Path, number: int) -> Arrays | None:
    """A finished piece; None where it is not there, or not whole (its CRC-32 tells)."""
    try:
        with np.load(folder / f"{number:06d}.npz", allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return None
