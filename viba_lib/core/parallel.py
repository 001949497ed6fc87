"""One function over many items with Dask: on this machine, or on a cluster by its address."""

import errno
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from viba_lib.core.cache import Work
from viba_lib.core.errors import VibaError
from viba_lib.core.progress import ProgressLines

log = logging.getLogger(__name__)
CONNECT_SECONDS = 30
LOCAL = "127.0.0.1:0"  # any free port, not reachable from other machines
SETTINGS = {
    # An item whose worker dies is tried three times.
    "distributed.scheduler.allowed-failures": 2,
    # Each worker has one item at a time. An item that waits at a worker which another item kills
    # would count as if it had killed it.
    "distributed.scheduler.worker-saturation": 1.0,
    # After a machine slept, its workers seem silent for hours. The scheduler would close them all
    # and wait for others forever.
    "distributed.scheduler.worker-ttl": None,
    # A worker that is still being restarted after this time would be given up.
    "distributed.deploy.lost-worker-timeout": "1000 days",
}
# Errors that no item causes and that every other item would meet as well.
SURROUNDINGS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EMFILE, errno.ENFILE}


class Failed(VibaError):
    """Why an item has no result: the function raised, or its worker died in each try."""


def map_unordered(
    function: Callable[[Any], Any], items: Sequence[Any], workers: int = 1, scheduler: str = ""
) -> Iterator[tuple[int, Any]]:
    """Results as they come, each with the number of its item.

    Parameters
    ----------
    function : of one item; it and its results travel between processes, and the files that it
        names must be where the workers see them
    workers : processes on this machine, in a Dask cluster of their own; ignored with an address
    scheduler : address of a Dask scheduler, such as tcp://10.0.0.1:8786; "" = this machine

    With one worker and no address, everything is computed in this process.

    Yields
    ------
    tuple of int and result
        The result is a `Failed` if the function raised or if the worker of the item died in each
        try.

    Raises
    ------
    VibaError
        No scheduler answers at the address.
    OSError
        The disk is full or read-only: no item is marked as failed.

    Dask counts the tries, by the scheduler's `allowed-failures`. An innocent item can be reported
    as failed if it waits at workers that another item kills: at a scheduler with other settings
    than `SETTINGS`, or if there are at most two items per worker.
    """
    workers = min(workers, len(items))
    if scheduler:
        yield from _on_cluster(function, items, scheduler)
    elif workers > 1:
        with _local_cluster(workers) as address:
            yield from _on_cluster(function, items, address)
    else:
        yield from ((number, _outcome(function, item)) for number, item in enumerate(items))


def map_counted(
    function: Callable[[Any], Any], items: Sequence[Any], work: Work, what: str
) -> dict[int, Any]:
    """Results of `map_unordered` by the number of the item, with progress lines about `what`."""
    lines = ProgressLines(work.progress, what, len(items))
    return dict(lines.counted(map_unordered(function, items, work.workers, work.scheduler)))


@contextmanager
def _local_cluster(workers: int) -> Iterator[str]:
    # Imported here because it takes a second, which one process need not wait for.
    import dask
    from distributed import LocalCluster

    with dask.config.set(SETTINGS):
        # Dask's memory limit would kill the worker of a large file.
        cluster = LocalCluster(
            n_workers=workers, threads_per_worker=1, dashboard_address=LOCAL, memory_limit=0,
            silence_logs=logging.CRITICAL,
        )  # fmt: skip
        try:
            yield cluster.scheduler_address
        finally:
            try:
                cluster.close()
            except Exception as error:
                # Dask cannot join a worker that is just being restarted. All work is done by then,
                # and the worker ends with this process.
                log.info("the local cluster did not close properly: %s", error)


def _on_cluster(
    function: Callable[[Any], Any], items: Sequence[Any], scheduler: str
) -> Iterator[tuple[int, Any]]:
    from distributed import Client, KilledWorker, as_completed

    try:
        client = Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise VibaError(
            f"no Dask scheduler answers at {scheduler!r} ({type(error).__name__}); expected an "
            "address such as tcp://10.0.0.1:8786, as `dask scheduler` prints it: start one, or "
            "leave it out to work on this machine"
        ) from error
    with client, client.as_current():
        futures = client.map(_outcome, [function] * len(items), items, pure=False)
        numbers = {future.key: number for number, future in enumerate(futures)}
        waiting = as_completed(futures)
        # This list would keep all results on the workers until the end.
        del futures
        for future in waiting:
            try:
                result = future.result()
            except KilledWorker as error:
                tries = error.allowed_failures + 1
                result = Failed(f"the worker died in each of {tries} tries")
            yield numbers[future.key], result
            future.release()


def _outcome(function: Callable[[Any], Any], item: Any) -> Any:
    """Result of a function, or why there is none."""
    try:
        return function(item)
    except OSError as error:
        if error.errno not in SURROUNDINGS:
            return _failed(error)
        # A plain error without a cause: PyAV's own class of it cannot travel between processes.
        met = OSError(error.errno, error.strerror, error.filename)
    except Exception as error:
        return _failed(error)
    raise met


def _failed(error: Exception) -> Failed:
    log.info("an item failed", exc_info=error)
    reason = str(error).splitlines()[0] if str(error) else "no reason given"
    return Failed(f"{type(error).__name__}: {reason}")
