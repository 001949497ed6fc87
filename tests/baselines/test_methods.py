"""The compared methods against their equations and libraries, and input-agnostic controls."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from viba_lib.baselines import (
    METHODS,
    attribute,
    centred_gaussian,
    edges,
    grad_cam,
    grad_cam_plus_plus,
    integrated_gradients,
    kernel_shap,
    layer_integrated_gradients,
    lime,
    occlusion,
    random_maps,
    relevance_propagation,
    rise,
    sobol,
)
from viba_lib.baselines.gradients import _for_propagation
from viba_lib.baselines.names import CONTROLS
from viba_lib.core.errors import VibaError


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.BatchNorm2d(6), nn.ReLU(inplace=True),
        nn.Conv2d(6, 4, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2),
    ).eval()  # fmt: skip


def by_hand(model, frames, target):
    """Equations 1 and 2 of the paper of Grad-CAM at layer 1, before the ReLU."""
    layer = model[:2](frames).detach().requires_grad_()
    scores = model[3:](layer.relu())
    (slope,) = torch.autograd.grad(scores[torch.arange(len(frames)), target].sum(), layer)
    cam = (slope.mean((2, 3), keepdim=True) * layer).sum(1, keepdim=True).relu()
    return nn.functional.interpolate(cam, frames.shape[-2:], mode="bilinear")[:, 0].detach()


@pytest.mark.parametrize("target", [0, torch.tensor([1, 0, 1]), None])
def test_grad_cam_is_its_equation(model, target):
    frames = torch.randn(3, 3, 16, 20)
    classes = model(frames).argmax(1) if target is None else torch.as_tensor(target).expand(3)
    found = grad_cam(model, "1", frames, target)
    assert found.shape == (3, 16, 20) and found.dtype == np.float32
    # An in-place ReLU follows the layer; captum keeps what was there before it.
    np.testing.assert_allclose(found, by_hand(model, frames, classes), atol=1e-6)


def test_grad_cam_leaves_the_model_as_it_was(model):
    frames = torch.randn(1, 3, 16, 16)
    grad_cam(model, "3", frames)
    assert not any(m._forward_hooks or m._backward_hooks for m in model.modules())
    assert all(p.grad is None for p in model.parameters())
    assert grad_cam(model, "3", frames[:0]).shape == (0, 16, 16)


def test_an_unknown_layer_is_named(model):
    with pytest.raises(VibaError, match="Sequential has no layer 'block4'"):
        grad_cam(model, "block4", torch.zeros(1, 3, 8, 8))


def test_controls():
    frames = torch.zeros(2, 3, 30, 40)
    noise = random_maps(frames, seed=3)
    assert noise.shape == (2, 30, 40) and (noise == random_maps(frames, seed=3)).all()
    blob = centred_gaussian(frames)
    np.testing.assert_allclose(blob, blob[:, ::-1, ::-1], rtol=1e-5)
    assert np.unravel_index(blob[0].argmax(), (30, 40)) in {(14, 19), (14, 20), (15, 19), (15, 20)}


class Corner(nn.Module):
    """Says class 1 as far as the upper left quarter of the input is bright."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 1)
        with torch.no_grad():
            self.conv.weight.copy_(torch.tensor([[-1.0] * 3, [1.0] * 3])[..., None, None])
            self.conv.bias.zero_()
        self.relu = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.last = nn.Linear(8, 2, bias=False)
        with torch.no_grad():
            self.last.weight.zero_()
            self.last.weight[1, 4] = 1.5  # class 1, second channel, upper left

    def forward(self, x):
        return self.last(self.pool(self.relu(self.conv(x))).flatten(1))


# Grad-CAM weights channels by mean slopes, so it cannot distinguish corners of a uniform channel.
BY_CHANNEL = ("Grad-CAM", "Grad-CAM++")
# The patch head is fitted to labelled frames, see test_patch_head.
ALONE = {n: m for n, m in METHODS.items() if m.category != "trained"}
INFORMED = [n for n, m in ALONE.items() if m.category != "control" and n not in BY_CHANNEL]


@pytest.mark.parametrize("name", INFORMED)
def test_every_method_finds_the_corner_that_counts(name):
    frames = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.9
    found = attribute(name, Corner().eval(), "relu", frames, 1, passes=256)
    assert found.shape == (2, 32, 32) and found.dtype == np.float32 and (found >= 0).all()
    inside, whole = found[:, :16, :16].mean((1, 2)), found.mean((1, 2))
    # RISE is a mean of masks, which is nowhere empty; a wide square spills over the border.
    assert (inside > (1.03 if name == "RISE" else 1.8) * whole).all()
    again = attribute(name, Corner().eval(), "relu", frames, 1, passes=256)
    np.testing.assert_array_equal(found, again, err_msg="a seed, a result")


def test_methods_are_their_libraries(model):
    from captum.attr import IntegratedGradients, LayerIntegratedGradients, Occlusion
    from pytorch_grad_cam import GradCAM

    frames = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    wanted = IntegratedGradients(model).attribute(frames, target=1, n_steps=20)
    found = integrated_gradients(model, frames, 1, passes=60)
    np.testing.assert_allclose(found[0], wanted.sum(1)[0].clamp_min(0).detach(), atol=1e-6)
    with torch.no_grad():
        score = Occlusion(lambda x: model(x).softmax(1)[:, 1])
        wanted = score.attribute(frames, (3, 8, 8), (3, 4, 4)).sum(1)[0].clamp_min(0)
    np.testing.assert_allclose(occlusion(model, frames, 1, passes=50)[0], wanted, atol=1e-6)
    # Layer 3, since pytorch-grad-cam sees layer 1 as the in-place ReLU after it left it.
    with GradCAM(model=model, target_layers=[model[3]]) as library:
        other = library(frames, None)[0]
    zeros = torch.zeros_like(frames)
    wanted = LayerIntegratedGradients(model, model[3]).attribute(frames, zeros, 1, n_steps=20)
    small = wanted.detach().sum(1, keepdim=True).clamp_min(0)
    wanted = nn.functional.interpolate(small, (32, 32), mode="bilinear")[0, 0]
    found = layer_integrated_gradients(model, "3", frames, 1, passes=62)[0]
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    ours = grad_cam(model, "3", frames)[0]
    assert np.corrcoef(other.ravel(), ours.ravel())[0, 1] > 0.95, "two libraries, one method"


def test_a_path_of_a_layer_allows_an_in_place_activation_behind_it(model):
    frames = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    found = layer_integrated_gradients(model, "1", frames, 1)
    assert model[2].inplace, "the model stays as it was"
    model[2].inplace = False
    np.testing.assert_array_equal(found, layer_integrated_gradients(model, "1", frames, 1))
    assert found.any()


def test_grad_cam_plus_plus_scales_to_one(model):
    frames = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    found = grad_cam_plus_plus(model, "1", frames)
    assert found.shape == (2, 16, 16) and found.max() <= 1


def test_propagation_keeps_the_networks_and_their_relevance():
    from viba_lib.models import flow_vgg11, xception

    torch.manual_seed(0)
    frames = torch.randn(1, 3, 96, 96)
    for model in (flow_vgg11(None), xception(None)):
        prepared = _for_propagation(model)
        with torch.no_grad():
            torch.testing.assert_close(prepared(frames), model(frames))
        state = {k: v.clone() for k, v in model.state_dict().items()}
        found = relevance_propagation(model, frames, 0)
        assert np.isfinite(found).all() and found.shape == (1, 96, 96)
        assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())


def test_nothing_that_counts_gives_an_empty_map():
    model = Corner().eval()
    with torch.no_grad():
        model.last.weight.zero_()
    frames = torch.rand(1, 3, 32, 32)
    for function in (occlusion, lime, kernel_shap, sobol):
        assert np.abs(function(model, frames, 1, 64)).max() < 1e-6
    even = rise(model, frames, 1, 256)
    assert even.std() / even.mean() < 0.25


def test_edges_are_where_brightness_changes():
    frame = torch.zeros(1, 3, 16, 16)
    frame[..., 8:] = 1
    found = edges(frame)
    assert found[0, :, 7:9].min() > 0 and found[0, :, :6].max() == 0


def test_bad_requests_are_named(model):
    frames = torch.randn(2, 3, 16, 16)
    with pytest.raises(VibaError, match="choose one of Grad-CAM"):
        attribute("Guess", model, "1", frames)
    with pytest.raises(VibaError, match="passes"):
        attribute("RISE", model, "1", frames, passes=2)
    with pytest.raises(VibaError, match="one each"):
        attribute("LRP", model, "1", frames, [1])
    assert attribute("Occlusion", model, "1", frames[:0]).shape == (0, 16, 16)


@pytest.mark.parametrize("name", [n for n, m in METHODS.items() if m.candidates])
def test_every_candidate_of_a_method_runs_and_matters(name):
    frames = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.9
    method, model = METHODS[name], Corner().eval()
    maps = [
        attribute(name, model, "relu", frames, 1, passes=128, **{method.option: value})
        for value in method.candidates
    ]
    assert all(m.shape == (1, 32, 32) and np.isfinite(m).all() for m in maps)
    plain = attribute(name, model, "relu", frames, 1, passes=128)
    np.testing.assert_array_equal(plain, maps[0], err_msg="the default is the first candidate")
    # The corner's network has one path: its rules of propagation all agree.
    assert name == "LRP" or any(np.abs(m - maps[0]).max() > 1e-9 for m in maps[1:])


def test_every_method_has_its_publication_and_its_place_in_the_api():
    book = Path(__file__).parents[2] / "book"
    keys, page = (book / "references.bib").read_text(), (book / "api" / "baselines.md").read_text()
    for method in METHODS.values():
        assert method.category == "control" or f"{{{method.source}," in keys, method.name
        assert f".{method.function.__name__}\n" in page, method.name


def test_the_chapter_on_localisation_introduces_every_method_with_its_publication():
    chapter = (Path(__file__).parents[2] / "notebooks" / "11_localisation.py").read_text()
    rows = {line.split("|")[1].strip(): line for line in chapter.splitlines() if "# | " in line}
    for method in METHODS.values():
        text, source = rows[method.name].split("|")[2:4]
        assert text.count(". ") == 2, f"two sentences on {method.name}"
        assert (method.source or "control") in source, method.name


def test_a_setting_that_a_method_does_not_have_is_named(model):
    frames = torch.randn(1, 3, 16, 16)
    with pytest.raises(VibaError, match="RISE has no setting width; it has cells"):
        attribute("RISE", model, "1", frames, width=3)
    with pytest.raises(VibaError, match="rule 'best'"):
        attribute("LRP", model, "1", frames, rule="best")
    with pytest.raises(VibaError, match="baseline 'sky'"):
        attribute("Integrated gradients", model, "1", frames, baseline="sky")


class OneLogit(Corner):
    """Corner with the logit of class 1 alone, or as the second of [0, z]; its head is a module."""

    def __init__(self, outputs):
        super().__init__()
        weight = self.last.weight[1:].detach()
        self.last = nn.Linear(8, outputs, bias=False)
        with torch.no_grad():
            self.last.weight.copy_(torch.cat([0 * weight, weight])[-outputs:])


@pytest.mark.parametrize("target", [None, 0, 1, [1, 0]])
@pytest.mark.parametrize("name", INFORMED + list(BY_CHANNEL))
def test_one_logit_is_explained_as_two_classes(name, target, caplog):
    frames = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.9
    found, wanted = (
        attribute(name, OneLogit(outputs).eval(), "relu", frames, target, passes=16)
        for outputs in (1, 2)
    )
    np.testing.assert_array_equal(found, wanted)
    empty = METHODS[name].category == "gradient" and target in (0, [1, 0])
    assert ("has the score 0 for class 0" in caplog.text) == empty


STATES = {
    "no_grad": torch.no_grad,
    "inference mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", INFORMED + list(BY_CHANNEL))
def test_the_callers_state_changes_no_method(name, state):
    frames = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.9
    wanted = attribute(name, Corner().eval(), "relu", frames, None, passes=16)
    model = Corner().eval()
    with STATES[state]():
        found = attribute(name, model, "relu", frames.clone(), None, passes=16)
        own = attribute(name, Corner().eval(), "relu", frames.double(), None, passes=16)
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(own, wanted)


@pytest.mark.parametrize("name", list(METHODS))
def test_inputs_that_no_method_can_take_are_refused(name, model):
    frames = torch.rand(1, 3, 16, 16)
    for given in ((255 * frames).byte(), frames.numpy()):
        with pytest.raises(VibaError, match="nothing is scaled here"):
            attribute(name, model, "1", given)
    with pytest.raises(VibaError, match=r"expect \(T, 3, H, W\)"):
        attribute(name, model, "1", frames[:, :, None])


@pytest.mark.parametrize("name", [*BY_CHANNEL, "Integrated gradients", "Occlusion", "RISE"])
def test_classes_that_the_model_does_not_have_are_refused(name, model):
    for target in (2, -1, [5], torch.tensor(-1)):
        with pytest.raises(VibaError, match="class index from 0"):
            attribute(name, model, "1", torch.rand(1, 3, 16, 16), target)


def test_propagation_says_which_networks_it_cannot_follow(model):
    frames = torch.rand(1, 3, 16, 16)
    for network in (model, nn.Sequential(nn.utils.spectral_norm(model[0]), *model[1:])):
        with pytest.raises(VibaError, match="LRP cannot follow Sequential"):
            attribute("LRP", network, "1", frames, 1)


def test_the_controls_are_named():
    assert {n for n, method in METHODS.items() if method.category == "control"} == set(CONTROLS)


def test_a_name_is_imported_when_it_is_used():
    code = (
        "import sys, viba_lib.pipeline.study, viba_lib.evaluation.sentences;"
        "heavy = {'captum', 'pytorch_grad_cam', 'torchvision', 'scipy.stats', 'statsmodels'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules);"
        "from viba_lib.baselines import METHODS; assert 'captum' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
