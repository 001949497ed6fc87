"""Chapters are executed once, and again when their prose, settings, code or files change."""

import ast
import re
import shutil
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbformat import v4

from viba_lib.book import execute, paths
from viba_lib.book.chapters import chapters, find_chapter
from viba_lib.book.paths import BookError
from viba_lib.core.code import LIBRARY, _key, code_key

TINY = LIBRARY / "pipeline" / "profiles" / "tiny.yaml"


def cell(*outputs, count=1):
    return v4.new_code_cell("x", execution_count=count, outputs=list(outputs))


def test_problems_of_executed_notebooks():
    shown = v4.new_output("stream", name="stdout", text="3")
    assert execute.problems_of(v4.new_notebook(cells=[cell(shown)])) == []
    assert "output" in execute.problems_of(v4.new_notebook(cells=[cell()]))[0]
    assert (
        "not executed" in execute.problems_of(v4.new_notebook(cells=[cell(shown, count=None)]))[0]
    )
    noise = v4.new_output("stream", name="stderr", text="UserWarning")
    assert "stderr" in execute.problems_of(v4.new_notebook(cells=[cell(noise)]))[0]
    error = v4.new_output("error", ename="ValueError", evalue="bad", traceback=[])
    assert "ValueError: bad" in execute.problems_of(v4.new_notebook(cells=[cell(error)]))[0]


@pytest.mark.parametrize(
    ("data", "empty"),
    [({"text/plain": "3"}, False), ({"text/plain": ""}, True), ({"text/html": " "}, True)],
)
def test_empty_outputs_are_found(data, empty):
    output = v4.new_output("display_data", data=data)
    found = execute.problems_of(v4.new_notebook(cells=[cell(output)]))
    assert found == (["cell 0 has an empty output"] if empty else [])


@pytest.fixture
def chapter(tmp_path, monkeypatch) -> Path:
    """A repository of one chapter."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    source = folder / "01_one.py"
    source.write_text('# %% tags=["parameters"]\nprofile = "tiny"\nseed = 0\n\n# %%\nprint(seed)\n')
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setattr(paths, "NOTEBOOKS", folder)
    return source


def test_a_line_that_is_sent_in_two_parts_is_one_output(chapter, tmp_path):
    with chapter.open("a") as source:
        source.write('\n# %%\nprint("a line", end="", flush=True)\nprint()\n')
    target = tmp_path / "executed.ipynb"
    assert execute.execute(chapter, target, {}, execute.kernel_environment()) == []
    (output,) = nbformat.read(target, 4).cells[-1].outputs
    assert output.text == "a line\n"


def test_streams_are_joined_in_order():
    def stream(name, text):
        return v4.new_output("stream", name=name, text=text)

    shown = v4.new_output("display_data", data={"text/plain": "3"})
    notebook = v4.new_notebook(cells=[
        cell(stream("stdout", "a"), stream("stdout", "\n"), stream("stderr", "b"), shown,
             stream("stdout", "c")),
        v4.new_markdown_cell("text"),
    ])  # fmt: skip
    execute.join_streams(notebook)
    assert [o.get("text", "shown") for o in notebook.cells[0].outputs] == ["a\n", "b", "shown", "c"]


def test_a_chapter_runs_with_parameters(chapter, tmp_path):
    out = tmp_path / "out.ipynb"
    execute.run_chapter("1", ["seed=7"], out)
    printed = [o.text for c in nbformat.read(out, 4).cells for o in c.get("outputs", [])]
    assert printed == ["7\n"]
    assert str(tmp_path) not in out.read_text()
    with pytest.raises(BookError, match="expected int"):
        execute.run_chapter("1", ["seed=many"], out)
    for wrong in (tmp_path, tmp_path / "out.html"):
        with pytest.raises(BookError, match=r"--out is .*; expected the path of a notebook"):
            execute.run_chapter("1", [], wrong)


def test_a_file_in_the_folder_does_not_replace_a_module_of_python(chapter, tmp_path, monkeypatch):
    (tmp_path / "html.py").write_text("raise SystemExit('replaced')\n")
    monkeypatch.chdir(tmp_path)
    chapter.write_text(chapter.read_text() + "\n# %%\nimport html\nprint(html.escape('<'))\n")
    execute.run_chapter("1", [], tmp_path / "out.ipynb")
    assert "&lt;" in (tmp_path / "out.ipynb").read_text()


def test_a_failing_chapter_leaves_nothing(chapter, tmp_path):
    chapter.write_text(chapter.read_text() + "\n# %%\nraise ValueError('broken')\n")
    out = tmp_path / "out.ipynb"
    with pytest.raises(BookError, match="broken"):
        execute.run_chapter("1", [], out)
    assert not list(tmp_path.glob("*.ipynb")) and not list(tmp_path.glob(".*.ipynb"))


# ---- keys ---------------------------------------------------------------------------------------


def key_of(source: Path) -> dict:
    return execute.chapter_stage(source, "tiny", 0, "cpu").key


def test_prose_seed_and_profile_are_in_the_key(chapter):
    before = key_of(chapter)
    assert key_of(chapter) == before
    assert execute.chapter_stage(chapter, "tiny", 1, "cpu").key != before
    assert execute.chapter_stage(chapter, "quick", 0, "cpu").key != before
    chapter.write_text("# %% [markdown]\n# Prose.\n\n" + chapter.read_text())
    after = key_of(chapter)
    assert after != before and after["code"] == before["code"]


def test_a_profile_of_ones_own_is_found_from_the_folder_of_the_chapters(
    chapter, tmp_path, monkeypatch
):
    (tmp_path / "own.yaml").write_text(TINY.read_text(encoding="utf-8"))
    monkeypatch.chdir(tmp_path)
    stages = [
        execute.chapter_stage(chapter, name, 0, "cpu")
        for name in ("own.yaml", str(tmp_path / "own.yaml"))
    ]
    for stage in stages:
        given = stage.settings["parameters"]["profile"]
        assert not Path(given).is_absolute()
        assert (chapter.parent / given).resolve() == (tmp_path / "own.yaml").resolve()
    assert stages[0].key == stages[1].key


def test_tables_of_numbers_are_in_the_key_of_the_chapters_that_read_them(tmp_path, monkeypatch):
    shutil.copytree(str(execute.paper_numbers.FOLDER), tmp_path / "tables")
    monkeypatch.setattr(execute.paper_numbers, "FOLDER", tmp_path / "tables")
    sources = [find_chapter(number) for number in ("01", "15")]
    before = [key_of(source) for source in sources]
    (tmp_path / "tables" / "reference_tiny.csv").write_text("numbers")
    after = [key_of(source) for source in sources]
    assert before[0] == after[0] and before[1] != after[1]


def test_a_licensed_catalog_is_in_the_key(chapter, tmp_path):
    def key() -> dict:
        return execute.chapter_stage(chapter, "paper", 0, "cpu").key

    before = key()
    columns = ["video_id", "path", "label", "method", "source"]
    rows = [["a", "a.mp4", "real", "", "celebdf"], ["b", "b.mp4", "fake", "swap", "celebdf"]]
    (tmp_path / "data").mkdir()
    for count in (1, 2):
        table = pd.DataFrame(rows[:count], columns=columns)
        table.to_parquet(tmp_path / "data" / "catalog.parquet")
        after = key()
        assert after != before and key() == after
        before = after


@pytest.fixture
def library(tmp_path) -> Path:
    """A copy of the library to edit."""
    return Path(shutil.copytree(LIBRARY, tmp_path / LIBRARY.name))


def code_of(source: Path, library: Path) -> str:
    _key.cache_clear()  # the library is edited within this process
    return code_key(execute.execute_chapter, source, library=library)


SOME = chapters()[::7]  # the first, one in the middle and the last


def edit_definition(path: Path, name: str) -> None:
    """Change what a function or class of a file computes."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    node = next(node for node in tree.body if getattr(node, "name", "") == name)
    node.body.append(ast.parse("another = 1").body[0])
    path.write_text(ast.unparse(tree), encoding="utf-8")


def test_the_library_is_in_the_key_as_it_is_here(library):
    source = find_chapter("08")
    assert key_of(source)["code"] == code_of(source, library)


def test_comments_and_docstrings_of_the_library_change_no_key(library):
    before = [code_of(source, library) for source in SOME]
    for path in library.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        text = re.sub(r'(?m)^( *)"""(?=\w)', r'\1"""Reworded: ', text)
        path.write_text(f"# A comment.\n{text}\n# Another.\n", encoding="utf-8")
    assert [code_of(source, library) for source in SOME] == before


def test_pages_and_command_line_change_no_key(library):
    before = [code_of(source, library) for source in SOME]
    edit_definition(library / "cli" / "main.py", "status")
    edit_definition(library / "book" / "slides.py", "slides_page")
    edit_definition(library / "book" / "checks.py", "check")
    assert [code_of(source, library) for source in SOME] == before


def test_a_function_that_a_chapter_reaches_changes_its_key_and_not_that_of_others(library):
    source, other = find_chapter("08"), find_chapter("01")
    found = re.search(r"from viba_lib\.(experiments\.\w+) import (\w+)", source.read_text())
    assert found is not None and found[1] not in other.read_text()
    before, beside = code_of(source, library), code_of(other, library)
    edit_definition(library / f"{found[1].replace('.', '/')}.py", found[2])
    assert code_of(source, library) != before
    assert code_of(other, library) == beside


# ---- execution ----------------------------------------------------------------------------------

TABLE = """
# %%
import os
from pathlib import Path

tables = Path(os.environ["VIBA_OUTPUT"]) / "tables"
tables.mkdir()
(tables / "numbers.csv").write_text("1, 2")
"""


@pytest.fixture
def executed(chapter, capsys):
    """Execute the chapter, which writes a table; returns its notebook and what was printed."""
    chapter.write_text(chapter.read_text() + TABLE)

    def run() -> tuple[Path, str]:
        (notebook,) = execute.execute_all("tiny", 0, "cpu", [chapter])
        return notebook, capsys.readouterr().out

    return run


def test_a_chapter_is_executed_once_and_its_tables_are_published(executed, tmp_path):
    notebook, printed = executed()
    assert notebook.parents[1] == tmp_path / "results" / "tiny" / "chapters" / "01_one"
    assert "01_one: starts" in printed and "unchanged" not in printed
    again, printed = executed()
    assert again == notebook and "01_one: unchanged" in printed and "starts" not in printed
    published = tmp_path / "results" / "tiny" / "tables" / "numbers.csv"
    assert published.read_text() == "1, 2"
    published.write_text("overwritten")
    assert "unchanged" in executed()[1] and published.read_text() == "1, 2"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["01_one.ipynb", "tables/numbers.csv"])
def test_a_chapter_with_a_broken_file_is_executed_again(name, executed):
    notebook, _ = executed()
    path = notebook.parent / name
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    notebook, printed = executed()
    assert "is broken" in printed and "01_one: starts" in printed
    assert path.read_bytes() != whole[:-1] and nbformat.read(notebook, 4).cells


def test_a_chapter_that_writes_to_stderr_is_refused_and_kept_for_inspection(chapter, tmp_path):
    other = chapter.with_name("02_two.py")
    shutil.copyfile(chapter, other)
    noise = "\n# %%\nimport sys\nprint('careful', file=sys.stderr)\n"
    chapter.write_text(chapter.read_text() + noise)
    with pytest.raises(BookError, match=r"writes to stderr: careful.*01_one\.trial\.ipynb"):
        execute.execute_all("tiny", 0, "cpu", [chapter, other])
    results = tmp_path / "results" / "tiny" / "chapters"
    assert list(results.glob("01_one/*.part/01_one.trial.ipynb"))
    assert list(results.glob("02_two/*/02_two.ipynb")), "the other chapter is kept"
