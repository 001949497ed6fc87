"""A batch norm and the layer before it: the same map, and what breaks the equality."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from viba_lib.bottleneck import LayerStatistics, PerSampleBottleneck
from viba_lib.evaluation.sentences import Finding
from viba_lib.experiments import claims
from viba_lib.experiments.affine_layers import (
    MARGIN,
    affine_table,
    affine_text,
    diffuse_text,
    downstream_difference,
    forward_order,
    order_text,
    same_maps,
    with_others,
)

FRAMES = torch.rand(24, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Network(nn.Module):
    """Convolution, batch norm, ReLU; `skip` adds the convolution's output once more."""

    def __init__(self, skip: bool = False) -> None:
        super().__init__()
        self.first, self.conv, self.bn = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)
        self.relu, self.end, self.skip = nn.ReLU(), nn.Linear(4, 2), skip

    def forward(self, frames):
        x = self.conv(self.first(frames))
        y = self.relu(self.bn(x))
        return self.end((y + x if self.skip else y).mean((2, 3)))


def network(skip=False, scales=(2.0, 0.5, 1.0, 3.0)):
    torch.manual_seed(0)
    made = Network(skip).eval()
    with torch.no_grad():
        made.bn.weight.copy_(torch.tensor(scales))
        made.bn.bias.copy_(torch.tensor([0.1, 0.3, -0.2, 0.0]))
        made.bn.running_mean.copy_(torch.tensor([0.2, -0.1, 0.0, 0.1]))
        made.bn.running_var.copy_(torch.tensor([0.5, 0.1, 1.0, 2.0]))
    return made


def maps_of(model, layer, samples=10):
    with pytest.warns(UserWarning, match="are advised"):
        found = LayerStatistics.estimate(model, layer, [FRAMES])
    bottleneck = PerSampleBottleneck(model, layer, found, noise_samples=samples)
    return found, bottleneck.attribute(FRAMES[:3]).bits_per_pixel.numpy()


def test_layers_come_in_the_order_of_the_forward_pass():
    order, pairs = forward_order(network(), ["bn", "first", "conv"], FRAMES[:1])
    assert order == ["first", "conv", "bn"] and pairs == [("conv", "bn")]
    assert forward_order(network(), ["bn", "first"], FRAMES[:1])[1] == []


def test_maps_are_equal_if_all_scales_are_positive():
    model = network()
    (before, first), (after, second) = maps_of(model, "conv"), maps_of(model, "bn")
    assert first.max() > 1e-3
    np.testing.assert_allclose(first, second, rtol=1e-2, atol=1e-4 * first.max())
    row = affine_table(model, [("conv", "bn")], {"conv": before, "bn": after}, FRAMES[:2]).iloc[0]
    assert (row.channels, row.negative, row.zero, row.apart) == (4, 0, 0, 0)
    assert row.units == before.mean.numel() and row["std"] < 1e-4 and row.logits < 1e-5


def test_a_negative_scale_changes_the_noise_sample_but_not_the_problem():
    model = network(scales=(-2.0, 0.5, -1.0, 3.0))
    (before, first), (after, second) = maps_of(model, "conv", 400), maps_of(model, "bn", 400)
    # The samples of these channels have the opposite sign; with many of them that averages out.
    assert np.abs(first - second).max() > 1e-6 * first.max()
    np.testing.assert_allclose(first, second, atol=0.1 * first.max())
    row = affine_table(model, [("conv", "bn")], {"conv": before, "bn": after}, FRAMES[:2]).iloc[0]
    assert row.negative == 2


def test_a_small_scale_leaves_units_out_of_one_layer():
    model = network(scales=(1e-4, 0.5, 0.0, 3.0))
    (before, first), (after, second) = maps_of(model, "conv"), maps_of(model, "bn")
    row = affine_table(model, [("conv", "bn")], {"conv": before, "bn": after}, FRAMES[:2]).iloc[0]
    assert row.zero == 1 and row.apart == row.units / 2
    assert np.abs(first - second).max() > 0.01 * first.max()


def test_another_use_of_the_first_output_is_found():
    assert downstream_difference(network(), ("conv", "bn"), FRAMES[:2]) < 1e-5
    assert downstream_difference(network(skip=True), ("conv", "bn"), FRAMES[:2]) > 0.01


def test_similarity_of_maps_by_frame():
    frames = pd.DataFrame({"video_id": ["a", "b"], "label": [0, 1]})
    ramp = np.arange(16.0).reshape(1, 4, 4)
    maps = {"x": np.concatenate([ramp, ramp]), "y": np.concatenate([2 * ramp, ramp[:, ::-1]])}
    table = same_maps(maps, [("x", "y")], frames)
    assert table.correlation[0] == pytest.approx(1) and table.correlation[1] < 0
    assert table.difference[0] == pytest.approx(0.5) and table.difference[1] == pytest.approx(0.8)
    assert same_maps({"x": 0 * ramp, "y": 0 * ramp}, [("x", "y")], frames[:1]).difference[0] == 0
    assert same_maps(maps, [], frames).empty


def test_the_sentences_say_what_was_measured():
    model, ramp = network(scales=(-2.0, 0.5, 1.0, 3.0)), np.arange(16.0).reshape(1, 4, 4)
    with pytest.warns(UserWarning, match="are advised"):
        both = LayerStatistics.estimate_all(model, ["conv", "bn"], [FRAMES])
    table = affine_table(model, [("conv", "bn")], both, FRAMES[:2])
    frames = pd.DataFrame({"video_id": ["a"], "label": [0]})
    maps = {"conv": ramp, "bn": ramp * 1.25, "first": -ramp}
    same = same_maps(maps, with_others([("conv", "bn")], list(maps)), frames)
    text = affine_text(table, same)
    assert "conv is upstream" in text and "Of 4 channels, 1 have a negative scale" in text
    assert "Over 1 frame, the rank correlation of both maps is 1.000000" in text
    assert "largest difference of a pixel is 20.00% of" in text
    assert "that of bn has rank correlations of -1.00 to -1.00" in text
    assert affine_text(table.head(0), same.head(0)) == ""


def test_equally_diffuse_maps_contradict_the_paper():
    def said(low, high, p):
        return diffuse_text(("x", "y"), Finding((low + high) / 2, low, high, p, 12, 12, 8))

    assert "contradicts the paper's claim that maps of x and y differ" in said(-0.001, 0.002, 0.5)
    assert "supports the paper's claim" in said(0.5, 0.7, 0.01)
    assert "does not decide" in said(-0.5, 0.7, 0.8)
    assert claims.CLAIMS["bn3-conv3"]["margin"] == MARGIN


def test_the_order_of_layers_is_compared_with_the_paper():
    assert "as the paper names them: a, b" in order_text(["a", "b"], ("a", "c", "b"))
    assert "in the order b, a; the paper names a, b as" in order_text(["b", "a"], ("a", "b"))
