"""Tables of a network's layers, read off the live network (Tables 5 to 7 of the paper)."""

import pandas as pd
import torch
from torch import nn


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
