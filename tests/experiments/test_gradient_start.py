"""A start from gradients alone."""

import pytest
import torch
from torch import nn

from viba_lib.bottleneck import LayerStatistics, PerSampleBottleneck
from viba_lib.bottleneck.information import unit_kl_slope
from viba_lib.experiments.gradient_start import gradient_start

pytestmark = pytest.mark.filterwarnings("ignore:statistics of")


@pytest.fixture
def parts():
    """A network whose first logit is the mean of its first channel, with frames."""
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 4, 3, padding=1, stride=2)
    last = nn.Linear(4, 2, bias=False)
    last.weight.data = torch.tensor([[8.0, 0, 0, 0], [0, 0, 0, 0]])
    model = nn.Sequential(layer, nn.AdaptiveAvgPool2d(1), nn.Flatten(), last).eval()
    statistics = LayerStatistics.estimate(model, "0", [torch.randn(20, 3, 12, 12)])
    return model, statistics, torch.randn(2, 3, 12, 12)


def test_only_units_that_the_prediction_needs_are_open(parts):
    model, statistics, frames = parts
    lam = gradient_start(PerSampleBottleneck(model, "0", statistics, beta=0.1), frames)
    assert lam.shape == (2, 4, 6, 6) and (lam >= 0).all() and (lam < 1).all()
    assert (lam[:, 1:] < 1e-3).all() and (lam[:, 0] > 0.01).any()


def test_information_costs_there_what_the_gradient_gains(parts):
    """The model is linear along the path, so one gradient at the start is near the mean."""
    model, statistics, frames = parts
    bottleneck = PerSampleBottleneck(model, "0", statistics, beta=0.1)
    lam = gradient_start(bottleneck, frames)
    costly = gradient_start(bottleneck.varied(beta=10.0), frames)
    assert (costly <= lam + 1e-5).all() and costly.sum() < lam.sum()
    r = (model[0](frames) - statistics.mean) / statistics.std.clamp_min(0.01)
    slope = unit_kl_slope(r, lam, 1 - lam)[:, 0]
    slope_if_costly = unit_kl_slope(r, costly, 1 - costly)[:, 0]
    both = (lam[:, 0] > 1e-3) & (lam[:, 0] < 0.999) & (costly[:, 0] > 1e-4)
    assert both.any()
    torch.testing.assert_close(
        slope[both] / slope_if_costly[both], torch.full_like(slope[both], 100.0), rtol=0.05, atol=0
    )


def test_the_seed_decides_and_the_start_can_be_used(parts):
    model, statistics, frames = parts
    bottleneck = PerSampleBottleneck(model, "0", statistics, steps=3)
    first, again = gradient_start(bottleneck, frames), gradient_start(bottleneck, frames)
    assert torch.equal(first, again)
    assert not torch.equal(first, gradient_start(bottleneck.varied(seed=1), frames))
    found = bottleneck.attribute(frames, start=first)
    assert torch.isfinite(found.bits_per_pixel).all()
