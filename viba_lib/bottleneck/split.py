"""Split a model after a named layer, so that the layers up to it run once."""

import difflib
import inspect
import itertools
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import torch
from torch import fx, nn

from viba_lib.bottleneck.fold import lean
from viba_lib.bottleneck.precision import autocast, choose, dtype_of
from viba_lib.core.errors import VibaError

log = logging.getLogger(__name__)


def find_layer(model: nn.Module, name: str) -> nn.Module:
    """Layer by its dotted name.

    Raises
    ------
    VibaError
        No such layer; the error lists similar names.
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
    """Device of a model's weights; the CPU if it has none.

    Raises
    ------
    VibaError
        The weights are on several devices, or on "meta", which keeps no values.
    """
    tensors = itertools.chain(model.parameters(), model.buffers())
    devices = list(dict.fromkeys(t.device for t in tensors)) or [torch.device("cpu")]
    if len(devices) > 1 or devices[0].type == "meta":
        names = " and ".join(str(d) for d in devices)
        raise VibaError(
            f"the weights of {type(model).__name__} are on {names}; expected one device with "
            'values: load the weights, then move the model with model.to("cpu") or another'
        )
    return devices[0]


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients of weights; both are restored, also after an error."""
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


@contextmanager
def hooked(module: nn.Module, hook: Callable[..., torch.Tensor | None]) -> Iterator[None]:
    """A forward hook that is removed afterwards, also after an error."""
    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


class _Tracer(fx.Tracer):
    """Traces into every module except the layer and those of torch."""

    def __init__(self, layer: str) -> None:
        super().__init__()
        self.layer = layer

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return module_qualified_name == self.layer or super().is_leaf_module(
            m, module_qualified_name
        )


@dataclass(frozen=True)
class TailContext:
    """What the tail needs of the inputs in addition to the layer's activation.

    crossing : values that cross the cut, such as skip connections
    per_input : for each of them, whether it grows with the number of inputs
    inputs, runs : used instead if the graph is not cut: the inputs themselves, and how often the
        layer ran
    """

    crossing: tuple[Any, ...] = ()
    per_input: tuple[bool, ...] = ()
    inputs: torch.Tensor | None = None
    runs: int = 0

    def repeat(self, repeats: int) -> "TailContext":
        """The context in which each input occurs `repeats` times in a row."""

        def repeated(value: Any) -> Any:
            if torch.is_tensor(value):
                return value.repeat_interleave(repeats, 0)
            return value * repeats  # a number that grows with the inputs counts them

        crossing = zip(self.crossing, self.per_input, strict=True)
        return replace(
            self,
            crossing=tuple(repeated(value) if grows else value for value, grows in crossing),
            inputs=None if self.inputs is None else repeated(self.inputs),
        )


Head = Callable[[torch.Tensor], tuple[torch.Tensor, TailContext]]
Tail = Callable[[torch.Tensor, TailContext, int], torch.Tensor]


class SplitModel:
    """A model split after a layer.

    `head(inputs)` runs everything up to the layer and gives its activation and the context that
    the tail needs; `tail(z, context, repeats)` runs the rest, from activations in which each input
    occurs `repeats` times in a row. The graph is cut if the model can be traced and if both parts
    together give, on the first input, what the model gives. Otherwise a hook on the complete
    model is used and `traced` is False: correct, but slower. The log gives the reason.
    """

    def __init__(self, model: nn.Module, layer: str) -> None:
        self.model, self.layer = model, layer
        self.module = find_layer(model, layer)
        self._graphs: tuple[fx.GraphModule, fx.GraphModule] | None = None
        self._per_input: tuple[bool, ...] | None = None  # None = not checked yet
        self._copied: list[tuple[float, ...]] = []  # see _fingerprint
        self._copies: dict[tuple[str, torch.dtype | None], nn.Module] = {}
        try:
            # In evaluation mode, since tracing turns `self.training` into a constant.
            with frozen(model):
                self._graphs = _cut_graph(model, layer)
        except Exception as error:
            # Tracing fails in many ways (control flow on values, custom types).
            self._fall_back(f"it cannot be traced ({error})")

    @property
    def traced(self) -> bool:
        """Whether the tail was cut out of the graph."""
        return self._graphs is not None

    def head(self, inputs: torch.Tensor) -> tuple[torch.Tensor, TailContext]:
        """Activation of the layer, a copy that in-place layers cannot change, and its context.

        Parameters
        ----------
        inputs : (N, 3, H, W), (N, 3, T, H, W) or whatever the model takes

        Returns
        -------
        (N, ...) with 3 to 5 axes: tokens, or maps over space or over time and space; and what
        `tail` needs of the inputs in addition.

        Raises
        ------
        VibaError
            The layer gives something else, or did not run.
        """
        if self._graphs is not None and self._per_input is None:
            self._check(inputs[:1])
        if self._graphs is None or self._per_input is None:
            return self._watch(inputs)
        return self._run_head(self._graphs[0], inputs)

    def prepare_head(self) -> Head:
        """`head` for many inputs: with folded batch norms."""
        lean_graph = self._lean("head")

        def head(inputs: torch.Tensor) -> tuple[torch.Tensor, TailContext]:
            # Checked before: the first call must not round in another way than those after it.
            if self._graphs is not None and self._per_input is None:
                self._check(inputs[:1])
            if lean_graph is None or self._graphs is None:
                return self.head(inputs)
            return self._run_head(lean_graph, inputs)

        return head

    def _lean(self, part: str, dtype: torch.dtype | None = None) -> nn.Module | None:
        """Lean copy of the head or tail, made again when the weights have changed; None if uncut.

        A copy takes as long as some passes, and a video is explained in many calls.
        """
        if self._graphs is None:
            return None
        weights = _fingerprint(self.model)
        if weights != self._copied:
            self._copied, self._copies = weights, {}
        if (part, dtype) not in self._copies:
            graph = self._graphs[part == "tail"]
            if part == "head":
                # The layer is a leaf in it; what cannot be traced inside it stays as it is.
                with suppress(Exception), frozen(self.model):
                    graph = fx.GraphModule(graph, fx.Tracer().trace(graph))
            self._copies[part, dtype] = lean(graph, dtype)
        return self._copies[part, dtype]

    def _run_head(self, graph: nn.Module, inputs: torch.Tensor) -> tuple[torch.Tensor, TailContext]:
        activation, *crossing = graph(inputs)
        kept = tuple(c.detach().clone() if torch.is_tensor(c) else c for c in crossing)
        return self.copy(activation, len(inputs)), TailContext(kept, self._per_input or ())

    def tail(self, z: torch.Tensor, context: TailContext, repeats: int = 1) -> torch.Tensor:
        """Logits (N * repeats, classes) from activations (N * repeats, ...)."""
        context = context.repeat(repeats)
        if context.inputs is None:
            assert self._graphs is not None
            return _logits(self._graphs[1](z.clone(), *context.crossing))
        runs = itertools.count(1)
        # Only in the run whose output head() gave: a layer may be used several times.
        with hooked(
            self.module, lambda _m, _i, _o: z.clone() if next(runs) == context.runs else None
        ):
            return _logits(self.model(context.inputs))

    def choose_precision(self, precision: str, frames: torch.Tensor) -> str:
        """The name of a precision; for "auto", the one in which the tail is faster here.

        Parameters
        ----------
        frames : (N, ...) as the model takes them, of which one is used
        """
        device = device_of(self.model)
        # Made when asked for: usually, the answer is known.
        prepared = cache(self.prepare)
        activation = cache(lambda: self.head(frames[:1].to(device)))

        def forward_and_backward(name: str) -> None:
            with frozen(self.model):
                with torch.no_grad():
                    r, context = activation()
                z = r.requires_grad_().clone()  # a layer in place may not change a leaf
                prepared(name)(z, context, 1).sum().backward()

        work = f"{type(self.model).__name__} after {self.layer}, {tuple(frames.shape[1:])}"
        return choose(precision, work, forward_and_backward, device)

    def prepare(self, precision: str = "float32") -> Tail:
        """The tail for many passes: with folded batch norms, in another precision.

        Parameters
        ----------
        precision : of the layers after the cut; "float32" leaves that of the model

        Returns
        -------
        Function like `tail` that in-place layers may change the activations of; logits in float32.
        """
        dtype = dtype_of(precision)
        run = self._lean("tail", dtype)

        def tail(z: torch.Tensor, context: TailContext, repeats: int = 1) -> torch.Tensor:
            with autocast(z.device, precision):
                # The first head() may have given up the cut since.
                if run is None or context.inputs is not None:
                    return self.tail(z, context, repeats).float()
                # Cast here: skip connections would carry the wider type through all that follows.
                crossing = context.repeat(repeats).crossing
                return _logits(run(z.to(dtype or z.dtype), *crossing)).float()

        return tail

    def _watch(self, inputs: torch.Tensor) -> tuple[torch.Tensor, TailContext]:
        """The layer's last output while the complete model runs."""
        outputs = watch([self], inputs)[self.layer]
        return outputs[-1], TailContext(inputs=inputs, runs=len(outputs))

    def _check(self, item: torch.Tensor) -> None:
        """Keep the cut only if it gives what the complete model gives, for one input, twice."""
        try:
            with frozen(self.model), torch.no_grad():
                result = self._compare(item)
        except VibaError:
            raise
        except Exception as error:
            result = f"its parts do not run alone ({error})"
        if isinstance(result, str):
            self._fall_back(result)
        else:
            self._per_input = result

    def _compare(self, item: torch.Tensor) -> tuple[bool, ...] | str:
        """Which values that cross the cut grow with the batch; or why the cut is not usable."""
        assert self._graphs is not None
        head, tail = self._graphs
        pair = torch.cat([item, item])
        r, *crossing = head(pair)
        r, crossing = self.copy(r, 2), [c.clone() if torch.is_tensor(c) else c for c in crossing]
        # A batch of one and one of two show what a trace took for a constant.
        single = head(item)[1:] if crossing else []
        per_input = [_grows(one, two) for one, two in zip(single, crossing, strict=True)]
        if None in per_input:
            return "a value crosses the cut that cannot be repeated with the inputs"
        found, wanted = _logits(tail(r, *crossing)), _logits(self.model(pair))
        if found.shape != wanted.shape:
            return f"its parts give {tuple(found.shape)}, the model {tuple(wanted.shape)}"
        if not same_up_to_rounding(found, wanted):
            return "its parts give other values than the model"
        return tuple(bool(grows) for grows in per_input)

    def _fall_back(self, reason: str) -> None:
        self._graphs = None
        log.info(
            "%s runs completely in each step, with a hook on %r: %s",
            type(self.model).__name__,
            self.layer,
            reason,
        )

    def copy(self, value: Any, inputs: int) -> torch.Tensor:
        """The layer's output, detached and copied; an error if it is not a map."""
        if torch.is_tensor(value) and 3 <= value.dim() <= 5 and len(value) == inputs:
            return value.detach().clone()
        if torch.is_tensor(value):
            what = f"a tensor {tuple(value.shape)}"
        else:
            parts = f" of {len(value)}" if isinstance(value, tuple | list | dict) else ""
            what = f"a {type(value).__name__}{parts}"
        inside = [f"{self.layer}.{name}" for name, _ in self.module.named_children()][:4]
        around = self.layer.rpartition(".")[0]
        others = inside + ([f"{around} around it"] if around else [])
        raise VibaError(
            f"layer {self.layer!r} gives {what} for {inputs} inputs; expected one tensor of 3 to 5 "
            "axes, one row per input: tokens (N, L, C) or maps (N, C, h, w), (N, C, t, h, w). "
            f"Choose another layer: {', '.join(others) or 'list them with named_modules()'}"
        )


def watch(splits: Sequence[SplitModel], inputs: torch.Tensor) -> dict[str, list[torch.Tensor]]:
    """Outputs of layers while the complete model runs once; of each, one for each of its runs.

    Raises
    ------
    VibaError
        A layer gives something else than a map, or did not run.
    """
    outputs: dict[str, list[torch.Tensor]] = {split.layer: [] for split in splits}

    def store(split: SplitModel, _module: nn.Module, _inputs: Any, output: Any) -> None:
        # A copy: an in-place ReLU after the layer would change the output.
        outputs[split.layer].append(split.copy(output, len(inputs)))

    with ExitStack() as hooks:
        for split in splits:
            hooks.enter_context(hooked(split.module, partial(store, split)))
        splits[0].model(inputs)
    for layer, found in outputs.items():
        if not found:
            raise VibaError(
                f"layer {layer!r} did not run; expected one that the model calls: choose the "
                "layer that contains it"
            )
    return outputs


def _fingerprint(model: nn.Module) -> list[tuple[float, ...]]:
    """Numbers that change when weights or hooks do.

    Of weights, their versions, and sums, since a change of `.data` changes no version.
    """
    hooks = [(*m._forward_hooks, *m._forward_pre_hooks) for m in model.modules()]
    tensors = [t.detach() for t in itertools.chain(model.parameters(), model.buffers())]
    versions = [0 if t.is_inference() else t._version for t in tensors]
    # A slice is enough: weights are rarely changed one by one, and all would take long to read.
    sums = [(t.select(-1, 0) if t.dim() else t).double().sum().cpu() for t in tensors]
    return [*hooks, *zip(versions, map(float, sums), strict=True)]


def same_up_to_rounding(found: torch.Tensor, wanted: torch.Tensor) -> bool:
    """Whether logits of the same operations on the same batch agree but for fast kernels."""
    near = float(wanted.abs().max()) * max(1e-3, torch.finfo(wanted.dtype).eps ** 0.5)
    return torch.allclose(found, wanted, rtol=0, atol=near)


def _logits(value: Any) -> torch.Tensor:
    if not torch.is_tensor(value) or value.dim() != 2:
        what = f"{tuple(value.shape)}" if torch.is_tensor(value) else f"a {type(value).__name__}"
        raise VibaError(
            f"the model gives {what}; expected logits (N, classes): wrap it in a module that "
            "returns these alone"
        )
    return value


def _grows(one: Any, two: Any) -> bool | None:
    """Whether a value grows with the batch, from batches of 1 and 2; None if neither fits."""
    if torch.is_tensor(one) and torch.is_tensor(two):
        if one.shape == two.shape:
            return False
        rows = one.dim() > 0 and (len(one), len(two)) == (1, 2) and one.shape[1:] == two.shape[1:]
        return True if rows else None
    if type(one) is not type(two) or torch.is_tensor(one):
        return None
    if one == two:
        return False
    return True if (one, two) == (1, 2) else None  # the size of the batch


def _cut_graph(model: nn.Module, layer: str) -> tuple[fx.GraphModule, fx.GraphModule]:
    """Graphs before and after a layer.

    The first gives the layer's output and each further value that crosses the cut; the second
    takes these in the same order. Raises if the model cannot be traced or cut.
    """
    # Optional arguments keep their defaults: as unknowns, `if mask is not None` would hold.
    names = inspect.signature(model.forward).parameters.values()
    defaults = {p.name: p.default for p in names if p.default is not p.empty}
    graph = _Tracer(layer).trace(model, defaults)
    calls = [n for n in graph.nodes if n.op == "call_module" and n.target == layer]
    if len(calls) != 1:
        raise ValueError(f"the layer is used {len(calls)} times")
    # Nodes are in the order of execution, so one pass finds what depends on the layer.
    after: set[fx.Node] = set()
    for node in graph.nodes:
        if any(parent is calls[0] or parent in after for parent in node.all_input_nodes):
            after.add(node)
    outside = [n for n in graph.nodes if n not in after and any(user in after for user in n.users)]
    constants = {n for n in outside if n.op == "get_attr"}
    crossing = [n for n in outside if n not in constants and n is not calls[0]]
    before = {n for n in graph.nodes if n.op == "placeholder"} | {calls[0], *crossing}
    for node in reversed(graph.nodes):
        if node in before:
            before.update(node.all_input_nodes)
    head = _subgraph(model, graph, before, outputs=[calls[0], *crossing])
    return head, _subgraph(model, graph, after | constants, inputs=[calls[0], *crossing])


def _subgraph(
    model: nn.Module,
    graph: fx.Graph,
    nodes: set[fx.Node],
    inputs: Sequence[fx.Node] = (),
    outputs: Sequence[fx.Node] = (),
) -> fx.GraphModule:
    """Some nodes of a graph; `inputs` become its arguments, `outputs` its result."""
    new = fx.Graph()
    copies = {node: new.placeholder(f"value_{number}") for number, node in enumerate(inputs)}
    for node in graph.nodes:
        if node in nodes:
            copies[node] = new.node_copy(node, lambda n: copies[n])
    if outputs:
        new.output(tuple(copies[n] for n in outputs))
    return fx.GraphModule(model, new)
