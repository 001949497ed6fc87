"""Links between pages as text, for notebooks and slides, which Sphinx does not build."""

import re

from viba_lib.book import paths
from viba_lib.book.chapters import key_of

LINK = re.compile(r"\{doc\}`(?:([^`<]+?)\s*<)?([^`<>]+)>?`")


def plain_links(text: str) -> str:
    """Text whose links to pages ({doc}) are replaced as `book/_ext/chapter_numbers.py` names them.

    A link without a text is replaced by the title of the page and the number of its chapter.
    """
    return LINK.sub(lambda found: link_text(found[1], found[2]), text)


def link_text(text: str | None, page: str) -> str:
    """What a link to a page shows.

    Parameters
    ----------
    text : of the link, in which %s is the number of the chapter; None = the title of the page
    """
    stem = page.rpartition("/")[2]
    number = key_of(stem).lstrip("0")
    if text is not None:
        return text.replace("%s", number)
    title = _title(stem)
    return f"{title} (chapter {number})" if number.isdigit() else title


def _title(stem: str) -> str:
    """First heading of a chapter or a page; its name if it is made by the build."""
    chapter, page = paths.NOTEBOOKS / f"{stem}.py", paths.ROOT / "book" / f"{stem}.md"
    for path, heading in ((chapter, "# # "), (page, "# ")):
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        for line in lines:
            if line.startswith(heading):
                return line.removeprefix(heading)
    return stem.replace("_", " ")
