"""What the methods share: targets, the probability of a class, and maps frame by frame."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

from viba_lib.bottleneck.classifier import (
    as_inputs,
    class_logits,
    device_of,
    plain_torch,
)
from viba_lib.core.errors import VibaError

Target = torch.Tensor | Sequence[int] | int | None
BATCH = 16  # inputs of a pass


class Classifier(nn.Module):
    """A model with a logit for each class, also where it has one logit; its layers stay its own."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.single = model, False

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Logits (N, classes) of inputs (N, 3, H, W)."""
        outputs = self.model(inputs)
        logits = class_logits(outputs, len(inputs))
        self.single = outputs.shape != logits.shape
        return logits


def checked_frames(model: nn.Module, frames: torch.Tensor) -> torch.Tensor:
    """Frames (T, 3, H, W) in the type of the model's weights; others are refused."""
    frames = as_inputs(model, frames)
    if frames.dim() != 4:
        raise VibaError(
            f"frames have shape {tuple(frames.shape)}; the compared methods expect (T, 3, H, W)"
        )
    return frames


def logits_of(model: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    """Logits (N, classes) of inputs (N, 3, H, W), some at a time and without gradients."""
    network, device = Classifier(model), device_of(model)
    with torch.inference_mode():
        parts = [network(part.to(device)) for part in inputs.split(BATCH) if len(part)]
    return torch.cat(parts) if parts else torch.zeros(0, 2, device=device)


def classes_of(model: nn.Module, frames: torch.Tensor, target: Target) -> list[int]:
    """Class of each frame: as given, one for all, or, for None, the predicted one."""
    frames = checked_frames(model, frames)
    if target is None:
        return [int(k) for k in logits_of(model, frames).argmax(1)]
    given = np.asarray(target)
    chosen = [int(k) for k in ([given] * len(frames) if given.ndim == 0 else given)]
    if len(chosen) != len(frames) or min(chosen, default=0) < 0:
        raise VibaError(
            f"{len(chosen)} targets for {len(frames)} frames, {chosen[:8]}; expected one each, a "
            "class index from 0"
        )
    return chosen


def probability(model: nn.Module, target: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """Probability (N,) of a class, of inputs (N, 3, H, W), without gradients."""

    def found(inputs: torch.Tensor) -> torch.Tensor:
        return logits_of(model, as_inputs(model, inputs)).softmax(1)[:, target].float()

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
    device, frames = device_of(model), checked_frames(model, frames)
    maps = np.zeros(frames.shape[:1] + frames.shape[2:], np.float32)
    with plain_torch():
        if frames.is_inference():  # no gradient can pass
            frames = frames.clone()
        for i, wanted in enumerate(classes_of(model, frames, target)):
            try:
                maps[i] = map_of(frames[i : i + 1].to(device), wanted)
            except IndexError as error:
                raise VibaError(
                    f"target {wanted} of frame {i} is not a class of the model; expected a class "
                    "index from 0, or None for the predicted class"
                ) from error
    return maps
