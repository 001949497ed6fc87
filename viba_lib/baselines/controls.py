"""Input-agnostic controls: maps that do not depend on the network."""

import numpy as np
import torch
from skimage.filters import sobel


def random_maps(shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """Uniform noise (T, H, W): the level of chance."""
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def centred_gaussian(shape: tuple[int, int, int], width: float = 0.2) -> np.ndarray:
    """A centre prior (T, H, W); `width` is its standard deviation as a share of the side.

    Faces are centred in their crops, so this map lies on a face without any knowledge of it.
    """
    count, height, breadth = shape
    y = (np.arange(height, dtype=np.float32) + 0.5) / height - 0.5
    x = (np.arange(breadth, dtype=np.float32) + 0.5) / breadth - 0.5
    blob = np.exp(-(y[:, None] ** 2 + x[None, :] ** 2) / (2 * width**2)).astype(np.float32)
    return np.repeat(blob[None], count, axis=0)


def edges(frames: torch.Tensor) -> np.ndarray:
    """Edges (T, H, W) of inputs (T, 3, H, W): Sobel's filter on the mean of the channels."""
    grey = frames.float().mean(1).cpu().numpy()
    return np.stack([sobel(g) for g in grey]).astype(np.float32) if len(grey) else grey
