"""Layers that the bottleneck cannot distinguish: a layer and its batch norm (`05_injection_layer`).

In evaluation mode a batch norm is an affine map of each channel, y = a x + b. The mean and the
standard deviation of y are a mean(x) + b and |a| std(x), so a unit has the same z-score in both
layers, up to the sign of a. Noise and information are defined by z-scores, so both layers pose the
same optimisation. Exceptions are channels with a = 0 and units whose standard deviation is below
the threshold in one of both layers, because these are left out.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from viba_lib.bottleneck import LayerStatistics
from viba_lib.bottleneck.classifier import device_of
from viba_lib.bottleneck.split import find_layer, frozen, hooked
from viba_lib.core.words import plural
from viba_lib.evaluation.agreement import rank_correlation
from viba_lib.evaluation.sentences import (
    Finding,
    claim_text,
    claim_verdict,
    difference_text,
)

MARGIN = 0.01  # bits of entropy within which two maps count as equally diffuse
CLAIM = "maps of {first} and {second} differ in how diffuse they are"
Pair = tuple[str, str]  # a layer, and the batch norm that takes its output


def forward_order(
    network: nn.Module, layers: Sequence[str], inputs: torch.Tensor
) -> tuple[list[str], list[Pair]]:
    """Layers in the order of a forward pass, and the pairs of a layer and its batch norm.

    Parameters
    ----------
    layers : dotted names
    inputs : (T, 3, S, S)
    """
    order: list[str] = []
    pairs: list[Pair] = []
    outputs: dict[str, torch.Tensor] = {}

    def note(name: str, module: nn.Module, given: tuple[torch.Tensor], out: torch.Tensor) -> None:
        order.append(name)
        if isinstance(module, _BatchNorm):
            pairs.extend((other, name) for other, x in outputs.items() if x is given[0])
        outputs[name] = out

    with ExitStack() as stack, frozen(network), torch.no_grad():
        for name in layers:
            stack.enter_context(hooked(find_layer(network, name), partial(note, name)))
        network(inputs.to(device_of(network)))
    return order, pairs


def downstream_difference(network: nn.Module, pair: Pair, inputs: torch.Tensor) -> float:
    """Largest difference of logits if a signal replaces both outputs, relative to their range.

    The output of the first layer is replaced by another signal, and the output of the batch norm
    by the normalised signal. It is 0, up to rounding, if the first output is used by the batch norm
    alone, so that both layers have the same network downstream.
    """
    first, second = (find_layer(network, name) for name in pair)
    signal: list[torch.Tensor] = []
    inputs = inputs.to(device_of(network))

    def replace(_module: nn.Module, _given: object, out: torch.Tensor) -> torch.Tensor:
        noise = torch.randn(out.shape, generator=torch.Generator().manual_seed(0))
        signal[:] = [out + noise.to(out) * out.std()]
        return signal[0]

    def normalised(_module: nn.Module, _given: object, _out: torch.Tensor) -> torch.Tensor:
        return second.forward(signal[0])

    with frozen(network), torch.no_grad():
        with hooked(first, replace):
            at_first = network(inputs)
        with hooked(second, normalised):
            at_second = network(inputs)
    return float((at_first - at_second).abs().max() / at_first.abs().max())


def affine_table(
    network: nn.Module,
    pairs: Sequence[Pair],
    statistics: Mapping[str, LayerStatistics],
    inputs: torch.Tensor,
) -> pd.DataFrame:
    """What distinguishes a layer from its batch norm for the bottleneck.

    Parameters
    ----------
    pairs : see `forward_order`
    statistics : of the layers, estimated on the same frames
    inputs : (T, 3, S, S) for `downstream_difference`

    Returns
    -------
    layer, batch_norm, channels, negative and zero (channels whose scale is), units, apart (units
    that are active in one of both layers), std (largest relative difference between the standard
    deviations of the batch norm and |scale| times those of the layer, over units active in both)
    and logits (`downstream_difference`).
    """
    rows: list[dict[str, object]] = []
    for layer, norm in pairs:
        module = find_layer(network, norm)
        assert isinstance(module, _BatchNorm) and module.running_var is not None
        gamma = torch.ones(len(module.running_var)) if module.weight is None else module.weight
        scale = (gamma / (module.running_var + module.eps).sqrt()).detach().cpu()
        x, y = statistics[layer], statistics[norm]
        both = x.active & y.active
        expected = scale.abs()[:, None, None] * x.std
        apart = ((y.std - expected).abs() / expected)[both]
        rows.append({
            "layer": layer, "batch_norm": norm, "channels": len(scale),
            "negative": int((scale < 0).sum()), "zero": int((scale == 0).sum()),
            "units": x.active.numel(), "apart": int((x.active != y.active).sum()),
            "std": float(apart.max()) if len(apart) else float("nan"),
            "logits": downstream_difference(network, (layer, norm), inputs),
        })  # fmt: skip
    return pd.DataFrame(rows)


def same_maps(
    maps: Mapping[str, np.ndarray], pairs: Sequence[Pair], frames: pd.DataFrame
) -> pd.DataFrame:
    """How similar the maps (T, S, S) of two layers are, frame by frame.

    Parameters
    ----------
    maps : by layer
    frames : rows with video_id and label, one per map

    Returns
    -------
    video_id, label, first, second, correlation (Spearman's, over pixels) and difference (the
    largest of a pixel, over the strongest pixel of both maps).
    """
    parts = []
    for first, second in pairs:
        a, b = maps[first], maps[second]
        top = np.maximum(a, b).max((1, 2))
        difference = np.abs(a - b).max((1, 2)) / np.where(top > 0, top, 1)
        correlation = [rank_correlation(*both) for both in zip(a, b, strict=True)]
        facts = frames[["video_id", "label"]].assign(first=first, second=second)
        parts.append(facts.assign(correlation=correlation, difference=difference))
    columns = ["video_id", "label", "first", "second", "correlation", "difference"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def with_others(pairs: Sequence[Pair], layers: Sequence[str]) -> list[Pair]:
    """Pairs for `same_maps`: each pair, and for comparison its batch norm with each other layer."""
    return [*pairs, *((n, other) for x, n in pairs for other in layers if other not in (x, n))]


UNDEFINED = "no rank correlation of both maps is defined, because a map has equal values everywhere"


def _similarity(same: pd.DataFrame, first: str, second: str) -> str:
    maps = same[(same["first"] == first) & (same["second"] == second)]
    if maps.correlation.isna().all():
        return f"Over {plural(len(maps), 'frame')}, {UNDEFINED}."
    known = same[(same["first"] == second) & same.correlation.notna()]
    others = known.groupby("second").correlation.median()
    text = (
        f"Over {plural(len(maps), 'frame')}, the rank correlation of both maps is "
        f"{maps.correlation.median():.6f} (median; at least {maps.correlation.min():.6f}), and the "
        f"largest difference of a pixel is {maps.difference.max():.2%} of the maximum."
    )
    if len(others):
        text += (
            f" With maps of other layers, that of {second} has rank correlations of "
            f"{others.min():.2f} to {others.max():.2f} (medians)."
        )
    return text


def affine_text(affine: pd.DataFrame, same: pd.DataFrame) -> str:
    """What was measured of a layer and its batch norm; "" without such a pair.

    Parameters
    ----------
    affine, same : `affine_table` and `same_maps` of the pairs `with_others`
    """
    sentences = []
    for row in affine.to_dict("records"):
        first, second = row["layer"], row["batch_norm"]
        sentences.append(
            f"{second} takes the output of {first}, so {first} is upstream, and one signal at both "
            f"gives logits that differ by {row['logits']:.0e} of their maximum. "
            f"Of {plural(row['channels'], 'channel')}, {row['negative']} have a negative scale and "
            f"{row['zero']} a scale of zero; of {plural(row['units'], 'unit')}, {row['apart']} are "
            f"active in one layer only. {_similarity(same, first, second)}"
        )
    return " ".join(sentences)


def diffuse_text(pair: Pair, found: Finding) -> str:
    """Whether the maps of two layers are differently diffuse, as the paper's Section 3.3 says.

    Parameters
    ----------
    found : entropy of the maps (bits), first minus second
    """
    said = claim_verdict(found, "unequal", MARGIN)
    claim = CLAIM.format(first=pair[0], second=pair[1])
    return f"{difference_text('Entropy of the maps', *pair, found)} {claim_text(claim, said)}"


def order_text(order: Sequence[str], paper: Sequence[str]) -> str:
    """The order of layers in the network beside the order in which the paper names them."""
    named = [name for name in paper if name in order]
    if list(order) == named:
        return f"A forward pass reaches the layers as the paper names them: {', '.join(order)}."
    return (
        f"A forward pass reaches the layers in the order {', '.join(order)}; the paper names "
        f"{', '.join(named)} as progressively deeper."
    )
