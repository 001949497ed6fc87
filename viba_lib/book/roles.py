"""MyST roles as plain text: citations are named, equations have the numbers of the pages."""

import re
from functools import cache

from pybtex.database import parse_file

from viba_lib.book import paths
from viba_lib.book.chapters import as_notebook, chapters, key_of
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


@cache
def equation_numbers() -> dict[str, str]:
    """Number of each labelled equation of a chapter, as the build counts it: "1.3"."""
    found: dict[str, str] = {}
    for source in chapters():
        key = key_of(source.stem)
        cells = as_notebook(source).cells if key.isdecimal() else []
        text = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        labels = re.findall(r"(?:\$\$ \(|^:label: )(eq-[\w-]+)", text, re.MULTILINE)
        found |= {label: f"{int(key)}.{number}" for number, label in enumerate(labels, 1)}
    return found


def _equation(label: str) -> str:
    number = equation_numbers().get(label)
    return f"({number})" if number else "the equation"


def without_roles(text: str) -> str:
    """Markdown without MyST's roles."""
    text = plain_links(text)
    text = re.sub(r"\{cite:t\}`([^`]+)`", lambda m: _cited(m[1]), text)
    text = re.sub(r"\{cite(?::\w+)?\}`([^`]+)`", lambda m: f"[{_cited(m[1])}]", text)
    text = re.sub(r"\{math\}`([^`]+)`", r"$\1$", text)
    text = re.sub(r"\{eq\}`([^`]+)`", lambda m: _equation(m[1]), text)
    text = re.sub(r"\{numref\}`[^`]+`", "the figure", text)
    text = re.sub(r"\{[\w:-]+\}`([^`<]+?)\s*<[^`]*>`", r"\1", text)
    text = re.sub(r"\{[\w:-]+\}`([^`]+)`", r"\1", text)
    return re.sub(r"\s\(eq-[\w-]+\)", "", text)
