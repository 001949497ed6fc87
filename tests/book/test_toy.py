"""The sliders of chapter 1 compute in a browser what the chapter's cell computes in Python."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from viba_lib.book import browser
from viba_lib.book import chapters as pairs

ROOT = Path(__file__).parents[2]
CHROMIUM = browser.find_browser()
SETTINGS = [(0.0, 1.0, 0), (0.3, 1.0, 100), (2.0, 0.5, 300), (0.05, 2.0, 17), (1.0, 1.3, 250)]


@pytest.fixture(scope="module")
def chapter():
    return pairs.as_notebook(
        next(c for c in pairs.chapters() if c.stem == "01_information_bottleneck")
    )


@pytest.fixture(scope="module")
def cell(chapter):
    """Names that the chapter's cell defines."""
    import pandas as pd

    (source,) = [c.source for c in chapter.cells if "browser-toy" in c.metadata.get("tags", [])]
    names = {"np": np, "pd": pd}
    exec(source, names)
    return names


@pytest.fixture
def page_file(chapter, tmp_path):
    """A page below a folder, as in the built book, with the chapter's own HTML."""
    text = "\n".join(c.source for c in chapter.cells if c.cell_type == "markdown")
    (block,) = re.findall(r"```\{raw\} html\n(.*?)```", text, re.DOTALL)
    shutil.copytree(ROOT / "book" / "_static", tmp_path / "sub" / "_static")
    target = tmp_path / "sub" / "notebooks" / "toy.html"
    target.parent.mkdir()
    target.write_text(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Toy</title>'
        '<meta name="viewport" content="width=device-width"></head>'
        f"<body><main><h1>Toy</h1>{block}</main></body></html>",
        encoding="utf-8",
    )
    return target


@pytest.fixture
def running():
    if CHROMIUM is None:
        pytest.skip("no Chromium here")
    with browser.opened(CHROMIUM) as opened:
        yield opened


@pytest.mark.parametrize(("beta", "noise"), [(0.3, 1.0), (2.0, 0.5)])
def test_the_gradient_is_that_of_the_loss(cell, beta, noise):
    alpha, step = np.linspace(-2, 3, 6), 1e-6
    slope = [
        (
            cell["objective"](alpha + d, beta, noise)[0]
            - cell["objective"](alpha - d, beta, noise)[0]
        )
        / (2 * step)
        for d in step * np.eye(6)
    ]
    np.testing.assert_allclose(cell["objective"](alpha, beta, noise)[1], slope, atol=1e-7)


def test_browser_and_cell_agree(running, page_file, cell):
    page = running.new_page()
    page.goto(page_file.as_uri())
    for setting in SETTINGS:
        found = page.evaluate("s => VIBA_TOY.descend(...s)", list(setting))
        expected = cell["descend"](*setting)
        for key, value in zip(("loss", "gradient", "lam", "bits"), expected, strict=True):
            np.testing.assert_allclose(found[key], value, rtol=0, atol=1e-6, err_msg=f"{setting}")
    page.close()


def test_a_key_on_a_slider_computes_again(running, page_file, cell):
    page = running.new_page()
    page.goto(page_file.as_uri())
    page.locator("#toy-beta").press("End")
    loss, _, lam, bits = cell["descend"](2.0)
    said = page.locator("#toy-said").inner_text()
    assert said.startswith(f"Loss {loss:.3f}: the units have {bits.sum():.2f} bits")
    assert f"{lam[4]:.2f}" in (page.locator("#viba-toy svg").get_attribute("aria-label") or "")
    page.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_is_accessible_and_fits_a_phone(running, page_file, theme):
    text = page_file.read_text(encoding="utf-8")
    text = text.replace("<html", f'<html data-theme="{theme}"', 1)
    page_file.write_text(text, encoding="utf-8")
    assert browser.look_at(running, page_file) == []


def test_without_scripts_a_sentence_says_so(running, page_file):
    context = running.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(page_file.as_uri())
    assert "need JavaScript" in page.locator("noscript p").inner_text()
    context.close()
