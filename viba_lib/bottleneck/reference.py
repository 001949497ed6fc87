"""The per-sample bottleneck computed the slow and obvious way, for tests and benchmarks."""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from viba_lib.bottleneck.classifier import class_logits, device_of
from viba_lib.bottleneck.information import LN2
from viba_lib.bottleneck.settings import BottleneckSettings
from viba_lib.bottleneck.split import find_layer, hooked
from viba_lib.bottleneck.statistics import LayerStatistics
from viba_lib.core.errors import VibaError

STEPS = BottleneckSettings().steps
# The settings that it computes; the others belong to the fast implementation.
SETTINGS = ("beta", "steps", "learning_rate", "noise_samples", "sigma", "min_std", "initial_alpha")


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
    # A map that is too small to reflect repeats its border, as in the fast implementation.
    mode = "reflect" if min(lam.shape[-2:]) > half else "replicate"
    padded = functional.pad(lam[None], (half, half, half, half), mode=mode)
    return functional.conv2d(padded, kernel, groups=len(lam))[0]


def reference_attribute(
    model: nn.Module,
    layer: str,
    statistics: LayerStatistics,
    frame: torch.Tensor,
    target: int,
    settings: BottleneckSettings = BottleneckSettings(),  # noqa: B008
    seed: int = 0,
    on_step: Callable[[int], None] | None = None,
    items_per_pass: int | None = None,
) -> torch.Tensor:
    """Capacity of one frame: the yardstick of speed and of exactness.

    Every step runs the whole model on all noise samples, with gradients of all weights, as the
    reference implementation of Schulz et al. (2020) does.

    Parameters
    ----------
    model : in evaluation mode; its weights have no gradients afterwards
    frame : (3, H, W)
    target : class index
    settings : only those in `SETTINGS` may differ from the defaults
    on_step : called with the number of each finished step, from 1
    items_per_pass : noise samples that go through the model at once; None = all, as in the
        reference implementation. The gradient is the same, and fewer need less memory

    Returns
    -------
    (C, h, w) bits per unit, of the forward pass before the last step of Adam.

    Raises
    ------
    VibaError
        Unknown layer, a model in training mode, or settings that it does not compute.
    """
    module = find_layer(model, layer)
    if model.training:
        raise VibaError("the model is in training mode; call model.eval() first")
    if settings != BottleneckSettings(**{name: getattr(settings, name) for name in SETTINGS}):
        raise VibaError(f"{settings} has more than the reference computes: {', '.join(SETTINGS)}")
    device = device_of(model)
    mean, active = statistics.mean.to(device), statistics.active.to(device)
    std = statistics.std.to(device).clamp_min(settings.min_std)
    kernel = _gaussian(settings.sigma, len(mean)).to(device) if settings.sigma > 0 else None
    batch = frame.to(device).expand(settings.noise_samples, -1, -1, -1)
    alpha = torch.full_like(mean, settings.initial_alpha).requires_grad_()
    optimizer = torch.optim.Adam([alpha], lr=settings.learning_rate)
    generator = torch.Generator(device).manual_seed(seed)
    nats = torch.zeros_like(mean)

    def inject(_module: nn.Module, _inputs: object, r: torch.Tensor) -> torch.Tensor:
        nonlocal nats
        lam = _smooth(torch.sigmoid(alpha), kernel)
        white = [torch.randn(mean.shape, generator=generator, device=device) for _ in r]
        normal = (r - mean) / std
        kl = -0.5 * (1 + torch.log((1 - lam) ** 2) - (lam * normal) ** 2 - (1 - lam) ** 2)
        nats = (kl * active).mean(0)
        return (lam * r + (1 - lam) * (torch.stack(white) * std + mean)) * active  # Eq. (1)

    model.zero_grad()
    with hooked(module, inject):
        for step in range(1, settings.steps + 1):
            optimizer.zero_grad()
            for part in batch.split(items_per_pass or len(batch)):
                logits = class_logits(model(part), len(part))
                wanted = torch.full((len(part),), target, device=device)
                fit = functional.cross_entropy(logits, wanted)
                ((fit + settings.beta * nats.mean()) * len(part) / len(batch)).backward()  # Eq. (2)
            optimizer.step()
            if on_step is not None:
                on_step(step)
    model.zero_grad()
    return nats.detach() / LN2
