"""The chapters: pairs agree, every figure can be read aloud, and all run at the tiny profile."""

import re
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from viba_lib import book
from viba_lib.data.sources.packages import QUICK_FILES, FetchError, fetch
from viba_lib.study import Study

CHAPTERS = book.chapters()
COMMON = {"profile": "quick", "data_root": "../data", "results_root": "../results"}
COMMON |= {"device": "cpu", "seed": 0}
each = pytest.mark.parametrize("source", CHAPTERS, ids=[c.stem for c in CHAPTERS])


@each
def test_pair_agrees(source):
    made, found = book.as_notebook(source), nbformat.read(source.with_suffix(".ipynb"), 4)
    assert [(c.cell_type, c.source, c.metadata) for c in found.cells] == [
        (c.cell_type, c.source, c.metadata) for c in made.cells
    ], "run `make notebooks`"
    assert not any(c.get("outputs") or c.get("execution_count") for c in found.cells)


@each
def test_parameters(source):
    assert COMMON.items() <= book.parameters_of(source).items()


@each
def test_every_figure_has_an_alternative_text_and_a_caption(source):
    figures = [
        c.metadata["mystnb"] for c in book.as_notebook(source).cells if "mystnb" in c.metadata
    ]
    figures = [f for f in figures if "figure" in f or "image" in f]
    assert figures, "a chapter without a figure"
    for figure in figures:
        assert len(figure["image"]["alt"]) > 20
        assert figure["figure"]["caption"] and figure["figure"]["name"].startswith("fig-")


def test_names_of_figures_are_unique():
    text = "".join(c.read_text(encoding="utf-8") for c in CHAPTERS)
    names = re.findall(r'"name": "(fig-[^"]+)"', text)
    assert len(names) == len(set(names))


def run_nbval(source: Path, folder: Path, roots: tuple[Path, Path]) -> subprocess.CompletedProcess:
    """Execute a copy of a chapter at the tiny profile, checked by nbval (lax)."""
    values = {"profile": "tiny", "data_root": str(roots[0]), "results_root": str(roots[1])}
    copy = folder / f"{source.stem}.ipynb"
    nbformat.write(book.as_notebook(source), copy)
    nbformat.write(parameterize_notebook(load_notebook_node(str(copy)), values), copy)
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-cell-timeout=300", "-q"]
    command += ["-p", "no:cacheprovider", "--rootdir", str(folder), "-c", "/dev/null", str(copy)]
    return subprocess.run(
        command, env=book.kernel_environment(2), capture_output=True, text=True, cwd=folder
    )


@pytest.fixture(scope="module")
def runs(roots, tmp_path_factory):
    """Runs of all chapters, two at a time; the stages that they share come first."""
    try:
        fetch(QUICK_FILES, roots[0])
    except FetchError as error:
        pytest.skip(str(error))
    Study("tiny", *roots).run_all()
    folder = tmp_path_factory.mktemp("chapters")
    with ThreadPoolExecutor(2) as pool:
        yield {s: pool.submit(run_nbval, s, folder, roots) for s in CHAPTERS}
        pool.shutdown(cancel_futures=True)


@pytest.mark.network
@each
def test_chapter_runs_at_the_tiny_profile(source, runs: dict[Path, Future]):
    done = runs[source].result()
    print(done.stdout.splitlines()[-1] if done.stdout else done.stderr)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
