"""Injection layers compared on the same frames (`05_injection_layer`)."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from viba_lib.core.memory import give_back
from viba_lib.core.words import plural
from viba_lib.evaluation.faithfulness import deletion_areas, map_measures
from viba_lib.evaluation.sentences import (
    HIGHER,
    LOWER,
    Finding,
    claim_text,
    claim_verdict,
    difference_text,
    level_text,
    verdict,
)
from viba_lib.evaluation.significance import interval_table, means_of
from viba_lib.experiments import common
from viba_lib.models.detectors import DETECTORS
from viba_lib.pipeline.study import Study

LAYER_MEASURES = ("bits", "entropy", "ratio", "deletion", "over_random")


def injection_maps(
    study: Study, layer: str, beta: float, count: int, detectors: Iterable[str] = DETECTORS
) -> dict[str, common.Explained]:
    """The same real and fake inputs, `count` of each class, explained at the injection layers.

    Parameters
    ----------
    beta : weight of the information; 0 = that of each detector in the profile

    Raises
    ------
    VibaError
        A layer of none of the detectors.
    """
    # A detector without that layer is explained at its default layer.
    layers = {name: [study.layer(name)] for name in detectors}
    layers |= common.named_layers(study, detectors, layer)
    explained: dict[str, common.Explained] = {}
    given: dict[str, Any] = {"beta": beta} if beta else {}
    for detector, names in layers.items():
        rows = common.choose_rows(study, detector, count)
        found = {name: study.explain(detector, rows, name, **given) for name in names}
        maps = {name: one.relevance.values for name, one in found.items()}
        kept = {
            name: ((one.p_fake > 0.5) == (one.p_fake_bottleneck > 0.5)).values
            for name, one in found.items()
        }
        labels = [f"{r.method or 'real'}, {r.p_fake:.2f}" for r in rows.itertuples()]
        images, masks = study.images(detector, rows), study.masks(detector, rows)
        explained[detector] = common.Explained(images, masks, labels, maps, rows, kept=kept)
    return explained


def _rows(detector: str, layer: str, explained: common.Explained) -> pd.DataFrame:
    facts = explained.table[["video_id", "label"]].assign(detector=detector, layer=layer)
    measures = map_measures(explained.maps[layer], explained.masks)
    measures = measures[["bits", "entropy", "ratio"]]
    return facts.join(measures).assign(kept=explained.kept[layer].astype(float))


def map_rows(explained: Mapping[str, common.Explained]) -> pd.DataFrame:
    """Measures of `injection_maps` that need no pass through a network, frame by frame.

    Returns
    -------
    video_id, label, detector, layer, bits, entropy, ratio and kept, see `layer_measures`.
    """
    parts = [_rows(name, layer, one) for name, one in explained.items() for layer in one.maps]
    return pd.concat(parts, ignore_index=True)


def layer_measures(
    study: Study, layer: str, beta: float, count: int, detectors: Iterable[str] = DETECTORS
) -> pd.DataFrame:
    """Measures of the maps at each layer, frame by frame.

    Parameters
    ----------
    count : number of real and of fake test videos, one frame of each

    Returns
    -------
    detector, layer, video_id, label, and per frame: bits (total), entropy (of the map over pixels,
    in bits), ratio (relevance inside the planted mask over chance; fakes only), kept (1 if the
    decision is the same with the bottleneck, else 0), deletion (area
    under the probability of the predicted class as the most relevant pixels are removed first),
    random (the same with pixels in random order), over_random (random minus deletion).
    """
    parts = []
    for detector, explained in injection_maps(study, layer, beta, count, detectors).items():
        rows, probabilities = explained.table, common.probabilities_of(study, detector)
        inputs = study.inputs(detector, rows)
        order = np.random.default_rng(study.seed).random(explained.masks.shape)
        random = deletion_areas(probabilities, inputs, order)
        for name, maps in explained.maps.items():
            deletion = deletion_areas(probabilities, inputs, maps)
            measures = _rows(detector, name, explained)
            gain = random - deletion
            parts.append(measures.assign(deletion=deletion, random=random, over_random=gain))
            study.progress(f"{detector} at {name}: {len(rows)} maps measured")
        give_back()
    return pd.concat(parts, ignore_index=True)


def layer_table(measures: pd.DataFrame, bootstrap: common.Bootstrap) -> pd.DataFrame:
    """Means of `layer_measures` by detector and layer, see `interval_table`."""
    shown = means_of((*LAYER_MEASURES, "kept"))
    return interval_table(measures, ["detector", "layer"], shown, bootstrap)


def layer_differences(
    measures: pd.DataFrame, defaults: Mapping[str, str], bootstrap: common.Bootstrap
) -> pd.DataFrame:
    """Measures of each layer minus those of the default layer, on the same frames.

    Parameters
    ----------
    defaults : default layer of each detector; the paper's choice for its two

    Returns
    -------
    name, detector, layer, and each of LAYER_MEASURES with _low and _high. The test of a difference
    is inconclusive if its interval contains 0. Default layers are left out.
    """
    default = measures.layer == measures.detector.map(defaults)
    pairs = measures[~default].merge(
        measures[default], on=["detector", "video_id"], suffixes=("", "_default")
    )
    pairs["name"] = pairs.layer + " - " + pairs.layer_default
    for measure in LAYER_MEASURES:
        pairs[measure] -= pairs[f"{measure}_default"]
    by = ["name", "detector", "layer"]
    return interval_table(pairs, by, means_of(LAYER_MEASURES), bootstrap)


def ours_and_others(
    measures: pd.DataFrame, measure: str, layer: str, bootstrap: common.Bootstrap
) -> Finding:
    """A measure at one layer minus its mean over the other layers, on the same source clips.

    Parameters
    ----------
    measures : rows of one detector, of `layer_measures` or `map_rows`
    """
    rows = measures.assign(ours=measures.layer == layer)
    means = rows.groupby(["video_id", "ours"], as_index=False)[measure].mean()
    return common.compared(means, measure, "ours", True, False, bootstrap)


def layer_difference(
    measures: pd.DataFrame, measure: str, pair: tuple[str, str], bootstrap: common.Bootstrap
) -> Finding:
    """A measure at the first minus at the second layer of a pair, on the same source clips."""
    return common.compared(measures, measure, "layer", *pair, bootstrap)


def against_best(
    measures: pd.DataFrame, measure: str, layer: str, bootstrap: common.Bootstrap
) -> tuple[Finding, str]:
    """A measure at a layer minus that at the other layer that comes closest, or passes it.

    Only maps of kept decisions count: others do not explain the decision. A layer is the best if it
    is better than each other one, so the largest p-value and the lowest interval count. That
    another layer is better is one of several comparisons, so its p-value is multiplied by their
    number (Bonferroni).

    Parameters
    ----------
    measures : rows of one detector, of `layer_measures` or `map_rows`

    Returns
    -------
    The finding, and the name of the other layer; "" if there is none.
    """
    rows = measures[measures.kept == 1]
    others = [name for name in measures.layer.unique() if name != layer]
    found = {n: layer_difference(rows, measure, (layer, n), bootstrap) for n in others}
    known = {name: one for name, one in found.items() if np.isfinite(one.estimate)}
    if not known:
        return common.level(rows.head(0), [], bootstrap), ""
    name = min(known, key=lambda other: known[other].estimate)
    least = known[name]
    if least.estimate > 0:
        p, low = (max(f.p for f in known.values()), min(f.low for f in known.values()))
        return least._replace(p=p, low=low), name
    return least._replace(p=min(1.0, least.p * len(known))), name


def choice_text(
    measures: pd.DataFrame, defaults: Mapping[str, str], bootstrap: common.Bootstrap
) -> str:
    """Whether relevance on the artefact confirms the default layers, see `against_best`.

    Parameters
    ----------
    measures, defaults : see `layer_differences`
    """
    sentences = []
    for name, rows in measures.groupby("detector", sort=False):
        layer = defaults[str(name)]
        if set(rows.layer) <= {layer}:
            continue
        found, other = against_best(rows, "ratio", layer, bootstrap)
        what = f"{name}, relevance on the artefact in maps of kept decisions"
        claim = f"{layer} is the best choice for {name}, if relevance on the artefact measures it"
        sentences.append(
            difference_text(what, layer, f"{other or 'another'}, the closest other layer", found)
        )
        sentences.append(claim_text(claim, claim_verdict(found, "higher")))
    return " ".join(sentences)


def kept_text(measures: pd.DataFrame) -> str:
    """How many decisions the bottleneck keeps at each layer, from `layer_measures`."""
    sentences = []
    for name, rows in measures.groupby("detector", sort=False):
        counts = rows.groupby("layer", sort=False).kept.agg(["sum", "count"])
        layers = ", ".join(
            f"{n} {row['sum']:.0f} of {row['count']:.0f}" for n, row in counts.iterrows()
        )
        sentences.append(f"{name}, decisions that the bottleneck keeps: {layers}.")
    if (measures.kept == 0).any():
        sentences.append("A map of a lost decision does not explain this decision.")
    return " ".join(sentences)


def deletion_text(measures: pd.DataFrame, bootstrap: common.Bootstrap) -> str:
    """Whether removing the most relevant pixels first is better than a random order, by layer.

    Parameters
    ----------
    measures : see `layer_measures`
    """
    sentences = []
    for name, rows in measures.groupby("detector", sort=False):
        found = {
            layer: common.level(part, part.over_random, bootstrap)
            for layer, part in rows.groupby("layer", sort=False)
        }
        said = [verdict(one) for one in found.values()]
        sentences.append(
            f"{name}: deletion is better than random order at {said.count(HIGHER)} of "
            f"{plural(len(found), 'layer')}, and worse at {said.count(LOWER)}."
        )
        sentences += [
            level_text(f"{layer}, random minus deletion", one, "random order")
            for layer, one in found.items()
        ]
    return " ".join(sentences)
