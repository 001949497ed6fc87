"""Exercises of a chapter, and the cells of the chapter that they need."""

import ast
import builtins
import symtable
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from viba_lib.book.paths import BookError

# Tags of cells in notebooks for students: otter leaves out the cells with the first one.
IGNORED, OF_STUDY = "otter_ignore", "needs-results"
_BEGIN = "```{solution-start} "


@dataclass(frozen=True)
class Exercise:
    """Label of an exercise, and the positions of its cells in the notebook."""

    label: str
    solution: int
    check: int
    hidden: int

    @property
    def cells(self) -> tuple[int, int, int]:
        """Positions of solution, public check and hidden test."""
        return self.solution, self.check, self.hidden


def tagged(cell: Any, tag: str) -> bool:
    """Whether a cell carries a tag."""
    return tag in cell.metadata.get("tags", [])


def exercises(notebook: Any) -> list[Exercise]:
    """The exercises of a chapter in order.

    Raises
    ------
    BookError
        A solution is not followed by its check and its hidden test, or has no label.
    """
    found, label = [], ""
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown" and _BEGIN in cell.source:
            label = cell.source.rpartition(_BEGIN)[2].split()[0]
        elif tagged(cell, "solution"):
            tests = [c.metadata.get("tags", []) for c in notebook.cells[number + 1 : number + 3]]
            if not label or len(tests) < 2 or "check" not in tests[0] or "hidden" not in tests[1]:
                raise BookError(
                    f"cell {number} is the solution of {label or 'an exercise without a label'}; "
                    "the next two cells must have the tags `check` and `hidden`, and a "
                    "`solution-start` with the label must precede it"
                )
            found.append(Exercise(label, number, number + 1, number + 2))
            label = ""
    return found


def needed_cells(notebook: Any, wanted: Collection[int]) -> set[int]:
    """Positions of the code cells that must run for the wanted cells.

    A cell is needed if it defines or changes a name that a needed cell after it uses.
    """
    code = [(i, c.source) for i, c in enumerate(notebook.cells) if c.cell_type == "code"]
    code = code[: max((n for n, (i, _) in enumerate(code) if i in wanted), default=-1) + 1]
    needed, unknown = _needed(code, wanted, set())
    # A function may use a name that is defined after the function and before its call.
    return _needed(code, wanted, unknown)[0] if unknown else needed


def _needed(
    code: Sequence[tuple[int, str]], wanted: Collection[int], live: Collection[str]
) -> tuple[set[int], set[str]]:
    """Needed cells, and the names that no cell before their use defines.

    Parameters
    ----------
    live : names that are used at the end
    """
    names, needed = set(live), set()
    for number, source in reversed(code):
        statements = _effects(source)
        if number in wanted or any(names & (made | changed) for made, _, changed in statements):
            needed.add(number)
            for made, used, _ in reversed(statements):
                names = (names - made) | used
    return needed, names - set(dir(builtins))


def needs_study(notebook: Any, exercise: Exercise) -> bool:
    """Whether an exercise uses the run of a profile, and therefore its data and results."""
    cells = needed_cells(notebook, exercise.cells)
    return any("Study(" in notebook.cells[number].source for number in cells)


def mark_for_grading(notebook: Any, name: str) -> Any:
    """Metadata that otter reads: the chapter, the test of each check, and cells to leave out.

    No exercise needs the cells that are left out. Cells that only exercises on the run of a profile
    need have another tag, so that the rest can be graded without data and results.
    """
    found = exercises(notebook)
    needed = needed_cells(notebook, {n for e in found for n in e.cells})
    light = [n for e in found if not needs_study(notebook, e) for n in e.cells]
    without_study = needed_cells(notebook, light)
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "code" and not tagged(cell, "parameters"):
            tags = cell.metadata.get("tags", [])
            if number not in needed:
                cell.metadata["tags"] = [*tags, IGNORED]
            elif number not in without_study:
                cell.metadata["tags"] = [*tags, OF_STUDY]
    for exercise in found:
        notebook.cells[exercise.check].metadata["otter"] = {"tests": [exercise.label]}
    notebook.metadata["otter"] = {"assignment_name": name}
    return notebook


@cache
def _effects(source: str) -> list[tuple[set[str], set[str], set[str]]]:
    """Names that each statement of a cell defines, uses and changes."""
    body = ast.parse(source).body
    return [(_defined(s), _used(s), _changed(s, s is body[-1])) for s in body]


def _table(node: ast.AST) -> symtable.SymbolTable:
    return symtable.symtable(ast.unparse(node), "cell", "exec")


def _defined(statement: ast.stmt) -> set[str]:
    """Names that a statement of a cell defines."""
    symbols = _table(statement).get_symbols()
    return {s.get_name() for s in symbols if s.is_assigned() or s.is_imported()}


def _used(statement: ast.stmt) -> set[str]:
    """Names that a statement takes from those before it, also inside of functions."""
    if isinstance(statement, ast.For):
        inside = set().union(*map(_used, statement.body))
        return _used(ast.Expr(statement.iter)) | (inside - _defined(statement))
    top = _table(statement)
    used = {s.get_name() for s in top.get_symbols() if s.is_referenced()}
    inner = list(top.get_children())
    while inner:
        table = inner.pop()
        used |= {s.get_name() for s in table.get_symbols() if s.is_global()}
        inner += table.get_children()
    return used


def _changed(statement: ast.stmt, shown: bool) -> set[str]:
    """Names whose objects a statement changes by an item, an attribute or a method.

    Parameters
    ----------
    shown : whether the notebook shows its value, so that a method is not called for its effect
    """
    changed: set[str] = set()
    for node in ast.walk(statement):
        target: ast.AST | None = None
        if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store):
            target = node.value
        elif isinstance(node, ast.Expr) and not (shown and node is statement):
            function = node.value.func if isinstance(node.value, ast.Call) else None
            target = function.value if isinstance(function, ast.Attribute) else None
        while isinstance(target, ast.Attribute | ast.Subscript):
            target = target.value
        changed |= {target.id} if isinstance(target, ast.Name) else set()
    return changed
