"""Information in bits: Gaussian KL divergence and its scaling to input pixels."""

import math

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
