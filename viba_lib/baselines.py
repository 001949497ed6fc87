"""What to hold a relevance map against: Grad-CAM, and maps that know nothing."""

import numpy as np
import torch
from captum.attr import LayerAttribution, LayerGradCam
from torch import nn

from viba_lib.errors import VibaError


def grad_cam(
    model: nn.Module, layer: str, frames: torch.Tensor, target: torch.Tensor | int | None = None
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
    modules = dict(model.named_modules())
    if layer not in modules:
        raise VibaError(
            f"layer {layer!r} is not in {type(model).__name__}; expected a dotted name such as "
            f"{', '.join(list(modules)[1:4])}: list them with model.named_modules()"
        )
    device = next(model.parameters()).device
    found = []
    for at in range(len(frames)):  # one by one: the layers' maps stay small
        frame = frames[at : at + 1].to(device)
        if target is None:
            with torch.inference_mode():
                wanted = int(model(frame).argmax(1))
        else:
            wanted = int(target) if isinstance(target, int) else int(target[at])
        map_ = LayerGradCam(model, modules[layer]).attribute(
            frame, wanted, relu_attributions=True, attr_dim_summation=True
        )
        wide = LayerAttribution.interpolate(map_, tuple(frames.shape[-2:]), "bilinear")
        found.append(wide.detach().float().cpu().numpy()[0, 0])
    return np.stack(found) if found else np.zeros((0, *frames.shape[-2:]), np.float32)


def random_maps(shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """Uniform noise (T, H, W): what chance gives."""
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def centred_gaussian(shape: tuple[int, int, int], width: float = 0.2) -> np.ndarray:
    """A blob (T, H, W) in the middle of each frame; `width` is its sigma as a share of the side.

    Faces are centred in their crops, so this map hits a face without having seen one.
    """
    count, height, breadth = shape
    y = (np.arange(height, dtype=np.float32) + 0.5) / height - 0.5
    x = (np.arange(breadth, dtype=np.float32) + 0.5) / breadth - 0.5
    blob = np.exp(-(y[:, None] ** 2 + x[None, :] ** 2) / (2 * width**2)).astype(np.float32)
    return np.repeat(blob[None], count, axis=0)
