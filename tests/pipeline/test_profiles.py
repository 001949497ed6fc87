"""Profiles: the shipped ones are valid, wrong ones are refused."""

import subprocess
import sys

import numpy as np
import pytest
import yaml

from viba_lib.bottleneck import BottleneckSettings
from viba_lib.core.errors import VibaError
from viba_lib.pipeline.profiles import load_profile, profile_names
from viba_lib.pipeline.study import Study


@pytest.mark.parametrize("name", profile_names())
def test_profiles_are_valid(name):
    assert load_profile(name).name == name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: x\nnote: y\nxcption: {}", "xception"),
        ("name: [", "not valid YAML"),
        ("- 1", "profile"),
        ("name: x\nnote: 2024-13-45", "month must be in"),
        ("name: x\nname: y", "name is given twice"),
        ("", "name: Field required"),
        ("# nothing but a comment\n", "name: Field required"),
    ],
)
def test_wrong_profiles_are_refused(tmp_path, text, words):
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with pytest.raises(VibaError, match=words):
        load_profile(path)
    with pytest.raises(VibaError, match="does not exist; choose one of"):
        load_profile("slow")


def test_the_suffix_of_a_profile(tmp_path):
    text = yaml.safe_dump(load_profile("tiny").model_dump(mode="json"))
    for name in ("own.yaml", "my own.YAML", "own.yml"):
        (tmp_path / name).write_text(text)
        assert load_profile(tmp_path / name).name == "tiny"
    (tmp_path / "own.txt").write_text(text)
    with pytest.raises(VibaError, match=r"does not end in \.yaml"):
        load_profile(tmp_path / "own.txt")


def test_weights_beside_a_profile_are_found_from_every_folder(tmp_path, monkeypatch):
    content = load_profile("tiny").model_dump(mode="json")
    content["flow"]["weights"] = "w.pth"
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(content))
    monkeypatch.chdir(tmp_path.parent)
    assert load_profile(path).flow.weights == "w.pth", "not a file: the name of another start"
    (tmp_path / "w.pth").touch()
    assert load_profile(path).flow.weights == str(tmp_path / "w.pth")


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
        ({"steps": 2.5}, "bottleneck.steps: .*got 2.5"),
        ({"steps": True}, "bottleneck.steps: .*got True"),
        ({"noise_samples": "2"}, "bottleneck.noise_samples: .*got '2'"),
        ({"beta": float("nan")}, "bottleneck.*beta: .*nan"),
        ({"warm_start": True, "temporal_sigma": 1}, "choose one of them"),
    ],
)
def test_profiles_refuse_what_the_bottleneck_refuses(tmp_path, settings, words):
    with pytest.raises(VibaError, match=words):
        load_changed(tmp_path, settings)


def numbers_of(content, *names):
    """Where a profile has whole numbers."""
    for name, value in content.items():
        if isinstance(value, dict):
            yield from numbers_of(value, *names, name)
        elif isinstance(value, int) and not isinstance(value, bool):
            yield (*names, name)


WHOLE = list(numbers_of(load_profile("tiny").model_dump(mode="json")))


@pytest.mark.parametrize("value", [2.5, 2.0, True, "2", "1e3", "0x10", -1, 10**21, float("inf")])
@pytest.mark.parametrize("names", WHOLE, ids=".".join)
def test_whole_numbers_of_profiles_are_whole(tmp_path, names, value):
    content = load_profile("tiny").model_dump(mode="json")
    place = content
    for name in names[:-1]:
        place = place[name]
    place[names[-1]] = value
    path = tmp_path / "changed.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(VibaError, match=names[-1]):
        load_profile(path)


@pytest.mark.parametrize(
    ("part", "name"),
    [("preparation", "spatial_size"), ("preparation", "flow_size"), ("xception", "size")],
)
def test_images_that_no_memory_holds(tmp_path, part, name):
    content = load_profile("tiny").model_dump(mode="json")
    content[part][name] = 10**8
    path = tmp_path / "large.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(VibaError, match=f"{part}.{name}: .*less than or equal"):
        load_profile(path)


@pytest.mark.parametrize("seed", [0.7, 1.0, True, "7", -1, 2**32, None, float("nan")])
def test_seeds_that_are_no_whole_numbers(tmp_path, seed):
    with pytest.raises(VibaError, match="expected a whole number from 0 to 4294967295"):
        Study("tiny", tmp_path, tmp_path, seed=seed)
    assert Study("tiny", tmp_path, tmp_path, seed=np.int64(7)).seed == 7


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
