"""What a map costs, against the passes that a tiny network really makes."""

import numpy as np
import pytest
import torch
from torch import nn

from viba_lib.baselines import PatchHead
from viba_lib.baselines.budget import Passes, bottleneck_passes, counted, within
from viba_lib.baselines.explainers import (
    NAMES,
    Network,
    budgeted,
    candidates_of,
    explain_with,
    option_of,
    spent,
)
from viba_lib.baselines.names import CONTROLS, VIBA
from viba_lib.bottleneck import LayerStatistics
from viba_lib.pipeline.profiles import load_profile

SIDE = 32
FAST = {"steps": 10, "noise_samples": 1, "information_steps": 3, "antithetic": True}
REFERENCE = {"steps": 10, "noise_samples": 10}


class Tiny(nn.Module):
    """A network whose layers all have a rule of propagation."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.last = nn.Linear(6, 2)

    def forward(self, x):
        return self.last(self.pool(self.first(x)).flatten(1))


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return Tiny().eval()


@pytest.fixture(scope="module")
def statistics(model) -> LayerStatistics:
    with pytest.warns(UserWarning, match="1000 are advised"):
        return LayerStatistics.estimate(model, "first.1", [torch.rand(16, 3, SIDE, SIDE)])


def made(model, statistics, settings, name, passes, value) -> Passes:
    """Passes that a method really makes for a frame, when nothing is left to be prepared."""
    head = PatchHead(torch.ones(6), 0.0)
    network = Network(
        model, ("first.1",), {"first.1": statistics}, settings, None, lambda _: head, equal=True
    )
    given = (name, network, torch.rand(1, 3, SIDE, SIDE), torch.tensor([1]), passes, 0, value)
    # The bottleneck goes through two parts of the network, whose last layer it keeps.
    with counted(model.last if name == VIBA else model) as found:
        explain_with(*given)  # the bottleneck is cut out of the network now
        first = Passes(found.forward, found.backward)
        explain_with(*given)
    return Passes(found.forward - first.forward, found.backward - first.backward)


@pytest.mark.parametrize("passes", [8, 20, 64])
@pytest.mark.parametrize("name", NAMES)
def test_a_method_makes_the_passes_that_its_settings_say(model, statistics, name, passes):
    values = candidates_of(name, ("first.1",)) or (None,)
    for value in values:
        found = made(model, statistics, FAST, name, passes, value)
        assert found == spent(name, passes, SIDE, FAST, value), value
    assert option_of(name) or len(values) == 1


@pytest.mark.parametrize("passes", [8, 30, 64, 300])
def test_the_bottleneck_keeps_a_budget_with_several_noise_samples(model, statistics, passes):
    found = made(model, statistics, REFERENCE, VIBA, passes, None)
    assert found == spent(VIBA, passes, SIDE, REFERENCE)
    # A step of one sample more would exceed the budget.
    samples = within(REFERENCE, passes)["noise_samples"]
    assert passes - 3 * samples < found.equivalents <= passes


def test_a_backward_pass_counts_as_two_forward_passes():
    assert Passes(7, 3).equivalents == 13
    assert bottleneck_passes(FAST) == Passes(8, 6)
    assert bottleneck_passes({"steps": 2, "information_steps": 5, "noise_samples": 4}) == (
        Passes(5, 0)
    ), "only the last step has noise"


def test_passes_are_counted_by_input_and_gradient():
    layer = nn.Linear(2, 1)
    with counted(layer) as found:
        layer(torch.zeros(3, 2))
        layer(torch.zeros(2, 2)).sum().backward()
        with torch.no_grad():
            layer(torch.zeros(4, 2))
    layer(torch.zeros(5, 2))
    assert found == Passes(9, 2)


def test_the_budget_of_its_own_settings_leaves_the_bottleneck_as_it_is():
    for settings in (FAST, REFERENCE, {"steps": 40, "noise_samples": 2, "seed": 3}):
        budget = int(bottleneck_passes(settings).equivalents)
        assert within(settings, budget) == settings
        assert within(settings, budget - 1) != settings
    more = within(FAST, 200)
    assert more["steps"] > FAST["steps"] and more["noise_samples"] == 1
    assert within(REFERENCE, 8)["noise_samples"] == 1


def test_methods_with_a_budget_stay_within_it():
    assert set(budgeted()) == {
        VIBA, "Integrated gradients", "Layer integrated gradients", "Occlusion", "LIME",
        "Kernel SHAP", "Sobol", "RISE",
    }  # fmt: skip
    for passes in range(12, 200, 4):
        for name in budgeted():
            cost = spent(name, passes, 224, FAST).equivalents
            assert passes / 3 < cost <= passes, (name, passes)
    assert all(spent(name, 64, 224, FAST).equivalents == 0 for name in CONTROLS)


def test_the_budget_of_quick_is_what_its_bottleneck_spends():
    profile = load_profile("quick")
    settings = vars(profile.bottleneck)
    assert profile.comparison.passes == bottleneck_passes(settings).equivalents
    assert profile.comparison.short_passes == profile.comparison.passes
    assert within(settings, profile.comparison.passes) == settings
    assert np.all(np.diff(profile.comparison.budgets) > 0)
