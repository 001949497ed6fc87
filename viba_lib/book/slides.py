"""Slides from the executed chapters: few words each, and the prose in the speaker's notes.

They are plain HTML on reveal.js, which is staged from a package, so that they work from a folder.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import TextLexer, get_lexer_by_name
from pygments.util import ClassNotFound

from viba_lib.book import paths
from viba_lib.book.paths import fill_template, package_folder
from viba_lib.book.slide_blocks import Block, chapter_blocks
from viba_lib.book.slide_text import LIMIT, groups, opening, sentences, unfinished_end, words
from viba_lib.core.files import file_sha256

OMITTED = ("References", "What next")  # sections without a slide
OBJECTS = ("formula", "list", "table", "code", "figure")
LINES = 12  # of code on a slide
COLUMNS_OF_CODE = 79  # longer lines are in smaller letters
COLUMNS = 8  # of a table on a slide
TABLES = 2  # slides over which the rows of a table are spread
BESIDE_TABLE = 5  # rows of a table that leave room for a text
BESIDE_CODE = 30  # words of a slide with code
BESIDE_FIGURE = 45  # words of a slide with a figure, which leave it large
TABLE_NOTE = "<p>The table is on the page of the chapter.</p>"


@dataclass
class Slide:
    """One slide: its title as text, what it shows and the speaker's notes as parts of HTML.

    section : number of the section, exercise or admonition that it belongs to
    taken : whether a formula, list, table, figure or code is on it
    limit : words that it may have
    """

    title: str
    section: int = 0
    shown: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    taken: bool = False
    limit: int = LIMIT

    def room(self) -> int:
        """Words that may be added."""
        return self.limit - words(f"{self.title} {' '.join(self.shown)}")


def revealjs() -> dict[str, Path]:
    """Files of reveal.js by their name."""
    folder = package_folder("sphinx_revealjs") / "_static" / "revealjs"
    names = ("dist/reset.css", "dist/reveal.css", "dist/reveal.js", "plugin/notes/notes.js")
    return {Path(name).name: folder / name for name in names}


def slides_page(notebook: Any) -> str:
    """The slides of an executed chapter, as an HTML page."""
    blocks = list(chapter_blocks(notebook))
    shown = [
        {"title": s.title, "body": Markup("\n".join(s.shown)), "notes": Markup("\n".join(s.notes))}
        for s in chapter_slides(blocks)
    ]
    title = next((block.title for block in blocks if block.kind == "heading"), "Slides")
    # With its hash, as Sphinx names the style sheets of pages: another style makes another page.
    style = file_sha256(paths.ROOT / "book" / "_static" / "slides.css")[:8]
    return fill_template("slides.html", title=title, slides=shown, style=style)


def chapter_slides(blocks: Iterable[Block]) -> list[Slide]:
    """Slides of the parts of a chapter."""
    deck = _Deck()
    deck.add_all(list(blocks))
    return [slide for slide in deck.slides if slide.shown or slide.notes != [TABLE_NOTE]]


class _Deck:
    """Slides that grow part by part."""

    def __init__(self) -> None:
        self.slides: list[Slide] = []
        self.count = 0  # of sections
        self.complete = False  # whether texts are shown to their end
        self.heading = self.title = ""
        self.section = 0
        self.lead = ""  # a sentence that the next formula, list or table completes
        self.said = ""  # the paragraph before

    def add_all(self, blocks: Sequence[Block]) -> None:
        for block, following in pairwise([*blocks, Block("end")]):
            if block.kind == "heading":
                self._enter(block.title)
                self.heading = block.title
            elif self.title not in OMITTED:
                if block.kind == "text":
                    self._text(block.html, following.kind in OBJECTS)
                else:
                    getattr(self, f"_{block.kind}")(block)

    def _enter(self, title: str) -> None:
        self.title, self.said, self.lead = title, "", ""
        self.section = self.count = self.count + 1

    def _new(self, title: str = "") -> Slide:
        self.slides.append(Slide(title or self.title, self.section))
        return self.slides[-1]

    def _current(self) -> Slide:
        """The last slide if it belongs to the section, else a new one."""
        begun = self.slides and self.slides[-1].section == self.section
        return self.slides[-1] if begun else self._new()

    def _text(self, text: str, completed: bool) -> None:
        slide = self._current()
        if text.startswith("<strong>") and slide.shown:
            slide = self._new()
        body, self.lead = unfinished_end(text) if completed else (text, "")
        if self.complete:
            self._all_of(body)
        elif shown := opening(body, slide.room(), _most(slide, text, completed))[0]:
            slide.shown.append(f"<p>{shown.strip()}</p>")
        self.said = f"<p>{text}</p>"
        slide.notes.append(self.said)

    def _all_of(self, text: str) -> None:
        """Show each sentence of an exercise, on several slides if they do not fit on one."""
        slide = self.slides[-1]
        for part in groups(sentences(text), LIMIT - words(self.title)):
            shown = "".join(part)
            if words(shown) > slide.room() and slide.shown:
                slide = self._new()
                slide.notes.append(f"<p>{shown}</p>")
            if words(shown) > slide.room():
                return  # a sentence that is too long for a slide
            slide.shown.append(f"<p>{shown.strip()}</p>")

    def _place(self, part: str, title: str = "", alone: bool = False) -> Slide:
        """Put a formula, list, table, figure or code on the slide, or on a new one."""
        slide, lead = self._current(), f"<p>{self.lead}</p>" if self.lead else ""
        full = slide.taken or alone or words(lead + part) > slide.room()
        if slide.shown and (full or (title and slide.title != title)):
            slide = self._new()
        slide.title = title or slide.title
        if lead and words(lead + part) <= slide.room():
            slide.shown.append(lead)
        slide.shown.append(part)
        slide.taken, self.lead = True, ""
        if self.said and not slide.notes:
            slide.notes.append(self.said)
        return slide

    def _formula(self, block: Block) -> None:
        self._place(block.html)

    def _figure(self, block: Block) -> None:
        room = LIMIT - words(self.title)
        caption, _ = opening(block.title, room, 1)
        slide = self._place(
            f"<figure>{block.html}<figcaption>{caption.strip()}</figcaption></figure>", alone=True
        )
        slide.notes.append(f"<p>{block.title}</p>")
        slide.limit = BESIDE_FIGURE

    def _reading(self, block: Block) -> None:
        slide = self._current()
        shown, _ = opening(block.html, slide.room())
        if not shown:
            slide = self._new()
            shown, _ = opening(block.html, slide.room())
        if shown:
            slide.shown.append(f"<p>{shown.strip()}</p>")
        slide.notes.append(f"<p>{block.html}</p>")

    def _list(self, block: Block) -> None:
        tag, slide = block.html, self._current()
        whole = "".join(f"<li>{item}</li>" for item in block.items)
        if not slide.taken and words(self.lead + " " + whole) <= slide.room():
            slide = self._place(f"<{tag}>{whole}</{tag}>")
            slide.notes.append(f"<{tag}>{whole}</{tag}>")
            return
        budget = LIMIT - words(f"{self.title} (1 of 2)")
        short = [opening(item, budget)[0].strip() for item in block.items]
        parts, at = groups([f"<li>{item}</li>" for item in short], budget), 1
        for number, part in enumerate(parts):
            # The number of an ordered list follows that of the slide before.
            head = f'<ol start="{at}">' if tag == "ol" else "<ul>"
            slide = self._place(f"{head}{''.join(part)}</{tag}>", self._part(number, len(parts)))
            full = "".join(f"<li>{item}</li>" for item in block.items[at - 1 : at - 1 + len(part)])
            slide.notes.append(f"{head}{full}</{tag}>")
            at += len(part)

    def _part(self, number: int, count: int) -> str:
        return f"{self.title} ({number + 1} of {count})" if count > 1 else self.title

    def _table(self, block: Block) -> None:
        head = f"<thead>{block.html}</thead>"
        budget = LIMIT - words(f"{self.title} (1 of 2) {head}")
        parts = groups(block.items, budget)
        wide = block.html.count("</th>") > COLUMNS * block.html.count("</tr>")
        long = any(words(" ".join(part)) > budget for part in parts)
        if wide or long or not 0 < len(parts) <= TABLES:
            self._current().notes.append(TABLE_NOTE)
            return
        for number, part in enumerate(parts):
            table = f"<table>{head}<tbody>{''.join(part)}</tbody></table>"
            slide = self._place(table, self._part(number, len(parts)), alone=True)
            slide.limit = LIMIT if len(part) <= BESIDE_TABLE else 0

    def _code(self, block: Block) -> None:
        if self.heading == "Exercises" and not self.complete:
            return  # names that the checks of solutions need
        parts = code_parts(block.html)
        for number, part in enumerate(parts):
            shown, title = _highlighted(part, block.title), self._part(number, len(parts))
            self._place(shown, title, alone=True).limit = BESIDE_CODE

    def _question(self, block: Block) -> None:
        self._enter(f"{self.heading} {block.title}")
        slide, self.said = self._new(), f"<p>{block.html}</p>"
        slide.shown.append(self.said)
        slide.notes.append(self.said)

    def _answer(self, block: Block) -> None:
        slide, answer = self.slides[-1], f"<p>{block.html}</p>"
        slide.notes.append(answer)
        if words(answer) <= slide.room():
            slide.shown.append(f'<div class="fragment">{answer}</div>')
            return
        slide = self._new(f"{self.title}: answer")
        slide.shown.append(f"<p>{opening(block.html, slide.room())[0].strip()}</p>")
        slide.notes.append(answer)

    def _section(self, block: Block) -> None:
        """An exercise or an admonition inside a section."""
        outer = self.title, self.section, self.said
        self._enter(block.title)
        self.complete = block.title.startswith("Exercise: ")
        self.add_all(block.blocks)
        self.complete = False
        (self.title, self.section, self.said), self.lead = outer, ""

    def _aside(self, block: Block) -> None:
        self.slides[-1].notes.append(block.html)


def _most(slide: Slide, text: str, completed: bool) -> int:
    """How many sentences of a paragraph a slide shows.

    Parameters
    ----------
    completed : whether a formula, list, table, figure or code follows the paragraph
    """
    if not slide.shown:
        return 2
    continues = text[0].islower()  # the sentence of the formula before
    # A text that leads to the next figure says nothing about the one before.
    return 1 if slide.taken and (continues or not completed) else 0


def code_parts(code: str) -> list[str]:
    """Code in parts of at most 12 lines, cut at blank lines or at the least indented ones."""
    lines = re.sub(r"\n{3,}", "\n\n", code.strip("\n")).split("\n")
    parts = []
    while len(lines) > LINES:
        cut = min(range(LINES // 2, LINES + 1), key=lambda at: (_depth(lines[at]), -at))
        parts.append("\n".join(lines[:cut]).strip("\n"))
        lines = "\n".join(lines[cut:]).strip("\n").split("\n")
    return [*parts, "\n".join(lines)]


def _depth(line: str) -> int:
    """How bad it is to begin a slide with a line."""
    if not line.strip():
        return -1
    closes = line.strip()[0] in ")]}"
    return len(line) - len(line.lstrip()) + (100 if closes else 0)


def _highlighted(code: str, language: str) -> str:
    try:
        lexer = get_lexer_by_name(language or "text")
    except ClassNotFound:
        lexer = TextLexer()
    page = highlight(code, lexer, HtmlFormatter(noclasses=True, nowrap=True))
    wide = max(map(len, code.splitlines()), default=0) > COLUMNS_OF_CODE
    return f"<pre{' class=wide' if wide else ''}><code>{page.rstrip()}</code></pre>"
