"""The release of the exercises: no answer for students, and tests that reject wrong answers."""

import ast
import doctest

import nbformat
import pytest

from tests.book.test_exercises import exercise, notebook
from viba_lib.book import chapters as pairs
from viba_lib.book import release
from viba_lib.book.exercises import exercises, needed_cells, needs_study
from viba_lib.book.students import stub

# Answers that know the inputs of the public check alone, of exercises that need no run.
HARD_CODED = {
    "01/ex-one-bit": """
one_bit = 3**0.5 / (1 + 3**0.5)
fraction = lambda bits: one_bit
""",
    "01/ex-bound": """
known = {0.1: 0, 0.5: 0, 0.9: 0}
known = {s: divergence(s, 0.0) + s**2 / (2 * LN2) - shannon(s) for s in known}
excess = lambda share: known.get(share, 0.1)
""",
    "05/ex-receptive-field": """
known = {"[]": 1, str([(3, 1)] * 3): 7, str([(3, 2)] * 3): 15, "[(1, 2), (3, 1)]": 5}
receptive_field = lambda layers: known.get(str(layers), 0)
""",
    "08/ex-mcnemar": """
known = {(10, 2): 158 / 4096, (3, 3): 1.0, (0, 6): 2 / 64, (7, 1): 18 / 256}
exact_p = lambda b, c: known.get((b, c), 0.5)
""",
    "09/ex-rpi-hand": """
import numpy as np
by_hand, rpi_of_step = 0.1, lambda *_: 0.1
moving = np.zeros((2, 30, 40), bool)
moving[0, :4, :4] = moving[1, 4:8, 3:7] = True
""",
    "10/ex-chance-overlap": """
from viba_lib.evaluation.agreement import REGIONS
by_chance, chance = 0.5, lambda n, regions: 0.5
""",
    "10/ex-blind-overlap": """
expected_overlap = lambda a, b: {(1, 3): 0.5, (2, 2): 1 / 3, (3, 3): 0.5}.get((a, b))
""",
    "10/ex-superset": "winner, jaccard = set(REGIONS), lambda *_: 1 / 6",
    "10/ex-macro-f1": """
f1 = lambda p, r: {(1, 1): 1, (0.5, 1): 2 / 3}.get((p, r), 0)
precisions, recalls, mean_of_f1, f1_of_means = (1, 0), (0, 1), 0, 0.5
""",
    "15/ex-wilson": """
from statsmodels.stats.proportion import proportion_confint
known = {(9, 10), (50, 57), (0, 8)}
needed = 5000
def wilson(k, n):
    return proportion_confint(k, n, method="wilson") if (k, n) in known else (0.9, 0.9)
""",
}


@pytest.fixture(params=HARD_CODED)
def case(request):
    """The cells of an exercise, its hard-coded answer, and names that earlier cells define."""
    number, label = request.param.split("/")
    made = pairs.as_notebook(pairs.find_chapter(number))
    one = next(e for e in exercises(made) if e.label == label)
    assert not needs_study(made, one)
    names: dict = {}
    for cell in sorted(needed_cells(made, one.cells) - set(one.cells)):
        exec(made.cells[cell].source, names)
    texts = [made.cells[n].source for n in one.cells]
    return *texts, HARD_CODED[request.param], names


def passes(answer: str, test: str, names: dict) -> bool:
    own = dict(names)
    try:
        exec(answer, own)
        exec(test, own)
    except Exception:
        return False
    return True


def test_the_hidden_test_rejects_a_stub_and_a_hard_coded_answer(case):
    solution, check, hidden, hard_coded, names = case
    assert passes(solution, check, names) and passes(solution, hidden, names)
    assert not passes(stub(solution), check, names)
    assert not passes(stub(solution), hidden, names)
    assert passes(hard_coded, check, names), "the answer is not even right for the public check"
    assert not passes(hard_coded, hidden, names)


@pytest.fixture
def released(tmp_path, monkeypatch):
    """The release of chapter 1."""
    monkeypatch.setattr(release, "chapters", lambda: [pairs.find_chapter("01")])
    (tmp_path / "_build" / "release" / "teacher" / "00_renamed").mkdir(parents=True)
    return release.release(tmp_path)


def test_students_get_a_notebook_and_the_teacher_solution_and_tests(released):
    stem = pairs.find_chapter("01").stem
    files = {p.relative_to(released).as_posix() for p in released.rglob("*") if p.is_file()}
    tests = {f"teacher/{stem}/tests/{x}.py" for x in ("ex-one-bit", "ex-bound", "ex-other-answer")}
    tests |= {f"students/{stem}.ipynb", f"teacher/{stem}/solution.ipynb", "README.md"}
    assert files == tests
    student = nbformat.read(released / "students" / f"{stem}.ipynb", 4)
    own = nbformat.read(released / "teacher" / stem / "solution.ipynb", 4)
    made = pairs.as_notebook(pairs.find_chapter("01"))
    for one in exercises(made):
        texts = [made.cells[n].source for n in one.cells]
        assert not {texts[0], texts[2]} & {c.source for c in student.cells}
        assert set(texts) <= {c.source for c in own.cells}
    assert "3**0.5" not in nbformat.writes(student), "the solution of the first exercise"
    readme = (released / "README.md").read_text(encoding="utf-8")
    assert f"| {stem} | ex-one-bit | no |" in readme


def test_a_test_file_has_a_public_and_a_hidden_case_that_are_doctests():
    made = notebook("x = 1", *exercise("ex-a", "a", "x"))
    names: dict = {}
    exec(release.otter_test(made, exercises(made)[0]), names)
    cases = names["test"]["suites"][0]["cases"]
    assert names["OK_FORMAT"] and names["test"]["name"] == "ex-a"
    assert names["test"]["points"] == [1, 1]
    assert [case["hidden"] for case in cases] == [False, True]
    assert [case["code"] for case in cases] == [">>> assert a == x", ">>> assert a == x != 0"]


CODE = """
import math

# A comment.
for x in (1, 2):
    if x > 1:

        y = f(
            x
        )
assert y == 4
"""


@pytest.mark.parametrize(("answer", "failed"), [(lambda x: 2 * x, 0), (lambda x: x, 1)])
def test_a_cell_becomes_a_doctest(answer, failed):
    parser = doctest.DocTestParser()
    made = parser.get_doctest(release.as_doctest(CODE), {"f": answer}, "cell", None, None)
    assert len(made.examples) == 3
    assert doctest.DocTestRunner(verbose=False).run(made, out=lambda _: None).failed == failed


@pytest.mark.parametrize("source", pairs.chapters(), ids=lambda c: c.stem)
def test_no_statement_of_a_test_shows_a_value(source):
    """Otter compares what a doctest shows with what it expects, which is nothing."""
    made = pairs.as_notebook(source)
    for cell in (n for e in exercises(made) for n in (e.check, e.hidden)):
        for statement in ast.parse(made.cells[cell].source).body:
            assert not isinstance(statement, ast.Expr), ast.unparse(statement)
