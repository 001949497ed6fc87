"""What the tables of detection performance show, in words (`08_detection_performance`)."""

import numpy as np
import pandas as pd

from viba_lib.evaluation.detection import detection_metrics
from viba_lib.evaluation.sentences import (
    ILLUSTRATION,
    NOT_COMPUTED,
    claim_text,
    claim_verdict,
    difference_text,
    number,
    verdict,
)
from viba_lib.evaluation.significance import Columns
from viba_lib.evaluation.swaps import swap_finding
from viba_lib.experiments import common
from viba_lib.experiments.detection import ByDetector, detection_by_method

UNCHANGED = 0.02  # a smaller change of the accuracy counts as none


def cost_text(explained: ByDetector, bootstrap: common.Bootstrap) -> str:
    """What the bottleneck changes in accuracy and AUC of each detector, frame by frame.

    The paper says that the performance does not drop. That the accuracy changes by less than
    UNCHANGED is this book's reading of it.

    Parameters
    ----------
    explained : `explained_frames` of each detector
    """
    sentences = []
    for name, frames in explained.items():
        right = {
            with_it: (frames[column] > 0.5) == frames.label
            for with_it, column in ((False, "p_fake"), (True, "p_fake_bottleneck"))
        }
        parts = [
            frames[["video_id"]].assign(bottleneck=with_it, right=values.astype(float))
            for with_it, values in right.items()
        ]
        found = common.compared(pd.concat(parts), "right", "bottleneck", True, False, bootstrap)
        what = difference_text(f"Accuracy of {name} per frame", "the bottleneck", "none", found)
        claim = (
            f"the accuracy of {name} does not change, which this book takes as a change of less "
            f"than {100 * UNCHANGED:.0f} points per frame"
        )
        fake = [(frames[column] > 0.5).mean() for column in ("p_fake", "p_fake_bottleneck")]
        called = (
            f"{name} calls {fake[0]:.0%} of the frames fake without it and {fake[1]:.0%} with it."
        )
        if fake[1] in (0, 1) and fake[0] not in (0, 1):
            called += " With the bottleneck, it decides for one class only."
        order = swap_finding(frames, _auc, ("p_fake_bottleneck", "p_fake"), *bootstrap)
        sentences += [
            what,
            called,
            claim_text(claim, claim_verdict(found, "equal", UNCHANGED)),
            difference_text(f"AUC of {name} per frame", "the bottleneck", "none", order),
        ]
    return " ".join(sentences)


def _auc(columns: Columns) -> dict[str, float]:
    return {"auc": detection_metrics(columns["label"], columns["p_fake_bottleneck"])["auc"]}


def noise_text(table: pd.DataFrame, samples: int) -> str:
    """How much a single sample of the noise changes the accuracy of `table_2`, beside its interval.

    Parameters
    ----------
    samples : of the noise
    """
    rows = table[table.bottleneck & (table.unit == "frame")]
    widths = rows.accuracy_high - rows.accuracy_low
    sentences = [
        f"{row.detector}: over {samples} samples of the noise, the accuracy per frame has a "
        f"standard deviation of {row.accuracy_std:.4f}. Its 95 % interval is {width:.3f} wide."
        for row, width in zip(rows.itertuples(), widths, strict=True)
    ]
    if (rows.accuracy_std < widths / 4).all():
        sentences.append(
            "The choice of videos changes the accuracy more than a sample of the noise does, so "
            "more samples would gain little for the accuracy."
        )
    return " ".join(sentences)


def methods_text(explained: ByDetector, bootstrap: common.Bootstrap) -> str:
    """Which methods each detector finds, which it never finds, and what the bottleneck changes.

    Parameters
    ----------
    explained : `explained_frames` of each detector
    """
    sentences = []
    for name, frames in explained.items():
        table = detection_by_method(frames)
        fakes = table[table.method != "real"].sort_values("without", kind="stable")
        if len(fakes):
            best, worst = fakes.iloc[-1], fakes.iloc[0]
            sentences.append(f"{name}: most found is {_found(best)}, least found {_found(worst)}.")
        never = fakes[fakes.without == 0]
        if len(never):
            names = ", ".join(f"{row.method} ({row.frames} frames)" for row in never.itertuples())
            sentences.append(f"Not one frame is found of {names}.")
        changed = table[table.without != table.with_bottleneck]
        moves = ", ".join(
            f"{row.method} from {row.without:.0%} to {row.with_bottleneck:.0%}"
            for row in changed.itertuples()
        )
        sentences.append(f"The bottleneck changes {moves or 'no method'}.")
        sentences += _against_real(frames, bootstrap)
    return " ".join(sentences)


def _against_real(frames: pd.DataFrame, bootstrap: common.Bootstrap) -> list[str]:
    """Share called fake of each method minus that of the real clips that its fakes are made from.

    Methods with too few videos are named at the end.
    """
    few, sentences = [], []
    rows = frames.assign(called=(frames.p_fake > 0.5).astype(float))
    for method in sorted(set(rows.method[rows.label == 1])):
        part = rows[(rows.label == 0) | (rows.method == method)]
        found = common.compared(part, "called", "label", 1, 0, bootstrap)
        if verdict(found) in (ILLUSTRATION, NOT_COMPUTED):
            few.append(str(method))
        else:
            what = f"Share called fake, {method}"
            sentences.append(difference_text(what, "fakes", "their real clips", found))
    if few:
        sentences.append(f"Too few videos or people for a verdict: {', '.join(few)}.")
    return sentences


def _found(row: pd.Series) -> str:
    return f"{row.method} ({row.without:.0%} of {row.frames} frames, videos: {row.videos})"


def mcnemar_text(tests: pd.DataFrame) -> str:
    """What `mcnemar_tests` counts, and what its p-value is worth."""
    counts = " ".join(
        f"{row.detector}, {row.unit}s: {row.only_without} of {row.count} are right only without "
        f"the bottleneck and {row.only_with} only with it (p = {number(row.p_value)})."
        for row in tests.itertuples(name="Test")
    )
    return (
        f"{counts} The test takes frames or videos as independent. Frames of a video are not, and "
        "neither are the real video and the fakes of one source clip, so these p-values tend to "
        "be too small. The sentences below Table 2 count source clips."
    )


def calibration_text(explained: ByDetector) -> str:
    """Mean confidence, accuracy and ECE of each detector, and where a change of the ECE is from."""
    sentences = []
    for name, frames in explained.items():
        facts = {column: _calibration(frames, column) for column in ("p_fake", "p_fake_bottleneck")}
        (before, right, ece), (after, right_after, ece_after) = facts.values()
        kind = "under" if before < right else "over"
        sentences.append(
            f"{name}: without the bottleneck, the mean confidence is {before:.3f} and "
            f"{right:.3f} of the decisions are right, so the detector is {kind}confident on "
            f"average. With it, these are {after:.3f} and {right_after:.3f}. The ECE goes from "
            f"{ece:.3f} to {ece_after:.3f}."
        )
        if ece_after < ece and after > before and kind == "under":
            sentences.append(
                "The lower ECE is a side effect: a bottleneck for the predicted class raises "
                "confidence, and the confidence of an underconfident detector was too low."
            )
        elif ece_after < ece and after > before:
            sentences.append("The ECE is lower although the confidence has risen.")
        elif ece_after > ece:
            sentences.append("The ECE is higher with the bottleneck, without a test here.")
    return " ".join(sentences)


def _calibration(frames: pd.DataFrame, column: str) -> tuple[float, float, float]:
    """Mean confidence, accuracy and ECE of the probabilities of fake in a column."""
    found = common.detection_of(column)(frames)
    confidence = np.maximum(frames[column], 1 - frames[column]).mean()
    return float(confidence), found["accuracy"], found["ece"]
