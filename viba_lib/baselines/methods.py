"""The registry: every method by its name, called in one way."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from viba_lib.baselines import controls, gradients, perturbations
from viba_lib.baselines.common import Target
from viba_lib.errors import VibaError


@dataclass(frozen=True)
class Method:
    """A method that gives maps of frames.

    kind: "gradient", "perturbation" or "control"; layered: whether it has a layer to be chosen;
    source: citation key of the book, "" for controls.
    """

    name: str
    kind: str
    layered: bool
    source: str
    function: Callable[[nn.Module, str, torch.Tensor, Target, int, int], np.ndarray]


def _shape(frames: torch.Tensor) -> tuple[int, int, int]:
    return len(frames), frames.shape[-2], frames.shape[-1]


_ALL = (
    Method("Grad-CAM", "gradient", True, "selvaraju2019gradcam",
           lambda m, layer, x, t, n, s: gradients.grad_cam(m, layer, x, t)),
    Method("Grad-CAM++", "gradient", True, "chattopadhay2018gradcampp",
           lambda m, layer, x, t, n, s: gradients.grad_cam_plus_plus(m, layer, x, t)),
    Method("LRP", "gradient", False, "binder2016lrp",
           lambda m, layer, x, t, n, s: gradients.relevance_propagation(m, x, t)),
    Method("Integrated gradients", "gradient", False, "sundararajan2017axiomatic",
           lambda m, layer, x, t, n, s: gradients.integrated_gradients(m, x, t, n)),
    Method("Occlusion", "perturbation", False, "zeiler2013visualizing",
           lambda m, layer, x, t, n, s: perturbations.occlusion(m, x, t, n)),
    Method("LIME", "perturbation", False, "ribeiro2016lime",
           lambda m, layer, x, t, n, s: perturbations.lime(m, x, t, n, s)),
    Method("Kernel SHAP", "perturbation", False, "lundberg2017shap",
           lambda m, layer, x, t, n, s: perturbations.kernel_shap(m, x, t, n, s)),
    Method("Sobol", "perturbation", False, "fel2021sobol",
           lambda m, layer, x, t, n, s: perturbations.sobol(m, x, t, n, s)),
    Method("RISE", "perturbation", False, "petsiuk2018rise",
           lambda m, layer, x, t, n, s: perturbations.rise(m, x, t, n, s)),
    Method("Random", "control", False, "",
           lambda m, layer, x, t, n, s: controls.random_maps(_shape(x), s)),
    Method("Centred blob", "control", False, "",
           lambda m, layer, x, t, n, s: controls.centred_gaussian(_shape(x))),
    Method("Edges", "control", False, "",
           lambda m, layer, x, t, n, s: controls.edges(x)),
)  # fmt: skip
METHODS = {method.name: method for method in _ALL}


def attribute(
    name: str,
    model: nn.Module,
    layer: str,
    frames: torch.Tensor,
    target: Target = None,
    passes: int = 64,
    seed: int = 0,
) -> np.ndarray:
    """Maps of frames by a method.

    Parameters
    ----------
    name : one of METHODS
    model : in evaluation mode
    layer : dotted name, for the methods that have one
    frames : (T, 3, H, W)
    target : class, or (T,) classes; None = the predicted class of each frame
    passes : budget of a frame, in forward passes, for the methods that have one
    seed : of the methods that draw

    Returns
    -------
    (T, H, W) float32, not negative; units differ, and only order and shares can be compared.

    Raises
    ------
    VibaError
        Unknown method or layer, a budget below 8.
    """
    if name not in METHODS:
        raise VibaError(f"method {name!r} is not known; choose one of {', '.join(METHODS)}")
    if passes < 8:
        raise VibaError(f"passes is {passes}; expected 8 or more for each frame")
    return METHODS[name].function(model, layer, frames, target, passes, seed)
