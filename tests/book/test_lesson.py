"""The lesson of 90 minutes: each block holds what it contains, and its materials exist."""

import math
import re
from functools import cache
from typing import NamedTuple

import pytest
from bs4 import BeautifulSoup

from tests.book.quizzes import quiz
from viba_lib.book import chapters, paths
from viba_lib.book.assemble import VIDEO, WORDS_PER_MINUTE
from viba_lib.book.slides import slides_page
from viba_lib.book.students import tagged, without_solutions

LINES_PER_MINUTE = 10  # of code
SLIDE, QUESTION = 1.5, 1.0  # minutes
HEADING = re.compile(r"(?m)^(?:\(([\w-]+)\)=\n)?## (.+)$")
HIDDEN = ("remove-input", "remove-cell", "parameters")
FIRST = "01"  # the chapter whose sliders, code and quiz are used


class Section(NamedTuple):
    """A section of a page: its heading, words of text, and lines of shown code."""

    heading: str
    words: int
    lines: int


class Block(NamedTuple):
    """A block of the lesson plan; text and code are labels of sections."""

    start: int
    end: int
    text: list[str]
    code: list[str]
    slides: int
    questions: int
    practice: int
    needed: int
    minutes: int


def page() -> str:
    return (paths.ROOT / "book" / "teaching.md").read_text(encoding="utf-8")


def blocks() -> list[Block]:
    """Rows of the two tables of the lesson: what is read, and the minutes."""
    part = page().split("### 90 minutes")[1].split("\n### ")[0]
    plan = re.findall(r"(?m)^\| (\d+) to (\d+) \| [A-Z][^|]+ \|(.*)\|$", part)
    counted = re.findall(
        r"(?m)^\| (\d+) to (\d+) \|" + r" (\d+) \|" * 3 + r" (\d+) of (\d+) \|$", part
    )
    found = []
    for (start, end, text), (*times, slides, questions, practice, needed, of) in zip(
        plan, counted, strict=True
    ):
        assert times == [start, end]
        labels = [
            re.findall(r"\{ref\}`([\w-]+)`" + after, text) for after in ("", " with its code")
        ]
        numbers = map(int, (slides, questions, practice, needed, of))
        found.append(Block(int(start), int(end), *labels, *numbers))
    return found


@cache
def sections() -> dict[str, Section]:
    """Labelled sections of the pages and the chapters."""
    found = {}
    for source in (*chapters.chapters(), *sorted((paths.ROOT / "book").glob("*.md"))):
        found |= sections_of(parts_of(source))
    return found


def parts_of(source) -> list[tuple[str, int]]:
    """Texts of a page in order, each with the number of lines of code that follow it."""
    if source.suffix == ".md":
        return [(source.read_text(encoding="utf-8"), 0)]
    parts, inside = [], False
    for cell in chapters.as_notebook(source).cells:
        if cell.cell_type == "markdown":
            text, inside = without_solutions(cell.source, inside)
            parts.append((text, 0))
        elif not inside and not any(tagged(cell, tag) for tag in HIDDEN):
            parts.append(("", sum(bool(line.strip()) for line in cell.source.splitlines())))
    return parts


def sections_of(parts: list[tuple[str, int]]) -> dict[str, Section]:
    """Sections with a label, with everything up to the next heading."""
    found: dict[str, Section] = {}
    label = ""
    for text, lines in parts:
        # The text before the first heading, and then label, heading and text of each section.
        before, *rest = HEADING.split(text)
        for name, heading, block in [("", "", before), *zip(*[iter(rest)] * 3, strict=True)]:
            if heading:
                label = name or ""
            if label:
                known = found.get(label, Section(heading, 0, 0))
                words = len(re.findall(r"\w+", block))
                found[label] = Section(known.heading, known.words + words, known.lines + lines)
    return found


def minutes(block: Block) -> float:
    """Minutes that the text, code, slides, questions and practice of a block need."""
    known = sections()
    return (
        sum(known[label].words for label in block.text) / WORDS_PER_MINUTE
        + sum(known[label].lines for label in block.code) / LINES_PER_MINUTE
        + block.slides * SLIDE
        + block.questions * QUESTION
        + block.practice
    )


def test_the_blocks_fill_ninety_minutes():
    starts, ends = zip(*[(b.start, b.end) for b in blocks()], strict=True)
    assert (starts[0], ends[-1]) == (0, 90) and starts[1:] == ends[:-1]
    assert [b.minutes for b in blocks()] == [b.end - b.start for b in blocks()]


@pytest.mark.parametrize("block", blocks(), ids=lambda block: str(block.start))
def test_what_a_block_contains_fits_into_it(block):
    needed = math.ceil(minutes(block))
    assert needed <= block.minutes, f"{needed} minutes: shorten the block"
    assert block.needed == needed, f"the plan must say {needed}"


def test_a_section_is_counted_up_to_the_next_heading():
    parts = [("One.\n\n(a)=\n## A\ntwo words", 0), ("", 3), ("more\n\n## B\nnot counted", 0)]
    assert sections_of(parts) == {"a": Section("A", 3, 3)}


def test_the_sections_of_a_block_have_enough_slides():
    notebook = chapters.as_notebook(chapters.find_chapter(FIRST))
    titles = [tag.text for tag in BeautifulSoup(slides_page(notebook), "html.parser")("h2")]
    for block in blocks():
        headings = [sections()[label].heading for label in block.text]
        assert block.slides <= sum(
            any(title.startswith(heading) for heading in headings) for title in titles
        )


def test_the_materials_of_the_lesson_exist():
    source = chapters.find_chapter(FIRST)
    code = [c.source for c in chapters.as_notebook(source).cells if c.cell_type == "code"]
    for name in ("fig-play-channel", "fig-play-beta"):
        assert any(f'SliderFigure(\n    "{name}"' in cell for cell in code)
    method = [c for c in code if re.search(r"(?m)^(front, back|def (passed|explain))\b", c)]
    assert len(method) == 3
    assert 30 <= sum(bool(line.strip()) for cell in method for line in cell.splitlines()) <= 45
    assert sum(block.questions for block in blocks()) == len(quiz(source))
    book = paths.ROOT / "book"
    assert VIDEO in (book / "index.md").read_text(encoding="utf-8")
    assert 'id="viba-viewer"' in (book / "viewer.md").read_text(encoding="utf-8")
    assert len(re.findall(r"(?m)^\d\. ", page().split("## Questions for a debate")[1])) >= 2
