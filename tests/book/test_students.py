"""Students get stubs in place of solutions, and a stub never passes its check."""

import subprocess
import sys

import nbformat
import pytest
from nbformat import v4

from tests.book.exercises import with_stubs_tried
from viba_lib.book import chapters as pairs
from viba_lib.book import students
from viba_lib.book.exercises import exercises

CHAPTERS = pairs.chapters()
each = pytest.mark.parametrize("source", CHAPTERS, ids=[c.stem for c in CHAPTERS])

SOLUTION = '''import math

def area(r):
    """Area of a circle."""
    return math.pi * r**2

a, b = 1, 2
table = [area(x) for x in (a, b)]
for x in table:
    print(x)
table
'''


def test_a_stub_keeps_heads_and_names_and_nothing_that_tells():
    made = students.stub(SOLUTION)
    space: dict = {}
    exec(made, space)
    assert space["a"] is space["b"] is space["table"] is ...
    assert space["area"].__doc__ == "Area of a circle." and space["math"]
    with pytest.raises(NotImplementedError):
        space["area"](1)
    assert "pi" not in made and "print" not in made


def chapter(check: str, hidden: str = "assert area(2) > 12") -> nbformat.NotebookNode:
    cells = [
        v4.new_markdown_cell("# T\n\n```{exercise} E\n:label: ex-e\nDo it.\n```\n\n"
                             "```{solution-start} ex-e\n:class: dropdown\n```"),
        v4.new_code_cell(SOLUTION, metadata={"tags": ["solution"]}),
        v4.new_code_cell(check, metadata={"tags": ["check", "remove-cell"]}),
        v4.new_code_cell(hidden, metadata={"tags": ["hidden", "remove-cell"]}),
        v4.new_markdown_cell("It is so.\n\n```{solution-end}\n```\n\n## Quiz\n\n**1. Q?**\n\n"
                             "```{dropdown} Answer to question 1\n**a.** Secret.\n```\n\nMore."),
    ]  # fmt: skip
    return v4.new_notebook(cells=cells)


def run(notebook) -> subprocess.CompletedProcess:
    code = "\n".join(c.source for c in notebook.cells if c.cell_type == "code")
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_a_stub_that_passes_is_caught():
    good = run(with_stubs_tried(chapter("assert area(1) > 3")))
    assert good.returncode == 0, good.stderr
    for tests in (("assert True",), ("assert area(1) > 3", "assert True")):
        bad = run(with_stubs_tried(chapter(*tests)))
        assert bad.returncode and "the stub of this exercise passes its test" in bad.stderr


def test_a_wrong_solution_is_caught_by_its_check():
    notebook = chapter("assert area(1) > 3")
    notebook.cells[1].source = SOLUTION.replace("math.pi", "2")
    assert "AssertionError" in run(with_stubs_tried(notebook)).stderr


def test_the_student_gets_no_answer(monkeypatch, tmp_path):
    source = tmp_path / "01_one.py"
    monkeypatch.setattr(students, "as_notebook", lambda _: chapter("assert area(1) > 3"))
    text = nbformat.writes(students.student_notebook(source))
    assert not any(
        "remove-cell" in c.metadata.get("tags", []) for c in nbformat.reads(text, 4).cells
    )
    for hidden in ("It is so", "Secret", "math.pi", "solution-start", "solution-end", "area(2)"):
        assert hidden not in text
    for kept in ("Do it.", "## Quiz", "More.", "assert area(1) > 3", "Your turn"):
        assert kept in text


@each
def test_each_chapter_has_two_exercises_and_its_student_notebook_no_solution(source):
    notebook = pairs.as_notebook(source)
    found = exercises(notebook)
    assert len(found) >= 2
    student = students.student_notebook(source)
    nbformat.validate(student)
    text = nbformat.writes(student)
    assert "{solution-" not in text and "{dropdown} Answer" not in text
    turns = [c for c in student.cells if c.cell_type == "code" and "Your turn" in c.source]
    assert len(turns) == len(found)
    cells = [c.source for c in student.cells]
    for one in found:
        assert notebook.cells[one.solution].source not in cells
        assert notebook.cells[one.hidden].source not in cells
        assert any(notebook.cells[one.check].source in cell for cell in cells)
