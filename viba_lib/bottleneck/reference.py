"""The per-sample bottleneck computed the slow and obvious way, for tests and benchmarks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn import functional

from viba_lib.bottleneck import LayerStatistics
from viba_lib.bottleneck.information import LN2
from viba_lib.bottleneck.split import device_of, find_layer, hooked
from viba_lib.core.errors import VibaError

STEPS = 10  # of the reference, and so of the plain version and of the defaults


@contextmanager
def _gradients(model: nn.Module) -> Iterator[None]:
    """Gradients of weights start empty and are put back afterwards."""
    before = [(parameter, parameter.grad) for parameter in model.parameters()]
    try:
        for parameter, _ in before:
            parameter.grad = None
        yield
    finally:
        for parameter, gradient in before:
            parameter.grad = gradient


def _gaussian(sigma: float, channels: int) -> torch.Tensor:
    """Kernel (channels, 1, k, k), k = 5 for sigma 1."""
    half = round(2 * sigma)
    taps = torch.exp(-(torch.arange(-half, half + 1).float() ** 2) / (2 * sigma**2))
    kernel = taps[:, None] * taps[None]
    return (kernel / kernel.sum()).expand(channels, 1, -1, -1)


def _smooth(lam: torch.Tensor, kernel: torch.Tensor | None) -> torch.Tensor:
    if kernel is None:
        return lam
    half = kernel.shape[-1] // 2
    # A map that is too small to reflect repeats its border, as in the engine.
    mode = "reflect" if min(lam.shape[-2:]) > half else "replicate"
    padded = functional.pad(lam[None], (half, half, half, half), mode=mode)
    return functional.conv2d(padded, kernel, groups=len(lam))[0]


def plain_attribute(
    model: nn.Module,
    layer: str,
    statistics: LayerStatistics,
    frame: torch.Tensor,
    target: int,
    beta: float = 10.0,
    steps: int = STEPS,
    noise_samples: int = 10,
    learning_rate: float = 1.0,
    sigma: float = 1.0,
    min_std: float = 0.01,
    initial_alpha: float = 5.0,
    seed: int = 0,
    on_step: Callable[[int], None] | None = None,
) -> torch.Tensor:
    """Capacity of one frame, slow and obvious: the yardstick of speed and of exactness.

    Parameters
    ----------
    model : in evaluation mode; its gradients and hooks are put back
    frame : (3, H, W)
    target : class index
    on_step : called with the number of each finished step, from 1
    others : as in `PerSampleBottleneck`

    Returns
    -------
    (C, h, w) bits per unit, of the forward pass before the last step of Adam.

    Raises
    ------
    VibaError
        Unknown layer, or a model in training mode.
    """
    module = find_layer(model, layer)
    if model.training:
        raise VibaError("the model is in training mode; call model.eval() first")
    device = device_of(model)
    mean, active = statistics.mean.to(device), statistics.active.to(device)
    std = statistics.std.to(device).clamp_min(min_std)
    kernel = _gaussian(sigma, len(mean)).to(device) if sigma > 0 else None
    batch = frame.to(device).expand(noise_samples, -1, -1, -1)
    wanted = torch.full((noise_samples,), target, device=device)
    alpha = torch.full_like(mean, initial_alpha).requires_grad_()
    optimizer = torch.optim.Adam([alpha], lr=learning_rate)
    generator = torch.Generator(device).manual_seed(seed)
    nats = torch.zeros_like(mean)

    def inject(_module: nn.Module, _inputs: object, r: torch.Tensor) -> torch.Tensor:
        nonlocal nats
        lam = _smooth(torch.sigmoid(alpha), kernel)
        draws = [torch.randn(mean.shape, generator=generator, device=device) for _ in r]
        normal = (r - mean) / std
        kl = -0.5 * (1 + torch.log((1 - lam) ** 2) - (lam * normal) ** 2 - (1 - lam) ** 2)
        nats = (kl * active).mean(0)
        return (lam * r + (1 - lam) * (torch.stack(draws) * std + mean)) * active  # Eq. (1)

    with hooked(module, inject), _gradients(model):
        for step in range(1, steps + 1):
            optimizer.zero_grad()
            logits = model(batch)
            (functional.cross_entropy(logits, wanted) + beta * nats.mean()).backward()  # Eq. (2)
            optimizer.step()
            if on_step is not None:
                on_step(step)
    return nats.detach() / LN2
