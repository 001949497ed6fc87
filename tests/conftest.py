"""What several tests share: where fetched data and finished stages lie, and small videos."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import skimage.data
import torch
from hypothesis import settings

from viba_lib.core.download import FetchError, fetch
from viba_lib.data.source_videos import QUICK_FILES
from viba_lib.data.video import write_video
from viba_lib.pipeline.study import Study

ROOT = Path(__file__).parents[1]

# Tests that run side by side share the processor, and so do the commands that they start.
if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    share = max(1, (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))
    torch.set_num_threads(share)
    cv2.setNumThreads(share)
    os.environ["OMP_NUM_THREADS"] = str(share)

# What is timed once on a machine is kept for the tests alone.
os.environ.setdefault("VIBA_CACHE", str(ROOT / ".pytest_cache" / "viba"))

# The same examples each time, so that a change is judged by what it changed; HYPOTHESIS_PROFILE=
# search draws new and many.
settings.register_profile("repeat", derandomize=True, max_examples=40, deadline=None)
settings.register_profile("search", max_examples=2000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeat"))


@pytest.fixture(scope="session")
def roots() -> tuple[Path, Path]:
    """Folders of data and results, kept between runs: stages are found by their keys."""
    base = Path(os.environ.get("VIBA_TEST_ROOT", ROOT))
    return base / "data", base / "results"


@pytest.fixture(scope="session")
def fetched(roots) -> tuple[Path, Path]:
    """The same folders, with the films of the quick profile in them; skips without a registry."""
    try:
        fetch(QUICK_FILES, roots[0])
    except FetchError as error:
        pytest.skip(str(error))
    return roots


@pytest.fixture(scope="module")
def study(fetched) -> Study:
    """The tiny profile; nothing is computed yet."""
    return Study("tiny", *fetched)


_opened: list[str] | None = None


def _note(event: str, arguments: tuple) -> None:
    if event == "open" and _opened is not None:
        _opened.append(str(arguments[0]))


sys.addaudithook(_note)  # hooks stay for good, so there is one


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Paths of the files that are opened during a test, by Python and by FFmpeg."""
    global _opened
    paths: list[str] = []
    open_container = av.open

    def noted(file, *arguments, **options):
        # FFmpeg opens a path itself; a file object is open already.
        if isinstance(file, str | Path):
            paths.append(str(file))
        return open_container(file, *arguments, **options)

    monkeypatch.setattr(av, "open", noted)
    _opened = paths
    yield paths
    _opened = None


@pytest.fixture(scope="session")
def face_frames() -> np.ndarray:
    """(6, 240, 320, 3): the astronaut of scikit-image, unmanipulated, moved 2 pixels a frame."""
    photograph = cv2.resize(skimage.data.astronaut()[:384], (320, 240))
    still = np.asarray(photograph)
    moved = [
        cv2.warpAffine(still, np.float32([[1, 0, 2 * t], [0, 1, 0]]), (320, 240),
                       borderMode=cv2.BORDER_REPLICATE)
        for t in range(6)
    ]  # fmt: skip
    return np.stack(moved)


@pytest.fixture
def noise_video(tmp_path: Path) -> Path:
    """Six frames of noise: a good video without a face."""
    frames = np.random.default_rng(0).integers(0, 255, (6, 120, 160, 3), dtype=np.uint8)
    return write_video(tmp_path / "noise.mp4", frames, 25)
