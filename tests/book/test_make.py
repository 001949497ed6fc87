"""What a build does not do again, and what it says of stages that failed."""

import contextlib

import pytest

from viba_lib.book import assemble, browser, make
from viba_lib.book.paths import BookError


@pytest.fixture
def looked(monkeypatch):
    """Names of pages that were looked at; `bad.html` has a problem."""
    found = []

    def look(_running, path):
        found.append(path.name)
        return ["a problem"] if path.name == "bad.html" else []

    monkeypatch.setattr(browser, "opened", lambda _: contextlib.nullcontext())
    monkeypatch.setattr(browser, "search", lambda *_: found.append("search") or [])
    monkeypatch.setattr(browser, "look_at", look)
    return found


def test_only_changed_pages_and_bad_ones_are_looked_at_again(tmp_path, looked):
    html = tmp_path / "html"
    html.mkdir()
    (html / browser.INDEX).write_text("words")
    pages = [html / name for name in ("one.html", "two.html", "bad.html")]
    for page in pages:
        page.write_text(page.name)
    for _ in range(2):
        assert browser.page_reports(html, pages, "") == ["bad.html: a problem"]
    assert sorted(looked) == ["bad.html", "bad.html", "one.html", "search", "two.html"]
    looked.clear()
    pages[1].write_text("changed")
    browser.page_reports(html, pages, "")
    assert sorted(looked) == ["bad.html", "two.html"]


def test_pages_are_rendered_again_if_book_or_library_changed(tmp_path, monkeypatch):
    folder, rendered = tmp_path / "_build" / "book", []
    for path in (
        folder / "page.md",
        tmp_path / "viba_lib" / "x.py",
        tmp_path / "requirements.lock",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("one")

    def run(command, **_):
        rendered.append(command)
        (tmp_path / "_build" / "html").mkdir(exist_ok=True)
        (tmp_path / "_build" / "html" / "index.html").write_text("")
        return assemble.subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(assemble.subprocess, "run", run)
    for _ in range(2):
        assert assemble.render(folder, tmp_path) == tmp_path / "_build" / "html"
    assert len(rendered) == 1
    for number, name in enumerate(("_build/book/page.md", "viba_lib/x.py", "requirements.lock"), 2):
        (tmp_path / name).write_text("another")
        assemble.render(folder, tmp_path)
        assert len(rendered) == number, name
    (tmp_path / "_build" / "html" / "index.html").unlink()
    assemble.render(folder, tmp_path)
    assert len(rendered) == 5


@pytest.mark.slow
def test_what_a_stage_reports_is_the_error_of_the_build():
    with pytest.raises(BookError, match=r"^device 'nowhere' cannot be used here"):
        make._compute("stages", "tiny", 0, "nowhere", "")
