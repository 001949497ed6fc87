"""The value that each of the paper's claims is about, from tables of a run (`15_paper_and_run`)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from viba_lib.core.words import plural
from viba_lib.evaluation import expected_calibration_error
from viba_lib.evaluation.agreement import REGIONS
from viba_lib.evaluation.clusters import with_units
from viba_lib.evaluation.sentences import Finding, finding, paired
from viba_lib.evaluation.swaps import swap_finding
from viba_lib.experiments import claims_by_design as design
from viba_lib.experiments import common, toy_claims
from viba_lib.experiments.affine_layers import UNDEFINED, forward_order, same_maps
from viba_lib.experiments.bottleneck_type import PER_SAMPLE, READOUT, stored_types
from viba_lib.experiments.consistency import consistency_by_video
from viba_lib.experiments.face_parts import PARTS, relevance_by_part
from viba_lib.experiments.human_agreement import regions_by_video
from viba_lib.experiments.injection_layer import (
    against_best,
    injection_maps,
    layer_difference,
    map_rows,
)
from viba_lib.experiments.localisation import localisation
from viba_lib.experiments.region_claims import part_shares
from viba_lib.models.detectors import DETECTORS
from viba_lib.models.xception import XCEPTION_LAYERS
from viba_lib.pipeline.study import Study

FACE, FLOW = DETECTORS
MEASURED, BETA = 6, 0.0  # defaults of `05_injection_layer`, whose stored maps are opened again
Values = Callable[[pd.DataFrame], pd.Series]  # from rows of `relevance_by_part`
_over_attribution = cache(toy_claims.over_attribution)


class Measured(NamedTuple):
    """A finding, and what else the table says of it."""

    found: Finding
    note: str = ""


@dataclass(frozen=True)
class ClaimTables:
    """Tables of one run that the tests of claims read; each has detector and video_id.

    Parameters
    ----------
    frames : `explained_frames`
    consistency : `consistency_by_video` at half of the maximum
    regions : `regions_by_video`
    parts, shares : `relevance_by_part` and `part_shares`
    layers : `map_rows` of the injection layers
    same : `same_maps` of layers and their batch norms
    order : injection layers of Xception in the order of a forward pass
    types, overlaps : `stored_types` of the face detector
    localisation : `localisation` at the default layers
    predictions : `held_out_predictions` of the motion detector
    bootstrap : samples, seed and units
    """

    frames: pd.DataFrame
    consistency: pd.DataFrame
    regions: pd.DataFrame
    parts: pd.DataFrame
    shares: pd.DataFrame
    layers: pd.DataFrame
    same: pd.DataFrame
    order: list[str]
    types: pd.DataFrame
    overlaps: pd.DataFrame
    localisation: pd.DataFrame
    predictions: pd.DataFrame
    bootstrap: common.Bootstrap

    def found(self, rows: pd.DataFrame, value: Any, at: float = 0.0) -> Finding:
        """Finding of a value of each row."""
        return common.level(rows, value, self.bootstrap, at)

    def difference(
        self, rows: pd.DataFrame, measure: str, column: str, first: object, second: object
    ) -> Finding:
        """Finding of a measure, first minus second, paired by source clip."""
        return common.compared(rows, measure, column, first, second, self.bootstrap)


def claim_tables(study: Study) -> ClaimTables:
    """The tables of a study, from maps that the chapters share and store."""
    videos = {name: list(common.explained_videos(study, name)) for name in DETECTORS}
    explained = injection_maps(study, "all", BETA, MEASURED)
    face = explained[FACE]
    inputs = study.inputs(FACE, face.table.head(1)) if len(face.table) else torch.zeros(0)
    order, pairs = forward_order(study.detector(FACE), XCEPTION_LAYERS, inputs)
    types, overlaps = stored_types(study, FACE)

    def each(table: Callable[[str], pd.DataFrame]) -> pd.DataFrame:
        return common.stacked({name: table(name) for name in DETECTORS}).reset_index(drop=True)

    return ClaimTables(
        frames=each(lambda name: common.explained_frames(study, name)),
        consistency=each(lambda name: consistency_by_video(videos[name], [0.5])),
        regions=each(lambda name: regions_by_video(videos[name])),
        parts=each(lambda name: relevance_by_part(videos[name])),
        shares=each(lambda name: part_shares(videos[name])),
        layers=map_rows(explained),
        same=same_maps(face.maps, pairs, face.table),
        order=order,
        types=types,
        overlaps=overlaps,
        localisation=each(lambda name: localisation(study, name)),
        predictions=common.held_out_predictions(study, FLOW),
        bootstrap=common.Bootstrap.of(study),
    )


def _of(rows: pd.DataFrame, detector: str) -> pd.DataFrame:
    return rows[rows.detector == detector]


def _consistent(detector: str, t: ClaimTables) -> Measured:
    rows = _of(t.consistency, detector)
    return Measured(t.found(rows, design.beyond_unrelated(rows), 0.5))


def _real_minus_fake(detector: str, t: ClaimTables) -> Measured:
    return Measured(t.difference(_of(t.consistency, detector), "iou", "label", "real", "fake"))


def _detectors_iou(t: ClaimTables) -> Measured:
    return Measured(t.difference(t.consistency, "iou", "detector", FACE, FLOW))


def _detectors_tcs(t: ClaimTables) -> Measured:
    factor = t.consistency.detector.map({FACE: 2, FLOW: 1})
    rows = t.consistency.assign(tcs=t.consistency.tcs * factor)
    return Measured(t.difference(rows, "tcs", "detector", FLOW, FACE))


def _accuracy(detector: str, t: ClaimTables) -> Measured:
    rows = _of(t.frames, detector) if detector else t.frames
    right = {c: (rows[c] > 0.5) == rows.label for c in ("p_fake_bottleneck", "p_fake")}
    return Measured(t.found(rows, right["p_fake_bottleneck"] * 1.0 - right["p_fake"]))


def _randomness(t: ClaimTables) -> Measured:
    decisions = t.frames.filter(regex=r"^p_fake_\d+$") > 0.5
    share = decisions.mean(axis=1)
    return Measured(t.found(t.frames, np.minimum(share, 1 - share)))


def _overconfidence(t: ClaimTables) -> Measured:
    rows = _of(t.frames, FACE)
    confidence = [np.maximum(rows[c], 1 - rows[c]) for c in ("p_fake_bottleneck", "p_fake")]
    return Measured(t.found(rows, confidence[0] - confidence[1]))


def _calibration(t: ClaimTables) -> Measured:
    pair = ("p_fake_bottleneck", "p_fake")

    def error(columns: Mapping[str, Any]) -> dict[str, float]:
        p = np.asarray(columns[pair[0]])
        return {"ece": expected_calibration_error(np.c_[1 - p, p], np.asarray(columns["label"]))}

    return Measured(swap_finding(_of(t.frames, FACE), error, pair, *t.bootstrap))


def _layer(detector: str, layer: str, t: ClaimTables) -> Measured:
    found, other = against_best(_of(t.layers, detector), "ratio", layer, t.bootstrap)
    return Measured(found, f"the other layer is {other}" if other else "")


def _diffuse(detector: str, first: str, second: str, t: ClaimTables) -> Measured:
    pair = (first, second)
    return Measured(layer_difference(_of(t.layers, detector), "entropy", pair, t.bootstrap))


def _affine(t: ClaimTables) -> Measured:
    known = t.same.correlation.dropna()
    note = (
        f"rank correlation of both maps {known.median():.6f} (median of "
        f"{plural(len(known), 'frame')}), largest difference of a pixel "
        f"{t.same.difference.max():.2%} of the maximum"
        if len(known)
        else UNDEFINED
    )
    return Measured(_diffuse(FACE, "conv3", "bn3", t).found, note if len(t.same) else "")


def _order(t: ClaimTables) -> design.Fact:
    text = f"the forward pass reaches them in the order {', '.join(t.order)}"
    return design.Fact(text, t.order == list(XCEPTION_LAYERS))


def _types(measure: str, first: str, second: str, t: ClaimTables) -> Measured:
    rows = t.overlaps if measure == "iou" else t.types
    return Measured(t.difference(rows, measure, "type", first, second))


def _marked(detector: str, letter: str, at: float, t: ClaimTables) -> Measured:
    rows = _of(t.regions, detector)
    return Measured(t.found(rows, rows.highlighted.str.contains(letter) * 1.0, at))


def _most_marked(detector: str, letter: str, t: ClaimTables) -> Measured:
    rows = _of(t.regions, detector)
    own, count = rows.highlighted.str.contains(letter) * 1.0, rows.highlighted.str.len()
    return Measured(t.found(rows, own - (count - own) / (len(REGIONS) - 1)))


def _parts(detector: str, value: Values, at: float, t: ClaimTables) -> Measured:
    rows = _of(t.parts, detector) if detector else t.parts
    return Measured(t.found(rows, value(rows), at))


def _fake_minus_real(detector: str, measure: str, t: ClaimTables) -> Measured:
    return Measured(t.difference(_of(t.shares, detector), measure, "label", "fake", "real"))


def _similar_parts(t: ClaimTables) -> Measured:
    rows = with_units(_of(t.parts, FACE), t.bootstrap.units)
    profiles = rows.groupby(["clip", "label"])[list(PARTS)].mean().unstack("label")
    similar = {
        clip: row.unstack("label").corr("spearman").iloc[0, -1] for clip, row in profiles.iterrows()
    }
    return Measured(t.found(rows, rows["clip"].map(similar)))


def _flow_finds(t: ClaimTables) -> Measured:
    return Measured(t.difference(t.predictions, "p_fake", "label", 1, 0))


def _localised(detector: str, t: ClaimTables) -> Measured:
    rows = _of(t.localisation, detector)
    return Measured(t.found(rows, rows.ratio - rows.centre))


def _saturation(t: ClaimTables) -> Measured:
    rows = toy_claims.saturation(seed=t.bootstrap.seed)
    note = f"the gradient is zero everywhere for {(rows.gradient == 0).sum()} of {len(rows)} inputs"
    values = rows[["video_id"]].assign(value=rows.bottleneck)
    return Measured(finding(values, None, t.bootstrap.samples, at=toy_claims.EVIDENCE), note)


def _off_evidence(first: str, second: str, t: ClaimTables) -> Measured:
    rows = _over_attribution(seed=t.bootstrap.seed)
    means = rows.groupby("method").outside.mean()
    note = f"{first} {means[first]:.2f}, {second} {means[second]:.2f}"
    differences = paired(rows, "outside", "method", first, second)
    return Measured(finding(differences, None, t.bootstrap.samples), note)


Test = Callable[[ClaimTables], Measured | design.Fact]


def _fact(test: Callable[[], design.Fact]) -> Test:
    return lambda _: test()


# By the names of `tables/claims.yaml`; those that are not tested are left out.
TESTS: Mapping[str, Test] = {
    "consistent-xception": partial(_consistent, FACE),
    "consistent-flow": partial(_consistent, FLOW),
    "printed-iou-xception": _fact(partial(design.printed_iou, FACE)),
    "printed-iou-flow": _fact(partial(design.printed_iou, FLOW)),
    "top1": _fact(design.printed_top1),
    "over-time": _fact(design.over_time),
    "in-bits": _fact(design.bits_are_information),
    "no-internals": _fact(design.without_internals),
    "no-data": _fact(design.without_data),
    "post-hoc": _fact(design.after_training),
    "over-attribution": partial(_off_evidence, "gradient", "bottleneck"),
    "iterations": partial(_off_evidence, "bottleneck, early", "bottleneck"),
    "generalisation": partial(_accuracy, ""),
    "block4": partial(_layer, FACE, "block4"),
    "features9": partial(_layer, FLOW, "features.9"),
    "depth": _order,
    "bn3-conv3": _affine,
    "abstract-xception": partial(_diffuse, FACE, "bn4", "block4"),
    "abstract-flow": partial(_diffuse, FLOW, "features.16", "features.9"),
    "readout-clear": partial(_types, "entropy", READOUT, PER_SAMPLE),
    "readout-right": partial(_types, "ratio", PER_SAMPLE, READOUT),
    "readout-consistent": partial(_types, "iou", READOUT, PER_SAMPLE),
    "accuracy-xception": partial(_accuracy, FACE),
    "accuracy-flow": partial(_accuracy, FLOW),
    "printed-accuracy": _fact(design.printed_accuracy),
    "randomness": _randomness,
    "calibration": _calibration,
    "overconfidence": _overconfidence,
    "real-xception": partial(_real_minus_fake, FACE),
    "real-flow": partial(_real_minus_fake, FLOW),
    "iou-detectors": _detectors_iou,
    "tcs-detectors": _detectors_tcs,
    "tcs-meaning": _fact(design.tcs_is_stability),
    "rpi-meaning": _fact(design.rpi_is_stability),
    "recall": lambda t: design.recall_is_of_maps(_of(t.regions, FACE), t.bootstrap.seed),
    "overlap": lambda t: design.overlap_adds(t.regions),
    "flow-brows": partial(_most_marked, FLOW, "B"),
    "flow-chin": partial(_marked, FLOW, "C", 0.0),
    "xception-chin": partial(_marked, FACE, "C", design.MARKED / len(REGIONS)),
    "xception-eyes": partial(_parts, FACE, lambda p: (p.nose + p.forehead) / 2 - p.eyes, 0.0),
    "flow-eyes-ears": partial(_parts, FLOW, lambda p: (p.eyes + p.ears) / 2, 1.0),
    "forehead-eyes": partial(_fake_minus_real, FACE, "forehead"),
    "nose-cheeks": partial(_fake_minus_real, FACE, "nose_ears"),
    "flow-nose": partial(_fake_minus_real, FLOW, "nose"),
    "flow-chin-real": partial(_fake_minus_real, FLOW, "chin"),
    "similar-areas": _similar_parts,
    "temporal-artefacts": _flow_finds,
    "outside": partial(_parts, "", lambda p: p.outside, 1.0),
    "grad-cam": _fact(design.grad_cam_last_layer),
    "saturation": _saturation,
    "no-cnn": _fact(design.without_convolutions),
    "weak-annotation-xception": partial(_localised, FACE),
    "weak-annotation-flow": partial(_localised, FLOW),
}
