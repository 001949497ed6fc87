"""Methods side by side: four whole files of one shape, and wrong names told before any work."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import xarray as xr
from PIL import Image
from scipy.stats import spearmanr
from torch import nn
from zarr.storage import LocalStore

from tests.command import viba
from viba_lib.baselines.explainers import NAMES
from viba_lib.bottleneck import LayerStatistics
from viba_lib.core.errors import VibaError
from viba_lib.data.clip_store import PreparedClip
from viba_lib.data.source_videos import QUICK_FILES
from viba_lib.data.video import read_video, write_video
from viba_lib.evaluation.domain import DISTANCE, OUTSIDE, Domain
from viba_lib.pipeline import compare_video as side_by_side
from viba_lib.pipeline.compare_video import (
    DEFAULT,
    compare_video,
    draw_comparison,
    parse_methods,
    rank_correlations,
)
from viba_lib.pipeline.study import Study

# Eight frames of noise are few, and do here.
pytestmark = pytest.mark.filterwarnings("ignore:statistics of")
FILES = ["compare.mp4", "maps.zarr", "poster.png", "summary.json"]


@pytest.fixture
def compare(monkeypatch, capsys, tmp_path):
    """Run `viba compare` at the tiny profile; returns exit status, both outputs and the folder."""

    def run(video: Path, *options: object) -> tuple[int, str, str, Path]:
        out = tmp_path / "out"
        roots = ["--data-root", tmp_path / "data", "--results-root", tmp_path / "results"]
        status = viba(
            monkeypatch, "compare", video, "--profile", "tiny", "--out", out, *roots, *options
        )
        said = capsys.readouterr()
        return status, said.out, said.err, out

    return run


@pytest.fixture
def unread(monkeypatch):
    """Reading of a video fails the test: wrong names are told before."""
    monkeypatch.setattr(side_by_side, "read_clip", lambda *_: pytest.fail("the video was read"))


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A small detector and a clip of noise in place of the real ones; returns a weights file."""
    rng, frames = np.random.default_rng(0), np.array([0, 2, 4])
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(6, 8, 3, padding=1),
        nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2),
    ).eval()  # fmt: skip
    points = np.zeros((3, 68, 2), np.float32)
    clip = PreparedClip(
        frame=frames,
        faces=rng.integers(0, 255, (3, 299, 299, 3), dtype=np.uint8),
        pairs=np.zeros((3, 2, 256, 256, 3), np.uint8),
        flow=rng.normal(size=(3, 2, 256, 256)).astype(np.float16),
        landmarks=points,
        next_landmarks=points,
        masks=np.zeros((3, 299, 299), np.uint8),
        squares=np.full((3, 3), 60.0, np.float32),
        tracked=np.zeros(3, np.uint8),
    )

    def opened(study: Study, detector: str, layer: str, *_: Path) -> SimpleNamespace:
        size = study.registered(detector).size
        inputs = torch.randn(8, 3, size, size, generator=torch.Generator().manual_seed(0))
        return SimpleNamespace(layer_statistics=LayerStatistics.estimate(model, layer, [inputs]))

    monkeypatch.setattr(side_by_side, "read_clip", lambda *_: clip)
    monkeypatch.setattr(side_by_side, "check_given", lambda *_: model)
    monkeypatch.setattr(side_by_side, "open_run", opened)
    limits = {DISTANCE: (0.0, np.inf), "resolution": (120.0, np.inf)}
    domain = Domain(np.zeros(6), np.ones(6), limits, "nobody")
    monkeypatch.setattr(side_by_side, "open_domain", lambda *_: domain)
    weights = tmp_path / "weights"
    weights.write_bytes(b"weights")
    return weights


def assert_whole(out: Path, methods: list[str], frames: int) -> dict:
    """All four files, of as many frames and methods; returns the summary."""
    assert sorted(p.name for p in out.iterdir()) == FILES
    summary = json.loads((out / "summary.json").read_text())
    found = xr.open_zarr(LocalStore(out / "maps.zarr"), consolidated=False).load()
    film = read_video(out / "compare.mp4").frames
    assert summary["methods"] == list(found.explainer.values) == methods
    assert len(film) == len(summary["p_fake"]) == len(summary["explained_frames"]) == frames
    assert found.maps.dims == ("explainer", "frame", "y", "x")
    assert found.maps.shape[:2] == (len(methods), frames)
    assert np.isfinite(found.maps).all() and (found.maps >= 0).all()
    assert film.shape[1] % 2 == film.shape[2] % 2 == 0
    np.testing.assert_allclose(found.p_fake, summary["p_fake"], atol=1e-4)
    assert set(summary["seconds_per_frame"]) == set(summary["rank_correlation"]) == set(methods)
    return summary


@pytest.mark.parametrize(("detector", "size"), [("xception", 96), ("flow-vgg11", 64)])
def test_all_files_are_there(compare, small, noise_video, detector, size):
    options = ["--detector", detector, "--weights", small, "--layer", "1", "--passes", 8]
    names = ["--methods", "viba, grad-cam", "--methods", "Edges"]
    status, said, _, out = compare(noise_video, *options, *names)
    assert status == 0 and all(word in said for word in ("VIBA", "Edges", "compare.mp4"))
    methods = ["VIBA", "Grad-CAM", "Edges"]
    summary = assert_whole(out, methods, 3)
    maps = xr.open_zarr(out / "maps.zarr", consolidated=False).maps.load()
    assert maps.shape == (3, 3, size, size)
    a, b = maps.sel(explainer="VIBA").values, maps.sel(explainer="Edges").values
    expected = np.mean([spearmanr(x.ravel(), y.ravel())[0] for x, y in zip(a, b, strict=True)])
    assert summary["rank_correlation"]["VIBA"]["Edges"] == pytest.approx(expected, abs=1e-4)
    assert "none proves that a video is fake" in summary["note"]


def test_a_network_of_three_classes_is_refused_as_by_explain(
    compare, small, noise_video, monkeypatch
):
    model = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                          nn.Linear(6, 3)).eval()  # fmt: skip
    monkeypatch.setattr(side_by_side, "check_given", lambda *_: model)
    given = ["--weights", small, "--layer", "1", "--methods", "Edges"]
    status, _, said, out = compare(noise_video, *given)
    assert status == 2 and "3 classes" in said and not out.exists()


@pytest.mark.parametrize(
    ("video", "out", "written"),
    [
        ("-10:20::30.mp4", "maps::10:20", "maps::10:20"),
        ("%03d.mp4", "50%", "50%"),
        ("b\udce9 :100:.mp4", "b\udce9 :100:", "b\udce9 :100:"),
        ("~clip.mp4", "~clip", "~clip"),
        ("~/clip.mp4", "~/maps", "home/maps"),
    ],
)
def test_names_are_files_and_folders(
    monkeypatch, capsys, tmp_path, small, noise_video, video, out, written
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    Path("home").mkdir()
    noise_video.rename(video.replace("~/", "home/"))
    options = ["--weights", small, "--layer", "1", "--methods", "Edges", "--profile", "tiny"]
    status = viba(monkeypatch, "compare", *options, f"--out={out}", "--", video)
    said = capsys.readouterr().out.replace("\\udce9", "\udce9")
    assert status == 0 and f"{written}: compare.mp4" in said
    summary = assert_whole(tmp_path / written, ["Edges"], 3)
    assert summary["video"] == Path(video).name


def test_a_second_run_replaces_the_files_and_gives_the_same_maps(compare, small, noise_video):
    options = ["--weights", small, "--layer", "1", "--methods", "VIBA,RISE", "--passes", 8]
    runs = []
    for _ in range(2):
        status, _, _, out = compare(noise_video, *options)
        assert status == 0 and sorted(p.name for p in out.iterdir()) == FILES
        runs.append(xr.open_zarr(out / "maps.zarr", consolidated=False).maps.values)
    np.testing.assert_array_equal(*runs)


def test_an_error_while_writing_leaves_nothing_half(compare, small, noise_video, monkeypatch):
    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(side_by_side, "save_maps", full)
    options = ["--weights", small, "--layer", "1", "--methods", "Edges"]
    status, _, said, out = compare(noise_video, *options)
    assert status == 2 and "no space left" in said and not list(out.iterdir())


def test_a_video_outside_the_training_domain_is_named(compare, small, tmp_path):
    """In the printed line, in the summary and above every image; nothing if it is inside."""
    pictures = {}
    for height in (120, 90):
        noise = np.random.default_rng(0).integers(0, 255, (6, height, 160, 3), dtype=np.uint8)
        video = write_video(tmp_path / f"{height}.mp4", noise, 25)
        options = ["--weights", small, "--layer", "1", "--methods", "Edges"]
        status, said, _, out = compare(video, *options)
        summary = assert_whole(out, ["Edges"], 3)
        line = next(line for line in said.splitlines() if line.startswith("p(fake)"))
        assert status == 0 and f"{summary['p_fake_mean']:.3f} (mean of 3 frames)" in line
        assert summary["domain"]["inside"] == (OUTSIDE not in line) == (height == 120)
        frames = read_video(out / "compare.mp4").frames
        pictures[height] = [np.array(Image.open(out / "poster.png")), *frames]
    assert "resolution 90, expected 120 or more" in line
    for inside, outside in zip(*pictures.values(), strict=True):
        assert len(outside) == len(inside) + 22
        amber = outside.astype(int)[..., 0] - outside[..., 2]
        assert amber[:22].max() > 100


def test_other_methods_need_no_statistics(compare, small, noise_video, monkeypatch):
    monkeypatch.setattr(side_by_side, "open_run", lambda *_: pytest.fail("were estimated"))
    options = ["--layer", "1", "--passes", 8, "--methods", "Grad-CAM,Random"]
    assert compare(noise_video, "--weights", small, *options)[0] == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--methods", "VIBA,Grad-CAMM"], ["Grad-CAMM", "Grad-CAM++"]),
        (["--methods", ","], ["no method", "VIBA"]),
        (["--methods", "all", "--layer", "block44"], ["block44", "block4"]),
        (["--detector", "resnet"], ["resnet", "xception"]),
        (["--weights", "absent.safetensors"], ["absent.safetensors", "does not exist"]),
    ],
)
def test_unknown_names_are_refused_first(compare, unread, noise_video, options, words):
    status, _, said, out = compare(noise_video, *options)
    lines = said.splitlines()
    assert status == 2 and not out.exists() and not (out.parent / "results").exists()
    assert len(lines) == 1 and all(word in lines[0] for word in words)


def test_a_file_as_its_folder_is_refused(compare, unread, noise_video, tmp_path):
    (tmp_path / "out").write_text("mine")
    status, _, said, out = compare(noise_video)
    assert status == 2 and out.read_text() == "mine" and "is a file" in said


@pytest.mark.parametrize("option", [["--passes", 7], ["--max-frames", 0]])
def test_numbers_out_of_range_are_refused(compare, unread, noise_video, option):
    status, _, said, out = compare(noise_video, *option)
    assert status == 2 and not out.exists() and "Traceback" not in said


def test_a_small_budget_is_refused_in_python_too(unread, tmp_path, noise_video):
    with pytest.raises(VibaError, match="8 or more"):
        compare_video(noise_video, tmp_path / "out", Study("tiny"), passes=4)


def test_names_come_in_any_case_and_once():
    assert parse_methods(["viba,GRAD-CAM", " Occlusion ,VIBA"]) == ["VIBA", "Grad-CAM", "Occlusion"]
    assert parse_methods(["all"]) == list(NAMES)
    assert parse_methods(["Edges,ALL"])[0] == "Edges"
    assert sorted(parse_methods(["Edges", "all"])) == sorted(NAMES)
    assert parse_methods(DEFAULT) == list(DEFAULT)
    with pytest.raises(VibaError, match="'LIMES'"):
        parse_methods(["all,LIMES"])


def test_rank_correlation_is_scipys_and_leaves_out_constant_maps():
    maps = np.random.default_rng(0).integers(0, 9, (3, 4, 8, 8)).astype(np.float32)
    named = dict(zip("cab", maps, strict=True))
    found = rank_correlations(named)
    assert list(found.index) == list(found.columns) == ["c", "a", "b"]
    flat = maps.reshape(3, 4, -1)
    expected = np.mean([spearmanr(flat[0, t], flat[1, t])[0] for t in range(4)])
    assert (
        found.at["c", "a"] == pytest.approx(expected) and found.at["a", "c"] == found.at["c", "a"]
    )
    np.testing.assert_allclose(np.diag(found), 1)
    maps[0, 1:] = 5.0
    one = spearmanr(flat[0, 0], flat[1, 0])[0]
    assert rank_correlations(named).at["c", "a"] == pytest.approx(one)
    maps[0] = 0.0
    found = rank_correlations(named).to_numpy()
    assert np.isnan(found[0]).all() and np.isfinite(found[1:, 1:]).all()


@pytest.mark.parametrize(("methods", "rows", "columns"), [(1, 1, 2), (4, 2, 4), (13, 4, 4)])
def test_the_grid_has_at_most_four_columns_and_even_sides(methods, rows, columns):
    images = np.full((2, 63, 63, 3), 128, np.uint8)
    maps = {name: np.ones((2, 63, 63), np.float32) for name in NAMES[:methods]}
    film = draw_comparison(images, maps, np.array([0.1, 0.9]))
    assert len(film) == 2 and film.dtype == np.uint8
    assert not any(n % 2 for n in film.shape[1:3])
    assert film.shape[2] / columns == pytest.approx(film.shape[1] / rows, rel=0.2)
    # The input stands alone in the first tile; the ground shows where no tile is.
    assert (film == 128).all(-1).mean() > 0.4 / (rows * columns)
    assert (film[:, :2] == 24).all() and (film[0] != film[1]).any()


def test_each_method_has_its_own_scale_and_its_name():
    images = np.full((1, 64, 64, 3), 128, np.uint8)
    ramp = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(1, 64, 64)
    film = draw_comparison(images, {"VIBA": ramp, "LIME": 1000 * ramp}, np.zeros(1))[0]
    alone = draw_comparison(images, {"VIBA": ramp, "VIBA ": ramp}, np.zeros(1))[0]
    height = film.shape[0] // 2
    np.testing.assert_allclose(film[:height].astype(int), alone[:height], atol=1)
    assert (film[height:] != alone[height:]).any()


@pytest.mark.network
def test_a_real_face_at_the_tiny_profile(monkeypatch, capsys, fetched, tmp_path):
    roots = fetched
    file = next(f for f in QUICK_FILES if f.name == "single_face.mp4")
    film = read_video(roots[0] / "sources" / f"{file.sha256[:8]}_{file.name}", max_frames=8)
    clip = write_video(tmp_path / "clip.mp4", film.frames, film.rate)
    options = ["--data-root", roots[0], "--results-root", roots[1], "--max-frames", 2]
    options += ["--passes", 8, "--profile", "tiny", "--out", tmp_path / "out"]
    assert viba(monkeypatch, "compare", clip, *options) == 0
    assert "Traceback" not in capsys.readouterr().err
    summary = assert_whole(tmp_path / "out", list(DEFAULT), 2)
    assert summary["layer"] == "block4" and len(summary["weights_sha256"]) == 64
