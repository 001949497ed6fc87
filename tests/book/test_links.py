"""Links between pages, as text for slides."""

import pytest

from viba_lib.book import links, paths


@pytest.fixture
def book(tmp_path, monkeypatch):
    """Sources of a chapter, of a notebook without number and of a page."""
    for folder in ("notebooks", "book"):
        (tmp_path / folder).mkdir()
    head = "# ---\n# jupyter:\n# ---\n\n# %% [markdown]\n"
    (tmp_path / "notebooks" / "05_layer.py").write_text(
        head + "# # Choice of a layer\n#\n# ## One\n"
    )
    (tmp_path / "notebooks" / "fast.py").write_text(head + "# # Speed\n")
    (tmp_path / "book" / "rules.md").write_text("(rules)=\n# Rules for maps\n\n## First\n")
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setattr(paths, "NOTEBOOKS", tmp_path / "notebooks")


@pytest.mark.parametrize(
    ("role", "text"),
    [
        ("{doc}`/notebooks/05_layer`", "Choice of a layer (chapter 5)"),
        ("{doc}`/notebooks/fast`", "Speed"),
        ("{doc}`/book/rules`", "Rules for maps"),
        ("{doc}`/book/data_card`", "data card"),
        ("{doc}`Chapter %s </notebooks/05_layer>`", "Chapter 5"),
        ("{doc}`the rules </book/rules>`", "the rules"),
        ("{term}`Map`", "{term}`Map`"),
    ],
)
def test_links_become_the_text_that_the_build_shows(book, role, text):
    assert links.plain_links(f"See {role}, and more.") == f"See {text}, and more."
