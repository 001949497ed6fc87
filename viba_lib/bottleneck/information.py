"""Information in bits: Gaussian KL divergence and its scaling to input pixels."""

import math

import torch
from torch.nn import functional

LN2 = math.log(2.0)


MIN_NOISE = 1e-30  # of 1 - lambda: its logarithm and its inverse are finite in float32


def gaussian_kl(
    activation: torch.Tensor,
    lam: torch.Tensor,
    mean: torch.Tensor,
    std: torch.Tensor,
    one_minus_lam: torch.Tensor | None = None,
) -> torch.Tensor:
    """KL divergence of what passes the bottleneck from pure noise, per unit (Schulz et al., Eq. 6).

    With r' = (r - mean) / std, Z | R is N(lambda r', (1 - lambda)^2) and the noise N(0, 1).

    Parameters
    ----------
    activation : (..., C, h, w) the layer's output r
    lam : lambda in [0, 1], same shape
    mean, std : (C, h, w) of the layer; std > 0
    one_minus_lam : 1 - lambda without rounding, if known; None = computed from `lam`

    Returns
    -------
    Nats per unit, float32 whatever comes in: log(1 - lambda) is lost in half precision.
    """
    r = ((activation.float() - mean) / std).float()
    lam = lam.float()
    # In float32 a sigmoid reaches exactly 1 from alpha = 16.75 on, and log 0 would be infinite.
    return unit_kl(
        r, lam, (1 - lam).clamp_min(1e-6) if one_minus_lam is None else one_minus_lam.float()
    )


def unit_kl(r: torch.Tensor, lam: torch.Tensor, one_minus_lam: torch.Tensor) -> torch.Tensor:
    """`gaussian_kl` of standardised activations r, lambda and 1 - lambda, in nats per unit."""
    one_minus_lam = one_minus_lam.clamp_min(MIN_NOISE)
    return -0.5 * (1 + 2 * torch.log(one_minus_lam) - (lam * r).square() - one_minus_lam.square())


def unit_kl_slope(r: torch.Tensor, lam: torch.Tensor, one_minus_lam: torch.Tensor) -> torch.Tensor:
    """Derivative of `unit_kl` with respect to lambda."""
    one_minus_lam = one_minus_lam.clamp_min(MIN_NOISE)
    return torch.addcmul(one_minus_lam.reciprocal() - one_minus_lam, r.square(), lam)


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
