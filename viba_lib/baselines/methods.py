"""The registry: every method by its name, with one signature."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from viba_lib.baselines import controls, gradients, patch_head, perturbations
from viba_lib.baselines.budget import LEAST, Passes
from viba_lib.baselines.common import Target, checked_frames
from viba_lib.baselines.patch_head import PatchHead
from viba_lib.core.errors import VibaError


@dataclass(frozen=True)
class Method:
    """A method that gives maps of frames.

    Parameters
    ----------
    category : "gradient", "perturbation", "trained" (on labelled frames) or "control"
    source : key of its publication in `book/references.bib`, "" for controls
    function : takes those of model, frames, target, layer, passes, seed, head and its option that
        it uses, by these names; it returns maps (T, H, W), not negative, on one scale for all
        frames, because `11_localisation` compares frames as well
    cost : passes of a frame for a budget in forward-equivalents, the side of the input in pixels,
        and a value of the option
    option : the setting that is tuned, "" for none
    candidates : values of the option, the default first; empty for "layer", whose candidates are
        the layers of the network
    """

    name: str
    category: str
    source: str
    function: Callable[..., np.ndarray]
    cost: Callable[[int, int, Any], Passes]
    option: str = ""
    candidates: tuple[Any, ...] = ()


def _fixed(forward: int, backward: int = 0) -> Callable[[int, int, Any], Passes]:
    """Cost of a method without a budget."""
    return lambda passes, side, value: Passes(forward, backward)


def _samples(passes: int, side: int, value: Any) -> Passes:
    """Cost of a method that spends the whole budget on changed frames."""
    return Passes(passes)


def _path(given: int) -> Callable[[int, int, Any], Passes]:
    """Cost of a path of gradients, with `given` forward passes beside it."""

    def cost(passes: int, side: int, value: Any) -> Passes:
        steps = gradients.path_steps(passes, given)
        return Passes(given + steps, steps)

    return cost


def _occlusion(passes: int, side: int, value: Any) -> Passes:
    return Passes(1 + perturbations.occlusion_design(side, passes, value or 2)[1] ** 2)


def _sobol(passes: int, side: int, value: Any) -> Passes:
    cells, samples = perturbations.sobol_design(passes, value)
    return Passes((cells * cells + 2) * samples)


# In the order in which tables and figures show them.
METHODS = {method.name: method for method in (
    Method("Grad-CAM", "gradient", "selvaraju2019gradcam", gradients.grad_cam, _fixed(1, 1),
           "layer"),
    Method("Grad-CAM++", "gradient", "chattopadhay2018gradcampp",
           gradients.grad_cam_plus_plus, _fixed(1, 1), "layer"),
    Method("LRP", "gradient", "binder2016lrp", gradients.relevance_propagation, _fixed(2, 1),
           "rule", tuple(gradients.RULES)),
    Method("Integrated gradients", "gradient", "sundararajan2017axiomatic",
           gradients.integrated_gradients, _path(0), "baseline", ("zero", "mean", "blurred")),
    Method("Layer integrated gradients", "gradient", "sundararajan2017axiomatic",
           gradients.layer_integrated_gradients, _path(2), "layer"),
    Method("Patch head", "trained", "tantaru2024", patch_head.patch_scores, _fixed(1), "layer"),
    Method("Occlusion", "perturbation", "zeiler2013visualizing", perturbations.occlusion,
           _occlusion, "width", (2, 1, 3)),
    Method("LIME", "perturbation", "ribeiro2016lime", perturbations.lime, _samples,
           "segments", (50, 25, 100)),
    Method("Kernel SHAP", "perturbation", "lundberg2017shap", perturbations.kernel_shap, _samples,
           "segments", (50, 25, 100)),
    Method("Sobol", "perturbation", "fel2021sobol", perturbations.sobol, _sobol,
           "cells", (None, 3, 4)),
    Method("RISE", "perturbation", "petsiuk2018rise", perturbations.rise, _samples,
           "cells", (7, 4, 10)),
    Method("Random", "control", "", controls.random_maps, _fixed(0)),
    Method("Centre prior", "control", "", controls.centred_gaussian, _fixed(0)),
    Method("Edges", "control", "", controls.edges, _fixed(0)),
)}  # fmt: skip


def attribute(
    name: str,
    model: nn.Module,
    layer: str,
    frames: torch.Tensor,
    target: Target = None,
    passes: int = 64,
    seed: int = 0,
    head: PatchHead | None = None,
    **setting: Any,
) -> np.ndarray:
    """Maps of frames by a method.

    Parameters
    ----------
    name : one of METHODS
    model : in evaluation mode
    layer : dotted name, for the methods that have one
    frames : (T, 3, H, W)
    target : class, or (T,) classes; None = the predicted class of each frame
    passes : budget of a frame, in forward-equivalents, for the methods that have one
    seed : random seed of the methods that sample
    head : of the layer, for the patch head
    setting : the method's option, such as width=3; its default if it is left out

    Returns
    -------
    (T, H, W) float32, not negative; units differ, and only order and shares can be compared.

    Raises
    ------
    VibaError
        Unknown method, layer or setting, a budget below 8.
    """
    if name not in METHODS:
        raise VibaError(f"method {name!r} is not known; choose one of {', '.join(METHODS)}")
    if passes < LEAST:
        raise VibaError(f"passes is {passes}; expected {LEAST} or more for each frame")
    method, frames = METHODS[name], checked_frames(model, frames)
    if unknown := set(setting) - {method.option}:
        raise VibaError(
            f"{name} has no setting {', '.join(sorted(unknown))}; it has {method.option or 'none'}"
        )
    takes = inspect.signature(method.function).parameters
    given = dict(
        model=model, frames=frames, target=target, layer=layer, passes=passes, seed=seed, head=head
    )
    return method.function(**{name: v for name, v in given.items() if name in takes}, **setting)
