"""A network's weights among the tensors of a file, found by their names and shapes."""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from itertools import chain
from typing import NamedTuple

import torch
from torch import nn

Tensors = Mapping[str, torch.Tensor]


class Fit(NamedTuple):
    """A part of a file as weights of a network.

    Parameters
    ----------
    prefix : of the names in the file
    state : tensors under the names of the network
    names : by names of the network, the names in the file; without what is the network's own
    problems : names of the network that do not fit, by their problem
    one_logit : whether the classifier in the file has one logit, for the second of two classes
    """

    prefix: str
    state: dict[str, torch.Tensor]
    names: dict[str, str]
    problems: dict[str, list[str]]
    one_logit: bool


def tensors_of(content: object) -> dict[str, torch.Tensor]:
    """All tensors that have a name, however nested; names of several levels are joined by dots."""
    found: dict[str, torch.Tensor] = {}
    # A stack, and what was seen: a file may nest without end, or contain itself.
    seen, left = set(), [("", content)]
    while left:
        name, value = left.pop()
        if torch.is_tensor(value) and not value.is_meta and value.layout == torch.strided:
            found[name] = value
        elif isinstance(value, (Mapping, list, tuple)) and id(value) not in seen:
            seen.add(id(value))
            items = value.items() if isinstance(value, Mapping) else enumerate(value)
            # A number alone names no tensor.
            inside = [(k, v) for k, v in items if isinstance(k, str) or not torch.is_tensor(v)]
            left += [(f"{name}.{k}" if name else str(k), v) for k, v in reversed(inside)]
    return found


def classifier_of(model: nn.Module) -> str | None:
    """Name of a network's last linear layer, if there is one."""
    linear = [name for name, part in model.named_modules() if isinstance(part, nn.Linear)]
    return linear[-1] if linear else None


def fits(model: nn.Module, given: Tensors, adapt_classifier: bool = False) -> list[Fit]:
    """All parts of a file that fit a network, or else the nearest one with its problems.

    - Names may have any prefix, and wrappers' attributes within them (DataParallel, torch.compile).
    - The classifier may have another name; it is then a linear layer with as many inputs. That of a
      single logit z, of the second class, becomes the two logits [0, z].
    - Dimensions of size 1 at the end of a shape may be missing, as those of the pointwise
      convolutions in the ImageNet file of pretrained-models.pytorch.
    - Counters of batch norm, which files of PyTorch before 0.4.1 lack, are the network's own.

    Parameters
    ----------
    given : tensors by their names in the file
    adapt_classifier : a classifier that is missing, or for other classes, is the network's own
    """
    own = {k: v for k, v in model.state_dict().items() if torch.is_tensor(v)}
    full = {short: name for name, short in _unwrapped(own, given).items()}
    short = _unwrapped(given, own)
    below: dict[str, dict[str, str]] = defaultdict(dict)
    for name, brief in short.items():
        parts = brief.split(".")
        for depth in range(len(parts)):
            if key := full.get(".".join(parts[depth:])):
                below[".".join(parts[:depth])][key] = name
    layer = classifier_of(model)
    head = [k for k in (f"{layer}.weight", f"{layer}.bias") if {k, f"{layer}.weight"} <= own.keys()]
    # A classifier below the prefix of its network comes before one elsewhere, and one of the file
    # before the network's own.
    for anywhere, adapt in ((False, False), (True, False), (True, adapt_classifier)):
        tried = []
        for prefix, names in (below or {"": {}}).items():
            if not names.keys() >= set(head):
                start = "" if anywhere or not prefix else f"{prefix}."
                inside = {name for name, brief in short.items() if brief.startswith(start)}
                names = names | _renamed(head, own, given, inside - set(names.values()))
            tried.append(_fit(prefix, names, own, given, head, adapt))
        if whole := [fit for fit in tried if not fit.problems]:
            return whole
    return [min(tried, key=lambda fit: sum(map(len, fit.problems.values())))]


def _unwrapped(names: Iterable[str], others: Iterable[str]) -> dict[str, str]:
    """Names without the attributes of wrappers: single children that the others do not know."""
    known = {part for name in others for part in name.split(".")}
    children = defaultdict(set)
    paths = {name: name.split(".") for name in names}
    for parts in paths.values():
        for depth, part in enumerate([*parts, ""]):
            children[tuple(parts[:depth])].add(part)
    return {
        name: ".".join(
            part
            for depth, part in enumerate(parts)
            if part in known or depth == len(parts) - 1 or len(children[tuple(parts[:depth])]) > 1
        )
        for name, parts in paths.items()
    }


def _renamed(
    head: list[str], own: Tensors, given: Tensors, inside: Collection[str]
) -> dict[str, str]:
    """Names in the file of a classifier with another name, if only one layer can be meant."""
    if not head:
        return {}
    classes, inputs = own[head[0]].shape
    rows = defaultdict(list)
    for name in inside:
        stem, _, kind = name.rpartition(".")
        if kind == "weight" and given[name].shape[1:] == (inputs,):
            rows[len(given[name])].append(stem)
    # One for these classes, one of a single logit, or one for others, which is then reported.
    for stems in (rows[classes], rows[1], list(chain(*rows.values()))):
        if stems:
            found = {key: f"{stems[0]}.{key.rpartition('.')[2]}" for key in head}
            return {k: n for k, n in found.items() if n in given} if len(stems) == 1 else {}
    return {}


def _shaped(value: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """A tensor with as many dimensions of size 1 at the end as the network's own."""
    ones = (1,) * abs(value.ndim - own.ndim)
    same = own.shape == value.shape + ones or value.shape == own.shape + ones
    return value.reshape(own.shape) if same else value


def _fit(
    prefix: str, names: dict[str, str], own: Tensors, given: Tensors, head: list[str], adapt: bool
) -> Fit:
    state = {key: _shaped(given[name], own[key]) for key, name in names.items()}
    single = [k for k in head if k in state and len(own[k]) == 2 and state[k].shape[:1] == (1,)]
    state |= {key: torch.cat([torch.zeros_like(state[key]), state[key]]) for key in single}
    if adapt and any(k not in state or state[k].shape != own[k].shape for k in head):
        state |= {key: own[key] for key in head}
    counters = {k: v for k, v in own.items() if k.endswith("num_batches_tracked")}
    state = counters | state
    return Fit(prefix, state, names, _misfits(state, own), bool(single))


def _misfits(state: Tensors, own: Tensors) -> dict[str, list[str]]:
    """Names that do not fit, with what was given and expected, by their problem."""
    both = {k: (state[k], own[k]) for k in sorted(own.keys() & state.keys())}
    found = {
        "missing": sorted(own.keys() - state.keys()),
        "of another shape": [
            f"{k} {'x'.join(map(str, a.shape))}, expected {'x'.join(map(str, b.shape))}"
            for k, (a, b) in both.items()
            if a.shape != b.shape
        ],
        "of another type": [
            f"{k} {str(a.dtype)[6:]}, expected {str(b.dtype)[6:]}"
            for k, (a, b) in both.items()
            if b.is_floating_point() > a.is_floating_point()
        ],
    }
    return {what: keys for what, keys in found.items() if keys}


def is_average(prefix: str) -> bool:
    """Whether a prefix is that of an exponential moving average of weights."""
    return "ema" in re.split(r"[._]", prefix.lower())


def left_over(given: Collection[str], used: Collection[str]) -> list[str]:
    """What of a file is not used: the names above tensors, with the number of these."""
    above = {name[: dot.start()] for name in used for dot in re.finditer(r"\.", name)}
    groups: Counter[str] = Counter()
    for name in given:
        if name not in used:
            ends = [dot.start() for dot in re.finditer(r"\.", name)] + [len(name)]
            groups[next(name[:end] for end in ends if name[:end] not in above)] += 1
    return [f"{name} ({count} tensors)" if count > 1 else name for name, count in groups.items()]
