"""What the fault tests share: a copy of the project to hurt, and a cluster of real processes."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.runs import Cluster, Run
from viba_lib.pipeline.study import Study

ROOT = Path(__file__).parents[2]
SOURCES = ("viba_lib", "notebooks", "book", "_config.yml", "_toc.yml")


@pytest.fixture(scope="session")
def shared(fetched) -> tuple[Path, Path]:
    """Folders of data and of results with finished stages at the tiny profile."""
    Study("tiny", *fetched).run_all()
    return fetched


@pytest.fixture
def project(shared, tmp_path) -> Path:
    """A copy of the project without results; the fetched films are those of the other tests."""
    folder = tmp_path / "project"
    folder.mkdir()
    for name in SOURCES:
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copyfile
        copy(source, folder / name)
    (folder / "data").symlink_to(shared[0].resolve())
    return folder


@pytest.fixture
def start(project) -> Iterator:
    """Start commands in the copy; what still runs at the end is killed."""
    runs: list[Run] = []

    def begin(*arguments: str, **more: str) -> Run:
        runs.append(Run(project, *arguments, **more))
        return runs[-1]

    yield begin
    for run in runs:
        run.kill()


@pytest.fixture
def cluster(tmp_path) -> Iterator:
    """Start clusters whose workers run a script first."""
    found: list[Cluster] = []

    def begin(preload: str = "") -> Cluster:
        found.append(Cluster(tmp_path / f"cluster{len(found)}", preload))
        return found[-1]

    yield begin
    for each in found:
        each.close()
