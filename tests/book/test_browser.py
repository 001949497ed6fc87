"""What a browser finds on a page: each check must fail where something is wrong."""

from pathlib import Path

import pytest

from viba_lib.book import browser

CHROMIUM = browser.find_browser()
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")

GOOD = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Page</title>
<meta name="viewport" content="width=device-width"></head><body><main><h1>Page</h1>
<p>Text that can be read.</p><a href="#x" id="x">here</a></main></body></html>"""


@pytest.fixture
def running():
    with browser.opened(CHROMIUM) as opened:
        yield opened


def look(running, folder: Path, text: str) -> list[str]:
    page = folder / "page.html"
    page.write_text(text, encoding="utf-8")
    return browser.look_at(running, page)


def test_a_good_page_passes(running, tmp_path):
    assert look(running, tmp_path, GOOD) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("</main>", '<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw="></main>', "image-alt"),
        ("<p>", '<p style="color:#ccc;background:#fff">', "color-contrast"),
        (' lang="en"', "", "html-has-lang"),
        ("</main>", "<select><option>a</option></select></main>", "select-name"),
        ("</main>", "<script>console.error('oh')</script></main>", "console: oh"),
        ("</main>", "<script>throw new Error('bad')</script></main>", "script error: bad"),
        ("</main>", '<script src="https://example.org/a.js"></script></main>', "the network"),
        ("</main>", '<div style="width:900px">wide</div></main>', "wide on a phone"),
    ],
)
def test_a_bad_page_fails(running, tmp_path, old, new, said):
    assert old in GOOD
    found = look(running, tmp_path, GOOD.replace(old, new, 1))
    assert any(said in line for line in found), found


def test_a_search_that_finds_nothing_is_told(running, tmp_path, monkeypatch):
    (tmp_path / "search.html").write_text('<ul id="search-results"><li>one</li></ul>')
    assert browser.search(running, tmp_path) == []
    (tmp_path / "search.html").write_text('<ul id="search-results"></ul>')
    assert "finds nothing" in browser.search(running, tmp_path, patience=300)[0]


def test_the_pdf_shows_what_is_folded_and_names_no_machine(tmp_path):
    folder = tmp_path / "single"
    (folder / "book").mkdir(parents=True)
    body = "<details><summary>Q</summary><p>Folded</p></details><a href='other.html'>other</a>"
    (folder / "book" / "index.html").write_text(GOOD.replace("</main>", body + "</main>"))
    target = browser.write_pdf(folder, tmp_path / "book.pdf", CHROMIUM)
    data = target.read_bytes()
    assert data.startswith(b"%PDF") and str(tmp_path).encode() not in data
    assert not list(tmp_path.glob("*.part"))
