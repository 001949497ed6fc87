"""Coupling of lambda along a clip: an option for videos that the image method does not have."""

import torch
from torch.nn import functional


def reach(sigma: float) -> int:
    """Frames on either side that `smooth_time` looks at."""
    return max(1, round(2 * sigma)) if sigma > 0 else 0


def smooth_time(lam: torch.Tensor, sigma: float) -> torch.Tensor:
    """Gaussian smoothing along frames, so that neighbouring frames get similar maps.

    Parameters
    ----------
    lam : (T, C, h, w) lambda of consecutive frames
    sigma : in frames; 0 = none

    Returns
    -------
    (T, C, h, w). The weights sum to 1 and the first and last frame are repeated beyond the ends, so
    lambda stays in [0, 1] and a clip of one frame is left as it is.
    """
    if sigma <= 0 or len(lam) == 1:
        return lam
    half = reach(sigma)
    taps = torch.arange(-half, half + 1, dtype=lam.dtype, device=lam.device)
    kernel = torch.exp(-(taps**2) / (2 * sigma**2))
    units = lam.flatten(1).T[:, None]
    padded = functional.pad(units, (half, half), mode="replicate")
    return functional.conv1d(padded, (kernel / kernel.sum())[None, None])[:, 0].T.view_as(lam)


def roughness(lam: torch.Tensor) -> torch.Tensor:
    """Change of lambda (T, ...) from frame to frame, squared, mean over units, summed over frames.

    As a penalty it couples the maps of a clip and leaves each free to jump where that pays.
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
    half = round(2 * sigma)
    taps = torch.arange(-half, half + 1, dtype=lam.dtype, device=lam.device)
    kernel = torch.exp(-(taps**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    channels = lam.shape[1]
    mode = "reflect" if min(lam.shape[-2:]) > half else "replicate"
    padded = functional.pad(lam, (half, half, half, half), mode=mode)
    rows = kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1)
    columns = kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
    out = functional.conv2d(padded, rows, groups=channels)
    return functional.conv2d(out, columns, groups=channels)
