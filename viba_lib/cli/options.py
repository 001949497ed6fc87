"""Options and helpers that the commands of `viba` share."""

import inspect
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from typer import Argument, Option

from viba_lib.core.files import user_path

if TYPE_CHECKING:
    from viba_lib.pipeline.study import Study

KEYWORD = inspect.Parameter.KEYWORD_ONLY
OpenStudy = Callable[[], "Study"]
Positive = Annotated[int, Option(min=1)]
Seed = Annotated[int, Option(min=0, max=2**32 - 1)]
SHARED: dict[str, tuple[Any, str]] = {
    "profile": ("quick", "quick, standard, paper or a YAML file."),
    "data_root": (Path("data"), "Folder of fetched or licensed data."),
    "results_root": (Path("results"), "Folder of results."),
    "device": ("cpu", "cpu, cuda, ..."),
    "seed": (0, "Random seed."),
    "scheduler": ("", "Address of a Dask cluster. Default: this machine."),
}
FILE_WIDTH = 160  # columns of a table that is written to a file or a pipe
STUDY = ("profile", "data_root", "results_root", "device", "seed")


def described(*names: str, **defaults: Any) -> Callable[..., Callable[..., None]]:
    """Give a command its help texts and shared options.

    The help of each of its own options is the text of the parameter in the docstring. A command
    with a parameter `open_study` receives there a function that opens the study of the shared
    options, and otherwise receives these options themselves.

    Parameters
    ----------
    names : shared options, of `SHARED`
    defaults : their defaults, if others than in `SHARED`
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        doc, _, listed = (inspect.getdoc(command) or "").partition("\n\nParameters\n----------\n")
        helps = dict(re.findall(r"^(\w+) : (.*(?:\n    .*)*)", listed, re.M))
        signature = inspect.signature(command)
        parameters = [
            _with_help(parameter, " ".join(helps[name].split())) if name in helps else parameter
            for name, parameter in signature.parameters.items()
            if name not in (*names, "open_study")
        ]
        for name in names:
            default, text = SHARED[name]
            kind = Path if isinstance(default, Path) else type(default)
            kind = Seed if name == "seed" else kind
            value = defaults.get(name, default)
            shared = inspect.Parameter(name, KEYWORD, annotation=kind, default=value)
            parameters.append(_with_help(shared, text))

        @wraps(command)
        def run(**given: Any) -> None:
            # A shell leaves `~` as it is in `--out=~/maps`.
            given = {name: _as_meant(value) for name, value in given.items()}
            if "open_study" in signature.parameters:
                shared = {name: given.pop(name) for name in names}
                given["open_study"] = partial(_open_study, **shared)
            command(**given)

        run.__doc__ = doc
        run.__annotations__ = {given.name: given.annotation for given in parameters}
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        return run

    return decorate


def _as_meant(value: Any) -> Any:
    """A value of the command line, with paths as people write them."""
    if isinstance(value, list):
        return [_as_meant(one) for one in value]
    return user_path(value) if isinstance(value, Path) else value


def _with_help(parameter: inspect.Parameter, text: str) -> inspect.Parameter:
    kind, given = parameter.annotation, None
    if get_origin(kind) is Annotated:
        kind, given = get_args(kind)
    required = parameter.default is inspect.Parameter.empty
    info = copy(given) or (Argument() if required else Option())
    info.help = text
    return parameter.replace(annotation=Annotated[kind, info])


def _open_study(**given: Any) -> "Study":
    # Imported here because it imports torch, which `viba --help` need not wait for.
    from viba_lib.pipeline.study import Study

    return Study(**given, progress=print_progress)


def print_progress(line: str) -> None:
    """Print a progress line to stderr."""
    Console(stderr=True, highlight=False, emoji=False).print(line, style="dim", markup=False)


EMPTY = ("nan", "nan to nan")  # numbers and ranges that were not measured


def print_rows(
    rows: Iterable[Mapping[str, Any]], columns: str, cells: str, title: str | None = None
) -> None:
    """Print a table of mappings; NaN becomes an empty cell.

    Parameters
    ----------
    columns, cells : titles and templates, separated by " | ", such as "time" and "{seconds:.1f} s"
    """
    table = Table(title=title, title_justify="left")
    for column in columns.split(" | "):
        table.add_column(column, overflow="fold")
    for row in rows:
        texts = (template.format_map(row) for template in cells.split(" | "))
        known = {value for value in row.values() if isinstance(value, str)}
        table.add_row(
            *("" if text in EMPTY and text not in known else escape(text) for text in texts)
        )
    # Rich takes a file for 80 columns wide, and would break the words of a table there.
    width = shutil.get_terminal_size((FILE_WIDTH, 0)).columns
    Console(emoji=False, width=width).print(table)
