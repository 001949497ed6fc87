"""Corruptions of frames, to measure how robust a detector is."""

from collections.abc import Callable, Iterator

import cv2
import numpy as np

from viba_lib.core.errors import VibaError
from viba_lib.data.video import compress, jpeg

Corruption = Callable[[np.ndarray, float], np.ndarray]


def _blur(image: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(image, (0, 0), sigma)


def _brightness(image: np.ndarray, factor: float) -> np.ndarray:
    return np.clip(np.round(image * np.float32(factor)), 0, 255).astype(np.uint8)


def _resolution(image: np.ndarray, share: float) -> np.ndarray:
    height, width = image.shape[:2]
    size = (max(1, round(width * share)), max(1, round(height * share)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def _h264(frames: np.ndarray, crf: float) -> np.ndarray:
    return compress(frames, int(crf))


def _each(change: Corruption) -> Corruption:
    """Frame by frame."""
    return lambda frames, level: np.stack([change(frame, level) for frame in frames])


# Function of consecutive frames (T, H, W, 3), levels from mild to strong, and meaning of the level.
CORRUPTIONS: dict[str, tuple[Corruption, tuple[float, ...], str]] = {
    "jpeg": (_each(jpeg), (90, 70, 50, 30, 10), "quality"),
    "h264": (_h264, (18, 25, 32, 40), "crf"),
    "blur": (_each(_blur), (0.5, 1, 2, 4), "sigma, px of the crop"),
    "brightness": (_each(_brightness), (0.4, 0.7, 1.3, 1.6), "factor"),
    "resolution": (_each(_resolution), (0.75, 0.5, 0.25, 0.125), "fraction of the side"),
}
UNCHANGED = "unchanged"
# What videos go through between a camera and a viewer; detectors are calibrated on it.
ORDINARY = ((UNCHANGED, 0.0), ("jpeg", 50.0), ("h264", 32.0), ("resolution", 0.5))


def corrupt(frames: np.ndarray, corruption: str, level: float) -> np.ndarray:
    """A corrupted frame, or corrupted consecutive frames; same shape and type.

    Parameters
    ----------
    frames : (H, W, 3) or (T, H, W, 3) uint8. H.264 predicts a frame from the one before, so it
        changes the motion between frames that are compressed together less, and differently
    corruption : one of CORRUPTIONS, or "unchanged"
    level : see CORRUPTIONS

    Raises
    ------
    VibaError
        Unknown corruption.
    """
    if corruption == UNCHANGED:
        return frames
    if corruption not in CORRUPTIONS:
        raise VibaError(
            f"corruption {corruption!r} is not known; choose one of {', '.join(CORRUPTIONS)}"
        )
    if frames.ndim == 3:
        return corrupt(frames[None], corruption, level)[0]
    return CORRUPTIONS[corruption][0](np.ascontiguousarray(frames), level)


def levels() -> Iterator[tuple[str, float]]:
    """The unchanged image, then every corruption at each of its levels."""
    yield UNCHANGED, float("nan")
    for name, (_, strengths, _) in CORRUPTIONS.items():
        for strength in strengths:
            yield name, float(strength)
