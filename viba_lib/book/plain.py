"""Chapters as plain Markdown, which JupyterLab, Colab and VS Code show without MyST."""

import re
from collections.abc import Callable

import yaml

from viba_lib.book import paths
from viba_lib.book.links import LINK, link_text
from viba_lib.book.roles import equation_numbers, without_roles

_FENCE = re.compile(r"(?ms)^(```+)\{([\w:-]+)\}[ \t]*([^\n]*)\n(.*?)^\1[ \t]*$\n?")
_OPTIONS = r"(?m)^:[\w-]+:.*\n"


def published_address() -> str:
    """Address of the published pages with a slash at its end, or "" if none is configured."""
    config = yaml.safe_load((paths.ROOT / "_config.yml").read_text(encoding="utf-8"))
    sphinx = config.get("sphinx", {}).get("config", {})
    address = str(sphinx.get("html_baseurl") or "").strip("/")
    return f"{address}/" if address else ""


def plain_markdown(text: str, address: str = "") -> str:
    """MyST Markdown without directives, roles and labels.

    Parameters
    ----------
    address : address of the published pages, ending with a slash; "" = links become plain text

    Returns
    -------
    Markdown with `$$` formulas, and with blockquotes for admonitions and exercises.
    """
    text = re.sub(r"(?m)^\([\w-]+\)=\n", "", text)
    text = re.sub(r"<!--.*?-->\n?", "", text, flags=re.DOTALL)
    text = _FENCE.sub(_directive, text)
    text = LINK.sub(lambda found: _page_link(found[1], found[2], address), text)
    text = re.sub(r"\$\$[ \t]*\((eq-[\w-]+)\)", lambda found: f"{_tag(found[1])}$$", text)
    text = without_roles(text)
    return text.strip("\n")


def _directive(found: re.Match[str]) -> str:
    _, name, title, body = found.groups()
    label = re.search(r"(?m)^:label: (eq-[\w-]+)$", body)
    body = re.sub(_OPTIONS, "", body).strip("\n") + (_tag(label[1]) if label else "")
    made = _DIRECTIVES.get(name, _quoted)(title.strip(), body)
    return f"{made}\n" if made else ""


def _tag(label: str) -> str:
    """The number of an equation beside its formula, as on the page."""
    number = equation_numbers().get(label)
    return rf"\tag{{{number}}} " if number else ""


def _quoted(title: str, body: str) -> str:
    """A blockquote whose first line is the title in bold."""
    lines = [f"**{title}**", "", *body.splitlines()] if title else body.splitlines()
    return "\n".join(f"> {line}".rstrip() for line in lines)


def _exercise(title: str, body: str) -> str:
    return _quoted(f"Exercise: {title}", body)


def _math(title: str, body: str) -> str:
    return f"$$\n{body or title}\n$$"


def _nothing(title: str, body: str) -> str:
    """Figures from files and HTML of pages are omitted: a notebook has no such files."""
    return ""


_DIRECTIVES: dict[str, Callable[[str, str], str]] = {
    "exercise": _exercise,
    "math": _math,
    "figure": _nothing,
    "raw": _nothing,
    "image": _nothing,
}


def _page_link(text: str | None, page: str, address: str) -> str:
    """A link to a published page, or the title of the page as text."""
    page = page.strip("/")
    title = link_text(text, page)
    return f"[{title}]({address}{page}.html)" if address else title
