"""One figure style for the whole book."""

import io
from typing import Any

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

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
