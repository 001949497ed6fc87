"""Tables of a network's layers, read off the live network (Tables 5 to 7 of the paper)."""

from collections.abc import Mapping, Sequence

import pandas as pd
import torch
from torch import nn

Row = tuple[str, str, str, dict[str, object]]


def _detail(module: nn.Module) -> str:
    if isinstance(module, nn.Conv2d):
        kernel, stride = module.kernel_size[0], module.stride[0]
        return f"kernel {kernel}, stride {stride}, bias {module.bias is not None}"
    if isinstance(module, nn.BatchNorm2d):
        return f"eps {module.eps:g}, momentum {module.momentum}"
    if isinstance(module, nn.ReLU):
        return f"inplace {module.inplace}"
    if isinstance(module, nn.Linear):
        return f"{module.in_features} to {module.out_features}"
    return ""


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
    part = model.get_submodule(inside)
    rows: list[dict[str, object]] = []
    handles = []
    for name, module in part.named_children():

        def note(m: nn.Module, _inputs: object, output: object, name: str = name) -> None:
            shape = "x".join(map(str, output.shape[1:])) if torch.is_tensor(output) else ""
            count = sum(p.numel() for p in m.parameters())
            rows.append({"layer": name, "type": type(m).__name__, "output": shape,
                         "parameters": count, "details": _detail(m)})  # fmt: skip

        handles.append(module.register_forward_hook(note))
    try:
        with torch.inference_mode():
            device = next(model.parameters()).device
            model(torch.zeros(1, 3, size, size, device=device))
    finally:
        for handle in handles:
            handle.remove()
    return pd.DataFrame(rows)


def facts_of(module: nn.Module) -> dict[str, object]:
    """What a table of layers prints of a module, by name."""
    if isinstance(module, nn.Conv2d):
        return {"in": module.in_channels, "out": module.out_channels, "groups": module.groups,
                "stride": module.stride[0], "bias": module.bias is not None}  # fmt: skip
    if isinstance(module, nn.BatchNorm2d):
        channels = {"in": module.num_features, "out": module.num_features}
        return channels | {"eps": module.eps, "momentum": module.momentum}
    if isinstance(module, nn.ReLU):
        return {"inplace": module.inplace}
    if isinstance(module, nn.MaxPool2d):
        return {"kernel": module.kernel_size, "stride": module.stride, "padding": module.padding}
    if type(module).__name__ == "SeparableConv2d":
        return facts_of(module.get_submodule("conv1")) | {
            "out": facts_of(module.get_submodule("pointwise"))["out"]
        }
    names = {nn.Linear: "fully connected", nn.Dropout: "dropout"}
    parts = [names[type(part)] for part in module.modules() if type(part) in names]
    return {"parts": ", ".join(sorted(parts, reverse=True))} if parts else {}


def beside_paper(model: nn.Module, rows: Sequence[Row], inside: str = "") -> pd.DataFrame:
    """A table of layers of the paper beside the live network.

    Parameters
    ----------
    rows : layer as the paper prints it, name in the network, type, and what is printed of it, such
        as `evaluation.paper.TABLE_5`
    inside : dotted name of the part that the rows are of; "" = the whole network

    Returns
    -------
    layer (as the paper prints it), paper, here, agrees.
    """
    part = model.get_submodule(inside)
    found = []
    for layer, name, kind, printed in rows:
        module = part.get_submodule(name)
        facts = facts_of(module)
        here = {key: facts.get(key) for key in printed}
        paper = _said(kind, printed)
        live = _said(type(module).__name__, here)
        found.append({"layer": layer, "paper": paper, "here": live, "agrees": paper == live})
    return pd.DataFrame(found)


def _said(kind: str, facts: Mapping[str, object]) -> str:
    said = [f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}"
            for key, value in facts.items() if value is not None]  # fmt: skip
    return ", ".join([kind, *said])
