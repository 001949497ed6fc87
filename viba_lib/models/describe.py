"""Tables of a network's layers, read off the live network (Tables 5 to 7 of the paper)."""

from collections.abc import Mapping, Sequence

import pandas as pd
import torch
from torch import nn

Row = tuple[str, str, str, dict[str, object]]


# Facts that a table prints of a module, by its type: name in the table and attribute.
FACTS = {
    nn.Conv2d: {"in": "in_channels", "out": "out_channels", "groups": "groups",
                "kernel": "kernel_size", "stride": "stride", "bias": "bias"},
    nn.BatchNorm2d: {"in": "num_features", "out": "num_features", "eps": "eps",
                     "momentum": "momentum"},
    nn.ReLU: {"inplace": "inplace"},
    nn.MaxPool2d: {"kernel": "kernel_size", "stride": "stride", "padding": "padding"},
}  # fmt: skip
DETAILS = ("kernel", "stride", "bias", "eps", "momentum", "inplace")  # of `layer_table`


def _fact(module: nn.Module, attribute: str) -> object:
    value = getattr(module, attribute)
    if attribute == "bias":
        return value is not None
    return value[0] if isinstance(value, tuple) else value


def facts_of(module: nn.Module) -> dict[str, object]:
    """Facts that a table of layers prints of a module, by name."""
    if type(module).__name__ == "SeparableConv2d":
        out = facts_of(module.get_submodule("pointwise"))["out"]
        return facts_of(module.get_submodule("conv1")) | {"out": out}
    if names := FACTS.get(type(module)):
        return {name: _fact(module, attribute) for name, attribute in names.items()}
    known = {nn.Linear: "fully connected", nn.Dropout: "dropout"}
    parts = [known[type(part)] for part in module.modules() if type(part) in known]
    return {"parts": ", ".join(sorted(parts, reverse=True))} if parts else {}


def _detail(module: nn.Module) -> str:
    if isinstance(module, nn.Linear):
        return f"{module.in_features} to {module.out_features}"
    known = isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.ReLU)
    return _text({k: v for k, v in facts_of(module).items() if known and k in DETAILS})


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
    layer, type, output (shape without the batch), parameters, details.
    """
    names = {module: name for name, module in model.get_submodule(inside).named_children()}
    rows: list[dict[str, object]] = []

    def note(m: nn.Module, _inputs: object, output: object) -> None:
        shape = "x".join(map(str, output.shape[1:])) if torch.is_tensor(output) else ""
        count = sum(p.numel() for p in m.parameters())
        rows.append({"layer": names[m], "type": type(m).__name__, "output": shape,
                     "parameters": count, "details": _detail(m)})  # fmt: skip

    handles = [module.register_forward_hook(note) for module in names]
    try:
        with torch.inference_mode():
            device = next(model.parameters()).device
            model(torch.zeros(1, 3, size, size, device=device))
    finally:
        for handle in handles:
            handle.remove()
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
        facts = facts_of(module)
        paper = ", ".join(filter(None, [category, _text(printed)]))
        live = _text({key: facts.get(key) for key in printed})
        here = ", ".join(filter(None, [type(module).__name__, live]))
        found.append({"layer": layer, "paper": paper, "here": here, "agrees": paper == here})
    return pd.DataFrame(found)
