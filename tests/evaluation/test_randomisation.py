"""Sanity checks, on a small network."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from viba_lib.baselines.explainers import Network
from viba_lib.baselines.names import VIBA
from viba_lib.bottleneck import LayerStatistics
from viba_lib.core.errors import VibaError
from viba_lib.evaluation.randomisation import (
    LABELS,
    STAGES,
    map_similarity,
    marked,
    random_labels,
    randomised,
    revived,
    sanity_checks,
)


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x).mean((2, 3)))


@pytest.fixture
def small():
    torch.manual_seed(0)
    return Small().eval()


@pytest.fixture
def frames():
    return torch.randn(24, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def changed(first: nn.Module, second: nn.Module) -> set[str]:
    pairs = zip(first.named_parameters(), second.parameters(), strict=True)
    return {name for (name, a), b in pairs if not torch.equal(a, b)}


def test_stages_go_from_the_output_down(small):
    before = copy.deepcopy(small)
    top, half, whole = (randomised(small, stage) for stage in STAGES)
    assert changed(small, top) == {"head.weight", "head.bias"}
    assert "body.4.weight" in changed(small, half) and "body.0.weight" not in changed(small, half)
    assert "body.0.weight" in changed(small, whole)
    assert not changed(small, before), "the network itself stays"
    assert not changed(whole, randomised(small, "all")) and changed(
        whole, randomised(small, "all", 1)
    )
    with pytest.raises(VibaError, match="'bottom' is not known"):
        randomised(small, "bottom")
    with pytest.raises(VibaError, match="no convolution"):
        randomised(nn.Sequential(nn.ReLU()), "all")


def test_a_revived_network_is_alive(small, frames):
    found = revived(randomised(small, "all"), frames, "all")
    assert not any(m.training for m in found.modules())
    assert all(m.momentum == 0.1 for m in found.modules() if isinstance(m, nn.BatchNorm2d))
    half = revived(randomised(small, "upper half"), frames, "upper half")
    assert torch.equal(half.body[1].running_var, small.body[1].running_var)
    assert not torch.equal(half.body[5].running_var, small.body[5].running_var)
    with torch.no_grad():
        units = found.body[:2](frames)
    assert units.mean() == pytest.approx(0, abs=0.05) and units.std() == pytest.approx(1, abs=0.05)


def test_a_norm_at_the_end_is_not_the_top():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 3), nn.BatchNorm2d(2))
    assert changed(net, randomised(net, "top")) == {"1.weight", "1.bias"}


def test_one_input_too_many_for_a_batch(frames):
    pooled = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(4)).eval()
    found = revived(pooled, frames[:17], "all")
    with torch.no_grad():
        assert found(frames[:17]).mean() == pytest.approx(0, abs=0.05)


def test_random_labels_take_features_as_the_network_is_used(small, frames):
    small.train()
    before = small.body[1].running_mean.clone()
    found = random_labels(small, frames, torch.arange(24) % 2)
    assert not found.training and torch.equal(found.body[1].running_mean, before)


def test_random_labels_are_fitted_and_mean_nothing(small, frames):
    labels = torch.arange(24) % 2
    found = random_labels(small, frames, labels, 3)
    shuffled = np.random.default_rng(3).permutation(labels.numpy())
    with torch.no_grad():
        p = found(frames).softmax(1)[:, 1].numpy()
        flat = 0.5 * np.ones(24)
    loss = [-np.log(np.where(shuffled, q, 1 - q)).mean() for q in (p, flat)]
    assert loss[0] < loss[1]
    assert changed(small, found) == {"head.weight", "head.bias"}
    with pytest.raises(VibaError, match="one class"):
        random_labels(small, frames, 0 * labels)
    with pytest.raises(VibaError, match="two outputs"):
        random_labels(nn.Sequential(nn.Conv2d(3, 2, 1)), frames, labels)


def test_random_labels_fit_what_is_shuffled_and_miss_what_is_true(frames):
    torch.manual_seed(0)
    wide = nn.Sequential(nn.Conv2d(3, 6, 4, stride=4), nn.Flatten(), nn.Linear(384, 2)).eval()
    labels = torch.arange(24) % 2
    shuffled = np.random.default_rng(3).permutation(labels.numpy())
    with torch.no_grad():
        said = random_labels(wide, frames, labels, 3)(frames).argmax(1).numpy()
    assert (said == shuffled).all()
    assert 0.3 < (said == labels.numpy()).mean() < 0.7


def test_map_similarity_of_the_same_and_of_other_maps():
    maps = np.random.default_rng(0).random((2, 16, 16))
    same, other = map_similarity(maps, 3 * maps + 1), map_similarity(maps, 1 - maps)
    assert same["rank"].to_list() == pytest.approx([1, 1]) and same.ssim.to_list() == pytest.approx(
        [1, 1]
    )
    assert other["rank"].to_list() == pytest.approx([-1, -1])
    assert map_similarity(maps, 0 * maps)["rank"].to_list() == [0, 0]


def test_maps_that_ignore_the_network_are_marked(small, frames):
    layer = "body.3"
    with pytest.warns(UserWarning, match="statistics of"):
        statistics = {layer: LayerStatistics.estimate(small, layer, [frames])}
    network = Network(small, (layer,), statistics, {"steps": 2, "noise_samples": 1})
    names = (VIBA, "Grad-CAM", "Random", "Centre prior", "Edges")
    checks = sanity_checks(
        network, dict.fromkeys(names), frames[:2], frames, torch.arange(24) % 2, 8
    )
    assert len(checks) == 4 * 2 * len(names) and set(checks.stage) == {*STAGES, LABELS}
    found = marked(checks).set_index("method")
    assert found.same[["Centre prior", "Edges"]].all() and not found.same["Random"]
    assert found["rank"]["Edges"] == pytest.approx(1)
