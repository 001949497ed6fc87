"""The gap of the information estimate against simulation and independent integration."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from viba_lib.experiments.information_gap import (
    equicorrelated,
    gap_table,
    gap_text,
    normal_information,
    ratio_text,
    relu_activations,
    relu_density,
    relu_information,
    single_estimates,
    single_text,
    total_text,
)

COVARIANCES = {
    "independent": np.eye(3),
    "correlated": equicorrelated(3, 0.8),
    "smaller than estimated": np.diag([0.2, 1.0, 0.5]),
    "larger than estimated": 4 * equicorrelated(3, 0.3),
}


@pytest.mark.parametrize("lam", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("covariance", COVARIANCES.values(), ids=COVARIANCES)
def test_the_mean_is_the_information_and_the_two_parts_of_the_gap(covariance, lam) -> None:
    found = normal_information(covariance, lam)
    parts = found["true"] + found["dependence"] + found["marginal"]
    assert found["estimate"] == pytest.approx(parts, abs=1e-9)
    assert min(found["true"], found["dependence"], found["marginal"]) >= -1e-9
    normal = np.random.default_rng(0).standard_normal((200_000, 3))
    draws = normal @ np.linalg.cholesky(covariance).T
    assert single_estimates(draws, lam).mean() == pytest.approx(found["estimate"], rel=0.02)


def test_one_unit_transmits_the_capacity_of_a_gaussian_channel() -> None:
    for lam in (0.1, 0.5, 0.9):
        shannon = 0.5 * np.log2(1 + lam**2 / (1 - lam) ** 2)
        assert normal_information(np.eye(1), lam)["true"] == pytest.approx(shannon)


def test_a_single_value_can_lie_below_the_information() -> None:
    for lam, value, true in ((0.5, 0.459, 0.5), (0.9, 2.61, 3.18)):
        assert single_estimates(np.zeros((1, 1)), lam)[0] == pytest.approx(value, abs=0.005)
        assert normal_information(np.eye(1), lam)["true"] == pytest.approx(true, abs=0.005)


def test_the_text_of_single_inputs_says_on_which_side_they_lie() -> None:
    low, high = single_text((0.2,)), single_text((0.9,))
    assert low.endswith("above the mutual information.")
    assert "mutual information of 3.18 bits" in high and "r = 0 is 2.61 bits, below" in high


def test_equal_units_transmit_no_more_than_one_unit_measured_many_times() -> None:
    found = normal_information(equicorrelated(8, 1.0), 0.9)
    assert found["true"] == pytest.approx(0.5 * np.log2(1 + 8 * 81))
    assert found["estimate"] == pytest.approx(8 * normal_information(np.eye(1), 0.9)["estimate"])


def test_the_parts_name_their_cause() -> None:
    independent = normal_information(np.eye(4), 0.9)
    assert independent["dependence"] == pytest.approx(0, abs=1e-9) and independent["marginal"] > 0
    # Signal and noise fill the assumed variance exactly if the signal is stronger by this factor.
    lam = 0.5
    filled = normal_information(np.eye(4) * (1 - (1 - lam) ** 2) / lam**2, lam)
    assert filled["marginal"] == pytest.approx(0, abs=1e-9)
    assert filled["estimate"] == pytest.approx(filled["true"])


@pytest.mark.parametrize("lam", [0.2, 0.6, 0.9])
def test_the_relu_by_another_integration(lam) -> None:
    """The density of z as a sum over activations, and the information from its entropy."""
    g = np.linspace(-8, 8, 8001)
    r = (g.clip(0) - 1 / np.sqrt(2 * np.pi)) / np.sqrt(0.5 - 1 / (2 * np.pi))
    z = np.linspace(-4, 11, 1501)
    density = norm.pdf(z[:, None], lam * r, 1 - lam) @ (norm.pdf(g) * (g[1] - g[0]))
    assert np.allclose(density, relu_density(z, lam), atol=2e-4)
    entropy = -np.trapezoid(density * np.log2(density + 1e-300), z)
    true = entropy - np.log2((1 - lam) * np.sqrt(2 * np.pi * np.e))
    found = relu_information(lam)
    assert found["true"] == pytest.approx(true, abs=2e-3)
    assert found["true"] < normal_information(np.eye(1), lam)["true"] < found["estimate"]


def test_relu_activations_are_standardised() -> None:
    r = relu_activations(100_000)
    assert abs(r.mean()) < 0.02 and abs(r.std() - 1) < 0.02
    assert (r == r.min()).mean() == pytest.approx(0.5, abs=0.01)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return gap_table(units=4, correlations=(0.0, 0.9), lams=(0.5, 0.9), samples=2000)


def test_the_table_has_a_row_for_each_setting(table) -> None:
    assert table.name.unique().tolist() == [
        "4 normal units, correlation 0", "4 normal units, correlation 0.9", "one ReLU unit",
    ]  # fmt: skip
    assert len(table) == 6 and (table.gap > 0).all() and (table.ratio > 1).all()
    assert (table.low < table.estimate).all() and (table.estimate < table.high).all()
    below = table.set_index(["name", "lam"]).below
    # For units with a large gap even the smallest value is above the information.
    assert below["4 normal units, correlation 0", 0.9] > 0.3
    assert below["4 normal units, correlation 0.9", 0.9] < 0.1


def test_the_texts_name_the_gap_and_when_the_bound_is_tight(table) -> None:
    text = gap_text(table)
    row = table[(table.lam == 0.9) & (table.correlation == 0.9)].iloc[0]
    assert f"{row.gap:.2g} bits more than the mutual information" in text
    assert f"ratio {row.ratio:.2f}" in text and f"{row.dependence:.1f} bits come from" in text
    independent, correlated = text.split("With a correlation of 0.9")
    assert "the bound is tight" in independent and "the bound is loose" in correlated
    assert "the bound is tight" not in gap_text(table, 0.5)
    text = ratio_text(table)
    assert "For 4 normal units, correlation 0, the" in text and "correlation 0.9," not in text
    assert "For one ReLU unit, the" in text and text.rstrip().endswith("the bound is loose there.")


def test_the_total_is_said_with_its_units_and_locations() -> None:
    capacity = np.zeros((3, 2, 2))
    capacity[:, 0, 0], capacity[:, 1, 1] = 100, 400
    text = total_text(capacity)
    assert "of 12 units add up to 1,500 bits" in text and "lies at 1 of 4 locations" in text
    assert "lies at 2 of 4 locations" in total_text(np.ones((3, 2, 2)))
