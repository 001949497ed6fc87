"""Overlays, figures and profiles."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from viba_lib import figures, overlay
from viba_lib.errors import VibaError
from viba_lib.profiles import load_profile, profile_names
from viba_lib.video import read_video


def test_the_frame_shows_where_relevance_is_low_and_colour_where_it_is_high():
    frame = np.full((40, 40, 3), 100, np.uint8)
    relevance = np.zeros((20, 20))
    relevance[:, 10:] = 1
    painted = overlay.overlay(frame[None], relevance[None])[0].astype(int)
    assert np.abs(painted[:, 35:] - 100).mean() > 2 * np.abs(painted[:, :5] - 100).mean()
    with pytest.raises(VibaError, match="expected as many"):
        overlay.overlay(frame[None], relevance[None].repeat(2, 0))


def test_a_map_goes_back_to_its_place():
    pasted = overlay.paste_back((100, 200), np.array([150.0, 40.0, 40.0]), np.ones((10, 10)))
    assert pasted.shape == (100, 200)
    assert pasted[40, 150] == 1 and pasted[40, 100] == 0
    assert pasted.sum() == pytest.approx(1600, rel=0.15)


def test_a_video_with_its_strip_can_be_decoded_again(tmp_path):
    frames = np.zeros((5, 61, 81, 3), np.uint8)
    maps = np.random.default_rng(0).random((5, 30, 30))
    path = overlay.overlay_video(tmp_path / "o.mp4", frames, maps, 5.0, np.linspace(0, 1, 5))
    back = read_video(path).frames
    assert back.shape[0] == 5 and back.shape[1] > 61 and back.shape[2] == 82
    assert [p.name for p in tmp_path.iterdir()] == ["o.mp4"]


def test_what_reaches_html_is_escaped(tmp_path):
    path = overlay.overlay_video(
        tmp_path / "o.mp4", np.zeros((1, 64, 64, 3), np.uint8), np.ones((1, 8, 8)), 5.0
    )
    found = overlay.video_html(path, np.zeros((8, 8, 3), np.uint8), '"><script>alert(1)</script>')
    assert "<script>" not in found and "controls" in found and "autoplay" not in found


def test_figures_show_what_they_are_given():
    images = np.zeros((2, 16, 16, 3), np.uint8)
    maps = np.random.default_rng(0).random((2, 16, 16))
    masks = np.zeros((2, 16, 16))
    masks[0, 4:8, 4:8] = 1
    figure = figures.relevance_grid(images, maps, masks, ["a", "b"])
    assert isinstance(figure, Figure)
    assert [a.get_xlabel() for a in figure.axes[2:4]] == ["a", "b"]
    assert any("bits per pixel" in a.get_ylabel() for a in figure.axes)
    history = pd.DataFrame({"step": [1, 2], "loss": [1, 0.5], "val_loss": [1, 0.7],
                            "val_auc": [0.5, 0.9]})  # fmt: skip
    lines = figures.learning_curves({"x": history}).axes[0].lines
    assert lines[0].get_ydata().tolist() == [1, 0.5]


@pytest.mark.parametrize("name", profile_names())
def test_profiles_are_valid(name):
    assert load_profile(name).name == name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: x\nnote: y\nxcption: {}", "xception"),
        ("name: [", "not valid YAML"),
        ("- 1", "profile"),
    ],
)
def test_wrong_profiles_are_refused(tmp_path, text, words):
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with pytest.raises(VibaError, match=words):
        load_profile(path)
    with pytest.raises(VibaError, match="choose one of"):
        load_profile("slow")
