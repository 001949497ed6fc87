"""Cost of a map in passes through the network, and the bottleneck within a budget."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from viba_lib.bottleneck.settings import BottleneckSettings
from viba_lib.bottleneck.split import hooked

BACKWARD = 2  # forward passes that a backward pass counts as
LEAST = 8  # smallest budget of a frame, in forward-equivalents


@dataclass
class Passes:
    """Passes of inputs through a network.

    A backward pass counts as two forward passes, the usual estimate: each layer multiplies once
    forward and up to twice backward. A pass through the layers upstream or downstream of a
    bottleneck alone counts as a whole pass.
    """

    forward: float = 0
    backward: float = 0

    @property
    def equivalents(self) -> float:
        """Number in forward-equivalents."""
        return self.forward + BACKWARD * self.backward


@contextmanager
def counted(module: nn.Module) -> Iterator[Passes]:
    """Count the inputs that go through a module, and the gradients that come back to its output.

    Copies of the module that are made in the context count as well.
    """
    passes = Passes()

    def back(gradient: torch.Tensor) -> None:
        passes.backward += len(gradient)

    def forth(_module: nn.Module, _inputs: Any, output: torch.Tensor) -> None:
        passes.forward += len(output)
        if output.requires_grad:
            output.register_hook(back)

    with hooked(module, forth):
        yield passes


def _optimised(settings: Mapping[str, Any]) -> BottleneckSettings:
    return BottleneckSettings.checked(**{k: v for k, v in settings.items() if k != "seed"})


def bottleneck_passes(settings: Mapping[str, Any]) -> Passes:
    """Passes of the per-sample bottleneck for a frame: the clean one, and the steps with noise.

    The last step needs no gradient, because its forward pass gives the map.

    Parameters
    ----------
    settings : fields of `BottleneckSettings`; `seed` is allowed and ignored
    """
    chosen = _optimised(settings)
    noisy = max(1, chosen.steps - chosen.information_steps)
    return Passes(1 + chosen.noise_samples * noisy, chosen.noise_samples * (noisy - 1))


def within(settings: Mapping[str, Any], passes: int) -> dict[str, Any]:
    """Settings of the bottleneck for a budget in forward-equivalents.

    A budget that is too small for the given steps takes noise samples away first, then steps; what
    is left of a budget becomes further steps. The budget that the given settings spend leaves them
    as they are.
    """
    chosen = _optimised(settings)
    noisy = max(1, chosen.steps - chosen.information_steps)
    # Equivalents: 1 + samples (noisy + BACKWARD (noisy - 1))
    per_sample = noisy + BACKWARD * (noisy - 1)
    samples = min(max(1, (passes - 1) // per_sample), chosen.noise_samples)
    noisy = max(1, ((passes - 1) // samples + BACKWARD) // (1 + BACKWARD))
    return {**settings, "noise_samples": samples, "steps": chosen.information_steps + noisy}
