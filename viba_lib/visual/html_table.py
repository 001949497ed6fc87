"""Tables on a page: what is shown, a place to link to, and the whole of it as a download."""

import base64
import html
from dataclasses import dataclass
from pathlib import Path

import pandas as pd


@dataclass(frozen=True)
class Link:
    """A cell of a table that leads somewhere."""

    text: str
    href: str

    def __str__(self) -> str:
        return self.text


def chapter_link(stem: str, cell: str = "") -> Link:
    """Link from a chapter to another one, or to a cell of it, with its number if it has one."""
    number = stem.partition("_")[0]
    text = f"ch. {int(number)}" if number.isdigit() else stem
    return Link(text, f"{stem}.html" + (f"#{cell}" if cell else ""))


@dataclass(frozen=True)
class SavedTable:
    """A stored table; a notebook shows `shown` with a link to the CSV of everything.

    name is the id of its place on the page; path is its Parquet file; instead is a sentence that
    is shown instead of the table, "" = the table.
    """

    name: str
    path: Path
    shown: pd.DataFrame
    instead: str = ""

    def _repr_html_(self) -> str:
        name = html.escape(self.name, quote=True)
        if self.instead:
            return f'<div id="{name}" class="viba-table"><p>{html.escape(self.instead)}</p></div>'
        # Numbers of rows that were drawn from a longer table mean nothing on a page.
        plain = self.shown.index.name is None and pd.api.types.is_integer_dtype(self.shown.index)
        cells = self.shown.map(_cell).rename(columns=lambda c: html.escape(str(c)))
        cells.columns.name = None
        if not plain:
            cells.index = cells.index.map(_index)
        table = cells.to_html(escape=False, index=not plain, border=0, na_rep="n/a")
        data = base64.b64encode(self.path.with_suffix(".csv").read_bytes()).decode()
        return (
            f'<div id="{name}" class="viba-table" style="overflow-x:auto">{table}</div>'
            f'<p class="viba-download"><a download="{name}.csv" '
            f'href="data:text/csv;base64,{data}">Download {name}.csv</a></p>'
        )

    def __repr__(self) -> str:
        return str(self.shown)


def _cell(value: object) -> object:
    if isinstance(value, Link):
        return f'<a href="{html.escape(value.href, quote=True)}">{html.escape(value.text)}</a>'
    if isinstance(value, float):
        return value + 0.0  # without the sign of a rounded zero
    return html.escape(value) if isinstance(value, str) else value


def _index(value: object) -> object:
    return tuple(map(_cell, value)) if isinstance(value, tuple) else _cell(value)
