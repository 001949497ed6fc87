"""Exercises have a solution and two tests, and the cells that they need are found."""

import re

import pytest
from nbformat import v4

from viba_lib.book import chapters as pairs
from viba_lib.book import paths
from viba_lib.book.exercises import (
    IGNORED,
    OF_STUDY,
    exercises,
    mark_for_grading,
    needed_cells,
    needs_study,
    tagged,
)
from viba_lib.book.paths import BookError

CHAPTERS = pairs.chapters()
each = pytest.mark.parametrize("source", CHAPTERS, ids=[c.stem for c in CHAPTERS])


def notebook(*cells: str | tuple[str, str]):
    """Code cells, or Markdown for a `#`; the tags of a cell are given as (code, tag)."""
    made = []
    for cell in cells:
        code, tag = cell if isinstance(cell, tuple) else (cell, "")
        new = v4.new_markdown_cell if code.startswith("#") else v4.new_code_cell
        made.append(new(code.removeprefix("#"), metadata={"tags": [tag]} if tag else {}))
    return v4.new_notebook(cells=made)


def exercise(label: str, name: str, value: str) -> list:
    """Cells of an exercise that asks for a name."""
    test = f"assert {name} == {value}"
    tests = [(test, "check"), (f"{test} != 0", "hidden")]
    return [f"#```{{solution-start}} {label}\n```", (f"{name} = {value}", "solution"), *tests]


def test_an_exercise_is_a_labelled_solution_with_two_tests():
    found = exercises(notebook("x = 1", *exercise("ex-a", "a", "x")))
    assert [(e.label, e.cells) for e in found] == [("ex-a", (2, 3, 4))]


@pytest.mark.parametrize("missing", [0, 2, 3])
def test_a_missing_part_is_named(missing):
    cells = exercise("ex-a", "a", "1")
    del cells[missing]
    with pytest.raises(BookError, match="check.*hidden|label" if missing else "without a label"):
        exercises(notebook(*cells))


def test_cells_are_needed_for_their_names_and_for_changes_of_their_objects():
    cells = [
        "import numpy as np",  # 0
        "a = np.zeros(3)",  # 1
        "b = a + 1",  # 2: not used
        "a[0] = 2",  # 3
        "rows = []\nfor i in range(3):\n    rows.append(i)",  # 4: not used
        "def f(x):\n    return x + c",  # 5
        "c = 5",  # 6
        "rows = [1]",  # 7
        "rows.append(2)\nrows",  # 8
        "rows.index(2)",  # 9: shown, so not called for an effect
        "d = f(a.sum()) + rows[0]",  # 10
        "d = d + 1",  # 11: not needed for 10
    ]
    assert needed_cells(notebook(*cells), {10}) == {0, 1, 3, 5, 6, 7, 8, 10}


def test_exercises_on_a_study_are_told_from_others_and_marked():
    made = notebook(
        ("seed = 0", "parameters"),
        "study = Study(seed)",
        "numbers = study.numbers()",
        "unused = 1",
        *exercise("ex-heavy", "a", "numbers"),
        *exercise("ex-light", "b", "seed"),
    )
    heavy, light = exercises(made)
    assert needs_study(made, heavy) and not needs_study(made, light)
    cells = mark_for_grading(made, "01_one").cells
    assert [i for i, c in enumerate(cells) if tagged(c, IGNORED)] == [3]
    assert [i for i, c in enumerate(cells) if tagged(c, OF_STUDY)] == [1, 2, *heavy.cells]
    assert cells[heavy.check].metadata["otter"] == {"tests": ["ex-heavy"]}
    assert made.metadata["otter"]["assignment_name"] == "01_one"


@each
def test_every_exercise_of_the_text_has_a_solution_and_two_tests(source):
    made = pairs.as_notebook(source)
    text = "\n".join(c.source for c in made.cells if c.cell_type == "markdown")
    labels = re.findall(r"```\{exercise\} .+\n:label: (\S+)", text)
    assert [e.label for e in exercises(made)] == labels and len(labels) >= 2


@each
def test_later_cells_do_not_need_the_tests_of_an_exercise(source):
    made = pairs.as_notebook(source)
    found = exercises(made)
    tests = {n for e in found for n in (e.check, e.hidden)}
    others = {i for i, c in enumerate(made.cells) if c.cell_type == "code"} - tests
    assert not needed_cells(made, others) & tests
    # No test uses what only another one imports or defines.
    for test in tests:
        assert not needed_cells(made, others | {test}) & (tests - {test}), made.cells[test].source


def test_the_teaching_page_lists_the_exercises_without_data_and_results():
    page = (paths.ROOT / "book" / "teaching.md").read_text(encoding="utf-8")
    listed = page.partition("These exercises need neither data nor results: ")[2]
    listed = re.findall(r"\{ref\}`[^`<]+<([\w-]+)>`", listed.partition("All other")[0])
    made = [pairs.as_notebook(source) for source in CHAPTERS]
    light = [e.label for n in made for e in exercises(n) if not needs_study(n, e)]
    assert listed == light
    assert len(light) == 12, "README.md says twelve"
