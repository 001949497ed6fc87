"""A data card: the contents of a catalog, counted from the catalog itself.

The questions are those of Gebru et al. (2021), "Datasheets for datasets", as far as a catalog and
its files can answer them.
"""

import math
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from viba_lib.core.errors import VibaError
from viba_lib.data.catalog import resolve
from viba_lib.data.splits import leaks

# Texts for values that the catalog does not give.
EMPTY = {
    "method": {"": "-"},
    "split": {"": "(none)"},
    "source": {"": "not stated"},
    "licence": {"": "not stated"},
}


def data_card(
    catalog: pd.DataFrame,
    root: str | Path,
    title: str = "Data card",
    note: str = "",
    counts: pd.DataFrame | None = None,
    problems: pd.DataFrame | None = None,
) -> str:
    """Markdown page about a catalog.

    Parameters
    ----------
    catalog : one row per video
    root : folder that its paths are relative to, for the sizes of files
    note : a sentence about the run, under the title
    counts, problems : tables of a preparation, if it ran: what and number (see `prepare.account`);
        video_id, stage, frame, reason

    Returns
    -------
    Markdown; texts from the catalog are escaped.
    """
    named = catalog.replace(EMPTY)
    people = catalog[catalog.identity != ""].drop_duplicates(["dataset", "identity"])
    parts = [
        f"# {_text(title)}",
        f"{len(catalog)} videos of {catalog.dataset.nunique()} data set(s), "
        f"{len(people)} known identities.",
        "## Contents",
        _counts(named, ["dataset", "label", "method"]),
        "## Splits",
        _table(_splits(named)),
        "Leakage from the training split, as a fraction of the held-out videos: the same person, a "
        "person who lends or takes a face there, the same original, and any chain of persons and "
        "originals.",
        _table(leaks(catalog).round(3)),
        "## Files",
        _table(_files(catalog, Path(root))),
        "## Origin and licence",
        _counts(named, ["dataset", "source", "licence"]),
        "## Known gaps and biases",
        "\n".join(f"- {line}" for line in _biases(catalog)),
    ]
    if note:
        parts.insert(1, f"Made from {_text(note)}.")
    if counts is not None:
        parts += ["## Preparation", _table(counts)]
    if problems is not None:
        reasons = _counts(problems, ["stage", "reason"], "rows")
        parts.append(reasons if len(problems) else "Nothing was left out.")
    return "\n\n".join(parts) + "\n"


def _counts(frame: pd.DataFrame, columns: list[str], name: str = "videos") -> str:
    """Table of how many rows have each combination of values."""
    return _table(frame.groupby(columns).size().rename(name).reset_index())


def _splits(named: pd.DataFrame) -> pd.DataFrame:
    table = named.groupby("split").agg(
        videos=("video_id", "size"),
        fake=("label", lambda labels: (labels == "fake").sum()),
        identities=("identity", lambda names: names[names != ""].nunique()),
    )
    return table.assign(share=(table.videos / len(named)).round(3)).reset_index()


def _files(catalog: pd.DataFrame, root: Path) -> pd.DataFrame:
    """Number, type and size of the files of each data set; one that does not exist is missing."""
    suffix = catalog.path.map(lambda path: Path(path).suffix.lower())
    files = catalog.assign(suffix=suffix, size=catalog.path.map(partial(_size, root=root)))
    table = files.groupby(["dataset", "suffix"])["size"].agg(
        files="count",
        missing=lambda sizes: sizes.isna().sum(),
        megabytes=lambda sizes: round(sizes.sum() / 1e6, 1),
    )
    return table.astype({"missing": int}).reset_index()


def _size(path: str, root: Path) -> float:
    """Bytes of a file, NaN if it does not exist."""
    try:
        return resolve(path, root).stat().st_size
    except (OSError, VibaError):
        return math.nan


def _biases(catalog: pd.DataFrame) -> Iterable[str]:
    """Biases that follow from the rows, and properties that are unknown."""
    fake = (catalog.label == "fake").mean()
    yield f"{fake:.0%} of the videos are fake: a detector that always says so is right as often."
    for name, rows in catalog.groupby("dataset"):
        if rows.label.nunique() == 1:
            only = rows.label.iloc[0]
            yield (
                f"All videos of {_text(name)} are {only}: its camera and compression give "
                "the label away, whatever the face shows."
            )
    unknown = (catalog.identity == "").mean()
    if unknown:
        yield (
            f"The person is not known in {unknown:.0%} of the videos; these may be on both sides "
            "of the split."
        )
    named = catalog[catalog.identity != ""]
    if len(named):
        most = (named.dataset + " / " + named.identity).value_counts(normalize=True)
        yield f"The most frequent person is in {most.iloc[0]:.0%} of the videos with a known one."
    yield (
        "Age, sex, skin colour and language are not in the catalog, so their balance is "
        "unknown, and so is the accuracy of a detector on each group."
    )


def _text(value: Any) -> str:
    """A value as text: nothing in it is Markdown, HTML, a formula or a template."""
    text = str(value).translate({ord(sign): f"&#{ord(sign)};" for sign in "&<>\\`*[]|{}$_~"})
    return " ".join(text.split())


def _table(frame: pd.DataFrame) -> str:
    if frame.empty:
        return "None."
    rows = [frame.columns, ["---"] * frame.shape[1], *frame.to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(map(_text, row))} |" for row in rows)
