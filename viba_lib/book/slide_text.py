"""What of a text fits on a slide: whole sentences within a budget of words.

Texts are HTML of one paragraph, with formulas as `\\(...\\)`.
"""

import html
import re
from collections.abc import Sequence

LIMIT = 60  # visible words of a slide, with its title

_DATA = re.compile(r'"data:[^"]*"')  # of images, which are large
# Code has its own limit, in lines; notes are seen by the speaker only.
_UNCOUNTED = re.compile(r"<(pre|aside|script|style)\b.*?</\1>", re.DOTALL)
_WHOLE = re.compile(r"\\\(.*?\\\)|<(\w+)[^>]*>.*?</\1>", re.DOTALL)
_END = re.compile(r"[.?!](?:[\"'”’)\]]|&quot;|&#x27;|</\w+>)*(\s+)")
_ABBREVIATION = re.compile(
    r"\b(?:Eqs?|Figs?|Sec|No|pp?|cf|vs|al|ch|resp|e\.g|i\.e|[A-Z])\.$", re.IGNORECASE
)


def words(page: str) -> int:
    """Words of HTML that an audience sees; each part of a formula between spaces is one."""
    text = re.sub(r"<[^>]*>", " ", _UNCOUNTED.sub(" ", _DATA.sub('""', page)))
    return len(html.unescape(text).split())


def sentences(text: str) -> list[str]:
    """Sentences of a paragraph, each with the space after it, so that their sum is the text."""
    whole = [found.span() for found in _WHOLE.finditer(text)]
    found, start = [], 0
    for end in _END.finditer(text):
        space = end.start(1)
        if any(first < space < last for first, last in whole):
            continue  # within a formula, or within bold text
        if _ABBREVIATION.search(text[start : end.start() + 1]):
            continue
        found.append(text[start : end.end()])
        start = end.end()
    return [*found, text[start:]] if text[start:] else found


def opening(text: str, budget: int, most: int | None = None) -> tuple[str, str]:
    """The first sentences of a paragraph, and the rest of it.

    A sentence is not cut, because its end can restrict what its beginning says.

    Parameters
    ----------
    budget : words that the first part may have
    most : sentences that the first part may have; None = as many as fit
    """
    parts = sentences(text)
    count = 0
    while count < len(parts) and (most is None or count < most):
        if words("".join(parts[: count + 1])) > budget:
            break
        count += 1
    return "".join(parts[:count]), "".join(parts[count:])


def unfinished_end(text: str) -> tuple[str, str]:
    """A paragraph without its last sentence, and that sentence if a formula or list completes it.

    Such a sentence ends with a comma or a colon, or without a mark.
    """
    parts = sentences(text)
    if not parts or re.search(r"[.?!](?:[\"'”’)\]]|&quot;|&#x27;|</\w+>)*\s*$", parts[-1]):
        return text, ""
    return "".join(parts[:-1]), parts[-1]


def groups(items: Sequence[str], budget: int, most: int = 10) -> list[list[str]]:
    """Items of a list or rows of a table in groups, each within a budget of words if it can be.

    Parameters
    ----------
    most : items in a group
    """
    found: list[list[str]] = []
    for item in items:
        fits = found and words(" ".join([*found[-1], item])) <= budget
        if fits and len(found[-1]) < most:
            found[-1].append(item)
        else:
            found.append([item])
    # Of about the same size, if they fit: one row alone on the last slide looks lost.
    count, slides = len(items), len(found)
    even = [list(items[count * n // slides : count * (n + 1) // slides]) for n in range(slides)]
    return even if all(words(" ".join(part)) <= budget for part in even) else found
