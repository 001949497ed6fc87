"""Exercises for students: the chapters without their solutions, and proof that stubs fail."""

import ast
import copy
import re
from pathlib import Path
from typing import Any

from nbformat import v4

from viba_lib.book.chapters import as_notebook
from viba_lib.book.paths import BookError

_SOLUTION = re.compile(r"```\{solution-start\} \S+\n(?::\w+:.*\n)*```\n?")
_END = re.compile(r"```\{solution-end\}\n```\n?")
_ANSWER = re.compile(r"```\{dropdown\} Answer.*?\n```\n?", re.DOTALL)


def tagged(cell: Any, tag: str) -> bool:
    """Whether a cell carries a tag."""
    return tag in cell.metadata.get("tags", [])


def stub(code: str) -> str:
    """What a student starts from in place of a solution.

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
    """The chapter with stubs for solutions, without what reads them and without quiz answers."""
    notebook = as_notebook(source)
    cells, inside = [], False
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source, inside = _without_solutions(cell.source, inside)
            if cell.source.strip():
                cells.append(cell)
        elif tagged(cell, "solution"):
            cell.source = stub(cell.source)
            cells.append(cell)
        elif tagged(cell, "check"):
            heading = "# This cell runs without an error when the exercise is solved.\n"
            cell.source = heading + cell.source
            cell.metadata["tags"] = ["check"]  # seen by students, removed from the page
            cells.append(cell)
        elif not inside:
            cells.append(cell)
    if inside:
        raise BookError(f"{source.name}: a solution-start has no solution-end")
    notebook.cells = cells
    return notebook


def _without_solutions(text: str, inside: bool) -> tuple[str, bool]:
    kept: list[str] = []
    while True:
        mark = (_END if inside else _SOLUTION).search(text)
        if mark is None:
            return _ANSWER.sub("", "".join(kept) + ("" if inside else text)), inside
        if not inside:
            kept.append(text[: mark.start()])
        text, inside = text[mark.end() :], not inside


def exercises(notebook: Any) -> list[tuple[int, int]]:
    """Places of the cells of each exercise: its solution and the check that follows it."""
    solutions = [i for i, cell in enumerate(notebook.cells) if tagged(cell, "solution")]
    checks = [i for i, cell in enumerate(notebook.cells) if tagged(cell, "check")]
    found = []
    for place in solutions:
        after = [i for i in checks if i > place and not any(place < s < i for s in solutions)]
        if not after:
            raise BookError(f"cell {place} is a solution without a check after it")
        found.append((place, after[0]))
    return found


def with_stubs_tried(notebook: Any) -> Any:
    """A copy in which each stub is tried first; its cell fails where the stub passes the check."""
    tried = copy.deepcopy(notebook)
    for place, check in reversed(exercises(notebook)):
        code = f"{stub(notebook.cells[place].source)}\n{notebook.cells[check].source}"
        body = [
            "try:",
            f"    exec({code!r}, dict(globals()))",
            "except Exception:",
            "    pass",
            "else:",
            "    raise SystemError('the stub of this exercise passes its check')",
        ]
        cell = v4.new_code_cell("\n".join(body))
        cell["id"] = f"stub-{place:03d}"
        tried.cells.insert(place, cell)
    return tried
