"""The forged region from a fake and its original, on a tree with the layout of FaceForensics++."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from viba_lib.cli.main import app
from viba_lib.core.cache import Work
from viba_lib.data.catalog import load_catalog, save_catalog, validate_catalog
from viba_lib.data.prepare import PreparationSettings, prepare_catalog
from viba_lib.data.readers import read_source
from viba_lib.data.true_masks import changed_region, with_true_masks
from viba_lib.data.video import read_video, write_video
from viba_lib.evaluation.consistency import iou

FAKE = "faceforensics-Deepfakes-071_054"


@pytest.fixture
def forged(face_frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The face with an altered mouth, and the region that was altered (T, H, W)."""
    fake, where = face_frames.copy(), np.zeros(face_frames.shape[:3], np.uint8)
    height, width = where.shape[1:]
    for t in range(len(fake)):
        cv2.circle(where[t], (width // 2, height // 2), height // 8, 1, -1)
        fake[t][where[t] > 0] = 255 - fake[t][where[t] > 0]
    return fake, where > 0


@pytest.fixture
def tree(tmp_path: Path, face_frames: np.ndarray, forged) -> Path:
    """Two originals and four fakes: one by method, one with a mask of the data set's own."""
    root = tmp_path / "FaceForensics++"
    for name in ("071", "054"):
        write_video(root / f"original_sequences/youtube/c23/videos/{name}.mp4", face_frames, 25, 23)
    for method in ("Deepfakes", "Face2Face"):
        for name in ("071_054", "054_071"):
            path = root / f"manipulated_sequences/{method}/c23/videos/{name}.mp4"
            write_video(path, forged[0], 25, 23)
    own = root / "manipulated_sequences/Face2Face/masks/videos/054_071.mp4"
    write_video(own, face_frames, 25)
    return root


def test_a_region_is_found_under_noise_of_compression(face_frames, forged) -> None:
    rng = np.random.default_rng(0)
    noisy = [
        np.clip(f + rng.normal(0, 2, f.shape), 0, 255).astype(np.uint8)
        for f in (face_frames[0], forged[0][0])
    ]
    assert iou(changed_region(*noisy) > 0, forged[1][0]) > 0.8
    assert not changed_region(face_frames[0], noisy[0]).any()


def test_fakes_of_faceforensics_get_masks_and_keep_their_own(tree, tmp_path, forged) -> None:
    catalog = read_source("faceforensics", tree)
    found, problems = with_true_masks(catalog, tree, tmp_path / "masks", Work())
    fakes = found[found.label == "fake"].set_index("video_id")
    assert problems.empty and (fakes.mask_path != "").all()
    assert (found[found.label == "real"].mask_path == "").all()
    assert fakes.mask_path["faceforensics-Face2Face-054_071"].endswith("masks/videos/054_071.mp4")
    masks = read_video(fakes.mask_path[FAKE], format="gray").frames > 0
    assert np.mean([iou(*pair) for pair in zip(masks, forged[1], strict=True)]) > 0.8
    settings = PreparationSettings(frames_per_video=2, spatial_size=64, flow_size=64)
    done = prepare_catalog(
        found[found.video_id == FAKE], tree, tmp_path / "out", settings, 0, Work()
    )
    assert done.problems.empty


def test_fakes_without_a_mask_are_named_with_the_reason(tree, tmp_path, face_frames) -> None:
    videos = tree / "manipulated_sequences/Deepfakes/c23/videos"
    write_video(videos / "071_054.mp4", face_frames[:, ::2, ::2], 25)
    write_video(videos / "054_071.mp4", np.concatenate([face_frames, face_frames[:2]]), 25)
    other = 255 - face_frames
    write_video(tree / "manipulated_sequences/Face2Face/c23/videos/071_054.mp4", other, 25)
    write_video(tree / "manipulated_sequences/Deepfakes/c23/videos/099_071.mp4", face_frames, 25)
    catalog = read_source("faceforensics", tree)
    found, problems = with_true_masks(catalog, tree, tmp_path / "masks", Work())
    reasons = problems.set_index("video_id").reason
    for name, reason in {
        "Deepfakes-071_054": "expected one size",
        "Deepfakes-054_071": "ends after",
        "Face2Face-071_054": "of the frame; expected the video that it was made of",
        "Deepfakes-099_071": "original faceforensics-real-099 is not in the catalog",
    }.items():
        assert reason in reasons[f"faceforensics-{name}"]
    assert (found.mask_path != "").sum() == 1
    assert not list((tmp_path / "masks").iterdir())


@pytest.mark.slow
def test_the_command_replaces_the_catalog_and_makes_no_mask_twice(tree, tmp_path) -> None:
    path = save_catalog(read_source("faceforensics", tree), tmp_path / "catalog.parquet")
    command = ["data", "masks", str(path), "--profile", "tiny"]
    command += ["--data-root", str(tmp_path), "--results-root", str(tmp_path / "results")]
    written = []
    for _ in range(2):
        save_catalog(load_catalog(path).assign(mask_path=""), path)
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0 and "4 of 4 fakes have masks" in done.output
        written.append({p: p.stat().st_mtime_ns for p in (tmp_path / "masks").iterdir()})
    assert len(written[0]) == 4 and written[0] == written[1]
    masks = load_catalog(path).set_index("video_id").mask_path
    assert masks[FAKE].startswith("masks/") and (tmp_path / masks[FAKE]).is_file()


def test_a_catalog_without_fakes_stays_as_it_is(tmp_path) -> None:
    catalog = pd.DataFrame({"video_id": ["a"], "path": ["a.mp4"], "label": ["real"]})
    path = save_catalog(catalog, tmp_path / "catalog.parquet")
    found, problems = with_true_masks(load_catalog(path), tmp_path, tmp_path / "masks", Work())
    pd.testing.assert_frame_equal(found, load_catalog(path))
    assert problems.empty


def test_a_catalog_elsewhere_finds_videos_and_masks(tree, tmp_path, monkeypatch) -> None:
    (tmp_path / "sets").mkdir()
    shutil.move(tree, tmp_path / "sets" / "ff")
    known = read_source("faceforensics", tmp_path / "sets" / "ff")
    relative = [str(Path(p).relative_to(tmp_path / "sets")) for p in known.path]
    table = tmp_path / "sets" / "known.csv"
    save_catalog(known.assign(path=relative, mask_path=""), table)
    unrelated = tmp_path / "sets" / "known.parquet"
    unrelated.write_text("another file")
    roots = ["--profile", "tiny", "--data-root", str(tmp_path)]
    roots += ["--results-root", str(tmp_path / "results")]
    elsewhere = tmp_path / "new" / "masked.csv"
    for out in (["--out", str(elsewhere)], []):
        done = CliRunner().invoke(app, ["data", "masks", str(table), *roots, *out])
        assert done.exit_code == 0, done.output
        written = elsewhere if out else table
        found = load_catalog(written)
        fakes = found[found.label == "fake"]
        assert all((written.parent / p).is_file() for p in [*found.path, *fakes.mask_path])
    assert unrelated.read_text() == "another file"
    refused = CliRunner().invoke(app, ["data", "masks", str(table), *roots, "--out", "x.txt"])
    assert refused.exit_code != 0 and "no name of a catalog" in str(refused.exception)


@pytest.mark.parametrize("original", ["the same part", "the complete file"])
def test_masks_of_a_part_are_those_of_its_frames(tmp_path, original) -> None:
    frames = np.full((40, 96, 128, 3), 90, np.uint8)
    write_video(tmp_path / "real.mp4", frames, 10, 10)
    for number, frame in enumerate(frames):
        frame[32:64, 2 * number : 2 * number + 32] = 250
    write_video(tmp_path / "fake.mp4", frames, 10, 10)
    part = {"start": 1.0, "end": 3.0}
    catalog = validate_catalog(pd.DataFrame([
        {"video_id": "r", "path": "real.mp4", "label": "real"}
        | (part if original == "the same part" else {}),
        {"video_id": "f", "path": "fake.mp4", "label": "fake", "original": "r"} | part,
    ]))  # fmt: skip
    found, problems = with_true_masks(catalog, tmp_path, tmp_path / "masks", Work())
    assert problems.empty
    row = found.set_index("video_id").loc["f"]
    masks = read_video(tmp_path / row.mask_path, row.start, row.end, format="gray").frames
    assert len(masks) == 20
    for number in (0, 7, 19):
        columns = np.flatnonzero(masks[number].any(0))
        assert abs(columns.mean() - (2 * (number + 10) + 15.5)) < 2
    moved = catalog.assign(start=[0.5 if s == 1 else s for s in catalog.start])
    again, _ = with_true_masks(moved, tmp_path, tmp_path / "masks", Work())
    assert again.mask_path.iloc[1] != row.mask_path, "another part has masks of its own"
