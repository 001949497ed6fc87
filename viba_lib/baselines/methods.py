"""The registry: every method by its name, with one signature."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from viba_lib.baselines import controls, gradients, perturbations
from viba_lib.baselines.common import Target, checked_frames
from viba_lib.core.errors import VibaError


@dataclass(frozen=True)
class Method:
    """A method that gives maps of frames.

    Parameters
    ----------
    category : "gradient", "perturbation" or "control"
    source : key of its publication in `book/references.bib`, "" for controls
    function : takes those of model, frames, target, layer, passes, seed and its option that it
        uses, by these names; it returns maps (T, H, W), not negative, on one scale for all frames,
        because chapter 15 compares frames as well
    option : the setting that is tuned, "" for none
    candidates : values of the option, the default first; empty for "layer", whose candidates are
        the layers of the network
    """

    name: str
    category: str
    source: str
    function: Callable[..., np.ndarray]
    option: str = ""
    candidates: tuple[Any, ...] = ()


# In the order in which tables and figures show them.
METHODS = {method.name: method for method in (
    Method("Grad-CAM", "gradient", "selvaraju2019gradcam", gradients.grad_cam, "layer"),
    Method("Grad-CAM++", "gradient", "chattopadhay2018gradcampp",
           gradients.grad_cam_plus_plus, "layer"),
    Method("LRP", "gradient", "binder2016lrp", gradients.relevance_propagation,
           "rule", tuple(gradients.RULES)),
    Method("Integrated gradients", "gradient", "sundararajan2017axiomatic",
           gradients.integrated_gradients, "baseline", ("zero", "mean", "blurred")),
    Method("Occlusion", "perturbation", "zeiler2013visualizing", perturbations.occlusion,
           "width", (2, 1, 3)),
    Method("LIME", "perturbation", "ribeiro2016lime", perturbations.lime,
           "segments", (50, 25, 100)),
    Method("Kernel SHAP", "perturbation", "lundberg2017shap", perturbations.kernel_shap,
           "segments", (50, 25, 100)),
    Method("Sobol", "perturbation", "fel2021sobol", perturbations.sobol, "cells", (None, 3, 4)),
    Method("RISE", "perturbation", "petsiuk2018rise", perturbations.rise, "cells", (7, 4, 10)),
    Method("Random", "control", "", controls.random_maps),
    Method("Centred blob", "control", "", controls.centred_gaussian),
    Method("Edges", "control", "", controls.edges),
)}  # fmt: skip


def attribute(
    name: str,
    model: nn.Module,
    layer: str,
    frames: torch.Tensor,
    target: Target = None,
    passes: int = 64,
    seed: int = 0,
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
    passes : budget of a frame, in forward passes, for the methods that have one
    seed : random seed of the methods that sample
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
    if passes < 8:
        raise VibaError(f"passes is {passes}; expected 8 or more for each frame")
    method, frames = METHODS[name], checked_frames(model, frames)
    if unknown := set(setting) - {method.option}:
        raise VibaError(
            f"{name} has no setting {', '.join(sorted(unknown))}; it has {method.option or 'none'}"
        )
    takes = inspect.signature(method.function).parameters
    given = dict(model=model, frames=frames, target=target, layer=layer, passes=passes, seed=seed)
    return method.function(**{name: v for name, v in given.items() if name in takes}, **setting)
