"""Exercises for students: the chapters without their solutions."""

import ast
import re
from pathlib import Path
from typing import Any

from viba_lib.book.chapters import as_notebook
from viba_lib.book.exercises import mark_for_grading, tagged
from viba_lib.book.paths import BookError
from viba_lib.book.plain import plain_markdown, published_address

_MARK = re.compile(r"(```\{solution-(?:start|end)\}[^`]*```\n?)")
_ANSWER = re.compile(r"```\{dropdown\} Answer.*?\n```\n?", re.DOTALL)


def stub(code: str) -> str:
    """What a student starts from instead of a solution.

    Functions keep their head and docstring and raise; names that were assigned become `...`;
    imports stay; everything else goes.
    """
    kept: list[ast.stmt] = []
    for node in ast.parse(code).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            kept.append(node)
        elif isinstance(node, ast.FunctionDef):
            text = ast.get_docstring(node)
            head: list[ast.stmt] = [ast.Expr(ast.Constant(text))] if text else []
            node.body = [*head, *ast.parse("raise NotImplementedError").body]
            kept.append(node)
        elif isinstance(node, ast.Assign):
            names = [n for t in node.targets for n in ast.walk(t) if isinstance(n, ast.Name)]
            stored = [n.id for n in names if isinstance(n.ctx, ast.Store)]
            kept += [s for name in stored for s in ast.parse(f"{name} = ...").body]
    lines = ["# Your turn: write what the exercise asks for.", *(ast.unparse(n) for n in kept)]
    return "\n".join(lines)


def student_notebook(source: Path) -> Any:
    """The chapter with stubs for solutions and without answers, in plain Markdown.

    It has no hidden tests, and marks for grading.
    """
    notebook = mark_for_grading(as_notebook(source), source.stem)
    cells, inside, address = [], False, published_address()
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            text, inside = without_solutions(cell.source, inside)
            cell.source = plain_markdown(_ANSWER.sub("", text), address)
        elif tagged(cell, "solution"):
            cell.source = stub(cell.source)
        elif tagged(cell, "check"):
            heading = "# This cell runs without an error when the exercise is solved.\n"
            cell.source = heading + cell.source
            cell.metadata["tags"].remove("remove-cell")  # seen by students, not on the page
        elif inside or tagged(cell, "hidden") or "study.provenance_html(" in cell.source:
            continue  # provenance is of a finished run, which a student may not have
        if cell.cell_type == "code" or cell.source.strip():
            cells.append(cell)
    if inside:
        raise BookError(f"{source.name}: a solution-start has no solution-end")
    notebook.cells = cells
    return notebook


def without_solutions(text: str, inside: bool) -> tuple[str, bool]:
    """The text of a cell outside of solutions, and whether its end is inside of one.

    Parameters
    ----------
    inside : whether its beginning is inside of a solution
    """
    kept = []
    for piece in _MARK.split(text):
        if _MARK.fullmatch(piece):
            inside = piece.startswith("```{solution-start}")
        elif not inside:
            kept.append(piece)
    return "".join(kept), inside
