"""Work over many items, on this machine and on a cluster whose workers die."""

import contextlib
import errno
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import dask
import pytest
from av.error import err_check
from distributed import LocalCluster

from viba_lib.core.errors import VibaError
from viba_lib.core.parallel import SETTINGS, Failed, map_unordered


def square(item: int) -> int:
    if item < 0:
        raise ValueError(f"{item} is below 0\nsecond line")
    return item**2


def dies(item: int, folder: Path) -> int:
    """Ends its process on item 1 when it is there for the first time, on item 2 each time."""
    seen = folder / str(item)
    if item == 2 or (item == 1 and not seen.exists()):
        seen.touch()
        os._exit(1)
    with (folder / "done").open("a") as out:
        out.write(f"{item}\n")
    return item


@pytest.fixture(scope="module")
def cluster():
    with (
        dask.config.set(SETTINGS),
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50
        ) as found,
    ):
        yield found.scheduler_address


def check(found):
    assert found[0] == 25 and isinstance(found[1], Failed)
    assert str(found[1]) == "ValueError: -1 is below 0"


def test_results_have_the_number_of_their_item():
    assert sorted(map_unordered(square, [3, 1, 2], workers=2)) == [(0, 9), (1, 1), (2, 4)]
    check(dict(map_unordered(square, [5, -1])))


def test_a_cluster_gives_the_same(cluster):
    assert sorted(map_unordered(square, [3, 1, 2], scheduler=cluster)) == [(0, 9), (1, 1), (2, 4)]
    check(dict(map_unordered(square, [5, -1], scheduler=cluster)))


@pytest.mark.parametrize("where", ["this machine", "cluster"])
def test_a_worker_that_dies_loses_nothing_and_one_item_cannot_stop_the_rest(
    cluster, tmp_path, where
):
    items = [0, 1, 2, *range(3, 12)]
    address = cluster if where == "cluster" else ""
    # As if this machine were too slow for a worker to be back in time.
    slow = {} if address else {"distributed.deploy.lost-worker-timeout": "1ms"}
    with dask.config.set(slow):
        found = dict(map_unordered(partial(dies, folder=tmp_path), items, 2, address))
    assert isinstance(found.pop(2), Failed)
    assert found == {n: n for n in items if n != 2}
    done = [int(line) for line in (tmp_path / "done").read_text().split()]
    assert set(done) == set(found)


def test_a_cluster_that_does_not_close_in_order_costs_no_result(monkeypatch):
    close = LocalCluster.close

    def fails(self, *args, **options):
        close(self, *args, **options)
        raise AssertionError("can only join a started process")

    monkeypatch.setattr(LocalCluster, "close", fails)
    assert sorted(map_unordered(square, [3, 1, 2], workers=2)) == [(0, 9), (1, 1), (2, 4)]


def full_disk(item: int) -> None:
    err_check(-errno.ENOSPC, "a.mkv")


def test_a_full_disk_is_told_as_such_from_a_worker(cluster):
    with pytest.raises(OSError) as caught:
        list(map_unordered(full_disk, [1], scheduler=cluster))
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, "a.mkv")


def test_an_address_where_nobody_answers_is_said(monkeypatch):
    monkeypatch.setattr("viba_lib.core.parallel.CONNECT_SECONDS", 1)
    with pytest.raises(VibaError, match="no Dask scheduler answers at 'tcp://127"):
        list(map_unordered(square, [1], scheduler="tcp://127.0.0.1:9"))
    with pytest.raises(VibaError, match="no Dask scheduler answers at 'nonsense:'"):
        list(map_unordered(square, [1], scheduler="nonsense:"))


SLEEPER = """
import time
from viba_lib.core.parallel import map_unordered

def slow(item):
    time.sleep(0.5)
    return item

if __name__ == "__main__":
    for number, found in map_unordered(slow, range(12), workers=2):
        print(found, flush=True)
"""


@pytest.mark.slow
def test_a_machine_that_slept_goes_on(tmp_path):
    script = tmp_path / "sleeper.py"
    script.write_text(SLEEPER)
    # The scheduler would give up workers that were silent for longer than this.
    environment = os.environ | {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "2s"}
    with subprocess.Popen(
        [sys.executable, str(script)], env=environment, stdout=subprocess.PIPE, text=True,
        stderr=subprocess.DEVNULL, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            first = process.stdout.readline()
            os.killpg(process.pid, signal.SIGSTOP)
            time.sleep(6)
            os.killpg(process.pid, signal.SIGCONT)
            # Not `communicate`, which would miss lines that readline has put into its buffer.
            rest = process.stdout.read()
            process.wait(timeout=120)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert sorted(map(int, (first + rest).split())) == list(range(12))
