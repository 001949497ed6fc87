"""Clips made from photographs: a head that turns a little and moves its jaw."""

import math
from pathlib import Path

import cv2
import numpy as np

from viba_lib.core.errors import VibaError
from viba_lib.data.faces import FaceDetector, crop, square_box

WINDOW = 1.45  # side of a frame over that of the face box; a larger one shows other photographs
TURN = math.radians(7)  # largest turn of the head to a side, up or down
JAW = 0.05  # largest way of the jaw over half the width of the face


def photograph(path: Path, grid: int, number: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """One photograph of an image, cut to its face.

    Parameters
    ----------
    grid : photographs in a row and in a column of the image
    number : of the photograph, row by row
    size : largest side of the result in pixels

    Returns
    -------
    Image (S, S, 3) uint8 RGB, and landmarks (68, 2) in its pixels.

    Raises
    ------
    VibaError
        No image, or no face in the photograph.
    """
    image = cv2.imread(str(path))
    if image is None:
        raise VibaError(f"{path} cannot be read as an image; fetch it again: `viba data fetch`")
    height, width = image.shape[0] // grid, image.shape[1] // grid
    row, column = divmod(number, grid)
    cell = image[row * height : (row + 1) * height, column * width : (column + 1) * width, ::-1]
    cell, detector = np.ascontiguousarray(cell), FaceDetector()
    box = detector.largest(cell)
    if box is None:
        raise VibaError(f"photograph {number} of {path} has no face; expected one in each")
    square = square_box(box, WINDOW)
    side = min(size, round(square[2])) // 2 * 2
    corner = np.array(square[:2]) - square[2] / 2
    points = (detector.landmarks(cell, box) - corner) * side / square[2]
    return crop(cell, square, side), points.astype(np.float32)


def turning_head(
    image: np.ndarray, points: np.ndarray, length: int, rng: np.random.Generator
) -> np.ndarray:
    """A clip of a head that turns slowly to the sides, up and down, and moves its jaw.

    Depth is that of a smooth bulge over the face with a nose on it: near points move further than
    far ones, as they do in a video, and what is behind the head stays.

    Parameters
    ----------
    image : (H, W, 3) uint8
    points : (68, 2) landmarks in its pixels
    length : frames of the clip

    Returns
    -------
    (length, H, W, 3) uint8.
    """
    half = float(np.ptp(points[:, 0])) / 2
    shape = image.shape[:2]
    depth = half * _bump(shape, points[27:36].mean(0), 0.9 * half)
    depth += 0.3 * half * _bump(shape, points[30], 0.35 * half)
    jaw = JAW * half * _bump(shape, points[8], 0.7 * half)
    yaw, pitch = (np.sin(TURN * swing(length, rng, 16, 40)) for _ in range(2))
    mouth = np.abs(swing(length, rng, 5, 9))
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    frames = [
        cv2.remap(
            image, x - depth * yaw[t], y - depth * pitch[t] - jaw * mouth[t],
            cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT,
        )
        for t in range(length)
    ]  # fmt: skip
    return np.stack(frames)


def _bump(shape: tuple[int, int], centre: np.ndarray, width: float) -> np.ndarray:
    """A Gaussian of height 1 (H, W) float32 about a point (x, y)."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    square = (x - centre[0]) ** 2 + (y - centre[1]) ** 2
    return np.asarray(np.exp(-square / (2 * width**2)), np.float32)


def swing(length: int, rng: np.random.Generator, shortest: float, longest: float) -> np.ndarray:
    """A slow sine (length,) of random amplitude up to 1; shortest and longest period in frames."""
    period, phase = rng.uniform(shortest, longest), rng.uniform(0, 2 * np.pi)
    path = rng.uniform(0.5, 1) * np.sin(2 * np.pi * np.arange(length) / period + phase)
    return np.asarray(path, np.float32)
