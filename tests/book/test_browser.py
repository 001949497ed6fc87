"""What a browser finds on a page: each check must fail where something is wrong."""

from pathlib import Path
from urllib.parse import quote

import pytest

from viba_lib.book import browser

ROOT = Path(__file__).parents[2]
CHROMIUM = browser.find_browser()
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")

GOOD = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Page</title>
<meta name="viewport" content="width=device-width"></head><body><main><h1>Page</h1>
<p>Text that can be read.</p><a href="#x" id="x">here</a></main></body></html>"""

DARK = """<style>@media (prefers-color-scheme: dark) {
.wide { width: 900px; margin: -8px } }</style>"""
CURVE = """<svg xmlns="http://www.w3.org/2000/svg" width="900" height="90"></svg>"""
IMAGE = f'<img alt="A curve" src="data:image/svg+xml,{quote(CURVE)}">'
SMALL = f"<style>img {{ width: 300px }}</style><figure>{IMAGE}</figure>"

# What chapters and the index contain that is wider than a phone.
WORDS = (
    "a claim of the paper in one sentence that is longer than a phone is wide, and then some more"
)
PARTS = f"""<div class="bd-content" style="font-size: 16px">
<p><mjx-container display="true" style="font-size: 127%">formula</mjx-container></p>
<figure>{IMAGE}
<figcaption>A curve over time, in a caption of more than one line.</figcaption></figure>
<div class="cell tag_parameters"><div class="cell_input"><pre>x = 1  # {WORDS}</pre></div>
<div class="cell_output"><div class="output stream"><pre>{WORDS}</pre></div>
<div class="output text_html"><div><style>.dataframe tbody tr th:only-of-type
{{ vertical-align: middle; }}</style>
<table class="dataframe"><tr><th>0</th>{f"<td>{WORDS}</td>" * 4}</tr></table>
</div></div></div></div>
<table class="genindextable"><tr><td><ul><li>{"long_name_" * 9}</li></ul></td></tr></table></div>"""
STYLED = GOOD.replace("</head>", '<link rel="stylesheet" href="custom.css"></head>')


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
        ("</main>", DARK + "<div class='wide'>wide</div></main>", "in dark mode: 900 px wide"),
        ("</main>", SMALL + "</main>", "letters of a figure are too small on a phone: A curve"),
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


@pytest.fixture
def phone(running, tmp_path):
    """Open parts of pages with a style sheet in the size of a phone."""

    def opening(style: str, theme: str):
        (tmp_path / "custom.css").write_text(style, encoding="utf-8")
        path = tmp_path / "page.html"
        path.write_text(STYLED.replace("</main>", PARTS + "</main>"), encoding="utf-8")
        page = running.new_page(viewport=browser.PHONE, color_scheme=theme)
        page.goto(path.as_uri())
        page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
        return page

    return opening


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_style_of_the_book_fits_a_phone(phone, theme):
    assert any("px wide" in line for line in browser.on_a_phone(phone("", theme)))
    page = phone((ROOT / "book/_static/custom.css").read_text(encoding="utf-8"), theme)
    assert browser.on_a_phone(page) == []
    # A row of results has few lines, and its heading stands beside the first one.
    assert page.locator("td:has-text('claim')").first.bounding_box()["height"] < 150
    heading = page.locator(".dataframe th")
    assert heading.evaluate("e => getComputedStyle(e).verticalAlign") == "top"
    size = page.locator("mjx-container").evaluate("e => getComputedStyle(e).fontSize")
    assert size == "16px", "a formula is as large as the text"
    # Comments of parameters and output are read without scrolling.
    for text in page.locator("pre").all():
        assert text.evaluate("e => e.scrollWidth <= e.clientWidth")
    # The caption of a figure that is scrolled aside stays in sight.
    scrolled = page.locator("figure").evaluate("e => { e.scrollLeft = 999; return e.scrollLeft; }")
    box = page.locator("figcaption").bounding_box()
    assert scrolled > 100 and 0 <= box["x"] < box["x"] + box["width"] <= browser.PHONE["width"]
