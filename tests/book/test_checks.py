"""The checks of built pages must fail where something is wrong."""

from pathlib import Path

import pytest

from viba_lib.book import checks, paths
from viba_lib.book.paths import BookError

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
    assert checks.page_problems(html) == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('alt="A heat map over a mouth"', 'alt=""', "alt text"),
        ('alt="A heat map over a mouth"', "", "alt text"),
        ('alt="A heat map over a mouth"', 'alt="../_images/0a1b.png"', "alt text"),
        ('alt="A heat map over a mouth"', 'alt="  "', "alt text"),
        ('alt="A heat map over a mouth"', 'alt="map.png"', "alt text"),
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
        ("</article>", f"{paths.ROOT}/results</article>", "building machine"),
    ],
)
def test_bad_pages_fail(html, old, new, problem):
    assert old in GOOD
    (html / "notebooks" / "01_one.html").write_text(GOOD.replace(old, new))
    assert any(problem in line for line in checks.page_problems(html))


def test_a_chapter_needs_a_figure(html):
    start, end = GOOD.index("<figure>"), GOOD.index("<a href")
    (html / "notebooks" / "01_one.html").write_text(GOOD[:start] + GOOD[end:])
    assert any("no figure" in line for line in checks.page_problems(html))


def test_the_paper_profile_needs_no_banner(html):
    (html / "notebooks" / "01_one.html").write_text(GOOD.replace("viba-banner", ""))
    assert checks.page_problems(html, banner=False) == []


def test_chapters_that_were_not_built_are_told(html, monkeypatch):
    monkeypatch.setattr(checks, "find_browser", lambda: None)
    with pytest.raises(BookError, match="05_injection_layer was not built"):
        checks.check(html)


def test_no_built_book(tmp_path):
    with pytest.raises(BookError, match="make book"):
        checks.check(tmp_path)


def test_heavy_pages_and_dead_launch_buttons_are_found(html):
    button = (
        '<div class="dropdown-launch-buttons"><a href="https://x/notebooks/01_no.ipynb"></a></div>'
    )
    film = f'<video controls aria-label="x" src="data:{"a" * 6_000_000}"></video></article>'
    page = html / "notebooks" / "01_one.html"
    page.write_text(GOOD.replace("</article>", film))
    assert checks.page_problems(html) == []
    page.write_text(GOOD.replace("</article>", button + "b" * 6_000_000 + "</article>"))
    found = checks.page_problems(html)
    assert any("weighs 6" in line for line in found)
    assert any("01_no.ipynb, which does not exist" in line for line in found)


def test_a_page_that_only_leads_to_another_one_is_not_checked(html):
    refresh = '<meta http-equiv="refresh" content="0; url=01_one.html" />'
    page = html / "notebooks" / "09_old.html"
    page.write_text(f"<html><head><noscript>{refresh}</noscript></head></html>")
    assert page not in checks.articles(html)
    page.write_text(GOOD + " " * checks.SHORT + refresh)
    assert page in checks.articles(html)


def test_slides_have_few_words_and_notes(html):
    folder = html / "_static" / "teaching" / "slides"
    folder.mkdir(parents=True)
    notes = f"<aside class='notes'>{'word ' * 99}</aside>"
    good = f"<section><h2>Title</h2><p>{'word ' * 59}</p>{notes}</section>"
    deck = folder / "01_one.html"
    deck.write_text(good)
    assert checks.decks(html) == [deck] and checks.page_problems(html) == []
    deck.write_text(good.replace("Title", "Title <b>of</b> two"))
    assert checks.page_problems(html) == [
        "01_one.html (slides): slide 1 (Title of two) has 62 words, more than 60"
    ]
    deck.write_text(good.replace(notes, "<aside class='notes'> </aside>"))
    assert "has no notes" in checks.page_problems(html)[0]
    deck.write_text("<main></main>")
    assert "no slides" in checks.page_problems(html)[0]
