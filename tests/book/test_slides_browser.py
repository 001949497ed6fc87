"""Slides in a browser: none overflows, notes open beside them, and all works from a folder."""

import base64
import io
import os
import shutil
import subprocess
import sys

import nbformat
import pytest
from nbformat import v4
from PIL import Image

from viba_lib.book import browser, paths
from viba_lib.book.assemble import mathjax
from viba_lib.book.slides import revealjs, slides_page

CHROMIUM = browser.find_browser()
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")

FORMULA = r"$$ I(R; Z) = \tfrac12 \log_2 \Bigl( 1 + \frac{\lambda^2}{(1-\lambda)^2} \Bigr). $$"
SENTENCES = " ".join(f"Sentence {n} needs some room on its slide." for n in range(20))
CODE = "\n".join(f"name_{n} = {'+ 1 ' * 20}" for n in range(40))


def image(width: int, height: int) -> str:
    data = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()


def made_up():
    """A chapter with everything that takes room on a slide."""
    said = v4.new_output("execute_result", data={"text/html": f"<p>{SENTENCES}</p>"})
    rows = "".join(f"<tr><td>row {n}</td>{'<td>12.345</td>' * 4}</tr>" for n in range(9))
    head = f"<thead><tr>{'<th>column</th>' * 5}</tr></thead>"
    table = f"<table class='dataframe'>{head}<tbody>{rows}</tbody></table>"
    cells = [v4.new_markdown_cell(f"# A title of {'several words ' * 6}\n\n{SENTENCES}\n")]
    for width, height in ((1600, 300), (300, 1600), (900, 800)):
        meta = {"image": {"alt": "A box"}, "figure": {"caption": f"A box. {SENTENCES}"}}
        output = v4.new_output("display_data", data={"image/png": image(width, height)})
        cells.append(v4.new_code_cell("draw()", outputs=[output], metadata={"mystnb": meta}))
        cells.append(v4.new_code_cell("HTML()", outputs=[said]))
    cells += [
        v4.new_markdown_cell(f"## Formula\n\n{SENTENCES} The sum is\n\n{FORMULA}\n\n{SENTENCES}\n"),
        v4.new_code_cell(CODE, metadata={"tags": ["decisive"]}),
        v4.new_markdown_cell("## List\n\n" + "".join(f"- {SENTENCES}\n" for _ in range(12))),
        v4.new_code_cell(
            "table", outputs=[v4.new_output("execute_result", data={"text/html": table})]
        ),
    ]
    return v4.new_notebook(cells=cells)


def executed():
    """A small chapter that papermill executes, with a figure and a table of its own."""
    meta = {"image": {"alt": "A line"}, "figure": {"caption": "A line."}}
    draw = "%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1, 2]);"
    show = "import pandas as pd\npd.DataFrame({'a': [1, 2], 'b': [3, 4]})"
    cells = [
        v4.new_markdown_cell("# Small chapter\n\nA line is drawn."),
        v4.new_code_cell(draw, metadata={"mystnb": meta}),
        v4.new_markdown_cell("## Table\n\nA table is shown."),
        v4.new_code_cell(show),
    ]
    return v4.new_notebook(cells=cells)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The files that slides use, as in the built book."""
    static = tmp_path_factory.mktemp("book") / "_static"
    for package, files in (("mathjax", mathjax()), ("revealjs", revealjs())):
        for name, path in files.items():
            (static / package / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, static / package / name)
    shutil.copyfile(paths.ROOT / "book" / "_static" / "slides.css", static / "slides.css")
    slides = static / "teaching" / "slides"
    slides.mkdir(parents=True)
    return slides


@pytest.fixture
def running():
    with browser.opened(CHROMIUM) as opened:
        yield opened


def written(folder, notebook):
    path = folder / "deck.html"
    path.write_text(slides_page(notebook), encoding="utf-8")
    return path


def test_no_slide_of_a_made_up_chapter_overflows(running, folder):
    assert browser.look_at_slides(running, written(folder, made_up())) == []


def test_no_slide_of_an_executed_chapter_overflows(running, folder, tmp_path):
    source, target = tmp_path / "in.ipynb", tmp_path / "out.ipynb"
    nbformat.write(executed(), source)
    command = [sys.executable, "-m", "papermill", "-k", "python3", "--no-progress-bar"]
    subprocess.run(
        [*command, source, target], check=True, capture_output=True, env=os.environ, cwd=tmp_path
    )
    path = written(folder, nbformat.read(target, 4))
    assert "<img" in path.read_text() and "<table>" in path.read_text()
    assert browser.look_at_slides(running, path) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("<h2>", "<h2 style='width:1400px'>", "needs 1"),
        ("<h2>", "<h2 style='height:900px'>", "needs 1280 by"),
        ("<figcaption>", "<figcaption style='height:480px'>", "small figure"),
        ("</main>", "</main><script src='https://example.org/a.js'></script>", "the network"),
        ("</main>", "</main><script>throw new Error('bad')</script>", "script error: bad"),
    ],
)
def test_slides_with_problems_fail(running, folder, old, new, said):
    path = written(folder, made_up())
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 2))
    found = browser.look_at_slides(running, path)
    assert any(said in line for line in found), found


def test_the_speakers_notes_open_with_a_key(running, folder):
    page = running.new_page(viewport=browser.SLIDE)
    page.goto(written(folder, made_up()).as_uri())
    page.evaluate(browser.MATHJAX)
    with page.expect_popup() as opened:
        page.keyboard.press("s")
    notes = opened.value.locator(".speaker-controls-notes .value")
    notes.filter(has_text="Sentence 19 needs").wait_for(timeout=20_000)
    page.keyboard.press("ArrowRight")
    notes.filter(has_text="A box.").wait_for(timeout=20_000)


def test_each_slide_is_a_page_of_the_print(running, folder):
    page = running.new_page(viewport=browser.SLIDE)
    page.goto(written(folder, made_up()).as_uri() + "?print-pdf")
    page.wait_for_selector(".pdf-page")
    # A whole slide is one page if its content is not taller than a page.
    heights = page.evaluate("[...document.querySelectorAll('.pdf-page')].map(p => p.clientHeight)")
    count = page.evaluate("document.querySelectorAll('.slide').length")
    assert len(heights) == count and max(heights) <= browser.SLIDE["height"]
