"""Sentences on pages: plain text, whatever names they contain."""

import re

from viba_lib.book.chapters import chapters
from viba_lib.visual.prose import prose


def test_names_are_text_and_not_markup():
    shown = prose("found: <img src=x onerror=alert(1)> & co", "λ > 0.5")
    assert shown.data == (
        "<p>found: &lt;img src=x onerror=alert(1)&gt; &amp; co</p><p>λ &gt; 0.5</p>"
    )


def test_empty_paragraphs_are_left_out():
    assert prose("", "one", " ").data == "<p>one</p>"
    assert prose("") is None and prose() is None


def test_chapters_write_no_html_of_their_own():
    for source in chapters():
        code = re.sub(r"^#.*$", "", source.read_text(encoding="utf-8"), flags=re.M)
        found = re.findall(r"^.*</?(?:p|b|i|ul|li|code|br)>.*$", code, flags=re.M)
        assert not found, (source.name, found)
