"""A network for forward passes alone: with fewer operations, in the precision that is faster."""

import logging
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache

import torch
from torch import fx, nn

from viba_lib.bottleneck.classifier import (
    as_floats,
    as_inputs,
    class_logits,
    device_of,
    with_gradients,
)
from viba_lib.bottleneck.fold import lean
from viba_lib.bottleneck.precision import autocast, choose, dtype_of
from viba_lib.bottleneck.split import agree, frozen, same_up_to_rounding

log = logging.getLogger(__name__)


class Forward(nn.Module):
    """Logits (N, classes) float32 of a trained network, without gradients of its weights.

    A network that cannot be traced, or whose trace gives other logits, runs as it is. One logit for
    each input is given as that of two classes, see `classifier.class_logits`.

    Parameters
    ----------
    model : its weights of now count; a later change of them has no effect
    example : (1, 3, H, W), an input of the size of all
    precision : "float32", "bfloat16", "float16", or "auto", see `bottleneck.precision`
    """

    def __init__(self, model: nn.Module, example: torch.Tensor, precision: str = "auto") -> None:
        super().__init__()
        model = with_gradients(model)
        self.device = device_of(model)
        self.dtype = as_inputs(model, example).dtype
        example = as_inputs(model, example)[:1].to(self.device)
        with frozen(model), torch.no_grad():
            class_logits(_with_gradient(model, example), 1)
            graph = _graph(model, example)
            run = cache(lambda name: model if graph is None else lean(graph, dtype_of(name)))

            def once(name: str) -> None:
                with autocast(self.device, name):
                    run(name)(example)

            work = f"{type(model).__name__} forward, {tuple(example.shape[1:])}"
            self.precision = choose(precision, work, once, self.device)
            self.run: Callable[[torch.Tensor], torch.Tensor] = run(self.precision)
            if not _same(self.run, model, example, self.precision):
                self.run = model

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Logits of inputs (N, 3, H, W)."""
        inputs = as_floats(inputs, self.dtype)
        last = torch.channels_last if inputs.dim() == 4 else torch.preserve_format
        inputs = inputs.to(self.device, memory_format=last)
        with autocast(self.device, self.precision):
            return class_logits(self.run(inputs), len(inputs)).float()


def _with_gradient(model: nn.Module, example: torch.Tensor) -> torch.Tensor:
    """The model's output, with the operations it came from if they have a gradient."""
    with torch.enable_grad(), suppress(Exception):
        return model(example.clone().requires_grad_().clone())
    return model(example)


def _same(
    run: Callable[[torch.Tensor], torch.Tensor],
    model: nn.Module,
    example: torch.Tensor,
    precision: str,
) -> bool:
    """Whether a rewritten network gives the model's logits in a precision; a warning if not."""
    name, device = type(model).__name__, example.device
    try:
        if run is model or agree(lambda: run(example), lambda: model(example), device, precision):
            return True
    except Exception as error:
        log.info("%s runs as it is: %s", name, error)
        return False
    warnings.warn(
        f"{name}, rewritten to be faster in {precision}, gives other logits than the model; the "
        "original is used, which is slower",
        stacklevel=3,
    )
    return False


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
