"""Quizzes: plausible options in random order, and no result of a run that was typed."""

import re
from collections import Counter

import pytest

from tests.book.quizzes import Question, quiz, right_letters
from viba_lib.book import chapters as pairs

CHAPTERS = pairs.chapters()
each = pytest.mark.parametrize("source", CHAPTERS, ids=[c.stem for c in CHAPTERS])
LONGEST = 1.4  # longest over shortest option; options of few words differ by a word

# What a result would need: a number, or a word that says who won.
VERDICT = re.compile(
    r"\d[\d.,]*|\b(high(er|est)|low(er|est)|best|better|worse|worst|first|significant(ly)?|reproduced"
    r"|contradicts?|supports?|outperforms?|beats?)\b",
    re.IGNORECASE,
)
# Formulas, roles and code are no results.
NOT_PROSE = re.compile(r"\$[^$]+\$|\{[\w:]+\}`[^`]+`|`[^`]+`")
ASSUMED = "the question assumes a result and does not report one"
COMPUTED = "follows from a definition, see test_quiz_answers.py"
METHOD = "speaks of a method or of an order, and not of a result"
ALLOWED = {
    ("01", "1"): COMPUTED,
    ("03", "3"): METHOD,
    ("05", "2"): ASSUMED,
    ("05", "3"): ASSUMED,
    ("07", "3"): METHOD,
    ("08", "3"): ASSUMED,
    ("09", "1"): COMPUTED,
    ("10", "6"): COMPUTED,
    ("11", "1"): METHOD,
    ("11", "3"): COMPUTED,
    ("13", "1"): COMPUTED,
    ("13", "3"): ASSUMED,
    ("15", "1"): ASSUMED,
    ("15", "2"): METHOD,
}


@each
def test_options_have_similar_lengths(source):
    questions = quiz(source)
    assert len(questions) >= 3
    for question in questions:
        options = question.options
        assert question.right in options and len(options) >= 3
        assert len(set(options.values())) == len(options)
        lengths = [len(text) for text in options.values()]
        assert max(lengths) <= LONGEST * min(lengths), options


@each
def test_right_answers_are_at_their_random_positions(source):
    found = "".join(question.right for question in quiz(source))
    wanted = right_letters(source.stem, len(found))
    assert found == wanted, f"move the right options of {source.name} to {', '.join(wanted)}"


def test_neither_letter_nor_length_tells_the_answer():
    questions = [question for source in CHAPTERS for question in quiz(source)]
    letters = Counter(question.right for question in questions)
    fair = len(questions) / 3
    assert all(abs(letters[letter] - fair) <= 0.25 * fair for letter in "abc"), letters
    assert longest(questions) <= 0.5 * len(questions), "the right answer is too often the longest"


def longest(questions: list[Question]) -> int:
    """Number of questions whose right option is longer than each other one."""
    count = 0
    for question in questions:
        lengths = {letter: len(text) for letter, text in question.options.items()}
        right = lengths.pop(question.right)
        count += right > max(lengths.values())
    return count


def typed_results(question: Question) -> list[str]:
    """Words and digits of a question that a result of a run would have."""
    texts = [question.text, *question.options.values(), question.answer]
    prose = " ".join(NOT_PROSE.sub("", text) for text in texts)
    return [found[0] for found in VERDICT.finditer(prose)]


def test_no_quiz_types_a_result():
    found = {
        (pairs.key_of(source.stem), question.number): typed
        for source in CHAPTERS
        for question in quiz(source)
        if (typed := typed_results(question))
    }
    unknown = {key: typed for key, typed in found.items() if key not in ALLOWED}
    assert not unknown, "compute the result in a cell (experiments/quiz_answers.py) or allow it"
    assert set(ALLOWED) == set(found), "the list allows a question that does not need it"


def test_the_check_finds_typed_results():
    options = {"a": "VIBA is the best", "b": "no map", "c": "a map"}
    question = Question("1", "Why $2$ of {eq}`eq-1`?", options, "a", "It is 1.45 times as high.")
    assert typed_results(question) == ["best", "1.45"]
