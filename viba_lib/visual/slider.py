"""Pictures with sliders: every setting is drawn beforehand, so they move on a page without Python.

`Play` is a picture, a slider for each setting and a sentence that says what is seen; a notebook
and a page show the same. `Play.live` draws anew as the sliders move, for a running notebook.
"""

import base64
import html
import io
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from viba_lib.core.errors import VibaError

MOST = 120  # pictures in one page

_SCRIPT = """(function (box) {
  var data = JSON.parse(box.querySelector('script[type="application/json"]').textContent);
  var sliders = Array.prototype.slice.call(box.querySelectorAll('input'));
  var image = box.querySelector('img'), said = box.querySelector('[role=status]');
  function show() {
    var place = 0;
    sliders.forEach(function (slider, i) {
      var value = data.values[i][slider.value];
      place = place * data.values[i].length + Number(slider.value);
      slider.setAttribute('aria-valuetext', value);
      slider.nextElementSibling.textContent = value;
    });
    image.src = data.pictures[place];
    image.alt = data.alts[place];
    said.textContent = data.alts[place];
  }
  sliders.forEach(function (slider) { slider.disabled = false;
    slider.addEventListener('input', show); });
})(document.getElementById(%s));"""


class Play:
    """A picture for each combination of settings, and sliders that choose one.

    Parameters
    ----------
    name : id of the place on the page, begins with `fig-`
    draw : figure of one combination; takes the settings by name
    settings : values of each setting, in the order of its slider; `_` in a name is a space there
    says : sentence of one combination, for all readers: it is the alternative text as well
    caption : what is seen in all of them
    start : place of the first value shown of each setting; the middle where none is given

    Raises
    ------
    VibaError
        No settings, a setting without values, or more pictures than a page can carry.
    """

    def __init__(
        self,
        name: str,
        draw: Callable[..., Figure],
        settings: Mapping[str, Sequence[float]],
        says: Callable[..., str],
        caption: str,
        start: Mapping[str, int] | None = None,
    ) -> None:
        self.name, self.draw, self.says, self.caption = name, draw, says, caption
        self.settings = {key: list(values) for key, values in settings.items()}
        count = 1
        for values in self.settings.values():
            count *= len(values)
        if not self.settings or not 1 <= count <= MOST:
            raise VibaError(
                f"{name} would hold {count} pictures of {len(self.settings)} settings; expected "
                f"1 to {MOST}: give each setting some values, and fewer where there are many"
            )
        middle = {key: len(values) // 2 for key, values in self.settings.items()}
        self.start = middle | dict(start or {})

    def combinations(self) -> list[dict[str, float]]:
        """Every combination of settings; the last setting changes fastest."""
        keys = list(self.settings)
        return [dict(zip(keys, v, strict=True)) for v in itertools.product(*self.settings.values())]

    def live(self) -> Any:
        """Sliders that draw anew as they move; needs a running kernel and ipywidgets."""
        try:
            from ipywidgets import SelectionSlider, interact
        except ImportError as error:
            raise VibaError(
                "live sliders need ipywidgets; install it with `pip install viba[book]`"
            ) from error
        sliders = {
            key: SelectionSlider(
                options=values, value=values[self.start[key]], description=key.replace("_", " ")
            )
            for key, values in self.settings.items()
        }
        return interact(self.draw, **sliders)

    def __repr__(self) -> str:
        return f"Play({self.name!r}, {self.settings})"

    def _repr_html_(self) -> str:
        chosen = self.combinations()
        alts = [self.says(**c) for c in chosen]
        pictures = [_data(self.draw(**c)) for c in chosen]
        first = 0
        for key, values in self.settings.items():
            first = first * len(values) + self.start[key]
        shown = [[f"{v:g}" for v in part] for part in self.settings.values()]
        data = {"values": shown, "pictures": pictures, "alts": alts}
        name = html.escape(self.name, quote=True)
        rows = "".join(
            self._slider(f"{name}-{i}", key, shown[i], self.start[key])
            for i, key in enumerate(self.settings)
        )
        # In JSON within a script, only "<" could end the script.
        content = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
        script = _SCRIPT % json.dumps(self.name)
        return (
            f'<figure id="{name}" class="viba-play">'
            f'<img src="{pictures[first]}" alt="{html.escape(alts[first], quote=True)}">'
            f"{rows}"
            f'<p role="status">{html.escape(alts[first])}</p>'
            f"<figcaption>{html.escape(self.caption)}</figcaption>"
            f'<script type="application/json">{content}</script>'
            f"<script>{script}</script></figure>"
        )

    @staticmethod
    def _slider(place: str, key: str, values: Sequence[str], start: int) -> str:
        # Without scripts the slider would do nothing, so a script is what enables it.
        return (
            f'<p><label for="{place}">{html.escape(key.replace("_", " "))}</label> '
            f'<input id="{place}" type="range" min="0" max="{len(values) - 1}" step="1" '
            f'value="{start}" aria-valuetext="{values[start]}" disabled> '
            f"<output>{values[start]}</output></p>"
        )


def _data(figure: Figure) -> str:
    data = io.BytesIO()
    # One size for all: a picture that jumps cannot be compared with the one before.
    figure.savefig(data, format="png", dpi=80)
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()
