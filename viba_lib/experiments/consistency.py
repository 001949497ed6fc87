"""Tables of temporal consistency: Table 3 and its thresholds."""

from collections.abc import Iterable, Mapping, Sequence

import cv2
import numpy as np
import pandas as pd

from viba_lib.evaluation import consistency as measures
from viba_lib.evaluation.faithfulness import entropy
from viba_lib.evaluation.sentences import (
    Direction,
    claim_text,
    claim_verdict,
    difference_text,
)
from viba_lib.evaluation.significance import Columns, interval_table, mean_of, means_of
from viba_lib.experiments import common
from viba_lib.models.detectors import DETECTORS
from viba_lib.pipeline.study import Study

NAMES = {"iou": "IoU", "tcs": "TCS", "rpi": "RPI", "persistence": "persistence"}
CONSISTENCY = tuple(NAMES)
FLAT = ("iou_chance", "effective_area")  # how much of a score a flat map explains
MOSTLY = 0.75  # fraction of an IoU that random masks of the same area reach
# Section 4 of the paper on maps of real videos, compared with those of fakes.
LABEL_CLAIMS: Mapping[str, Direction] = {"iou": "higher", "rpi": "lower"}
# Section 4 of the paper on maps of the face detector, compared with those of the motion detector.
DETECTOR_CLAIMS: Mapping[str, Direction] = {"iou": "higher", "tcs": "lower"}
PAPER_SIZE = 924  # pixels a side, section 3.4
THRESHOLDS = (0.1, 0.3, 0.5, 0.7, 0.9)


def chance_iou(area: float) -> float:
    """Expected IoU of two independent random masks that cover the share `area` of a frame."""
    return area / (2 - area)


def consistency_by_video(
    videos: Iterable[common.ExplainedVideo], thresholds: Sequence[float], rule: str = "frame"
) -> pd.DataFrame:
    """IoU, TCS, RPI and persistence of explained videos, at the paper's 924 px.

    Parameters
    ----------
    thresholds, rule : see `evaluation.consistency.highlight`

    Returns
    -------
    video_id, label, frames, cuts (scenes minus one), threshold, empty (fraction of frames without a
    highlighted pixel), the measures, iou_chance (see `chance_iou`) and effective_area (2 to the
    power of the map's entropy, as a fraction of its pixels; 1 for a constant map). One row per
    video and threshold.
    """
    rows = []
    for video in videos:
        cuts, size = measures.cuts_of(video.squares), (PAPER_SIZE, PAPER_SIZE)
        relevance = np.stack(
            [cv2.resize(r, size, interpolation=cv2.INTER_LINEAR) for r in video.relevance]
        )
        label = video.label
        facts = (video.video_id, label, len(video.frames), len(cuts))
        bits = np.array([entropy(one) for one in video.relevance])
        effective_area = float((2**bits).mean() / video.relevance[0].size)
        for threshold in thresholds:
            masks = measures.highlight(relevance, threshold, rule)
            empty = float((~masks.any((1, 2))).mean())
            iou, tcs = measures.mean_iou(masks, cuts), measures.temporal_consistency(masks)
            rpi = measures.region_persistence(masks, cuts)
            persistence = measures.pixel_persistence(masks, cuts)
            flat = (chance_iou(tcs), effective_area)
            rows.append((*facts, threshold, empty, iou, tcs, rpi, persistence, *flat))
    columns = ["video_id", "label", "frames", "cuts", "threshold", "empty", *CONSISTENCY, *FLAT]
    return pd.DataFrame(rows, columns=columns)


def consistency(study: Study, thresholds: Sequence[float], rule: str = "frame") -> pd.DataFrame:
    """`consistency_by_video` for the explained videos of each `detector`, fakes first."""
    tables = {
        name: consistency_by_video(common.explained_videos(study, name), thresholds, rule)
        for name in DETECTORS
    }
    return common.stacked({k: v.sort_values("label", kind="stable") for k, v in tables.items()})


def table_3(videos: pd.DataFrame, bootstrap: common.Bootstrap) -> pd.DataFrame:
    """Means over videos with 95 % intervals (paper's Table 3).

    Parameters
    ----------
    videos : `consistency` at one threshold
    """
    by = ["detector", "label"]
    sums = {"frames": ("frames", "sum"), "cuts": ("cuts", "sum"), "empty": ("empty", "mean")}
    facts = videos.groupby(by).agg(**sums).reset_index()
    table = interval_table(videos, by, means_of(CONSISTENCY), bootstrap, count="videos")
    flat = videos.groupby(by)[list(FLAT)].mean().reset_index()
    return table.merge(facts, on=by).merge(flat, on=by)


def real_minus_fake(videos: pd.DataFrame, bootstrap: common.Bootstrap) -> pd.DataFrame:
    """How much more consistent maps of real videos are: the paper's claim, with 95 % intervals.

    Parameters
    ----------
    videos : `consistency` at one threshold

    Returns
    -------
    detector and each measure's mean over real minus that over fake videos, with _low and _high.
    """

    def difference(rows: Columns) -> dict[str, float]:
        real, fake = (rows["label"] == label for label in ("real", "fake"))
        return {m: mean_of(rows[m][real]) - mean_of(rows[m][fake]) for m in CONSISTENCY}

    return interval_table(videos, ["detector"], difference, bootstrap, count="videos")


def threshold_sweep(videos: pd.DataFrame) -> pd.DataFrame:
    """Mean IoU, TCS, RPI and persistence per detector, label and threshold, of `consistency`."""
    groups = videos.groupby(["detector", "label", "threshold"])
    return groups[list(CONSISTENCY)].mean().reset_index()


def flat_text(table: pd.DataFrame) -> str:
    """How much of each IoU follows from the area that the maps highlight.

    Parameters
    ----------
    table : detector, label, iou and tcs; `table_3`, or that of the paper
    """
    sentences, flat = [], []
    for row in table.dropna(subset=["iou"]).itertuples():
        # A mean over videos if there are any; the paper prints means of the area only.
        chance = getattr(row, "iou_chance", chance_iou(row.tcs))
        name = f"{row.detector}, {row.label}"
        area = f"{name}: {row.tcs:.0%} of the frame is highlighted"
        if hasattr(row, "effective_area"):
            area += f", and the entropy of the maps is that of {row.effective_area:.0%} of it"
        sentences.append(
            f"{area}. Independent random masks of this area have an IoU of {chance:.2f}; the IoU "
            f"of the maps is {row.iou:.2f}."
        )
        if row.iou and chance >= MOSTLY * row.iou:
            flat.append(name)
    if flat:
        sentences.append(
            f"So the area explains most of the IoU of: {'; '.join(flat)}. A high IoU and a high "
            "TCS are then no evidence of a consistent explanation. For the printed "
            "numbers this holds if their TCS is the area, as in Eq. (3) of the paper."
        )
    else:
        sentences.append("So in no row does the area explain most of the IoU.")
    return " ".join(sentences)


def label_text(videos: pd.DataFrame, bootstrap: common.Bootstrap) -> str:
    """Whether maps of real videos are more consistent than those of fakes, as the paper finds.

    Parameters
    ----------
    videos : `consistency` at one threshold
    """
    sentences = []
    for name, part in videos.groupby("detector", sort=False):
        for measure, better in LABEL_CLAIMS.items():
            found = common.compared(part, measure, "label", "real", "fake", bootstrap)
            what = f"{NAMES[measure]} of {name}"
            claim = f"the {what} is {better} for real videos"
            sentences.append(difference_text(what, "real videos", "fakes", found))
            sentences.append(claim_text(claim, claim_verdict(found, better)))
    return " ".join(sentences)


def detectors_table(videos: pd.DataFrame, bootstrap: common.Bootstrap) -> pd.DataFrame:
    """Consistency of both detectors' maps on the same source clips, beside the paper's Section 4.

    Parameters
    ----------
    videos : `consistency` at one threshold

    Returns
    -------
    measure, the mean of each detector, difference (first minus second, a mean over source clips)
    with low and high, p, clips, people, and claim (see `claim_verdict`; "" if the paper has none).
    """
    first, second = DETECTORS
    means = videos.groupby("detector")[list(CONSISTENCY)].mean()
    rows = []
    for measure in CONSISTENCY:
        found = common.compared(videos, measure, "detector", first, second, bootstrap)
        expected = DETECTOR_CLAIMS.get(measure)
        claim = claim_verdict(found, expected) if expected else ""
        row = {"measure": measure, first: means[measure][first], second: means[measure][second]}
        row |= {"difference": found.estimate, "low": found.low, "high": found.high, "p": found.p}
        rows.append(row | {"clips": found.clips, "people": found.people, "claim": claim})
    return pd.DataFrame(rows)


def detectors_text(videos: pd.DataFrame, bootstrap: common.Bootstrap) -> str:
    """Which of both detectors has the more consistent maps, measure by measure."""
    first, second = DETECTORS
    sentences = []
    for measure, expected in DETECTOR_CLAIMS.items():
        found = common.compared(videos, measure, "detector", first, second, bootstrap)
        claim = f"the {NAMES[measure]} of {first} is {expected} than that of {second}"
        sentences.append(difference_text(NAMES[measure], first, second, found))
        sentences.append(claim_text(claim, claim_verdict(found, expected)))
    return " ".join(sentences)


def sweep_text(sweep: pd.DataFrame) -> str:
    """How far the threshold moves the measures of `threshold_sweep`, on the same maps."""
    means = sweep.groupby("threshold")[["iou", "tcs", "persistence"]].mean()
    first, last = means.index[0], means.index[-1]
    moves = ", ".join(
        f"{NAMES[str(name)]} from {values.iloc[0]:.2f} to {values.iloc[-1]:.2f}"
        for name, values in means.items()
    )
    rising = [
        NAMES[str(name)] for name, values in means.items() if (values.diff().dropna() > 0).any()
    ]
    text = f"On the same maps, from a threshold of {first:g} to one of {last:g}: {moves}."
    if rising:
        return f"{text} Not all fall at each step: {', '.join(rising)}."
    return f"{text} All of them fall at each step."
