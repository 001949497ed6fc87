"""Planting artefacts whose position is known to the pixel.

Fakes are self-blended (Shiohara & Yamasaki 2022, arXiv:2204.08376): a region of a face is
altered and blended back onto the *same* face under a soft mask made from the 68 landmarks. No
identity is put on another. The temporal methods leave each single frame clean and only disturb the
motion of a region, which a motion detector can find and a face detector cannot.
"""

from typing import Any

import cv2
import numpy as np

from viba_lib.core.errors import VibaError

SPATIAL = ("whole_face", "mouth", "eyes_brows", "nose_cheeks", "chin_neck", "blending_edge")
TEMPORAL = ("jitter", "lag", "freeze")
METHODS = SPATIAL + TEMPORAL
TEMPORAL_REGIONS = ("whole_face", "mouth", "eyes_brows", "nose_cheeks")

_POINTS: dict[str, list[int]] = {
    "mouth": list(range(48, 68)),
    "eyes_brows": [*range(17, 27), *range(36, 48)],
    "nose_cheeks": [1, 2, 3, 28, 31, 32, 33, 34, 35, 13, 14, 15],
    "chin_neck": [*range(4, 13), 57],
}


def region_polygon(points: np.ndarray, region: str) -> np.ndarray:
    """Outline of a region of the face.

    Parameters
    ----------
    points : (68, 2) landmarks, any unit
    region : one of the spatial methods

    Returns
    -------
    (K, 2) convex outline in the same unit.
    """
    if region in ("whole_face", "blending_edge"):
        # The 68 points end at the brows: the forehead is the brows moved up by a third of the
        # distance from brows to chin.
        brows = points[17:27]
        lift = (points[8] - brows.mean(0)) * 0.33
        chosen = np.concatenate([points[:17], brows - lift])
    else:
        chosen = points[_POINTS[region]]
        if region == "chin_neck":
            below = (points[8] - points[33]) * 0.45
            chosen = np.concatenate([chosen, points[5:12] + below])
        grow = {"mouth": 1.35, "eyes_brows": 1.2}.get(region, 1.0)
        chosen = chosen.mean(0) + (chosen - chosen.mean(0)) * grow
    hull = cv2.convexHull(chosen.astype(np.float32))
    return hull[:, 0]


def soft_mask(
    shape: tuple[int, int], points: np.ndarray, region: str, softness: float, wobble: np.ndarray
) -> np.ndarray:
    """Soft mask of a region.

    Parameters
    ----------
    shape : (height, width)
    points : (68, 2) landmarks in pixels
    softness : standard deviation of the edge in units of the face's width
    wobble : (8,) radial deformation of the outline, so that no two masks have the same shape

    Returns
    -------
    (H, W) float32 in [0, 1].
    """
    outline = region_polygon(points, region)
    centre = outline.mean(0)
    arms = outline - centre
    angles = np.arctan2(arms[:, 1], arms[:, 0])
    grid = np.linspace(-np.pi, np.pi, len(wobble) + 1)
    outline = centre + arms * (1 + np.interp(angles, grid, np.append(wobble, wobble[0])))[:, None]
    mask: np.ndarray = np.zeros(shape, np.float32)
    cv2.fillPoly(mask, [np.round(outline * 8).astype(np.int32)], 1.0, cv2.LINE_AA, shift=3)
    sigma = max(0.8, softness * float(np.ptp(points[:, 0])))
    mask = cv2.GaussianBlur(mask, (0, 0), sigma)
    return np.clip(4 * mask * (1 - mask), 0, 1) if region == "blending_edge" else mask


def _sample_alteration(rng: np.random.Generator) -> dict[str, Any]:
    """Changes of colour, sharpness, position and size of the altered copy, constant in a clip."""
    sign = rng.choice([-1, 1], size=8)
    return {
        "shift": sign[:3] * rng.uniform(4, 20, 3),
        "gain": 1 + sign[3] * rng.uniform(0.03, 0.18),
        "saturation": 1 + sign[4] * rng.uniform(0.05, 0.35),
        "sharpness": rng.choice(["blur", "sharpen", "downscale"]),
        "strength": rng.uniform(0.3, 1.0),
        "move": sign[5:7] * rng.uniform(0.006, 0.03, 2),
        "scale": 1 + sign[7] * rng.uniform(0.01, 0.06),
        "ratio": rng.choice([0.6, 0.8, 1.0, 1.0]),
    }


def _alter(frame: np.ndarray, points: np.ndarray, change: dict[str, Any]) -> np.ndarray:
    """Altered copy of a frame: the "source" of a self-blended image."""
    out = frame.astype(np.float32)
    grey = out.mean(2, keepdims=True)
    out = (grey + (out - grey) * change["saturation"]) * change["gain"] + change["shift"]
    out = np.clip(out, 0, 255).astype(np.float32)
    face = float(np.ptp(points[:, 0]))
    if change["sharpness"] == "downscale":
        factor = max(0.2, 0.7 - 0.4 * change["strength"])
        small = cv2.resize(out, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        out = cv2.resize(small, (frame.shape[1], frame.shape[0]), interpolation=cv2.INTER_LINEAR)
    else:
        blurred = cv2.GaussianBlur(out, (0, 0), 0.4 + 0.012 * face * change["strength"])
        sharpen = out + (out - blurred) * (0.5 + 1.5 * change["strength"])
        out = blurred if change["sharpness"] == "blur" else np.clip(sharpen, 0, 255)
    return move(out, change["move"] * face, change["scale"], points.mean(0))


def move(image: np.ndarray, by: np.ndarray, scale: float, centre: np.ndarray) -> np.ndarray:
    """Shift an image by `by` pixels (x, y), sub-pixel, and scale it about `centre`."""
    offset = centre * (1 - scale) + by
    matrix = np.array([[scale, 0, offset[0]], [0, scale, offset[1]]], np.float64)
    size = (image.shape[1], image.shape[0])
    return cv2.warpAffine(image, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)


def _blend(frame: np.ndarray, other: np.ndarray, mask: np.ndarray) -> np.ndarray:
    mixed = frame + (other.astype(np.float32) - frame) * mask[..., None]
    return np.clip(np.round(mixed), 0, 255).astype(np.uint8)


def plant(
    frames: np.ndarray,
    landmarks: np.ndarray,
    method: str,
    rng: np.random.Generator,
    region: str | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Plant one artefact in a clip.

    Parameters
    ----------
    frames : (T, H, W, 3) uint8, RGB
    landmarks : (T, 68, 2) in pixels
    method : one of `METHODS`; the temporal ones need T >= 2
    rng : random generator; the same state gives the same fake
    region : region that a temporal method disturbs, None = sampled

    Returns
    -------
    fakes : (T, H, W, 3) uint8
    masks : (T, H, W) float32 in [0, 1], the fraction of each pixel that was replaced

    Raises
    ------
    VibaError
        Unknown method, or a temporal one on a single frame.
    """
    if method not in METHODS:
        raise VibaError(f"method {method!r} is not known; choose one of {', '.join(METHODS)}")
    if method in TEMPORAL and len(frames) < 2:
        raise VibaError(f"{method!r} disturbs motion and needs two frames or more, got 1")
    temporal = method in TEMPORAL
    region = region or (str(rng.choice(TEMPORAL_REGIONS)) if temporal else method)
    wobble = rng.uniform(-0.12, 0.12, 8)
    softness = rng.uniform(0.01, 0.05)
    change = _sample_alteration(rng)
    shape = frames.shape[1:3]
    masks = np.stack([soft_mask(shape, p, region, softness, wobble) for p in landmarks])
    if temporal:
        others = _disturb(frames, landmarks, method, rng)
    else:
        others = [_alter(f, p, change) for f, p in zip(frames, landmarks, strict=True)]
        masks *= change["ratio"]
    fakes = [_blend(*item) for item in zip(frames, others, masks, strict=True)]
    return np.stack(fakes), masks.astype(np.float32)


def _disturb(
    frames: np.ndarray, landmarks: np.ndarray, method: str, rng: np.random.Generator
) -> list[np.ndarray]:
    """Frames with disturbed motion, to be blended in; the content of each frame stays real."""
    face = float(np.ptp(landmarks[..., 0], axis=1).mean())
    out, held = [], 0
    for t, frame in enumerate(frames):
        if method == "jitter":
            angle, size = rng.uniform(0, 2 * np.pi), face * rng.uniform(0.010, 0.026)
            by = size * np.array([np.cos(angle), np.sin(angle)])
            out.append(move(frame.astype(np.float32), by, 1.0, landmarks[t].mean(0)))
            continue
        if method == "lag":
            held = max(0, t - int(rng.choice([1, 3, 5])))
        elif t - held >= int(rng.integers(2, 6)):
            held = t  # frozen for some frames, then a jump to the present
        # The held content stays at its position in the image while the head moves.
        out.append(frames[held].astype(np.float32))
    return out
