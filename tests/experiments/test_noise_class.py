"""The class that noise alone gives, on a network whose answer to noise is known."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from viba_lib.bottleneck import LayerStatistics, PerSampleBottleneck
from viba_lib.experiments import noise_class as n


def study_of(bias: float, mean: float) -> SimpleNamespace:
    """A study whose network adds up the units of its first layer, and a bias, as logit of fake."""
    torch.manual_seed(0)
    count = 3 * 8 * 8
    network = nn.Sequential(nn.Identity(), nn.Flatten(), nn.Linear(count, 2)).eval()
    with torch.no_grad():
        network[2].weight[0], network[2].weight[1] = 0.0, 1 / count
        network[2].bias.copy_(torch.tensor([0.0, bias]))
    frames = torch.randn(2000, 3, 8, 8) + mean
    bottleneck = PerSampleBottleneck(network, "0", LayerStatistics.estimate(network, "0", [frames]))
    rows = pd.DataFrame({"video_id": list("aabbc"), "position": [0, 1, 0, 1, 0]})
    return SimpleNamespace(
        evaluation_rows=lambda _: rows,
        inputs=lambda _, chosen: torch.full((len(chosen), 3, 8, 8), 50.0),
        bottleneck=lambda _: bottleneck,
    )


@pytest.mark.parametrize(("bias", "mean"), [(0.0, 2.0), (-2.0, 0.0), (1.0, -3.0)])
def test_noise_alone_has_the_probability_of_the_layers_mean(bias, mean):
    found = n.noise_probabilities(study_of(bias, mean), "any", samples=12)
    assert found.shape == (12,)
    # The frame's own units, 50, would give a probability of 1.
    assert found.mean() == pytest.approx(1 / (1 + np.exp(-(bias + mean))), abs=0.03)
    assert found.std() > 0


def frames_of(*pairs: tuple[float, float]) -> pd.DataFrame:
    return pd.DataFrame(pairs, columns=["p_fake", "p_fake_bottleneck"])


def test_kept_decisions_are_counted_per_class():
    frames = frames_of((0.9, 0.8), (0.9, 0.2), (0.6, 0.4), (0.1, 0.3), (0.2, 0.9))
    assert n.kept_decisions(frames, fake=True) == (1, 3)
    assert n.kept_decisions(frames, fake=False) == (1, 2)
    assert n.kept_decisions(frames[:0], fake=True) == (0, 0)


def test_the_text_names_the_class_that_is_free_and_counts_what_is_kept():
    frames = frames_of((0.9, 0.8), (0.9, 0.2), (0.1, 0.3))
    text = n.noise_class_text("net", np.array([0.1, 0.2]), frames, 3.0)
    assert "At beta 3, the bottleneck keeps" in text
    assert "0.15 (0.10 to 0.20 over 2 samples)" in text
    assert "the class real needs no information" in text
    assert "1 of 1 decisions for real and 1 of 2 decisions for fake" in text
    assert "worth its information" not in text
    other = n.noise_class_text("net", np.array([0.8]), frames, 3.0)
    assert "the class fake needs no information" in other


def test_the_text_says_that_no_decision_of_the_other_class_is_kept():
    lost = frames_of((0.9, 0.2), (0.7, 0.4), (0.1, 0.3))
    text = n.noise_class_text("net", np.array([0.2]), lost, 3.0)
    assert "No decision for fake is worth" in text
    none = frames_of((0.1, 0.2))
    assert "worth" not in n.noise_class_text("net", np.array([0.2]), none, 3.0)
