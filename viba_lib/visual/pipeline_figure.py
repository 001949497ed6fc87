"""The stages of a run as a diagram that is made from their declarations."""

import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from viba_lib.core.cache import External, Stage
from viba_lib.models.detectors import Detector
from viba_lib.visual import style
from viba_lib.visual.style import INK, OTHERS

# Boxes are filled, so that their text has the same contrast on white and on black pages.
BOX, TEXT = "#f2f2f2", "#222222"
WIDTH, GAP, LINE, STEP = 4.0, 0.2, 0.19, 0.15  # inches: figure, gaps, lines of text, lines beside
LETTERS = 41  # of a line of text


@dataclass(frozen=True)
class Role:
    """Stages that compute the same, for several detectors or for all of them at once.

    Parameters
    ----------
    name : of the stages, without the detector
    computes : first sentence of the docstring of the function that computes them
    inputs : names of the roles that it is computed from, without those that an input includes
    detectors : those that have a stage of this role; empty if it is shared
    """

    name: str
    computes: str
    inputs: tuple[str, ...] = ()
    detectors: tuple[Detector, ...] = ()


def _detector(stage: Stage) -> tuple[Detector, ...]:
    return tuple(value for value in stage.inputs.values() if isinstance(value, Detector))


def _name(key: str, value: object) -> str:
    """Role of an input that a stage declares under a key; "" if no stage or file gives it."""
    if isinstance(value, Stage):
        suffix = "".join(f"-{detector.name}" for detector in _detector(value))
        return value.name.removesuffix(suffix)
    return key if isinstance(value, External) else ""


def _before(value: object) -> set[str]:
    """Roles that an input is computed from."""
    found: set[str] = set()
    for key, given in value.inputs.items() if isinstance(value, Stage) else ():
        found |= {_name(key, given)} | _before(given)
    return found - {""}


def _sentence(function: object) -> str:
    """First sentence of a docstring, without a last clause that refers to code."""
    first = (inspect.getdoc(function) or "").partition("\n")[0]
    return re.sub(r", [^,]*`.*", "", first).rstrip(".")


def _own_roles(stage: Stage) -> Iterator[Role]:
    """Roles of a stage and of everything that it is computed from, inputs first."""
    given = {_name(key, value): value for key, value in stage.inputs.items()}
    given.pop("", None)
    for name, value in given.items():
        if isinstance(value, Stage):
            yield from _own_roles(value)
        elif isinstance(value, External):
            yield Role(name, f"File {value.path.name}")
    included = set[str]().union(*map(_before, given.values()))
    inputs = tuple(name for name in given if name not in included)
    yield Role(_name("", stage), _sentence(stage.compute), inputs, _detector(stage))


def roles(stages: Iterable[Stage]) -> list[Role]:
    """Roles of stages and of everything that they are computed from, inputs first."""
    found: dict[str, Role] = {}
    for stage in stages:
        for role in _own_roles(stage):
            old = found.setdefault(role.name, role)
            inputs = tuple(dict.fromkeys(old.inputs + role.inputs))
            detectors = tuple(dict.fromkeys(old.detectors + role.detectors))
            found[role.name] = replace(old, inputs=inputs, detectors=detectors)
    return list(found.values())


def pipeline_sentence(stages: Iterable[Stage]) -> str:
    """What `pipeline_diagram` shows, in words."""
    groups: dict[str, list[str]] = {}
    for role in roles(stages):
        names = " and ".join(detector.name for detector in role.detectors)
        groups.setdefault(names, []).append(role.name)
    parts = [
        f"{', '.join(names)} {f'for {who}' if who else 'for all detectors together'}"
        for who, names in groups.items()
    ]
    return f"Computed in this run: {'; '.join(parts)}."


@dataclass(frozen=True)
class _Line:
    """A line beside the boxes, from one role to those that a detector computes from it."""

    colour: str
    right: bool
    start: int  # row of the first role
    ends: tuple[int, ...]  # rows of the others

    def overlaps(self, other: "_Line") -> bool:
        """Whether both are on the same side in the same rows."""
        same_rows = self.start < max(other.ends) and other.start < max(self.ends)
        return self.right == other.right and same_rows


def _lines(found: list[Role], detectors: list[Detector]) -> dict[_Line, int]:
    """Lines with their distance from the boxes, in steps, so that no two overlap."""
    lines: dict[_Line, int] = {}
    for number, detector in enumerate([*detectors, None]):
        colour = OTHERS[number % len(OTHERS)] if detector else INK
        for row, role in enumerate(found):
            users = [(i, user) for i, user in enumerate(found) if role.name in user.inputs]
            if detector:
                ends = [i for i, user in users if detector in user.detectors]
            else:  # between shared roles one below the other there is a straight arrow instead
                ends = [i for i, user in users if not user.detectors and i != row + 1]
            if ends:
                line = _Line(colour, bool(number % 2), row, tuple(ends))
                taken = {step for other, step in lines.items() if other.overlaps(line)}
                lines[line] = min(set(range(len(taken) + 1)) - taken)
    return lines


class _Box(NamedTuple):
    """A box with lines of text, the first one bold; x and top are of its upper left corner."""

    x: float
    top: float
    width: float
    text: list[str]
    colour: str = BOX

    @property
    def bottom(self) -> float:
        """Height of its lower side."""
        return self.top - LINE * (len(self.text) + 0.7)

    def draw(self, axis: Axes) -> None:
        """Draw it over the lines."""
        corner, height = (self.x, self.bottom), self.top - self.bottom
        shape = "round,pad=0,rounding_size=0.07"
        axis.add_patch(
            FancyBboxPatch(corner, self.width, height, shape, fc=self.colour, ec=INK, zorder=3)
        )
        for number, line in enumerate(self.text):
            axis.text(
                self.x + self.width / 2, self.top - LINE * (number + 0.85), line, ha="center",
                va="center", color=TEXT, size=10 if number else 11.5, zorder=4,
                weight="normal" if number else "bold",
            )  # fmt: skip


def _draw_line(axis: Axes, line: _Line, step: int, boxes: list[_Box]) -> None:
    """A line from the lower part of a box beside the boxes, with arrows into the others."""
    first, ends = boxes[line.start], [boxes[i].top - LINE for i in line.ends]
    edge = first.x + first.width if line.right else first.x
    x = edge + STEP * (step + 1) * (1 if line.right else -1)
    start = first.bottom + 0.6 * LINE
    axis.plot([edge, x, x], [start, start, min(ends)], color=line.colour, lw=2, zorder=1)
    for end in ends:
        _arrow(axis, (x, end), (edge, end), line.colour)


def _arrow(axis: Axes, start: tuple[float, float], end: tuple[float, float], colour: str) -> None:
    shape = {"arrowstyle": "-|>", "color": colour, "lw": 2, "shrinkA": 0, "shrinkB": 0}
    axis.annotate("", end, start, arrowprops=shape, zorder=1)


def _boxes(found: list[Role], detectors: list[Detector], margin: float) -> list[_Box]:
    """Boxes of the roles from top to bottom, then the labels of the detectors, two in a row."""
    first = next((row for row, role in enumerate(found) if role.detectors), len(found))
    boxes, labels, y = list[_Box](), list[_Box](), 0.0
    for row, role in enumerate(found):
        for number, detector in enumerate(detectors if row == first else ()):
            left, colour = number % 2 == 0, OTHERS[number % len(OTHERS)]
            top = y - GAP if left else labels[-1].top
            text = textwrap.wrap(detector.title or detector.name, LETTERS // 2)
            text += textwrap.wrap(detector.input_name, LETTERS // 2)
            x = 0.05 if left else WIDTH / 2 + 0.05
            labels.append(_Box(x, top, WIDTH / 2 - 0.1, text, colour))
            y = min(y, labels[-1].bottom)
        text = [role.name, *textwrap.wrap(role.computes, LETTERS)]
        boxes.append(_Box(margin, y - GAP, WIDTH - 2 * margin, text))
        y = boxes[-1].bottom
    return boxes + labels


@style.figure_style()
def pipeline_diagram(stages: Iterable[Stage]) -> Figure:
    """Roles of stages as boxes, inputs above, with lines in one colour for each detector.

    A line leaves a box below, and its arrows enter the boxes that are computed from it. The labels
    of the detectors lie on their lines, above the first box of one.
    """
    found = roles(stages)
    detectors = list(dict.fromkeys(d for role in found for d in role.detectors))
    lines = _lines(found, detectors)
    boxes = _boxes(found, detectors, STEP * (2 + max(lines.values(), default=0)))
    height = GAP - min(box.bottom for box in boxes)
    figure, axis = style.new_plot(WIDTH, height)
    figure.set_layout_engine("none")
    axis.set(position=(0, 0, 1, 1), xlim=(0, WIDTH), ylim=(-height, 0))
    axis.set_axis_off()
    for line, step in lines.items():
        _draw_line(axis, line, step, boxes)
    for above, below, role, user in zip(boxes, boxes[1:], found, found[1:], strict=False):
        if role.name in user.inputs and not user.detectors:
            _arrow(axis, (WIDTH / 2, above.bottom), (WIDTH / 2, below.top), INK)
    for box in boxes:
        box.draw(axis)
    return figure
