"""Figures of relevance maps."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

from viba_lib.visual import style
from viba_lib.visual.overlay import colours, scale_maximum
from viba_lib.visual.style import FIRST, SECOND


@style.figure_style()
def frames_grid(
    images: Sequence[np.ndarray],
    labels: Sequence[str],
    columns: int = 4,
    masks: Sequence[np.ndarray | None] | None = None,
) -> Figure:
    """Images (H, W, 3) in a grid, each with a label under it; masks (H, W) are outlined in cyan."""
    side = style.fitting(2.6, min(columns, len(images)))
    figure, axes = style.new_panels(len(images), side, side + 0.3, columns)
    masks = [None] * len(images) if masks is None else masks
    for axis, image, label, mask in zip(axes, images, labels, masks, strict=True):
        style.show_image(axis, image, label, mask)
    return figure


@style.figure_style()
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
    top : upper end of the colour scale; None = `scale_maximum` of the maps
    """
    count, top = len(images), scale_maximum(relevance) if top is None else top
    side = style.fitting(2.5, count)
    figure, axes = style.new_figure(max(4.0, side * count), 2 * side + 0.2, 2, count)
    labels = list(labels) or [""] * count
    for i in range(count):
        mask = None if masks is None else masks[i]
        style.show_image(axes[0, i], images[i], mask=mask)
        painted = colours(images[i], relevance[i], top)
        style.show_image(axes[1, i], painted, labels[i], mask)
    style.relevance_bar(figure, axes, top)
    return figure


@style.figure_style()
def layers_grid(
    images: np.ndarray,
    maps: Mapping[str, np.ndarray],
    masks: np.ndarray,
    labels: Sequence[str],
) -> Figure:
    """One column per layer, one row per input; each column has its own scale (its maximum)."""
    count, columns = len(images), len(maps) + 1
    side = style.fitting(2.3, columns)
    figure, axes = style.new_figure(side * columns, (side + 0.2) * count, count, columns)
    for row, image, mask, label in zip(axes, images, masks, labels, strict=True):
        style.show_image(row[0], image, label, mask)
    for column, (name, relevance) in zip(axes.T[1:], maps.items(), strict=True):
        maximum = scale_maximum(relevance)
        for axis, image, values, mask in zip(column, images, relevance, masks, strict=True):
            style.show_image(axis, colours(image, values, maximum), name, mask)
    return figure


@style.figure_style()
def region_overlay(
    image: np.ndarray, masks: Mapping[str, np.ndarray], names: Mapping[str, str]
) -> Figure:
    """The face regions over a crop (S, S, 3), with their letters."""
    figure, axis = style.new_plot(7.5, 4.4)
    # Six hues that stay apart: the pinks of the palette look similar when they tint a face.
    palette = [sns.color_palette("colorblind")[i] for i in (2, 3, 4, 8, 9, 7)][: len(masks)]
    tinted = image.astype(float) / 255
    for colour, mask in zip(palette, masks.values(), strict=True):
        tinted[mask] = 0.55 * tinted[mask] + 0.45 * np.array(colour)
    style.show_image(axis, tinted)
    handles = [
        mpl.patches.Patch(color=colour, label=f"{letter}: {names[letter]}")
        for colour, letter in zip(palette, masks, strict=True)
    ]
    axis.legend(handles=handles, loc="center left", bbox_to_anchor=(1.02, 0.5))
    return figure


@style.figure_style()
def history_plot(history: Mapping[str, Any]) -> Figure:
    """Model loss and information loss (steps, T) of one optimisation, mean over frames."""
    figure, axes = style.new_panels(2, 4, 3, 2)
    for axis, key, label, colour in (
        (axes[0], "model_loss", "cross-entropy (nats)", FIRST),
        (axes[1], "information_loss", "information (nats per unit)", SECOND),
    ):
        values = np.asarray(history[key])
        axis.plot(np.arange(1, len(values) + 1), values.mean(1), marker="o", color=colour)
        axis.set(xlabel="step", ylabel=label)
    return figure


@style.figure_style()
def maps_row(maps: Mapping[str, np.ndarray]) -> Figure:
    """Scalar maps (H, W) side by side, each with its own colour bar."""
    figure, axes = style.new_panels(len(maps), 3.1, 3, 4)
    for axis, (name, values) in zip(axes, maps.items(), strict=True):
        shown = axis.imshow(values, cmap="inferno")
        axis.set(xticks=[], yticks=[], xlabel=name)
        axis.spines[:].set_visible(True)
        figure.colorbar(shown, ax=axis, shrink=0.8)
    return figure


@style.figure_style()
def method_grid(
    image: np.ndarray,
    mask: np.ndarray | None,
    maps: Mapping[str, np.ndarray],
    label: str = "input",
    maxima: Mapping[str, float] | None = None,
    columns: int = 4,
) -> Figure:
    """One input and its map by each method; each map has its own scale because units differ.

    Parameters
    ----------
    maxima : of each method's colour scale; None = `scale_maximum` of its map
    """
    side = style.fitting(2.3, min(columns, len(maps) + 1))
    figure, axes = style.new_panels(len(maps) + 1, side, side + 0.3, columns)
    style.show_image(axes[0], image, label, mask)
    for axis, (name, relevance) in zip(axes[1:], maps.items(), strict=True):
        maximum = scale_maximum(relevance) if maxima is None else maxima[name]
        style.show_image(axis, colours(image, relevance, maximum), name, mask)
    return figure
