"""Coupling of lambda along a clip."""

import pytest
import torch
from torch import nn

from viba_lib.bottleneck import LayerStatistics, PerSampleBottleneck
from viba_lib.bottleneck.smoothing import roughness, smooth_time
from viba_lib.core.errors import VibaError


@pytest.fixture
def setting():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
    frames = torch.randn(5, 3, 9, 9)
    with pytest.warns(UserWarning, match="statistics"):
        return model, LayerStatistics.estimate(model, "0", [frames]), frames


def test_weights_are_those_of_a_gaussian_and_ends_are_repeated():
    clip = torch.zeros(9, 2, 1, 3)
    clip[4] = 1.0
    taps = torch.exp(-(torch.arange(-2.0, 3.0) ** 2) / 2)
    wanted = torch.zeros(9)
    wanted[2:7] = taps / taps.sum()
    torch.testing.assert_close(smooth_time(clip, 1.0)[:, 1, 0, 2], wanted)
    torch.testing.assert_close(smooth_time(torch.ones(3, 1, 2, 2), 2.0), torch.ones(3, 1, 2, 2))


def test_off_and_a_single_frame_change_nothing(setting):
    model, statistics, frames = setting
    assert smooth_time(frames, 0.0) is frames
    plain = PerSampleBottleneck(model, "0", statistics, steps=3, noise_samples=1)
    one = frames[:1]
    for coupling in ({"temporal_sigma": 1.0}, {"temporal_weight": 10.0}):
        coupled = PerSampleBottleneck(model, "0", statistics, steps=3, noise_samples=1, **coupling)
        assert torch.equal(plain.attribute(one).capacity, coupled.attribute(one).capacity)


def test_a_frame_depends_on_its_neighbours_only_if_coupled(setting):
    model, statistics, frames = setting
    changed = frames.clone()
    changed[4] = frames[4] * -3

    def map_of_frame_3(clip, **settings):
        made = PerSampleBottleneck(
            model, "0", statistics, steps=4, noise_samples=1, frames_per_batch=2, **settings
        )
        return made.attribute(clip).bits_per_pixel[3]

    torch.testing.assert_close(map_of_frame_3(frames), map_of_frame_3(changed))
    coupled = [map_of_frame_3(clip, temporal_sigma=1.0) for clip in (frames, changed)]
    assert (coupled[0] - coupled[1]).abs().max() > 1e-4


@pytest.mark.parametrize(
    "coupling",
    [
        {"temporal_sigma": 1.0},
        {"temporal_weight": 50.0},
        {"temporal_sigma": 0.5, "temporal_weight": 50.0},
    ],
)
@pytest.mark.parametrize("frames", [3, 7])
def test_a_clip_is_one_optimisation_in_parts_of_any_size(setting, coupling, frames, monkeypatch):
    """Parts bound the memory; lambda and its gradient reach over their borders.

    In a short clip, each part depends on all frames.
    """
    model, statistics, _ = setting
    clip = torch.randn(frames, 3, 9, 9, generator=torch.Generator().manual_seed(3))
    step, gradients = torch.optim.Adam.step, []

    def watched(self, *arguments, **options):
        gradients[-1].append(torch.cat([p.grad for p in self.param_groups[0]["params"]]))
        return step(self, *arguments, **options)

    monkeypatch.setattr(torch.optim.Adam, "step", watched)
    found = []
    for size in (frames, 1, 2, 3):
        gradients.append([])
        made = PerSampleBottleneck(
            model, "0", statistics, steps=4, noise_samples=2, frames_per_batch=size, **coupling
        )
        found.append(made.attribute(clip, with_lam=True))
        assert found[-1].history["model_loss"].shape == (4, frames)
    for other, others in zip(found[1:], gradients[1:], strict=True):
        for one, whole in zip(others, gradients[0], strict=True):
            torch.testing.assert_close(one, whole, rtol=1e-3, atol=1e-6)
        torch.testing.assert_close(other.capacity, found[0].capacity, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(other.lam, found[0].lam, rtol=1e-3, atol=1e-4)


def test_a_negative_width_is_refused(setting):
    model, statistics, _ = setting
    with pytest.raises(VibaError, match="temporal_sigma"):
        PerSampleBottleneck(model, "0", statistics, temporal_sigma=-1.0)


def test_a_penalty_on_change_makes_maps_similar(setting):
    model, statistics, frames = setting
    assert roughness(frames[:1]) == 0
    torch.testing.assert_close(
        roughness(torch.tensor([[[0.0, 1.0]], [[1.0, 1.0]], [[1.0, 0.0]]])), torch.tensor(1.0)
    )

    def changes(weight):
        found = PerSampleBottleneck(
            model, "0", statistics, steps=8, noise_samples=1, temporal_weight=weight
        ).attribute(frames, with_lam=True)
        return roughness(found.lam)

    assert changes(1000.0) < 0.5 * changes(0.0)
