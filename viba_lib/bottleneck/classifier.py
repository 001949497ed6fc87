"""What a classifier takes and gives: inputs of its type, and the logits of its classes."""

import copy
import itertools
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from viba_lib.core.errors import VibaError

AXES = "frames (B, 3, H, W) or clips (B, 3, T, H, W)"
SHAPES = ("View", "UnsafeView", "Reshape", "Squeeze", "Unsqueeze", "Select", "Slice", "ToCopy")


def device_of(model: nn.Module) -> torch.device:
    """Device of a model's weights; the CPU if it has none.

    Raises
    ------
    VibaError
        The weights are on several devices, or on "meta", which keeps no values.
    """
    tensors = itertools.chain(model.parameters(), model.buffers())
    devices = list(dict.fromkeys(t.device for t in tensors)) or [torch.device("cpu")]
    if len(devices) > 1 or devices[0].type == "meta":
        names = " and ".join(str(d) for d in devices)
        raise VibaError(
            f"the weights of {type(model).__name__} are on {names}; expected one device with "
            'values: load the weights, then move the model with model.to("cpu") or another'
        )
    return devices[0]


def with_gradients(model: nn.Module) -> nn.Module:
    """The model; a copy if it was made in inference mode, whose tensors let no gradient pass."""
    tensors = itertools.chain(model.parameters(), model.buffers())
    if not any(t.is_inference() for t in tensors):
        return model
    with plain_torch():
        return copy.deepcopy(model)


@contextmanager
def plain_torch() -> Iterator[None]:
    """Gradients and full precision, whatever the caller's no_grad, inference mode or autocast."""
    with ExitStack() as state:
        state.enter_context(torch.inference_mode(False))
        state.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda", "mps"):
            if torch.is_autocast_enabled(kind):
                state.enter_context(torch.autocast(kind, enabled=False))
        yield


def as_inputs(model: nn.Module, frames: Any) -> torch.Tensor:
    """Frames of any floating-point type in that of the model's weights.

    Raises
    ------
    VibaError
        Integers, an array, or something else: their range is not known, and nothing is scaled.
    """
    weights = (p.dtype for p in model.parameters() if p.is_floating_point())
    given = getattr(model, "dtype", None)  # of a `Forward`, whose weights may be of lower precision
    return as_floats(frames, given if isinstance(given, torch.dtype) else next(weights, None))


def as_floats(frames: Any, dtype: torch.dtype | None) -> torch.Tensor:
    """Frames of any floating-point type in another; None = their own. See `as_inputs`."""
    if torch.is_tensor(frames) and frames.is_floating_point():
        return frames.to(dtype or frames.dtype)
    kind = f"{type(frames).__module__}.{type(frames).__name__}".removeprefix("builtins.")
    given = f"{kind} of {frames.dtype}" if hasattr(frames, "dtype") else kind
    raise VibaError(
        f"frames are given as {given}; expected a torch.Tensor of floating-point values in the "
        "range that the model was trained with, often 0 to 1 and then normalised: convert them as "
        "in its training, because nothing is scaled here"
    )


def batch_of(batch: Any) -> torch.Tensor:
    """The inputs in a batch of a DataLoader.

    Parameters
    ----------
    batch : the inputs themselves, or a tuple, list or dict that contains them: the only tensor with
        their axes, or the first of several in a tuple or list if they differ in shape

    Raises
    ------
    VibaError
        Inputs of other axes, or a batch in which they cannot be found.
    """
    if torch.is_tensor(batch) and batch.dim() in (4, 5):
        return batch
    if hasattr(batch, "shape"):
        raise VibaError(f"a batch has shape {tuple(batch.shape)}; expected {AXES} as torch.Tensor")
    values = batch.values() if isinstance(batch, Mapping) else batch
    values = list(values) if isinstance(batch, Mapping | tuple | list) else []
    found = [v for v in values if torch.is_tensor(v) and v.dim() in (4, 5)]
    first = not isinstance(batch, Mapping) and len({v.shape for v in found}) == len(found)
    if len(found) == 1 or (first and found and values[0] is found[0]):
        return found[0]
    parts = [f"{tuple(v.shape)}" if hasattr(v, "shape") else type(v).__name__ for v in values]
    raise VibaError(
        f"a batch is a {type(batch).__name__} of {', '.join(parts[:6]) or 'no tensor'}; expected "
        f"{AXES} as a tensor, or a tuple, list or dict with one such tensor: pick it from the batch"
    )


def input_size(inputs: torch.Tensor) -> tuple[int, ...]:
    """(H, W) of frames (N, 3, H, W); (T, H, W) of clips (N, 3, T, H, W) or (N, T, 3, H, W)."""
    shape = tuple(inputs.shape)
    frames_first = len(shape) == 5 and shape[1] != 3 == shape[2]
    return (shape[1], *shape[3:]) if frames_first else shape[2:]


def class_logits(value: Any, inputs: int) -> torch.Tensor:
    """Logits (N, classes) of what a model gives for N inputs.

    One logit z for each input, to which a sigmoid belongs, is that of class 1: as two classes with
    the same probabilities, [0, z].

    Raises
    ------
    VibaError
        Another shape, or probabilities, to which the softmax would be applied twice.
    """
    if torch.is_tensor(value) and value.is_floating_point():
        _refuse_probabilities(value)
        shape = tuple(value.shape)
        if shape in ((inputs,), (inputs, 1)) or (shape == () and inputs == 1):
            single = value.reshape(inputs, 1)
            return torch.cat([torch.zeros_like(single), single], 1)
        if len(shape) == 2 and shape[0] == inputs:
            return value
    what = f"a {type(value).__name__}"
    if torch.is_tensor(value):
        what = f"{tuple(value.shape)} of {value.dtype} for {inputs} inputs"
    raise VibaError(
        f"the model gives {what}; expected logits (N, classes), a row for each input: wrap it in a "
        "module that returns these alone; if it decides once for all frames, let it take clips "
        "(N, 3, T, H, W)"
    )


def _refuse_probabilities(value: torch.Tensor) -> None:
    """Raise if the last operation is a sigmoid or softmax; known only where gradients are kept."""
    node = value.grad_fn
    while node is not None and node.name().startswith(SHAPES):
        node = node.next_functions[0][0]
    if node is not None and node.name().startswith(("Sigmoid", "Softmax")):
        raise VibaError(
            "the model ends in a sigmoid or softmax and gives probabilities; expected logits: wrap "
            "it in a module that leaves this last operation out"
        )
