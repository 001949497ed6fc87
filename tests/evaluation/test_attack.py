"""The attack on marked segments, on a detector that looks at one corner."""

import numpy as np
import pytest
import torch

from viba_lib.core.errors import VibaError
from viba_lib.evaluation.attack import (
    AttackSettings,
    attack_scores,
    nes_attack,
    stability,
    top_segments,
)

SETTINGS = AttackSettings(segments=9, samples=16, iterations=12)


def corner(batch: torch.Tensor) -> np.ndarray:
    """Fake where the upper left corner is bright."""
    p = torch.sigmoid(60 * batch[..., :10, :10].mean((1, 2, 3)) + 0.5)
    return torch.stack([1 - p, p], 1).numpy()


def frame_and_maps():
    # nine squares of ten pixels, each a segment by its colour; the corner is at zero
    shade = torch.tensor([[0.0, 0.6, -0.6], [0.9, -0.9, 0.3], [-0.3, 0.6, 0.9]])
    frame = shade.repeat_interleave(10, 0).repeat_interleave(10, 1).expand(3, 30, 30).clone()
    right, wrong = np.zeros((2, 30, 30))
    right[:10, :10] = 1
    wrong[20:, 20:] = 1
    return frame, right, wrong


def test_the_strongest_segments_are_taken():
    frame, right, _ = frame_and_maps()
    where = top_segments(frame, right, 1, SETTINGS)
    assert where[:10, :10].all() and not where[10:].any()
    assert top_segments(frame, right, 3, SETTINGS).sum() == 3 * where.sum()


def test_only_what_the_decision_hangs_on_takes_it_away():
    frame, right, wrong = frame_and_maps()
    maps = {"right": right[None], "also right": 2 * right[None], "wrong": wrong[None]}
    calls = []

    def counted(batch):
        calls.append(len(batch))
        return corner(batch)

    found = attack_scores(counted, frame[None], maps, SETTINGS, (1,)).set_index("method")
    assert found.sufficiency["right"] > 0.1 and not found.kept["right"]
    assert found.sufficiency["wrong"] == pytest.approx(0, abs=1e-6) and found.kept["wrong"]
    assert found.passes["right"] < found.passes["wrong"], "it stops when the class flips"
    alone = sum(found.passes[["right", "wrong"]]) + 1 + 2
    assert sum(calls) == alone, "the same segments are attacked once"


def test_changes_stay_small_and_inside():
    frame, right, _ = frame_and_maps()
    where = right.astype(bool)
    one, _ = nes_attack(lambda b: corner(b + 0.5), frame, where, SETTINGS, 0)
    same, _ = nes_attack(lambda b: corner(b + 0.5), frame, where, SETTINGS, 0)
    change = (one - frame).abs()
    assert torch.equal(one, same)
    assert change.max() <= 2 * SETTINGS.eps + 1e-6 and change[:, where].max() > 0
    assert (change[:, ~where] == 0).all()


def test_a_step_is_of_the_learning_rate_and_queries_come_in_pairs():
    frame, right, _ = frame_and_maps()
    where, asked = right.astype(bool), []

    def kept(batch):
        asked.append(batch)
        return corner(batch + 0.5)

    one, _ = nes_attack(kept, frame, where, AttackSettings(samples=16, iterations=1))
    assert (one - frame)[:, where].abs().max() == pytest.approx(2 / 255, abs=1e-6)
    noise = asked[1][1:] - frame
    assert len(noise) == 16 and (noise[:, :, ~where] == 0).all()
    assert torch.allclose(noise[:8], -noise[8:], atol=1e-6)
    assert noise[:, :, where].std() == pytest.approx(2 * 0.001**0.5, rel=0.1)
    bright = torch.where(torch.from_numpy(where), torch.ones(()), frame)
    raised, _ = nes_attack(lambda b: corner(b - 1.02), bright, where, SETTINGS)
    assert raised.abs().max() <= 1, "inputs stay in their range"


def test_what_is_outside_stays_where_inputs_are_out_of_range():
    frame, right, _ = frame_and_maps()
    where = right.astype(bool)
    frame[:, 20:, 20:] = 1.5
    one, _ = nes_attack(lambda b: corner(b + 0.5), frame, where, SETTINGS)
    assert torch.equal(one[:, ~where], frame[:, ~where]) and not torch.equal(one, frame)


def test_noise_that_moves_the_decision_is_drawn_anew_and_weaker():
    frame, right, _ = frame_and_maps()
    drawn = []

    def draw(frames):
        drawn.append(float((frames - frame).std()))
        return right[None]

    def jumpy(batch):  # any noise above half of the attack's moves the decision
        moved = (batch - frame).std(dim=(1, 2, 3)) > 0.04
        p = torch.where(moved, 0.9, 0.6)
        return torch.stack([1 - p, p], 1).numpy()

    found = stability(draw, jumpy, frame[None], right[None], SETTINGS)
    assert found[0] == pytest.approx(1) and 0.02 < drawn[0] < 0.04
    once = stability(draw, jumpy, frame[None], right[None], SETTINGS, tries=1)
    assert np.isnan(once[0]) and len(drawn) == 1


def test_stability_of_a_steady_and_of_a_random_map():
    frame, right, _ = frame_and_maps()
    rng, inputs = np.random.default_rng(0), frame[None]
    steady = stability(lambda x: right[None], corner, inputs, right[None], SETTINGS)
    noise = rng.random((1, 30, 30))
    loose = stability(lambda x: rng.random((1, 30, 30)), corner, inputs, noise, SETTINGS)
    assert steady[0] == pytest.approx(1) and abs(loose[0]) < 0.2
    flat = stability(lambda x: right[None], corner, inputs, 0 * right[None], SETTINGS)
    moved = stability(lambda x: right[None], corner, inputs, right[None], SETTINGS, limit=-1)
    assert np.isnan(flat[0]) and np.isnan(moved[0])


@pytest.mark.parametrize("wrong", [{"eps": 0}, {"samples": 1}, {"variance": -1}, {"segments": 1}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(VibaError, match=next(iter(wrong))):
        AttackSettings(**wrong)
