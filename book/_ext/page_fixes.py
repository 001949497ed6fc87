"""Sphinx extension: repairs of what the theme and its companions put on each page."""

from typing import Any

from sphinx.application import Sphinx

# What a screen reader or a keyboard needs: entries of a list that say so (their own role is no
# longer a standard), and tables that can be scrolled without a mouse.
BODY = (
    ('role="doc-biblioentry"', 'role="listitem"'),
    ('<table border="1" class="dataframe', '<table border="1" tabindex="0" class="dataframe'),
    ('<table class="dataframe', '<table tabindex="0" class="dataframe'),
    ('<table class="table', '<table tabindex="0" class="table'),
)


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("html-page-context", repair, priority=900)
    app.connect("builder-inited", complete)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def complete(app: Sphinx) -> None:
    """Give the builder of one page the writers of the builder of many.

    Sphinx asks for writers by the builder's name, and falls back on "html" only where no extension
    has registered a single one for that name; one has.
    """
    writers = app.registry.translation_handlers
    if app.builder.name == "singlehtml":
        writers["singlehtml"] = writers.get("html", {}) | writers.get("singlehtml", {})


def repair(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """Take Thebe off the page, which nothing here uses, and follow the reader's light or dark.

    Jupyter Book loads Thebe's scripts twice, and the second declaration is an error in every
    page's console. Without a default mode the theme complains there as well.
    """
    for kind in ("script_files", "css_files"):
        if kind in context:
            context[kind] = [f for f in context[kind] if not _is_thebe(f)]
    context["default_mode"] = "auto"
    if "body" in context:
        for old, new in BODY:
            context["body"] = context["body"].replace(old, new)


def _is_thebe(file: Any) -> bool:
    text = f"{getattr(file, 'filename', file)} {getattr(file, 'attributes', '')}"
    return "thebe" in text.lower()
