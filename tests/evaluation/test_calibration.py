"""A calibrated detector decides at 0.5 as its validation people allow."""

import numpy as np
import pytest
import torch
from torch import nn

from viba_lib.core.errors import VibaError
from viba_lib.evaluation.calibration import FALSE_ALARMS, Calibration


def margins_of(
    rng: np.random.Generator, real: float, fake: float, count: int = 400
) -> tuple[np.ndarray, np.ndarray]:
    labels = np.repeat([0, 1], count)
    return rng.normal(np.where(labels, fake, real), 1.0), labels


def calibrated(found: Calibration, margins: np.ndarray) -> np.ndarray:
    return margins + found.shift


def test_the_decision_lies_where_both_classes_are_equally_likely() -> None:
    # Two normal distributions of variance 1 about 1 and 4: the density is equal at 2.5.
    margins, labels = margins_of(np.random.default_rng(0), 1.0, 4.0, 4000)
    found = Calibration.fit(margins, labels, np.repeat("a", len(labels)))
    assert found.shift == pytest.approx(-2.5, abs=0.1)
    assert (found.people, found.frames) == (1, 8000)


def test_a_false_alarm_may_cost_more_than_a_miss() -> None:
    # Log odds of the two normal distributions are 3 (m - 2.5): they are log 9 at 2.5 + log(9) / 3.
    margins, labels = margins_of(np.random.default_rng(0), 1.0, 4.0, 4000)
    found = Calibration.fit(margins, labels, np.repeat("a", len(labels)), alarm_cost=9.0)
    assert found.shift == pytest.approx(-2.5 - np.log(9) / 3, abs=0.1)
    # The limit of false alarms also holds if a miss is what costs.
    lax = Calibration.fit(margins, labels, np.repeat("a", len(labels)), alarm_cost=1e-6)
    called = (calibrated(lax, margins[labels == 0]) > 0).mean()
    assert called == pytest.approx(FALSE_ALARMS, abs=0.01)


def test_few_real_frames_are_called_fake_as_a_mean_over_people() -> None:
    rng = np.random.default_rng(1)
    parts = [margins_of(rng, real, real + 1.0) for real in (0.0, 1.0)]
    margins, labels = (np.concatenate(p) for p in zip(*parts, strict=True))
    people = np.repeat(["a", "b"], 800)
    found = Calibration.fit(margins, labels, people)
    real = [margins[(people == name) & (labels == 0)] for name in "ab"]
    called = [(calibrated(found, m) > 0).mean() for m in real]
    assert called[0] < FALSE_ALARMS < called[1] and np.mean(called) == pytest.approx(0.1, abs=0.005)
    # Most frames are of one person: the mean over people stays the same.
    many = np.r_[np.tile(margins[:800], 5), margins[800:]]
    given = np.tile(labels[:800], 5), np.repeat(["a", "b"], [4000, 800])
    again = Calibration.fit(many, np.r_[given[0], labels[800:]], given[1])
    assert again.shift == pytest.approx(found.shift, abs=0.02)
    # A detector that is wrong is not turned round: the limit of false alarms alone decides.
    wrong = Calibration.fit(-margins, labels, people)
    called = [(calibrated(wrong, -m) > 0).mean() for m in real]
    assert np.mean(called) == pytest.approx(0.1, abs=0.005)


def test_a_person_with_many_frames_does_not_count_more() -> None:
    rng = np.random.default_rng(2)
    (a, la), (b, lb) = margins_of(rng, -2, 2), margins_of(rng, 0, 4)
    once = Calibration.fit(np.r_[a, b], np.r_[la, lb], np.repeat(["a", "b"], 800))
    often = Calibration.fit(
        np.r_[np.tile(a, 5), b], np.r_[np.tile(la, 5), lb], np.repeat(["a", "b"], [4000, 800])
    )
    assert often.shift == pytest.approx(once.shift, abs=0.1)


def test_folding_changes_the_margin_and_nothing_else() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 2))
    inputs = torch.randn(7, 5)
    with torch.no_grad():
        before = model(inputs)
        Calibration(-0.7, 3, 60).fold(model)
        after = model(inputs)
    torch.testing.assert_close(after[:, 1] - after[:, 0], before[:, 1] - before[:, 0] - 0.7)
    torch.testing.assert_close(after.sum(1), before.sum(1))


@pytest.mark.parametrize(
    "model", [nn.ReLU(), nn.Linear(3, 1), nn.Linear(3, 2, bias=False)], ids=["none", "one", "bias"]
)
def test_other_networks_are_refused(model: nn.Module) -> None:
    with pytest.raises(VibaError, match="set `calibrate` to false"):
        Calibration(0.0, 1, 1).fold(model)


def test_one_class_is_refused() -> None:
    with pytest.raises(VibaError, match="3 real and 0 fake"):
        Calibration.fit(np.zeros(3), np.zeros(3), np.repeat("a", 3))
