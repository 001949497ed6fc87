"""MyST roles as plain text, with citations named from the bibliography."""

import re
from functools import cache

from pybtex.database import parse_file

from viba_lib.book import paths
from viba_lib.book.links import plain_links


@cache
def _names() -> dict[str, str]:
    """How each entry of the bibliography is named in a text."""
    found = parse_file(str(paths.ROOT / "book" / "references.bib"))
    names = {}
    for key, entry in found.entries.items():
        people = [" ".join(p.last_names).strip("{}") for p in entry.persons.get("author", [])]
        who = people[0] if people else key
        who += " et al." if len(people) > 2 else f" and {people[1]}" if len(people) == 2 else ""
        names[key] = f"{who} ({entry.fields.get('year', 'n.d.')})"
    return names


def _cited(keys: str) -> str:
    return "; ".join(_names().get(key.strip(), key.strip()) for key in keys.split(","))


def without_roles(text: str) -> str:
    """Markdown without MyST's roles."""
    text = plain_links(text)
    text = re.sub(r"\{cite:t\}`([^`]+)`", lambda m: _cited(m[1]), text)
    text = re.sub(r"\{cite(?::\w+)?\}`([^`]+)`", lambda m: f"[{_cited(m[1])}]", text)
    text = re.sub(r"\{math\}`([^`]+)`", r"$\1$", text)
    text = re.sub(r"\{eq\}`[^`]+`", "the equation", text)
    text = re.sub(r"\{numref\}`[^`]+`", "the figure", text)
    text = re.sub(r"\{[\w:-]+\}`([^`<]+?)\s*<[^`]*>`", r"\1", text)
    text = re.sub(r"\{[\w:-]+\}`([^`]+)`", r"\1", text)
    return re.sub(r"\s\(eq-[\w-]+\)", "", text)
