"""Sentences about results as HTML in which nothing of the data is markup."""

import html

from IPython.display import HTML


def prose(*paragraphs: str) -> HTML | None:
    """Paragraphs of plain text for a page; None, which shows nothing, if all are empty.

    Names from a catalog or a table of annotations may be part of a sentence, so `<` and `&` are
    escaped.
    """
    known = [html.escape(text.strip(), quote=False) for text in paragraphs if text.strip()]
    return HTML("".join(f"<p>{text}</p>" for text in known)) if known else None
