"""Cut a network after a named layer, so that the layers before it run once."""

import difflib
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import fx, nn

from viba_lib.errors import VibaError

Tail = Callable[[torch.Tensor, int], torch.Tensor]


def find_layer(model: nn.Module, name: str) -> nn.Module:
    """Layer by its dotted name.

    Raises
    ------
    VibaError
        No such layer; the error lists near names.
    """
    modules = dict(model.named_modules())
    if name and name in modules:
        return modules[name]
    near = difflib.get_close_matches(name, modules, n=5, cutoff=0.4)
    top = [n for n, _ in model.named_children()]
    raise VibaError(
        f"{type(model).__name__} has no layer {name!r}; expected a dotted name such as "
        f"{', '.join(near or top[:8])}: list them with dict(model.named_modules())"
    )


def device_of(model: nn.Module) -> torch.device:
    """Where a model's weights lie; the CPU where it has none."""
    tensors = itertools.chain(model.parameters(), model.buffers(), [torch.empty(0)])
    return next(tensors).device


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Evaluation mode and no gradients for weights, put back whatever happens."""
    modes = {module: module.training for module in model.modules()}
    wanted = {p: p.requires_grad for p in model.parameters()}
    try:
        model.eval()
        for parameter in wanted:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter, flag in wanted.items():
            parameter.requires_grad_(flag)
        for module, mode in modes.items():
            module.training = mode


class _Tracer(fx.Tracer):
    """Keeps the layer whole and looks into everything else that is not torch's own."""

    def __init__(self, layer: str) -> None:
        super().__init__()
        self.layer = layer

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return module_qualified_name == self.layer or super().is_leaf_module(
            m, module_qualified_name
        )


class CutModel:
    """A model cut after a layer.

    `head(frames)` runs everything up to the layer; `tail(z, repeats)` the rest, from activations
    (T * repeats, C, h, w) in which each frame stands `repeats` times in a row. Where the model
    cannot be traced, a hook on the whole model serves and `traced` is False: right, but slower.
    """

    def __init__(self, model: nn.Module, layer: str) -> None:
        self.model, self.layer = model, layer
        self.module = find_layer(model, layer)
        # In evaluation mode, since tracing turns `self.training` into a constant.
        with frozen(model):
            cut = _split(model, layer)
        self._graphs = cut[:2] if cut is not None else None
        self._per_frame: list[bool] = cut[2] if cut is not None else []
        self._crossing: list[torch.Tensor] = []
        self._frames: torch.Tensor | None = None

    @property
    def traced(self) -> bool:
        """Whether the tail was cut out of the graph."""
        return self._graphs is not None

    def head(self, frames: torch.Tensor) -> torch.Tensor:
        """Activation of the layer (T, C, h, w), a copy that in-place layers cannot change."""
        if self._graphs is not None:
            activation, *crossing = self._graphs[0](frames)
            if self._can_repeat(crossing, len(frames)):
                self._crossing = [c.detach().clone() for c in crossing]
                return _tensor(activation, self.layer)
            self._graphs = None
        self._frames = frames
        kept: list[Any] = []
        # The hook clones: an in-place ReLU after the layer would change what was kept.
        handle = self.module.register_forward_hook(
            lambda _m, _i, out: kept.append(_tensor(out, self.layer))
        )
        try:
            self.model(frames)
        finally:
            handle.remove()
        if not kept:
            raise VibaError(f"layer {self.layer!r} did not run; expected one that the model uses")
        return kept[-1]

    def _can_repeat(self, crossing: list[Any], frames: int) -> bool:
        return all(
            torch.is_tensor(c) and (not per_frame or (c.dim() > 0 and len(c) == frames))
            for c, per_frame in zip(crossing, self._per_frame, strict=True)
        )

    def tail(self, z: torch.Tensor, repeats: int = 1) -> torch.Tensor:
        """Logits (T * repeats, classes) from activations."""
        if self._graphs is not None:
            crossing = [
                c.repeat_interleave(repeats, 0) if per_frame else c
                for c, per_frame in zip(self._crossing, self._per_frame, strict=True)
            ]
            return self._graphs[1](z.clone(), *crossing)
        if self._frames is None:
            raise VibaError("head() must run before tail()")
        handle = self.module.register_forward_hook(lambda _m, _i, _o: z.clone())
        try:
            return self.model(self._frames.repeat_interleave(repeats, 0))
        finally:
            handle.remove()


def _tensor(value: Any, layer: str) -> torch.Tensor:
    if not torch.is_tensor(value) or value.dim() != 4:
        what = f"{tuple(value.shape)}" if torch.is_tensor(value) else type(value).__name__
        raise VibaError(
            f"layer {layer!r} gives {what}; expected one tensor (T, channels, height, width)"
        )
    return value.detach().clone()


def _downstream(graph: fx.Graph, start: set[fx.Node]) -> set[fx.Node]:
    """Nodes that depend on any of `start`, without these."""
    reached = set(start)
    for node in graph.nodes:
        if any(parent in reached for parent in node.all_input_nodes):
            reached.add(node)
    return reached - start


def _split(
    model: nn.Module, layer: str
) -> tuple[fx.GraphModule, fx.GraphModule, list[bool]] | None:
    """Graphs before and after a layer, or None where the model cannot be traced.

    The third part says of each further value that crosses the cut whether it depends on the
    frames, and so must be repeated with them.
    """
    try:
        graph = _Tracer(layer).trace(model)
    except Exception:
        # Tracing fails in many ways (control flow on values, custom types); the hook takes over.
        return None
    places = [n for n in graph.nodes if n.op == "call_module" and n.target == layer]
    if len(places) != 1:
        return None
    place = places[0]
    after = _downstream(graph, {place})
    inputs = {n for n in graph.nodes if n.op == "placeholder"}
    of_frames = inputs | _downstream(graph, inputs)
    crossing = [
        node
        for node in graph.nodes
        if node not in after
        and node is not place
        and node.op != "get_attr"
        and any(user in after for user in node.users)
    ]
    head = _head(model, graph, [place, *crossing])
    tail = _tail(model, graph, place, crossing, after)
    return head, tail, [node in of_frames for node in crossing]


def _head(model: nn.Module, graph: fx.Graph, wanted: list[fx.Node]) -> fx.GraphModule:
    needed, queue = set(wanted), list(wanted)
    while queue:
        for parent in queue.pop().all_input_nodes:
            if parent not in needed:
                needed.add(parent)
                queue.append(parent)
    new = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for node in graph.nodes:
        if node in needed or node.op == "placeholder":
            copies[node] = new.node_copy(node, lambda n: copies[n])
    new.output(tuple(copies[n] for n in wanted))
    return fx.GraphModule(model, new)


def _tail(
    model: nn.Module, graph: fx.Graph, place: fx.Node, crossing: list[fx.Node], after: set[fx.Node]
) -> fx.GraphModule:
    new = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    copies[place] = new.placeholder("z")
    for number, node in enumerate(crossing):
        copies[node] = new.placeholder(f"crossing_{number}")
    for node in graph.nodes:
        constant = node.op == "get_attr" and any(user in after for user in node.users)
        if node in after or constant:
            copies[node] = new.node_copy(node, lambda n: copies[n])
    return fx.GraphModule(model, new)
