"""Quizzes: the right answer is told neither by its length nor by its letter."""

import re
from collections import Counter

import pytest

from viba_lib.book import chapters as pairs

CHAPTERS = pairs.chapters()
ITEM = r"\*\*(\d+)\. [\s\S]+?\*\*\n([\s\S]*?)```\{dropdown\} Answer[^\n]*\n\*\*([a-e])\.\*\*"
LONGEST = 1.4  # longest over shortest option; options of few words differ by a word


def quiz(source) -> list[tuple[dict[str, str], str]]:
    """Options by letter and the right letter of each question of a chapter."""
    cells = pairs.as_notebook(source).cells
    text = "\n\n".join(c.source for c in cells if c.cell_type == "markdown")
    part = text.split("## Quiz")[1].split("\n## ")[0]
    found = []
    for _, options, right in re.findall(ITEM, part):
        items = re.findall(r"(?ms)^- ([a-e])\) (.*?)(?=^- |\Z)", options)
        found.append(({letter: " ".join(text.split()) for letter, text in items}, right))
    return found


@pytest.mark.parametrize("source", CHAPTERS, ids=[c.stem for c in CHAPTERS])
def test_options_have_similar_lengths(source):
    questions = quiz(source)
    assert len(questions) >= 3
    for options, right in questions:
        assert right in options and len(options) >= 3
        lengths = [len(text) for text in options.values()]
        assert max(lengths) <= LONGEST * min(lengths), options


def test_neither_letter_nor_length_tells_the_answer():
    questions = [question for source in CHAPTERS for question in quiz(source)]
    letters = Counter(right for _, right in questions)
    fair = len(questions) / 3
    assert all(abs(letters[letter] - fair) <= 0.25 * fair for letter in "abc"), letters
    longest = sum(
        all(len(options[right]) > len(text) for key, text in options.items() if key != right)
        for options, right in questions
    )
    assert longest <= 0.5 * len(questions), "the right answer is the longest too often"


@pytest.mark.parametrize("source", CHAPTERS, ids=[c.stem for c in CHAPTERS])
def test_answers_of_a_chapter_do_not_all_have_one_letter(source):
    assert len({right for _, right in quiz(source)}) >= 2
