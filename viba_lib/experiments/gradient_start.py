"""A start of the optimisation from gradients alone (`speed` compares it with others)."""

import torch
from torch.nn import functional

from viba_lib.bottleneck import PerSampleBottleneck
from viba_lib.bottleneck.classifier import device_of
from viba_lib.bottleneck.information import unit_kl_slope
from viba_lib.bottleneck.optimiser import Units, channels_last
from viba_lib.bottleneck.split import frozen
from viba_lib.bottleneck.validate import target_classes

POINTS = (0.2, 0.4, 0.6, 0.8)  # of the path from noise (0) to the activation (1)
HALVINGS = 20
LARGEST = 1 - 1e-4


def gradient_start(
    bottleneck: PerSampleBottleneck, inputs: torch.Tensor, target: torch.Tensor | None = None
) -> torch.Tensor:
    """Lambda at which each unit's information costs as much as its mean gradient along a path.

    All units go from noise to their activations together, as in integrated gradients at the layer.
    At an optimum of the loss, model loss + beta information, the slopes of both terms cancel; here
    that of the model loss is taken for constant.

    Parameters
    ----------
    inputs : (T, 3, H, W)
    target : (T,) class indices; None = the predicted class of each frame

    Returns
    -------
    (T, C, h, w) in [0, 1), for `PerSampleBottleneck.attribute(start=...)`.
    """
    split, settings = bottleneck.split, bottleneck.settings
    device = device_of(split.model)
    units = Units.of(bottleneck.statistics, settings.min_std, device)
    noise = units.noise(bottleneck.seed, settings.antithetic)
    with frozen(split.model):
        head = split.prepare_head()
        tail = split.prepare(bottleneck.choose_precision(inputs))
        with torch.no_grad():
            activation, context = head(inputs.to(device))
            r = channels_last(activation) * units.active
            classes = target_classes(target, tail(r.clone(), context, 1))
        gain = torch.zeros_like(r)
        for point in POINTS:
            lam = torch.full_like(r, point).requires_grad_()
            z = torch.lerp(channels_last(noise.sample(1)).expand_as(r), r, lam)
            loss = functional.cross_entropy(tail(z, context, 1), classes, reduction="sum")
            gain -= torch.autograd.grad(loss, lam)[0] / len(POINTS)
    normal = torch.addcmul(units.shift, r, units.scale)
    wanted = gain * (normal[0].numel() / settings.beta)
    low, high = torch.zeros_like(r), torch.full_like(r, LARGEST)
    for _ in range(HALVINGS):  # the slope grows with lambda
        middle = (low + high) / 2
        below = unit_kl_slope(normal, middle, 1 - middle) < wanted
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return low * units.active
