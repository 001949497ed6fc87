"""Claims that are decided by definitions, by arithmetic, or by how the method is built (ch. 15)."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy.stats import binomtest
from torch import nn

from viba_lib.baselines.methods import attribute
from viba_lib.bottleneck import LayerStatistics, PerSampleBottleneck
from viba_lib.bottleneck.information import LN2, gaussian_kl
from viba_lib.core.errors import VibaError
from viba_lib.evaluation import consistency
from viba_lib.evaluation.agreement import REGIONS, agreement_of, shuffled_agreement
from viba_lib.evaluation.significance import SIGNIFICANCE
from viba_lib.experiments.consistency import chance_iou
from viba_lib.experiments.paper_numbers import TABLE_2, TABLE_3, TABLE_4

MARKED = 3  # regions that a map highlights
ANNOTATED_FAKES = 27  # Section 3.4 of the paper
TEST_MAPS = round(0.15 * 5000)  # Sections 3.1 and 3.2: 15 % of about 5,000 flow maps
ROUNDING = 0.01  # of a difference of two printed percentages


class Fact(NamedTuple):
    """What was found, and whether the claim holds; None if that remains open."""

    text: str
    holds: bool | None


class _Tokens(nn.Module):
    """A network without convolutions: class 1 if the brightest token, a patch of 4 by 4, is bright.

    Input (T, 3, 16, 16); the layer `tokens` gives the mean brightness of 16 patches.
    """

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Linear(48, 1, bias=False)
        nn.init.constant_(self.tokens.weight, 1 / 48)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        patches = nn.functional.unfold(frames, 4, stride=4).transpose(1, 2)
        logit = 40 * (self.tokens(patches).amax((1, 2)) - 0.75)
        return torch.stack([-logit, logit], 1)


class _Closed(nn.Module):
    """A network that gives nothing but its output."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.hidden = (network,)  # in a tuple, so that it is not a module of this one

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self.hidden[0](frames))


def _small(network: nn.Module | None = None, layer: str = "0") -> PerSampleBottleneck:
    """A bottleneck in a small random network."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = network or nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2),
        )  # fmt: skip
    statistics = LayerStatistics.estimate(network.eval(), layer, [_frames(1000, 1)])
    return PerSampleBottleneck(network, layer, statistics)


def _frames(count: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(seed))


def without_internals() -> Fact:
    """Claim: the method needs no internal parameters."""
    bottleneck = _small()
    try:
        PerSampleBottleneck(_Closed(bottleneck.model), "0", bottleneck.statistics)
    except VibaError:
        return Fact(
            "a network that gives its output alone is refused: the bottleneck replaces the "
            "activations of a layer and needs the gradient of all that is downstream of it",
            False,
        )
    return Fact("a network that gives its output alone is explained", True)


def without_data() -> Fact:
    """Claim: the method needs no training data."""
    bottleneck, frames = _small(), _frames(4)
    try:
        LayerStatistics.estimate(bottleneck.model, "0", [])
    except VibaError:
        dark = LayerStatistics.estimate(bottleneck.model, "0", [0.3 * _frames(1000, 1)])
        other = PerSampleBottleneck(bottleneck.model, "0", dark)
        totals = [float(b.attribute(frames).bits_per_pixel.sum()) for b in (bottleneck, other)]
        return Fact(
            "without inputs to estimate mean and standard deviation of the layer from there is no "
            f"bottleneck; with inputs of 0.3 times the brightness the same maps have "
            f"{totals[1] / totals[0]:.1f} times the bits",
            False,
        )
    return Fact("statistics are estimated without inputs", True)


def after_training() -> Fact:
    """Claim: the method is applied to a finished network."""
    bottleneck = _small()
    before = {name: w.clone() for name, w in bottleneck.model.state_dict().items()}
    bottleneck.attribute(_frames(2))
    same = all(w.equal(before[name]) for name, w in bottleneck.model.state_dict().items())
    return Fact(f"the weights are {'the same' if same else 'others'} after an explanation", same)


def over_time() -> Fact:
    """Claim: the explanation of a clip has a temporal dimension."""
    bottleneck, frames = _small(), _frames(5)
    maps = bottleneck.attribute(frames).bits_per_pixel
    turned = bottleneck.attribute(frames.flip(0)).bits_per_pixel.flip(0)
    change = float((maps - turned).abs().max() / maps.max())
    return Fact(
        f"if the frames of a clip come in reverse order, each map stays the same (largest change "
        f"{change:.0e} of the maximum): frames are explained one by one, and time enters only "
        "through optical flow as input",
        change > 1e-3,
    )


def without_convolutions() -> Fact:
    """Claim: the method is not bound to convolutional networks."""
    frame = _frames(1)
    frame[:, :, 4:8, 8:12] = 1
    bits = _small(_Tokens(), "tokens").attribute(frame).bits_per_pixel[0]
    inside = float(bits[4:8, 8:12].sum() / bits.sum())
    strongest = float(bits[4:8, 8:12].max()) == float(bits.max())
    return Fact(
        f"in a network of tokens, {inside:.0%} of the bits are on the one of 16 patches that the "
        f"decision depends on, and the strongest pixel is {'' if strongest else 'not '}in it",
        strongest and inside > 1 / 16,
    )


def grad_cam_last_layer() -> Fact:
    """Claim: Grad-CAM is limited to the final convolutional layer."""
    network, frames = _small().model, _frames(6)
    found = [attribute("Grad-CAM", network, layer, frames).any() for layer in ("0", "2")]
    return Fact(
        f"Grad-CAM gives maps at {sum(found)} of 2 convolutional layers of a network; a map is as "
        "coarse as its layer, for Grad-CAM and for the bottleneck alike",
        not found[0],
    )


def bits_are_information() -> Fact:
    """Claim: the bits of a unit are the information that it transmits."""
    half, zero, one = torch.tensor(0.5), torch.tensor(0.0), torch.tensor(1.0)
    counted = float(gaussian_kl(zero, half, zero, one)) / LN2
    passed = 0.5 * float(np.log2(1 + (0.5 / 0.5) ** 2))
    return Fact(
        f"at lambda 0.5 a Gaussian unit transmits {passed:.3f} bits, and the map has {counted:.3f} "
        "for an input at the mean: only the average over inputs is a bound, and sums assume "
        "independent units",
        counted >= passed,
    )


def tcs_is_stability() -> Fact:
    """Claim: TCS is the proportion of frames in which regions stay highlighted."""
    still = np.zeros((6, 20, 20), bool)
    still[:, :5] = True
    jumping = still.copy()
    jumping[1::2] = jumping[1::2, ::-1]
    a, b = (consistency.temporal_consistency(m) for m in (still, jumping))
    return Fact(
        f"a region that stays and one that jumps from side to side both have a TCS of {a:.2f}: "
        "Eq. (3) of the paper is the mean highlighted area",
        not np.isclose(a, b),
    )


def rpi_is_stability() -> Fact:
    """Claim: an RPI close to 0 shows stable regions."""
    masks = np.random.default_rng(0).random((8, 100, 100)) < 0.5
    found, least = consistency.region_persistence(masks), float(TABLE_3.rpi.min())
    return Fact(
        f"masks of random pixels, which share nothing from frame to frame, have an RPI of "
        f"{found:.4f}, and the paper's smallest is {least:.4f}: centroids of large regions are "
        "close to each other, whatever the regions are",
        found > least,
    )


def beyond_unrelated(table: pd.DataFrame) -> pd.Series:
    """IoU on a scale on which unrelated masks of the same area (TCS) have 0, equal ones 1."""
    chance = table.tcs.map(chance_iou)
    return (table.iou - chance) / (1 - chance).where(chance < 1)


def printed_iou(detector: str) -> Fact:
    """Claim: the paper's maps of a detector are consistent, by its own Table 3."""
    rows = TABLE_3[TABLE_3.detector == detector]
    scaled, chance = beyond_unrelated(rows), rows.tcs.map(chance_iou)
    parts = [
        f"{label} {iou:.2f} ({other:.2f} for unrelated masks of this area)"
        for label, iou, other in zip(rows.label, rows.iou, chance, strict=True)
    ]
    return Fact(
        f"printed IoU: {', '.join(parts)}; that is {scaled.min():.0%} to {scaled.max():.0%} of the "
        "way from unrelated to equal masks",
        bool(scaled.min() > 0.5),
    )


def printed_accuracy() -> Fact:
    """Claim: Table 2 compares decisions on the test set."""
    wide = TABLE_2.pivot(index="detector", columns="bottleneck", values="accuracy")
    lost, step = (wide[False] - wide[True]).abs(), 100 / TEST_MAPS
    enough = bool((lost + ROUNDING >= step).all())
    return Fact(
        f"the differences of {', '.join(f'{x:.2f}' for x in lost)} points are less than one of "
        f"{TEST_MAPS} test maps ({step:.2f} points): they need more decisions than 15 % of about "
        "5,000 maps, or a mean over samples of the noise",
        enough or None,
    )


def printed_top1() -> Fact:
    """Claim: maps contain the region that most annotators chose, by the paper's Table 4."""
    chance, parts, ps = MARKED / len(REGIONS), [], []
    for row in TABLE_4.itertuples():
        hits = round(row.top1 / 100 * ANNOTATED_FAKES)
        ps.append(float(binomtest(hits, ANNOTATED_FAKES, chance).pvalue))
        parts.append(f"{row.detector} {hits} of {ANNOTATED_FAKES} (p = {ps[-1]:.2f})")
    return Fact(
        f"by chance, {MARKED} of {len(REGIONS)} regions contain a given one in {chance:.0%} of "
        f"videos; the paper has {', '.join(parts)}",
        True if max(ps) < SIGNIFICANCE else None,
    )


def overlap_adds(regions: pd.DataFrame) -> Fact:
    """Claim: the overlap coefficient says something that recall does not.

    Parameters
    ----------
    regions : annotated and highlighted, letters per video
    """
    pairs = list(zip(regions.annotated, regions.highlighted, strict=True))
    smaller = sum(len(a) <= len(h) for a, h in pairs)
    printed = (TABLE_4.overlap - TABLE_4.recall).abs()
    return Fact(
        f"if a map marks at least as many regions as are annotated, the coefficient is the recall "
        f"of the video; so in {smaller} of {len(pairs)} cases here. In the paper both differ by "
        f"{printed.min():.1f} and {printed.max():.1f} points",
        None,
    )


def recall_is_of_maps(regions: pd.DataFrame, seed: int = 0) -> Fact:
    """Claim: recall is above precision because of where the maps are.

    Parameters
    ----------
    regions : see `overlap_adds`
    """
    if regions.empty:
        return Fact("no regions are known here", None)
    own = agreement_of({name: regions[name] for name in ("annotated", "highlighted")})
    other = shuffled_agreement(regions, seed).mean()
    counts = [regions[name].str.len().mean() for name in ("highlighted", "annotated")]
    return Fact(
        f"recall {own['recall']:.2f} and precision {own['precision']:.2f}; with the maps of other "
        f"videos {other.recall:.2f} and {other.precision:.2f}: a map marks {counts[0]:.1f} "
        f"regions, and {counts[1]:.1f} are annotated",
        None,
    )
