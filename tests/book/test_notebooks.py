"""The chapters: pairs agree, every figure can be read aloud, and all run at the tiny profile."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook
from pybtex.database import parse_file

from tests.book.exercises import with_stubs_tried
from viba_lib.book import chapters as pairs
from viba_lib.book import execute, parameters
from viba_lib.pipeline.study import Study

CHAPTERS = pairs.chapters()
COMMON = {"profile": "quick", "data_root": "../data", "results_root": "../results"}
COMMON |= {"device": "cpu", "seed": 0}
each = pytest.mark.parametrize("source", CHAPTERS, ids=[c.stem for c in CHAPTERS])


@each
def test_pair_agrees(source):
    made, found = pairs.as_notebook(source), nbformat.read(source.with_suffix(".ipynb"), 4)
    assert [(c.cell_type, c.source, c.metadata) for c in found.cells] == [
        (c.cell_type, c.source, c.metadata) for c in made.cells
    ], "run `make notebooks`"
    assert not any(c.get("outputs") or c.get("execution_count") for c in found.cells)


def test_ids_drawn_twice_are_no_warning(monkeypatch):
    monkeypatch.setattr("nbformat.v4.nbbase.random_cell_id", lambda: "479c52ec")
    ids = [cell.id for cell in pairs.as_notebook(CHAPTERS[0]).cells]
    assert len(set(ids)) == len(ids)


@each
def test_parameters(source):
    assert COMMON.items() <= parameters.parameters_of(source).items()


@each
def test_the_first_code_checks_what_papermill_injects(source):
    cells = [c for c in pairs.as_notebook(source).cells if c.cell_type == "code"]
    assert "parameters" in cells[0].metadata.tags and "remove-input" in cells[1].metadata.tags
    assert cells[1].source.index("\ncheck_injected()\n") < cells[1].source.index("Study(")


@each
def test_every_figure_has_an_alternative_text_and_a_caption(source):
    figures = [
        c.metadata["mystnb"] for c in pairs.as_notebook(source).cells if "mystnb" in c.metadata
    ]
    figures = [f for f in figures if "figure" in f or "image" in f]
    assert figures, "a chapter without a figure"
    for figure in figures:
        assert len(figure["image"]["alt"]) > 20
        assert figure["figure"]["caption"] and figure["figure"]["name"].startswith("fig-")


ENDS = ("Exercises", "Common misconceptions", "Quiz", "Summary", "What next", "References")


@each
def test_the_skeleton(source):
    cells = pairs.as_notebook(source).cells
    text = "\n\n".join(c.source for c in cells if c.cell_type == "markdown")
    first = cells[0].source
    assert first.startswith("# ") and "<!-- time -->" in first
    learn, need = (
        first.index("{admonition} What you will learn"),
        first.index("What you need first"),
    )
    assert learn < need < first.index("<!-- time -->")
    assert len(re.findall(r"(?m)^- ", first[learn:need])) >= 3
    assert len(re.findall(r"(?m)^\| ", first[need:])) >= 4, "two rows below the heading"
    headings = re.findall(r"(?m)^## (.+)$", text)
    assert tuple(headings[-6:]) == ENDS
    parts = dict(zip(headings, re.split(r"(?m)^## .+$", text)[1:], strict=True))
    assert len(re.findall(r"(?m)^```\{exercise\} ", parts["Exercises"])) >= 2
    assert len(re.findall(r'(?m)^- \*\*".+', parts["Common misconceptions"])) >= 3
    questions = re.findall(r"(?m)^\*\*(\d+)\. ", parts["Quiz"])
    answers = re.findall(
        r"\{dropdown\} Answer to question (\d+)\n\*\*[a-e]\.\*\* .{30}", parts["Quiz"]
    )
    assert questions == answers == [str(i + 1) for i in range(len(questions))]
    assert len(questions) >= 3
    assert len(re.findall(r"(?m)^- ", parts["Summary"])) >= 3
    assert "{doc}`" in parts["What next"] and "{cite" in parts["References"]
    assert text.count("{term}`") >= 4


@each
def test_displayed_equations_are_numbered(source):
    cells = pairs.as_notebook(source).cells
    text = "\n\n".join(c.source for c in cells if c.cell_type == "markdown")
    for found in re.finditer(r"\$\$[^$]+\$\$(.*)", text):
        assert re.match(r" \(eq-[\w-]+\)", found[1]), found[0]
    for found in re.finditer(r"```\{math\}\n(.*)", text):
        assert found[1].startswith(":label: eq-"), found[0]


def test_labels_are_unique_and_the_bibliography_has_dois():
    text = "".join(c.read_text(encoding="utf-8") for c in CHAPTERS)
    for pattern in (r":label: ((?:ex|eq)-[\w-]+)", r"\$\$ \((eq-[\w-]+)\)"):
        names = re.findall(pattern, text)
        assert len(names) == len(set(names))
    entries = parse_file("book/references.bib").entries
    # As the paper cites them: without an address, and none could be confirmed.
    printed = {"malolan2020", "vanneste2024"}
    for key, entry in entries.items():
        has_address = "doi" in entry.fields or "url" in entry.fields
        assert has_address != (key in printed), key
        assert has_address or {"booktitle", "pages"} <= set(entry.fields), key


def test_names_of_figures_are_unique():
    text = "".join(c.read_text(encoding="utf-8") for c in CHAPTERS)
    names = re.findall(r'"name": "(fig-[^"]+)"', text)
    assert len(names) == len(set(names))


def run_nbval(source: Path, folder: Path, roots: tuple[Path, Path]) -> subprocess.CompletedProcess:
    """Execute a copy of a chapter at the tiny profile, checked by nbval (lax)."""
    values = {"profile": "tiny", "data_root": str(roots[0]), "results_root": str(roots[1])}
    if "detector" in parameters.parameters_of(source):
        values["detector"] = "my_detector:detector"
    copy = folder / f"{source.stem}.ipynb"
    nbformat.write(with_stubs_tried(pairs.as_notebook(source)), copy)
    nbformat.write(parameterize_notebook(load_notebook_node(str(copy)), values), copy)
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-cell-timeout=300", "-q"]
    command += ["-p", "no:cacheprovider", "--rootdir", str(folder), "-c", "/dev/null", str(copy)]
    # What a cell writes to stderr stops a build of the book, and nbval lets it pass.
    kinds = ("FutureWarning", "DeprecationWarning")
    warnings = ",".join(f"error::{kind}:__main__" for kind in kinds)
    strict = execute.kernel_environment(2) | {"PYTHONWARNINGS": warnings}
    return subprocess.run(command, env=strict, capture_output=True, text=True, cwd=folder)


@pytest.fixture(scope="module")
def folder(fetched, tmp_path_factory) -> Path:
    """A folder for chapters and a user's detector; the stages that chapters share are done."""
    Study("tiny", *fetched).run_all()
    folder = tmp_path_factory.mktemp("chapters")
    page = Path("book/own_model.md").read_text(encoding="utf-8")
    module = re.search(r"```python\n(# my_detector.py\n.*?)```", page, re.DOTALL)
    assert module is not None
    (folder / "my_detector.py").write_text(module[1], encoding="utf-8")
    return folder


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.chapters
@each
def test_chapter_runs_at_the_tiny_profile(source, folder, fetched):
    done = run_nbval(source, folder, fetched)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
