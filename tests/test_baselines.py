"""Grad-CAM against its equation, and maps that know nothing."""

import numpy as np
import pytest
import torch
from torch import nn

from viba_lib.baselines import centred_gaussian, grad_cam, random_maps
from viba_lib.errors import VibaError


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
    with pytest.raises(VibaError, match="'block4' is not in Sequential"):
        grad_cam(model, "block4", torch.zeros(1, 3, 8, 8))


def test_controls():
    noise = random_maps((2, 30, 40), seed=3)
    assert noise.shape == (2, 30, 40) and (noise == random_maps((2, 30, 40), seed=3)).all()
    blob = centred_gaussian((2, 30, 40))
    np.testing.assert_allclose(blob, blob[:, ::-1, ::-1], rtol=1e-5)
    assert np.unravel_index(blob[0].argmax(), (30, 40)) in {(14, 19), (14, 20), (15, 19), (15, 20)}
