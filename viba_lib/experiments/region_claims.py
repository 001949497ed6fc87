"""Findings of the paper's Section 4 on face regions, each measured on this run's maps.

The paper found them by looking at maps and gives no numbers.
"""

from collections.abc import Iterable, Mapping

import cv2
import numpy as np
import pandas as pd

from viba_lib.evaluation.agreement import enlarged, hull_mask, region_masks
from viba_lib.evaluation.sentences import Direction, claim_text, claim_verdict
from viba_lib.experiments.common import Bootstrap, ExplainedVideo, compared

LEFT_EYE, RIGHT_EYE, NOSE = slice(36, 42), slice(42, 48), slice(27, 36)  # of 68 landmarks
EARS = (1, 15)  # the points of the jaw beside the ears
# Measures of `part_shares`, in which the paper finds fakes and real videos to differ: the detector,
# the direction of fake minus real, and the finding.
FINDINGS: Mapping[str, tuple[str, Direction, str]] = {
    "forehead": (
        "xception",
        "higher",
        "maps of fakes mark the forehead and those of real videos the eyes",
    ),
    "nose_ears": (
        "xception",
        "higher",
        "maps of fakes mark nose and ears and those of real videos the cheeks",
    ),
    "nose": (
        "flow-vgg11",
        "lower",
        "maps of real videos mark the nose more often than those of fakes",
    ),
    "chin": (
        "flow-vgg11",
        "lower",
        "maps of real videos mark the chin more often than those of fakes",
    ),
}

MEANING = {
    "forehead": "relevance of the forehead, as a fraction of that of forehead and eyes,",
    "nose_ears": "relevance of nose and ears, as a fraction of that of nose, ears and cheeks,",
    "nose": "the fraction of frames with a marked nose",
    "chin": "the fraction of frames with a marked chin",
}


def part_masks(landmarks: np.ndarray, size: int) -> dict[str, np.ndarray]:
    """Parts of the paper's regions as masks; their borders are ours, as those of `region_masks`.

    Parameters
    ----------
    landmarks : (68, 2) in units of the crop, 0 to 1
    size : side of the masks in pixels

    Returns
    -------
    Masks (size, size) bool of eyes, forehead (above the brows), nose, ears (a disc beside each end
    of the jaw), cheeks, chin, mouth, edges of the face and outside of it.
    """
    p, regions = np.asarray(landmarks, float), region_masks(landmarks, size)
    left, right = (hull_mask(enlarged(p[eye], 1.5), size) for eye in (LEFT_EYE, RIGHT_EYE))
    eyes, nose = left | right, hull_mask(enlarged(p[NOSE], 1.2), size)
    above = np.arange(size)[:, None] / size < p[17:27, 1].min()
    ears, width = np.zeros((size, size), np.uint8), np.ptp(p[:17, 0])
    for point in EARS:
        outwards = 0.05 * width * np.sign(p[point, 0] - p[:17, 0].mean())
        at = np.round((p[point] + [outwards, 0]) * size).astype(int)
        cv2.circle(ears, at.tolist(), max(1, round(0.08 * width * size)), 1, -1)
    return {
        "eyes": eyes,
        "forehead": regions["B"] & above,
        "nose": nose,
        "ears": ears.astype(bool),
        "cheeks": regions["N"] & ~nose & ~eyes,
        "chin": regions["C"],
        "mouth": regions["L"],
        "edges": regions["E"],
        "outside": regions["O"],
    }


def part_shares(videos: Iterable[ExplainedVideo]) -> pd.DataFrame:
    """How maps rank the parts of a face, one row per explained video, real or fake.

    Returns
    -------
    video_id, label ("fake" or "real"); forehead: mean relevance there over the sum of the means of
    forehead and eyes, 0.5 if they are alike; nose_ears: the same of nose and ears over nose and
    ears, and cheeks; nose and chin: fraction of the frames in which the mean relevance there is
    above that of the frame. NaN for a map of zeros, or a part outside of the crop.
    """
    rows = []
    for video in videos:
        values = pd.DataFrame(map(_frame_shares, video.relevance, video.landmarks)).mean()
        label = video.label
        rows.append({"video_id": video.video_id, "label": label, **values})
    return pd.DataFrame(rows, columns=["video_id", "label", *FINDINGS])


def _frame_shares(relevance: np.ndarray, landmarks: np.ndarray) -> dict[str, float]:
    masks = part_masks(landmarks, relevance.shape[-1])

    def mean(*names: str) -> float:
        mask = np.logical_or.reduce([masks[name] for name in names])
        return float(relevance[mask].mean()) if mask.any() else np.nan

    def share(first: float, second: float) -> float:
        return first / (first + second) if first + second else np.nan

    def above(name: str) -> float:
        value, frame = mean(name), float(relevance.mean())
        return float(value > frame) if frame and not np.isnan(value) else np.nan

    return {
        "forehead": share(mean("forehead"), mean("eyes")),
        "nose_ears": share(mean("nose", "ears"), mean("cheeks")),
        "nose": above("nose"),
        "chin": above("chin"),
    }


def findings_table(shares: Mapping[str, pd.DataFrame], bootstrap: Bootstrap) -> pd.DataFrame:
    """The paper's findings on face regions, one per row, with what this run measures.

    Parameters
    ----------
    shares : `part_shares` of each detector

    Returns
    -------
    claim, detector, measure, fake and real (means), difference (fake minus real, a mean over source
    clips) with low and high, p, clips, people, and verdict (see `claim_verdict`).
    """
    rows = []
    for measure, (detector, expected, claim) in FINDINGS.items():
        videos = shares[detector]
        found = compared(videos, measure, "label", "fake", "real", bootstrap)
        means = videos.groupby("label")[measure].mean().reindex(["fake", "real"])
        row = {"claim": claim, "detector": detector, "measure": measure, **means}
        row |= {"difference": found.estimate, "low": found.low, "high": found.high, "p": found.p}
        row |= {"clips": found.clips, "people": found.people}
        rows.append(row | {"verdict": claim_verdict(found, expected)})
    return pd.DataFrame(rows)


def findings_text(table: pd.DataFrame) -> str:
    """What `findings_table` shows of each finding."""
    return " ".join(
        f"{row.detector}: {MEANING[row.measure]} is {row.fake:.2f} in fakes and {row.real:.2f} in "
        f"real videos. {claim_text(row.claim, row.verdict)}"
        for row in table.itertuples()
    )
