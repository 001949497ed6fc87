"""What the methods share: targets, the probability of a class, and maps frame by frame."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

from viba_lib.bottleneck.split import device_of
from viba_lib.core.errors import VibaError

Target = torch.Tensor | Sequence[int] | int | None
BATCH = 16  # inputs of a pass


def classes_of(model: nn.Module, frames: torch.Tensor, target: Target) -> list[int]:
    """Class of each frame: as given, one for all, or, for None, the predicted one."""
    if target is None:
        with torch.inference_mode():
            parts = [model(p.to(device_of(model))).argmax(1) for p in frames.split(BATCH) if len(p)]
        return [int(k) for part in parts for k in part]
    if isinstance(target, int):
        return [target] * len(frames)
    if len(target) != len(frames):
        raise VibaError(f"{len(target)} targets for {len(frames)} frames; expected one each")
    return [int(k) for k in target]


def probability(model: nn.Module, target: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """Probability (N,) of a class, of inputs (N, 3, H, W), without gradients."""

    def found(inputs: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            parts = [model(part).softmax(1)[:, target] for part in inputs.split(BATCH)]
        return torch.cat(parts).float()

    return found


def positive(attribution: torch.Tensor) -> np.ndarray:
    """Map (H, W) of an attribution (1, C, H, W): the positive part of the sum over channels."""
    return attribution.detach().float().sum(1)[0].clamp_min(0).cpu().numpy()


def map_frames(
    model: nn.Module,
    frames: torch.Tensor,
    target: Target,
    map_of: Callable[[torch.Tensor, int], np.ndarray],
) -> np.ndarray:
    """Maps (T, H, W) float32 of frames (T, 3, H, W), one at a time to save memory.

    Parameters
    ----------
    target : class, or (T,) classes; None = the predicted class of each frame
    map_of : gives the map (H, W) of a frame (1, 3, H, W), on the model's device, and a class
    """
    device = device_of(model)
    maps = np.zeros(frames.shape[:1] + frames.shape[2:], np.float32)
    for i, wanted in enumerate(classes_of(model, frames, target)):
        maps[i] = map_of(frames[i : i + 1].to(device), wanted)
    return maps
