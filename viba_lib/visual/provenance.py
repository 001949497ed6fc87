"""What made a page: banner, provenance and stored tables."""

import html
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from viba_lib.core.files import atomic_write
from viba_lib.visual.html_table import SavedTable


def commit() -> str:
    """Commit of the code, with a mark if files differ from it; "unknown" outside a repository."""
    command = ("git", "describe", "--always", "--dirty")
    try:
        done = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip() or "unknown"


def banner_html(profile: str, note: str, test_split: str = "", licensed: bool = False) -> str:
    """HTML warning for the top of a page with other numbers than the paper's, or nothing.

    Parameters
    ----------
    profile, note : name of the profile, and its description
    test_split : its size, such as "3 test people, 24 source clips, 72 videos"; "" = not known
    licensed : whether the videos are as many of each data set as the paper's
    """
    if licensed:
        return ""
    size = f" Its results come from {html.escape(test_split)}." if test_split else ""
    return (
        '<div class="admonition warning viba-banner"><p class="admonition-title">Not the '
        f"paper's numbers</p><p>This page was built with the profile "
        f"<code>{html.escape(profile)}</code>: {html.escape(note)}. "
        "It shows how the method works; its numbers cannot be compared with the paper's, which "
        f"come from licensed data.{size}</p></div>"
    )


def provenance_html(facts: Mapping[str, Any]) -> str:
    """Provenance as a folded HTML table for the end of a page.

    Parameters
    ----------
    facts : values by name; a value that is a mapping becomes one line
    """
    rows = []
    for name, value in facts.items():
        if isinstance(value, Mapping):
            value = ", ".join(f"{k} {v}" for k, v in value.items())
        rows.append(f"<tr><th>{html.escape(name)}</th><td>{html.escape(str(value))}</td></tr>")
    return (
        '<details class="viba-provenance"><summary>Provenance: what made this page</summary>'
        f"<table>{''.join(rows)}</table></details>"
    )


def save_table(
    folder: Path,
    name: str,
    frame: pd.DataFrame,
    shown: pd.DataFrame | None = None,
    instead: str = "",
) -> SavedTable:
    """Store a table of results as Parquet and CSV.

    Parameters
    ----------
    folder : receives `name`.parquet and `name`.csv
    shown : what a page shows of it, beside a link to all of it; None = the table itself
    instead : sentence that a page shows instead of the table; "" = the table

    Returns
    -------
    What a notebook shows if it is the value of a cell.
    """
    for suffix, write in ((".csv", frame.to_csv), (".parquet", frame.to_parquet)):
        with atomic_write(folder / f"{name}{suffix}") as tmp:
            write(tmp, index=False)
    return SavedTable(name, folder / f"{name}.parquet", frame if shown is None else shown, instead)
