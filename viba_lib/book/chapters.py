"""Chapters as pairs: the percent script is the source, the notebook is made from it."""

import runpy
import warnings
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbformat.warnings import DuplicateCellId

from viba_lib.book import paths
from viba_lib.book.paths import BookError, fill_template, print_progress, write_changed
from viba_lib.data.source_videos import STANDARD_FILES
from viba_lib.models.keras_xception import KERAS_XCEPTION

# Notebooks about running the book, which follow the chapters and have no number.
UNNUMBERED = ("speed",)
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def chapters() -> list[Path]:
    """Sources of the chapters, in order; those without a number are last."""
    found = sorted(paths.NOTEBOOKS.glob("[0-9][0-9]_*.py"))
    found += [path for name in UNNUMBERED for path in paths.NOTEBOOKS.glob(f"{name}.py")]
    if not found:
        raise BookError(
            f"no chapters in {paths.NOTEBOOKS}; the book builds from a checkout of the project"
        )
    return found


def find_chapter(number: str) -> Path:
    """Source of a chapter by its number, name or path."""
    wanted = Path(number).stem
    found = [p for p in chapters() if p.stem == wanted or p.stem.startswith(f"{wanted:0>2}_")]
    if len(found) != 1:
        names = ", ".join(p.stem for p in chapters())
        raise BookError(f"chapter {number!r} does not exist; choose one of {names}")
    return found[0]


def key_of(stem: str) -> str:
    """What a chapter is called in commands and labels: `05`, or the name of one without number."""
    return stem.partition("_")[0]


def as_notebook(source: Path) -> Any:
    """Notebook without outputs that a source stands for; cell ids follow from the position."""
    with warnings.catch_warnings():
        # Until then, ids are random, and now and then two of them agree.
        warnings.simplefilter("ignore", DuplicateCellId)
        notebook = jupytext.read(source)
    notebook.metadata["kernelspec"] = KERNEL
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"{key_of(source.stem)}-{number:03d}"
    return notebook


def write_pairs() -> None:
    """Write the `.ipynb` of each pair from its `.py`, and the tables of two pages."""
    for source in chapters():
        text = nbformat.writes(as_notebook(source), indent=1) + "\n"
        if write_changed(source.with_suffix(".ipynb"), text):
            print_progress(f"wrote {source.stem}.ipynb")
    for name, with_table in (("dataset", with_sources), ("bad_input", with_bad_input)):
        page = paths.ROOT / "book" / f"{name}.md"
        if write_changed(page, with_table(page.read_text(encoding="utf-8"))):
            print_progress(f"wrote {page.name}")


def check_pairs() -> None:
    """Refuse pairs that disagree, and notebooks with outputs."""
    for source in chapters():
        target = source.with_suffix(".ipynb")
        wanted = [(c.cell_type, c.source) for c in as_notebook(source).cells]
        found = nbformat.read(target, 4) if target.is_file() else None
        if found is None or [(c.cell_type, c.source) for c in found.cells] != wanted:
            raise BookError(
                f"{target.name} does not agree with {source.name}; run `make notebooks`"
            )
        if any(cell.get("outputs") for cell in found.cells):
            raise BookError(f"{target.name} holds outputs; run `make notebooks`")


def with_sources(page: str) -> str:
    """The data set's page with the table of sources that `source_videos.yaml` lists."""
    table = fill_template("sources.md", files=(*STANDARD_FILES, KERAS_XCEPTION))
    return _with_part(page, "sources", table)


def with_bad_input(page: str) -> str:
    """The page on bad input with the rows that the tests give to the product."""
    rows = runpy.run_path(str(paths.ROOT / "tests" / "faults" / "bad_input.py"))
    return _with_part(page, "bad input", rows["markdown"]())


def _with_part(page: str, name: str, content: str) -> str:
    begin, end = f"<!-- {name}: written by `make notebooks` -->", f"<!-- end of {name} -->"
    before, _, rest = page.partition(begin)
    return f"{before}{begin}\n\n{content}\n{end}{rest.partition(end)[2]}"
