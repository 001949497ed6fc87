"""Tables of a network's layers, read off the live network (Tables 5 to 7 of the paper)."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack

import pandas as pd
import torch
from torch import nn

from viba_lib.bottleneck.classifier import device_of
from viba_lib.bottleneck.split import hooked

Row = tuple[str, str, str, dict[str, object]]


# Attributes of a module by the names of Tables 5 to 7, if these differ; the first one counts.
ATTRIBUTES = {
    "in": ("in_channels", "num_features"),
    "out": ("out_channels", "num_features"),
    "kernel": ("kernel_size",),
}
PARTS = {nn.Linear: "fully connected", nn.Dropout: "dropout"}


def fact_of(module: nn.Module, name: str) -> object:
    """A fact about a module that a table of the paper prints, such as "kernel"; None if absent."""
    if name == "parts":
        found = [PARTS[type(part)] for part in module.modules() if type(part) in PARTS]
        return ", ".join(sorted(found, reverse=True))
    if type(module).__name__ == "SeparableConv2d":
        module = module.get_submodule("pointwise" if name == "out" else "conv1")
    values = (getattr(module, key, None) for key in ATTRIBUTES.get(name, (name,)))
    value = next((value for value in values if value is not None), None)
    if name == "bias":
        return value is not None
    return value[0] if isinstance(value, tuple) else value


def _text(facts: Mapping[str, object]) -> str:
    """Facts such as "eps 1e-05, momentum 0.1"; those without a value are left out."""
    return ", ".join(
        f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in facts.items()
        if value is not None
    )


def layer_table(model: nn.Module, size: int, inside: str = "") -> pd.DataFrame:
    """Layers of a network, or of a part of it, in the order in which they run.

    Parameters
    ----------
    size : side of the square input in pixels
    inside : dotted name of a part; "" = the whole network

    Returns
    -------
    layer, type, output (shape without the batch), parameters, details (as torch prints them).
    """
    names = {module: name for name, module in model.get_submodule(inside).named_children()}
    rows: list[dict[str, object]] = []

    def note(m: nn.Module, _inputs: object, output: object) -> None:
        shape = "x".join(map(str, output.shape[1:])) if torch.is_tensor(output) else ""
        count = sum(p.numel() for p in m.parameters())
        row = {"layer": names[m], "type": type(m).__name__, "output": shape, "parameters": count}
        rows.append(row | {"details": m.extra_repr()})

    with ExitStack() as hooks, torch.inference_mode():
        for module in names:
            hooks.enter_context(hooked(module, note))
        model(torch.zeros(1, 3, size, size, device=device_of(model)))
    return pd.DataFrame(rows)


def beside_paper(model: nn.Module, rows: Sequence[Row], inside: str = "") -> pd.DataFrame:
    """Compare a table of layers of the paper with the live network.

    Parameters
    ----------
    rows : layer as the paper prints it, name in the network, type, and the printed facts, such as
        `experiments.paper_numbers.TABLE_5`
    inside : dotted name of the part that the rows describe; "" = the whole network

    Returns
    -------
    layer (as the paper prints it), paper, here, agrees.
    """
    part = model.get_submodule(inside)
    found = []
    for layer, name, category, printed in rows:
        module = part.get_submodule(name)
        paper = ", ".join(filter(None, [category, _text(printed)]))
        live = _text({key: fact_of(module, key) for key in printed})
        here = ", ".join(filter(None, [type(module).__name__, live]))
        found.append({"layer": layer, "paper": paper, "here": here, "agrees": paper == here})
    return pd.DataFrame(found)
