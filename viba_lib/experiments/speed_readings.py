"""What the measurements of speed and convergence show, in words (`speed`)."""

import numpy as np
import pandas as pd

from viba_lib.bottleneck.precision import HOPELESS
from viba_lib.evaluation.sentences import verdict
from viba_lib.experiments.benchmark.temporal_coupling import ALONE
from viba_lib.experiments.common import Bootstrap, compared

COUPLED = {"iou": "IoU", "ratio": "relevance on the artefact / chance", "insertion": "insertion"}
NEAR = 0.1  # two costs that differ by less than this share count as equal: each call is timed once


def costs_text(costs: pd.DataFrame) -> str:
    """What `speed.layer_costs` says of the layers in its rows."""
    return " ".join(
        f"{row.detector} at {row.layer}: {row.downstream:.1f} of "
        f"{row.upstream + row.downstream:.1f} billion multiply-accumulates are downstream of the "
        f"layer. By this count, the same steps should take {row.expected:.1f} times less time."
        for row in costs.itertuples()
    )


def settings_text(timed: pd.DataFrame) -> str:
    """What `speed.measure_subject` found of the settings "default" and "fast", per detector."""
    rows = timed.set_index(["detector", "settings"])
    left = list(timed.settings[timed.seconds.isna()].unique())
    text = " ".join(
        f"{name}: the default setting is {rows.ratio[name, 'default']:.1f} times as fast as the "
        f"plain version and the setting fast {rows.ratio[name, 'fast']:.0f} times. Their agreement "
        f"with the mean map is {rows.agreement[name, 'default']:.3f} and "
        f"{rows.agreement[name, 'fast']:.3f}."
        for name in timed.detector.unique()
    )
    if left:
        text += (
            f" Not timed: {' and '.join(left)}, which this machine imitates. One step took more "
            f"than {HOPELESS:g} times as long as in float32."
        )
    return text


def growth_text(calls: pd.DataFrame) -> str:
    """How the cost of a call grows with its frames, from the costs of each further frame.

    Parameters
    ----------
    calls : frames (increasing) and seconds of calls, see `speed.growth`
    """
    frames, seconds = calls.frames.to_numpy(float), calls.seconds.to_numpy(float)
    measured = ", ".join(f"{s:.2f} s for {n:.0f}" for n, s in zip(frames, seconds, strict=True))
    text = f"Frames in a call and its time: {measured}."
    if len(frames) < 2:
        return text
    further = np.diff(seconds) / np.diff(frames)
    steps = ", ".join(
        f"{cost:.2f} s from {first:.0f} to {last:.0f} frames"
        for cost, first, last in zip(further, frames[:-1], frames[1:], strict=True)
    )
    return f"{text} Each further frame cost {steps}. {_shape(further)}"


def _shape(further: np.ndarray) -> str:
    if len(further) < 2:
        return "Two calls do not show whether the cost grows along a straight line."
    change = np.diff(further) / np.maximum(np.abs(further[:-1]), 1e-12)
    if (np.abs(change) <= NEAR).all():
        return "These costs are equal within 10 %, so the cost grows along a straight line."
    if (change < -NEAR).all():
        return (
            "The curve is concave, because each further frame costs less than the ones before. A "
            "cost of the call itself and a better use of the processor by more frames can both "
            "have this effect; this measurement does not separate them."
        )
    if (change > NEAR).all():
        return "The curve is convex, because each further frame costs more than the ones before."
    return (
        "These costs neither rise nor fall throughout. Each call was timed once, so the shape of "
        "the curve is not known."
    )


def convergence_text(ten: pd.Series, last: pd.Series, best: pd.Series) -> str:
    """What `convergence.summary` shows of the steps of the optimisation from the cold start."""
    return (
        f"Over {ten.frames:.0f} frames, the maps after {ten.steps:.0f} steps at beta "
        f"{ten.beta:g} contain {ten.bits:,.0f} bits per frame. Relevance on the artefact is "
        f"{ten.ratio:.1f} times chance, and the strongest pixel is on it in {ten.hit:.0%} of the "
        f"frames. After {last.steps:.0f} steps these are {last.bits:,.0f} bits, "
        f"{last.ratio:.1f} times and {last.hit:.0%}. The largest relevance on the artefact is at "
        f"beta {best.beta:g} after {best.steps:.0f} steps: {best.ratio:.1f} times chance, with "
        f"{best.bits:,.0f} bits."
    )


def coupling_text(scores: pd.DataFrame, bootstrap: Bootstrap) -> str:
    """What coupling and both controls change in `joint_scores`, with a verdict for each measure."""
    sentences = []
    means = scores.groupby("name", sort=False)[list(COUPLED)].mean()
    for name in means.index.drop(ALONE):
        changes = []
        for measure, what in COUPLED.items():
            found = compared(scores, measure, "name", name, ALONE, bootstrap)
            before, after = means.loc[[ALONE, name], measure]
            changes.append(f"{what} {before:.2f} becomes {after:.2f} ({verdict(found)})")
        sentences.append(f"{name.capitalize()}: {', '.join(changes)}.")
    return " ".join(sentences)
