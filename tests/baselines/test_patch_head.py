"""The patch head on a network with a known answer."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from viba_lib.baselines import METHODS, PatchHead, attribute
from viba_lib.baselines.explainers import Network, explain_with
from viba_lib.core.errors import VibaError

SIDE = 32


def frames_with_squares(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Noise frames (N, 3, S, S); every second one is "fake" and has a red square; labels, masks."""
    generator = torch.Generator().manual_seed(seed)
    frames = torch.rand(count, 3, SIDE, SIDE, generator=generator) * 0.2
    masks, labels = torch.zeros(count, SIDE, SIDE), torch.arange(count) % 2
    for at in range(1, count, 2):
        top, left = torch.randint(0, SIDE - 8, (2,), generator=generator).tolist()
        masks[at, top : top + 8, left : left + 8] = 1
    frames[:, 0] += masks
    return frames, labels, masks


@pytest.fixture
def model() -> nn.Module:
    """Channels of the first layer are the colours, whatever the head of the network does."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 3, 1), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(3, 2),
    ).eval()  # fmt: skip
    with torch.no_grad():
        network[0].weight.copy_(torch.eye(3)[..., None, None])
        network[0].bias.fill_(-0.5)  # the in-place ReLU changes what the layer gives
    return network


@pytest.fixture
def head(model) -> PatchHead:
    inputs, labels, _ = frames_with_squares(40, seed=0)
    return PatchHead.fit(model, "0", inputs, labels)


def test_the_score_of_fake_is_high_in_the_square_alone(model, head):
    frames, _, masks = frames_with_squares(6, seed=1)
    fakes, where = frames[1::2], masks[1::2].bool().numpy()
    found = attribute("Patch head", model, "0", fakes, 1, head=head)
    assert found.shape == (3, SIDE, SIDE) and found.dtype == np.float32 and found.min() >= 0
    for scores, square in zip(found, where, strict=True):
        assert scores[square].min() > scores[~square].max()
    real = attribute("Patch head", model, "0", fakes, 0, head=head)
    assert real[where].max() == 0 and real[~where].mean() > 0


def test_the_mean_of_the_scores_is_the_decision_of_the_head(model, head):
    inputs, labels, _ = frames_with_squares(10, seed=2)
    with torch.no_grad():
        pooled = model[0](inputs).mean((2, 3))  # as they are before the in-place ReLU
    decided = pooled @ head.weight + head.bias > 0
    assert torch.equal(decided.long(), labels)


def test_a_head_is_logistic_regression_and_needs_both_classes(model):
    inputs, labels, _ = frames_with_squares(20, seed=0)
    shuffled = torch.tensor([0, 1, 1, 0] * 5)
    with torch.no_grad():
        pooled = model[0](inputs).mean((2, 3))
    for given in (labels, shuffled):
        scaled = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        wanted = scaled.fit(pooled.numpy(), given.numpy()).decision_function(pooled.numpy())
        found = PatchHead.fit(model, "0", inputs, given)
        score = pooled @ found.weight + found.bias
        np.testing.assert_allclose(score, wanted, atol=1e-3)
    with pytest.raises(VibaError, match="one class"):
        PatchHead.fit(model, "0", inputs, torch.zeros(20))
    with pytest.raises(VibaError, match=r"'4' has shape \(16, 2\).*expects \(N, C, h, w\)"):
        PatchHead.fit(model, "4", inputs, labels)


def test_a_network_gives_the_head_of_the_layer(model, head):
    frames = frames_with_squares(2, seed=3)[0]
    asked = []

    def heads(layer: str) -> PatchHead:
        asked.append(layer)
        return head

    network = Network(model, ("0",), {}, {}, heads=heads)
    found = explain_with("Patch head", network, frames, 1)
    np.testing.assert_array_equal(found, attribute("Patch head", model, "0", frames, 1, head=head))
    assert asked == ["0"] and METHODS["Patch head"].option == "layer"
    with pytest.raises(VibaError, match="no labelled frames"):
        explain_with("Patch head", Network(model, ("0",), {}, {}), frames, 1)


def test_the_fit_stops_at_the_layer_and_is_the_same_in_batches(model, head):
    inputs, labels, _ = frames_with_squares(40, seed=0)  # three batches
    ran = []
    model[4].register_forward_hook(lambda *_: ran.append(1))
    again = PatchHead.fit(model, "0", inputs, labels)
    assert not ran
    assert torch.equal(again.weight, head.weight) and again.bias == head.bias
