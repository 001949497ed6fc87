"""Long videos and many videos, as `viba bench scale` measures and projects them."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest

from viba_lib.cli import bench as cli_bench
from viba_lib.core.errors import VibaError
from viba_lib.data.video import VideoReader
from viba_lib.experiments import scaling
from viba_lib.pipeline.study import Study


@pytest.mark.network
def test_a_video_has_the_given_length_and_size(study, tmp_path):
    path = scaling.long_video(study, tmp_path / "video.mp4", 1.0, (320, 180))
    turns = range(0, 60 * scaling.RATE, scaling.LONGEST_LOOP)
    with VideoReader(path) as video:
        assert video.length == 60 * scaling.RATE
        frames = list(video.frames(range(2 * scaling.RATE)))
        loop = list(video.frames(turns))
    assert frames[0].shape == (180, 320, 3)
    # Each turn of the loop shows the same frames, and does not jump at its end.
    assert len(loop) == 6 and all(np.array_equal(f, loop[0]) for f in loop)
    steps = [np.abs(a.astype(int) - b).mean() for a, b in itertools.pairwise(frames)]
    assert 0 < max(steps) < 20


def rows_of(seconds, minutes=(1, 2, 5, 10)):
    return [{"minutes": m, "seconds": s, "explained": 6 * m}
            for m, s in zip(minutes, seconds, strict=True)]  # fmt: skip


def test_a_line_is_distinguished_from_faster_growth():
    straight = scaling.line(rows_of([8, 12, 24, 44]))
    assert straight["fixed"] == pytest.approx(4) and straight["per_minute"] == pytest.approx(4)
    assert straight["exponent"] == pytest.approx(1) and straight["r2"] == pytest.approx(1)
    square = scaling.line(rows_of([1, 4, 25, 100]))
    assert square["exponent"] > scaling.MAX_EXPONENT
    assert np.isnan(scaling.line(rows_of([8], (1,)))["exponent"])


def test_a_projection_multiplies_and_counts_the_networks_alone():
    row = {"seconds": 36.0, "explained": 60.0}
    few, many = scaling.projection(row, 1e12, 10, 1.0, measured_on_gpu=False)
    assert few["videos"] == 1_000 and few["worker_hours"] == pytest.approx(10)
    assert few["days"] == pytest.approx(1 / 24)
    assert few["gpu_hours"] == pytest.approx(60 * 1000 / 3600)
    assert many["worker_hours"] == pytest.approx(10_000)
    measured, _ = scaling.projection(row, 1e12, 10, 1.0, measured_on_gpu=True)
    assert measured["gpu_hours"] == measured["worker_hours"]


@pytest.fixture
def untrained(tmp_path):
    """A study without data."""
    return Study("tiny", tmp_path / "data", tmp_path / "results")


def test_operations_count_each_step_and_sample(untrained):
    few = scaling.operations(untrained, "xception")
    settings = untrained.profile.bottleneck
    untrained.profile.bottleneck = replace(settings, steps=3 * settings.steps)
    more = scaling.operations(untrained, "xception")
    assert 2 < more / few < 3


@pytest.mark.slow
@pytest.mark.network
def test_memory_does_not_grow_with_the_video(study):
    """Two videos, one six times as long."""
    short, long = scaling.scale_rows(study, "xception", (0.1, 0.6), 20, (640, 360))
    assert (short["explained"], long["explained"]) == (2, 12)
    assert long["frames"] == 6 * short["frames"]
    # A decoded frame has 0.66 MiB; the frames by which the second video is longer have 494 MiB.
    assert long["memory"] - short["memory"] < 150


@pytest.fixture
def scale(monkeypatch, tmp_path):
    """Runs the command on given measurements, and returns the rows of its file."""

    def run(seconds, memory):
        rows = [row | {"frames": 1500, "memory": memory} for row in rows_of(seconds)]
        monkeypatch.setattr(scaling, "scale_rows", lambda *given: iter(rows))
        out = tmp_path / "scale.json"
        given = {"data_root": tmp_path, "results_root": tmp_path, "profile": "tiny", "out": out}
        given |= {"minutes": "1,2", "per_minute": 6, "size": "320x180", "detector": "xception"}
        cli_bench.scale(**given, workers=4, teraflops=20.0, device="cpu", seed=0)
        written = json.loads(out.read_text())
        assert written["rows"] == rows and [r["videos"] for r in written["growth"]] == [1e3, 1e6]

    return run


def test_the_command_prints_a_table_a_line_and_a_projection(scale, capsys):
    scale([8, 12, 24, 44], memory=900)
    printed = capsys.readouterr().out
    assert "MiB at most" in printed and "seconds = 4.0 + 4.00 x minutes" in printed
    assert "1,000,000" in printed


@pytest.mark.parametrize(
    ("seconds", "memory"), [([1, 4, 25, 100], 900), ([8, 12, 24, 44], 4096)], ids=["time", "memory"]
)
def test_the_command_fails_if_time_or_memory_grows_too_fast(scale, seconds, memory):
    with pytest.raises(cli_bench.typer.Exit) as end:
        scale(seconds, memory)
    assert end.value.exit_code == 1


@pytest.mark.parametrize("minutes", ["", "one", "-1", "0", "nan"])
def test_lengths_that_are_none_are_refused(minutes):
    with pytest.raises(VibaError, match="expected numbers such as"):
        cli_bench._numbers(minutes)


@pytest.mark.parametrize("size", ["1080", "1920x", "641x360", "axb", "0x0"])
def test_sizes_that_are_none_are_refused(size):
    with pytest.raises(VibaError, match="expected even numbers"):
        cli_bench._size(size)
