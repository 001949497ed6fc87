"""Whether a video is similar to the frames that a detector was trained on.

Measures of its frames are compared with their ranges in training: the distance of the features at a
layer, and facts of the images that need no detector.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from viba_lib.data.flow import texture

OUTSIDE = "outside the training domain"
DISTANCE = "feature_distance"
SHRINKAGE = 0.01  # of each channel's variance towards their mean: a constant channel has none
COVERED = 0.95  # proportion of each person's frames that are in a range
MARGIN = 0.1  # smallest relative margin beside a range of facts
TEXTURE = "texture"
# A larger face or frame is scaled down to what training has, and more texture makes flow easier to
# estimate: these have no highest value.
ANY_ABOVE = ("face_size", "resolution", TEXTURE)
FINE = 1 / 150  # standard deviation of the blur that removes fine detail, in sides of the crop


def frame_facts(
    faces: np.ndarray,
    squares: np.ndarray,
    frames: Iterable[np.ndarray],
    flow_frames: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Facts of frames that need no detector.

    Parameters
    ----------
    faces : (T, S, S, 3) uint8 face crops
    squares : (T, 3) centre x, centre y and side of the crops, in pixels of the frame
    frames : (H, W) uint8 greyscale, decoded and not resized, one after another
    flow_frames : (T, S, S, 3) uint8 crops that flow is estimated from, for a motion detector

    Returns
    -------
    Arrays (T,): face_size, side of the crop in pixels of the frame; resolution, shorter side of the
    frame in pixels; sharpness, percentage of the variance of the crop's brightness that a slight
    blur removes; compression, see `smooth_run`; with `flow_frames`, texture, see
    `viba_lib.data.flow.texture`.
    """
    grey = faces.astype(np.float32).mean(-1)
    border = cv2.BORDER_REPLICATE  # a flat image stays flat
    sigma = FINE * faces.shape[1]
    fine = [g - cv2.GaussianBlur(g, (0, 0), sigma, borderType=border) for g in grey]
    power, total = np.square(fine).mean((1, 2)), grey.var((1, 2))
    size = faces.shape[1]
    found = [(min(f.shape), smooth_run(f, s, size)) for f, s in zip(frames, squares, strict=True)]
    resolution, compression = np.array(found, float).reshape(-1, 2).T
    facts = {
        "face_size": squares[:, 2].astype(float),
        "resolution": resolution,
        "sharpness": 100 * power / np.maximum(total, 1.0),
        "compression": compression,
    }
    return facts if flow_frames is None else facts | {TEXTURE: texture(flow_frames)}


def smooth_run(frame: np.ndarray, square: np.ndarray, size: int) -> float:
    """Mean distance in pixels between brightness extrema along rows and columns of a face.

    It is the reciprocal of the zero-crossing rate of Wang, Sheikh and Bovik ("No-reference
    perceptual quality assessment of JPEG compressed images", ICIP 2002). Codecs remove faint detail
    first, so it grows with the compression. Their ratio of differences at the borders of 8x8 blocks
    to those inside does not: H.264 smooths these borders. The bits per pixel of the stream do not
    describe the images either: a compressed video that is exported again can have many.

    Parameters
    ----------
    frame : (H, W) uint8 greyscale, as decoded: resizing changes the distance
    square : centre x, centre y and side of the crop
    size : side of the detector's crop; a much larger face is averaged over blocks of pixels first,
        because its detail is lost in the crop as well
    """
    x, y, side = map(float, square)
    rows, columns = (slice(max(0, round(c - side / 2)), round(c + side / 2)) for c in (y, x))
    step = max(1, round(side / size))
    face = frame[rows, columns]
    height, width = (n // step for n in face.shape)
    face = face[: height * step, : width * step].reshape(height, step, width, step)
    slopes = [np.diff(face.mean((1, 3)).round(), axis=axis) for axis in (0, 1)]
    changes = [d[1:] * d[:-1] < 0 for d in (slopes[0], slopes[1].T)]
    return 1 / max(float(np.mean([change.mean() for change in changes])), 1 / side)


@dataclass(frozen=True)
class Domain:
    """Ranges of measures of the frames that a detector was trained on.

    mean, variance (C,) of the layer's features; ranges: lowest and highest value of each measure
    that counts as inside; calibrated_on: splits and numbers of people behind the ranges.
    """

    mean: np.ndarray
    variance: np.ndarray
    ranges: dict[str, tuple[float, float]]
    calibrated_on: str

    @classmethod
    def calibrate(
        cls,
        features: np.ndarray,
        facts: Mapping[str, np.ndarray],
        people: np.ndarray,
        held_out: np.ndarray,
    ) -> "Domain":
        """Ranges in which the frames of a person that the detector was not trained on lie.

        The distance of training frames to themselves is too small for a range. It is taken from
        held-out people. If there is one or none, training people are left out one at a time, each
        compared with the others.

        Parameters
        ----------
        features : (N, C) of frames, one row per frame
        facts : (N,) above 0, by name; see `frame_facts`
        people : (N,) name of the person in each frame
        held_out : (N,) bool, validation frames; the others are training frames
        """
        trained = ~held_out
        names, new = np.unique(people[trained]), np.unique(people[held_out])
        mean, variance = _fit(features[trained], people[trained])
        distances = [_distance(features[held_out & (people == p)], mean, variance) for p in new]
        calibrated_on = f"validation split ({len(new)} {_people(new)})"
        if len(new) < 2 and len(names) > 1:
            calibrated_on += f" and training people left out one at a time ({len(names)} people)"
            for name in names:
                others, own = trained & (people != name), trained & (people == name)
                fit = _fit(features[others], people[others])
                distances.append(_distance(features[own], *fit))
        elif not len(new):
            calibrated_on = "training split (1 person), no held-out person"
            distances = [_distance(features, mean, variance)]
        highest = max(float(np.quantile(d, COVERED)) for d in distances)
        ranges = {name: _range(values, people) for name, values in facts.items()}
        ranges |= {name: (ranges[name][0], np.inf) for name in ANY_ABOVE if name in ranges}
        return cls(mean, variance, {DISTANCE: (0.0, highest)} | ranges, calibrated_on)

    def compare(self, features: np.ndarray, facts: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Whether a video is inside: the median over its frames is in the range of each measure.

        Parameters
        ----------
        features, facts : of its frames, as in `calibrate`

        Returns
        -------
        inside; measures, with value, low, high (None = no limit) and inside of each; calibrated_on.
        """
        values = {DISTANCE: _distance(features, self.mean, self.variance), **facts}
        measures = {}
        for name, (low, high) in self.ranges.items():
            value = float(np.median(values[name]))
            shown = {"value": value, "low": low, "high": high}
            rounded = {
                key: float(f"{number:.4g}") if np.isfinite(number) else None
                for key, number in shown.items()
            }
            measures[name] = rounded | {"inside": low <= value <= high}
        inside = all(measure["inside"] for measure in measures.values())
        return {"inside": inside, "measures": measures, "calibrated_on": self.calibrated_on}

    def save(self, path: Path) -> None:
        """Write as npz, without pickled objects."""
        np.savez(
            path, mean=self.mean, variance=self.variance, names=np.array(list(self.ranges)),
            ranges=np.array(list(self.ranges.values())), calibrated_on=np.array(self.calibrated_on),
        )  # fmt: skip

    @classmethod
    def load(cls, path: Path) -> "Domain":
        """Read what `save` wrote."""
        with np.load(path) as stored:
            bounds = [(float(low), float(high)) for low, high in stored["ranges"]]
            ranges = dict(zip(stored["names"].tolist(), bounds, strict=True))
            return cls(stored["mean"], stored["variance"], ranges, str(stored["calibrated_on"]))


def outside_text(report: Mapping[str, Any]) -> str:
    """The measures of `Domain.compare` that are outside, in words; "" if the video is inside."""
    found = [
        f"{name} {m['value']:g}, expected {m['low']:g} "
        + ("or more" if m["high"] is None else f"to {m['high']:g}")
        for name, m in report["measures"].items()
        if not m["inside"]
    ]
    return f"{OUTSIDE} ({'; '.join(found)})" if found else ""


def _people(names: np.ndarray) -> str:
    return "person" if len(names) == 1 else "people"


def _fit(features: np.ndarray, people: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and shrunk variance (C,) of features; every person has the same weight.

    Correlations are shrunk to none: there are more channels than frames.
    """
    groups = [features[people == name].astype(float) for name in np.unique(people)]
    mean = np.mean([group.mean(0) for group in groups], 0)
    variance = np.mean([((group - mean) ** 2).mean(0) for group in groups], 0)
    shrunk = (1 - SHRINKAGE) * variance + SHRINKAGE * variance.mean()
    return mean, np.maximum(shrunk, 1e-12)


def _distance(features: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Root mean square (N,) of the z-scores of features (N, C)."""
    return np.sqrt(((features - mean) ** 2 / variance).mean(1))


def _range(values: np.ndarray, people: np.ndarray) -> tuple[float, float]:
    """Range of most frames of every person, with a margin for people who are not there.

    The margin is how far the person farthest from the others lies outside their range, as a ratio.
    """
    logs = np.log(np.maximum(values, 1e-9))
    groups = [logs[people == name] for name in np.unique(people)]
    tail = (1 - COVERED) / 2
    bounds = np.array([np.quantile(group, [tail, 1 - tail]) for group in groups])
    margin = MARGIN
    for at, group in enumerate(groups if len(groups) > 1 else []):
        others, middle = np.delete(bounds, at, 0), np.median(group)
        margin = max(margin, others[:, 0].min() - middle, middle - others[:, 1].max())
    low, high = bounds[:, 0].min() - margin, bounds[:, 1].max() + margin
    return float(np.exp(low)), float(np.exp(high))
