"""Parameters say what they are; wrong names and values are refused with the right ones."""

import re

import pytest
from typer.testing import CliRunner

from viba_lib.book import chapters, parameters
from viba_lib.book.parameters import Parameter
from viba_lib.book.paths import BookError
from viba_lib.cli import main as cli

CHAPTERS = chapters.chapters()
each = pytest.mark.parametrize("source", CHAPTERS, ids=[c.stem for c in CHAPTERS])


@each
def test_every_parameter_says_what_it_is_and_its_default_is_right(source):
    for parameter in parameters.described(source):
        assert parameter.meaning and parameter.rule
        assert parameter.value(str(parameter.default)) is not None


@each
def test_papermill_finds_every_assignment(source):
    (cell,) = (
        c for c in chapters.as_notebook(source).cells if "parameters" in c.metadata.get("tags", [])
    )
    assert re.findall(r"(?m)^(\w+) =", cell.source) == list(parameters.parameters_of(source))


@each
def test_wrong_values_are_refused_with_the_right_ones(source):
    for parameter in parameters.described(source):
        wrong = {"int": "2.5", "float": "nan", "bool": "2"}.get(parameter.type_name)
        wrong = "no-such-thing" if parameter.choices else wrong
        if wrong is None:
            continue
        with pytest.raises(BookError, match=rf"parameter {parameter.name} is") as caught:
            parameter.value(wrong)
        for choice in parameter.choices or [parameter.type_name]:
            assert choice in str(caught.value)


@pytest.mark.parametrize(
    ("default", "rule", "right", "wrong"),
    [
        (1, "at least 0", ["0", "7"], ["-1", "1.0", "True", "x", "", "1e3", "0x10", "NaN", "inf"]),
        (1.0, "above 0", ["0.1", "3"], ["0", "-2", "inf", "nan", "'1'"]),
        (0.5, "from 0 to 1", ["0", "1", "0.3"], ["1.01", "-0.1"]),
        ("a", "one of a, b c", ["a", "b c"], ["A", "b", ""]),
        (False, "one of True, False", ["True", "False"], ["1", "true", "yes"]),
        ("", "any text", ["", "x"], []),
        ("cpu", "a device", ["cpu"], ["gpu", "cuda:99", ""]),
        (0, "one of 0, 1", ["1"], ["2"]),
    ],
)
def test_rules(default, rule, right, wrong):
    parameter = Parameter("x", default, "a thing", rule)
    for text in right:
        assert type(parameter.value(text)) is type(default)
    for text in wrong:
        with pytest.raises(BookError, match="parameter x is"):
            parameter.value(text)


def test_a_comment_without_a_rule_is_refused(tmp_path):
    source = tmp_path / "01_one.py"
    source.write_text('# %% tags=["parameters"]\nbeta = 1.0  # weight\n')
    with pytest.raises(BookError, match="`meaning; rule`"):
        parameters.described(source)


def test_pairs_of_the_command_line():
    assert parameters.pairs_of(["layer", "beta=5", "k"], ["block12", "x=y"]) == [
        ("layer", "block12"), ("beta", "5"), ("k", "x=y")
    ]  # fmt: skip
    with pytest.raises(BookError, match="has no value"):
        parameters.pairs_of(["layer"], [])
    with pytest.raises(BookError, match="not understood"):
        parameters.pairs_of([], ["--otu", "x"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-p", "layer", "block99"], ["block12", "features.9", "all"]),
        (["-p", "layr", "block12"], ["'layr'", "layer", "beta"]),
        (["-p", "beta", "-5"], ["'-5'", "at least 0"]),
        (["-p", "profile", "fast"], ["quick", "standard", "paper"]),
        (["-p", "seed=minus"], ["int, from 0 to 4294967295"]),
        (["-p", "layer"], ["no value"]),
        (["--unknown", "1"], ["--unknown"]),
    ],
)
def test_the_command_refuses_and_writes_nothing(words, said, tmp_path):
    out = tmp_path / "out.ipynb"
    done = CliRunner().invoke(cli.app, ["chapter", "05", *words, "--out", str(out)])
    text = str(done.exception) + done.output
    assert done.exit_code != 0
    for part in said:
        assert part in text
    assert not out.exists()


def test_the_page_lists_every_parameter_of_every_chapter():
    page = parameters.parameters_page()
    for source in CHAPTERS:
        assert f"(parameters-{chapters.key_of(source.stem)})=" in page
        for parameter in parameters.described(source):
            assert (
                f"| `{parameter.name}` | {parameter.type_name} | `{parameter.default!r}` |" in page
            )
    assert "viba chapter 05 -p layer" in page
