"""The checks of built pages must fail where something is wrong; staging touches only changes."""

from pathlib import Path

import nbformat
import pytest
import yaml
from nbformat import v4

from viba_lib import book

GOOD = """<html><body><article id="top">
<div class="viba-banner">Not the paper's numbers</div>
<figure><img src="map.png" alt="A heat map over a mouth"><figcaption>A map</figcaption></figure>
<video controls aria-label="A talking face"></video>
<a href="#top">top</a> <a href="../index.html#start">start</a> <a href="https://example.org">far</a>
<details class="viba-provenance"><table><tr><td>seed 0</td></tr></table></details>
</article></body></html>"""


@pytest.fixture
def html(tmp_path: Path) -> Path:
    """A built book of one good chapter."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "map.png").write_bytes(b"png")
    (tmp_path / "index.html").write_text("<html><body><p id='start'>Hello</p></body></html>")
    (tmp_path / "notebooks" / "01_one.html").write_text(GOOD)
    return tmp_path


def test_good_pages_pass(html):
    assert book.page_problems(html) == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('alt="A heat map over a mouth"', 'alt=""', "alt text"),
        ('alt="A heat map over a mouth"', "", "alt text"),
        ('alt="A heat map over a mouth"', 'alt="../_images/0a1b.png"', "alt text"),
        ("<figcaption>A map</figcaption>", "", "caption"),
        (" controls", "", "controls"),
        ("<video ", "<video autoplay ", "by itself"),
        (' aria-label="A talking face"', "", "description"),
        ('class="viba-provenance"', "", "provenance"),
        ("<table><tr><td>seed 0</td></tr></table>", "", "provenance"),
        ('class="viba-banner"', "", "banner"),
        ('href="#top"', 'href="#nowhere"', "dead link"),
        ("../index.html#start", "../index.html#end", "dead link"),
        ("../index.html#start", "../absent.html", "dead link"),
        ('src="map.png"', 'src="absent.png"', "dead link"),
        ("</article>", "<pre>Traceback (most recent call last):</pre></article>", "traceback"),
        ("</article>", '<div class="output stderr">warning</div></article>', "stderr"),
        ("</article>", f"{book.ROOT}/results</article>", "building machine"),
    ],
)
def test_bad_pages_fail(html, old, new, problem):
    assert old in GOOD
    (html / "notebooks" / "01_one.html").write_text(GOOD.replace(old, new))
    assert any(problem in line for line in book.page_problems(html))


def test_a_chapter_needs_a_figure(html):
    start, end = GOOD.index("<figure>"), GOOD.index("<a href")
    (html / "notebooks" / "01_one.html").write_text(GOOD[:start] + GOOD[end:])
    assert any("no figure" in line for line in book.page_problems(html))


def test_the_paper_profile_needs_no_banner(html):
    (html / "notebooks" / "01_one.html").write_text(GOOD.replace("viba-banner", ""))
    assert book.page_problems(html, banner=False) == []


def test_chapters_that_were_not_built_are_told(html):
    with pytest.raises(book.BookError, match="05_injection_layer was not built"):
        book.check(html)


def test_no_built_book(tmp_path):
    with pytest.raises(book.BookError, match="make book"):
        book.check(tmp_path)


def cell(*outputs, count=1):
    return v4.new_code_cell("x", execution_count=count, outputs=list(outputs))


def test_problems_of_executed_notebooks():
    shown = v4.new_output("stream", name="stdout", text="3")
    assert book.problems_of(v4.new_notebook(cells=[cell(shown)])) == []
    assert "output" in book.problems_of(v4.new_notebook(cells=[cell()]))[0]
    assert "not executed" in book.problems_of(v4.new_notebook(cells=[cell(shown, count=None)]))[0]
    noise = v4.new_output("stream", name="stderr", text="UserWarning")
    assert "stderr" in book.problems_of(v4.new_notebook(cells=[cell(noise)]))[0]
    error = v4.new_output("error", ename="ValueError", evalue="bad", traceback=[])
    assert "ValueError: bad" in book.problems_of(v4.new_notebook(cells=[cell(error)]))[0]


@pytest.fixture
def chapter(tmp_path, monkeypatch) -> Path:
    """A repository of one chapter."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    source = folder / "01_one.py"
    source.write_text('# %% tags=["parameters"]\nprofile = "tiny"\nseed = 0\n\n# %%\nprint(seed)\n')
    monkeypatch.setattr(book, "ROOT", tmp_path)
    monkeypatch.setattr(book, "NOTEBOOKS", folder)
    return source


def test_a_chapter_runs_with_parameters(chapter, tmp_path):
    out = tmp_path / "out.ipynb"
    book.run_chapter("1", ["seed=7"], out)
    printed = [o.text for c in nbformat.read(out, 4).cells for o in c.get("outputs", [])]
    assert printed == ["7\n"]
    assert str(tmp_path) not in out.read_text()
    with pytest.raises(book.BookError, match="expected int"):
        book.run_chapter("1", ["seed=many"], out)


def test_a_failing_chapter_leaves_nothing(chapter, tmp_path):
    chapter.write_text(chapter.read_text() + "\n# %%\nraise ValueError('broken')\n")
    out = tmp_path / "out.ipynb"
    with pytest.raises(book.BookError, match="broken"):
        book.run_chapter("1", [], out)
    assert not list(tmp_path.glob("*.ipynb")) and not list(tmp_path.glob(".*.ipynb"))


def test_staging_writes_only_what_changed(tmp_path):
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "index.md").write_text("# Hello")
    (tmp_path / "book" / "old.md").write_text("# Old")
    (tmp_path / "_toc.yml").write_text("root: book/index")
    (tmp_path / "_config.yml").write_text("repository: {url: https://example.org/a/b}")
    executed = tmp_path / "01_one.ipynb"
    executed.write_text("{}")
    folder = book.stage([executed], tmp_path)
    times = {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}
    (tmp_path / "book" / "old.md").unlink()
    (tmp_path / "book" / "index.md").write_text("# Hello again")
    card = tmp_path / "card.md"
    card.write_text("# Card")
    book.stage([executed], tmp_path, {"book/data_card.md": card})
    assert (folder / "book" / "data_card.md").read_text() == "# Card"
    assert (folder / "book" / "index.md").read_text() == "# Hello again"
    assert not (folder / "book" / "old.md").exists()
    assert (folder / "notebooks" / "01_one.ipynb").stat().st_mtime_ns == times[
        folder / "notebooks" / "01_one.ipynb"
    ]


def test_a_workflow_sets_the_address_of_launch_buttons(tmp_path, monkeypatch):
    (tmp_path / "book").mkdir()
    (tmp_path / "_toc.yml").write_text("root: book/index")
    (tmp_path / "_config.yml").write_text("repository: {url: https://example.org/a/b}")
    monkeypatch.setenv("GITHUB_REPOSITORY", "someone/viba")
    monkeypatch.setenv("GITHUB_REF_NAME", "next")
    config = yaml.safe_load((book.stage([], tmp_path) / "_config.yml").read_text())
    assert config["repository"] == {"url": "https://github.com/someone/viba", "branch": "next"}


def test_the_table_of_sources_is_that_of_the_library():
    page = (book.ROOT / "book" / "dataset.md").read_text(encoding="utf-8")
    assert book.with_sources(page) == page, "run `make notebooks`"
    assert page.count("SHA-256 `") == len(book.STANDARD_FILES) + 1
