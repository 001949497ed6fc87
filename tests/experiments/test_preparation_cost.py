"""Both ways of preparing a film end with the same clip."""

from pathlib import Path

import numpy as np

from viba_lib.data.clip_store import load_clip
from viba_lib.data.prepare import PreparationSettings
from viba_lib.data.video import read_video
from viba_lib.experiments.preparation_cost import (
    WAYS,
    catalog_cost,
    preparation_cost,
    standard_video,
)

SETTINGS = PreparationSettings(frames_per_video=2, spatial_size=99, flow_size=64)


def test_the_film_has_the_length_and_width_asked_for(videos: Path, tmp_path: Path) -> None:
    film = standard_video(videos / "face.mp4", tmp_path / "x.mp4", frames=20, width=320)
    assert read_video(film).frames.shape == (20, 240, 320, 3)


def test_both_ways_prepare_the_same_clip(videos: Path, tmp_path: Path) -> None:
    film = standard_video(videos / "face.mp4", tmp_path / "x.mp4", frames=12)
    for name, way in WAYS.items():
        way(film, tmp_path / f"{name}.zarr.zip", SETTINGS)
    plain, lean = (load_clip(tmp_path / f"{name}.zarr.zip") for name in WAYS)
    for name in ("frame", "faces", "flow", "squares", "landmarks"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(lean, name))


def test_rows_tell_what_each_way_took(videos: Path) -> None:
    plain, lean = preparation_cost(videos / "face.mp4", SETTINGS, (12,))
    assert plain["way"] == "plain" and plain["ratio"] == 1.0
    assert lean["ratio"] == plain["seconds"] / lean["seconds"] and not lean["memory"] < 0


def test_a_large_set_is_listed_in_time_that_its_size_sets() -> None:
    assert 0 < catalog_cost(3000) < 60
