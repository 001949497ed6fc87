"""Parameters of the chapters: type, default, meaning and rule, as their own cells state them.

A chapter says beside each of its own parameters, in a comment, what it means and after a semicolon
what it may be: `beta = 10.0  # weight of the information; above 0`. The page of parameters and the
refusal of wrong values both come from there.
"""

import ast
import io
import math
import re
import tokenize
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from viba_lib.book.chapters import as_notebook, chapters
from viba_lib.book.paths import BookError
from viba_lib.pipeline.profiles import load_profile, profile_names

# Meaning and rule of the five that every chapter has.
COMMON = {
    "profile": "how much is computed: a profile's name or the path of a YAML file; a profile",
    "data_root": "folder of videos; any path",
    "results_root": "folder of results; any path",
    "device": "where networks run: cpu, cuda, cuda:1, mps; a device",
    "seed": "of data, training and noise; at least 0",
}
_NUMBER = r"(-?\d+(?:\.\d+)?)"
_RULES = {
    "one of": re.compile(r"one of (.+)"),
    "above": re.compile(f"above {_NUMBER}"),
    "at least": re.compile(f"at least {_NUMBER}"),
    "from": re.compile(f"from {_NUMBER} to {_NUMBER}"),
    "any": re.compile(r"any (?:path|text)"),
    "a": re.compile(r"a (?:profile|device)"),
}


@dataclass(frozen=True)
class Parameter:
    """One parameter of a chapter.

    rule is one of `one of A, B`, `above N`, `at least N`, `from A to B`, `any path`, `any text`,
    `a profile`, `a device`.
    """

    name: str
    default: Any
    meaning: str
    rule: str

    @property
    def kind(self) -> str:
        """Name of its type."""
        return type(self.default).__name__

    @property
    def choices(self) -> list[str]:
        """What it may be, where that is a list."""
        found = re.fullmatch(r"one of (.+)", self.rule)
        return [word.strip() for word in found[1].split(",")] if found else []

    def expected(self) -> str:
        """What a right value is, in words."""
        if self.rule == "a profile":
            return f"one of {', '.join(profile_names())}, or the path of a YAML file"
        if self.rule == "a device":
            return "a device of PyTorch that is there: cpu, cuda, cuda:0, mps"
        return f"{self.kind}, {self.rule}" if self.kind in ("int", "float") else self.rule

    def value(self, text: str) -> Any:
        """The value that a text gives.

        Raises
        ------
        BookError
            Another type, or against the rule; says what is right.
        """
        try:
            value = _typed(text, self.default)
            _obey(self.rule, value)
        except (ValueError, SyntaxError, TypeError) as error:
            raise BookError(
                f"parameter {self.name} is {text!r}; expected {self.expected()} "
                f"({self.meaning}; default {self.default!r})"
            ) from error
        is_path = self.rule == "any path" or Path(str(value)).suffix in (".yaml", ".yml")
        # A chapter runs in notebooks/, its user elsewhere.
        return str(Path(value).resolve()) if is_path and value else value


def _typed(text: str, default: Any) -> Any:
    if isinstance(default, str):
        return text
    value = ast.literal_eval(text)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not type(default):
        raise TypeError(f"{type(value).__name__} in place of {type(default).__name__}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("not a finite number")
    return value


def _obey(rule: str, value: Any) -> None:
    if rule == "a profile":
        load_profile(value)
    elif rule == "a device":
        torch.empty(1, device=_device(value))
    elif found := _RULES["one of"].fullmatch(rule):
        right = str(value) in [word.strip() for word in found[1].split(",")]
        if not right:
            raise ValueError(rule)
    elif found := _RULES["above"].fullmatch(rule):
        if not value > float(found[1]):
            raise ValueError(rule)
    elif found := _RULES["at least"].fullmatch(rule):
        if not value >= float(found[1]):
            raise ValueError(rule)
    elif (found := _RULES["from"].fullmatch(rule)) and not (
        float(found[1]) <= value <= float(found[2])
    ):
        raise ValueError(rule)


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(str(error)) from error
    return device


def parameters_of(source: Path) -> dict[str, Any]:
    """Names and defaults in the `parameters` cell of a chapter."""
    return {p.name: p.default for p in described(source)}


def described(source: Path) -> list[Parameter]:
    """The parameters of a chapter, with what its cell says of them.

    Raises
    ------
    BookError
        No cell is tagged `parameters`, or one of the chapter's own has no meaning or rule.
    """
    for cell in as_notebook(source).cells:
        if "parameters" in cell.metadata.get("tags", []):
            return [_described(source, *item) for item in _assigned(cell.source)]
    raise BookError(f"{source.name} has no cell tagged 'parameters'")


def _assigned(code: str) -> list[tuple[str, Any, str]]:
    """Name, default and comment (beside it, or the lines above it) of each assignment."""
    comments = {
        token.start[0]: (token.string.lstrip("# ").strip(), token.line.strip().startswith("#"))
        for token in tokenize.generate_tokens(io.StringIO(code).readline)
        if token.type == tokenize.COMMENT
    }
    found = []
    for node in ast.parse(code).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            text, line = comments.get(node.lineno, ("", False))[0], node.lineno - 1
            while not text and comments.get(line, ("", False))[1]:
                above = [comments[line][0]]
                while comments.get(line - 1, ("", False))[1]:
                    line -= 1
                    above.insert(0, comments[line][0])
                text = " ".join(above)
            found.append((node.targets[0].id, ast.literal_eval(node.value), text))
    return found


def _described(source: Path, name: str, default: Any, comment: str) -> Parameter:
    meaning, _, rule = (comment or COMMON.get(name, "")).rpartition(";")
    rule = rule.strip()
    if not meaning or not any(pattern.fullmatch(rule) for pattern in _RULES.values()):
        raise BookError(
            f"{source.name}: parameter {name} has the comment {comment!r}; expected "
            "`meaning; rule` with a rule such as `one of A, B`, `above 0`, `at least 1`, "
            "`from 0 to 1`, `any path` or `any text`"
        )
    return Parameter(name, default, meaning.strip(), rule)


def checked(source: Path, given: list[tuple[str, str]]) -> dict[str, Any]:
    """Values for a chapter from pairs of name and text.

    Raises
    ------
    BookError
        A parameter that the chapter does not have, or a wrong value.
    """
    known = {p.name: p for p in described(source)}
    values: dict[str, Any] = {}
    for name, text in given:
        if name not in known:
            raise BookError(
                f"parameter {name!r} is not known to {source.stem}; expected one of "
                f"{', '.join(known)}"
            )
        values[name] = known[name].value(text)
    return values


def pairs_of(options: list[str], rest: list[str]) -> list[tuple[str, str]]:
    """Pairs of name and value from `-p name value` and `-p name=value`.

    Parameters
    ----------
    options : what follows each `-p`
    rest : what is left of the command line, in order
    """
    left = list(rest)
    pairs = []
    for option in options:
        name, sep, value = option.partition("=")
        if not sep:
            if not left:
                raise BookError(f"-p {option} has no value; expected `-p {option} VALUE`")
            value = left.pop(0)
        pairs.append((name, value))
    if left:
        raise BookError(f"{' '.join(left)!r} was not understood; expected `-p NAME VALUE`")
    return pairs


def parameters_page() -> str:
    """The page of all parameters, in Markdown."""
    lines = [
        "# Parameters of the chapters",
        "",
        "Every chapter begins with a cell of parameters; this page is made from those cells.",
        "Run a chapter with others by `viba chapter 05 -p layer block12 -p beta 5`, or with",
        "papermill: {ref}`parameters`. A wrong name or value is refused with the right ones.",
        "",
        "(parameters-common)=",
        "## In every chapter",
        "",
        *_table([p for p in described(chapters()[0]) if p.name in COMMON]),
    ]
    for source in chapters():
        own = [p for p in described(source) if p.name not in COMMON]
        number = source.stem[:2]
        lines += ["", f"(parameters-{number})=", f"## Chapter {int(number)}: {_title(source)}", ""]
        link = f"{{doc}}`Chapter {int(number)} </notebooks/{source.stem}>`"
        if not own:
            lines += [f"{link} has only those of every chapter."]
            continue
        lines += [f"{link} adds:", "", *_table(own), "", "```bash", _example(number, own), "```"]
    return "\n".join(lines) + "\n"


def _title(source: Path) -> str:
    for cell in as_notebook(source).cells:
        found = re.search(r"^# (.+)$", cell.source, re.MULTILINE)
        if found and cell.cell_type == "markdown":
            return found[1]
    raise BookError(f"{source.name} has no title")


def _table(parameters: list[Parameter]) -> list[str]:
    rows = ["| Parameter | Type | Default | Meaning | Right values |", "|---|---|---|---|---|"]
    for p in parameters:
        right = ", ".join(f"`{c}`" for c in p.choices) or p.expected()
        shown = f"`{p.default!r}`"
        rows.append(f"| `{p.name}` | {p.kind} | {shown} | {p.meaning} | {right} |")
    return rows


def _example(number: str, own: list[Parameter]) -> str:
    first = own[0]
    other = next((c for c in first.choices if c != first.default), first.default)
    if isinstance(first.default, (int, float)) and not isinstance(first.default, bool):
        other = type(first.default)(first.default + 1)
    value = f'"{other}"' if other == "" or " " in str(other) else other
    return f"viba chapter {number} -p {first.name} {value}"
