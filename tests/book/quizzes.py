"""The quizzes of the chapters, and the seeded position of each right answer."""

import random
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

from viba_lib.book import chapters as pairs

ITEM = re.compile(
    r"\*\*(\d+)\. ([\s\S]+?)\*\*\n([\s\S]*?)"
    r"```\{dropdown\} Answer[^\n]*\n\*\*([a-e])\.\*\* ([\s\S]+?)\n```"
)


class Question(NamedTuple):
    """A question: options by letter, the right letter, and the reason."""

    number: str
    text: str
    options: dict[str, str]
    right: str
    answer: str


@cache
def quiz(source: Path) -> list[Question]:
    """The questions of a chapter, each text on one line."""
    cells = pairs.as_notebook(source).cells
    text = "\n\n".join(c.source for c in cells if c.cell_type == "markdown")
    part = text.split("## Quiz")[1].split("\n## ")[0]
    found = []
    for number, question, options, right, answer in ITEM.findall(part):
        items = re.findall(r"(?ms)^- ([a-e])\) (.*?)(?=^- |\Z)", options)
        listed = {letter: " ".join(option.split()) for letter, option in items}
        texts = [" ".join(part.split()) for part in (question, answer)]
        found.append(Question(number, texts[0], listed, right, texts[1]))
    return found


def right_letters(stem: str, count: int) -> str:
    """Letters of a chapter's right answers, sampled with the chapter's name as the seed.

    The letters depend neither on an author nor on the texts. They are sampled again if all are
    the same, which looks like a pattern.
    """
    sampled = random.Random(f"quiz {stem}")
    while True:
        letters = "".join(sampled.choices("abc", k=count))
        if len(set(letters)) > 1:
            return letters
