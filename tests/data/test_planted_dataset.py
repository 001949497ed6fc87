"""The default data set: clips cut from a film, the same whoever makes them, and made once.

Planting itself is left out (`test_planted.py` has it): the photograph in the film is of a public
figure, whose face is not altered.
"""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import skimage.data

from viba_lib.core.cache import Work
from viba_lib.core.errors import VibaError
from viba_lib.data import planted_dataset as planted_set
from viba_lib.data.artefacts import SPATIAL, TEMPORAL
from viba_lib.data.planted_dataset import PlantedSettings, Recording, build_planted
from viba_lib.data.source_videos import QUICK_FILES
from viba_lib.data.video import read_video, write_video

SETTINGS = PlantedSettings(clip_length=4, width=160)
FILE = QUICK_FILES[0]


@pytest.fixture
def film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ten clips of four frames, and three frames too many, in place of the packaged film."""
    still = np.asarray(cv2.resize(skimage.data.astronaut()[:384], (320, 240)))
    path = write_video(tmp_path / "film.mp4", np.stack([still] * 43), 25)
    monkeypatch.setattr(planted_set, "source_path", lambda *_: path)

    def nothing(frames, _points, _method, _rng, _region):
        return frames, np.zeros(frames.shape[:3], np.float32)

    monkeypatch.setattr(planted_set, "plant", nothing)
    return path


def test_clips_and_methods_follow_from_the_film(film: Path, tmp_path: Path) -> None:
    found = build_planted([FILE], tmp_path / "set", SETTINGS, 0, Work())
    assert found.label.value_counts().to_dict() == {"fake": 20, "real": 10}
    fakes = found[found.label == "fake"]
    assert set(fakes.method) == {*SPATIAL, *TEMPORAL} and set(fakes.original) <= set(found.video_id)
    assert fakes.method.isin(SPATIAL).sum() == 10
    assert set(found.split) == {FILE.split} and set(found.identity) == {FILE.identity}
    for row in found.itertuples():
        assert read_video(tmp_path / "set" / row.path).frames.shape == (4, 120, 160, 3)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "set" / "catalog.parquet"), found)
    assert not (tmp_path / "set" / planted_set.FINISHED).exists()


def test_an_interrupted_build_goes_on_where_it_was(film: Path, tmp_path: Path, monkeypatch) -> None:
    whole = build_planted([FILE], tmp_path / "whole", SETTINGS, 0, Work())
    made: list[str] = []
    original = planted_set._write_clip

    def interrupted(clip, *rest):
        if len(made) == 3:
            raise KeyboardInterrupt
        made.append(clip.name)
        return original(clip, *rest)

    monkeypatch.setattr(planted_set, "_write_clip", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build_planted([FILE], tmp_path / "set", SETTINGS, 0, Work())
    made.append("the second run")
    again = build_planted([FILE], tmp_path / "set", SETTINGS, 0, Work())
    assert len(made) == len(set(made)) == 11
    pd.testing.assert_frame_equal(again, whole)
    for row in whole.itertuples():
        one, other = ((tmp_path / folder / row.path).read_bytes() for folder in ("set", "whole"))
        assert one == other


def test_a_clip_that_cannot_be_made_is_said_and_nothing_is_lost(
    film: Path, tmp_path: Path, monkeypatch
) -> None:
    def breaks(*_args):
        raise OSError("no space left")

    monkeypatch.setattr(planted_set, "_write_clip", breaks)
    with pytest.raises(VibaError, match=r"no space left.*finished clips are kept"):
        build_planted([FILE], tmp_path / "set", SETTINGS, 0, Work())
    assert not (tmp_path / "set" / "catalog.parquet").exists()


def test_test_clips_keep_their_quality_and_the_others_are_recorded_in_many_ways() -> None:
    rng = np.random.default_rng(0)
    found = [Recording.sample(rng, 640, 10) for _ in range(400)]
    assert {r.crf for r in found} == {10, *range(18, 41)}
    assert 0.65 < np.mean([r.crf > 10 for r in found]) < 0.85
    assert 0.4 < np.mean([r.first is not None for r in found]) < 0.6
    assert 0.4 < np.mean([r.width < 640 for r in found]) < 0.6
    assert min(r.width for r in found) >= 320 and not any(r.width % 2 for r in found)
    assert Recording.sample(rng, 176, 10) == Recording(176, None, 10)
    noise = rng.integers(0, 256, (3, 60, 80, 3), dtype=np.uint8)
    assert Recording(40, None, 40).before(noise).shape == (3, 30, 40, 3)
    np.testing.assert_array_equal(Recording(80, None, 40).before(noise), noise)
    coarse = Recording(80, 40, 10).before(noise)
    assert coarse.shape == noise.shape and np.abs(coarse.astype(int) - noise).mean() > 20


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_photograph_becomes_clips(tmp_path: Path, monkeypatch, split: str) -> None:
    face = skimage.data.astronaut()[:256, 90:346, ::-1]
    path = tmp_path / "sheet.png"
    cv2.imwrite(str(path), np.tile(face, (2, 2, 1)))
    monkeypatch.setattr(planted_set, "source_path", lambda *_: path)
    frames: list[np.ndarray] = []

    def kept(path, given, *_):
        frames.append(given)
        return path

    monkeypatch.setattr(planted_set, "write_video", kept)
    source = replace(FILE, grid=2, split=split)
    settings = PlantedSettings(
        clip_length=6, photographs=3, spatial_per_clip=0, temporal_per_clip=0
    )
    found = build_planted([source], tmp_path / "set", settings, 0, Work())
    assert len(found) == len(frames) == 3 and set(found.label) == {"real"}
    assert all(len(clip) == 6 for clip in frames)
    moved = np.abs(frames[0][4].astype(int) - frames[0][0]).mean()
    assert moved > 2 and not np.array_equal(frames[0][0], frames[1][0])
