"""A small network on synthetic images whose relevant pixels are known."""

import torch
from torch import nn


def bar_images(
    count: int, size: int = 32, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Noise images, half of them with a bright bar at a random position.

    Returns
    -------
    images (N, 3, S, S) float32, labels (N,) with 1 = bar, truth (N, S, S) with 1 on the bar.
    """
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 1, size, size, generator=generator) * 0.5
    labels = torch.arange(count) % 2
    truth = torch.zeros(count, size, size)
    for i in torch.nonzero(labels)[:, 0].tolist():
        top, left = torch.randint(2, size - 12, (2,), generator=generator).tolist()
        truth[i, top : top + 3, left : left + 10] = 1
    images = images + 1.5 * truth[:, None]
    return images.repeat(1, 3, 1, 1), labels, truth


def train_toy(
    images: torch.Tensor, labels: torch.Tensor, steps: int = 120, seed: int = 0
) -> nn.Sequential:
    """Train a network of three layers, in seconds; layer "1" has half of the resolution."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nn.Sequential(
            nn.Conv2d(3, 16, 5, padding=2, stride=2),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveMaxPool2d(1),
            nn.Flatten(),
            nn.Linear(32, 2),
        )
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        chosen = torch.randint(len(labels), (64,), generator=generator)
        loss = nn.functional.cross_entropy(model(images[chosen]), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()
