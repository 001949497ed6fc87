"""Exercises of a chapter, and a copy of it in which each stub is tried before its solution."""

import copy
from typing import Any

from nbformat import v4

from viba_lib.book.students import stub, tagged


def exercises(notebook: Any) -> list[tuple[int, int]]:
    """Indices of the cells of each exercise: its solution and the check that follows it."""
    solutions = [i for i, cell in enumerate(notebook.cells) if tagged(cell, "solution")]
    checks = [i for i, cell in enumerate(notebook.cells) if tagged(cell, "check")]
    found = []
    for at in solutions:
        after = [i for i in checks if i > at and not any(at < s < i for s in solutions)]
        if not after:
            raise AssertionError(f"cell {at} is a solution without a check after it")
        found.append((at, after[0]))
    return found


def with_stubs_tried(notebook: Any) -> Any:
    """A copy in which each stub is tried first; its cell fails where the stub passes the check."""
    tried = copy.deepcopy(notebook)
    for at, check in reversed(exercises(notebook)):
        code = f"{stub(notebook.cells[at].source)}\n{notebook.cells[check].source}"
        body = [
            "try:",
            f"    exec({code!r}, dict(globals()))",
            "except Exception:",
            "    pass",
            "else:",
            "    raise SystemError('the stub of this exercise passes its check')",
        ]
        cell = v4.new_code_cell("\n".join(body))
        cell["id"] = f"stub-{at:03d}"
        tried.cells.insert(at, cell)
    return tried
