"""Sphinx extension: links to chapters show the numbers that the build gives to the chapters.

{doc}`/notebooks/05_injection_layer` shows the title and "(chapter 5)". In the text of the link
{doc}`Chapter %s </notebooks/05_injection_layer>`, `%s` becomes the number.
"""

from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import docname_join
from sphinx.util.logging import getLogger

logger = getLogger(__name__)


class ChapterNumbers(SphinxPostTransform):
    """Give links to documents their text, before Sphinx resolves them."""

    default_priority = 5

    def run(self, **_: Any) -> None:
        """Called by Sphinx for each page."""
        for link in list(self.document.findall(addnodes.pending_xref)):
            if link["reftype"] == "doc" and link.children:
                self._name(link)

    def _name(self, link: addnodes.pending_xref) -> None:
        page = docname_join(link.get("refdoc", self.env.docname), link["reftarget"])
        number = ".".join(map(str, self.env.toc_secnumbers.get(page, {}).get("") or ()))
        text = link.astext()
        if link["refexplicit"] and "%s" not in text:
            return
        if link["refexplicit"] and not number:
            logger.warning("%s has no number for the link %r", page, text, location=link)
        elif link["refexplicit"]:
            text = text.replace("%s", number)
        elif number and page in self.env.titles:
            text = f"{self.env.titles[page].astext()} (chapter\N{NO-BREAK SPACE}{number})"
        else:
            return
        link["refexplicit"] = True
        link.children[:] = [nodes.inline(text, text, classes=["doc"])]


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_post_transform(ChapterNumbers)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
