"""Student notebooks hold plain Markdown: no directive, role or label of MyST is left."""

import re

import nbformat
import pytest

from viba_lib.book import chapters as pairs
from viba_lib.book.plain import plain_markdown, published_address
from viba_lib.book.students import student_notebook

CHAPTERS = pairs.chapters()
LEFT = {
    "a role": r"\{[\w:-]+\}`",
    "a directive": r"(```+|~~~+|:::+)\s*\{",
    "a colon fence": r"(?m)^:::",
    "an option": r"(?m)^(> )?:[\w-]+:",
    "a target": r"(?m)^\([\w-]+\)=",
    "an equation label": r"\$\$\s*\(eq-",
    "a comment": r"<!--",
}


def leftovers(text: str) -> list[str]:
    return [name for name, pattern in LEFT.items() if re.search(pattern, text)]


MYST = """(here)=
# Title

<!-- time -->
```{admonition} What you need
:class: note
- a {term}`map <Attribution>` of {cite:t}`tishby2000`
```

$$ a = b $$ (eq-one)

```{math}
:label: eq-two
c = d
```

```{figure} x.png
Caption.
```

```{exercise} Try
:label: ex-try
See {doc}`the page </book/ethics>` and {eq}`eq-one`.
```

```bash
make book
```"""


def test_every_construct_is_converted():
    made = plain_markdown(MYST)
    assert leftovers(MYST) and not leftovers(made)
    assert "> **What you need**\n>\n> - a map of Tishby et al. (2000)" in made
    assert "$$ a = b $$" in made and "$$\nc = d\n$$" in made
    assert "> **Exercise: Try**\n>\n> See the page and the equation." in made
    assert "```bash\nmake book\n```" in made, "ordinary code keeps its fence"
    assert "x.png" not in made


def test_equations_have_the_numbers_of_their_page():
    made = plain_markdown("$$ a = b. $$ (eq-idea-channel)\n\nBy {eq}`eq-idea-channel`.")
    assert made == "$$ a = b. \\tag{1.1} $$\n\nBy (1.1)."
    directive = "```{math}\n:label: eq-idea-channel\na = b\n```"
    assert plain_markdown(directive) == "$$\na = b\\tag{1.1} \n$$"


def test_links_go_to_the_published_page_if_its_address_is_known():
    assert plain_markdown("{doc}`the page </book/ethics>`", "https://b.org/") == (
        "[the page](https://b.org/book/ethics.html)"
    )
    page = plain_markdown("{doc}`/book/teaching`")
    assert page == "Teaching with this book"
    assert published_address() == "" or published_address().endswith("/")


@pytest.mark.parametrize("source", CHAPTERS, ids=[c.stem for c in CHAPTERS])
def test_no_chapter_leaves_markup(source):
    notebook = student_notebook(source)
    nbformat.validate(notebook)
    cells = [c.source for c in notebook.cells if c.cell_type == "markdown"]
    text = "\n\n".join(cells)
    assert not leftovers(text)
    assert text.count("> **Exercise: ") >= 2 and "> **What you will learn**" in text
