"""What the methods share: targets, and the probability of a class."""

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


def one_by_one(frames: torch.Tensor, classes: list[int]) -> list[tuple[torch.Tensor, int]]:
    """Each frame (1, 3, H, W) with its class; so no method holds the layers of many frames."""
    return [(frames[i : i + 1], wanted) for i, wanted in enumerate(classes)]


def positive(attribution: torch.Tensor) -> np.ndarray:
    """Map (H, W) of an attribution (1, C, H, W): channels summed, what speaks against left out."""
    return attribution.detach().float().sum(1)[0].clamp_min(0).cpu().numpy()


def stacked(maps: list[np.ndarray], frames: torch.Tensor) -> np.ndarray:
    """Maps (T, H, W) float32, also of no frame."""
    empty = np.zeros((0, *frames.shape[-2:]), np.float32)
    return np.stack(maps).astype(np.float32) if maps else empty
