"""A cluster of two real worker processes, of which some die: every video once, nothing lost."""

from pathlib import Path

import pandas as pd
import pytest
import xarray as xr

from tests.faults.runs import files_of
from viba_lib.core.cache import Work, record_files, sweep
from viba_lib.data.prepare import account, prepare_catalog
from viba_lib.pipeline.explain import LOST
from viba_lib.pipeline.prepared_set import TABLES
from viba_lib.pipeline.study import Study

pytestmark = [pytest.mark.network, pytest.mark.slow]

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

# Kills the worker at some calls, counted over all workers: before the work is begun, and when it is
# done and not yet delivered. Events inside the workers decide, so that speed does not.
KILL = """
import itertools, os, signal
from pathlib import Path

calls = Path({calls!r})
calls.mkdir(exist_ok=True)

def number_of_this_call():
    for number in itertools.count():
        try:
            (calls / str(number)).touch(exist_ok=False)
        except FileExistsError:
            continue
        return number

def kill(number):
    (calls / str(number)).write_text("killed")
    os.kill(os.getpid(), signal.SIGKILL)

def killed_at(module, name):
    plain = getattr(module, name)
    def sometimes_killed(*arguments, **options):
        number = number_of_this_call()
        if number in {before}:
            kill(number)
        result = plain(*arguments, **options)
        if number in {after}:
            kill(number)
        return result
    setattr(module, name, sometimes_killed)

def dask_setup(worker):
    import viba_lib.data.prepare as preparation
    import viba_lib.pipeline.explain as explaining
    killed_at(preparation, "prepare_video")
    killed_at(explaining, "explain_part")
"""


def calls_and_kills(calls: Path) -> tuple[int, int]:
    """How often the work was called, and how often that killed the worker."""
    texts = [path.read_text() for path in calls.iterdir()]
    return len(texts), texts.count("killed")


def tables(prepared) -> dict[str, str]:
    return {name: getattr(prepared, name).to_csv(index=False) for name in TABLES}


def test_workers_killed_while_preparing_cost_nothing(shared, cluster, tmp_path):
    study = Study("tiny", *shared)
    calls = tmp_path / "calls"
    here = cluster(KILL.format(calls=str(calls), before={1, 4}, after={7}))
    given = (study.catalog(), study.catalog_root())
    found = prepare_catalog(
        *given, tmp_path / "out", study.profile.preparation, 0, Work(scheduler=here.address)
    )
    # A clip that was written before its worker died is not prepared again.
    assert calls_and_kills(calls) == (len(given[0]) + 2, 3)
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
    calls = tmp_path / "calls"
    here = cluster(KILL.format(calls=str(calls), before={1}, after={3}))
    found = open_study(here.address).explanations("xception")
    assert calls_and_kills(calls) == (len(set(maps.video_id.values)) + 2, 2)
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
