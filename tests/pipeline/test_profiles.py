"""Profiles: the shipped ones are valid, wrong ones are refused."""

import subprocess
import sys

import pytest
import yaml

from viba_lib.bottleneck import BottleneckSettings
from viba_lib.core.errors import VibaError
from viba_lib.pipeline.profiles import load_profile, profile_names


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


def load_changed(tmp_path, settings):
    """The profile tiny with other settings of the bottleneck."""
    path = tmp_path / "changed.yaml"
    content = load_profile("tiny").model_dump(mode="json") | {"bottleneck": settings}
    path.write_text(yaml.safe_dump(content))
    return load_profile(path)


@pytest.mark.parametrize(
    "settings", [{"precision": "float16"}, {"beta": 0}, {"steps": 40, "antithetic": True}]
)
def test_profiles_allow_what_the_bottleneck_allows(tmp_path, settings):
    assert load_changed(tmp_path, settings).bottleneck == BottleneckSettings(**settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"steps": 0}, "bottleneck.steps: .*got 0"),
        ({"precision": "float8"}, "bottleneck.precision: .*'float16'"),
        ({"betta": 1}, "bottleneck.betta"),
        ({"warm_start": True, "temporal_sigma": 1}, "choose one of them"),
    ],
)
def test_profiles_refuse_what_the_bottleneck_refuses(tmp_path, settings, words):
    with pytest.raises(VibaError, match=words):
        load_changed(tmp_path, settings)


@pytest.mark.slow
def test_a_script_without_a_guard_is_told_so(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import multiprocessing\n"
        "from viba_lib.pipeline.study import Study\n"
        "Study('tiny')\n"
        "if __name__ == '__main__':\n"
        "    process = multiprocessing.get_context('spawn').Process(target=print)\n"
        "    process.start()\n"
        "    process.join(60)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    assert "under `if __name__ == '__main__':`" in done.stderr
