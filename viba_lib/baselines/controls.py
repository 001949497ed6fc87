"""Input-agnostic controls: maps that do not depend on the network."""

import numpy as np
import torch
from skimage.filters import sobel


def random_maps(frames: torch.Tensor, seed: int = 0) -> np.ndarray:
    """Uniform noise (T, H, W) for inputs (T, 3, H, W): the level of chance."""
    shape = (len(frames), *frames.shape[-2:])
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def centred_gaussian(frames: torch.Tensor, width: float = 0.2) -> np.ndarray:
    """A centre prior (T, H, W) for inputs (T, 3, H, W).

    Faces are centred in their crops, so this map lies on a face without any knowledge of it.

    Parameters
    ----------
    width : standard deviation as a fraction of the side
    """
    count, _, height, breadth = frames.shape
    y = (np.arange(height, dtype=np.float32) + 0.5) / height - 0.5
    x = (np.arange(breadth, dtype=np.float32) + 0.5) / breadth - 0.5
    prior = np.exp(-(y[:, None] ** 2 + x[None, :] ** 2) / (2 * width**2)).astype(np.float32)
    return np.repeat(prior[None], count, axis=0)


def edges(frames: torch.Tensor) -> np.ndarray:
    """Edges (T, H, W) of inputs (T, 3, H, W): Sobel's filter on the mean of the channels."""
    grey = frames.float().mean(1).cpu().numpy()
    return np.stack([sobel(g) for g in grey]).astype(np.float32) if len(grey) else grey
