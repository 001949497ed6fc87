"""Figures with sliders whose images are all rendered beforehand, so that a page needs no Python.

A `SliderFigure` is an image, a slider for each setting and a sentence that describes the image. A
notebook and a page show the same. `SliderFigure.live` renders while the sliders move, in a running
notebook.
"""

import base64
import html
import io
import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from viba_lib.core.errors import VibaError, needed_package

MAX_IMAGES = 120  # of one figure
SCRIPT = Path(__file__).with_suffix(".js")


class SliderFigure:
    """An image for each combination of settings, and sliders that choose one.

    Parameters
    ----------
    name : id of the figure on the page, begins with `fig-`
    render : figure of one combination; takes the settings by name
    settings : values of each setting, in the order of the sliders; `_` in a name is shown as a
        space
    describe : sentence about one combination; it is the alternative text as well
    caption : what all images show
    start : index of the first value of each setting; the middle by default

    Raises
    ------
    VibaError
        No settings, a setting without values, or more images than a page can hold.
    """

    def __init__(
        self,
        name: str,
        render: Callable[..., Figure],
        settings: Mapping[str, Sequence[float]],
        describe: Callable[..., str],
        caption: str,
        start: Mapping[str, int] | None = None,
    ) -> None:
        self.name, self.render, self.describe, self.caption = name, render, describe, caption
        self.settings = {key: list(values) for key, values in settings.items()}
        count = math.prod(map(len, self.settings.values()))
        if not self.settings or not 1 <= count <= MAX_IMAGES:
            raise VibaError(
                f"{name} would hold {count} images of {len(self.settings)} settings; expected "
                f"1 to {MAX_IMAGES}: give each setting some values, and fewer if there are many"
            )
        middle = {key: len(values) // 2 for key, values in self.settings.items()}
        self.start = middle | dict(start or {})

    def combinations(self) -> list[dict[str, float]]:
        """Every combination of settings; the last setting changes fastest."""
        keys = list(self.settings)
        return [dict(zip(keys, v, strict=True)) for v in itertools.product(*self.settings.values())]

    def live(self) -> Any:
        """Sliders that render while they move; needs a running kernel and ipywidgets."""
        with needed_package("book"):
            from ipywidgets import SelectionSlider, interactive
        sliders = {
            key: SelectionSlider(
                options=values, value=values[self.start[key]], description=key.replace("_", " ")
            )
            for key, values in self.settings.items()
        }
        return interactive(self.render, **sliders)

    def __repr__(self) -> str:
        return f"SliderFigure({self.name!r}, {self.settings})"

    def _repr_html_(self) -> str:
        combinations = self.combinations()
        alts = [self.describe(**settings) for settings in combinations]
        images = [_png(self.render(**settings)) for settings in combinations]
        first = combinations.index({key: v[self.start[key]] for key, v in self.settings.items()})
        values = [[f"{v:g}" for v in part] for part in self.settings.values()]
        name = html.escape(self.name, quote=True)
        rows = "".join(
            _slider(f"{name}-{i}", key, values[i], self.start[key])
            for i, key in enumerate(self.settings)
        )
        data = {"values": values, "images": images, "alts": alts}
        # In JSON within a script, only "<" could end the script.
        content = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
        script = SCRIPT.read_text(encoding="utf-8").rstrip()
        return (
            f'<figure id="{name}" class="viba-play">'
            f'<img src="{images[first]}" alt="{html.escape(alts[first], quote=True)}">'
            f"{rows}"
            f'<p role="status">{html.escape(alts[first])}</p>'
            f"<figcaption>{html.escape(self.caption)}</figcaption>"
            f'<script type="application/json">{content}</script>'
            f"<script>{script}(document.getElementById({json.dumps(self.name)}));</script></figure>"
        )


def _slider(name: str, key: str, values: Sequence[str], start: int) -> str:
    # Without scripts the slider would do nothing, so that a script enables it.
    return (
        f'<p><label for="{name}">{html.escape(key.replace("_", " "))}</label> '
        f'<input id="{name}" type="range" min="0" max="{len(values) - 1}" step="1" '
        f'value="{start}" aria-valuetext="{values[start]}" disabled> '
        f"<output>{values[start]}</output></p>"
    )


def _png(figure: Figure) -> str:
    data = io.BytesIO()
    # One size for all: an image that jumps cannot be compared with the one before.
    figure.savefig(data, format="png", dpi=80)
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()
