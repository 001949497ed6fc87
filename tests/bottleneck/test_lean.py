"""A rewritten head or tail gives the logits of the model, or is not used; it never crashes."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations, parametrize, prune

from tests.bottleneck.networks import with_trained_norm
from viba_lib.bottleneck import LayerStatistics, PerSampleBottleneck
from viba_lib.bottleneck import forward as forward_module
from viba_lib.bottleneck import split as split_module
from viba_lib.bottleneck.forward import Forward
from viba_lib.bottleneck.split import SplitModel
from viba_lib.core.errors import VibaError

pytestmark = pytest.mark.filterwarnings("ignore:statistics of")


class Net(nn.Module):
    """A convolution with a batch norm and a 1x1 convolution on both sides of the cut."""

    def __init__(self):
        super().__init__()
        self.stem, self.before = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.cut = nn.Conv2d(4, 4, 1)
        self.conv, self.norm, self.point = nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 6, 1)
        self.last = nn.Linear(6, 2)

    def forward(self, x):
        x = self.cut(self.before(self.stem(x)).relu())
        return self.last(self.point(self.norm(self.conv(x)).relu()).mean((2, 3)))


class Tied(Net):
    """The weights of a convolution are used a second time, and not through its module."""

    def forward(self, x):
        x = self.cut(self.before(self.stem(x)).relu())
        y = self.point(self.norm(self.conv(x)).relu()).mean((2, 3), keepdim=True)
        y = functional.conv_transpose2d(y, self.point.weight)
        return self.last(
            functional.conv2d(y + self.conv.weight.mean(), self.point.weight)[..., 0, 0]
        )


class Shared(Net):
    """One module under two names, on both sides of the cut and twice after it."""

    def __init__(self):
        super().__init__()
        self.same = self.cut2 = nn.Conv2d(4, 4, 1)

    def forward(self, x):
        x = self.cut(self.same(self.before(self.stem(x)).relu()))
        return self.last(self.point(self.norm(self.cut2(self.same(x)))).mean((2, 3)))


class Symmetric(nn.Module):
    def forward(self, x):
        return (x + x.transpose(2, 3)) / 2


def each(change):
    """Apply a change to each convolution but the injection layer."""

    def changed(model):
        for name in ("stem", "conv", "point"):
            change(getattr(model, name))
        return model

    return changed


def doubled(_module, _inputs, output):
    return 2 * output


def shifted(_module, inputs):
    return (inputs[0] + 1,)


def mask(conv):
    prune.l1_unstructured(conv, "weight", 0.5)


def remove(conv):
    mask(conv)
    prune.remove(conv, "weight")


CHANGES = {
    "weight norm": each(nn.utils.weight_norm),
    "parametrised weight norm": each(parametrizations.weight_norm),
    "spectral norm": each(nn.utils.spectral_norm),
    "parametrised spectral norm": each(parametrizations.spectral_norm),
    "orthogonal": each(parametrizations.orthogonal),
    "symmetric": each(lambda m: parametrize.register_parametrization(m, "weight", Symmetric())),
    "pruned": each(mask),
    "pruned for good": each(remove),
    "hooks": each(lambda m: m.register_forward_hook(doubled)),
    "hooks on inputs": each(lambda m: m.register_forward_pre_hook(shifted)),
    "a hook on a norm": lambda m: m.norm.register_forward_hook(doubled) and m,
    "a hook on the model": lambda m: m.register_forward_hook(doubled) and m,
    "a norm without weights": lambda m: setattr(m, "norm", nn.BatchNorm2d(4, affine=False)) or m,
    "a norm of instances": lambda m: setattr(m, "norm", nn.InstanceNorm2d(4)) or m,
}


@pytest.fixture
def frames():
    return torch.randn(4, 3, 12, 12, generator=torch.Generator().manual_seed(1))


def whole(model, statistics, frames, **settings):
    """Maps with a hook on the complete model in each step."""
    found = PerSampleBottleneck(model, "cut", statistics, **settings)
    found.split._fall_back("the whole model must agree")
    return found.attribute(frames)


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated")
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_computed_weights_and_hooks_count(frames, change, precision):
    model = CHANGES[change](with_trained_norm(Net)).eval()
    statistics = LayerStatistics.estimate(model, "cut", [frames])
    made = dict(steps=2, noise_samples=1, precision=precision)
    found = PerSampleBottleneck(model, "cut", statistics, **made).attribute(frames[:2])
    wanted = whole(model, statistics, frames[:2], **made)
    near = 1e-4 if precision == "float32" else 0.05
    torch.testing.assert_close(found.capacity, wanted.capacity, rtol=near, atol=near)
    torch.testing.assert_close(found.logits, wanted.logits, rtol=near, atol=near)
    logits = Forward(model, frames[:1], precision)(frames)
    torch.testing.assert_close(logits, model(frames).detach(), rtol=near, atol=near)


@pytest.mark.parametrize("network", [Tied, Shared])
def test_weights_that_are_used_twice_count_twice(frames, network):
    model = with_trained_norm(network)
    statistics = LayerStatistics.estimate(model, "cut", [frames])
    made = dict(steps=3, noise_samples=2)
    found = PerSampleBottleneck(model, "cut", statistics, **made).attribute(frames[:2])
    wanted = whole(model, statistics, frames[:2], **made)
    torch.testing.assert_close(found.capacity, wanted.capacity, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("part", ["head", "tail"])
def test_a_rewritten_part_with_other_logits_is_not_used(frames, monkeypatch, part, precision):
    model = with_trained_norm(Net)
    statistics = LayerStatistics.estimate(model, "cut", [frames])
    made = dict(steps=2, noise_samples=2, precision=precision)
    plain = PerSampleBottleneck(model, "cut", statistics, **made)
    monkeypatch.setattr(plain.split, "_lean", lambda *_: None)
    wanted, lean, calls = plain.attribute(frames), split_module.lean, []

    def wrong(graph, dtype=None):
        found = lean(graph, dtype)
        calls.append(1)
        name = "stem" if part == "head" else "last"
        if hasattr(found, name):
            with torch.no_grad():
                found.get_submodule(name).bias += 0.5
        return found

    monkeypatch.setattr(split_module, "lean", wrong)
    bottleneck = PerSampleBottleneck(model, "cut", statistics, **made)
    with pytest.warns(UserWarning, match=f"the {part} of Net at 'cut', rewritten .* other logits"):
        found = bottleneck.attribute(frames)
    near = 1e-4 if precision == "float32" else 0.05
    torch.testing.assert_close(found.capacity, wanted.capacity, rtol=near, atol=near)
    assert len(calls) == 2, "head and tail"
    bottleneck.attribute(frames)
    assert len(calls) == 2, "compared once"


def test_a_copy_that_fails_is_not_used(frames, monkeypatch, caplog):
    model = with_trained_norm(Net)
    statistics = LayerStatistics.estimate(model, "cut", [frames])
    wanted = PerSampleBottleneck(model, "cut", statistics, steps=2).attribute(frames)
    monkeypatch.setattr(split_module, "lean", lambda *_: nn.Linear(1, 1))
    with caplog.at_level("INFO", "viba_lib.bottleneck.split"):
        found = PerSampleBottleneck(model, "cut", statistics, steps=2).attribute(frames)
    torch.testing.assert_close(found.capacity, wanted.capacity, rtol=1e-4, atol=1e-5)
    assert "the tail of Net at 'cut' is not rewritten" in caplog.text


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_forward_with_other_logits_in_its_precision_is_not_used(frames, monkeypatch, precision):
    model, lean = with_trained_norm(Net), forward_module.lean

    def wrong(graph, dtype=None):
        found = lean(graph, dtype)
        if dtype is not None or precision == "float32":
            with torch.no_grad():
                found.last.bias += 0.5
        return found

    monkeypatch.setattr(forward_module, "lean", wrong)
    if precision == "float32":  # its trace is not used at all, which is no news
        assert Forward(model, frames[:1], precision).run is model
        return
    with pytest.warns(UserWarning, match="Net, rewritten to be faster in bfloat16, gives other"):
        forward = Forward(model, frames[:1], precision)
    assert forward.run is model
    torch.testing.assert_close(forward(frames), model(frames).detach(), rtol=0.1, atol=0.05)


def test_a_lean_copy_is_used_for_plain_layers(frames):
    split = SplitModel(with_trained_norm(Net), "cut")
    with torch.no_grad():
        r, context = split.prepare_head()(frames)
        split.prepare()(r, context, 1)
        split.prepare("bfloat16")(r, context, 1)
    assert set(split._copies) == {("head", None), ("tail", None), ("tail", torch.bfloat16)}
    assert None not in split._copies.values()


def test_logits_that_overflow_are_refused(frames):
    model = with_trained_norm(Net)
    statistics = LayerStatistics.estimate(model, "cut", [frames])
    with torch.no_grad():
        model.last.weight *= 1e9
    with pytest.raises(VibaError, match="not finite"):
        PerSampleBottleneck(model, "cut", statistics, precision="float16").attribute(frames)
