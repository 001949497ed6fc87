"""What users' models take and give: one logit, other types, the caller's state, their batches."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from viba_lib.bottleneck import (
    BottleneckSettings,
    LayerStatistics,
    PerSampleBottleneck,
    ReadoutBottleneck,
)
from viba_lib.bottleneck.classifier import batch_of, class_logits, input_size
from viba_lib.bottleneck.forward import Forward
from viba_lib.bottleneck.reference import reference_attribute
from viba_lib.core.errors import VibaError
from viba_lib.models.training import predict

pytestmark = pytest.mark.filterwarnings("ignore:statistics of")


class Logits(nn.Module):
    """The logit z of a small network, in one of several forms."""

    def __init__(self, form: str = "two") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.norm = nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4)
        self.second, self.last = nn.Conv2d(4, 6, 3), nn.Linear(6, 1)
        self.form = form

    def forward(self, x):
        x = self.second(self.norm(self.first(x)).relu()).relu()
        z = 20 * self.last(x.mean((2, 3)))
        if self.form == "two":
            return torch.cat([0 * z, z], 1)
        if self.form == "sigmoid":
            return z.sigmoid()[:, 0]
        if self.form == "softmax":
            return torch.cat([0 * z, z], 1).softmax(1)
        if self.form == "mean":
            return torch.cat([0 * z, z], 1).mean(0, keepdim=True)
        if self.form == "class":
            return z > 0
        return {"(N, 1)": z, "(N,)": z[:, 0], "squeezed": z.squeeze(), "maps": z[..., None]}[
            self.form
        ]


class Branching(Logits):
    """Control flow on values, which cannot be traced."""

    def forward(self, x):
        return super().forward(x if float(x.abs().sum()) >= 0 else -x)


@pytest.fixture
def frames():
    return torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def explained(model, frames, target=None, **settings):
    settings = {"steps": 2, "noise_samples": 1} | settings
    statistics = LayerStatistics.estimate(model, "first", frames.split(4))
    return PerSampleBottleneck(model, "first", statistics, **settings).attribute(frames[:2], target)


def same(found, wanted, near=0.0):
    for name in ("capacity", "bits_per_pixel", "logits", "logits_clean", "target"):
        a, b = (getattr(one, name) for one in (found, wanted))
        torch.testing.assert_close(a, b, rtol=near, atol=near, msg=name)


@pytest.mark.parametrize("network", [Logits, Branching])
@pytest.mark.parametrize("form", ["(N, 1)", "(N,)", "squeezed"])
@pytest.mark.parametrize("target", [None, 0, 1, [1, 0]])
def test_one_logit_is_explained_as_two_classes(frames, network, form, target):
    found = explained(network(form).eval(), frames, target)
    same(found, explained(network("two").eval(), frames, target))
    assert found.history["model_loss"].min() > 0 and found.capacity.sum() > 1
    assert (found.logits_clean[:, 0] == 0).all()
    with pytest.raises(VibaError, match="one class from 0 to 1"):
        explained(network(form).eval(), frames, 2)


@pytest.mark.parametrize("form", ["(N, 1)", "(N,)"])
def test_one_logit_is_two_classes_everywhere_else(frames, form):
    one, two = Logits(form).eval(), Logits("two").eval()
    found, wanted = (Forward(m, frames[:1], "float32")(frames) for m in (one, two))
    torch.testing.assert_close(found, wanted)
    for model in (one, Forward(one, frames[:1], "float32")):
        np.testing.assert_allclose(predict(model, frames), two(frames).softmax(1).detach(), 1e-5)
    statistics = LayerStatistics.estimate(two, "first", [frames])
    maps = []
    for model in (one, two):
        readout = ReadoutBottleneck(model, "first", ["second"], statistics, learning_rate=1e-2)
        readout.fit([frames], epochs=2)
        maps.append(readout.attribute(frames))
    same(*maps)
    short = BottleneckSettings(steps=2, noise_samples=2)
    found, wanted = (
        reference_attribute(m, "first", statistics, frames[0], 1, short) for m in (one, two)
    )
    assert torch.equal(found, wanted)


@pytest.mark.parametrize("network", [Logits, Branching])
@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("sigmoid", "gives probabilities; expected logits"),
        ("softmax", "gives probabilities; expected logits"),
        ("mean", r"\(1, 2\) of torch.float32 for 2 inputs; expected logits \(N, classes\)"),
        ("maps", r"\(2, 1, 1\) of"),
        ("class", "of torch.bool"),
    ],
)
def test_outputs_without_a_meaning_as_logits_are_refused(frames, network, form, words):
    with pytest.raises(VibaError, match=words):
        explained(network(form).eval(), frames)


@pytest.mark.parametrize("form", ["sigmoid", "softmax"])
def test_a_forward_of_probabilities_is_refused(frames, form):
    with pytest.raises(VibaError, match="gives probabilities"):
        Forward(Logits(form).eval(), frames[:1])


def test_logits_may_have_been_through_a_log_softmax():
    logits = torch.randn(2, 3, requires_grad=True).log_softmax(1)
    assert class_logits(logits, 2) is logits


STATES = {
    "no_grad": torch.no_grad,
    "inference mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("network", [Logits, Branching])
def test_the_callers_state_changes_nothing(frames, network, state):
    model, clean = network().eval(), frames.clone()
    with STATES[state]():
        found, given = explained(model, frames.clone()), torch.is_grad_enabled()
        assert given == (state == "autocast"), "the state is put back"
        statistics = LayerStatistics.estimate(model, "first", [clean])
        readout = ReadoutBottleneck(model, "first", ["second"], statistics)
        losses = readout.fit([frames], epochs=1)
        read = readout.attribute(frames)
        draws = PerSampleBottleneck(model, "first", statistics).predict_under_noise(
            frames, readout.predict_lam(frames), 2
        )
    same(found, explained(model, frames))
    readout = ReadoutBottleneck(model, "first", ["second"], statistics)
    assert readout.fit([frames], epochs=1) == losses
    same(read, readout.attribute(frames))
    assert draws.shape == (2, 6, 2)


@pytest.mark.parametrize("network", [Logits, Branching])
def test_a_model_of_inference_mode_is_copied(frames, network):
    with torch.inference_mode():
        model = network().eval()
        inside = explained(model, frames.clone())
    assert Forward(model, frames[:1], "float32")(frames).shape == (6, 2)
    for found in (inside, explained(model, frames)):
        same(found, explained(network().eval(), frames))
    assert all(p.is_inference() and p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("network", [Logits, Branching])
@pytest.mark.parametrize("weights", [torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("given", [None, torch.float32])
def test_models_of_other_types_give_nearly_the_same(frames, network, weights, given):
    model = network().eval().to(weights)
    wanted = explained(network().eval(), frames)
    found = explained(model, frames.to(given or weights))
    assert found.capacity.dtype == found.logits.dtype == torch.float32
    both = torch.stack([found.capacity.flatten(), wanted.capacity.flatten()])
    assert torch.corrcoef(both)[0, 1] > 0.98
    fast = explained(model, frames.to(given or weights), precision="bfloat16")
    assert fast.capacity.isfinite().all()
    statistics = LayerStatistics.estimate(model, "first", [frames])
    readout = ReadoutBottleneck(model, "first", ["second"], statistics)
    readout.fit([frames], epochs=1)
    assert readout.attribute(frames).capacity.isfinite().all()
    assert Forward(model, frames[:1], "float32")(frames).shape == (6, 2)


@pytest.mark.parametrize("given", [torch.float64, torch.float16, torch.bfloat16])
def test_frames_of_other_types_are_those_of_the_model(frames, given):
    frames = frames.to(given).float()
    same(explained(Logits().eval(), frames.to(given)), explained(Logits().eval(), frames))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: (255 * x).to(torch.uint8), "torch.Tensor of torch.uint8"),
        (lambda x: x.long(), "torch.Tensor of torch.int64"),
        (lambda x: x > 0, "torch.Tensor of torch.bool"),
        (lambda x: x.numpy(), "numpy.ndarray of float32"),
        (lambda x: (255 * x.abs()).byte().numpy(), "numpy.ndarray of uint8"),
        (list, "given as list"),
        (lambda x: None, "given as NoneType"),
    ],
)
def test_frames_without_a_known_range_are_refused(frames, change, words):
    model = Logits().eval()
    statistics = LayerStatistics.estimate(model, "first", [frames])
    readout = ReadoutBottleneck(model, "first", ["second"], statistics)
    readout.fit([frames], epochs=1)
    given = change(frames)
    for attribute in (PerSampleBottleneck(model, "first", statistics).attribute, readout.attribute):
        with pytest.raises(VibaError, match=f"{words}; expected a torch.Tensor of floating-point"):
            attribute(given)
    if torch.is_tensor(given):
        forward = Forward(model, frames[:1])
        for take in (lambda: forward(given), lambda: predict(model, given)):
            with pytest.raises(VibaError, match="nothing is scaled here"):
                take()
        with pytest.raises(VibaError, match="nothing is scaled here"):
            LayerStatistics.estimate(model, "first", [given])


@pytest.mark.filterwarnings("ignore:`torch.jit", "ignore:.*torch.jit.*deprecated")
@pytest.mark.parametrize("form", ["scripted", "traced"])
def test_torchscript_is_refused_inside_and_taken_as_a_layer(frames, form):
    def convert(module):
        if form == "scripted":
            return torch.jit.script(module)
        return torch.jit.trace(module, torch.rand(2, 3, 16, 16))

    first, rest = nn.Conv2d(3, 4, 3), nn.Sequential(nn.Flatten(), nn.Linear(4 * 14 * 14, 2))
    model = nn.Sequential()
    model.add_module("first", first)
    model.add_module("rest", rest)
    with pytest.raises(VibaError, match="inside a TorchScript module"):
        explained(convert(model.eval()), frames)
    wanted = explained(model, frames)
    model.first = convert(first)
    same(explained(model, frames), wanted, 1e-5)


class Named(torch.utils.data.Dataset):
    """Items as dictionaries with more than the image."""

    def __len__(self):
        return 6

    def __getitem__(self, item):
        generator = torch.Generator().manual_seed(item)
        image = torch.randn(3, 16, 16, generator=generator)
        return {"label": item, "image": image, "path": f"{item}.png"}


def test_batches_as_a_data_loader_gives_them(frames):
    model = Logits().eval()
    wanted = LayerStatistics.estimate(model, "first", frames.split(4))
    labels = torch.zeros(6)
    loaders = [
        DataLoader(TensorDataset(frames, labels), 4),
        DataLoader(TensorDataset(frames), 4),
        [(frames[:4], ["a"] * 4), (frames[4:], ["b"] * 2)],
        [(labels[:4], frames[:4]), (labels[4:], frames[4:])],
        [{"x": frames[:4], "y": labels[:4]}, {"x": frames[4:], "y": labels[4:]}],
        [(frames[:4], torch.zeros(4, 1, 16, 16)), (frames[4:], torch.zeros(2, 1, 16, 16))],
    ]
    for batches in loaders:
        found = LayerStatistics.estimate(model, "first", batches)
        assert torch.equal(found.mean, wanted.mean) and found.count == 6
        readout = ReadoutBottleneck(model, "first", ["second"], wanted)
        assert len(readout.fit(batches, epochs=1)) == 1
    assert LayerStatistics.estimate(model, "first", DataLoader(Named(), 2)).count == 6


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        ({"a": torch.zeros(2, 3, 4, 4), "b": torch.zeros(2, 3, 4, 4)}, "a dict of"),
        ([torch.zeros(3, 4, 4)] * 2, "a list of"),
        ([torch.zeros(2, 3, 4, 4)] * 2, "a list of"),
        ((torch.zeros(2), "a"), "a tuple of"),
        ({}, "no tensor"),
        ("image.png", "a str of no tensor"),
        (np.zeros((2, 3, 4, 4)), "as torch.Tensor"),
        (torch.zeros(3, 4, 4), r"shape \(3, 4, 4\)"),
        (None, "a NoneType"),
    ],
)
def test_batches_without_inputs_are_refused(batch, words):
    with pytest.raises(VibaError, match=words):
        batch_of(batch)


def test_the_size_of_clips_in_either_order():
    assert input_size(torch.zeros(2, 3, 16, 24)) == (16, 24)
    assert input_size(torch.zeros(2, 3, 5, 16, 24)) == (5, 16, 24)
    assert input_size(torch.zeros(2, 5, 3, 16, 24)) == (5, 16, 24)
    assert input_size(torch.zeros(2, 3, 3, 16, 24)) == (3, 16, 24)
    assert input_size(torch.zeros(2, 2, 5, 16, 24)) == (5, 16, 24)
