"""A network for forward passes alone: with fewer operations, in the precision that is faster."""

import logging
from collections.abc import Callable
from functools import cache

import torch
from torch import fx, nn

from viba_lib.bottleneck.fold import lean
from viba_lib.bottleneck.precision import autocast, choose, dtype_of
from viba_lib.bottleneck.split import device_of, frozen, same_up_to_rounding

log = logging.getLogger(__name__)


class Forward(nn.Module):
    """Logits (N, classes) float32 of a trained network, without gradients of its weights.

    A network that cannot be traced, or whose trace gives other logits, runs as it is.

    Parameters
    ----------
    model : its weights of now count; a later change of them has no effect
    example : (1, 3, H, W), an input of the size of all
    precision : "float32", "bfloat16", "float16", or "auto", see `bottleneck.precision`
    """

    def __init__(self, model: nn.Module, example: torch.Tensor, precision: str = "auto") -> None:
        super().__init__()
        self.device = device_of(model)
        example = example[:1].to(self.device)
        with frozen(model), torch.no_grad():
            graph = _graph(model, example)
            run = cache(lambda name: model if graph is None else lean(graph, dtype_of(name)))

            def once(name: str) -> None:
                with autocast(self.device, name):
                    run(name)(example)

            work = f"{type(model).__name__} forward, {tuple(example.shape[1:])}"
            self.precision = choose(precision, work, once, self.device)
            self.run: Callable[[torch.Tensor], torch.Tensor] = run(self.precision)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Logits of inputs (N, 3, H, W)."""
        last = torch.channels_last if inputs.dim() == 4 else torch.preserve_format
        with autocast(self.device, self.precision):
            return self.run(inputs.to(self.device, memory_format=last)).float()


def _graph(model: nn.Module, example: torch.Tensor) -> fx.GraphModule | None:
    """The model's graph, if it gives the model's logits of one input and of two."""
    try:
        graph = fx.symbolic_trace(model)
        for batch in (example, torch.cat([example, example])):
            if not same_up_to_rounding(lean(graph)(batch), model(batch)):
                raise ValueError("its trace gives other logits than the model")
        return graph
    except Exception as error:
        # Tracing fails in many ways (control flow on values, custom types).
        log.info("%s runs as it is: %s", type(model).__name__, error)
        return None
