"""One face along a film: detected in key frames, followed between them where it is lost."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import dlib
import numpy as np

from viba_lib.data.faces import Box, FaceDetector

# dlib's tracker tells how far its peak stands out. On films in which a face leaves the picture it
# falls from 12 and more to below 6.
CONFIDENCE = 7.0
OVERLAP = 0.3
PREFERENCES = ("largest", "central")


@dataclass(frozen=True)
class Sighting:
    """A face in a frame: its box, how many the detector saw there, and whether it saw this one."""

    box: Box
    faces: int
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
    """Where the face in a box of the first frame is in the last one.

    dlib's correlation tracker (Danelljan et al. 2014); frames are RGB or grey.

    Returns
    -------
    The box, or None where the tracker lost it on the way.
    """
    tracker = None
    for frame in frames:
        grey = frame if frame.ndim == 2 else cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        if tracker is None:
            tracker = dlib.correlation_tracker()
            tracker.start_track(grey, dlib.rectangle(*box))
        # Not a number where the picture is flat.
        elif not tracker.update(grey) >= CONFIDENCE:
            return None
    if tracker is None:
        return None
    place = tracker.get_position()
    left, top, right, bottom = place.left(), place.top(), place.right(), place.bottom()
    return round(left), round(top), round(right), round(bottom)


class FaceTrack:
    """Finds the same face in one key frame after another.

    Parameters
    ----------
    prefer : which face is taken first where there are several, "largest" or "central"
    bridge : follow a face that the detector does not see; False = it is lost
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

        The detected face that overlaps the one before is the same. Where there is none such, the
        tracker goes through the frames between; where it loses the face, too, as behind a cut, the
        choice is made anew.

        Parameters
        ----------
        between : gives the frames from the last one with a face to this one, both included
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
        return None if chosen is None else Sighting(chosen, len(boxes), tracked)

    def _same(self, boxes: list[Box], last: Box | None) -> Box | None:
        near = [box for box in boxes if last is not None and overlap(box, last) >= OVERLAP]
        return max(near, key=lambda box: overlap(box, last)) if last and near else None

    def _preferred(self, boxes: list[Box], frame: np.ndarray) -> Box | None:
        if not boxes or self.prefer == "largest":
            return boxes[0] if boxes else None
        middle = np.array([frame.shape[1], frame.shape[0]]) / 2
        centres = [np.array([box[0] + box[2], box[1] + box[3]]) / 2 for box in boxes]
        return boxes[int(np.argmin([np.linalg.norm(c - middle) for c in centres]))]


def sightings(
    frames: Sequence[np.ndarray], numbers: Iterable[int], track: FaceTrack | None = None
) -> list[Sighting | None]:
    """The face in some frames of a film that is in memory, ascending; see `FaceTrack.find`."""
    track = track or FaceTrack()
    found, last = [], 0
    for number in numbers:
        between = [*frames[last:number], frames[number]]
        found.append(track.find(frames[number], partial(list, between)))
        last = number if found[-1] else last
    return found
