"""YAML that people write: each key once, and no traceback for an impossible value."""

import pytest

from viba_lib.core.yaml_text import read_yaml


def test_values_are_typed_or_text():
    assert read_yaml("a: 1\nb: [x, 2]") == {"a": 1, "b": ["x", 2]}
    assert read_yaml(b"a: 007\nb: NO", typed=False) == {"a": "007", "b": "NO"}


@pytest.mark.parametrize("typed", [True, False])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3", "a is given twice below line 1"),
        ("x:\n  a: 1\n  a: 2", "a is given twice below line 2"),
        ("a: [", "expected"),
        ("[" * 5000, "."),
    ],
)
def test_a_mistake_is_named(text, expected, typed):
    with pytest.raises(ValueError, match=expected):
        read_yaml(text, typed)


def test_an_impossible_date_is_a_mistake():
    with pytest.raises(ValueError, match="month must be in"):
        read_yaml("note: 2024-13-45")


def test_merged_keys_may_be_overridden():
    text = "base: &base {a: 1, b: 2}\nown: {<<: *base, a: 3}"
    assert read_yaml(text)["own"] == {"a": 3, "b": 2}
