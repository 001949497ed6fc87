"""Profiles: the shipped ones are valid, wrong ones are refused."""

import pytest

from viba_lib.errors import VibaError
from viba_lib.profiles import load_profile, profile_names


@pytest.mark.parametrize("name", profile_names())
def test_profiles_are_valid(name):
    assert load_profile(name).name == name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: x\nnote: y\nxcption: {}", "xception"),
        ("name: [", "not valid YAML"),
        ("- 1", "profile"),
    ],
)
def test_wrong_profiles_are_refused(tmp_path, text, words):
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with pytest.raises(VibaError, match=words):
        load_profile(path)
    with pytest.raises(VibaError, match="choose one of"):
        load_profile("slow")
