"""Decisions with bottlenecks that are optimised for the predicted, true and a random class."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from viba_lib.evaluation.detection import detection_metrics
from viba_lib.evaluation.sentences import HIGHER, Finding, difference_text, plural, verdict
from viba_lib.evaluation.significance import Columns, interval_table
from viba_lib.experiments import common
from viba_lib.pipeline.study import Study

NONE = "none"  # the detector without a bottleneck
# Targets of the bottleneck, and the probabilities of fake that it gives.
TARGETS = {
    NONE: "p_fake",
    "predicted": "p_fake_bottleneck",
    "true": "p_fake_true",
    "random": "p_fake_random",
}
Explain = Callable[[pd.DataFrame, str], np.ndarray]


class OtherClass(NamedTuple):
    """A bottleneck for the random class, in frames that the detector decides for the other one.

    Parameters
    ----------
    frames : number of these frames
    turned : proportion whose decision is the random class with the bottleneck
    gain : probability of the random class, with the bottleneck minus without
    """

    frames: int
    turned: float
    gain: Finding


def with_targets(frames: pd.DataFrame, explain: Explain, seed: int = 0) -> pd.DataFrame:
    """Rows with the probabilities of fake for the other targets of the bottleneck.

    Of two classes, one is the predicted one. Therefore a frame is explained again only if its true
    or its random class is the other one.

    Parameters
    ----------
    frames : `explained_frames` of a detector
    explain : function from rows and a target, "true" or "false", to probabilities of fake
    seed : of the random classes

    Returns
    -------
    The rows with random (class 0 or 1), p_fake_true and p_fake_random.
    """
    predicted, label = (frames.p_fake > 0.5).to_numpy(int), frames.label.to_numpy()
    random = np.random.default_rng(seed).integers(2, size=len(frames))
    other = frames.p_fake_bottleneck.to_numpy(copy=True)
    wrong = predicted != label
    for target, again in (("true", wrong), ("false", ~wrong & (random != predicted))):
        if again.any():
            other[again] = explain(frames[again], target)
    p_random = np.where(random != predicted, other, frames.p_fake_bottleneck)
    p_true = np.where(wrong, other, frames.p_fake_bottleneck)
    return frames.assign(random=random, p_fake_true=p_true, p_fake_random=p_random)


def explained_for_targets(study: Study, detector: str) -> pd.DataFrame:
    """`with_targets` for the explained frames of a study."""

    def explain(again: pd.DataFrame, target: str) -> np.ndarray:
        which = again[["video_id", "position"]]
        rows = which.merge(study.evaluation_rows(detector), validate="one_to_one")
        return np.asarray(study.explain(detector, rows, target=target).p_fake_bottleneck.values)

    return with_targets(common.explained_frames(study, detector), explain, study.seed)


def decisions(frames: pd.DataFrame) -> pd.DataFrame:
    """One row per frame of `with_targets` and target of the bottleneck.

    Returns
    -------
    video_id, label, target, p_fake, right (0 or 1), confidence (probability of the class decided
    for), and gain: probability of the target class with the bottleneck minus the one without.
    """
    predicted = (frames.p_fake > 0.5).astype(int)
    classes = {NONE: predicted, "predicted": predicted, "true": frames.label}
    parts = []
    for target, column in TARGETS.items():
        p_fake, asked = frames[column], classes.get(target, frames["random"])
        rows = frames[["video_id", "label"]].assign(target=target, p_fake=p_fake)
        rows["right"] = ((p_fake > 0.5) == frames.label).astype(float)
        rows["confidence"] = np.maximum(p_fake, 1 - p_fake)
        rows["gain"] = (p_fake - frames.p_fake) * np.where(asked == 1, 1, -1)
        parts.append(rows)
    return pd.concat(parts, ignore_index=True)


def _measures(rows: Columns) -> dict[str, float]:
    more = {name: float(np.mean(rows[name])) for name in ("confidence", "gain")}
    return detection_metrics(rows["label"], rows["p_fake"]) | more


def target_table(
    explained: Mapping[str, pd.DataFrame], bootstrap: common.Bootstrap
) -> pd.DataFrame:
    """Detection for each target of the bottleneck.

    Parameters
    ----------
    explained : `explained_for_targets` of each detector

    Returns
    -------
    detector, target, frames, videos, and with _low and _high: accuracy, precision, recall, auc,
    ece, confidence (mean) and gain (mean, see `decisions`).
    """
    rows = common.stacked({name: decisions(frames) for name, frames in explained.items()})
    return interval_table(rows, ["detector", "target"], _measures, bootstrap)


def targets_text(explained: Mapping[str, pd.DataFrame], bootstrap: common.Bootstrap) -> str:
    """How accuracy depends on the target of the bottleneck, and what follows from it.

    Parameters
    ----------
    explained : `explained_for_targets` of each detector
    """
    sentences = []
    for name, frames in explained.items():
        rows = decisions(frames)
        right, gain = (rows.groupby("target")[column].mean() for column in ("right", "gain"))
        listed = ", ".join(
            f"{right[target]:.3f} with one for the {target} class (whose probability changes by "
            f"{gain[target]:+.3f})"
            for target in TARGETS
            if target != NONE
        )
        sentences.append(
            f"{name}: the accuracy is {right[NONE]:.3f} without a bottleneck, {listed}."
        )
        turned = ((frames.p_fake_bottleneck > 0.5) != (frames.p_fake > 0.5)).mean()
        sentences.append(f"The one for the predicted class turns {turned:.0%} of the decisions.")
        for target in TARGETS:
            if target != NONE:
                found = common.compared(rows, "right", "target", target, NONE, bootstrap)
                what = f"a bottleneck for the {target} class"
                sentences.append(difference_text("Accuracy", what, "no bottleneck", found))
        sentences.append(_meaning(frames, bootstrap))
    return " ".join(sentences)


def other_class(frames: pd.DataFrame, bootstrap: common.Bootstrap) -> OtherClass:
    """What the bottleneck does in frames whose random class is not the predicted one.

    Parameters
    ----------
    frames : `explained_for_targets` of a detector
    """
    other = frames[frames["random"] != (frames.p_fake > 0.5)]
    rows = decisions(other)
    return OtherClass(
        frames=len(other),
        turned=float(((other.p_fake_random > 0.5) == other["random"]).mean()),
        gain=common.compared(rows, "gain", "target", "random", NONE, bootstrap),
    )


def turned_text(other: OtherClass) -> str:
    """How often a bottleneck for another than the predicted class turns the decision."""
    if not other.frames:
        return "The random class is the predicted one in all frames."
    return (
        f"In {plural(other.frames, 'frame')}, the random class is not the predicted one. The "
        f"bottleneck for it turns {other.turned:.0%} of their decisions. "
        + difference_text(
            "Probability of this class", "this bottleneck", "no bottleneck", other.gain
        )
    )


def _meaning(frames: pd.DataFrame, bootstrap: common.Bootstrap) -> str:
    """What frames with another random than predicted class say about the predicted class."""
    other = other_class(frames, bootstrap)
    text = turned_text(other)
    if not other.frames:
        return text
    if verdict(other.gain) != HIGHER:
        return f"{text} So this run does not show that decisions follow the target."
    return (
        f"{text} The bottleneck raises the probability of its target, even if the detector "
        "predicts the other class. If the target is the predicted class, it confirms the "
        "decision. An accuracy without a drop is then close to a tautology. It is not evidence "
        "that the map shows what the decision needs."
    )
