"""The information estimate where the mutual information is known: how large is the gap?

The bottleneck compares Z with a noise q of independent standard normal units. The mean over inputs
of the summed divergences is an upper bound of the mutual information (Schulz et al. 2020), and the
gap is the divergence of the true distribution of Z from q. It has two parts:

    mean estimate = I(R; Z) + dependence + marginal

`dependence` is the total correlation of the units of Z, because q assumes independent units.
`marginal` is the sum over units of the divergence of the true distribution of z from N(0, 1).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import norm

from viba_lib.bottleneck.information import LN2, unit_kl

LAMBDAS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
CORRELATIONS = (0.0, 0.3, 0.6, 0.9, 0.99)
RELU_MEAN, RELU_STD = 1 / np.sqrt(2 * np.pi), np.sqrt(0.5 - 1 / (2 * np.pi))
TIGHT = 1.05  # the estimate is called tight up to this ratio to the information


def equicorrelated(units: int, correlation: float) -> np.ndarray:
    """Covariance (units, units) of units of variance 1 with one correlation between all pairs."""
    return (1 - correlation) * np.eye(units) + correlation * np.ones((units, units))


def single_estimates(r: np.ndarray, lam: float) -> np.ndarray:
    """Estimate of each input, in bits (N,), from standardised activations r (N, units)."""
    shares = (torch.tensor(x, dtype=torch.float64) for x in (lam, 1 - lam))
    return np.asarray(unit_kl(torch.from_numpy(r), *shares).sum(1)) / LN2


def normal_information(covariance: np.ndarray, lam: float) -> dict[str, float]:
    """Information of normal activations about Z, in closed form, and the parts of the gap.

    Parameters
    ----------
    covariance : (units, units) of the activations, in standard deviations that were estimated
    lam : one signal fraction for all units, 0 < lam < 1

    Returns
    -------
    true (mutual information), estimate (mean over inputs), dependence and marginal, in bits.
    """
    units, noise = len(covariance), (1 - lam) ** 2
    z = lam**2 * covariance + noise * np.eye(units)
    variances, log_det = np.diag(z), np.linalg.slogdet(z)[1]
    nats = {
        "true": log_det - units * np.log(noise),
        "estimate": np.sum(variances - 1 - np.log(noise)),
        "dependence": np.log(variances).sum() - log_det,
        "marginal": np.sum(variances - 1 - np.log(variances)),
    }
    return {name: float(value) / (2 * LN2) for name, value in nats.items()}


def relu_activations(count: int, seed: int = 0) -> np.ndarray:
    """Standardised activations (count, 1) of a ReLU after a standard normal input."""
    normal = np.random.default_rng(seed).standard_normal((count, 1))
    return (normal.clip(0) - RELU_MEAN) / RELU_STD


def relu_density(z: np.ndarray, lam: float) -> np.ndarray:
    """Density of Z for the unit of `relu_activations`: half of the mass comes from the zero.

    The other half is a normal variable above 0 plus noise, a skew normal distribution.
    """
    noise, slope, zero = 1 - lam, lam / RELU_STD, -lam * RELU_MEAN / RELU_STD
    std = np.hypot(slope, noise)
    above = norm.cdf(slope * (z - zero) / (noise * std))
    return np.asarray(0.5 * norm.pdf(z, zero, noise) + norm.pdf(z, zero, std) * above)


def relu_information(lam: float) -> dict[str, float]:
    """As `normal_information`, for one ReLU unit, by numerical integration over z."""
    noise, zero = 1 - lam, -lam * RELU_MEAN / RELU_STD
    z = np.arange(zero - 9 * noise, zero + 9 * np.hypot(lam / RELU_STD, noise), noise / 50)
    density = relu_density(z, lam)
    entropy = -np.trapezoid(density * np.log(np.maximum(density, 1e-300)), z)
    true = (entropy - 0.5 * np.log(2 * np.pi * np.e * noise**2)) / LN2
    # The mean estimate depends on the variance only, which is 1 as for a normal unit.
    estimate = normal_information(np.eye(1), lam)["estimate"]
    return {"true": true, "estimate": estimate, "dependence": 0.0, "marginal": estimate - true}


def gap_table(
    units: int = 16,
    correlations: Sequence[float] = CORRELATIONS,
    lams: Sequence[float] = LAMBDAS,
    samples: int = 5000,
    seed: int = 0,
) -> pd.DataFrame:
    """Estimate and mutual information of correlated normal units, and of one ReLU unit.

    Returns
    -------
    name, activation ("normal" or "ReLU"), units, correlation, lam; in bits: true, estimate, gap,
    dependence, marginal, low and high (5 and 95 % of the single inputs); ratio (estimate to true)
    and below (proportion of single inputs whose value is below the mutual information).
    """
    normal = np.random.default_rng(seed).standard_normal((samples, units))
    rows: list[dict[str, Any]] = []
    for correlation in correlations:
        covariance = equicorrelated(units, correlation)
        r = normal @ np.linalg.cholesky(covariance).T
        facts = {"name": f"{units} normal units, correlation {correlation:g}",
                 "activation": "normal", "units": units, "correlation": correlation}  # fmt: skip
        rows += [
            facts | {"lam": lam} | normal_information(covariance, lam) | _single(r, lam)
            for lam in lams
        ]
    r = relu_activations(samples, seed)
    facts = {"name": "one ReLU unit", "activation": "ReLU", "units": 1, "correlation": 0.0}
    rows += [facts | {"lam": lam} | relu_information(lam) | _single(r, lam) for lam in lams]
    table = pd.DataFrame(rows)
    pairs = zip(table["values"], table.true, strict=True)
    table["below"] = [float((values < true).mean()) for values, true in pairs]
    gaps = {"gap": table.estimate - table.true, "ratio": table.estimate / table.true}
    return table.drop(columns="values").assign(**gaps)


def _single(r: np.ndarray, lam: float) -> dict[str, Any]:
    values = single_estimates(r, lam)
    low, high = np.quantile(values, [0.05, 0.95])
    return {"values": values, "low": low, "high": high}


def single_text(lams: Sequence[float]) -> str:
    """Information of one normal unit, the mean estimate, and the estimate of one input, r = 0."""
    sentences = []
    for lam in lams:
        found, value = (
            normal_information(np.eye(1), lam),
            single_estimates(np.zeros((1, 1)), lam)[0],
        )
        side = "below" if value < found["true"] else "above"
        sentences.append(
            f"At lambda = {lam:g}, one normal unit has a mutual information of {found['true']:.2f} "
            f"bits and a mean estimate of {found['estimate']:.2f} bits. The estimate of an input "
            f"with r = 0 is {value:.2f} bits, {side} the mutual information."
        )
    return " ".join(sentences)


def gap_text(table: pd.DataFrame, lam: float = 0.9) -> str:
    """What a `gap_table` shows at one lambda, for the least and the largest correlation."""
    part = table[(table.lam == lam) & (table.activation == "normal")].sort_values("correlation")
    first, last = part.iloc[0], part.iloc[-1]
    return (
        f"At lambda = {lam:g}, the mean estimate of {first.units} normal units with a correlation "
        f"of {first.correlation:g} is {_beside(first)}: {_tightness(first)}. The value of a single "
        f"input is below the mutual information for {first.below:.0%} of the inputs. With a "
        f"correlation of {last.correlation:g} the mean estimate is {_beside(last)}: "
        f"{_tightness(last)}. Of this gap, {last.dependence:.1f} bits come from the assumption "
        f"that units are independent, and {last.marginal:.1f} bits from the assumed distribution "
        f"of each unit of Z."
    )


def ratio_text(table: pd.DataFrame, correlation: float = 0.0) -> str:
    """Smallest ratios of a `gap_table`: normal units of one correlation, and one ReLU unit."""
    sentences = []
    for name, part in table[table.correlation == correlation].groupby("name", sort=False):
        least, middle = part.loc[part.ratio.idxmin()], part.loc[(part.lam - 0.5).abs().idxmin()]
        sentences.append(
            f"For {name}, the mean estimate at lambda = {middle.lam:g} is {_beside(middle)}. The "
            f"smallest ratio is {least.ratio:.2f}, at lambda = {least.lam:g} ({least.gap:.2g} bits "
            f"too many): {_tightness(least)} there."
        )
    return " ".join(sentences)


def _beside(row: pd.Series) -> str:
    return (
        f"{row.estimate:.3g} bits, which is {row.gap:.2g} bits more than the mutual information "
        f"({row.true:.3g} bits; ratio {row.ratio:.2f})"
    )


def _tightness(row: pd.Series) -> str:
    return f"the bound is {'tight' if row.ratio <= TIGHT else 'loose'}"


def total_text(capacity: np.ndarray) -> str:
    """What the total of one frame's estimates (C, h, w) in bits says, and what it does not say."""
    locations = np.sort(capacity.sum(0).ravel())[::-1]
    total = float(locations.sum())
    half = int((np.cumsum(locations) < total / 2).sum()) + 1
    return (
        f"The estimates of {capacity.size:,} units add up to {total:,.0f} bits, and half of this "
        f"sum lies at {half} of {locations.size} locations. The sum assumes that all units are "
        f"independent. They are correlated, so it is not the number of bits that the layer "
        f"transmits; it compares locations and maps of this layer."
    )
