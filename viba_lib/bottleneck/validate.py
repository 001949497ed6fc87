"""What may be asked of a bottleneck: frames and targets that fit, or an error that says how."""

from collections.abc import Sequence

import torch

from viba_lib.bottleneck.statistics import LayerStatistics
from viba_lib.core.errors import VibaError


def check_frames(frames: torch.Tensor, statistics: LayerStatistics) -> None:
    """Refuse frames of another size than the statistics, and values that are not finite."""
    wanted = tuple(statistics.input_size)
    if frames.dim() != 2 + len(wanted):
        expected = "(T, 3, H, W)" if len(wanted) == 2 else "clips (N, 3, T, H, W)"
        raise VibaError(f"frames have shape {tuple(frames.shape)}; expected {expected}")
    if tuple(frames.shape[2:]) != wanted:
        raise VibaError(
            f"frames are {tuple(frames.shape[2:])} px and the statistics of "
            f"{statistics.layer!r} are for {tuple(statistics.input_size)} px; scale the frames, or "
            "estimate statistics at their size"
        )
    if not len(frames):
        raise VibaError("no frames to explain; expected at least one")
    if not torch.isfinite(frames).all():
        raise VibaError("frames hold NaN or infinite values; expected finite inputs")


def check_target(
    target: torch.Tensor | Sequence[int] | int | None, logits: torch.Tensor, frames: int
) -> torch.Tensor:
    """Target class per frame (T,); None = the class that the model predicts."""
    if target is None:
        return logits.argmax(1)
    chosen = spread_target(target, frames).to(logits.device)
    if chosen.min() < 0 or chosen.max() >= logits.shape[1]:
        raise VibaError(
            f"target {chosen.tolist()[:8]} for {frames} frames; expected one class from 0 to "
            f"{logits.shape[1] - 1} per frame, or None for the predicted class"
        )
    return chosen


def spread_target(target: torch.Tensor | Sequence[int] | int, frames: int) -> torch.Tensor:
    """Target classes as (T,) integers; one class serves all frames."""
    given = torch.as_tensor(target).reshape(-1)
    if len(given) not in (1, frames) or given.is_floating_point():
        raise VibaError(
            f"target holds {len(given)} values of {given.dtype} for {frames} frames; expected one "
            "class index per frame, one for all, or None for the predicted class"
        )
    return given.long().expand(frames)
