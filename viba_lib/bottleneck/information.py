"""Information of a noisy channel, in bits, and the result that every bottleneck returns."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, fields

import torch
from torch.nn import functional

LN2 = math.log(2.0)
LEAST = 1e-30  # of 1 - lambda: its logarithm and its inverse are finite in float32


def gaussian_kl(
    activation: torch.Tensor,
    keep: torch.Tensor,
    mean: torch.Tensor,
    std: torch.Tensor,
    rest: torch.Tensor | None = None,
) -> torch.Tensor:
    """KL divergence of what passes the bottleneck from pure noise, per unit (Schulz et al., Eq. 6).

    With r' = (r - mean) / std, Z | R is N(lambda r', (1 - lambda)^2) and the noise N(0, 1).

    Parameters
    ----------
    activation : (..., C, h, w) the layer's output r
    keep : lambda in [0, 1], same shape
    mean, std : (C, h, w) of the layer; std > 0
    rest : 1 - lambda where the caller knows it without rounding; None = computed from `keep`

    Returns
    -------
    Nats per unit, float32 whatever comes in: log(1 - lambda) is lost in half precision.
    """
    r = ((activation.float() - mean) / std).float()
    lam = keep.float()
    # In float32 a sigmoid reaches exactly 1 from alpha = 16.75 on, and log 0 would be infinite.
    return unit_kl(r, lam, (1 - lam).clamp_min(1e-6) if rest is None else rest.float())


def unit_kl(r: torch.Tensor, keep: torch.Tensor, rest: torch.Tensor) -> torch.Tensor:
    """`gaussian_kl` of standardised activations r, lambda and 1 - lambda, in nats per unit."""
    rest = rest.clamp_min(LEAST)
    return -0.5 * (1 + 2 * torch.log(rest) - (keep * r).square() - rest.square())


def unit_kl_slope(r: torch.Tensor, keep: torch.Tensor, rest: torch.Tensor) -> torch.Tensor:
    """Derivative of `unit_kl` with respect to lambda."""
    rest = rest.clamp_min(LEAST)
    return torch.addcmul(rest.reciprocal() - rest, r.square(), keep)


def smooth(keep: torch.Tensor, sigma: float) -> torch.Tensor:
    """Gaussian smoothing of lambda (T, C, h, w) in space, channel by channel.

    Kernel as in the reference implementation: 4 sigma + 1 taps, so 5 for sigma 1, borders
    reflected. A map that is too small to reflect repeats its border instead.
    """
    if sigma <= 0:
        return keep
    half = round(2 * sigma)
    taps = torch.arange(-half, half + 1, dtype=keep.dtype, device=keep.device)
    kernel = torch.exp(-(taps**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    channels = keep.shape[1]
    mode = "reflect" if min(keep.shape[-2:]) > half else "replicate"
    padded = functional.pad(keep, (half, half, half, half), mode=mode)
    rows = kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1)
    columns = kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
    out = functional.conv2d(padded, rows, groups=channels)
    return functional.conv2d(out, columns, groups=channels)


def bits_per_pixel(capacity: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Map over the input from the capacity of a layer.

    Parameters
    ----------
    capacity : (T, C, h, w) bits per unit
    size : (H, W) of the input

    Returns
    -------
    (T, H, W) bits per pixel: summed over channels, bilinear, scaled so that each frame's total
    is that of the layer.
    """
    total = capacity.sum(1, keepdim=True)
    wide = functional.interpolate(total, size=size, mode="bilinear", align_corners=False)
    # Bilinear weights at the border lose or gain a little; bits must not.
    wanted = total.sum((2, 3), keepdim=True)
    found = wide.sum((2, 3), keepdim=True).clamp_min(1e-12)
    return (wide * (wanted / found))[:, 0]


@dataclass
class Attribution:
    """What a bottleneck says of a clip.

    capacity (T, C, h, w) bits per unit of the layer; bits_per_pixel (T, H, W); logits
    (T, classes) with the bottleneck injected, mean over noise samples; logits_clean (T, classes)
    without it; target (T,); history: per step and frame the model loss and the information loss
    (steps, T), in nats, NaN after a frame has stopped; keep: lambda of the last step, shaped as
    capacity, where it was asked for, otherwise empty; unplaced_bits (T,): bits of tokens that
    belong to no place, such as a class token.
    """

    capacity: torch.Tensor
    bits_per_pixel: torch.Tensor
    logits: torch.Tensor
    logits_clean: torch.Tensor
    target: torch.Tensor
    history: dict[str, torch.Tensor] = field(default_factory=dict)
    keep: torch.Tensor = field(default_factory=lambda: torch.zeros(0))
    unplaced_bits: torch.Tensor = field(default_factory=lambda: torch.zeros(0))

    @staticmethod
    def join(parts: Iterable["Attribution"], frames: int) -> "Attribution":
        """Frames of several attributions, one after another, `frames` in all.

        Each part is copied to its place and forgotten as it comes. A list of all of them would
        hold the capacities twice; even what is small of a part would split the memory that the
        next part's large tensors could take.
        """
        joined: dict[str, torch.Tensor] = {}
        history: dict[str, torch.Tensor] = {}
        begin = 0
        for part in parts:
            count = len(part.target)
            if count == frames:
                return part
            for name in (f.name for f in fields(Attribution) if f.name != "history"):
                value = getattr(part, name)
                each = len(value) // count  # several maps for each clip, none where not asked for
                if name not in joined:
                    joined[name] = value.new_empty((frames * each, *value.shape[1:]))
                joined[name][begin * each : (begin + count) * each] = value
            for key, rows in part.history.items():
                history[key] = _as_long(history.get(key, rows.new_empty((0, frames))), len(rows))
                history[key][: len(rows), begin : begin + count] = rows
            begin += count
        return Attribution(**joined, history=history)


def _as_long(history: torch.Tensor, steps: int) -> torch.Tensor:
    """History (s, T) with rows of NaN up to `steps`."""
    missing = steps - len(history)
    return functional.pad(history, (0, 0, 0, missing), value=math.nan) if missing > 0 else history
