"""Release of the exercises: notebooks for students, and solutions and tests for the teacher."""

import ast
import pprint
import shutil
from pathlib import Path
from typing import Any

import nbformat

from viba_lib.book import paths
from viba_lib.book.chapters import as_notebook, chapters
from viba_lib.book.exercises import Exercise, exercises, mark_for_grading, needs_study
from viba_lib.book.paths import fill_template, print_progress, write_changed
from viba_lib.book.plain import plain_markdown, published_address
from viba_lib.book.students import student_notebook

POINTS = (1, 1)  # of the public and of the hidden test of an exercise


def release(root: Path | None = None) -> Path:
    """Write the notebooks and the tests of every chapter in `_build/release`.

    Returns
    -------
    The folder, with `students` (one notebook a chapter, to hand out), `teacher` (one folder a
    chapter with the solution and the tests) and `README.md`.
    """
    folder = (root or paths.ROOT) / "_build" / "release"
    for name in ("students", "teacher"):
        shutil.rmtree(folder / name, ignore_errors=True)  # a chapter may have been renamed
    rows = []
    for source in chapters():
        notebook, own = as_notebook(source), folder / "teacher" / source.stem
        _write(folder / "students" / f"{source.stem}.ipynb", student_notebook(source))
        _write(own / "solution.ipynb", solution_notebook(source))
        for one in exercises(notebook):
            write_changed(own / "tests" / f"{one.label}.py", otter_test(notebook, one))
            rows.append((source.stem, one.label, needs_study(notebook, one)))
        print_progress(f"released {source.stem}")
    write_changed(folder / "README.md", fill_template("release.md", rows=rows, points=POINTS))
    return folder


def solution_notebook(source: Path) -> Any:
    """The chapter with its solutions and all of its tests, in plain Markdown."""
    notebook, address = mark_for_grading(as_notebook(source), source.stem), published_address()
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = plain_markdown(cell.source, address)
    return notebook


def otter_test(notebook: Any, exercise: Exercise) -> str:
    """A test file of otter: the public check of an exercise, and its hidden test."""
    cells = (notebook.cells[exercise.check], notebook.cells[exercise.hidden])
    cases = [
        {"code": as_doctest(cell.source), "hidden": hidden}
        for cell, hidden in zip(cells, (False, True), strict=True)
    ]
    suite = {"cases": cases, "scored": True, "setup": "", "teardown": "", "type": "doctest"}
    test = {"name": exercise.label, "points": list(POINTS), "suites": [suite]}
    return f"OK_FORMAT = True\n\ntest = {pprint.pformat(test, width=100, sort_dicts=False)}\n"


def as_doctest(code: str) -> str:
    """Statements of a cell as the doctest that otter runs; comments between them are dropped."""
    lines = code.splitlines()
    statements = [lines[n.lineno - 1 : n.end_lineno] for n in ast.parse(code).body]
    return "\n".join(">>> " + "\n... ".join(statement) for statement in statements)


def _write(path: Path, notebook: Any) -> None:
    write_changed(path, nbformat.writes(notebook, indent=1) + "\n")
