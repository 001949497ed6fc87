"""Methods that go backward through the network, from captum and pytorch-grad-cam."""

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from captum.attr import (
    LRP,
    IntegratedGradients,
    LayerAttribution,
    LayerGradCam,
    LayerIntegratedGradients,
)
from captum.attr._utils.custom_modules import Addition_Module
from captum.attr._utils.lrp_rules import Alpha1_Beta0_Rule, EpsilonRule, GammaRule
from pytorch_grad_cam import GradCAMPlusPlus
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn
from torchvision.transforms.functional import gaussian_blur

from viba_lib.baselines.common import Classifier, Target, classes_of, map_frames, positive
from viba_lib.bottleneck.classifier import plain_torch, with_gradients
from viba_lib.bottleneck.split import find_layer, frozen
from viba_lib.core.errors import VibaError

log = logging.getLogger(__name__)


def _told(network: Classifier, maps: np.ndarray) -> np.ndarray:
    """The maps; the log says why some are empty if class 0 of one logit was explained."""
    if network.single and not maps.any((1, 2)).all():
        log.warning(
            "a network with one logit z has the score 0 for class 0, whose gradient is zero: its "
            "maps by gradients are empty; explain class 1, or use VIBA or a perturbation method"
        )
    return maps


def grad_cam(
    model: nn.Module, layer: str, frames: torch.Tensor, target: Target = None
) -> np.ndarray:
    """Grad-CAM of a layer (Selvaraju et al. 2019), through captum.

    Parameters
    ----------
    model : in evaluation mode
    layer : dotted name; its output is (T, C, h, w)
    frames : (T, 3, H, W)
    target : class, or (T,) classes; None = the predicted class of each frame

    Returns
    -------
    (T, H, W) float32, not negative, without a unit.

    Raises
    ------
    VibaError
        A layer that the network does not have.
    """
    model = with_gradients(model)
    network, size = Classifier(model), tuple(frames.shape[-2:])
    method = LayerGradCam(network, find_layer(model, layer))

    def map_of(frame: torch.Tensor, wanted: int) -> np.ndarray:
        small = method.attribute(frame, wanted, relu_attributions=True, attr_dim_summation=True)
        return positive(LayerAttribution.interpolate(small, size, "bilinear"))

    return _told(network, map_frames(model, frames, target, map_of))


def grad_cam_plus_plus(
    model: nn.Module, layer: str, frames: torch.Tensor, target: Target = None
) -> np.ndarray:
    """Grad-CAM++ of a layer (Chattopadhay et al. 2018), through pytorch-grad-cam.

    Takes and returns what `grad_cam` does; each map is scaled to a maximum of 1 by the library.
    """
    model = with_gradients(model)
    classes = classes_of(model, frames, target)
    network = Classifier(model)
    with GradCAMPlusPlus(network, [find_layer(model, layer)]) as method:

        def map_of(frame: torch.Tensor, wanted: int) -> np.ndarray:
            return method(frame, [ClassifierOutputTarget(wanted)])[0]

        return _told(network, map_frames(model, frames, classes, map_of))


def path_steps(passes: int, given: int = 0) -> int:
    """Points of a path of gradients for a budget, of which `given` passes are spent beside them.

    A step goes forward and backward, which counts as three.
    """
    return max(2, (passes - given) // 3)


@contextmanager
def _out_of_place(model: nn.Module) -> Iterator[None]:
    """No module changes its input, because captum passes on tensors of its own."""
    changed = [module for module in model.modules() if getattr(module, "inplace", False)]
    for module in changed:
        module.inplace = False  # type: ignore[assignment]
    try:
        yield
    finally:
        for module in changed:
            module.inplace = True  # type: ignore[assignment]


def layer_integrated_gradients(
    model: nn.Module, layer: str, frames: torch.Tensor, target: Target = None, passes: int = 64
) -> np.ndarray:
    """Integrated gradients of a layer (Sundararajan et al. 2017), through captum.

    The path leads from the layer's activation for a frame of zeros to that for the frame.

    Parameters
    ----------
    layer : dotted name; its output is (T, C, h, w)
    passes : budget in forward-equivalents; the activations at both ends take two

    Returns
    -------
    (T, H, W), the positive part of the sum over channels, enlarged to the frame.
    """
    model = with_gradients(model)
    network, steps, size = Classifier(model), path_steps(passes, 2), tuple(frames.shape[-2:])
    method = LayerIntegratedGradients(network, find_layer(model, layer))

    def map_of(frame: torch.Tensor, wanted: int) -> np.ndarray:
        found = method.attribute(
            frame, torch.zeros_like(frame), target=wanted, n_steps=steps, internal_batch_size=2
        )
        small = found.sum(1, keepdim=True).clamp_min(0)
        return positive(LayerAttribution.interpolate(small, size, "bilinear"))

    with frozen(model), _out_of_place(model):  # what gradients of weights need is then not kept
        return _told(network, map_frames(model, frames, target, map_of))


def _baseline(frame: torch.Tensor, kind: str) -> torch.Tensor:
    if kind == "zero":
        return torch.zeros_like(frame)
    if kind == "mean":
        return frame.mean((2, 3), keepdim=True).expand_as(frame)
    if kind == "blurred":
        return gaussian_blur(frame, [2 * (frame.shape[-1] // 8) + 1] * 2)
    raise VibaError(f"baseline {kind!r} is not known; choose one of zero, mean, blurred")


def integrated_gradients(
    model: nn.Module,
    frames: torch.Tensor,
    target: Target = None,
    passes: int = 64,
    baseline: str = "zero",
) -> np.ndarray:
    """Integrated gradients (Sundararajan et al. 2017), through captum.

    Parameters
    ----------
    baseline : where the path begins: "zero" (grey for a face, no motion for flow), the "mean"
        colour of the frame, or the frame "blurred"
    passes : budget in forward-equivalents, see `path_steps`

    Returns
    -------
    (T, H, W), the positive part of the sum over channels.
    """
    model = with_gradients(model)
    network, steps = Classifier(model), path_steps(passes)
    method = IntegratedGradients(network)

    def map_of(frame: torch.Tensor, wanted: int) -> np.ndarray:
        start = _baseline(frame, baseline)
        return positive(
            method.attribute(frame, start, target=wanted, n_steps=steps, internal_batch_size=2)
        )

    with frozen(model):  # what gradients of weights need is then not kept
        return _told(network, map_frames(model, frames, target, map_of))


class _Added(nn.Module):
    """A block of Xception whose sum is a module, so that its relevance is shared out."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.rep = block.get_submodule("rep")
        # Where the skip changes nothing, a module that does nothing, of a kind that captum knows.
        self.straight: nn.Module = nn.Dropout(0.0)
        if block.skip is not None:
            parts = (block.get_submodule("skip"), block.get_submodule("skipbn"))
            self.straight = nn.Sequential(*parts)
        self.add = Addition_Module()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.add(self.rep(x), self.straight(x))


class _Pool(nn.Module):
    """Global average pooling; the reshaping after it is not a module."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.pool(x).flatten(1)


REFUSED = (
    "LRP cannot follow {}, which has layers without a rule or computed weights; expected plain "
    "convolutions, linear layers, norms, poolings and ReLU: leave LRP out of the methods"
)
RULES = {"epsilon": EpsilonRule, "gamma": GammaRule, "alpha1beta0": Alpha1_Beta0_Rule}


def _for_propagation(model: nn.Module, rule: str = "epsilon") -> nn.Module:
    """A copy that computes the same and that captum's rules can follow."""
    if rule not in RULES:
        raise VibaError(f"rule {rule!r} is not known; choose one of {', '.join(RULES)}")
    try:
        with plain_torch():
            found = copy.deepcopy(model).eval()
    except RuntimeError as error:
        raise VibaError(REFUSED.format(type(model).__name__)) from error
    for name, module in list(found.named_modules()):
        if isinstance(module, nn.Conv2d):
            module.rule = RULES[rule]()
        if isinstance(module, nn.ReLU):
            module.inplace = False
        elif type(module).__name__ == "SelectAdaptivePool2d":
            found.set_submodule(name, _Pool())
        elif type(module).__name__ == "Block" and hasattr(module, "rep"):
            found.set_submodule(name, _Added(module))
    return found


def relevance_propagation(
    model: nn.Module, frames: torch.Tensor, target: Target = None, rule: str = "epsilon"
) -> np.ndarray:
    """Layer-wise relevance propagation (Binder et al. 2016), through captum.

    Sums of skip connections share relevance out; pooling and activations pass it on.

    Parameters
    ----------
    rule : of the convolutions: "epsilon", "gamma" or "alpha1beta0"; other layers have epsilon

    Returns
    -------
    (T, H, W), the positive part of the sum over channels.
    """
    network = Classifier(_for_propagation(model, rule))
    method = LRP(network)

    def map_of(frame: torch.Tensor, wanted: int) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the input now requires a gradient
            try:
                return positive(method.attribute(frame, target=wanted))
            except TypeError as error:  # of a layer without a rule
                raise VibaError(REFUSED.format(type(model).__name__)) from error

    return _told(network, map_frames(model, frames, target, map_of))
