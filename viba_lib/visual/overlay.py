"""Heat map over frame: image, poster and video."""

import base64
import html
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
from PIL import Image

from viba_lib.core.errors import VibaError
from viba_lib.core.files import atomic_write
from viba_lib.data.video import read_video, write_video

SIZE = 0.42  # of letters
WHITE, AMBER = (235, 235, 235), (255, 196, 64)


MUTED = 0.8  # brightness of a frame under its map: below that of the strongest relevance
EVEN = 4.0  # full colour is at least so many times the mean, so that an even map stays dark


def scale_maximum(relevance: np.ndarray, quantile: float = 0.995) -> float:
    """Relevance at full colour: a quantile of maps, at least `EVEN` times their mean, above 0.

    A map that is even, because the decision needs hardly any information, would otherwise be
    painted in full colour everywhere. Zeros do not count for the mean: they surround the map of a
    crop in its frame.
    """
    positive = relevance[relevance > 0]
    even = EVEN * float(positive.mean(dtype=float)) if positive.size else 0.0
    return max(float(np.quantile(relevance, quantile)), even, 1e-9)


def colours(
    image: np.ndarray, relevance: np.ndarray, maximum: float, alpha: float = 0.65
) -> np.ndarray:
    """One frame (H, W, 3) uint8 with its map (h, w) over it, scaled to the frame.

    Where relevance is low the frame shows through, in grey, so that every hue is relevance; where
    it is high the colour covers it.
    """
    size = (image.shape[1], image.shape[0])
    wide = cv2.resize(np.asarray(relevance, np.float32), size, interpolation=cv2.INTER_LINEAR)
    level = np.clip(wide / max(maximum, 1e-12), 0, 1)
    painted = mpl.colormaps["inferno"](level)[..., :3] * 255
    weight = (alpha * (0.25 + 0.75 * level))[..., None]
    return np.clip(_grey(image) * (1 - weight) + painted * weight, 0, 255).astype(np.uint8)


def _grey(image: np.ndarray) -> np.ndarray:
    """The strongest channel of an image, darkened: (H, W, 1); of coloured flow it is the speed.

    Luminance would show motion to the left, which is blue, darker than motion to the right.
    """
    red, green, blue = np.moveaxis(np.asarray(image), -1, 0)
    strongest = np.maximum(np.maximum(red, green), blue)  # ten times as fast as `max` over an axis
    return MUTED * strongest.astype(np.float32)[..., None]


def paste_back(shape: tuple[int, int], square: np.ndarray, relevance: np.ndarray) -> np.ndarray:
    """Put a crop's map (h, w) back at its location in the complete frame (H, W); zero outside.

    Values stay bits per pixel of the crop: they are shown, not summed.
    """
    cx, cy, side = map(float, square)
    height, width = relevance.shape
    zoom = side / width
    matrix = np.array([[zoom, 0, cx - side / 2], [0, side / height, cy - side / 2]], np.float64)
    return cv2.warpAffine(
        np.asarray(relevance, np.float32), matrix, (shape[1], shape[0]), flags=cv2.INTER_LINEAR
    )


def _curve(shape: tuple[int, ...], p_fake: np.ndarray, at: int, label: bool) -> np.ndarray:
    """Strip (h, W, 3) for above a frame: probability of fake over time, with frame `at` marked."""
    height, width = max(36, shape[0] // 8), shape[1]
    strip = np.full((height, width, 3), 24, np.uint8)
    left = _write_left(strip, f"p(fake) {p_fake[at]:.2f}") if label else 0
    xs = np.linspace(left + 6, width - 7, max(2, len(p_fake)))[: len(p_fake)]
    ys = (height - 7) - p_fake * (height - 14)
    cv2.line(strip, (left, height // 2), (width, height // 2), (90, 90, 90), 1)
    points = np.stack([xs, ys], 1).round().astype(np.int32)
    cv2.polylines(strip, [points], False, (222, 143, 5), 2, cv2.LINE_AA)
    cv2.circle(strip, points[at].tolist(), 5, (255, 255, 255), -1, cv2.LINE_AA)
    return strip


def _write_left(strip: np.ndarray, text: str) -> int:
    """Write a text as large as a third of a strip allows, for phones; returns where it ends."""
    height, width = strip.shape[:2]
    (length, high), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, SIZE, 1)
    zoom = min(2.0, (width / 3 - 8) / length, 0.6 * height / high)
    _write(strip, text, (8, round((height + zoom * high) / 2)), zoom * SIZE)
    return 8 + round(zoom * length)


def with_note(image: np.ndarray, p_fake: float, note: str) -> np.ndarray:
    """The image with a line above, the probability of fake and a warning; "" = no line."""
    if not note:
        return image
    strip = np.full((22, image.shape[1], 3), 24, np.uint8)
    text = f"p(fake) {p_fake:.2f}, {note}"
    (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, SIZE, 1)
    size = min(SIZE, SIZE * (strip.shape[1] - 16) / width)  # a narrow image has smaller letters
    _write(strip, text, (8, 15), size, AMBER)
    return np.concatenate([strip, image])


def with_scale(frame: np.ndarray, maximum: float) -> np.ndarray:
    """The frame with a colour bar beside it: bits per pixel of the crop, from 0 to full colour."""
    height, width = frame.shape[0], 86
    side = np.full((height, width, 3), 24, np.uint8)
    top, bottom = min(34, height // 3), height - min(14, height // 4)
    level = np.linspace(1, 0, bottom - top)
    bar = (mpl.colormaps["inferno"](level)[:, :3] * 255).astype(np.uint8)
    side[top : top + len(bar), 10:26] = bar[:, None]
    for share in (0.0, 0.5, 1.0):
        at = round(bottom - share * (bottom - top))
        _write(side, f"{share * maximum:.2g}", (32, at + 4))
    _write(side, "bits / pixel", (6, 16))
    return np.concatenate([frame, side], 1)


def _write(
    image: np.ndarray,
    text: str,
    place: tuple[int, int],
    size: float = SIZE,
    colour: tuple[int, int, int] = WHITE,
) -> None:
    cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)


def overlay_video(
    path: str | Path,
    frames: np.ndarray,
    relevance: np.ndarray,
    rate: float,
    p_fake: np.ndarray | None = None,
    maximum: float | None = None,
) -> Path:
    """Write an H.264 video of maps over frames, a colour bar beside, the prediction above them.

    It stands above because the controls of a browser's player cover the lower edge of a video.

    Parameters
    ----------
    p_fake : (T,) probability of fake; None = no strip
    """
    if len(frames) != len(relevance):
        raise VibaError(f"{len(frames)} frames and {len(relevance)} maps; expected as many")
    top = scale_maximum(relevance) if maximum is None else maximum
    return write_video(path, painted(frames, relevance, top, p_fake), rate, crf=23)


def painted(
    frames: Iterable[np.ndarray],
    relevance: Iterable[np.ndarray],
    maximum: float,
    p_fake: np.ndarray | None = None,
    note: str = "",
) -> Iterator[np.ndarray]:
    """Images of `overlay_video` one after another, for videos that do not fit into memory.

    Parameters
    ----------
    note : a warning beside the probability, see `with_note`
    """
    for at, (frame, values) in enumerate(zip(frames, relevance, strict=True)):
        image = with_scale(colours(frame, values, maximum), maximum)
        if p_fake is not None:
            curve = _curve(image.shape, p_fake, at, label=not note)
            image = np.concatenate([curve, with_note(image, p_fake[at], note)])
        yield image


def poster(path: str | Path, image: np.ndarray) -> Path:
    """Write an image (H, W, 3) uint8 as PNG, first to a temporary file that is then renamed."""
    with atomic_write(path) as tmp:
        Image.fromarray(image).save(tmp, "PNG")
    return Path(path)


def video_html(path: str | Path, label: str, loop: bool = False) -> str:
    """`<video>` element with controls, description and first frame as poster; with the file."""
    image = read_video(path, max_frames=1).frames[0]
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    video, still = (base64.b64encode(d).decode() for d in (Path(path).read_bytes(), data.tobytes()))
    text = html.escape(label, quote=True)
    return (
        f'<video controls{" loop" if loop else ""} preload="none" aria-label="{text}" '
        f'style="max-width:100%" poster="data:image/jpeg;base64,{still}">'
        f'<source type="video/mp4" src="data:video/mp4;base64,{video}">{text}</video>'
    )
