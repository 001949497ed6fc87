"""Work over many items, on this machine and on a cluster whose workers die."""

import os
from functools import partial
from pathlib import Path

import pytest
from distributed import LocalCluster

from viba_lib.errors import VibaError
from viba_lib.parallel import Failed, each


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
    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50
    ) as found:
        yield found.scheduler_address


def check(found):
    assert found[0] == 25 and isinstance(found[1], Failed)
    assert str(found[1]) == "ValueError: -1 is below 0"


def test_results_have_the_number_of_their_item():
    assert sorted(each(square, [3, 1, 2], workers=2)) == [(0, 9), (1, 1), (2, 4)]
    check(dict(each(square, [5, -1])))


def test_a_cluster_gives_the_same(cluster):
    assert sorted(each(square, [3, 1, 2], scheduler=cluster)) == [(0, 9), (1, 1), (2, 4)]
    check(dict(each(square, [5, -1], scheduler=cluster)))


@pytest.mark.parametrize("where", ["this machine", "cluster"])
def test_a_worker_that_dies_loses_nothing_and_one_item_cannot_stop_the_rest(
    cluster, tmp_path, where
):
    items = [0, 1, 2, *range(3, 12)]
    address = cluster if where == "cluster" else ""
    found = dict(each(partial(dies, folder=tmp_path), items, 2, address))
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
    assert sorted(each(square, [3, 1, 2], workers=2)) == [(0, 9), (1, 1), (2, 4)]


def test_an_address_where_nobody_answers_is_said(monkeypatch):
    monkeypatch.setattr("viba_lib.parallel.CONNECT_SECONDS", 1)
    with pytest.raises(VibaError, match="no Dask scheduler answers at 'tcp://127"):
        list(each(square, [1], scheduler="tcp://127.0.0.1:9"))
    with pytest.raises(VibaError, match="no Dask scheduler answers at 'nonsense:'"):
        list(each(square, [1], scheduler="nonsense:"))
