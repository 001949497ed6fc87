"""Grading of students' notebooks by the tests of the release, with otter."""

import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from viba_lib.book import paths
from viba_lib.book.chapters import as_notebook, find_chapter
from viba_lib.book.execute import STAGES, kernel_environment
from viba_lib.book.exercises import IGNORED, OF_STUDY, exercises, needs_study, tagged
from viba_lib.book.paths import BookError, print_progress, write_changed
from viba_lib.book.release import POINTS
from viba_lib.pipeline.profiles import from_anywhere, load_profile

MINUTES = 30  # after which a notebook is stopped
# Of one notebook, in a process that can be stopped. Otter's commands (`otter run`) import a package
# that setuptools no longer contains; its function does not.
_GRADE = """
import json, sys
from otter.execute import grade_notebook
notebook, folder, tests, found = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), sys.argv[4]
results = grade_notebook(notebook, tests_glob=tests, test_dir=folder, force_python3_kernel=False)
marks = {name: result.score for name, result in results.results.items()}
with open(found, "w", encoding="utf-8") as file:
    json.dump({"marks": marks, "summary": results.summary()}, file)
"""


def grade(
    number: str, submissions: Path, profile: str, light: bool = False, root: Path | None = None
) -> Path:
    """Grade the notebooks of one chapter in a folder.

    The code of the students is executed with the rights of the caller.

    Parameters
    ----------
    number : number or name of the chapter
    profile : its data and results are used, not what a notebook says
    light : whether to leave out the exercises that need data and results
    root : folder of `data`, `results` and `_build/release`

    Returns
    -------
    The table of marks. Beside it is a summary of the tests of each notebook.
    """
    root, source = root or paths.ROOT, find_chapter(number)
    run = load_profile(profile).name
    notebook = as_notebook(source)
    heavy = {e.label: needs_study(notebook, e) for e in exercises(notebook)}
    tests = _tests(source.stem, [e for e in heavy if not (light and heavy[e])], root)
    if not light:
        _check_results(source.stem, [e for e in heavy if heavy[e]], root / "results" / run)
    # Hidden are copies such as macOS' `._anna.ipynb`.
    files = sorted(p for p in submissions.glob("*.ipynb") if not p.name.startswith("."))
    if not files:
        raise BookError(
            f"{submissions} contains no notebooks; give the folder with one .ipynb file a student"
        )
    folder = root / "_build" / "release" / "marks" / source.stem
    values = {"profile": from_anywhere(profile)}
    values |= {f"{name}_root": str((root / name).resolve()) for name in ("data", "results")}
    rows = []
    for path in files:
        found = grade_one(path, source.stem, tests, values, light)
        write_changed(folder / f"{path.stem}.txt", found.pop("summary"))
        rows.append({"notebook": path.name} | found)
        print_progress(f"graded {path.name}: {found['total']:g} of {found['possible']:g} points")
        # After each: a notebook may take minutes, and what is graded stays.
        write_changed(folder / "marks.csv", pd.DataFrame(rows).to_csv(index=False))
    return folder / "marks.csv"


def grade_one(
    path: Path, name: str, tests: Mapping[str, Path], values: Mapping[str, str], light: bool = False
) -> dict[str, Any]:
    """Points of one notebook by exercise, `total`, `possible`, and the `summary` of its tests."""
    row: dict[str, Any] = dict.fromkeys(tests, 0.0)
    row |= {"total": 0.0, "possible": float(sum(POINTS) * len(tests))}
    with tempfile.TemporaryDirectory(prefix="viba-grade-") as work:
        try:
            notebook = prepared(path, name, values, light)
            nbformat.write(notebook, Path(work) / path.name)
            found = _run_otter(Path(work), path.name, tests)
        except (BookError, nbformat.validator.ValidationError, ValueError) as error:
            return row | {"summary": f"not graded: {error}\n"}
    row |= {test: found["marks"].get(test, 0.0) for test in tests}
    return row | {"total": sum(row[test] for test in tests), "summary": found["summary"]}


def prepared(path: Path, name: str, values: Mapping[str, str], light: bool) -> Any:
    """A student's notebook with the given parameters, and only the cells that are graded."""
    try:
        notebook = load_notebook_node(str(path))
        given = (notebook.metadata.get("otter") or {}).get("assignment_name")
    except (AttributeError, TypeError, KeyError, OSError) as error:
        # A folder, or JSON that is not a notebook.
        raise BookError(f"{path.name} is not a notebook ({type(error).__name__})") from error
    if given != name:
        raise BookError(
            f"{path.name} is a notebook of {given or 'no chapter'}, and {name} is graded; "
            "students fill in the notebook of the release"
        )
    if light:
        for cell in (c for c in notebook.cells if tagged(c, OF_STUDY)):
            cell.metadata["tags"].append(IGNORED)
    return parameterize_notebook(notebook, dict(values))


def _run_otter(work: Path, name: str, tests: Mapping[str, Path]) -> dict[str, Any]:
    folder = next(iter(tests.values())).parent
    globs = json.dumps([str(path) for path in tests.values()])
    command = [sys.executable, "-c", _GRADE, name, str(folder), globs, "found.json"]
    given: dict[str, Any] = {"cwd": work, "env": kernel_environment(), "timeout": MINUTES * 60}
    try:
        done = subprocess.run(command, capture_output=True, text=True, **given)
    except subprocess.TimeoutExpired:
        raise BookError(f"{name} ran for more than {MINUTES} minutes") from None
    if done.returncode:
        raise BookError(f"{name} could not be executed:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads((work / "found.json").read_text(encoding="utf-8"))
    return found


def _tests(stem: str, graded: Sequence[str], root: Path) -> dict[str, Path]:
    """Test files of the graded exercises of a chapter."""
    if importlib.util.find_spec("otter") is None:
        raise BookError("otter-grader is not installed; run `make release`")
    if not graded:
        raise BookError(f"every exercise of {stem} needs data and results; omit `--light`")
    folder = (root / "_build" / "release" / "teacher" / stem / "tests").resolve()
    tests = {label: folder / f"{label}.py" for label in graded}
    missing = [path.name for path in tests.values() if not path.is_file()]
    if missing:
        raise BookError(f"{folder} does not contain {', '.join(missing)}; run `make release`")
    return tests


def _check_results(stem: str, heavy: Sequence[str], results: Path) -> None:
    """Refuse to grade what would first compute a whole run."""
    if heavy and not (results / STAGES / stem).is_dir():
        raise BookError(
            f"{', '.join(heavy)} need the results of {stem} in {results}; run `make book` "
            "or copy `data` and `results`, or leave these exercises out with `--light`"
        )
