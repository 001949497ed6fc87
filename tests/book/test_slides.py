"""Slides: few words each, one figure or formula, all prose in the notes, and no solution."""

import base64
import re

import pytest
from bs4 import BeautifulSoup
from nbformat import v4

from viba_lib.book import slides
from viba_lib.book.roles import without_roles
from viba_lib.book.slide_text import LIMIT, words

PNG = base64.b64encode(b"\x89PNG fake").decode()
LONG = " ".join(f"Sentence {n} of a text says a few words." for n in range(30))
HEAD = f"""# A title

What is asked {{cite:t}}`schulz2020`? A {{term}}`map <Attribution>` of $x^2$.

```{{admonition}} What you will learn
:class: tip
- to see
```

```{{admonition}} What you need first
:class: note
| a | b |
|---|---|
| first | need |
```

## First section

One sentence that stands. Another that stands. A third. The sum is

$$ a = b $$ (eq-one)

where $a$ is given. The rest is in the notes.

{LONG}

## Choices

There are three:

{chr(10).join(f"- **Item {n}.** {LONG[:130]}" for n in range(3))}
"""
READING = "<p>In 3 of 4. The second sentence of the reading.</p>"
DECISIVE = "\n".join(f"step_{n} = {n}" for n in range(14))
TAIL = f"""## Exercises

```{{exercise}} Try it
:label: ex-try
Do this. {LONG} Then do the last thing.
```

```{{solution-start}} ex-try
:class: dropdown
```
"""
END = f"""The secret reading.

```{{solution-end}}
```

## Quiz

**1. Why?**

- a) so
- b) thus

```{{dropdown}} Answer to question 1
**b.** Because of it.
```

**2. How?**

- a) well

```{{dropdown}} Answer to question 2
**a.** {LONG}
```

## References
- hidden
"""


def notebook():
    figure = v4.new_output("display_data", data={"image/png": PNG})
    said = v4.new_output("execute_result", data={"text/html": READING})
    caption = "Dots of $y$. More about the dots."
    meta = {"mystnb": {"image": {"alt": 'Two "dots"'}, "figure": {"caption": caption}}}
    cells = [
        v4.new_markdown_cell(HEAD),
        v4.new_code_cell("draw()", outputs=[figure], metadata=meta),
        v4.new_code_cell("HTML()", outputs=[said]),
        v4.new_code_cell(DECISIVE, metadata={"tags": ["decisive"]}),
        v4.new_markdown_cell(TAIL),
        v4.new_code_cell("answer", outputs=[figure], metadata={"tags": ["solution"], **meta}),
        v4.new_markdown_cell(END),
    ]
    return v4.new_notebook(cells=cells)


@pytest.fixture(scope="module")
def page():
    return BeautifulSoup(slides.slides_page(notebook()), "html.parser")


def titled(page, title: str) -> list:
    return [s for s in page.select("section") if s.h2.text.startswith(title)]


def test_titles(page):
    titles = [h.text for h in page.select("section h2")]
    lists = [f"Choices ({n} of 3)" for n in (1, 2, 3)]
    assert titles[:3] == ["A title", "What you will learn", "First section"]
    assert titles[3:9] == [*lists, "Choices", "Choices (1 of 2)", "Choices (2 of 2)"]
    assert titles[9] == "Exercise: Try it" and titles[-3:] == ["Quiz 1", "Quiz 2", "Quiz 2: answer"]
    assert page.title.text == "A title: slides"


def test_each_slide_has_few_words_one_object_and_notes(page):
    for section in page.select("section"):
        assert 0 < words(str(section)) <= LIMIT, section.h2.text
        shown = str(section.select_one(".slide"))
        assert len(re.findall(r"\\\[|<figure|<table|<pre|<[ou]l", shown)) <= 1
        assert section.select_one("aside.notes").text.strip()


def test_the_prose_is_on_the_slide_or_in_the_notes(page):
    notes = " ".join(aside.get_text() for aside in page.select("aside.notes"))
    for text in (LONG, "A third.", "The rest is in the notes.", "More about the dots.", "need"):
        assert text in notes
    assert "second sentence of the reading" in notes and "the last thing" in notes


def test_a_section_shows_its_first_sentences_and_its_formula(page):
    first, (section,) = page.section, titled(page, "First section")
    assert "Schulz et al. (2020)" in first.text and r"\(x^2\)" in first.text
    shown = section.select_one(".slide").text
    assert "Another that stands." in shown and "A third" not in shown
    assert "The sum is" in shown and r"\[a = b\]" in shown and "is given." in shown
    assert "eq-one" not in shown and "rest is in the notes" not in shown


def test_a_figure_has_a_slide_with_its_caption_and_reading(page):
    (figure,) = [s for s in page.select("section") if s.select("figure")]
    shown = figure.select_one(".slide")
    assert figure.img["alt"] == 'Two "dots"'
    assert shown.figcaption.text == r"Dots of \(y\)." and "In 3 of 4." in shown.text


def test_lists_and_code_are_split(page):
    *lists, _, first, second = titled(page, "Choices")
    assert [len(part.select(".slide li")) for part in lists] == [1, 1, 1]
    assert "There are three:" in lists[0].select_one(".slide").text
    code = [part.pre.text for part in (first, second)]
    assert "\n".join(code) == DECISIVE
    assert max(len(text.splitlines()) for text in code) <= slides.LINES


def test_exercises_and_questions(page):
    shown = " ".join(s.select_one(".slide").text for s in titled(page, "Exercise"))
    assert "Do this." in shown and "Then do the last thing." in shown and LONG[-20:] in shown
    counts = [words(str(s.select_one(".slide"))) for s in titled(page, "Exercise")]
    assert len(counts) > 2 and min(counts) > LIMIT / 3, "a sentence alone on a slide"
    short, long = titled(page, "Quiz 1") + titled(page, "Quiz 2")[:1]
    assert "Why?" in short.text and "Because of it" in short.select_one(".fragment").text
    assert "How?" in long.text and not long.select(".fragment")


def test_no_solution_no_markup_and_no_network(page):
    text = page.select_one("main").text
    for hidden in ("secret", "hidden", "{", "http:", "```", "**", "answer()"):
        assert hidden not in text
    assert len(page.select("img")) == 1
    assert all("//" not in tag.get("src", "") for tag in page.select("script"))
    assert "https://" not in str(page)


def test_code_is_cut_at_blank_and_outer_lines():
    code = "def f():\n" + "    a = 1\n" * 8 + "\n\n\n" + "call(\n" + "    1,\n" * 6 + ")\ndone = 1"
    first, *others = slides.code_parts(code)
    assert first.endswith("a = 1") and others[0].startswith("call(")
    assert all(len(part.splitlines()) <= slides.LINES for part in [first, *others])
    assert slides.code_parts("one = 1") == ["one = 1"]


def test_cells_that_write_a_computation_out():
    from viba_lib.book.slide_blocks import writes_out

    shown = [v4.new_code_cell("def f():\n    return 1"), v4.new_code_cell("a = 1")]
    shown[1].metadata["tags"] = ["decisive"]
    hidden = [v4.new_code_cell("a = 1"), v4.new_code_cell("%pylab\ndef f(): pass")]
    hidden += [v4.new_code_cell("from viba_lib.x import y\ndef f():\n    y()")]
    assert all(map(writes_out, shown)) and not any(map(writes_out, hidden))


def test_large_tables_are_on_the_page_only():
    def page_of(rows: int, columns: int) -> str:
        cells = "".join(f"<td>{n}</td>" for n in range(columns))
        head = "".join(f"<th>{n}</th>" for n in range(columns))
        body = f"<tr>{cells}</tr>" * rows
        table = f"<table class='dataframe'><thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
        output = v4.new_output("execute_result", data={"text/html": f"{table}</table>"})
        cells = [v4.new_markdown_cell("# T\n\nSee."), v4.new_code_cell("t", outputs=[output])]
        return slides.slides_page(v4.new_notebook(cells=cells))

    assert "<table>" in page_of(3, 4) and slides.TABLE_NOTE not in page_of(3, 4)
    for rows, columns in ((40, 5), (3, 12), (0, 3)):
        assert "<table>" not in page_of(rows, columns)
        assert slides.TABLE_NOTE in page_of(rows, columns)


def test_names_come_from_the_bibliography():
    assert without_roles("{cite:t}`tishby2000`") == "Tishby et al. (2000)"
    assert without_roles("see {cite}`schulz2020,chollet2017xception`") == (
        "see [Schulz et al. (2020); Chollet (2017)]"
    )
    assert (
        without_roles("{doc}`here </book/x>` {term}`Bottleneck` {math}`a`") == "here Bottleneck $a$"
    )


def test_a_figure_from_a_file_has_its_type_and_its_alternative_text():
    text = "```{figure} ../book/_static/annotation.jpg\n:alt: A dialog.\nOne *frame*.\n```"
    cell = v4.new_markdown_cell("# A\n\n## B\n\n" + text)
    deck = slides.slides_page(v4.new_notebook(cells=[cell]))
    image = BeautifulSoup(deck, "html.parser").select_one("figure img")
    assert image["src"].startswith("data:image/jpeg;base64,") and image["alt"] == "A dialog."
