"""The linter of words finds what it should in prose, and nothing in code."""

import pytest

from tests import vocabulary

RULES = vocabulary.rules()
TERMS = RULES["term"]


@pytest.mark.parametrize("term", TERMS, ids=lambda term: term["bad"])
def test_each_term_finds_its_bad_sentence(term):
    found = vocabulary.check(term["bad"], "page.md", {"term": [term]})
    assert found and all(one.instead == term["instead"] for one in found)


@pytest.mark.parametrize("sentence", [s for term in TERMS for s in term.get("good", [])])
def test_no_term_finds_a_good_sentence(sentence):
    assert not vocabulary.check(sentence, "page.md", RULES)


def test_a_finding_says_file_line_word_and_replacement():
    (found,) = vocabulary.check("# Title\n\nIt is made\nanew.\n", "book/page.md", RULES)
    assert str(found) == "book/page.md:4: 'anew'; write: again, from the start"


def test_an_expression_may_go_over_the_end_of_a_line():
    comment = "# A run that is stopped goes\n# on from its checkpoint.\n"
    message = 'print(\n    "the run goes "\n    "on from it"\n)\n'
    for text in (comment, message, f'"""{comment}"""\n'.replace("# ", "")):
        (found,) = vocabulary.check(text, "viba_lib/a.py", RULES)
        assert found.word == "goes on"


def test_code_is_not_prose():
    python = (
        "films = {'film': anew(blob)}  # a `film`\n"
        "print(f'a {film(1)} {len(blob)} b')\n"
        "goes(); on = 'in'\n"
    )
    assert not vocabulary.check(python, "viba_lib/a.py", RULES)
    page = (
        "`film`, ``blob`` and [a link](film.md)\n\n"
        "```\na film\n```\n\n```bash\nviba data film\n```\n"
        "https://example.org/film {doc}`this page <film>`\n"
    )
    assert not vocabulary.check(page, "page.md", RULES)
    yaml = 'title: "a film"\ncolour: a#film\n'
    assert not vocabulary.check(yaml, "viba_lib/a.yaml", RULES)


@pytest.mark.parametrize("path, text", [
    ("page.md", "```{admonition} A film\n:class: tip\nof it\n```\n"),
    ("page.md", "```{note}\na\n```\n\na film\n\n```{note}\na\n```\n"),
    ("page.md", "````{note}\n```bash\na blob\n```\na film\n````\n"),
    ("page.md", "the {term}`film`\n"),
    ("viba_lib/a.py", '"""A film\nof it."""\n'),
    ("viba_lib/a.py", 'raise ValueError(f"{name} is a film")\n'),
    ("viba_lib/a.py", "x = 1  # a film\n"),
    ("notebooks/a.py", "# %% [markdown]\n# A film.\n"),
    ("viba_lib/a.yaml", "size: 3  # a film\n"),
])  # fmt: skip
def test_prose_is_read_where_it_stands(path, text):
    (found,) = vocabulary.check(text, path, RULES)
    assert found.word == "film" and found.line == 1 + text[: text.index("film")].count("\n")


def test_an_allowed_quotation_is_left_out():
    allow = [{"file": "page.md", "text": "they call it a film"}]
    given = {"term": TERMS, "allow": allow}
    assert not vocabulary.check('"they call it\na film"', "page.md", given)
    assert len(vocabulary.check("they call it a film, a film", "page.md", given)) == 1
    assert len(vocabulary.check("they call it a film", "other.md", given)) == 1


def test_the_linter_ends_with_1_and_names_each_finding(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(vocabulary, "ROOT", tmp_path)
    monkeypatch.setattr(vocabulary, "RULES", tmp_path / "vocabulary.toml")
    monkeypatch.setattr(vocabulary, "rules", lambda: {"term": TERMS})
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "a.md").write_text("a video\n")
    assert vocabulary.main() == 0 and capsys.readouterr().out == ""
    (tmp_path / "README.md").write_text("a blob\n")
    assert vocabulary.main() == 1
    assert capsys.readouterr().out.splitlines()[0].startswith("README.md:1: 'blob'; write: ")
