"""Answers of quiz questions that speak of a result, tested on the tables of a run."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from viba_lib.evaluation.sentences import (
    UNDECIDED,
    answer_text,
    claim_verdict,
    difference_text,
    number,
    plural,
)
from viba_lib.experiments.common import Bootstrap, compared
from viba_lib.experiments.injection_layer import ours_and_others
from viba_lib.experiments.target_class import other_class, turned_text

FEW_CALLS = 0.1  # difference in calls of fake up to which a detector does not detect a method
KINDS = ("temporal fakes", "real videos")


def motion_hidden(predictions: pd.DataFrame, bootstrap: Bootstrap) -> str:
    """Whether a detector of single frames calls frames of temporal methods fake.

    Parameters
    ----------
    predictions : test frames with video_id, label, p_fake and in_scope; fakes outside of the
        detector's scope are those of the temporal methods
    """
    temporal = (predictions.label == 1) & ~predictions.in_scope
    kept = predictions[temporal | (predictions.label == 0)]
    rows = kept[["video_id"]].assign(
        kind=np.where(kept.label == 1, *KINDS), called=(kept.p_fake > 0.5).astype(float)
    )
    found = compared(rows, "called", "kind", *KINDS, bootstrap)
    counts = ", ".join(
        f"{calls.sum():.0f} of {plural(len(calls), 'frame')} of {kind}"
        for kind, calls in rows.groupby("kind", sort=False).called
    )
    difference = difference_text("Fraction called fake", *KINDS, found)
    said = claim_verdict(found, "equal", FEW_CALLS)
    return f"Called fake are {counts}. {difference} {answer_text(said)}"


def totals_differ(measures: pd.DataFrame, defaults: Mapping[str, str], bootstrap: Bootstrap) -> str:
    """Whether the total of bits differs from layer to layer.

    Parameters
    ----------
    measures, defaults : see `injection_layer.layer_differences`
    """
    sentences = []
    for name, rows in measures.groupby("detector", sort=False):
        layer, bits = defaults[str(name)], rows.groupby("layer").bits.mean()
        if len(bits) < 2:
            continue
        found = ours_and_others(rows, "bits", layer, bootstrap)
        sentences += [
            f"{name}: {number(bits.min())} bits at {bits.idxmin()} to {number(bits.max())} at "
            f"{bits.idxmax()}.",
            difference_text("Bits", layer, "the mean of the other layers", found),
            answer_text(claim_verdict(found, "unequal")),
        ]
    return " ".join(sentences) or "Only one layer of each detector is explained in this run."


def target_preserves(explained: Mapping[str, pd.DataFrame], bootstrap: Bootstrap) -> str:
    """Whether a bottleneck for another class than the predicted one changes decisions.

    Parameters
    ----------
    explained : `target_class.explained_for_targets` of each detector
    """
    sentences = []
    for name, frames in explained.items():
        other = other_class(frames, bootstrap)
        # A higher probability alone is not a changed decision.
        said = claim_verdict(other.gain, "higher") if other.turned > 0 else UNDECIDED
        sentences.append(f"{name}: {turned_text(other)} {answer_text(said)}")
    return " ".join(sentences)
