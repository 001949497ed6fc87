"""Cutting networks: the cut model must give what the whole model gives, at any layer."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from viba_lib.bottleneck import LayerStatistics, PerSampleBottleneck
from viba_lib.bottleneck.tail import CutModel, device_of, find_layer, frozen
from viba_lib.errors import VibaError
from viba_lib.models import flow_vgg11, xception
from viba_lib.models.flow_vgg import FLOW_LAYERS
from viba_lib.models.xception import XCEPTION_LAYERS


class Gated(nn.Module):
    """A value that does not come from the frames crosses the cut, and dropout is a function."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 5, 3)
        self.gate = nn.Linear(1, 5)
        self.last = nn.Linear(5, 2)

    def forward(self, x):
        gate = self.gate(torch.ones(1, 1))
        x = functional.dropout(self.first(x).mean((2, 3)), 0.5, training=self.training)
        return self.last(x * gate)


class Inside(nn.Module):
    """The layer lies within a block whose skip begins before it, after an in-place ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(4, 4, 1), nn.ReLU(inplace=True))
        self.stem, self.last = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

    def forward(self, x):
        x = self.stem(x)
        return self.last((self.block(x) + x).mean((2, 3)))


@pytest.fixture
def frames():
    return torch.randn(2, 3, 12, 12, generator=torch.Generator().manual_seed(3))


def same_as_whole(model, layer, frames, repeats=3):
    model.eval()
    cut = CutModel(model, layer)
    with torch.no_grad():
        r = cut.head(frames)
        kept = r.clone()
        found = cut.tail(r.repeat_interleave(repeats, 0), repeats)
        wanted = model(frames).repeat_interleave(repeats, 0)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    assert torch.equal(r, kept), "an in-place layer changed the activation"
    return cut


@pytest.mark.parametrize(
    ("model", "layer"), [(Gated, "first"), (Inside, "block.1"), (Inside, "stem"), (Inside, "block")]
)
def test_head_and_tail_are_the_whole(model, layer, frames):
    torch.manual_seed(0)
    assert same_as_whole(model(), layer, frames).traced


def test_each_layer_of_the_papers_detectors_can_be_cut():
    torch.manual_seed(0)
    for model, layers in ((xception(None), XCEPTION_LAYERS), (flow_vgg11(None), FLOW_LAYERS)):
        for layer in layers:
            assert same_as_whole(model, layer, torch.randn(1, 3, 64, 64), repeats=2).traced


def test_a_model_cut_in_training_mode_has_no_dropout_in_evaluation_mode(frames):
    model = Gated().train()
    cut = CutModel(model, "first")
    assert model.training
    with frozen(model):
        r = cut.head(frames)
        assert torch.equal(cut.tail(r), cut.tail(r))


def test_a_layer_that_gives_no_map_is_refused(frames):
    with pytest.raises(VibaError, match="expected one tensor"):
        CutModel(Gated().eval(), "last").head(frames)


def test_unknown_layers_name_near_ones():
    with pytest.raises(VibaError, match="first"):
        find_layer(Gated(), "frist")
    with pytest.raises(VibaError, match="dotted name"):
        find_layer(Gated(), "")


def test_modes_come_back_when_the_tail_fails(frames):
    class Fails(nn.Module):
        def forward(self, x):
            if x.requires_grad:
                raise ArithmeticError
            return x

    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), Fails(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
    with pytest.warns(UserWarning, match="statistics"):
        statistics = LayerStatistics.estimate(model, "0", [frames])
    model.train()
    bottleneck = PerSampleBottleneck(model, "0", statistics, steps=1)
    bottleneck.cut._graphs = None  # the hook serves where the graph cannot be cut
    with pytest.raises(ArithmeticError):
        bottleneck.attribute(frames)
    assert all(m.training for m in model.modules())
    assert not model[0]._forward_hooks
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


def test_a_model_without_weights_is_on_the_cpu():
    assert device_of(nn.Sequential(nn.ReLU())).type == "cpu"
