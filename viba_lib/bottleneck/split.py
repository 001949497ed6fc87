"""Split a model after a named layer, so that the layers up to it run once."""

import difflib
import inspect
import itertools
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import torch
from torch import fx, nn

from viba_lib.bottleneck.classifier import class_logits, device_of, input_size, plain_torch
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
    around = [modules[""], *(modules.get(name[:i]) for i, c in enumerate(name) if c == ".")]
    if any(isinstance(module, torch.jit.ScriptModule) for module in around):
        raise VibaError(
            f"layer {name!r} is inside a TorchScript module, which runs without hooks; expected a "
            "model of plain modules: give the one that was scripted or traced"
        )
    if name and name in modules:
        return modules[name]
    near = difflib.get_close_matches(name, modules, n=5, cutoff=0.4)
    top = [n for n, _ in model.named_children()]
    raise VibaError(
        f"{type(model).__name__} has no layer {name!r}; expected a dotted name such as "
        f"{', '.join(near or top[:8])}: list them with dict(model.named_modules())"
    )


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients of weights; both are restored, also after an error.

    Gradients, inference mode and autocast are those of `plain_torch`.
    """
    modes = {module: module.training for module in model.modules()}
    wanted = {p: p.requires_grad for p in model.parameters() if not p.is_inference()}
    try:
        model.eval()
        for parameter in wanted:
            parameter.requires_grad_(False)
        with ExitStack() as state:
            state.enter_context(plain_torch())
            if any(isinstance(module, nn.RNNBase) for module in modes):
                # cuDNN has no gradient of recurrent layers in evaluation mode.
                state.enter_context(torch.backends.cudnn.flags(enabled=False))
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
    dtype : of the layer's output; None = that of the activations given
    """

    crossing: tuple[Any, ...] = ()
    per_input: tuple[bool, ...] = ()
    inputs: torch.Tensor | None = None
    runs: int = 0
    dtype: torch.dtype | None = None

    def first(self, count: int) -> "TailContext":
        """The context of the first inputs; of a graph that is cut."""
        crossing = zip(self.crossing, self.per_input, strict=True)
        firsts = (
            (value[:count] if torch.is_tensor(value) else count) if grows else value
            for value, grows in crossing
        )
        return replace(self, crossing=tuple(firsts))

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

    A layer that sees the frames of clips one by one, in rows (N * T, C, h, w) or in several runs,
    has the activation (N, C, T, h, w); `time_first` is then the order of its rows, otherwise None.
    """

    def __init__(self, model: nn.Module, layer: str) -> None:
        self.model, self.layer = model, layer
        self.module = find_layer(model, layer)
        self.time_first: bool | None = None
        self._graphs: tuple[fx.GraphModule, fx.GraphModule] | None = None
        self._per_input: tuple[bool, ...] = ()
        self._checked = False
        self._copied: list[tuple[float, ...]] = []  # see _fingerprint
        self._copies: dict[tuple[str, torch.dtype | None], nn.Module | None] = {}
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
        self._check(inputs[:1])
        if self._graphs is None:
            return self._watch(inputs)
        return self._run_head(self._graphs[0], inputs)

    def prepare_head(self) -> Head:
        """`head` for many inputs: with folded batch norms."""
        found: list[nn.Module | None] = []

        def head(inputs: torch.Tensor) -> tuple[torch.Tensor, TailContext]:
            # Checked before: the first call must not round in another way than those after it.
            self._check(inputs[:1])
            if not found:
                found.append(self._lean("head", partial(self._same_head, inputs[:2])))
            if found[0] is None or self._graphs is None:
                return self.head(inputs)
            return self._run_head(found[0], inputs)

        return head

    def _lean(
        self, part: str, same: Callable[[nn.Module], bool], dtype: torch.dtype | None = None
    ) -> nn.Module | None:
        """Lean copy of the head or tail, made again when weights have changed; None if unusable.

        A copy takes as long as some passes, and a video is explained in many calls.

        Parameters
        ----------
        same : whether a copy gives the logits of the model
        """
        if self._graphs is None:
            return None
        weights = _fingerprint(self.model)
        if weights != self._copied:
            self._copied, self._copies = weights, {}
        if (part, dtype) not in self._copies:
            with frozen(self.model), torch.no_grad():
                self._copies[part, dtype] = self._compared(part, same, dtype)
        return self._copies[part, dtype]

    def _compared(
        self, part: str, same: Callable[[nn.Module], bool], dtype: torch.dtype | None
    ) -> nn.Module | None:
        assert self._graphs is not None
        graph, name = self._graphs[part == "tail"], f"{type(self.model).__name__} at {self.layer!r}"
        try:
            if part == "head":
                # The layer is a leaf in it; what cannot be traced inside it stays as it is.
                with suppress(Exception):
                    graph = fx.GraphModule(graph, fx.Tracer().trace(graph))
            found = lean(graph, dtype)
            if same(found):
                return found
        except Exception as error:
            # Weights may be computed by hooks, parametrisations or code that a copy does not have.
            log.info("the %s of %s is not rewritten: %s", part, name, error)
            return None
        warnings.warn(
            f"the {part} of {name}, rewritten to be faster, gives other logits than the model; "
            "the original is used, which is slower",
            stacklevel=2,
        )
        return None

    def _same_head(self, inputs: torch.Tensor, graph: nn.Module) -> bool:
        r, context = self._run_head(graph, inputs)
        return agree(
            lambda: self.tail(r, context),
            lambda: class_logits(self.model(inputs), len(inputs)),
            inputs.device,
        )

    def _run_head(self, graph: nn.Module, inputs: torch.Tensor) -> tuple[torch.Tensor, TailContext]:
        activation, *crossing = graph(inputs)
        kept = tuple(c.detach().clone() if torch.is_tensor(c) else c for c in crossing)
        r = self.units([_copy(activation)], inputs)
        return r, TailContext(kept, self._per_input, dtype=r.dtype)

    def tail(self, z: torch.Tensor, context: TailContext, repeats: int = 1) -> torch.Tensor:
        """Logits (N * repeats, classes) from activations (N * repeats, ...)."""
        context = context.repeat(repeats)
        rows = self._rows(z.to(context.dtype or z.dtype))
        if context.inputs is None:
            assert self._graphs is not None
            return class_logits(self._graphs[1](rows.clone(), *context.crossing), len(z))
        runs, begin = itertools.count(1), 0

        def inject(_module: nn.Module, _inputs: Any, output: Any) -> torch.Tensor | None:
            nonlocal begin
            if self.time_first is None:
                # Only in the run whose output head() gave: a layer may be used several times.
                return rows.clone() if next(runs) == context.runs else None
            begin += len(output)
            return rows[begin - len(output) : begin].clone()

        with hooked(self.module, inject):
            return class_logits(self.model(context.inputs), len(z))

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
                z = r.float().requires_grad_().clone()  # a layer in place may not change a leaf
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
        found: list[nn.Module | None] = []

        def logits(
            run: nn.Module, z: torch.Tensor, context: TailContext, repeats: int
        ) -> torch.Tensor:
            # Cast here: skip connections would carry the wider type through all that follows.
            crossing = context.repeat(repeats).crossing
            rows = self._rows(z.to(dtype or context.dtype or z.dtype))
            return class_logits(run(rows, *crossing), len(z))

        def same(z: torch.Tensor, context: TailContext, repeats: int, run: nn.Module) -> bool:
            return agree(
                lambda: logits(run, z.clone(), context, repeats),
                lambda: self.tail(z, context, repeats),
                z.device,
                precision,
            )

        def tail(z: torch.Tensor, context: TailContext, repeats: int = 1) -> torch.Tensor:
            # The first head() may have given up the cut.
            if context.inputs is None and not found:
                few = z.detach()[: 2 * repeats], context.first(2), repeats
                found.append(self._lean("tail", partial(same, *few), dtype))
            with autocast(z.device, precision):
                if context.inputs is not None or found[0] is None:
                    return self.tail(z, context, repeats).float()
                return logits(found[0], z, context, repeats).float()

        return tail

    def _watch(self, inputs: torch.Tensor) -> tuple[torch.Tensor, TailContext]:
        """The layer's last output while the complete model runs."""
        outputs = watch([self], inputs)[self.layer]
        r = self.units(outputs, inputs)
        return r, TailContext(inputs=inputs, runs=len(outputs), dtype=r.dtype)

    def _check(self, item: torch.Tensor) -> None:
        """Keep the cut only if it gives what the complete model gives, for one input, twice."""
        if self._checked:
            return
        with frozen(self.model), torch.no_grad():
            self.find_order(item)
            try:
                result = self._compare(item) if self._graphs is not None else ()
            except VibaError:
                raise
            except Exception as error:
                result = f"its parts do not run alone ({error})"
        if isinstance(result, str):
            self._fall_back(result)
        else:
            self._per_input = result
        self._checked = True

    def find_order(self, item: torch.Tensor) -> None:
        """Find out whether the layer sees the frames of clips one by one, and in which order.

        Parameters
        ----------
        item : (1, ...), as the model takes it; noise of its shape shows the order

        Raises
        ------
        VibaError
            An order that is neither clip after clip nor time after time.
        """
        if item.dim() != 5 or input_size(item)[0] == 1:
            return
        count = input_size(item)[0]
        noise = torch.randn((2, *item.shape[1:]), generator=torch.Generator().manual_seed(0))
        noise = noise.to(item)
        one = _joined(watch([self], noise[:1])[self.layer])
        if one is None or len(one) != count:
            return
        two = _joined(watch([self], noise)[self.layer])
        if two is not None and len(two) == 2 * count:
            for time_first, rows in ((False, two[:count]), (True, two[::2])):
                if same_up_to_rounding(rows, one):
                    self.time_first = time_first
                    return
        raise VibaError(
            f"layer {self.layer!r} gives {count} rows for one clip of {count} frames, and for two "
            "clips not the same ones; expected rows clip after clip or time after time: choose "
            "another layer"
        )

    def _compare(self, item: torch.Tensor) -> tuple[bool, ...] | str:
        """Which values that cross the cut grow with the batch; or why the cut is not usable."""
        assert self._graphs is not None
        head, tail = self._graphs
        pair = torch.cat([item, item])
        r, *crossing = head(pair)
        r, crossing = _copy(r), [c.clone() if torch.is_tensor(c) else c for c in crossing]
        self.units([r], pair)
        # A batch of one and one of two show what a trace took for a constant.
        single = head(item)[1:] if crossing else []
        per_input = [_grows(one, two) for one, two in zip(single, crossing, strict=True)]
        if None in per_input:
            return "a value crosses the cut that cannot be repeated with the inputs"
        wanted = class_logits(self.model(pair), 2)
        found = class_logits(tail(r, *crossing), 2)
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

    def _rows(self, z: torch.Tensor) -> torch.Tensor:
        """Activations (N, ...) as the layer gives them."""
        if self.time_first is None:
            return z
        return (z.permute(2, 0, 1, 3, 4) if self.time_first else z.transpose(1, 2)).flatten(0, 1)

    def units(self, outputs: Sequence[Any], inputs: torch.Tensor) -> torch.Tensor:
        """Activations (N, ...) from the outputs of a layer's runs; an error if these are no map."""
        value, count = outputs[-1], len(inputs)
        rows = _joined(outputs)
        if self.time_first is not None and rows is not None:
            frames = input_size(inputs)[0]
            if self.time_first:
                return rows.unflatten(0, (frames, count)).permute(1, 2, 0, 3, 4)
            return rows.unflatten(0, (count, frames)).transpose(1, 2)
        if torch.is_tensor(value) and 3 <= value.dim() <= 5 and len(value) == count:
            return value
        if torch.is_tensor(value):
            what = f"a tensor {tuple(value.shape)}"
        else:
            parts = f" of {len(value)}" if isinstance(value, tuple | list | dict) else ""
            what = f"a {type(value).__name__}{parts}"
        inside = [f"{self.layer}.{name}" for name, _ in self.module.named_children()][:4]
        around = self.layer.rpartition(".")[0]
        others = inside + ([f"{around} around it"] if around else [])
        raise VibaError(
            f"layer {self.layer!r} gives {what} for {count} inputs; expected one tensor of 3 to 5 "
            "axes, one row per input: tokens (N, L, C) or maps (N, C, h, w), (N, C, t, h, w), or "
            "maps of each frame of clips (N * T, C, h, w). "
            f"Choose another layer: {', '.join(others) or 'list them with named_modules()'}"
        )


def watch(splits: Sequence[SplitModel], inputs: torch.Tensor) -> dict[str, list[Any]]:
    """Outputs of layers while the complete model runs once; of each, one for each of its runs.

    Raises
    ------
    VibaError
        A layer did not run.
    """
    outputs: dict[str, list[Any]] = {split.layer: [] for split in splits}

    def store(split: SplitModel, _module: nn.Module, _inputs: Any, output: Any) -> None:
        outputs[split.layer].append(_copy(output))

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


def _copy(value: Any) -> Any:
    """A copy: an in-place ReLU after the layer would change its output."""
    return value.detach().clone() if torch.is_tensor(value) else value


def _joined(outputs: Sequence[Any]) -> torch.Tensor | None:
    """Maps (rows, C, h, w) of all runs of a layer; None if they are not such maps."""
    if all(torch.is_tensor(o) and o.shape[1:] == outputs[0].shape[1:] for o in outputs):
        return torch.cat(list(outputs)) if outputs[0].dim() == 4 else None
    return None


def _fingerprint(model: nn.Module) -> list[tuple[float, ...]]:
    """Numbers that change when weights or hooks do.

    Of weights, their versions, and sums, since a change of `.data` changes no version.
    """
    hooks = [(*m._forward_hooks, *m._forward_pre_hooks) for m in model.modules()]
    tensors = [t.detach() for t in itertools.chain(model.parameters(), model.buffers())]
    versions = [0 if t.is_inference() else t._version for t in tensors]
    # A slice is enough: weights are rarely changed one by one, and all would take long to read.
    sums = [(t.select(-1, 0) if t.dim() else t).cpu().double().sum() for t in tensors]
    return [*hooks, *zip(versions, map(float, sums), strict=True)]


def same_up_to_rounding(found: torch.Tensor, wanted: torch.Tensor) -> bool:
    """Whether logits of the same operations on the same batch agree but for fast kernels."""
    near = float(wanted.abs().max()) * max(1e-3, torch.finfo(wanted.dtype).eps ** 0.5)
    return torch.allclose(found, wanted, rtol=0, atol=near)


def agree(
    rewritten: Callable[[], torch.Tensor],
    plain: Callable[[], torch.Tensor],
    device: torch.device,
    precision: str = "float32",
) -> bool:
    """Whether a rewritten pass gives the logits of the plain one but for a precision's rounding.

    Parameters
    ----------
    rewritten, plain : give logits of the same inputs; the plain pass itself shows how far they
        move in this precision
    """
    wanted = plain()
    eps = torch.finfo(dtype_of(precision) or wanted.dtype).eps
    with autocast(device, precision):
        found, rounded = rewritten(), wanted if dtype_of(precision) is None else plain()
    if not torch.isfinite(rounded).all():  # refused later, with a reason
        return True
    moved = float((rounded.float() - wanted.float()).abs().max())
    near = float(wanted.abs().max()) * max(1e-3, eps**0.5) + 4 * moved
    return torch.allclose(found.float(), wanted.float(), rtol=0, atol=near)


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
