"""A faster copy of a tail: folded batch norms, weights cast to its precision once."""

import copy

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def lean_tail(tail: fx.GraphModule, dtype: torch.dtype | None = None) -> fx.GraphModule:
    """Copy of a tail that computes the same with fewer operations.

    A batch norm in evaluation mode is an affine map, so it is folded into the convolution before
    it. Weights of convolutions and linear layers are cast once instead of in each pass.

    Parameters
    ----------
    tail : graph in evaluation mode; it is not changed
    dtype : precision of the weights; None = as they are
    """
    lean = copy.deepcopy(tail).eval()
    modules = dict(lean.named_modules())
    for node in list(lean.graph.nodes):
        norm = modules.get(str(node.target)) if node.op == "call_module" else None
        if not isinstance(norm, NORMS) or norm.running_mean is None:
            continue
        before = node.args[0]
        conv = modules.get(str(before.target)) if before.op == "call_module" else None
        alone = len(before.users) == 1 and _calls(lean, before) == 1 and _calls(lean, node) == 1
        if not isinstance(conv, CONVOLUTIONS) or not alone:
            continue
        lean.set_submodule(str(before.target), fuse_conv_bn_eval(conv, norm))
        node.replace_all_uses_with(before)
        lean.graph.erase_node(node)
    lean.recompile()
    if dtype is not None:
        for module in lean.modules():
            if isinstance(module, (*CONVOLUTIONS, nn.Linear)):
                module.to(dtype)
    return lean.requires_grad_(False)


def _calls(graph: fx.GraphModule, node: fx.Node) -> int:
    return sum(n.op == "call_module" and n.target == node.target for n in graph.graph.nodes)
