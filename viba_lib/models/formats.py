"""Translation of weights files of other libraries into the names of this one."""

import re
from collections.abc import Mapping

import torch
from torch import nn

# A checkpoint may keep the weights beside an optimiser and an epoch.
INSIDE = ("state_dict", "model_state_dict", "model", "net")
# Wrappers put an attribute's name before each key: DataParallel, and classes that hold a network.
WRAPPERS = re.compile(r"^(?:(?:module|model|net)\.)+")
CLASSIFIER = re.compile(r"^(?:last_linear|fc|classifier)(?:\.\d+)?\.(weight|bias)$")


def inner_state(content: object) -> object:
    """The state dict inside a checkpoint, or the content itself if there is none."""
    for name in INSIDE:
        inner = content.get(name) if isinstance(content, Mapping) else None
        if isinstance(inner, Mapping):
            return inner
    return content


def classifier_of(model: nn.Module) -> str:
    """Name of a network's last linear layer."""
    return [name for name, part in model.named_modules() if isinstance(part, nn.Linear)][-1]


def to_names_of(model: nn.Module, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A state dict under the names and shapes of a network.

    - Prefixes of wrappers are removed, in any number.
    - The classifier may be called `fc`, `last_linear` or `classifier`, and be the linear layer of
      a Sequential with dropout; if there are several linear layers, names stay.
    - Pointwise convolutions may be matrices, as in the ImageNet file of pretrained-models.pytorch.
    - Counters of batch norm, which files of PyTorch before 0.4.1 lack, are the network's own.
    """
    own = model.state_dict()
    # The network may have such an attribute itself.
    names = {WRAPPERS.sub("", key): key for key in own}
    bare = {key: WRAPPERS.sub("", key) for key in state if key not in own}
    found = {names.get(bare[k], bare[k]) if k in bare else k: v for k, v in state.items()}
    heads = [key for key in found if CLASSIFIER.match(key)]
    if len(heads) <= 2:
        for key in heads:
            kind = key.rpartition(".")[2]
            found[f"{classifier_of(model)}.{kind}"] = found.pop(key)
    for key, value in found.items():
        if key in own and value.ndim == 2 and own[key].ndim == 4:
            found[key] = value[:, :, None, None]
    counters = {k: v for k, v in own.items() if k.endswith("num_batches_tracked")}
    return {k: v for k, v in counters.items() if k not in found} | found
