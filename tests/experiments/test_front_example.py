"""The frames of the front page, chosen by their place in the order of the mass ratio."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from viba_lib.experiments import front_example as f

VIDEOS = list("abcde")
SIDE = 16


@pytest.fixture
def study() -> SimpleNamespace:
    """Five fakes whose maps lie more and more on the planted artefact; `d` is called real."""
    rows = pd.DataFrame({
        "video_id": VIDEOS, "frame": range(5), "position": 0, "split": "test", "label": 1,
        "method": "mouth", "in_scope": True, "p_fake": [0.9, 0.9, 0.9, 0.1, 0.9],
    })  # fmt: skip
    mask = np.zeros((SIDE, SIDE), np.float32)
    mask[4:8, 4:8] = 1
    shares = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
    outside = (1 - mask) / (1 - mask).sum()
    maps = np.stack([s * mask / mask.sum() + (1 - s) * outside for s in shares])
    stored = xr.Dataset(
        {
            "relevance": (("item", "y", "x"), maps.astype(np.float32)),
            "p_fake": ("item", rows.p_fake),
        },
        {"video_id": ("item", VIDEOS), "position": ("item", [0] * 5), "label": ("item", [1] * 5)},
    )
    return SimpleNamespace(
        predictions=lambda _: rows,
        explanations=lambda _: stored,
        frames=lambda detector: rows,
        masks=lambda _, chosen: np.stack([mask] * len(chosen)),
        images=lambda _, chosen: np.full((len(chosen), SIDE, SIDE, 3), 128, np.uint8),
    )


def test_the_best_and_the_median_of_the_frames_that_are_called_fake(study):
    rows = f.chosen_frames(study)
    assert rows.video_id.tolist() == ["e", "b"]
    caption = f.front_caption(rows)
    assert "of the 4 explained test frames" in caption
    chance = 16 / SIDE**2
    assert (
        f"{0.9 / chance:.1f} times as much" in caption and f"{0.3 / chance:.1f} times." in caption
    )


def test_each_frame_has_its_own_map_and_outline(study):
    rows = f.chosen_frames(study)
    figure = f.front_image(study, rows)
    axes = figure.axes
    assert [a.get_xlabel() for a in axes[:3]] == ["frame", "relevance", "planted artefact: mouth"]
    shown = [np.asarray(a.images[0].get_array()).astype(int) for a in axes]
    inside, outside = shown[1][5, 5], shown[1][14, 14]
    assert abs(inside - 128).sum() > abs(outside - 128).sum()
    assert (shown[0] == shown[2]).all() and len(axes) == 6


def test_without_masks_there_is_no_image(study):
    study.masks = lambda _, chosen: np.zeros((len(chosen), SIDE, SIDE), np.float32)
    assert f.chosen_frames(study).empty
