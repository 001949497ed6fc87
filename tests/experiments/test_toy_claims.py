"""Toy networks whose relevant units are known."""

import pytest
import torch

from viba_lib.experiments import toy_claims


def test_the_saturated_network_is_what_its_equation_says():
    frames = torch.zeros(4, 3, 4, 4)
    frames[1, :, 0, 0] = frames[2, :, 0, 1] = 1
    frames[3, :, 0, :2] = 1
    frames[:, :, 2:] = 1  # ignored
    logits = toy_claims.SaturatedNetwork()(frames)
    assert logits[:, 1].tolist() == [-4, 4, 4, 4] and logits[:, 0].tolist() == [0] * 4


def test_a_gradient_saturates_and_the_bottleneck_does_not():
    table = toy_claims.saturation(3)
    assert len(table) == table.video_id.nunique() == 3
    assert table.gradient.tolist() == [0, 0, 0]
    assert (table.bottleneck > 2 * toy_claims.EVIDENCE).all() and (table.bottleneck <= 1).all()


@pytest.fixture(scope="module")
def attributed():
    return toy_claims.over_attribution(6)


def test_relevance_off_the_evidence(attributed):
    wide = attributed.pivot(index="video_id", columns="method", values="outside")
    assert len(wide) == 6 and ((wide >= 0) & (wide <= 1)).all(axis=None)
    # After few steps nothing was learned of the decision: the map is that of the activations.
    assert (wide["bottleneck, early"] - wide["bottleneck"]).mean() > 0.05


def test_the_distractor_is_in_both_classes_and_not_on_the_bar():
    images, labels, truth = toy_claims._with_distractor(40, 0)
    plain = toy_claims.bar_images(40, seed=0)[0]
    patch = (images - plain).abs().amax(1)
    assert patch.flatten(1).amax(1).numpy() == pytest.approx(1.5)
    assert patch[truth > 0].max() == 0
    assert labels.float().mean() == 0.5
