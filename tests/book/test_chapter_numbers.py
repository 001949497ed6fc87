"""The Sphinx extension that numbers links to chapters, in a book of four pages."""

import io
import sys
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from sphinx.application import Sphinx

from viba_lib.book import paths

PAGES = {
    "index": "Book\n====\n\n.. toctree::\n   :numbered:\n\n   one\n   two\n\n"
    ".. toctree::\n\n   page\n",
    "one": "First\n=====\n\n:doc:`two`, :doc:`chapter %s <two>`, :doc:`page`, :doc:`here <two>`.\n",
    "two": "Second\n======\n\nText.\n",
    "page": "Page\n====\n\n:doc:`one`.\n",
}


def built(folder: Path, pages: dict[str, str], monkeypatch) -> tuple[Path, str]:
    """Folder of the HTML and the warnings of a book."""
    monkeypatch.setattr(sys, "path", [str(paths.ROOT / "book" / "_ext"), *sys.path])
    source, out, said = folder / "source", folder / "out", io.StringIO()
    source.mkdir()
    (source / "conf.py").write_text("")
    for name, text in pages.items():
        (source / f"{name}.rst").write_text(text)
    settings = {"extensions": ["chapter_numbers"], "html_theme": "basic"}
    app = Sphinx(source, source, out, folder / "trees", "html", settings, None, said)
    app.build()
    return out, said.getvalue()


def links(page: Path) -> list[str]:
    body = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser").select_one(".body")
    assert body is not None
    return [a.get_text() for a in body.select("p a.reference")]


def test_links_show_title_and_number(tmp_path, monkeypatch):
    out, said = built(tmp_path, PAGES, monkeypatch)
    shown = {name: [text.replace("\xa0", " ") for text in links(out / f"{name}.html")]
             for name in ("one", "page")}  # fmt: skip
    assert shown["one"] == ["Second (chapter 2)", "chapter 2", "Page", "here"]
    assert shown["page"] == ["First (chapter 1)"]
    assert "WARNING" not in said


@pytest.mark.parametrize("target", ["page", "absent"])
def test_a_number_that_does_not_exist_is_a_warning(tmp_path, monkeypatch, target):
    text = PAGES["one"] + f"\n:doc:`chapter %s <{target}>`\n"
    _, said = built(tmp_path, PAGES | {"one": text}, monkeypatch)
    assert f"{target} has no number" in said
