"""Both commands say when a video is outside the training domain."""

import json

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from tests.command import viba
from viba_lib.data.source_videos import QUICK_FILES
from viba_lib.data.video import Video, read_video, write_video
from viba_lib.evaluation.domain import OUTSIDE
from viba_lib.models.detectors import Detector, degraded_faces, face_images, face_inputs
from viba_lib.pipeline.explain_video import changed_text

COMMANDS = {"explain": ["--steps", 1], "compare": ["--methods", "Edges"]}


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))


def small() -> Detector:
    """A detector that takes no time; what is tested are the words beside its probability."""
    return Detector("small", network, ("0",), 32, face_inputs, face_images, degraded_faces)


@pytest.fixture(scope="module")
def face(fetched) -> Video:
    """Eight frames of a person who is in neither the training nor the validation split."""
    file = next(f for f in QUICK_FILES if f.name == "single_face.mp4")
    return read_video(fetched[0] / "sources" / f"{file.sha256[:8]}_{file.name}", max_frames=8)


def pencil(frame: np.ndarray) -> np.ndarray:
    grey, _ = cv2.pencilSketch(frame, sigma_s=60, sigma_r=0.07, shade_factor=0.05)
    return np.repeat(grey[..., None], 3, 2)


def noisy(frame: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 30, frame.shape)
    return np.clip(frame + noise, 0, 255).astype(np.uint8)


def tiny(frame: np.ndarray) -> np.ndarray:
    return cv2.resize(frame, (96, 54), interpolation=cv2.INTER_AREA)


def blurred(frame: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(frame, (0, 0), 6)


CASES = {
    "as it is": (np.asarray, 18, ""),
    "drawing": (pencil, 18, "sharpness"),
    "noise": (noisy, 18, "sharpness"),
    "tiny face": (tiny, 18, "face_size"),
    # Training videos reach crf 40, so that a compressed one has to be worse than that.
    "compressed": (blurred, 40, "compression"),
}


@pytest.mark.network
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("case", CASES)
def test_a_video_outside_the_training_domain_is_named(
    monkeypatch, capsys, fetched, face, tmp_path, command, case
):
    change, crf, measure = CASES[case]
    frames = [change(frame) for frame in face.frames]
    clip, out = write_video(tmp_path / "clip.mp4", frames, face.rate, crf), tmp_path / "out"
    options = ["--data-root", fetched[0], "--results-root", fetched[1], "--profile", "tiny"]
    options += ["--detector", f"{__name__}:small", "--max-frames", 2, "--out", out]
    options += COMMANDS[command]
    assert viba(monkeypatch, command, clip, *options) == 0
    said = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("p(fake)"))
    domain = json.loads((out / "summary.json").read_text())["domain"]
    assert domain["inside"] == (not measure) == (OUTSIDE not in said)
    if measure:
        assert not domain["measures"][measure]["inside"] and measure in said
    strip = np.array(Image.open(out / "poster.png"))[:22].astype(int)
    amber = (strip[..., 0] - strip[..., 2] > 150) & (strip[..., 1] > 150)
    assert bool(amber.any()) == (not domain["inside"])


def bright() -> nn.Module:
    """Fake if the image is bright: noise with the statistics of faces is real."""
    layer, last = nn.Conv2d(3, 1, 1), nn.Linear(1, 2)
    with torch.no_grad():
        layer.weight.fill_(1 / 3)
        layer.bias.zero_()
        last.weight.copy_(torch.tensor([[-40.0], [40.0]]))
        last.bias.copy_(torch.tensor([4.0, -4.0]))
    return nn.Sequential(layer, nn.AdaptiveAvgPool2d(1), nn.Flatten(), last)


def bright_faces() -> Detector:
    return Detector("bright", bright, ("0",), 32, face_inputs, face_images, degraded_faces)


@pytest.mark.network
def test_decisions_that_the_bottleneck_changes_are_counted_and_said(
    monkeypatch, capsys, fetched, face, tmp_path
):
    frames = [np.full_like(f, 255) // 4 + f // 4 * 3 for f in face.frames]
    clip = write_video(tmp_path / "clip.mp4", frames, face.rate, 18)
    options = ["--data-root", fetched[0], "--results-root", fetched[1], "--profile", "tiny"]
    options += ["--detector", f"{__name__}:bright_faces", "--max-frames", 2, "--steps", 10]
    found = {}
    for beta in (0, 1e6):
        out = tmp_path / f"{beta:g}"
        assert viba(monkeypatch, "explain", clip, *options, "--out", out, "--beta", beta) == 0
        summary = json.loads((out / "summary.json").read_text())
        found[beta] = summary["decisions_changed"]
        assert ("warning: the bottleneck changes" in capsys.readouterr().out) == (found[beta] > 0)
    assert found == {0: 0, 1e6: 2}


def summary(changed: int, beta: float) -> dict:
    return {"p_fake": [0.1] * 4, "decisions_changed": changed, "bottleneck": {"beta": beta}}


def test_the_warning_counts_frames_and_suggests_a_lower_beta():
    assert changed_text(summary(0, 10.0)) == ""
    assert "2 of 4 frames" in changed_text(summary(2, 10.0))
    assert changed_text(summary(2, 10.0)).endswith("--beta 3.3")
    assert "--beta" not in changed_text(summary(1, 0.0))
