"""Both ways of preparing a video give the same clip."""

import time
from pathlib import Path

import numpy as np
import pytest

from viba_lib.data.clip_store import load_clip
from viba_lib.data.prepare import PreparationSettings
from viba_lib.data.video import read_video, write_video
from viba_lib.experiments import preparation_cost as cost

SETTINGS = PreparationSettings(frames_per_video=2, spatial_size=99, flow_size=64)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, face_frames: np.ndarray) -> Path:
    """A video with a face."""
    return write_video(tmp_path_factory.mktemp("source") / "face.mp4", face_frames, 25)


def test_the_video_has_the_given_length_and_width(source: Path, tmp_path: Path) -> None:
    video = cost.looped_video((source,), tmp_path / "x.mp4", 20, (320, 240))
    assert read_video(video).frames.shape == (20, 240, 320, 3)


def test_both_ways_prepare_the_same_clip(source: Path, tmp_path: Path) -> None:
    video = cost.looped_video((source,), tmp_path / "x.mp4", 12, (640, 480))
    for name, way in cost.WAYS.items():
        way(video, tmp_path / f"{name}.zarr.zip", SETTINGS)
    reference, library = (load_clip(tmp_path / f"{name}.zarr.zip") for name in cost.WAYS)
    for name in ("frame", "faces", "flow", "squares", "landmarks"):
        np.testing.assert_array_equal(getattr(reference, name), getattr(library, name))


@pytest.mark.slow
def test_rows_have_the_cost_of_each_way(source: Path) -> None:
    start = time.perf_counter()
    reference, library = cost.preparation_cost(source, SETTINGS, (12,))
    elapsed = time.perf_counter() - start
    assert (reference["way"], library["way"]) == ("plain", "library")
    assert reference["ratio"] == 1.0
    assert library["ratio"] == reference["seconds"] / library["seconds"]
    assert 0 < reference["seconds"] + library["seconds"] < elapsed
    assert not min(reference["memory"], library["memory"]) < 0


def test_the_cost_of_the_catalog_is_that_of_all_files() -> None:
    start = time.perf_counter()
    seconds, catalog = cost.catalog_cost(3000)
    assert catalog.label.value_counts().to_dict() == {"real": 1500, "fake": 1500}
    assert catalog.path.nunique() == 3000 and set(catalog.split) == {"train"}
    assert 0 < seconds < time.perf_counter() - start


def test_a_video_without_a_face_is_refused(noise_video: Path, tmp_path: Path) -> None:
    with pytest.raises(cost.VibaError, match="no face in the key frames"):
        cost.prepare_reference(noise_video, tmp_path / "x.zarr.zip", SETTINGS)
