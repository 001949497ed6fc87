"""Figures of results: curves, intervals, tables as images."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from viba_lib.evaluation.robustness import CORRUPTIONS, UNCHANGED
from viba_lib.visual import style
from viba_lib.visual.style import FAKE, FIRST, INK, OTHERS, REAL, SECOND

KINDS = {"real": REAL, "fake": FAKE}
ACROSS = 3  # panels in a row; more would have small letters on a page
DOTTED: dict[str, Any] = {"color": INK, "ls": ":", "lw": 1}


@style.figure_style()
def learning_curves(histories: Mapping[str, pd.DataFrame]) -> Figure | None:
    """Training and validation loss, and validation AUC, over steps; a row of two per detector.

    None if no detector has a loss. Without an AUC, the second panel of a row is left out.
    """
    histories = style.with_values(histories, "loss")
    if not histories:
        return None
    figure, axes = style.new_figure(8, 3 * len(histories), len(histories), 2)
    for (loss, auc), (name, history) in zip(axes, histories.items(), strict=True):
        loss.plot(history.step, history.loss, "o-", color=FIRST, label="training")
        loss.plot(history.step, history.val_loss, "s--", color=SECOND, label="validation")
        loss.set(xlabel="step", ylabel=f"{name}: loss (nats)")
        loss.legend()
        if history.val_auc.isna().all():
            auc.remove()
            continue
        auc.plot(history.step, history.val_auc, "s--", color=SECOND)
        auc.axhline(0.5, **DOTTED)
        auc.set(xlabel="step", ylabel="validation AUC", ylim=(0, 1.02))
    return figure


@style.figure_style()
def scores_by_method(predictions: Mapping[str, pd.DataFrame]) -> Figure | None:
    """Probability of fake per method, one row per detector; every dot is a frame.

    None if no detector has a prediction.
    """
    predictions = style.with_values(predictions, "p_fake")
    if not predictions:
        return None
    figure, axes = style.new_panels(len(predictions), 8, 3.6)
    for axis, (name, frame) in zip(axes, predictions.items(), strict=True):
        kind = np.where(frame.label == 1, "fake", "real")
        shown = frame.assign(kind=kind, method=frame.method.where(frame.label == 1, "real"))
        order = ["real", *sorted(set(shown.method) - {"real"})]
        sns.stripplot(
            shown, x="p_fake", y="method", hue="kind", order=order, size=4, alpha=0.6, ax=axis,
            palette=KINDS, legend=False,
        )  # fmt: skip
        axis.axvline(0.5, **DOTTED)
        axis.set(xlabel=f"{name}: probability of fake", ylabel="", xlim=(-0.02, 1.02))
    return figure


@style.figure_style()
def robustness(table: pd.DataFrame) -> Figure | None:
    """AUC over the levels of each corruption, one panel each, with its interval.

    Parameters
    ----------
    table : see `experiments.detection.robustness_table`; unchanged frames are the dotted lines

    Returns
    -------
    The figure; None if no corruption has a value.
    """
    known = table.corruption[table.auc.notna()].unique()
    kinds = [kind for kind in known if kind != UNCHANGED]
    if not kinds:
        return None
    figure, axes = style.new_panels(len(kinds), 4.75, 5.6 / -(-len(kinds) // 2), 2)
    for axis, kind in zip(axes, kinds, strict=True):
        groups = table.groupby("detector", sort=False)
        for colour, (name, part) in zip(OTHERS, groups, strict=False):
            rows = part[part.corruption == kind]
            positions = np.arange(len(rows))
            axis.plot(positions, rows.auc, "o-", color=colour, label=name)
            axis.fill_between(positions, rows.auc_low, rows.auc_high, color=colour, alpha=0.2, lw=0)
            for value in part.loc[part.corruption == UNCHANGED, "auc"]:
                axis.axhline(value, **DOTTED | {"color": colour})
        axis.set_xticks(positions, [f"{level:g}" for level in rows.level])
        axis.set(xlabel=f"{kind}: {CORRUPTIONS[kind][2]}", ylim=(0, 1.03), ylabel="AUC")
    axes[0].legend(loc="lower left", fontsize=10)
    return figure


@style.figure_style()
def reliability(groups: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Reliability diagram: fraction correct over confidence, in the 15 bins (lo, hi] of the ECE.

    Parameters
    ----------
    groups : name -> p_fake (N,), labels (N,)
    """
    figure, axis = style.new_plot(5, 4.2)
    axis.plot([0.5, 1], [0.5, 1], **DOTTED)
    for (name, (p_fake, labels)), marker in zip(groups.items(), "osd^", strict=False):
        confidence, right = np.maximum(p_fake, 1 - p_fake), (p_fake > 0.5) == labels
        cut = np.ceil(confidence * 15).clip(1, 15)
        points = [(confidence[cut == b].mean(), right[cut == b].mean()) for b in np.unique(cut)]
        if points:
            axis.plot(*zip(*points, strict=True), marker=marker, label=name)
    axis.set(xlabel="confidence", ylabel="fraction correct", xlim=(0.48, 1.02), ylim=(-0.02, 1.05))
    axis.legend()
    return figure


@style.figure_style()
def threshold_curves(frame: pd.DataFrame, measures: Sequence[str]) -> Figure | None:
    """Measures over the threshold of the mask; one panel per measure, one line per group.

    None if no measure has a value.
    """
    measures = [measure for measure in measures if frame[measure].notna().any()]
    if not measures:
        return None
    figure, axes = style.new_panels(len(measures), 3.8, 3, 2)
    right = axes[min(1, len(measures) - 1)]  # end of the first row
    for axis, measure in zip(axes, measures, strict=True):
        sns.lineplot(
            frame, x="threshold", y=measure, hue="label", style="detector", ax=axis, errorbar=None,
            palette=KINDS, legend=axis is right,
        )  # fmt: skip
        axis.set(xlabel="threshold", ylabel=measure)
    style.legend_beside(right)
    return figure


@style.figure_style()
def rules(frame: pd.DataFrame, measures: Sequence[str]) -> Figure | None:
    """Measures over the number of regions, one line per rule; a row of panels per detector.

    None if no measure has a value.
    """
    measures = [measure for measure in measures if frame[measure].notna().any()]
    if not measures:
        return None
    frame = frame[frame[measures].notna().any(axis=1)]
    names, columns = list(dict.fromkeys(frame.detector)), len(measures)
    width = style.fitting(2.7, columns) * columns
    figure, axes = style.new_figure(width, 2.7 * len(names), len(names), columns)
    for row, name in zip(axes, names, strict=True):
        part = frame[frame.detector == name]
        for axis, measure in zip(row, measures, strict=True):
            if part[measure].isna().all():
                axis.remove()
                continue
            sns.lineplot(part, x="top", y=measure, hue="rule", style="rule", markers=True,
                         palette=list(OTHERS[: part.rule.nunique()]), ax=axis)  # fmt: skip
            axis.set(xlabel=f"regions, {name}", ylabel=measure, ylim=(0, 1.02))
            axis.set_xticks(sorted(part.top.unique()))
            axis.get_legend().set_visible(False)
    style.legend_beside([axis for axis in axes[0] if axis in figure.axes][-1])
    return figure


@style.figure_style()
def region_frequencies(frame: pd.DataFrame, order: Sequence[str]) -> Figure | None:
    """Frequency of each region (columns region, who, share); after the paper's Figure 2.

    None if no region has a frequency.
    """
    if not frame.share.any():
        return None
    figure, axis = style.new_plot(8, 3.6)
    sns.barplot(frame, x="region", y="share", hue="who", order=list(order), ax=axis,
                palette=list(OTHERS[: frame.who.nunique()]))  # fmt: skip
    axis.set(xlabel="region", ylabel="fraction of fake videos", ylim=(0, 1))
    axis.legend(title="", loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return figure


@style.figure_style()
def lines(frame: pd.DataFrame, x: str, y: Sequence[str], xlabel: str, ylabel: str) -> Figure:
    """Lines of columns `y` over a column `x`."""
    figure, axis = style.new_plot(6.5, 3.2)
    for name, marker, dashes in zip(y, "osd^", ("-", "--", ":", "-."), strict=False):
        axis.plot(frame[x], frame[name], marker=marker, ls=dashes, label=name, ms=4)
    axis.set(xlabel=xlabel, ylabel=ylabel)
    axis.legend()
    return figure


@style.figure_style()
def information_gap(table: pd.DataFrame, lam: float = 0.9) -> Figure:
    """The information estimate beside the true mutual information.

    Left: both over the correlation of normal units at one lambda, with the middle 90 % of single
    inputs shaded. Right: their ratio over lambda, for the least and the largest correlation and
    for a ReLU unit.

    Parameters
    ----------
    table : see `experiments.information_gap.gap_table`
    """
    figure, axes = style.new_figure(9, 3.8, columns=2)
    bits, ratios = axes[0]
    normal = table[table.activation == "normal"]
    at = normal[normal.lam == lam].sort_values("correlation")
    bits.fill_between(at.correlation, at.low, at.high, color=SECOND, alpha=0.25, lw=0,
                      label="single inputs, 90 %")  # fmt: skip
    bits.plot(at.correlation, at.estimate, "s--", color=SECOND, label="mean estimate")
    bits.plot(at.correlation, at.true, "o-", color=FIRST, label="mutual information")
    bits.set(xlabel=f"correlation of units, lambda = {lam:g}", ylabel="bits")
    bits.set_ylim(0, 1.5 * at.high.max())
    bits.legend(loc="upper left", fontsize=10)
    shown = table[table.correlation.isin([normal.correlation.min(), normal.correlation.max()])]
    groups = shown.groupby("name", sort=False)
    for (name, part), marker, colour in zip(groups, "os^", OTHERS, strict=False):
        ratios.plot(part.lam, part.ratio, f"{marker}-", color=colour, ms=5, label=name)
    ratios.axhline(1, **DOTTED)
    ratios.set(xlabel="lambda", ylabel="mean estimate / information")
    ratios.set_ylim(0, 1.5 * shown.ratio.max())
    ratios.legend(loc="upper left", fontsize=10)
    return figure


@style.figure_style()
def draws(frame: pd.DataFrame, x: str, y: str, xlabel: str, ylabel: str) -> Figure:
    """Dots of `y` over `x`, one for each noise sample, and the line of their mean."""
    figure, axis = style.new_plot(6.5, 3.2)
    axis.plot(frame[x], frame[y], "o", color=INK, ms=4, alpha=0.6, label="one noise sample")
    mean = frame.groupby(x)[y].mean()
    axis.plot(mean.index, mean, color=FIRST, label="mean")
    axis.set(xlabel=xlabel, ylabel=ylabel, ylim=(-0.03, 1.03))
    axis.legend()
    return figure


@style.figure_style()
def intervals(
    frame: pd.DataFrame,
    measures: Sequence[str],
    labels: str = "name",
    chance: Mapping[str, float] | None = None,
) -> Figure | None:
    """Values with intervals (columns m, m_low, m_high): one panel per measure that has values.

    Parameters
    ----------
    chance : value of a measure that chance gives, drawn as a dotted line

    Returns
    -------
    The figure; None if no measure has a value.
    """
    measures = [measure for measure in measures if frame[measure].notna().any()]
    if not measures:
        return None
    # Never more than three side by side: on a phone the text of more would be too small to read.
    wide = 2 if len(measures) == 4 else min(3, len(measures))
    height = 0.45 * len(frame) + 1.3
    figure, axes = style.new_panels(len(measures), 2 / wide + 2.4, height, wide)
    for number, (axis, measure) in enumerate(zip(axes, measures, strict=True)):
        at = style.label_rows(axis, frame[labels] if number % wide == 0 else [""] * len(frame))
        low, high = frame.get(f"{measure}_low"), frame.get(f"{measure}_high")
        if low is not None and high is not None:
            axis.hlines(at, low, high, color=INK)
        axis.plot(frame[measure], at, "o", color=FIRST, ms=8)
        axis.set_xlabel(measure)
        if chance and measure in chance:
            axis.axvline(chance[measure], **DOTTED)
    return figure


@style.figure_style()
def bits_plot(groups: Mapping[str, pd.DataFrame]) -> Figure | None:
    """Total bits of each explained frame over its probability of fake, one panel per detector.

    None if no frame has bits.
    """
    groups = style.with_values(groups, "total_bits")
    if not groups:
        return None
    figure, axes = style.new_panels(len(groups), 4, 3.2, ACROSS)
    for axis, (name, frame) in zip(axes, groups.items(), strict=True):
        for kind, marker in (("real", "o"), ("fake", "^")):
            part = frame[frame.label == (kind == "fake")]
            if part.empty:
                continue
            axis.plot(part.p_fake, part.total_bits, marker, c=KINDS[kind], alpha=0.7, label=kind)
        axis.set(xlabel=f"{name}: probability of fake", ylabel="bits per frame", xlim=(-0.02, 1.02))
        axis.legend()
    return figure


@style.figure_style()
def paper_plot(table: pd.DataFrame) -> Figure | None:
    """The paper's values beside this run's with intervals (columns row, paper, run, low, high).

    Values of a reference run (column reference) are marked if there are any. None if this run has
    no value.
    """
    if table.run.isna().all():
        return None
    figure, axis = style.new_plot(7, 0.6 * len(table) + 1.4)
    at = style.label_rows(axis, table.row)
    axis.hlines(at, table.low, table.high, color=INK)
    axis.plot(table.run, at, "o", color=FIRST, ms=9, label="this run")
    axis.plot(table.paper, at, "D", color=SECOND, ms=8, label="the paper")
    if "reference" in table and table.reference.notna().any():
        axis.plot(table.reference, at, "|", color=INK, ms=20, mew=2, label="reference run")
    axis.set_xlabel(str(table.measure.iloc[0]))
    style.legend_beside(axis)
    return figure


@style.figure_style()
def sensitivity(frame: pd.DataFrame) -> Figure:
    """Change of a result in per cent (column relative) under each alternative, a row per choice."""
    choices = list(dict.fromkeys(frame.choice))
    figure, axis = style.new_plot(7.5, 0.42 * len(choices) + 1.2)
    at = dict(zip(choices, style.label_rows(axis, choices), strict=True))
    axis.axvline(0, **DOTTED)
    groups = frame.groupby("detector", sort=False)
    for (name, part), colour, marker in zip(groups, OTHERS, "os^D", strict=False):
        axis.plot(100 * part.relative, part.choice.map(at), marker, color=colour, ms=8, alpha=0.8,
                  label=name)  # fmt: skip
    axis.set_xscale("symlog", linthresh=10)
    axis.xaxis.set_major_formatter(mpl.ticker.StrMethodFormatter("{x:g}"))
    axis.set_xlabel("change, % (linear up to 10)")
    axis.grid(axis="y", alpha=0.3)
    style.legend_beside(axis)
    return figure


@style.figure_style()
def by_method(groups: Mapping[str, pd.DataFrame]) -> Figure | None:
    """Fraction of correct decisions per method, without and with bottleneck; a panel per detector.

    Parameters
    ----------
    groups : name -> columns method, frames, without, with_bottleneck

    Returns
    -------
    The figure; None if no method has a share.
    """
    groups = style.with_values(groups, "without", "with_bottleneck")
    if not groups:
        return None
    height = 0.5 * max(map(len, groups.values())) + 1.8
    figure, axes = style.new_panels(len(groups), 4.6, height, ACROSS)
    for axis, (name, frame) in zip(axes, groups.items(), strict=True):
        names = [f"{m} ({n})" for m, n in zip(frame.method, frame.frames, strict=True)]
        at = style.label_rows(axis, names)
        axis.hlines(at, frame.without, frame.with_bottleneck, color=INK, lw=1.5)
        axis.plot(frame.without, at, "o", color=FIRST, ms=9, label="without")
        axis.plot(frame.with_bottleneck, at, "D", color=SECOND, ms=6, label="with bottleneck")
        axis.set(xlabel=f"{name}: fraction correct", xlim=(-0.04, 1.04))
    axes[0].legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    return figure


@style.figure_style()
def cost_shares(table: pd.DataFrame) -> Figure:
    """Fraction of a pass before and after each layer (columns detector, layer, share after it)."""
    figure, axis = style.new_plot(7, 0.42 * len(table) + 1.4)
    at = style.label_rows(axis, [f"{r.detector}, {r.layer}" for r in table.itertuples()])
    axis.barh(at, table.share, color=FIRST, label="after: run in every step")
    axis.barh(at, 1 - table.share, left=table.share, color=SECOND, label="before: run once")
    axis.set(xlabel="fraction of multiply-accumulates", xlim=(0, 1))
    axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    return figure


@style.figure_style()
def seconds_bars(table: pd.DataFrame) -> Figure | None:
    """Seconds per frame of each setting on a log axis (columns detector, layer, settings, seconds).

    One panel per detector and layer, one below the other. None if no setting has a time.
    """
    table = table[table.seconds.notna()]
    if table.empty:
        return None
    groups = list(table.groupby(["detector", "layer"], sort=False))
    total = sum(0.4 * len(part) + 1 for _, part in groups)
    figure, axes = style.new_figure(7, total, len(groups))
    low = 10 ** np.floor(np.log10(table.seconds.min()))
    for axis, ((detector, layer), part) in zip(axes[:, 0], groups, strict=True):
        at = style.label_rows(axis, part.settings)
        # Bars of a log axis have no zero to start from: they start at a power of ten for all.
        axis.barh(at, part.seconds - low, left=low, color=FIRST)
        for height, seconds in zip(at, part.seconds, strict=True):
            axis.text(seconds * 1.06, height, f"{seconds:.3g} s", va="center", fontsize=11)
        axis.set(xscale="log", xlim=(low, table.seconds.max() * 2.5))
        axis.set_xlabel(f"{detector} at {layer}: seconds per frame")
    return figure


@style.figure_style()
def over_steps(
    panels: Mapping[str, pd.DataFrame],
    measure: str,
    ylabel: str,
    chance: float | None = None,
    log: bool = False,
) -> Figure | None:
    """A measure over the steps of the optimisation on a log axis; one panel each, one line a group.

    Parameters
    ----------
    panels : what the lines differ in -> columns line, steps and the measure
    chance : value that chance gives, drawn as a dotted line
    log : whether the measure has a log axis too

    Returns
    -------
    The figure; None if the measure has no value.
    """
    panels = style.with_values(panels, measure)
    if not panels:
        return None
    figure, axes = style.new_panels(len(panels), 4.4, 3.6, ACROSS)
    steps = sorted({s for frame in panels.values() for s in frame.steps})
    for axis, (name, frame) in zip(axes, panels.items(), strict=True):
        axis.sharey(axes[0])  # so that panels can be compared
        colours = [*OTHERS, INK][: frame.line.nunique()]
        sns.lineplot(
            frame, x="steps", y=measure, hue="line", style="line", markers=True, palette=colours,
            errorbar=None, ax=axis,
        )  # fmt: skip
        if chance is not None:
            axis.axhline(chance, **DOTTED)
        axis.set(xscale="log", yscale="log" if log else "linear", xlabel="steps", ylabel=ylabel)
        axis.set_xticks(steps, [str(s) for s in steps])
        axis.minorticks_off()
        axis.legend(title=name)
    return figure


@style.figure_style()
def over_budget(frame: pd.DataFrame, chance: float) -> Figure | None:
    """Localisation over the budget on a log axis: a panel for each method, a line a detector.

    Parameters
    ----------
    frame : columns detector, method, equivalents, ratio
    chance : value that chance gives, drawn as a dotted line

    Returns
    -------
    The figure; None if no ratio has a value.
    """
    frame = frame[frame.ratio.notna()]
    if frame.empty:
        return None
    methods, detectors = frame.method.unique(), frame.detector.unique()
    figure, axes = style.new_panels(len(methods), 2.8, 2.6, ACROSS)
    for axis, method in zip(axes, methods, strict=True):
        for turn, detector in enumerate(detectors):
            line = frame[(frame.method == method) & (frame.detector == detector)]
            line = line.sort_values("equivalents")
            look = {"color": style.OTHERS[turn % len(style.OTHERS)], "marker": "os^D"[turn % 4]}
            axis.plot(line.equivalents, line.ratio, **look, label=detector)
        axis.axhline(chance, **DOTTED)
        axis.sharey(axes[0])
        ticks = sorted(frame.equivalents[frame.method == method].unique())
        axis.set(xscale="log", xlabel="forward-equivalents", ylabel="over chance", title=method)
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.minorticks_off()
    axes[0].legend(fontsize=10)
    return figure


@style.figure_style()
def heat(table: pd.DataFrame, label: str, middle: float) -> Figure | None:
    """Numbers as colours, written into their cells: index down, columns across.

    Parameters
    ----------
    label : what the numbers are
    middle : value in the middle of the colours, such as what chance gives

    Returns
    -------
    The figure; None if no cell has a number.
    """
    if table.isna().all(axis=None):
        return None
    figure, axis = style.new_plot(2.5 + 1.05 * table.shape[1], 1.4 + 0.45 * len(table))
    values = table.to_numpy(float)
    known = values[np.isfinite(values)]
    low, high = min(known.min(), middle - 1e-3), max(known.max(), middle + 1e-3)
    scale = TwoSlopeNorm(middle, low, high)
    sns.heatmap(
        table, ax=axis, cmap="vlag", norm=scale, annot=True,
        fmt=".1f", annot_kws={"size": 11}, cbar_kws={"label": label}, linewidths=0.5,
    )  # fmt: skip
    axis.set(xlabel="", ylabel="")
    axis.tick_params(axis="x", rotation=45)
    axis.tick_params(axis="y", rotation=0)
    return figure


@style.figure_style()
def worth_and_cost(
    groups: Mapping[str, pd.DataFrame], cost: str, worth: str, xlabel: str, ylabel: str,
    chance: float | None = None,
) -> Figure | None:  # fmt: skip
    """Methods by what they cost and what they are worth, one panel per group that has values.

    Parameters
    ----------
    groups : tables with name, front (whether no other is both cheaper and better), control, the
        columns `cost` and `worth`; those on the front are filled and joined by a line, controls
        are crosses

    Returns
    -------
    The figure; None if no group has a value.
    """
    groups = style.with_values(groups, worth)
    if not groups:
        return None
    figure, axes = style.new_panels(len(groups), 8.0, 4.6)
    for axis, (title, table) in zip(axes, groups.items(), strict=True):
        front = table[table.front].sort_values(cost)
        rest, control = table[~table.front & ~table.control], table[table.control]
        axis.plot(front[cost], front[worth], "o-", color=FIRST, ms=8, lw=1.5)
        axis.plot(rest[cost], rest[worth], "o", mfc="none", mec=INK, ms=8)
        axis.plot(control[cost], control[worth], "x", color=INK, ms=7)
        if chance is not None:
            axis.axhline(chance, **DOTTED)
        axis.set(xscale="log", xlabel=xlabel, ylabel=f"{ylabel}\n{title}")
        axis.xaxis.set_major_formatter("{x:g}")
        least, most = axis.get_xlim()
        # Within one power of ten, no other number is on the axis.
        axis.xaxis.set_minor_formatter("{x:g}" if most < 10 * least else "")
        axis.margins(y=0.1)
        _name_beside(axis, table.set_index("name")[[cost, worth]].dropna())
    return figure


def _name_beside(axis: Axes, points: pd.DataFrame) -> None:
    """Names of points (x, y) in a column on the right, each with a line to its point.

    Beside their points, names of close ones would cover each other.
    """
    points = points.sort_values(points.columns[1])
    low, high = axis.get_ylim()
    heights = spread((points.iloc[:, 1].to_numpy() - low) / (high - low), 0.055)
    line = {"arrowstyle": "-", "color": INK, "lw": 0.7, "alpha": 0.5, "relpos": (0, 0.5),
            "shrinkA": 1, "shrinkB": 4}  # fmt: skip
    for height, (name, point) in zip(heights, points.iterrows(), strict=True):
        axis.annotate(
            str(name), tuple(point), (1.03, height), textcoords="axes fraction", va="center",
            fontsize=10, arrowprops=line,
        )  # fmt: skip


def spread(heights: np.ndarray, gap: float) -> np.ndarray:
    """Ascending heights in [0, 1], moved apart by `gap`, or by less if they are too many."""
    found, gap = np.array(heights, float), min(gap, 1 / max(1, len(heights) - 1))
    for at in range(1, len(found)):
        found[at] = max(found[at], found[at - 1] + gap)
    found[-1:] = found[-1:].clip(max=1)
    for at in range(len(found) - 2, -1, -1):
        found[at] = min(found[at], found[at + 1] - gap)
    return found
