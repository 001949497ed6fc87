"""One face along a video: detected in key frames, and tracked between them if it is missed."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import cv2
import dlib
import numpy as np

from viba_lib.data.faces import Box, FaceDetector

# Peak-to-sidelobe ratio of dlib's tracker. When a face leaves the image, the ratio falls from 12
# and more to below 6.
CONFIDENCE = 7.0
OVERLAP = 0.3


@dataclass(frozen=True)
class Sighting:
    """A face in a frame: its box, and whether it was tracked because the detector missed it."""

    box: Box
    tracked: bool


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = sum((right - left) * (bottom - top) for left, top, right, bottom in (one, other))
    return width * height / (areas - width * height)


def follow(box: Box, frames: Iterable[np.ndarray]) -> Box | None:
    """Track the face in a box of the first frame with dlib (Danelljan et al. 2014).

    Parameters
    ----------
    frames : RGB or greyscale, one after another

    Returns
    -------
    The box in the last frame, or None if the tracker lost the face.
    """
    tracker = None
    for frame in frames:
        grey = frame if frame.ndim == 2 else cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        if tracker is None:
            tracker = dlib.correlation_tracker()
            tracker.start_track(grey, dlib.rectangle(*box))
        # The ratio is not a number if the image is uniform.
        elif not tracker.update(grey) >= CONFIDENCE:
            return None
    if tracker is None:
        return None
    last = tracker.get_position()
    return round(last.left()), round(last.top()), round(last.right()), round(last.bottom())


class FaceTrack:
    """Find the same face in one key frame after another.

    Parameters
    ----------
    prefer : the first face if there are several, "largest" or "central"
    bridge : track a face that the detector misses; False = the face is lost
    """

    def __init__(
        self, detector: FaceDetector | None = None, prefer: str = "largest", bridge: bool = True
    ) -> None:
        self.detector = detector or FaceDetector()
        self.prefer, self.bridge = prefer, bridge
        self.last: Box | None = None

    def find(
        self, frame: np.ndarray, between: Callable[[], Iterable[np.ndarray]] = lambda: ()
    ) -> Sighting | None:
        """The face in a key frame (H, W, 3), or None.

        The detected face that overlaps the last one is the same. If there is none, the tracker
        runs over the frames between. If the tracker loses the face too, for example at a cut, a
        face is chosen again.

        Parameters
        ----------
        between : frames from the last one with a face to this one, both included
        """
        boxes = self.detector.boxes(frame)
        chosen, tracked = self._same(boxes, self.last), False
        if chosen is None and self.last is not None and self.bridge:
            followed = follow(self.last, between())
            chosen = self._same(boxes, followed)
            if chosen is None:
                chosen, tracked = followed, followed is not None
        if chosen is None:
            chosen = self._preferred(boxes, frame)
        self.last = chosen
        return None if chosen is None else Sighting(chosen, tracked)

    def _same(self, boxes: list[Box], last: Box | None) -> Box | None:
        if last is None:
            return None
        near = [box for box in boxes if overlap(box, last) >= OVERLAP]
        return max(near, key=lambda box: overlap(box, last), default=None)

    def _preferred(self, boxes: list[Box], frame: np.ndarray) -> Box | None:
        if self.prefer == "largest":
            return boxes[0] if boxes else None
        height, width = frame.shape[:2]

        def off_centre(box: Box) -> float:
            return float(np.hypot(box[0] + box[2] - width, box[1] + box[3] - height))

        return min(boxes, key=off_centre, default=None)
