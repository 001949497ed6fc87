"""From made videos to prepared clips, and what becomes of bad ones."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from distributed import LocalCluster

from viba_lib.core.cache import Work
from viba_lib.core.errors import VibaError
from viba_lib.data.clip_store import PreparedClip, load_clip
from viba_lib.data.faces import NoFaceError
from viba_lib.data.flow import farneback
from viba_lib.data.prepare import (
    Preparation,
    PreparationSettings,
    account,
    choose_frames,
    prepare_catalog,
    prepare_video,
    prepared_rows,
)
from viba_lib.data.video import VideoError, write_video

SETTINGS = PreparationSettings(frames_per_video=2, spatial_size=99, flow_size=64)


def assert_same(one, other):
    for name in ("index", "frames", "problems"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name))


@pytest.fixture(scope="module")
def clip(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> PreparedClip:
    out = tmp_path_factory.mktemp("out") / "clips" / "face.zarr.zip"
    row = {"video_id": "face", "path": "face.mp4", "mask_path": "mask.mkv"}
    facts = prepare_video(row, videos, out, SETTINGS)
    assert (facts["decoded"], len(facts["chosen"]), facts["lost"]) == (6, 2, [])
    assert facts["shape"] == [240, 320], "height and width"
    assert [p.name for p in out.parent.iterdir()] == ["face.zarr.zip"]
    return load_clip(out)


def test_shapes_and_types_are_those_promised(clip: PreparedClip) -> None:
    shapes = {name: (a.shape, a.dtype.name) for name, a in clip.__dict__.items()}
    assert shapes == {
        "frame": ((2,), "int64"),
        "faces": ((2, 99, 99, 3), "uint8"),
        "pairs": ((2, 2, 64, 64, 3), "uint8"),
        "flow": ((2, 2, 64, 64), "float16"),
        "landmarks": ((2, 68, 2), "float32"),
        "next_landmarks": ((2, 68, 2), "float32"),
        "masks": ((2, 99, 99), "uint8"),
        "squares": ((2, 3), "float32"),
        "tracked": ((2,), "uint8"),
    }
    assert np.all(np.diff(clip.frame) > 0) and clip.frame[-1] < 5


def test_the_face_fills_the_crop(clip: PreparedClip) -> None:
    inside = (clip.landmarks > 0) & (clip.landmarks < 1)
    assert inside.mean() > 0.95
    assert np.ptp(clip.landmarks[..., 0]) > 0.4


def test_flow_is_that_of_the_stored_pair(clip: PreparedClip) -> None:
    again = farneback(*clip.pairs[0]).transpose(2, 0, 1)
    np.testing.assert_allclose(clip.flow[0], again, atol=0.02)
    # The photograph moves to the right by 2 pixels of the frame.
    right = 2 * 64 / clip.squares[0, 2]
    assert np.median(clip.flow[0, 0]) == pytest.approx(right, abs=0.3)


def test_the_mask_is_cut_with_the_same_square(clip: PreparedClip) -> None:
    edge = (160 - (clip.squares[0, 0] - clip.squares[0, 2] / 2)) / clip.squares[0, 2] * 99
    row = clip.masks[0, 50]
    assert row[max(0, round(edge) - 3)] == 255 and row[min(98, round(edge) + 3)] == 0


def test_videos_without_a_mask_get_an_empty_one(face_frames: np.ndarray) -> None:
    (row,) = prepared_rows(enumerate(face_frames), np.array([0]), SETTINGS)
    assert row["masks"].shape == (99, 99) and row["masks"].max() == 0


def test_frames_without_a_face_are_left_out(face_frames: np.ndarray) -> None:
    blank = np.zeros_like(face_frames[0])
    frames = list(enumerate([*face_frames[:2], blank, blank]))
    (row,) = prepared_rows(frames, np.array([0, 2]), SETTINGS)
    assert row["frame"] == 0
    assert list(prepared_rows(frames, np.array([2]), SETTINGS)) == []


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("one.mp4", VideoError, "a flow map needs two"),
        ("shapes.mp4", NoFaceError, "no face"),
        ("text.mp4", VideoError, "cannot be read"),
        ("cut.mp4", VideoError, "cannot be read"),
        ("empty.mp4", VideoError, "cannot be read"),
        ("absent.mp4", VideoError, "does not exist"),
        ("../face.mp4", VibaError, "leads out of"),
    ],
)
def test_bad_videos_say_what_is_wrong_and_leave_nothing(
    videos: Path, tmp_path: Path, name: str, error: type[VibaError], said: str
) -> None:
    with pytest.raises(error, match=said):
        prepare_video({"video_id": "x", "path": name}, videos, tmp_path / "x.zarr.zip", SETTINGS)
    assert list(tmp_path.iterdir()) == []


def test_a_piece_of_a_longer_video(videos: Path, tmp_path: Path) -> None:
    row = {"video_id": "x", "path": "face.mp4", "start": 0.08, "end": 0.20}
    prepare_video(row, videos, tmp_path / "x.zarr.zip", SETTINGS)
    # Frames 2, 3 and 4 of the video; the last is a successor only.
    assert load_clip(tmp_path / "x.zarr.zip").frame.tolist() == [0, 1]


def test_a_catalog_with_bad_videos_goes_on(videos: Path, tmp_path: Path) -> None:
    names = ["face", "text", "one", "shapes", "absent"]
    catalog = pd.DataFrame({"video_id": names, "path": [f"{n}.mp4" for n in names]})
    done = prepare_catalog(catalog, videos, tmp_path, SETTINGS, 0, Work())
    assert done.index.to_dict("records") == [{
        "video_id": "face", "path": "clips/face.zarr.zip", "decoded": 6, "damage": "",
        "key_frames": done.index.key_frames[0], "chosen": 2, "frames": 2, "tracked": 0,
    }]  # fmt: skip
    problems = done.problems
    assert problems.video_id.tolist() == names[1:] and problems.frame.isna().all()
    assert set(problems.stage) == {"prepare"} and problems.reason.str.len().min() > 20
    counts = account(catalog, done).set_index("what").number
    assert counts["videos in the catalog"] == 5 and counts["videos left out"] == 4
    short = dataclasses.replace(done, problems=problems.head(3))
    with pytest.raises(VibaError, match="do not add up"):
        account(catalog, short)


def test_finished_videos_are_not_prepared_again(videos: Path, tmp_path: Path) -> None:
    catalog = pd.DataFrame({"video_id": ["face"], "path": ["face.mp4"]})
    first = prepare_catalog(catalog, videos, tmp_path, SETTINGS, 0, Work())
    gone = catalog.assign(path="absent.mp4")
    again = prepare_catalog(gone, videos, tmp_path, SETTINGS, 0, Work())
    assert_same(first, again)
    assert again.problems.empty


def test_nothing_to_prepare_is_an_error(videos: Path, tmp_path: Path) -> None:
    catalog = pd.DataFrame({"video_id": ["a"], "path": ["text.mp4"]})
    with pytest.raises(VibaError, match=r"none of 1 videos.*text\.mp4"):
        prepare_catalog(catalog, videos, tmp_path, SETTINGS, 0, Work())


@pytest.mark.slow
def test_whoever_does_the_work_the_result_is_the_same(videos: Path, tmp_path: Path) -> None:
    good = ["face0", "face1", "face2"]
    for name in good:
        shutil.copy(videos / "face.mp4", tmp_path / f"{name}.mp4")
    shutil.copy(videos / "text.mp4", tmp_path / "text.mp4")
    names = ["face0", "text", "face1", "gone", "face2"]
    catalog = pd.DataFrame({"video_id": names, "path": [f"{n}.mp4" for n in names]})

    def prepared(name: str, **who: object) -> Preparation:
        return prepare_catalog(catalog, tmp_path, tmp_path / name, SETTINGS, 5, Work(**who))

    found = {f"{n} workers": prepared(f"{n} workers", workers=n) for n in (1, 2, 3)}
    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0"
    ) as cluster:
        found["cluster"] = prepared("cluster", scheduler=cluster.scheduler_address)
    for name, other in found.items():
        assert_same(found["1 workers"], other)
        for clip in good:
            file = f"clips/{clip}.zarr.zip"
            one, two = (tmp_path / folder / file for folder in ("1 workers", name))
            assert one.read_bytes() == two.read_bytes()


def test_a_second_run_remembers_which_frames_had_no_face(
    face_frames: np.ndarray, tmp_path: Path
) -> None:
    blank = np.zeros_like(face_frames[0])
    film = [*face_frames[:2], blank, blank, *face_frames[:2]]
    write_video(tmp_path / "v.mp4", np.stack(film), 25)
    catalog = pd.DataFrame({"video_id": ["v"], "path": ["v.mp4"]})
    many = SETTINGS.model_copy(update={"frames_per_video": 5})
    first = prepare_catalog(catalog, tmp_path, tmp_path / "out", many, 0, Work())
    again = prepare_catalog(catalog, tmp_path, tmp_path / "out", many, 0, Work())
    assert set(first.problems.reason) == {"no face"} and first.problems.frame.between(1, 3).all()
    assert_same(first, again)
    counts = account(catalog, again).set_index("what").number
    assert counts["frames chosen"] == counts["frames kept"] + counts["frames left out"] == 5


def differences(peaks: int) -> np.ndarray:
    signal = np.ones(200)
    signal[10 : 10 + 15 * peaks : 15] = np.linspace(5, 9, peaks)
    return signal


def test_of_many_key_frames_some_are_drawn_by_the_seed() -> None:
    many = SETTINGS.model_copy(update={"frames_per_video": 4})
    drawn, found = choose_frames(differences(10), many, "a", seed=1)
    assert found == 10 and len(drawn) == 4 and set(drawn) <= set(range(10, 160, 15))
    np.testing.assert_array_equal(drawn, choose_frames(differences(10), many, "a", seed=1)[0])
    others = [choose_frames(differences(10), many, *key)[0] for key in (("b", 1), ("a", 2))]
    assert any(drawn.tolist() != other.tolist() for other in others)
    strongest = many.model_copy(update={"choose": "strongest"})
    highest, _ = choose_frames(differences(10), strongest, "a", seed=1)
    assert highest.tolist() == [100, 115, 130, 145]
    few, found = choose_frames(differences(2), many, "a", seed=1)
    assert found == 2 and len(few) == 4 and {10, 25} <= set(few.tolist())
