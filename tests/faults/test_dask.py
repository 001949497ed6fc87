"""A cluster of two real worker processes, of which some die: every video once, nothing lost."""

import contextlib
import os
import signal
import threading
import time
from pathlib import Path

import pandas as pd
import pytest
import xarray as xr

from tests.faults.runs import Cluster, files_of
from viba_lib.core.cache import Work, record_files, sweep
from viba_lib.data.prepare import account, prepare_catalog
from viba_lib.pipeline.explain import LOST
from viba_lib.pipeline.prepared_set import TABLES
from viba_lib.pipeline.study import Study

pytestmark = pytest.mark.network

# Ends the worker that is given one video, each time, and counts the tries.
CRASH = """
import os
from pathlib import Path

def crashing(module, name, found):
    plain = getattr(module, name)
    def crashes(*arguments, **options):
        if found(*arguments):
            with open({count!r}, "a") as out:
                out.write("try\\n")
            os._exit(1)
        return plain(*arguments, **options)
    setattr(module, name, crashes)

def dask_setup(worker):
    import viba_lib.data.prepare as preparation
    import viba_lib.pipeline.explain as explaining
    crashing(preparation, "prepare_video", lambda row, *_: row["video_id"] == {video!r})
    crashing(explaining, "explain_part", lambda job, rows: {video!r} in set(rows.video_id))
"""

# Gives whoever watches the files of a cluster the time to see one after another.
SLOW = """
import time

def dask_setup(worker):
    import viba_lib.pipeline.explain as explaining
    plain = explaining.explain_part
    def slowly(*arguments, **options):
        time.sleep(2)
        return plain(*arguments, **options)
    explaining.explain_part = slowly
"""


class Killer:
    """Kills a worker of a cluster as soon as a file that fits appears, so many times."""

    def __init__(self, cluster: Cluster, folder: Path, pattern: str, kills: int) -> None:
        self.cluster, self.folder, self.pattern, self.left = cluster, folder, pattern, kills
        self.killed: list[int] = []
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        seen = 0
        while self.left and not self.stop.is_set():
            count = len(list(self.folder.glob(self.pattern)))
            if count > seen:
                # Where the one killed last is not back yet, the next round tries again.
                with contextlib.suppress(OSError):
                    pids = self.cluster.worker_pids()
                    pid = pids[count % len(pids)]
                    os.kill(pid, signal.SIGKILL)
                    seen = count
                    self.killed.append(pid)
                    self.left -= 1
            time.sleep(0.02)

    def __enter__(self) -> "Killer":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join(60)


def tables(prepared) -> dict[str, str]:
    return {name: getattr(prepared, name).to_csv(index=False) for name in TABLES}


def test_workers_killed_while_preparing_cost_nothing(shared, cluster, tmp_path):
    study = Study("tiny", *shared)
    here = cluster()
    given = (study.catalog(), study.catalog_root())
    with Killer(here, tmp_path / "out", "clips/*.zarr.zip", 3) as killer:
        found = prepare_catalog(*given, tmp_path / "out", study.profile.preparation,
                                0, Work(scheduler=here.address))  # fmt: skip
    assert len(killer.killed) == 3 and len(set(killer.killed)) >= 2
    sweep(tmp_path / "out")  # as a stage does at its end
    assert tables(found) == tables(study.prepared.preparation)
    assert found.index.video_id.is_unique and len(found.index) == len(given[0])
    account(given[0], found)
    whole = {n: r for n, r in files_of(study.root, "prepare").items() if "/clips/" in n}
    ours = {name: record.sha256 for name, record in record_files(tmp_path / "out").items()}
    folder = study.prepared.folder.name
    clips = {n: s for n, s in whole.items() if n.startswith(f"prepare/{folder}/")}
    assert ours == {name.split(f"{folder}/")[1]: sha for name, sha in clips.items()}


def test_a_video_that_kills_its_worker_is_set_aside_after_three_tries(shared, cluster, tmp_path):
    study = Study("tiny", *shared)
    video = str(study.catalog().video_id.iloc[3])
    count = tmp_path / "tries.txt"
    here = cluster(CRASH.format(video=video, count=str(count)))
    found = prepare_catalog(
        study.catalog(), study.catalog_root(), tmp_path / "out", study.profile.preparation,
        0, Work(scheduler=here.address),
    )  # fmt: skip
    assert count.read_text() == "try\n" * 3
    whole = found.problems[found.problems.frame.isna()]
    assert whole.video_id.tolist() == [video]
    assert whole.reason.iloc[0] == "the worker died in each of 3 tries"
    rest = study.prepared.preparation.index
    pd.testing.assert_frame_equal(found.index, rest[rest.video_id != video].reset_index(drop=True))
    assert not list((tmp_path / "out").glob(".tries*"))


@pytest.fixture
def remote(shared, tmp_path):
    """A study whose maps are not there yet, and what they must be."""
    known = Study("tiny", *shared)
    maps = known.explanations("xception")
    root = tmp_path / "results" / "tiny"
    root.mkdir(parents=True)
    for stage in (shared[1] / "tiny").iterdir():
        if stage.is_dir() and not stage.name.startswith("explain"):
            (root / stage.name).symlink_to(stage.resolve())

    def open_study(scheduler: str) -> Study:
        study = Study("tiny", shared[0], tmp_path / "results", scheduler=scheduler)
        study.weights_path("xception")
        return study

    return open_study, maps


def test_workers_killed_while_explaining_cost_nothing(remote, cluster, tmp_path):
    open_study, maps = remote
    here = cluster(SLOW)
    study = open_study(here.address)
    pattern = "explain-xception/*.part/pieces/*.npz"
    with Killer(here, study.root, pattern, 2) as killer:
        found = study.explanations("xception")
    assert len(killer.killed) == 2
    xr.testing.assert_identical(found, maps)
    assert (
        len(set(zip(found.video_id.values, found.frame.values, strict=True))) == found.sizes["item"]
    )


def test_a_video_that_kills_its_worker_while_it_is_explained_is_set_aside(
    remote, cluster, tmp_path
):
    open_study, maps = remote
    video = str(maps.video_id.values[0])
    count = tmp_path / "tries.txt"
    study = open_study(cluster(CRASH.format(video=video, count=str(count))).address)
    found = study.explanations("xception")
    assert count.read_text() == "try\n" * 3
    xr.testing.assert_identical(found, maps.isel(item=maps.video_id.values != video))
    problems = pd.read_parquet(next(study.root.glob("explain-xception/*/problems.parquet")))
    assert list(problems) == list(LOST) and set(problems.video_id) == {video}
    rows = study.evaluation_rows("xception")
    with pytest.raises(ValueError, match=r"3 tries.*remove"):
        study.explain("xception", rows)


@pytest.mark.parametrize("workers", [1, 2])
def test_one_process_and_two_give_the_same_bytes(shared, tmp_path, workers):
    study = Study("tiny", *shared)
    settings = study.profile.preparation
    found = prepare_catalog(
        study.catalog(), study.catalog_root(), tmp_path / "out", settings, 0, Work(workers=workers)
    )
    assert tables(found) == tables(study.prepared.preparation)
    ours = {n: r.sha256 for n, r in record_files(tmp_path / "out").items()}
    folder = f"prepare/{study.prepared.folder.name}/"
    known = files_of(study.root, "prepare")
    assert ours == {n.removeprefix(folder): s for n, s in known.items()
                    if n.startswith(f"{folder}clips/")}  # fmt: skip
