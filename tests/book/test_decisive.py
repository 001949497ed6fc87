"""Each chapter from 5 on writes its idea out in a few lines, and compares them with the library."""

import ast

import jupytext
import pytest

from viba_lib.book.chapters import chapters, key_of

FIRST, LONGEST, WIDEST = 5, 15, 79  # chapter, lines of a cell, letters of a line
# The page on speed, which has no number, has such a cell too.
CHAPTERS = [p for p in chapters() if not key_of(p.stem).isdigit() or int(key_of(p.stem)) >= FIRST]


def tree_of(cell) -> ast.Module:
    """The code of a cell without commands of IPython."""
    lines = [line for line in cell.source.splitlines() if not line.startswith(("%", "!"))]
    return ast.parse("\n".join(lines))


def root_of(node: ast.expr) -> str:
    """First name of a dotted expression or of the calls in it; "" if there is none."""
    while isinstance(node, (ast.Attribute, ast.Call, ast.Subscript)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def imported(tree: ast.Module) -> set[str]:
    """Names that a cell imports from the library."""
    return {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("viba_lib")
        for alias in node.names
    }


def made_by(tree: ast.Module, library: set[str]) -> set[str]:
    """Names to which a cell assigns what a call of the library gives, such as a bottleneck."""
    return {
        name.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        if root_of(node.value) in library
        for target in node.targets
        for name in ast.walk(target)
        if isinstance(name, ast.Name)
    }


def calls(tree: ast.Module, names: set[str]) -> set[str]:
    """Which of the names a cell calls, as functions or by their methods."""
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return {root_of(node) for node in nodes} & names


def asserts(tree: ast.Module) -> bool:
    """Whether a cell has an assert statement or one of numpy.testing."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Attribute) and node.attr.startswith("assert_"):
            return True
    return False


def problems(cells: list) -> list[str]:
    """What is wrong with the decisive cells of a chapter; nothing if they are as required."""
    code = [cell for cell in cells if cell.cell_type == "code"]
    decisive = [i for i, cell in enumerate(code) if "decisive" in cell.metadata.get("tags", [])]
    found = [] if decisive else ["no cell is tagged decisive"]
    library: set[str] = set()
    for at, cell in enumerate(code):
        tree = tree_of(cell)
        library |= imported(tree)
        if at in decisive:
            lines = [line for line in cell.source.splitlines() if line.strip()]
            if len(lines) > LONGEST or max(map(len, lines)) > WIDEST:
                found.append(f"cell {at} is longer or wider than allowed")
        if at - 1 in decisive:
            if not asserts(tree):
                found.append(f"cell {at} after a decisive cell asserts nothing")
            if not calls(tree, library | made_by(tree, library)):
                found.append(f"cell {at} after a decisive cell does not call the library")
        library |= made_by(tree, library)
    return found


def explained(cells: list) -> bool:
    """Whether a sentence after each check of a decisive cell says that both agree."""
    at = [i for i, cell in enumerate(cells) if "decisive" in cell.metadata.get("tags", [])]
    return all("agree" in cells[i + 2].source for i in at)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_the_idea_is_written_out_and_compared(path):
    cells = jupytext.read(path).cells
    assert problems(cells) == []
    assert explained(cells), "expected a sentence that says that the lines and the library agree"


WRITTEN = """\
# %%
from viba_lib.evaluation import iou
import numpy as np

# %% tags=["decisive"]
overlap = (a & b).sum() / (a | b).sum()

# %%
np.testing.assert_allclose(overlap, iou(a, b))
"""


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("", "", None),
        (' tags=["decisive"]', "", "no cell is tagged"),
        ("iou(a, b))", "1.0)", "does not call the library"),
        ("np.testing.assert_allclose(overlap, iou(a, b))", "iou(a, b)", "asserts nothing"),
        ("overlap =", "x = 0\n" * 15 + "overlap =", "longer or wider"),
        ("overlap =", "# " + "x" * 90 + "\noverlap =", "longer or wider"),
    ],
)
def test_the_check_finds_what_is_missing(old, new, problem):
    cells = jupytext.reads(WRITTEN.replace(old, new) if old else WRITTEN, fmt="py:percent").cells
    found = problems(cells)
    assert [problem in text for text in found] == [True] if problem else found == []
