"""Dense optical flow (Farneback 2003) and its colour coding."""

import cv2
import numpy as np

# Arguments of `cv2.calcOpticalFlowFarneback`, those of OpenCV's own example.
FARNEBACK = {
    "pyr_scale": 0.5, "levels": 3, "winsize": 15, "iterations": 3, "poly_n": 5, "poly_sigma": 1.2,
    "flags": 0,
}  # fmt: skip


def farneback(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Flow from one RGB frame (H, W, 3) to the next.

    Returns
    -------
    (H, W, 2) float32, (dx, dy) in pixels.
    """
    grey = [cv2.cvtColor(np.ascontiguousarray(f), cv2.COLOR_RGB2GRAY) for f in (first, second)]
    return cv2.calcOpticalFlowFarneback(grey[0], grey[1], None, **FARNEBACK)  # type: ignore[call-overload]


def texture(frames: np.ndarray) -> np.ndarray:
    """Texture from which flow can be estimated, for each frame.

    It is the median over a frame of the smaller eigenvalue of the structure tensor in Farneback's
    window, after Shi and Tomasi ("Good features to track", CVPR 1994). If it is small, the motion
    in at least one direction is not determined by the frames.

    Parameters
    ----------
    frames : (T, H, W, 3) uint8 RGB

    Returns
    -------
    (T,) squares of grey levels per pixel.
    """
    found = []
    for frame in frames:
        grey = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY).astype(np.float32)
        # The derivatives of this function are twice the slope.
        found.append(np.median(cv2.cornerMinEigenVal(grey, int(FARNEBACK["winsize"]))) / 4)
    return np.array(found, float)


def flow_to_rgb(flow: np.ndarray, maximum: float | None = None) -> np.ndarray:
    """Colour code of a flow field: hue is direction, brightness is length.

    Parameters
    ----------
    flow : (H, W, 2) in pixels
    maximum : length shown at full brightness; None = the 99th percentile, at least half a pixel

    Returns
    -------
    (H, W, 3) uint8 RGB.
    """
    length, angle = cv2.cartToPolar(flow[..., 0].copy(), flow[..., 1].copy(), angleInDegrees=True)
    top = maximum or max(0.5, float(np.percentile(length, 99)))
    hsv = np.full((*flow.shape[:2], 3), 255, np.uint8)
    hsv[..., 0] = angle / 2
    hsv[..., 2] = np.clip(length / top * 255, 0, 255)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def flow_to_input(flow: np.ndarray, scale: float = 0.01) -> np.ndarray:
    """Network input (3, H, W) float32: (dx, dy, length) of the local motion, clipped to [-3, 3].

    The median of the flow field, which is the motion of the head or the camera, is subtracted,
    because a region that does not move with the rest reveals a fake. Lengths are in units of
    `scale` times the side of the field. Raw vectors preserve sub-pixel motion, which the colour
    code loses.
    """
    local = flow - np.median(flow, axis=(0, 1))
    stacked = np.stack([local[..., 0], local[..., 1], np.linalg.norm(local, axis=-1)])
    stacked /= scale * flow.shape[0]
    return np.clip(stacked, -3, 3).astype(np.float32)


def scale_flow(flow: np.ndarray, size: int) -> np.ndarray:
    """Flow (h, w, 2) scaled to (size, size, 2); lengths become pixels of the new size."""
    if flow.shape[0] == size:
        return flow
    scaled = cv2.resize(flow, (size, size), interpolation=cv2.INTER_AREA)
    return scaled * (size / flow.shape[0])
