"""One function over many items with Dask: on this machine, or on a cluster by its address."""

import errno
import importlib.util
import logging
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from viba_lib.core.errors import VibaError

log = logging.getLogger(__name__)
CONNECT_SECONDS = 30
LOCAL = "127.0.0.1:0"  # any free port, not to be reached from elsewhere
TRIES = 3  # of an item whose worker dies
# What no item is to blame for, and every other one would meet as well.
SURROUNDINGS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EMFILE, errno.ENFILE}


class Failed(VibaError):
    """An item could not be worked on: its worker died each time, or the function raised."""


def map_unordered(
    function: Callable[[Any], Any],
    items: Sequence[Any],
    workers: int = 1,
    scheduler: str = "",
    folder: str | Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[tuple[int, Any]]:
    """Results as they come, each with the number of its item.

    Parameters
    ----------
    function : of one item; it and its results travel between processes, and the files that it
        names must be where the workers see them
    workers : processes on this machine, a Dask cluster of its own; without a meaning where an
        address is given
    scheduler : address of a Dask scheduler, such as tcp://10.0.0.1:8786; "" = this machine
    folder : a folder that the workers see, where tries are counted; left out, one of this machine
        for its own workers, and none for a cluster's, whose `allowed-failures` then counts alone
    progress : is told the address of the dashboard, if there is one

    Yields
    ------
    (number, result), with a `Failed` as the result of an item whose function raised. An item whose
    worker dies is tried on another one, three times in all, and has then failed. One that only
    waited on such a worker is tried again when all others are done, with nothing beside it. With
    one worker and no address all is done in this process.

    Raises
    ------
    VibaError
        No scheduler answers at the address.
    OSError
        The disk is full or may only be read: no fault of an item, so that none is marked failed.
    """
    if not scheduler and min(workers, len(items)) <= 1:
        for number, item in enumerate(items):
            yield _numbered(function, number, item)
        return
    with tempfile.TemporaryDirectory() as own:
        counted = folder or (None if scheduler else own)
        work = partial(_numbered, function)
        if counted is not None:
            tries = Path(counted).absolute() / f".tries-{uuid.uuid4().hex}"
            tries.mkdir(parents=True)
            work = partial(_counted, function, tries)
        try:
            if scheduler:
                yield from _on_cluster(work, items, scheduler, progress)
            else:
                yield from _on_this_machine(work, items, workers, progress)
        finally:
            if counted is not None:
                _forget(tries)


def _forget(tries: Path) -> None:
    for path in [*tries.iterdir(), tries]:
        try:
            path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
        except OSError as error:
            # A worker that is just being stopped may still count.
            log.info("%s stays: %s", path, error)


def _on_this_machine(
    work: Callable[[int, Any], tuple[int, Any]],
    items: Sequence[Any],
    workers: int,
    progress: Callable[[str], None],
) -> Iterator[tuple[int, Any]]:
    # Imported here: it takes a second, which one process need not wait for.
    import dask
    from distributed import LocalCluster

    # A machine that slept wakes up with workers that were silent for hours. They are as well as
    # the scheduler, which would close them all and wait for others for ever.
    with dask.config.set({"distributed.scheduler.worker-ttl": None}):
        cluster = LocalCluster(
            n_workers=min(workers, len(items)), threads_per_worker=1, dashboard_address=LOCAL,
            # Files that need much memory are one's own to judge; a limit would kill the worker.
            memory_limit=0, silence_logs=logging.CRITICAL,
        )  # fmt: skip
    try:
        yield from _on_cluster(work, items, cluster.scheduler_address, progress)
    finally:
        _close(cluster)


def _close(cluster: Any) -> None:
    try:
        cluster.close()
    except Exception as error:
        # Dask cannot join a worker that is just being started again in place of one that died. All
        # work is done by then, and its processes end with this one.
        log.info("the local cluster did not close in order: %s", error)


def _numbered(function: Callable[[Any], Any], number: int, item: Any) -> tuple[int, Any]:
    try:
        return number, function(item)
    except Exception as error:
        if getattr(error, "errno", None) in SURROUNDINGS:
            raise
        # Whatever else it is: it is one item's, and the others are worth going on.
        log.info("item %d failed", number, exc_info=error)
        return number, _failed(error)


def _counted(
    function: Callable[[Any], Any], tries: Path, number: int, item: Any
) -> tuple[int, Any]:
    """Count a try before it is made: a worker that dies cannot do so afterwards."""
    with (tries / str(number)).open("ab") as count:
        count.write(b".")
        before = count.tell() - 1
    if before >= TRIES:
        return number, Failed(f"the worker died in each of {before} tries")
    found = _numbered(function, number, item)
    # Work whose result is lost with its worker is done again, which is no fault of the item.
    (tries / str(number)).unlink(missing_ok=True)
    return found


def _failed(error: BaseException) -> Failed:
    reason = str(error).splitlines()[0] if str(error) else "no reason given"
    return Failed(f"{type(error).__name__}: {reason}")


def _on_cluster(
    work: Callable[[int, Any], tuple[int, Any]],
    items: Sequence[Any],
    scheduler: str,
    progress: Callable[[str], None],
) -> Iterator[tuple[int, Any]]:
    from distributed import Client, as_completed

    try:
        client = Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise VibaError(
            f"no Dask scheduler answers at {scheduler!r} ({type(error).__name__}); expected an "
            "address such as tcp://10.0.0.1:8786, as `dask scheduler` prints it: start one, or "
            "leave it out to work on this machine"
        ) from error
    with client, client.as_current():
        # Without bokeh a scheduler has an address for its dashboard and nothing to show there.
        if client.dashboard_link and importlib.util.find_spec("bokeh"):
            progress(f"Dask dashboard: {client.dashboard_link}")
        futures = client.map(work, range(len(items)), items, pure=False)
        numbers = {future.key: number for number, future in enumerate(futures)}
        waiting = as_completed(futures)
        # This list would keep all results on the workers until the end.
        del futures
        suspects = []
        for future in waiting:
            found = _outcome(future)
            if isinstance(found, Failed):
                suspects.append(numbers[future.key])
            else:
                yield found
            future.release()
        # An item that waited on a worker which another one killed is as suspect to Dask as that
        # one. Alone, each answers for itself.
        for number in suspects:
            found = _outcome(client.submit(work, number, items[number], pure=False))
            yield (number, found) if isinstance(found, Failed) else found


def _outcome(future: Any) -> tuple[int, Any] | Failed:
    """(number, result), or why there is none.

    A result is lost with its worker until it has been fetched, so that one which was finished may
    have to be made again, and fail.
    """
    try:
        return future.result()
    except Exception as error:
        if getattr(error, "errno", None) in SURROUNDINGS:
            raise
        return _failed(error)
