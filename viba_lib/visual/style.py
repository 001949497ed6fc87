"""One figure style for the whole book; importing it changes nothing of a user's matplotlib."""

import io
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

REAL, FAKE = "#0173b2", "#de8f05"  # seaborn's colour-blind palette
# Data that are neither real nor fake take other colours of that palette, so that two colours keep
# one meaning throughout the book.
OTHERS = ("#029e73", "#cc78bc", "#ca9161", "#56b4e9")
FIRST, SECOND = OTHERS[:2]
WIDEST = 9.6  # inches of a figure: a page shrinks a wider one, and its letters with it
# At least 4.5:1 on white. No grey reaches that on white and on the dark theme as well, so
# book/_static/custom.css gives figures, which are transparent, a light ground in the dark.
INK = "#595959"
PARAMETERS = {
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "savefig.transparent": True,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "font.size": 12,
    "lines.linewidth": 2,
    "legend.frameon": False,
    "figure.dpi": 110,
}


@contextmanager
def figure_style() -> Iterator[None]:
    """Style of the book, within the context or in a function decorated with `@figure_style()`."""
    with mpl.rc_context():
        sns.set_theme(style="ticks", palette=list(OTHERS), rc=PARAMETERS)
        yield


class NotebookFigure(Figure):
    """A figure in the style of the book, which a notebook shows without pyplot."""

    @figure_style()
    def savefig(self, *arguments: Any, **options: Any) -> None:
        """Save as `Figure.savefig`; some parts of a figure are created only now."""
        super().savefig(*arguments, **options)

    def _repr_png_(self) -> bytes:
        data = io.BytesIO()
        self.savefig(data, format="png", bbox_inches="tight", dpi=self.dpi)
        return data.getvalue()


def pixels(figure: Figure, ground: str) -> np.ndarray:
    """A figure as an image (H, W, 3) uint8 on a ground of one colour, with even sides."""
    figure.set(facecolor=ground)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = np.asarray(canvas.buffer_rgba())[..., :3]
    return image[: len(image) // 2 * 2, : image.shape[1] // 2 * 2].copy()


def new_figure(width: float, height: float, rows: int = 1, columns: int = 1) -> tuple[Figure, Any]:
    """Figure of a size in inches and its axes, an array (rows, columns)."""
    figure = NotebookFigure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def fitting(width: float, columns: int) -> float:
    """The width of a panel, or less, so that a row of panels is not wider than `WIDEST`."""
    return min(width, WIDEST / columns)


def new_panels(count: int, width: float, height: float, columns: int = 1) -> tuple[Figure, Any]:
    """Figure of panels of a size in inches, in rows of up to `columns`, and the panels' axes."""
    columns = min(columns, count)
    width, rows = fitting(width, columns), -(-count // columns)
    figure, axes = new_figure(width * columns, height * rows, rows, columns)
    for unused in axes.flat[count:]:
        unused.remove()
    return figure, axes.flat[:count]


def with_values(groups: Mapping[str, pd.DataFrame], *columns: str) -> dict[str, pd.DataFrame]:
    """Groups that have a value in one of the columns: a panel without values is not drawn."""
    return {n: t for n, t in groups.items() if len(t) and t[list(columns)].notna().any(axis=None)}


def new_plot(width: float, height: float) -> tuple[Figure, Axes]:
    """Figure of a size in inches and its only axes."""
    figure, axes = new_figure(width, height)
    return figure, axes[0, 0]


def show_image(
    axis: Axes, image: np.ndarray, label: str = "", mask: np.ndarray | None = None
) -> None:
    """Show an image (H, W, 3) without ticks, with a label under it.

    A mask (H, W) is outlined in cyan at half of its maximum.
    """
    axis.imshow(image)
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)
    axis.set_xlabel(label, fontsize=11, parse_math=False)  # it may be a name from a catalog
    if mask is not None and mask.max() > 0:
        axis.contour(mask, levels=[0.5 * mask.max()], colors=["#00e5ff"], linewidths=1.4)


def label_rows(axis: Axes, labels: Iterable[str]) -> np.ndarray:
    """Label rows from top to bottom; returns their heights on the axis."""
    names = list(labels)
    heights = np.arange(len(names))[::-1]
    axis.set_yticks(heights, names)
    axis.set_ylim(-0.6, len(names) - 0.4)
    return heights


def legend_beside(axis: Axes) -> None:
    """Put the legend of an axis, if it has one, outside on its right."""
    if axis.get_legend() is None and axis.get_legend_handles_labels()[0]:
        axis.legend()
    if axis.get_legend() is not None:
        sns.move_legend(axis, "upper left", bbox_to_anchor=(1, 1))


def relevance_bar(figure: Figure, axes: Any, maximum: float) -> None:
    """Add the colour bar of relevance maps, from 0 to `maximum` bits per pixel."""
    scale = mpl.cm.ScalarMappable(mpl.colors.Normalize(0, maximum), cmap="inferno")
    figure.colorbar(scale, ax=axes, label="bits per pixel", shrink=0.8, fraction=0.04)
