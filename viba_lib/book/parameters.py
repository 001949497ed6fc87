"""Parameters of the chapters: type, default, meaning and rule, as their own cells state them.

A chapter says beside each of its own parameters, in a comment, what it means and after a semicolon
what it may be: `beta = 10.0  # weight of the information; above 0`. The page of parameters and the
refusal of wrong values both come from there.
"""

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le
from papermill.translators import PythonTranslator
from pydantic import AfterValidator, ConfigDict, TypeAdapter

from viba_lib.book.chapters import as_notebook, chapters, key_of
from viba_lib.book.paths import BookError, fill_template
from viba_lib.core.files import user_path
from viba_lib.pipeline.profiles import load_profile, profile_names
from viba_lib.pipeline.study import check_device

# Meaning and rule of the five that every chapter has.
COMMON = {
    "profile": "how much is computed: a profile's name or the path of a YAML file; a profile",
    "data_root": "folder of videos; any path",
    "results_root": "folder of results; any path",
    "device": "where networks run: cpu, cuda, cuda:1, mps; a device",
    "seed": "of data, training and noise; from 0 to 4294967295",
}
STRICT = ConfigDict(strict=True, allow_inf_nan=False)
# How the command line reads a type. int refuses 2.5, 1e3, 0x10 and True.
BOOLS = {"True": True, "False": False}
READ: dict[type, Callable[[str], Any]] = {int: int, float: float, bool: BOOLS.__getitem__}


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
    def type_name(self) -> str:
        """Name of its type."""
        return type(self.default).__name__

    @property
    def choices(self) -> list[str]:
        """Its possible values, if the rule lists them."""
        names = self.rule.removeprefix("one of ")
        return [] if names == self.rule else [name.strip() for name in names.split(",")]

    def annotated(self) -> Any:
        """Its type with the constraints of the rule, for pydantic.

        Raises
        ------
        ValueError
            Its rule is not a rule.
        """
        base = type(self.default)
        match self.rule.split():
            case ["one", "of", *_]:
                return Annotated[base, AfterValidator(self._listed)]
            case ["above", low]:
                return Annotated[base, Gt(ast.literal_eval(low))]
            case ["at", "least", low]:
                return Annotated[base, Ge(ast.literal_eval(low))]
            case ["from", low, "to", high]:
                return Annotated[base, Ge(ast.literal_eval(low)), Le(ast.literal_eval(high))]
            case ["any", "path" | "text"]:
                return base
            case ["a", "profile"]:
                return Annotated[base, AfterValidator(load_profile)]
            case ["a", "device"]:
                return Annotated[base, AfterValidator(check_device)]
        raise ValueError(f"{self.rule!r} is not a rule")

    def _listed(self, value: Any) -> Any:
        if str(value) not in self.choices:
            raise ValueError(self.rule)
        return value

    def expected(self) -> str:
        """Description of valid values."""
        if self.rule == "a profile":
            return f"one of {', '.join(profile_names())}, or the path of a YAML file"
        if self.rule == "a device":
            return "a device of PyTorch that is there: cpu, cuda, cuda:0, mps"
        number = isinstance(self.default, int | float) and not self.choices
        return f"{self.type_name}, {self.rule}" if number else self.rule

    def valid_values(self) -> str:
        """The same for the page of parameters."""
        return ", ".join(f"`{choice}`" for choice in self.choices) or self.expected()

    def value(self, text: str) -> Any:
        """The value that a text gives.

        Raises
        ------
        BookError
            Another type, or against the rule; the message says what is valid.
        """
        read = READ.get(type(self.default), str)
        try:
            value = read(text)
        except (ValueError, KeyError):
            value = text
        self.check(value, text)
        # A chapter runs in notebooks/, its user elsewhere.
        is_path = self.rule == "any path" or Path(text).suffix in (".yaml", ".yml")
        return str(user_path(text).resolve()) if is_path and text else value

    def check(self, value: Any, given: str | None = None) -> None:
        """Refuse a value, see `value`; `given` is the text that it was read from, if any."""
        shown = value if given is None else given
        adapter = TypeAdapter(self.annotated(), config=STRICT)
        try:
            adapter.validate_python(value)
        except (ValueError, TypeError, RuntimeError) as error:
            raise BookError(
                f"parameter {self.name} is {shown!r}; expected {self.expected()} "
                f"({self.meaning}; default {self.default!r})"
                + ("; papermill takes text with -r" if self._number_for_text(value) else "")
            ) from error

    def _number_for_text(self, value: Any) -> bool:
        return isinstance(self.default, str) and not isinstance(value, str)


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
            return list(_inspected(source.name, cell.source))
    raise BookError(f"{source.name} has no cell tagged 'parameters'")


def _inspected(file: str, code: str) -> Iterator[Parameter]:
    """Parameters that papermill finds in a cell, with the comments beside them."""
    for found in PythonTranslator.inspect({"source": code}):
        comment = found.help or COMMON.get(found.name, "")
        meaning, _, rule = (part.strip() for part in comment.rpartition(";"))
        default = ast.literal_eval(found.default)
        parameter = Parameter(found.name, default, meaning, rule if meaning else "")
        try:
            parameter.annotated()
        except (ValueError, SyntaxError) as error:
            raise BookError(
                f"{file}: parameter {found.name} has the comment {comment!r}; expected "
                "`meaning; rule` with a rule such as `one of A, B`, `above 0`, `at least 1`, "
                "`from 0 to 1`, `any path` or `any text`"
            ) from error
        yield parameter


def checked(source: Path, given: list[tuple[str, str]]) -> dict[str, Any]:
    """Values for a chapter from pairs of name and text.

    Raises
    ------
    BookError
        A parameter that the chapter does not have, or a wrong value.
    """
    known = {p.name: p for p in described(source)}
    return {name: _known(name, known, source.stem).value(text) for name, text in given}


def _known(name: str, known: Mapping[str, Parameter], chapter: str) -> Parameter:
    if name not in known:
        raise BookError(
            f"parameter {name!r} is not known to {chapter}; expected one of {', '.join(known)}"
        )
    return known[name]


def check_values(declared: str, given: str, values: Mapping[str, Any]) -> None:
    """Check the parameters of a notebook that runs.

    Parameters
    ----------
    declared : code of the cell with the defaults
    given : code of the cell with other values, whose names are checked
    values : values of the names

    Raises
    ------
    BookError
        See `checked`.
    """
    known = {p.name: p for p in _inspected("this chapter", declared)}
    for statement in ast.parse(given).body:
        for target in getattr(statement, "targets", ()):
            name = ast.unparse(target)
            _known(name, known, "this chapter").check(values[name])


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
    pages = []
    for source in chapters():
        own = [p for p in described(source) if p.name not in COMMON]
        example = _example(own[0]) if own else ""
        page = {"stem": source.stem, "key": key_of(source.stem), "title": _title(source)}
        pages.append(page | {"own": own, "example": example})
    common = [p for p in described(chapters()[0]) if p.name in COMMON]
    return fill_template("parameters.md", common=common, chapters=pages)


def _title(source: Path) -> str:
    return str(as_notebook(source).cells[0].source.splitlines()[0].removeprefix("# "))


def _example(first: Parameter) -> str:
    """Options of the command line with another value of a parameter."""
    other = next((c for c in first.choices if c != first.default), first.default)
    if isinstance(first.default, int | float) and not isinstance(first.default, bool):
        other = type(first.default)(first.default + 1)
    value = f'"{other}"' if other == "" or " " in str(other) else other
    return f"-p {first.name} {value}"
