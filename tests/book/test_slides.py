"""Slides: a section, a figure, an exercise and a question each, and no solution."""

import base64

import pytest
from bs4 import BeautifulSoup
from nbformat import v4

from viba_lib.book import slides
from viba_lib.book.roles import without_roles

PNG = base64.b64encode(b"\x89PNG fake").decode()
HEAD = """# A title

What is asked {cite:t}`schulz2020`? A {term}`map <Attribution>` of $x^2$.

```{admonition} What you will learn
:class: tip
- to see
```

```{admonition} What you need first
:class: note
| a | b |
```

## First section

One paragraph that stands.

Another that is left out.

$$ a = b $$ (eq-one)
"""
TAIL = """## Exercises

```{exercise} Try it
:label: ex-try
Do this.
```

```{solution-start} ex-try
:class: dropdown
```
"""
END = """The secret reading.

```{solution-end}
```

## Quiz

**1. Why?**

- a) so
- b) thus

```{dropdown} Answer to question 1
**b.** Because of it.
```

## References
- hidden
"""


@pytest.fixture
def page():
    figure = v4.new_output("display_data", data={"image/png": PNG})
    said = v4.new_output("execute_result", data={"text/html": "<p>In 3 of 4.</p>"})
    meta = {"mystnb": {"image": {"alt": 'Two "dots"'}, "figure": {"caption": "Dots of $y$"}}}
    cells = [
        v4.new_markdown_cell(HEAD),
        v4.new_code_cell("draw()", outputs=[figure], metadata=meta),
        v4.new_code_cell("HTML()", outputs=[said]),
        v4.new_markdown_cell(TAIL),
        v4.new_code_cell("answer", outputs=[figure], metadata={"tags": ["solution"], **meta}),
        v4.new_markdown_cell(END),
    ]
    return BeautifulSoup(slides.slides_page(v4.new_notebook(cells=cells)), "html.parser")


def test_one_slide_for_each_thing(page):
    titles = [h.text for h in page.select("section > h2")]
    assert titles == [
        "A title", "First section", "First section", "Exercise: Try it", "Quiz 1. Why?"
    ]  # fmt: skip
    assert page.title.text == "A title: slides"


def test_what_a_slide_says(page):
    first, section, figure, exercise, quiz = page.select("section")
    assert "Schulz et al. (2020)" in first.text and "to see" in first.text
    assert r"\(x^2\)" in first.text and "map of" in first.text
    assert "that stands" in section.text and "left out" not in section.text
    assert r"\[" in str(section) and "eq-one" not in section.text
    assert figure.img["alt"] == 'Two "dots"' and r"\(y\)" in figure.figcaption.text
    assert "In 3 of 4." in figure.text and "Do this." in exercise.text
    assert "Because of it" in quiz.select_one(".fragment").text


def test_no_solution_and_no_network(page):
    text = str(page)
    for hidden in ("secret", "hidden", "{", "http:"):
        assert hidden not in page.select_one("main").text
    assert len(page.select("img")) == 1
    assert all("//" not in tag.get("src", "") for tag in page.select("script"))
    assert "https://" not in text


def test_names_come_from_the_bibliography():
    assert without_roles("{cite:t}`tishby2000`") == "Tishby et al. (2000)"
    assert without_roles("see {cite}`schulz2020,chollet2017xception`") == (
        "see [Schulz et al. (2020); Chollet (2017)]"
    )
    assert (
        without_roles("{doc}`here </book/x>` {term}`Bottleneck` {math}`a`") == "here Bottleneck $a$"
    )
