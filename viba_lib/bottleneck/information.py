"""Information in bits: Gaussian KL divergence and its scaling to input pixels."""

import math

import torch
from torch.nn import functional

LN2 = math.log(2.0)
MIN_NOISE = 1e-30  # of 1 - lambda: its logarithm and its inverse are finite in float32


def gaussian_kl(
    activation: torch.Tensor, lam: torch.Tensor, mean: torch.Tensor, std: torch.Tensor
) -> torch.Tensor:
    """KL divergence of the transmitted signal from pure noise, per unit (Schulz et al., Eq. 6).

    With r' = (r - mean) / std, Z | R is N(lambda r', (1 - lambda)^2) and the noise N(0, 1). The
    mean over inputs of the sum over units is an upper bound of the mutual information of R and Z,
    and it is loose if units are correlated. The value of one input is an estimate, not a bound.

    Parameters
    ----------
    activation : (..., C, h, w) the layer's output r
    lam : lambda in [0, 1], same shape
    mean, std : (C, h, w) of the layer; std > 0

    Returns
    -------
    Nats per unit, in float32 for any input: log(1 - lambda) is lost in half precision.
    """
    r = ((activation.float() - mean) / std).float()
    lam = lam.float()
    # In float32 a sigmoid reaches exactly 1 from alpha = 16.75 on, and log 0 would be infinite.
    return unit_kl(r, lam, (1 - lam).clamp_min(1e-6))


def unit_kl(r: torch.Tensor, lam: torch.Tensor, one_minus_lam: torch.Tensor) -> torch.Tensor:
    """`gaussian_kl` of standardised activations r, lambda and 1 - lambda, in nats per unit."""
    noise = one_minus_lam.clamp_min(MIN_NOISE)
    return -0.5 * (1 + 2 * torch.log(noise) - (lam * r).square() - noise.square())


def unit_kl_slope(r: torch.Tensor, lam: torch.Tensor, one_minus_lam: torch.Tensor) -> torch.Tensor:
    """Derivative of `unit_kl` with respect to lambda."""
    noise = one_minus_lam.clamp_min(MIN_NOISE)
    return torch.addcmul(noise.reciprocal() - noise, r.square(), lam)


def bits_per_pixel(capacity: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    """Map over the input from the capacity of a layer.

    Parameters
    ----------
    capacity : (N, C, h, w) or (N, C, t, h, w) bits per unit
    size : (H, W) or (T, H, W) of the input; a grid without time is the same at each time

    Returns
    -------
    (N, H, W), or (N * T, H, W) with clips one after another: bits per pixel, summed over channels,
    (tri)linear, scaled so that the total of each input is that of the layer.
    """
    total = capacity.sum(1, keepdim=True)
    if len(size) == 3 and total.dim() == 4:
        total = total[:, :, None]
    mode = "bilinear" if len(size) == 2 else "trilinear"
    wide = functional.interpolate(total, size=size, mode=mode, align_corners=False)
    # Linear weights at the border lose or gain a little; the number of bits must not change.
    axes = tuple(range(2, total.dim()))
    wanted = total.sum(axes, keepdim=True)
    found = wide.sum(axes, keepdim=True).clamp_min(1e-12)
    maps = (wide * (wanted / found))[:, 0]
    return maps if len(size) == 2 else maps.flatten(0, 1)
