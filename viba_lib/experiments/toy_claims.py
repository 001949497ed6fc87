"""Saturation and over-attribution on toy networks whose relevant units are known."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from scipy.ndimage import maximum_filter
from torch import nn

from viba_lib.bottleneck import LayerStatistics, PerSampleBottleneck
from viba_lib.data.toy import bar_images, train_toy

SIDE = 4  # of the grid of the saturated network; two of its units are evidence
EVIDENCE = 2 / SIDE**2
REACH = 4  # pixels around a bar that count as on it: the layer has half of the resolution
COARSE = 2  # steps of an optimisation that is stopped early


class SaturatedNetwork(nn.Module):
    """Evidence max(0, 1 - max(0, 1 - x1 - x2)), which one of two units saturates.

    The example is that of Shrikumar et al. 2017 (DeepLIFT, Figure 1). Input (T, 3, 4, 4); the
    layer `units` has one channel, and all units but the first two are ignored.
    """

    def __init__(self) -> None:
        super().__init__()
        self.units = nn.Identity()

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Logits (T, 2)."""
        x = self.units(frames[:, :1]).flatten(1)
        evidence = torch.relu(1 - torch.relu(1 - x[:, 0] - x[:, 1]))
        return torch.stack([torch.zeros_like(evidence), 8 * (evidence - 0.5)], 1)


def saturation(count: int = 8, seed: int = 0) -> pd.DataFrame:
    """Relevance of the evidence if both of its units are 1, and all others are random.

    Returns
    -------
    video_id (one per input, each with its own noise), gradient and bottleneck: fraction of
    relevance on the two units, 0 if no unit has any. Chance is EVIDENCE.
    """
    generator = torch.Generator().manual_seed(seed)
    inputs = (torch.rand(1000 + count, 3, SIDE, SIDE, generator=generator) < 0.5).float()
    network = SaturatedNetwork().eval()
    statistics = LayerStatistics.estimate(network, "units", [inputs[:1000]])
    frames = inputs[1000:].clone()
    frames[:, :, 0, :2] = 1
    slope = _slopes(network, frames)
    rows = []
    for i, frame in enumerate(frames):
        # Units have no neighbours here, so nothing is smoothed.
        bottleneck = PerSampleBottleneck(
            network, "units", statistics, beta=1.0, sigma=0.0, seed=seed + i
        )
        bits = bottleneck.attribute(frame[None], 1).capacity[0, 0].numpy()
        rows.append((f"input {i}", _first_two(slope[i]), _first_two(bits)))
    return pd.DataFrame(rows, columns=["video_id", "gradient", "bottleneck"])


def _slopes(network: nn.Module, frames: torch.Tensor) -> np.ndarray:
    """Absolute gradient (T, H, W) of the logit of class 1, summed over channels."""
    leaves = frames.clone().requires_grad_()
    network(leaves)[:, 1].sum().backward()
    assert leaves.grad is not None
    return leaves.grad.abs().sum(1).numpy()


def _first_two(relevance: np.ndarray) -> float:
    total = float(relevance.sum())
    return float(relevance[0, :2].sum()) / total if total > 0 else 0.0


def _with_distractor(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """`bar_images` of both classes with a chequered patch that says nothing of the class."""
    images, labels, truth = bar_images(count, seed=seed)
    generator = torch.Generator().manual_seed(seed + 1)
    size = images.shape[-1]
    index = torch.arange(size)
    chequers = ((index[:, None] + index) % 2 * 2 - 1).float()
    for i in range(count):
        y, x = torch.randint(2, size - 8, (2,), generator=generator).tolist()
        patch = torch.zeros(size, size)
        patch[y : y + 6, x : x + 6] = 1.5
        images[i] += patch * chequers * (1 - truth[i])
    return images, labels, truth


def over_attribution(count: int = 12, steps: int = 80, seed: int = 0) -> pd.DataFrame:
    """Relevance that lies off the evidence, on images with a bar and a distractor.

    Parameters
    ----------
    count : images with a bar, which a network classifies that was trained for `steps`

    Returns
    -------
    video_id (one per image), method ("gradient", "bottleneck", and "bottleneck, early": after
    COARSE steps) and outside: fraction of relevance farther than REACH pixels from the bar.
    """
    images, labels, _ = _with_distractor(256, seed)
    network = train_toy(images, labels, steps, seed)
    statistics = LayerStatistics.estimate(network, "1", images.repeat(4, 1, 1, 1).split(256))
    tested, classes, truth = _with_distractor(2 * count, seed + 100)
    frames, near = (
        tested[classes == 1],
        maximum_filter(truth[classes == 1].numpy(), (1, 2 * REACH + 1, 2 * REACH + 1)) > 0,
    )

    def bits(steps: int) -> np.ndarray:
        bottleneck = PerSampleBottleneck(network, "1", statistics, steps=steps, seed=seed)
        return bottleneck.attribute(frames, 1).bits_per_pixel.numpy()

    methods: dict[str, Callable[[], np.ndarray]] = {
        "gradient": lambda: _slopes(network, frames),
        "bottleneck": lambda: bits(10),
        "bottleneck, early": lambda: bits(COARSE),
    }
    rows = [
        (f"image {i}", name, float(relevance[~inside].sum() / relevance.sum()))
        for name, maps in methods.items()
        for i, (relevance, inside) in enumerate(zip(maps(), near, strict=True))
    ]
    return pd.DataFrame(rows, columns=["video_id", "method", "outside"])
