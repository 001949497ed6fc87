"""Coupling of lambda along a clip: an option for videos that the image method does not have."""

import torch
from torch.nn import functional


def reach(sigma: float) -> int:
    """Frames on either side that `smooth_time` looks at."""
    return max(1, round(2 * sigma)) if sigma > 0 else 0


def smooth_time(keep: torch.Tensor, sigma: float) -> torch.Tensor:
    """Gaussian smoothing along frames, so that neighbouring frames share what they keep.

    Parameters
    ----------
    keep : (T, C, h, w) lambda of consecutive frames
    sigma : in frames; 0 = none

    Returns
    -------
    (T, C, h, w). The weights sum to 1 and the first and last frame are repeated beyond the ends, so
    lambda stays in [0, 1] and a clip of one frame is left as it is.
    """
    if sigma <= 0 or len(keep) == 1:
        return keep
    half = reach(sigma)
    taps = torch.arange(-half, half + 1, dtype=keep.dtype, device=keep.device)
    kernel = torch.exp(-(taps**2) / (2 * sigma**2))
    units = keep.flatten(1).T[:, None]
    padded = functional.pad(units, (half, half), mode="replicate")
    return functional.conv1d(padded, (kernel / kernel.sum())[None, None])[:, 0].T.view_as(keep)


def roughness(keep: torch.Tensor) -> torch.Tensor:
    """Change of lambda (T, ...) from frame to frame, squared, mean over units, summed over frames.

    As a penalty it couples the maps of a clip and leaves each free to jump where that pays.
    """
    if len(keep) == 1:
        return keep.new_zeros(())
    return (keep[1:] - keep[:-1]).square().flatten(1).mean(1).sum()


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
