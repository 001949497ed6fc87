"""From made videos to prepared clips, and what becomes of bad ones."""

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from distributed import LocalCluster

from viba_lib.data.clips import ClipStore
from viba_lib.data.faces import NoFaceError
from viba_lib.data.flow import farneback
from viba_lib.data.preparation import (
    PreparationSettings,
    PreparedClip,
    load_clip,
    prepare_catalog,
    prepare_frames,
    prepare_video,
)
from viba_lib.errors import VibaError
from viba_lib.video import VideoError, write_video

SETTINGS = PreparationSettings(frames_per_video=2, spatial_size=99, flow_size=64)


@pytest.fixture(scope="module")
def clip(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> PreparedClip:
    out = tmp_path_factory.mktemp("out") / "clips" / "face.npz"
    row = {"video_id": "face", "path": "face.mp4", "mask_path": "mask.mkv"}
    assert prepare_video(row, videos, out, SETTINGS) == {
        "video_id": "face", "frames": 2, "lost": [],
    }  # fmt: skip
    assert [p.name for p in out.parent.iterdir()] == ["face.npz"]
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
    clip, lost = prepare_frames(dict(enumerate(face_frames)), np.array([0]), SETTINGS)
    assert clip is not None and clip.masks.max() == 0 and lost == []


def test_frames_without_a_face_are_dropped_and_named(face_frames: np.ndarray) -> None:
    frames = dict(enumerate([face_frames[0], face_frames[1], np.zeros_like(face_frames[0])]))
    frames[3] = frames[2]
    clip, lost = prepare_frames(frames, np.array([0, 2]), SETTINGS)
    assert clip is not None and clip.frame.tolist() == [0] and lost == [2]
    assert prepare_frames(frames, np.array([2]), SETTINGS) == (None, [2])


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
        prepare_video({"video_id": "x", "path": name}, videos, tmp_path / "x.npz", SETTINGS)
    assert list(tmp_path.iterdir()) == []


def test_a_piece_of_a_longer_video(videos: Path, tmp_path: Path) -> None:
    row = {"video_id": "x", "path": "face.mp4", "start": 0.08, "end": 0.20}
    prepare_video(row, videos, tmp_path / "x.npz", SETTINGS)
    # Frames 2, 3 and 4 of the video; the last is a successor only.
    assert load_clip(tmp_path / "x.npz").frame.tolist() == [0, 1]


def test_a_catalog_with_bad_videos_goes_on(videos: Path, tmp_path: Path) -> None:
    names = ["face", "text", "one", "shapes", "absent"]
    catalog = pd.DataFrame({"video_id": names, "path": [f"{n}.mp4" for n in names]})
    index, problems = prepare_catalog(catalog, videos, tmp_path, SETTINGS, workers=1)
    assert index.to_dict("records") == [{"video_id": "face", "path": "clips/face.npz", "frames": 2}]
    assert problems.video_id.tolist() == names[1:]
    assert set(problems.stage) == {"prepare"} and problems.reason.str.len().min() > 20


def test_finished_videos_are_not_prepared_again(videos: Path, tmp_path: Path) -> None:
    catalog = pd.DataFrame({"video_id": ["face"], "path": ["face.mp4"]})
    first, _ = prepare_catalog(catalog, videos, tmp_path, SETTINGS, workers=1)
    gone = catalog.assign(path="absent.mp4")
    again, problems = prepare_catalog(gone, videos, tmp_path, SETTINGS, workers=1)
    pd.testing.assert_frame_equal(first, again)
    assert problems.empty


def test_nothing_to_prepare_is_an_error(videos: Path, tmp_path: Path) -> None:
    catalog = pd.DataFrame({"video_id": ["a"], "path": ["text.mp4"]})
    with pytest.raises(VibaError, match=r"none of 1 videos.*text\.mp4"):
        prepare_catalog(catalog, videos, tmp_path, SETTINGS, workers=1)


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    fields = dict.fromkeys(PreparedClip.__dataclass_fields__, np.zeros(1))
    np.savez(tmp_path / "x.npz", **(fields | {"faces": np.array([{}], object)}))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        load_clip(tmp_path / "x.npz")


def test_a_store_of_clips_travels_without_what_it_has_read(tmp_path):
    store = ClipStore(tmp_path)
    store._clips["a.npz"] = "large"
    assert pickle.loads(pickle.dumps(store)).__dict__ == {"root": tmp_path, "_clips": {}}


def test_a_cluster_prepares_the_same(videos: Path, tmp_path: Path) -> None:
    names = ["face", "text", "one", "shapes"]
    catalog = pd.DataFrame({"video_id": names, "path": [f"{n}.mp4" for n in names]})
    alone = prepare_catalog(catalog, videos, tmp_path / "alone", SETTINGS, workers=1)
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        address = cluster.scheduler_address
        shared = prepare_catalog(catalog, videos, tmp_path / "shared", SETTINGS, scheduler=address)
    for one, other in zip(alone, shared, strict=True):
        pd.testing.assert_frame_equal(one, other)
    one, other = (tmp_path / name / "clips" / "face.npz" for name in ("alone", "shared"))
    assert one.read_bytes() == other.read_bytes()


def test_a_second_run_remembers_which_frames_had_no_face(
    face_frames: np.ndarray, tmp_path: Path
) -> None:
    blank = np.zeros_like(face_frames[0])
    film = [*face_frames[:2], blank, blank, *face_frames[:2]]
    write_video(tmp_path / "v.mp4", np.stack(film), 25)
    catalog = pd.DataFrame({"video_id": ["v"], "path": ["v.mp4"]})
    many = SETTINGS.model_copy(update={"frames_per_video": 5})
    first = prepare_catalog(catalog, tmp_path, tmp_path / "out", many, workers=1)
    again = prepare_catalog(catalog, tmp_path, tmp_path / "out", many, workers=1)
    assert first[1].reason.str.contains("no face").any()
    for one, other in zip(first, again, strict=True):
        pd.testing.assert_frame_equal(one, other)
