"""Key frames: peaks of blurred frame differences, as the paper's detector finds them.

After Ibaceta (2023), video-keyframe-detector: differences of consecutive blurred greyscale frames,
without their baseline, and peaks over a threshold.
"""

from collections.abc import Iterable

import cv2
import numpy as np


def blurred(frame: np.ndarray) -> np.ndarray:
    """Greyscale, blurred version (H, W) float32 of a frame, of which differences are taken."""
    grey = frame if frame.ndim == 2 else cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    return cv2.GaussianBlur(grey, (11, 11), 0).astype(np.float32)


def frame_differences(frames: Iterable[np.ndarray]) -> np.ndarray:
    """Mean absolute difference (T,) of each blurred grey frame to the one before; the first is 0.

    Parameters
    ----------
    frames : RGB (H, W, 3) or grey (H, W) uint8, one after another
    """
    differences, before = [], None
    for frame in frames:
        grey = blurred(frame)
        differences.append(0.0 if before is None else float(np.abs(grey - before).mean()))
        before = grey
    return np.array(differences, np.float64)


def baseline(differences: np.ndarray) -> np.ndarray:
    """Slow part of differences (T,): the curve that a large ball rolled under them touches."""
    # Here and below: SciPy takes a second to import, and most commands find no key frames.
    from skimage.restoration import rolling_ball

    top = differences.max()
    return rolling_ball(differences / top, radius=max(3, len(differences) // 4)) * top


def without_baseline(differences: np.ndarray) -> np.ndarray:
    """Differences (T,) without their slow part, scaled to a maximum of 1."""
    if len(differences) < 3 or np.ptp(differences) == 0:
        return np.zeros_like(differences)
    rest = (differences - baseline(differences)) / differences.max()
    return rest / rest.max() if rest.max() > 0 else rest


def key_frames(
    differences: np.ndarray,
    threshold: float = 0.3,
    minimum: int = 1,
    maximum: int | None = None,
) -> np.ndarray:
    """Indices of key frames, ascending; never the last frame, which has no successor.

    Parameters
    ----------
    differences : (T,), see `frame_differences`
    threshold : minimum height of a peak, as a fraction of the highest
    minimum : if there are fewer peaks, evenly spaced frames are added
    maximum : if there are more peaks, the highest are kept
    """
    from scipy.signal import find_peaks

    signal = without_baseline(differences)
    last = len(signal) - 1
    if last < 1:
        return np.zeros(0, int)
    peaks, _ = find_peaks(np.r_[signal[:-1], 0], height=threshold)
    if maximum is not None and len(peaks) > maximum:
        peaks = peaks[np.argsort(signal[peaks])[::-1][:maximum]]
    chosen = set(peaks.tolist())
    wanted = min(minimum, last)
    even = np.linspace(0, last - 1, 2 * wanted + 1).round().astype(int)[1::2].tolist()
    for index in [*even, *range(last)]:
        if len(chosen) >= wanted:
            break
        chosen.add(index)
    return np.array(sorted(chosen), int)
