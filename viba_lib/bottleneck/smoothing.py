"""Gaussian smoothing of lambda in space, and its coupling along a clip."""

import torch
from torch.nn import functional


def reach(sigma: float) -> int:
    """Frames on either side that `smooth_time` depends on."""
    return max(1, round(2 * sigma)) if sigma > 0 else 0


def _kernel(half: int, sigma: float, like: torch.Tensor) -> torch.Tensor:
    """Gaussian weights (2 half + 1,) that sum to 1."""
    taps = torch.arange(-half, half + 1, dtype=like.dtype, device=like.device)
    kernel = torch.exp(-(taps**2) / (2 * sigma**2))
    return kernel / kernel.sum()


def smooth_time(lam: torch.Tensor, sigma: float) -> torch.Tensor:
    """Gaussian smoothing along frames, an option for videos; neighbouring frames share lambda.

    Parameters
    ----------
    lam : (T, C, h, w) lambda of consecutive frames
    sigma : in frames; 0 = none

    Returns
    -------
    (T, C, h, w). The weights sum to 1 and the first and last frame are repeated beyond the ends, so
    lambda stays in [0, 1] and a clip of one frame is unchanged.
    """
    if sigma <= 0 or len(lam) == 1:
        return lam
    half = reach(sigma)
    padded = functional.pad(lam.flatten(1).T[:, None], (half, half), mode="replicate")
    weights = _kernel(half, sigma, lam)[None, None]
    return functional.conv1d(padded, weights)[:, 0].T.view_as(lam)


def roughness(lam: torch.Tensor) -> torch.Tensor:
    """Squared change of lambda (T, ...) between frames, mean over units, summed over frames.

    As a penalty it couples the maps of a clip and still allows each to change abruptly if that
    lowers the loss.
    """
    if len(lam) == 1:
        return lam.new_zeros(())
    return (lam[1:] - lam[:-1]).square().flatten(1).mean(1).sum()


def smooth(lam: torch.Tensor, sigma: float) -> torch.Tensor:
    """Gaussian smoothing of lambda (T, C, h, w) in space, channel by channel.

    Kernel as in the reference implementation: 4 sigma + 1 taps, so 5 for sigma 1, borders
    reflected. A map that is too small to reflect repeats its border instead.
    """
    if sigma <= 0:
        return lam
    half, channels = round(2 * sigma), lam.shape[1]
    kernel = _kernel(half, sigma, lam)
    mode = "reflect" if min(lam.shape[-2:]) > half else "replicate"
    padded = functional.pad(lam, (half, half, half, half), mode=mode)
    rows = kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1)
    columns = kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
    out = functional.conv2d(padded, rows, groups=channels)
    return functional.conv2d(out, columns, groups=channels)
