"""The faster precision: either can win, the answer is kept, and maps hardly depend on it."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from tests.bottleneck.networks import Skip
from viba_lib.bottleneck import LayerStatistics, PerSampleBottleneck, precision
from viba_lib.bottleneck.precision import choose, dtype_of
from viba_lib.core.errors import VibaError


@pytest.fixture
def clock(monkeypatch, tmp_path):
    """Seconds of a pass by precision, instead of the clock; and what was timed."""
    seconds, timed = {"float32": 1.0, "bfloat16": 0.5}, []

    def pretended(run, name, device):
        run(name)
        timed.append(name)
        return seconds[name]

    monkeypatch.setattr(precision, "_seconds", pretended)
    monkeypatch.setenv(precision.CACHE, str(tmp_path / "cache"))
    return seconds, timed


@pytest.mark.parametrize(
    ("reduced", "wanted"), [(0.5, "bfloat16"), (0.9, "float32"), (2.0, "float32")]
)
def test_the_faster_precision_is_chosen_if_it_gains_enough(clock, reduced, wanted):
    clock[0]["bfloat16"] = reduced
    assert choose("auto", "work", lambda name: None) == wanted


def test_a_precision_that_is_far_slower_is_tried_once(clock):
    clock[0]["bfloat16"] = 15.0
    assert choose("auto", "work", lambda name: None) == "float32"
    assert clock[1] == ["float32", "bfloat16"]


def test_the_answer_is_kept_for_this_machine_and_this_work(clock, monkeypatch):
    first = choose("auto", "work", lambda name: None)
    clock[0]["bfloat16"] = 15.0
    clock[1].clear()
    assert choose("auto", "work", lambda name: None) == first == "bfloat16"
    assert not clock[1], "nothing is timed again"
    assert choose("auto", "other work", lambda name: None) == "float32"
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert choose("auto", "work", lambda name: None) == "float32"


@pytest.mark.parametrize("content", [b"", b"float8", b"\xff"])
def test_a_damaged_answer_is_replaced(clock, tmp_path, content):
    choose("auto", "work", lambda name: None)
    for path in (tmp_path / "cache").rglob("*.txt"):
        path.write_bytes(content)
    clock[1].clear()
    assert choose("auto", "work", lambda name: None) == "bfloat16" and clock[1]
    clock[1].clear()
    assert choose("auto", "work", lambda name: None) == "bfloat16" and not clock[1]


def test_a_folder_that_cannot_be_made_is_no_obstacle(clock, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(precision.CACHE, str(tmp_path / "file" / "below"))
    assert choose("auto", "work", lambda name: None) == "bfloat16"


def test_a_name_is_taken_as_it_is(clock):
    assert choose("float16", "work", lambda name: None) == "float16" and not clock[1]
    for ask in (dtype_of, lambda name: choose(name, "work", print)):
        with pytest.raises(VibaError, match=r"'float8' is not known; choose of .*'auto'"):
            ask("float8")


@pytest.mark.parametrize("faster", ["float32", "bfloat16"])
def test_a_bottleneck_takes_the_faster_one(clock, faster):
    clock[0].update({"float32": 1.0, "bfloat16": 1.0} | {faster: 0.1})
    torch.manual_seed(0)
    model, frames = Skip().eval(), torch.randn(2, 3, 32, 32)
    with pytest.warns(UserWarning, match="are advised"):
        statistics = LayerStatistics.estimate(model, "first", [torch.randn(8, 3, 32, 32)])
    maps = {
        name: PerSampleBottleneck(model, "first", statistics, precision=name).attribute(frames)
        for name in ("auto", "float32", "bfloat16")
    }
    assert set(clock[1]) == {"float32", "bfloat16"}
    torch.testing.assert_close(maps["auto"].capacity, maps[faster].capacity, rtol=0, atol=0)
    plain, reduced = (maps[name].bits_per_pixel.numpy() for name in ("float32", "bfloat16"))
    assert not np.array_equal(plain, reduced)
    for a, b in zip(plain, reduced, strict=True):
        assert spearmanr(a.ravel(), b.ravel()).statistic >= 0.99
