"""The slow reference: it agrees with the fast implementation and leaves the model unchanged."""

import pytest
import torch

from tests.bottleneck.networks import Skip
from viba_lib.bottleneck import BottleneckSettings, LayerStatistics, PerSampleBottleneck
from viba_lib.bottleneck.reference import reference_attribute
from viba_lib.core.errors import VibaError

pytestmark = pytest.mark.filterwarnings("ignore:statistics of")


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Skip().eval()


@pytest.fixture
def statistics(model):
    inputs = torch.randn(20, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    return LayerStatistics.estimate(model, "middle", [inputs])


@pytest.fixture
def frames():
    return torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("sigma", [0.0, 1.0, 5.0])
def test_both_implementations_agree(model, statistics, frames, sigma):
    settings = {"steps": 4, "noise_samples": 3, "sigma": sigma}
    target = model(frames).argmax(1).tolist()
    found = PerSampleBottleneck(model, "middle", statistics, seed=5, **settings).attribute(frames)
    for frame, wanted, capacity in zip(frames, target, found.capacity, strict=True):
        slow = reference_attribute(
            model, "middle", statistics, frame, wanted, BottleneckSettings(**settings), seed=5,
            items_per_pass=2,  # of three
        )  # fmt: skip
        torch.testing.assert_close(slow, capacity, rtol=1e-4, atol=1e-5)
    assert found.capacity.std() > 0.01


def test_each_step_runs_the_whole_model_with_all_gradients(model, statistics, frames):
    sizes, gradients = [], []
    model.first.register_forward_hook(lambda _m, i, _o: sizes.append(len(i[0])))
    reference_attribute(
        model,
        "middle",
        statistics,
        frames[0],
        0,
        BottleneckSettings(steps=3, noise_samples=4),
        on_step=lambda _: gradients.append(all(p.grad is not None for p in model.parameters())),
        items_per_pass=3,
    )
    assert sizes == [3, 1] * 3 and gradients == [True, True, True]


def test_the_model_has_no_hooks_and_no_gradients_afterwards(model, statistics, frames):
    run = (model, "middle", statistics, frames[0], 0, BottleneckSettings(steps=2, noise_samples=1))

    def stop(_step: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reference_attribute(*run, on_step=stop)
    assert not model.middle._forward_hooks
    reference_attribute(*run)
    assert all(p.grad is None for p in model.parameters())


def test_what_it_cannot_explain_is_refused(model, statistics, frames):
    rest = (statistics, frames[0], 0)
    with pytest.raises(VibaError, match="middle"):
        reference_attribute(model, "midle", *rest)
    with pytest.raises(VibaError, match="more than the reference computes"):
        reference_attribute(model, "middle", *rest, BottleneckSettings(antithetic=True))
    with pytest.raises(VibaError, match="eval"):
        reference_attribute(model.train(), "middle", *rest)
