"""Notebooks of students are graded by the tests of the release."""

import shutil
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from viba_lib.book import chapters as pairs
from viba_lib.book import grade, release
from viba_lib.book.exercises import IGNORED, OF_STUDY, exercises, tagged
from viba_lib.book.paths import BookError
from viba_lib.pipeline import profiles

FIRST, MIXED = pairs.find_chapter("01"), pairs.find_chapter("08")
MODULE = "otter.execute"


@pytest.fixture
def released(tmp_path, monkeypatch) -> Path:
    """The root of a release of chapters 1 and 8, as if otter was installed."""
    monkeypatch.setattr(release, "chapters", lambda: [FIRST, MIXED])
    monkeypatch.setattr(grade.importlib.util, "find_spec", lambda name: name)
    release.release(tmp_path)
    return tmp_path


def of_student(root: Path, source: Path) -> Path:
    return root / "_build" / "release" / "students" / f"{source.stem}.ipynb"


def test_without_otter_the_command_that_installs_it_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(grade.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BookError, match="otter-grader is not installed; run `make release`"):
        grade.grade("01", tmp_path, "quick", root=tmp_path)


def test_without_a_release_or_without_notebooks_nothing_is_graded(released):
    with pytest.raises(BookError, match="contains no notebooks"):
        grade.grade("01", released, "quick", root=released)
    shutil.rmtree(released / "_build")
    with pytest.raises(BookError, match=r"does not contain ex-one-bit.py.*run `make release`"):
        grade.grade("01", released, "quick", root=released)


def test_exercises_on_results_are_refused_without_results_or_left_out(released, monkeypatch):
    folder = of_student(released, MIXED).parent
    with pytest.raises(BookError, match=r"ex-always-fake need the results .*--light"):
        grade.grade("08", folder, "quick", root=released)
    given = {}
    monkeypatch.setattr(
        grade, "grade_one", lambda path, name, tests, values, light: given.update(tests) or
        {"summary": "", "total": 0.0, "possible": 2.0},
    )  # fmt: skip
    grade.grade("08", folder, "quick", light=True, root=released)
    assert list(given) == ["ex-mcnemar"]
    (released / "results" / "quick" / "chapters" / MIXED.stem).mkdir(parents=True)
    grade.grade("08", folder, "quick", root=released)
    assert list(given) == ["ex-mcnemar", "ex-always-fake"]


def test_a_profile_of_a_teacher_s_own_is_found_from_another_folder(released, monkeypatch, tmp_path):
    source = (Path(profiles.__file__).parent / "tiny.yaml").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    Path("course.yaml").write_text(source.replace("name: tiny", "name: course"), encoding="utf-8")
    (released / "results" / "course" / "chapters" / MIXED.stem).mkdir(parents=True)
    given = {}

    def graded(path, name, tests, values, light):
        given.update(values)
        return {"summary": "", "total": 0, "possible": 0}

    monkeypatch.setattr(grade, "grade_one", graded)
    folder = released / "_build" / "release" / "students"
    grade.grade("08", folder, "course.yaml", root=released)
    assert given["profile"] == str((tmp_path / "course.yaml").resolve())


def test_a_notebook_gets_the_parameters_of_the_teacher(released):
    values = {"profile": "tiny", "data_root": "/d", "results_root": "/r"}
    made = grade.prepared(of_student(released, MIXED), MIXED.stem, values, light=False)
    at = next(i for i, c in enumerate(made.cells) if tagged(c, "parameters"))
    names: dict = {}
    exec(made.cells[at + 1].source, names)
    assert values.items() <= names.items()


def test_light_grading_leaves_out_each_cell_that_uses_the_study(released):
    made = grade.prepared(of_student(released, MIXED), MIXED.stem, {"profile": "quick"}, light=True)
    executed = [c for c in made.cells if c.cell_type == "code" and not tagged(c, IGNORED)]
    assert not any(tagged(c, OF_STUDY) or "study" in c.source for c in executed)
    assert any("def exact_p" in c.source for c in executed)


def test_a_notebook_of_another_chapter_gets_no_points_and_a_reason(released):
    tests = {e.label: released / "x.py" for e in exercises(pairs.as_notebook(MIXED))}
    found = grade.grade_one(of_student(released, FIRST), MIXED.stem, tests, {"profile": "quick"})
    assert found["total"] == 0 and found["possible"] == 4
    assert f"is a notebook of {FIRST.stem}, and {MIXED.stem} is graded" in found["summary"]
    broken = released / "broken.ipynb"
    broken.write_text("not JSON")
    assert "not graded" in grade.grade_one(broken, MIXED.stem, tests, {})["summary"]


@pytest.mark.slow
def test_solved_notebooks_get_all_points_and_unsolved_ones_none(tmp_path, monkeypatch):
    pytest.importorskip(MODULE, reason="otter-grader is not installed; `make release` installs it")
    monkeypatch.setattr(release, "chapters", lambda: [FIRST])
    folder = release.release(tmp_path)
    submissions = tmp_path / "submissions"
    submissions.mkdir()
    shutil.copy(folder / "teacher" / FIRST.stem / "solution.ipynb", submissions / "solved.ipynb")
    shutil.copy(of_student(tmp_path, FIRST), submissions / "unsolved.ipynb")
    half = nbformat.read(of_student(tmp_path, FIRST), 4)
    turn = next(c for c in half.cells if tagged(c, "solution"))
    turn.source = "one_bit = 3**0.5 / (1 + 3**0.5)\n\n\ndef fraction(bits):\n    return one_bit"
    nbformat.write(half, submissions / "hard_coded.ipynb")
    marks = pd.read_csv(grade.grade("01", submissions, "quick", root=tmp_path))
    marks = marks.set_index("notebook")
    assert (marks.possible == 6).all()
    assert marks.total.to_dict() == {
        "solved.ipynb": 6,
        "unsolved.ipynb": 0,
        "hard_coded.ipynb": 1,  # the public test of one exercise
    }
    assert marks.at["hard_coded.ipynb", "ex-one-bit"] == 1
    assert not (tmp_path / "results").exists(), "this chapter is graded without a run"


@pytest.mark.parametrize(
    "content", ["null", "[]", '{"metadata": {"otter": null}, "cells": []}', ""]
)
def test_what_is_no_notebook_gets_no_points_and_the_others_theirs(released, monkeypatch, content):
    folder = released / "submissions"
    folder.mkdir()
    shutil.copy(of_student(released, FIRST), folder / "good.ipynb")
    (folder / "odd.ipynb").write_text(content)
    (folder / "folder.ipynb").mkdir()
    (folder / "._good.ipynb").write_bytes(b"\0\5\26\7")
    monkeypatch.setattr(grade, "_run_otter", lambda *_: {"marks": {}, "summary": "run"})
    marks = pd.read_csv(grade.grade("01", folder, "quick", root=released))
    assert marks.notebook.tolist() == ["folder.ipynb", "good.ipynb", "odd.ipynb"]
    texts = [(released / "_build" / "release" / "marks" / FIRST.stem / f"{name}.txt").read_text()
             for name in ("folder", "odd", "good")]  # fmt: skip
    assert texts[0].startswith("not graded: ") and texts[1].startswith("not graded: ")
    assert texts[2] == "run"
