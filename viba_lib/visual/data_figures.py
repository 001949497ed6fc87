"""Figures of videos, faces, key frames and optical flow."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from viba_lib.data.faces import crop, to_crop
from viba_lib.data.flow import flow_to_rgb
from viba_lib.data.keyframes import baseline, without_baseline
from viba_lib.data.tracking import Sighting
from viba_lib.visual import style
from viba_lib.visual.map_figures import frames_grid
from viba_lib.visual.style import FAKE, FIRST, INK, OTHERS, SECOND


@style.figure_style()
def key_frame_plot(differences: np.ndarray, indices: np.ndarray, threshold: float) -> Figure:
    """Frame differences (T,) with their baseline, and without it the key frames found in them."""
    figure, axes = style.new_figure(7, 4.6, rows=2)
    (above,), (below,) = axes
    above.plot(differences, color=FIRST, label="difference of blurred frames")
    if np.ptp(differences) > 0 and len(differences) > 2:
        above.plot(baseline(differences), color=SECOND, ls="--", label="baseline")
    above.set(ylabel="grey levels")
    above.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=10)
    rest = without_baseline(differences)
    below.plot(rest, color=FIRST)
    below.plot(indices, rest[indices], "o", color=SECOND, ms=8)
    below.axhline(threshold, color=INK, ls=":", lw=1)
    below.set(xlabel="frame", ylabel="fraction of the highest")
    return figure


def _box(axis: Axes, box: Sequence[float], **style: Any) -> None:
    left, top, right, bottom = box
    size = (right - left, bottom - top)
    axis.add_patch(mpl.patches.Rectangle((left, top), *size, fill=False, lw=2, **style))


@style.figure_style()
def face_steps(
    frame: np.ndarray, box: Sequence[float], points: np.ndarray, square: Sequence[float], size: int
) -> Figure:
    """A frame with the face's box (solid), its landmarks and its crop (dashed), and the crop.

    Parameters
    ----------
    frame : (H, W, 3) uint8
    box : left, top, right, bottom in pixels
    points : (68, 2) landmarks in pixels
    square : centre x, centre y, side of the crop in pixels
    size : side of the crop in pixels of the detector's input
    """
    figure, axes = style.new_figure(8.6, 3.6, columns=2)
    whole, cut = axes[0]
    style.show_image(whole, frame, "detected face, landmarks, crop")
    x, y, side = square
    _box(whole, box, color=OTHERS[3])
    _box(whole, (x - side / 2, y - side / 2, x + side / 2, y + side / 2), color=FAKE, ls="--")
    whole.plot(*points.T, ".", color=OTHERS[3], ms=3)
    style.show_image(cut, crop(frame, (x, y, side), size), f"the crop at {size} px")
    scaled = to_crop(points, (x, y, side)) * size
    cut.plot(*scaled.T, ".", color=OTHERS[3], ms=4)
    return figure


@style.figure_style()
def followed_faces(frames: Sequence[np.ndarray], faces: Sequence[Sighting | None]) -> Figure:
    """Frames with the face in them: detected (solid box), followed (dashed), or lost (no box)."""
    figure = frames_grid(frames, [_state(face) for face in faces], columns=len(frames))
    for axis, face in zip(figure.axes, faces, strict=True):
        if face is not None:
            _box(axis, face.box, color=FAKE if face.tracked else OTHERS[3],
                 ls="--" if face.tracked else "-")  # fmt: skip
    return figure


def _state(face: Sighting | None) -> str:
    return "lost" if face is None else "followed" if face.tracked else "detected"


@style.figure_style()
def flow_vectors(image: np.ndarray, flow: np.ndarray) -> Figure:
    """Flow (H, W, 2) as arrows over the crop (H, W, 3), as colours, and the key to the colours."""
    figure, axes = style.new_figure(9, 3.4, columns=3)
    arrows, coloured, key = axes[0]
    step = 14  # pixels from one arrow to the next
    style.show_image(arrows, image, "vectors")
    y, x = np.mgrid[step // 2 : flow.shape[0] : step, step // 2 : flow.shape[1] : step]
    at = flow[y, x]
    longest = max(float(np.linalg.norm(at, axis=-1).max()), 1e-6)
    arrows.quiver(x, y, at[..., 0], at[..., 1], angles="xy", scale_units="xy",
                  scale=longest / (1.6 * step), color="#00e5ff", width=0.004)  # fmt: skip
    style.show_image(coloured, flow_to_rgb(flow), "colours")
    grid = np.linspace(-1, 1, flow.shape[0], dtype=np.float32)
    wheel = np.stack(np.meshgrid(grid, grid), axis=-1)
    wheel[np.linalg.norm(wheel, axis=-1) > 1] = 0
    style.show_image(key, flow_to_rgb(wheel, 1.0), "key to the colours")
    return figure


def grey_image(values: np.ndarray) -> np.ndarray:
    """Scalar field (H, W) as a greyscale image (H, W, 3) uint8, scaled to its range."""
    level = (values - values.min()) / max(float(np.ptp(values)), 1e-12)
    return np.repeat((level * 255).astype(np.uint8)[..., None], 3, axis=2)


@style.figure_style()
def gaussian_pair(mean: float, std: float) -> Figure:
    """Density of the transmitted activation, N(mean, std^2), over that of pure noise, N(0, 1).

    The shaded area is the divergence: the transmitted density times the logarithm (to base 2)
    of the ratio of both. Blue counts for it, orange against.
    """
    at = np.linspace(-4.5, 4.5, 721)
    passed = np.exp(-0.5 * ((at - mean) / std) ** 2) / (std * np.sqrt(2 * np.pi))
    noise = np.exp(-0.5 * at**2) / np.sqrt(2 * np.pi)
    ratio = -0.5 * ((at - mean) / std) ** 2 - np.log(std) + 0.5 * at**2
    part = passed * ratio / np.log(2)
    figure, axis = style.new_plot(6.4, 3.6)
    axis.plot(at, noise, color=INK, linestyle="--", label="pure noise")
    axis.plot(at, passed, color=FIRST, label="transmitted activation")
    axis.fill_between(at, part, where=part > 0, color=OTHERS[3], alpha=0.5, lw=0, label="for")
    axis.fill_between(at, part, where=part < 0, color=OTHERS[2], alpha=0.5, lw=0, label="against")
    axis.set(xlabel="value of z", ylabel="density, and bits", xlim=(-4.5, 4.5))
    axis.set_ylim(-0.6, max(1.6, 1.1 * float(max(passed.max(), part.max()))))
    axis.legend(loc="upper left", fontsize=10)
    return figure
