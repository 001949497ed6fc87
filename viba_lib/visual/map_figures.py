"""Figures of relevance maps."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

from viba_lib.visual.overlay import colours
from viba_lib.visual.style import FIRST, SECOND, _bar, _figure, _outline, _picture, top_of


def frames_grid(images: Sequence[np.ndarray], labels: Sequence[str], columns: int = 4) -> Figure:
    """Pictures (H, W, 3) in a grid, each with a label under it."""
    rows = -(-len(images) // columns)
    figure, axes = _figure(2.6 * columns, 2.9 * rows, rows, columns)
    for axis in axes.flat:
        axis.axis("off")
    for axis, image, label in zip(axes.flat, images, labels, strict=False):
        axis.axis("on")
        _picture(axis, image, label)
    return figure


def outlined_grid(
    images: np.ndarray, masks: np.ndarray, labels: Sequence[str], columns: int = 3
) -> Figure:
    """Pictures (T, S, S, 3) in a grid, with the planted mask (T, S, S) outlined in cyan."""
    figure = frames_grid(list(images), labels, columns)
    for axis, mask in zip(figure.axes, masks, strict=False):
        _outline(axis, mask)
    return figure


def relevance_grid(
    images: np.ndarray,
    relevance: np.ndarray,
    masks: np.ndarray | None = None,
    labels: Sequence[str] = (),
    top: float | None = None,
) -> Figure:
    """Inputs above, maps over them below, one colour scale; planted masks outlined in cyan.

    Parameters
    ----------
    images : (T, S, S, 3) uint8
    relevance : (T, S, S) bits per pixel
    masks : (T, S, S) in [0, 1]
    top : upper end of the colour scale; None = `top_of` the maps
    """
    count, top = len(images), top_of(relevance) if top is None else top
    figure, axes = _figure(max(4.0, 2.5 * count), 5.2, 2, count)
    labels = list(labels) or [""] * count
    for i in range(count):
        _picture(axes[0, i], images[i])
        _picture(axes[1, i], colours(images[i], relevance[i], top), labels[i])
        if masks is not None:
            _outline(axes[0, i], masks[i])
            _outline(axes[1, i], masks[i])
    _bar(figure, axes, top)
    return figure


def layers_grid(
    images: np.ndarray,
    maps: Mapping[str, np.ndarray],
    masks: np.ndarray,
    labels: Sequence[str],
) -> Figure:
    """One column per layer, one row per input; each column has its own scale (its maximum)."""
    names = list(maps)
    figure, axes = _figure(2.3 * (len(names) + 1), 2.5 * len(images), len(images), len(names) + 1)
    for row, image in enumerate(images):
        _picture(axes[row, 0], image, labels[row])
        _outline(axes[row, 0], masks[row])
        for column, name in enumerate(names, 1):
            relevance = maps[name]
            _picture(axes[row, column], colours(image, relevance[row], top_of(relevance)), name)
            _outline(axes[row, column], masks[row])
    return figure


def region_overlay(
    image: np.ndarray, masks: Mapping[str, np.ndarray], names: Mapping[str, str]
) -> Figure:
    """The face regions over a crop (S, S, 3), with their letters."""
    figure, axes = _figure(7.5, 4.4)
    axis = axes[0, 0]
    # Six hues that stay apart: the pinks of the palette look alike when they tint a face.
    palette = [sns.color_palette("colorblind")[i] for i in (2, 3, 4, 8, 9, 7)][: len(masks)]
    tinted = image.astype(float) / 255
    for colour, mask in zip(palette, masks.values(), strict=True):
        tinted[mask] = 0.55 * tinted[mask] + 0.45 * np.array(colour)
    _picture(axis, tinted)
    handles = [
        mpl.patches.Patch(color=colour, label=f"{letter}: {names[letter]}")
        for colour, letter in zip(palette, masks, strict=True)
    ]
    axis.legend(handles=handles, loc="center left", bbox_to_anchor=(1.02, 0.5))
    return figure


def history_plot(history: Mapping[str, Any]) -> Figure:
    """Model loss and information loss (steps, T) of one optimisation, mean over frames."""
    figure, axes = _figure(8, 3, 1, 2)
    names = {
        "model_loss": "cross-entropy (nats)",
        "information_loss": "information (nats per unit)",
    }
    for axis, (key, label), colour in zip(axes[0], names.items(), (FIRST, SECOND), strict=True):
        values = np.asarray(history[key])
        axis.plot(np.arange(1, len(values) + 1), values.mean(1), marker="o", color=colour)
        axis.set(xlabel="step", ylabel=label)
        sns.despine(ax=axis)
    return figure


def maps_row(maps: Mapping[str, np.ndarray], unit: str = "") -> Figure:
    """Scalar maps (H, W) side by side, each with its own colour bar."""
    figure, axes = _figure(3.1 * len(maps), 3, 1, len(maps))
    for axis, (name, values) in zip(axes[0], maps.items(), strict=True):
        shown = axis.imshow(values, cmap="inferno")
        axis.set(xticks=[], yticks=[], xlabel=name)
        figure.colorbar(shown, ax=axis, shrink=0.8, label=unit)
    return figure


def method_grid(
    image: np.ndarray, mask: np.ndarray, maps: Mapping[str, np.ndarray], columns: int = 4
) -> Figure:
    """One input and its map by each method; each map has a scale of its own, since units differ."""
    count = len(maps) + 1
    rows = -(-count // columns)
    figure, axes = _figure(2.3 * columns, 2.6 * rows, rows, columns)
    for axis in axes.flat[count:]:
        axis.set_visible(False)
    _picture(axes.flat[0], image, "input")
    _outline(axes.flat[0], mask)
    for axis, (name, map_) in zip(axes.flat[1:], maps.items(), strict=False):
        _picture(axis, colours(image, map_, top_of(map_)), name)
        _outline(axis, mask)
    return figure
