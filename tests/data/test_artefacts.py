"""Planted artefacts: where they are, what they leave alone, and that a seed decides."""

import numpy as np
import pytest
import skimage.data

from viba_lib.core.errors import VibaError
from viba_lib.data.artefacts import METHODS, SPATIAL, TEMPORAL, plant, region_polygon
from viba_lib.data.faces import FaceDetector


@pytest.fixture(scope="module")
def landmarks():
    """Where a face's landmarks lie; only the places are used, the photograph is not altered."""
    detector, frame = FaceDetector(), skimage.data.astronaut()
    return detector.landmarks(frame, detector.largest(frame)) * 0.5


@pytest.fixture(scope="module")
def clip(landmarks):
    """Texture that moves by a pixel a frame, and landmarks over it."""
    texture = np.random.default_rng(0).integers(0, 255, (270, 270, 3)).astype(np.uint8)
    texture = np.repeat(np.repeat(texture[:68, :68], 4, 0), 4, 1)
    frames = np.stack([np.roll(texture, t, axis=1)[:256, :256] for t in range(6)])
    return frames, np.stack([landmarks] * 6)


@pytest.mark.parametrize("method", METHODS)
def test_only_what_the_mask_covers_changes(clip, method):
    frames, points = clip
    fakes, masks = plant(frames, points, method, np.random.default_rng(1))
    assert fakes.shape == frames.shape and masks.shape == frames.shape[:3]
    assert masks.min() >= 0 and 0.2 < masks.max() <= 1
    changed = np.abs(fakes.astype(int) - frames).max(-1)
    assert changed[masks < 1e-3].max(initial=0) == 0
    assert changed[masks > 0.5 * masks.max()].mean() > 1


@pytest.mark.parametrize("method", TEMPORAL)
def test_temporal_methods_show_real_content_only(clip, method):
    frames, points = clip
    fakes, masks = plant(frames, points, method, np.random.default_rng(1), "whole_face")
    core = masks > 0.98
    if method != "jitter":
        for t in range(len(frames)):
            assert any((fakes[t][core[t]] == f[core[t]]).mean() > 0.7 for f in frames[: t + 1])
    assert (fakes != frames).any()


def test_the_seed_decides(clip):
    frames, points = clip
    first, again, other = (
        plant(frames, points, "mouth", np.random.default_rng(s))[0] for s in (3, 3, 4)
    )
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_regions_lie_where_their_names_say(landmarks):
    middle = {m: region_polygon(landmarks, m).mean(0)[1] for m in SPATIAL}
    assert middle["eyes_brows"] < middle["nose_cheeks"] < middle["mouth"] < middle["chin_neck"]


def test_wrong_input_is_refused(clip):
    frames, points = clip
    with pytest.raises(VibaError, match="choose one of"):
        plant(frames, points, "hat", np.random.default_rng(0))
    with pytest.raises(VibaError, match="two frames"):
        plant(frames[:1], points[:1], "jitter", np.random.default_rng(0))
