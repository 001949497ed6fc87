"""Validation of what a bottleneck is given: frames, targets and lambda."""

from collections.abc import Sequence

import torch
from torch import nn

from viba_lib.bottleneck.classifier import as_inputs, input_size
from viba_lib.bottleneck.statistics import LayerStatistics
from viba_lib.core.errors import VibaError


def check_frames(
    frames: torch.Tensor, statistics: LayerStatistics, model: nn.Module
) -> torch.Tensor:
    """Frames in the type of the model's weights.

    Raises
    ------
    VibaError
        Frames of another size than the statistics, or values that are not finite or of a type
        without a known range.
    """
    frames = as_inputs(model, frames)
    wanted = tuple(statistics.input_size)
    if frames.dim() != 2 + len(wanted):
        expected = "(T, 3, H, W)" if len(wanted) == 2 else "clips (N, 3, T, H, W)"
        raise VibaError(f"frames have shape {tuple(frames.shape)}; expected {expected}")
    if input_size(frames) != wanted:
        raise VibaError(
            f"frames are {input_size(frames)} px and the statistics of "
            f"{statistics.layer!r} are for {tuple(statistics.input_size)} px; scale the frames, or "
            "estimate statistics at their size"
        )
    if not len(frames):
        raise VibaError("no frames to explain; expected at least one")
    if not torch.isfinite(frames).all():
        raise VibaError("frames contain NaN or infinite values; expected finite inputs")
    return frames


def spread_target(target: torch.Tensor | Sequence[int] | int, frames: int) -> torch.Tensor:
    """Target classes as (T,) integers; one class is used for all frames."""
    given = torch.as_tensor(target).reshape(-1)
    if len(given) not in (1, frames) or given.is_floating_point():
        raise VibaError(
            f"target contains {len(given)} values of {given.dtype} for {frames} frames; expected "
            "one class index per frame, one for all, or None for the predicted class"
        )
    return given.long().expand(frames)


def target_classes(target: torch.Tensor | None, logits: torch.Tensor) -> torch.Tensor:
    """Target classes (T,) that the model has, on its device; None = the predicted classes."""
    if target is None:
        return logits.argmax(1)
    chosen = target.to(logits.device)
    if chosen.min() < 0 or chosen.max() >= logits.shape[1]:
        raise VibaError(
            f"target {chosen.tolist()[:8]} for {len(chosen)} frames; expected one class from 0 to "
            f"{logits.shape[1] - 1} per frame, or None for the predicted class"
        )
    return chosen


def check_lam(lam: torch.Tensor, frames: int, statistics: LayerStatistics, name: str) -> None:
    """Refuse lambda of another shape; `name` is that of the argument."""
    expected = (frames, *statistics.mean.shape)
    if tuple(lam.shape) != expected:
        raise VibaError(
            f"{name} has shape {tuple(lam.shape)}; expected lambda of {frames} frames, {expected}"
        )
