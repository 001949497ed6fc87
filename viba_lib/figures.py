"""Every figure of the book, in one style.

Functions return a `matplotlib.figure.Figure` that pyplot does not know, so a notebook shows it
once: as the value of its cell.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from viba_lib.data.faces import crop, to_crop
from viba_lib.data.flow import flow_to_rgb
from viba_lib.data.keyframes import baseline, without_baseline
from viba_lib.data.tracking import Sighting
from viba_lib.evaluation.robustness import CORRUPTIONS, UNCHANGED
from viba_lib.overlay import colours

REAL, FAKE = "#0173b2", "#de8f05"  # seaborn's colour-blind palette
# Whatever is neither real nor fake takes the rest of that palette, so that two colours keep one
# meaning throughout the book.
OTHERS = ("#029e73", "#cc78bc", "#ca9161", "#56b4e9")
FIRST, SECOND = OTHERS[:2]
# One grey is readable on white and on black pages alike, since backgrounds are transparent.
INK = "#7f7f7f"
sns.set_theme(style="ticks", context="notebook", palette=list(OTHERS))
mpl.rcParams.update(
    {
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "savefig.facecolor": "none",
        "savefig.transparent": True,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "font.size": 12,
        "lines.linewidth": 2,
        "legend.frameon": False,
        "figure.dpi": 110,
    }
)


class NotebookFigure(Figure):
    """A figure that a notebook shows as a picture without pyplot's help."""

    def _repr_png_(self) -> bytes:
        data = io.BytesIO()
        self.savefig(data, format="png", bbox_inches="tight", dpi=self.dpi)
        return data.getvalue()


def _figure(width: float, height: float, rows: int = 1, columns: int = 1) -> tuple[Figure, Any]:
    figure = NotebookFigure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _picture(axis: Axes, image: np.ndarray, label: str = "") -> None:
    axis.imshow(image)
    axis.set_xticks([])
    axis.set_yticks([])
    sns.despine(ax=axis, left=True, bottom=True)
    if label:
        axis.set_xlabel(label, fontsize=11)


def _outline(axis: Axes, mask: np.ndarray) -> None:
    if mask.max() > 0:
        axis.contour(mask, levels=[0.5 * mask.max()], colors=["#00e5ff"], linewidths=1.4)


def _bar(figure: Figure, axes: Any, top: float) -> None:
    scale = mpl.cm.ScalarMappable(mpl.colors.Normalize(0, top), cmap="inferno")
    figure.colorbar(scale, ax=axes, label="bits per pixel", shrink=0.8, fraction=0.04)


def top_of(relevance: np.ndarray) -> float:
    """Upper end of the colour scale of maps: their 99.5th percentile."""
    return max(float(np.quantile(relevance, 0.995)), 1e-9)


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


def key_frame_plot(differences: np.ndarray, indices: np.ndarray, threshold: float) -> Figure:
    """Frame differences (T,) with their baseline, and without it the key frames found in them."""
    figure, axes = _figure(7, 4.6, rows=2)
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
    below.set(xlabel="frame", ylabel="share of the highest")
    for axis in (above, below):
        sns.despine(ax=axis)
    return figure


def _box(axis: Axes, box: Sequence[float], **style: Any) -> None:
    left, top, right, bottom = box
    size = (right - left, bottom - top)
    axis.add_patch(mpl.patches.Rectangle((left, top), *size, fill=False, lw=2, **style))


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
    figure, axes = _figure(8.6, 3.6, columns=2)
    whole, cut = axes[0]
    _picture(whole, frame, "detected face, landmarks, crop")
    x, y, side = square
    _box(whole, box, color=OTHERS[3])
    _box(whole, (x - side / 2, y - side / 2, x + side / 2, y + side / 2), color=FAKE, ls="--")
    whole.plot(*points.T, ".", color=OTHERS[3], ms=3)
    _picture(cut, crop(frame, (x, y, side), size), f"the crop at {size} px")
    scaled = to_crop(points, (x, y, side)) * size
    cut.plot(*scaled.T, ".", color=OTHERS[3], ms=4)
    return figure


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


def flow_vectors(image: np.ndarray, flow: np.ndarray, step: int = 14) -> Figure:
    """Flow (H, W, 2) as arrows over the crop (H, W, 3), as colours, and the key to the colours."""
    figure, axes = _figure(9, 3.4, columns=3)
    arrows, coloured, key = axes[0]
    _picture(arrows, image, "vectors")
    y, x = np.mgrid[step // 2 : flow.shape[0] : step, step // 2 : flow.shape[1] : step]
    at = flow[y, x]
    longest = max(float(np.linalg.norm(at, axis=-1).max()), 1e-6)
    arrows.quiver(x, y, at[..., 0], at[..., 1], angles="xy", scale_units="xy",
                  scale=longest / (1.6 * step), color="#00e5ff", width=0.004)  # fmt: skip
    _picture(coloured, flow_to_rgb(flow), "colours")
    grid = np.linspace(-1, 1, flow.shape[0], dtype=np.float32)
    wheel = np.stack(np.meshgrid(grid, grid), axis=-1)
    wheel[np.linalg.norm(wheel, axis=-1) > 1] = 0
    _picture(key, flow_to_rgb(wheel, 1.0), "key to the colours")
    return figure


def learning_curves(histories: Mapping[str, pd.DataFrame]) -> Figure:
    """Training and validation loss, and validation AUC, over steps; a row of two per detector."""
    figure, axes = _figure(8, 3 * len(histories), len(histories), 2)
    for row, (name, history) in enumerate(histories.items()):
        loss, auc = axes[row]
        loss.plot(history.step, history.loss, color=FIRST, marker="o", label="training")
        loss.plot(
            history.step, history.val_loss, color=SECOND, marker="s", ls="--", label="validation"
        )
        loss.set(xlabel="step", ylabel=f"{name}: loss (nats)")
        loss.legend()
        auc.plot(history.step, history.val_auc, color=SECOND, marker="s", ls="--")
        auc.axhline(0.5, color=INK, ls=":", lw=1)
        auc.set(xlabel="step", ylabel="validation AUC", ylim=(0, 1.02))
        sns.despine(fig=figure)
    return figure


def scores_by_method(predictions: Mapping[str, pd.DataFrame]) -> Figure:
    """Probability of fake per method, one row per detector; every dot is a frame."""
    figure, axes = _figure(8, 3.6 * len(predictions), len(predictions), 1)
    for row, (name, frame) in enumerate(predictions.items()):
        axis = axes[row, 0]
        shown = frame.assign(method=frame.method.where(frame.label == 1, "real"))
        order = ["real", *sorted(set(shown.method) - {"real"})]
        shown = shown.assign(kind=np.where(shown.label == 1, "fake", "real"))
        sns.stripplot(
            shown, x="p_fake", y="method", hue="kind", order=order, size=4, alpha=0.6, ax=axis,
            palette={"real": REAL, "fake": FAKE}, legend=False,
        )  # fmt: skip
        axis.axvline(0.5, color=INK, ls=":", lw=1)
        axis.set(xlabel=f"{name}: probability of fake", ylabel="", xlim=(-0.02, 1.02))
        sns.despine(ax=axis)
    return figure


def robustness(table: pd.DataFrame, measure: str = "auc") -> Figure:
    """A measure over the levels of each corruption, one panel each, with its interval.

    Parameters
    ----------
    table : see `tables.robustness_table`; the unchanged pictures are the dotted lines
    """
    kinds = [kind for kind in table.corruption.unique() if kind != UNCHANGED]
    figure, axes = _figure(9.5, 5.6, rows=-(-len(kinds) // 2), columns=2)
    for axis, kind in zip(axes.flat, kinds, strict=False):
        for colour, (name, part) in zip(
            OTHERS, table.groupby("detector", sort=False), strict=False
        ):
            of_kind = part[part.corruption == kind]
            places = np.arange(len(of_kind))
            axis.plot(places, of_kind[measure], "o-", color=colour, label=name)
            axis.fill_between(places, of_kind[f"{measure}_low"], of_kind[f"{measure}_high"],
                              color=colour, alpha=0.2, lw=0)  # fmt: skip
            for value in part.loc[part.corruption == UNCHANGED, measure]:
                axis.axhline(value, color=colour, ls=":", lw=1)
        axis.set_xticks(places, [f"{level:g}" for level in of_kind.level])
        axis.set(xlabel=f"{kind}: {CORRUPTIONS[kind][2]}", ylim=(0, 1.03), ylabel=measure.upper())
        sns.despine(ax=axis)
    axes.flat[0].legend(loc="lower left", fontsize=10)
    return figure


def reliability(groups: Mapping[str, tuple[np.ndarray, np.ndarray]], bins: int = 15) -> Figure:
    """Reliability diagram: share right over confidence, in the bins (lo, hi] of the ECE.

    Parameters
    ----------
    groups : name -> p_fake (N,), labels (N,)
    """
    figure, axes = _figure(5, 4.2)
    axis = axes[0, 0]
    axis.plot([0.5, 1], [0.5, 1], color=INK, ls=":", lw=1)
    for (name, (p_fake, labels)), marker in zip(groups.items(), "osd^", strict=False):
        confidence, right = np.maximum(p_fake, 1 - p_fake), (p_fake > 0.5) == labels
        cut = np.ceil(confidence * bins).clip(1, bins)
        points = [(confidence[cut == b].mean(), right[cut == b].mean()) for b in np.unique(cut)]
        if points:
            axis.plot(*zip(*points, strict=True), marker=marker, label=name)
    axis.set(xlabel="confidence", ylabel="share right", xlim=(0.48, 1.02), ylim=(-0.02, 1.05))
    axis.legend()
    sns.despine(ax=axis)
    return figure


def threshold_curves(frame: pd.DataFrame, measures: Sequence[str]) -> Figure:
    """Measures over the threshold of the mask; one panel per measure, one line per group."""
    rows = -(-len(measures) // 2)
    figure, axes = _figure(7.6, 3 * rows, rows, 2)
    for unused in axes.flat[len(measures) :]:
        unused.set_visible(False)
    for number, (axis, measure) in enumerate(zip(axes.flat, measures, strict=False)):
        sns.lineplot(
            frame, x="threshold", y=measure, hue="label", style="detector", ax=axis, errorbar=None,
            palette={"real": REAL, "fake": FAKE}, legend=number == 1,
        )  # fmt: skip
        axis.set(xlabel="threshold", ylabel=measure)
        sns.despine(ax=axis)
    legend = axes.flat[min(1, len(measures) - 1)]
    if legend.get_legend() is not None:
        sns.move_legend(legend, "upper left", bbox_to_anchor=(1, 1))
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


def rules(frame: pd.DataFrame, measures: Sequence[str]) -> Figure:
    """Measures over the number of regions, one line per rule; a row of panels per detector."""
    names = list(dict.fromkeys(frame.detector))
    figure, axes = _figure(2.7 * len(measures), 2.7 * len(names), len(names), len(measures))
    for row, name in zip(axes, names, strict=True):
        part = frame[frame.detector == name]
        for axis, measure in zip(row, measures, strict=True):
            sns.lineplot(part, x="top", y=measure, hue="rule", style="rule", markers=True,
                         palette=list(OTHERS), ax=axis, legend=axis is axes[0, -1])  # fmt: skip
            axis.set(xlabel=f"regions, {name}", ylabel=measure, ylim=(0, 1.02))
            axis.set_xticks(sorted(part.top.unique()))
            sns.despine(ax=axis)
    if axes[0, -1].get_legend() is not None:
        sns.move_legend(axes[0, -1], "upper left", bbox_to_anchor=(1, 1))
    return figure


def region_frequencies(frame: pd.DataFrame, order: Sequence[str]) -> Figure:
    """Frequency of each region (columns region, who, share); after the paper's Figure 2."""
    figure, axes = _figure(8, 3.6)
    axis = axes[0, 0]
    sns.barplot(frame, x="region", y="share", hue="who", order=list(order), ax=axis,
                palette=list(OTHERS[: frame.who.nunique()]))  # fmt: skip
    axis.set(xlabel="region", ylabel="share of fake videos", ylim=(0, 1))
    axis.legend(title="", loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    sns.despine(ax=axis)
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


def lines(frame: pd.DataFrame, x: str, y: Sequence[str], xlabel: str, ylabel: str) -> Figure:
    """Lines of columns `y` over a column `x`."""
    figure, axes = _figure(6.5, 3.2)
    axis = axes[0, 0]
    for name, marker, style in zip(y, "osd^", ("-", "--", ":", "-."), strict=False):
        axis.plot(frame[x], frame[name], marker=marker, ls=style, label=name, ms=4)
    axis.set(xlabel=xlabel, ylabel=ylabel)
    axis.legend()
    sns.despine(ax=axis)
    return figure


def draws(frame: pd.DataFrame, x: str, y: str, xlabel: str, ylabel: str) -> Figure:
    """Dots of single draws of `y` over `x`, and the line of their mean."""
    figure, axes = _figure(6.5, 3.2)
    axis = axes[0, 0]
    axis.plot(frame[x], frame[y], "o", color=INK, ms=4, alpha=0.6, label="one draw of noise")
    mean = frame.groupby(x)[y].mean()
    axis.plot(mean.index, mean, color=FIRST, label="mean")
    axis.set(xlabel=xlabel, ylabel=ylabel, ylim=(-0.03, 1.03))
    axis.legend()
    sns.despine(ax=axis)
    return figure


def intervals(
    frame: pd.DataFrame,
    measures: Sequence[str],
    labels: str = "name",
    chance: Mapping[str, float] | None = None,
) -> Figure:
    """Values with intervals (columns m, m_low, m_high): one panel per measure.

    Parameters
    ----------
    chance : value of a measure that chance gives, drawn as a dotted line
    """
    # Never more than three side by side: on a phone the text of more would be too small to read.
    wide = 2 if len(measures) == 4 else min(3, len(measures))
    rows = -(-len(measures) // wide)
    height = rows * (0.45 * len(frame) + 1.3)
    figure, axes = _figure(2 + 2.4 * wide, height, rows, wide)
    for unused in axes.flat[len(measures) :]:
        unused.set_visible(False)
    at = np.arange(len(frame))[::-1]
    for number, (axis, measure) in enumerate(zip(axes.flat, measures, strict=False)):
        low, high = frame.get(f"{measure}_low"), frame.get(f"{measure}_high")
        if low is not None and high is not None:
            axis.hlines(at, low, high, color=INK)
        axis.plot(frame[measure], at, "o", color=FIRST, ms=8)
        axis.set_yticks(at, frame[labels] if number % wide == 0 else [""] * len(frame))
        axis.set_xlabel(measure)
        if chance and measure in chance:
            axis.axvline(chance[measure], color=INK, ls=":", lw=1)
        axis.set_ylim(-0.6, len(frame) - 0.4)
        sns.despine(ax=axis)
    return figure


def grey_picture(values: np.ndarray) -> np.ndarray:
    """Scalar field (H, W) as a grey picture (H, W, 3) uint8, scaled to its range."""
    level = (values - values.min()) / max(float(np.ptp(values)), 1e-12)
    return np.repeat((level * 255).astype(np.uint8)[..., None], 3, axis=2)


def bits_plot(groups: Mapping[str, pd.DataFrame]) -> Figure:
    """Total bits of each explained frame over its probability of fake, one panel per detector."""
    figure, axes = _figure(4 * len(groups), 3.2, 1, len(groups))
    for axis, (name, frame) in zip(axes[0], groups.items(), strict=True):
        for label, colour, marker in ((0, REAL, "o"), (1, FAKE, "^")):
            part = frame[frame.label == label]
            kind = "fake" if label else "real"
            axis.plot(part.p_fake, part.total_bits, marker, color=colour, alpha=0.7, label=kind)
        axis.set(xlabel=f"{name}: probability of fake", ylabel="bits per frame", xlim=(-0.02, 1.02))
        axis.legend()
        sns.despine(ax=axis)
    return figure


def paper_plot(table: pd.DataFrame) -> Figure:
    """The paper's values beside this run's with intervals (columns row, paper, run, low, high)."""
    figure, axes = _figure(7, 0.6 * len(table) + 1.4)
    axis, at = axes[0, 0], np.arange(len(table))[::-1]
    axis.hlines(at, table.low, table.high, color=INK)
    axis.plot(table.run, at, "o", color=FIRST, ms=9, label="this run")
    axis.plot(table.paper, at, "D", color=SECOND, ms=8, label="the paper")
    axis.set_yticks(at, table.row)
    axis.set_xlabel(str(table.measure.iloc[0]))
    axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
    sns.despine(ax=axis)
    return figure


def sensitivity(frame: pd.DataFrame) -> Figure:
    """Change of a result in per cent (column relative) under each alternative, a row per choice."""
    choices = list(dict.fromkeys(frame.choice))
    figure, axes = _figure(7.5, 0.42 * len(choices) + 1.2)
    axis, at = axes[0, 0], {name: len(choices) - i for i, name in enumerate(choices)}
    axis.axvline(0, color=INK, ls=":", lw=1)
    for (name, part), colour, marker in zip(
        frame.groupby("detector", sort=False), OTHERS, "os^D", strict=False
    ):
        axis.plot(100 * part.relative, part.choice.map(at), marker, color=colour, ms=8, alpha=0.8,
                  label=name)  # fmt: skip
    axis.set_yticks(list(at.values()), list(at))
    axis.set_xscale("symlog", linthresh=10)
    axis.xaxis.set_major_formatter(mpl.ticker.StrMethodFormatter("{x:g}"))
    axis.set_xlabel("change, % (linear up to 10)")
    axis.grid(axis="y", alpha=0.3)
    axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
    sns.despine(ax=axis)
    return figure


def by_method(groups: Mapping[str, pd.DataFrame]) -> Figure:
    """Share of right decisions per method, without and with the bottleneck; a panel per detector.

    Parameters
    ----------
    groups : name -> columns method, frames, without, with_bottleneck
    """
    height = 0.5 * max(map(len, groups.values())) + 1.8
    figure, axes = _figure(4.6 * len(groups), height, 1, len(groups))
    for axis, (name, frame) in zip(axes[0], groups.items(), strict=True):
        at = np.arange(len(frame))[::-1]
        axis.hlines(at, frame.without, frame.with_bottleneck, color=INK, lw=1.5)
        axis.plot(frame.without, at, "o", color=FIRST, ms=9, label="without")
        axis.plot(frame.with_bottleneck, at, "D", color=SECOND, ms=6, label="with bottleneck")
        axis.set_yticks(at, [f"{m} ({n})" for m, n in zip(frame.method, frame.frames, strict=True)])
        axis.set(xlabel=f"{name}: share right", xlim=(-0.04, 1.04), ylim=(-0.6, len(frame) - 0.4))
        sns.despine(ax=axis)
    axes[0, 0].legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    return figure


def cost_shares(table: pd.DataFrame) -> Figure:
    """Share of a pass before and behind each layer (columns detector, layer, share of behind)."""
    figure, axes = _figure(7, 0.42 * len(table) + 1.4)
    axis, at = axes[0, 0], np.arange(len(table))[::-1]
    axis.barh(at, table.share, color=FIRST, label="behind: run in every step")
    axis.barh(at, 1 - table.share, left=table.share, color=SECOND, label="before: run once")
    axis.set_yticks(at, [f"{r.detector}, {r.layer}" for r in table.itertuples()])
    axis.set(xlabel="share of multiply-accumulates", xlim=(0, 1))
    axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    sns.despine(ax=axis)
    return figure


def seconds_bars(table: pd.DataFrame) -> Figure:
    """Seconds per frame of each setting on a log axis (columns detector, layer, settings, seconds).

    One panel per detector and layer, one below the other.
    """
    groups = list(table.groupby(["detector", "layer"], sort=False))
    figure, axes = _figure(7, sum(0.4 * len(part) + 1 for _, part in groups), len(groups), 1)
    low = 10 ** np.floor(np.log10(table.seconds.min()))
    for axis, ((detector, layer), part) in zip(axes[:, 0], groups, strict=True):
        at = np.arange(len(part))[::-1]
        # Bars of a log axis have no zero to start from: they start at a power of ten for all.
        axis.barh(at, part.seconds - low, left=low, color=FIRST)
        for place, seconds in zip(at, part.seconds, strict=True):
            axis.text(seconds * 1.06, place, f"{seconds:.3g} s", va="center", fontsize=11)
        axis.set_yticks(at, part.settings)
        axis.set(xscale="log", xlim=(low, table.seconds.max() * 2.5))
        axis.set_xlabel(f"{detector} at {layer}: seconds per frame")
        sns.despine(ax=axis)
    return figure


def over_steps(
    panels: Mapping[str, pd.DataFrame],
    measure: str,
    ylabel: str,
    chance: float | None = None,
    log: bool = False,
) -> Figure:
    """A measure over the steps of the optimisation on a log axis; one panel each, one line a group.

    Parameters
    ----------
    panels : what the lines differ in -> columns line, steps and the measure
    chance : value that chance gives, drawn as a dotted line
    log : whether the measure has a log axis too
    """
    figure, axes = _figure(4.4 * len(panels), 3.6, 1, len(panels))
    steps = sorted({s for frame in panels.values() for s in frame.steps})
    for axis, (name, frame) in zip(axes[0], panels.items(), strict=True):
        styles = zip("osd^", ("-", "--", ":", "-."), strict=True)
        for (line, part), (marker, style) in zip(
            frame.groupby("line", sort=False), styles, strict=False
        ):
            axis.plot(part.steps, part[measure], marker=marker, ls=style, label=line)
        if chance is not None:
            axis.axhline(chance, color=INK, ls=":", lw=1)
        axis.set(xscale="log", yscale="log" if log else "linear", xlabel="steps", ylabel=ylabel)
        axis.set_xticks(steps, [str(s) for s in steps])
        axis.minorticks_off()
        axis.legend(title=name)
        sns.despine(ax=axis)
    # One scale, so that panels can be compared.
    ends = np.array([axis.get_ylim() for axis in axes[0]])
    for axis in axes[0]:
        axis.set_ylim(ends.min(), ends.max())
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


def heat(table: pd.DataFrame, label: str, middle: float, decimals: int = 1) -> Figure:
    """Numbers as colours, written into their cells: index down, columns across.

    Parameters
    ----------
    label : what the numbers are
    middle : value in the middle of the colours, such as what chance gives
    """
    figure, axes = _figure(2.5 + 1.05 * table.shape[1], 1.4 + 0.45 * len(table))
    axis = axes.flat[0]
    values = table.to_numpy(float)
    known = values[np.isfinite(values)]
    low, high = (known.min(), known.max()) if known.size else (middle, middle)
    scale = TwoSlopeNorm(middle, min(low, middle - 1e-3), max(high, middle + 1e-3))
    sns.heatmap(
        table, ax=axis, cmap="vlag", norm=scale, annot=True,
        fmt=f".{decimals}f", annot_kws={"size": 11}, cbar_kws={"label": label}, linewidths=0.5,
    )  # fmt: skip
    axis.set(xlabel="", ylabel="")
    axis.tick_params(axis="x", rotation=45)
    axis.tick_params(axis="y", rotation=0)
    return figure


def worth_and_cost(
    groups: Mapping[str, pd.DataFrame], cost: str, worth: str, xlabel: str, ylabel: str,
    chance: float | None = None,
) -> Figure:  # fmt: skip
    """Methods by what they cost and what they are worth, one panel per group.

    Parameters
    ----------
    groups : tables with name, front (whether no other is both cheaper and better), control, the
        columns `cost` and `worth`; those on the front are filled and joined by a line, controls
        are crosses
    """
    figure, axes = _figure(8.0, 4.6 * len(groups), len(groups), 1)
    for axis, (title, table) in zip(axes.flat, groups.items(), strict=True):
        front = table[table.front].sort_values(cost)
        rest, control = table[~table.front & ~table.control], table[table.control]
        axis.plot(front[cost], front[worth], "o-", color=FIRST, ms=8, lw=1.5)
        axis.plot(rest[cost], rest[worth], "o", mfc="none", mec=INK, ms=8)
        axis.plot(control[cost], control[worth], "x", color=INK, ms=7)
        for turn, row in enumerate(table.sort_values(cost).itertuples()):
            point = (getattr(row, cost), getattr(row, worth))
            # Neighbours in cost have their names on different sides, so that they can be read.
            side = (6, 5) if turn % 2 else (6, -13)
            axis.annotate(str(row.name), point, side, textcoords="offset points", fontsize=10)
        if chance is not None:
            axis.axhline(chance, color=INK, ls=":", lw=1)
        axis.set(xscale="log", xlabel=xlabel, ylabel=f"{ylabel}\n{title}")
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter("")
        axis.margins(x=0.2, y=0.1)
        sns.despine(ax=axis)
    return figure


def gaussian_pair(mean: float, std: float, limit: float = 4.5) -> Figure:
    """Density of what passes, N(mean, std^2), over that of pure noise, N(0, 1).

    The shaded area is the divergence: the density of what passes times the logarithm (to base 2)
    of the ratio of both. Blue counts for it, orange against.
    """
    at = np.linspace(-limit, limit, 721)
    passed = np.exp(-0.5 * ((at - mean) / std) ** 2) / (std * np.sqrt(2 * np.pi))
    noise = np.exp(-0.5 * at**2) / np.sqrt(2 * np.pi)
    ratio = -0.5 * ((at - mean) / std) ** 2 - np.log(std) + 0.5 * at**2
    part = passed * ratio / np.log(2)
    figure, axes = _figure(6.4, 3.6)
    axis = axes[0, 0]
    axis.plot(at, noise, color=INK, linestyle="--", label="pure noise")
    axis.plot(at, passed, color=FIRST, label="what passes")
    axis.fill_between(at, part, where=part > 0, color=OTHERS[3], alpha=0.5, lw=0, label="for")
    axis.fill_between(at, part, where=part < 0, color=OTHERS[2], alpha=0.5, lw=0, label="against")
    axis.set(xlabel="value of z", ylabel="density, and bits", xlim=(-limit, limit))
    axis.set_ylim(-0.6, max(1.6, 1.1 * float(max(passed.max(), part.max()))))
    axis.legend(loc="upper left", fontsize=10)
    sns.despine(ax=axis)
    return figure
