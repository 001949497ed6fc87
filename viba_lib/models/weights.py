"""Load and save weights without running code that a file contains."""

import pickle
import struct
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from viba_lib.bottleneck.statistics import save_tensors
from viba_lib.core.errors import VibaError
from viba_lib.models.formats import classifier_of, inner_state, to_names_of

# What the readers of PyTorch and safetensors, which check little, raise for a damaged file.
DAMAGED = (
    SafetensorError, pickle.UnpicklingError, OSError, RuntimeError, EOFError, LookupError,
    ValueError, TypeError, AttributeError, AssertionError, struct.error,
)  # fmt: skip


class WeightsError(VibaError):
    """A weights file is missing, unreadable or of another network."""


def read_state(path: str | Path) -> dict[str, torch.Tensor]:
    """Read a state dict from `.safetensors`, or from a PyTorch file with `weights_only=True`.

    Raises
    ------
    WeightsError
        The file is missing, cannot be read without running code, or contains no tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(
            f"weights file {path} does not exist; expected a .safetensors, .pth or .pkl file: "
            "check the path, or leave it out to use the detector that the profile trains"
        )
    try:
        if path.suffix == ".safetensors":
            state: Any = load_file(path)
        else:
            with warnings.catch_warnings():
                # Other protocols of pickle are read as well, or refused below.
                warnings.filterwarnings("ignore", "Detected pickle protocol")
                state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # `weights_only` refuses anything but tensors and plain containers.
        raise WeightsError(
            f"weights file {path} contains more than tensors and was not opened "
            f"({_first_line(error)})"
            "; expected a plain state dict: save `model.state_dict()` and pass that file"
        ) from error
    except DAMAGED as error:
        raise WeightsError(
            f"weights file {path} cannot be read: {_first_line(error)}; expected a complete "
            ".safetensors or PyTorch state dict: fetch or save it again"
        ) from error
    state = inner_state(state)
    if not isinstance(state, Mapping) or not all(torch.is_tensor(v) for v in state.values()):
        raise WeightsError(f"weights file {path} contains no state dict of named tensors")
    return dict(state)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:160] if lines else type(error).__name__


def starting_from(
    model: nn.Module, weights: str | Path | None, adapt_classifier: bool = False
) -> nn.Module:
    """The model in evaluation mode with the weights of a file, or random ones if there is none.

    `model.weights_source` says which.
    """
    source = "random weights"
    if weights is not None:
        load_weights(model, weights, adapt_classifier)
        source = f"file {Path(weights).name}"
    model.weights_source = source  # type: ignore[assignment]
    return model.eval()


def load_weights(model: nn.Module, path: str | Path, adapt_classifier: bool = False) -> nn.Module:
    """Load a file into a model, strictly.

    Names and shapes of other libraries and of wrappers are translated, see `formats.to_names_of`.

    Parameters
    ----------
    adapt_classifier : if the file has no classifier, or one for other classes, keep the model's
        own for training

    Raises
    ------
    WeightsError
        Names up to five missing, unexpected and misshaped keys.
    """
    state = to_names_of(model, read_state(path))
    own = model.state_dict()
    head = [f"{classifier_of(model)}.{kind}" for kind in ("weight", "bias")]
    if adapt_classifier and any(k not in state or state[k].shape != own[k].shape for k in head):
        state |= {key: own[key] for key in head}
    problems = _misfits(state, own)
    if problems:
        listed = "; ".join(f"{len(keys)} {what} ({_few(keys)})" for what, keys in problems.items())
        raise WeightsError(
            f"weights file {path} does not fit {type(model).__name__}: {listed}; expected weights "
            "of this network: check that the detector and the file belong together. To start "
            "training from a file for other classes, name it as `weights` of the detector in a "
            "profile"
        )
    # A network without values takes the tensors of the file, in its own precision.
    state = {name: value.to(own[name].dtype) for name, value in state.items()}
    model.load_state_dict(state, assign=any(value.is_meta for value in own.values()))
    return model


def _misfits(
    state: Mapping[str, torch.Tensor], own: Mapping[str, torch.Tensor]
) -> dict[str, list[str]]:
    """Keys that do not fit, by their problem."""
    both = own.keys() & state.keys()
    found = {
        "missing": sorted(own.keys() - state.keys()),
        "unexpected": sorted(state.keys() - own.keys()),
        "of another shape": sorted(k for k in both if own[k].shape != state[k].shape),
        "not finite": sorted(
            k for k, v in state.items() if v.is_floating_point() and not v.isfinite().all()
        ),
    }
    return {what: keys for what, keys in found.items() if keys}


def _few(keys: list[str]) -> str:
    return ", ".join(keys[:5]) + (", ..." if len(keys) > 5 else "")


def save_weights(model: nn.Module, path: str | Path) -> Path:
    """Save a model's state as safetensors, atomically."""
    return save_tensors(model.state_dict(), path)
