"""Small made videos: a still photograph that moves, and drawn shapes without a face."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from viba_lib.data.catalog import validate_catalog
from viba_lib.data.video import write_video


@pytest.fixture(scope="session")
def shape_frames() -> np.ndarray:
    """(8, 60, 80, 3): a red disc that moves to the right over a blue ground; no face."""
    frames = np.full((8, 60, 80, 3), (20, 40, 160), np.uint8)
    for t, frame in enumerate(frames):
        cv2.circle(frame, (15 + 6 * t, 30), 10, (220, 30, 30), -1)
    return frames


@pytest.fixture(scope="session")
def videos(
    tmp_path_factory: pytest.TempPathFactory, face_frames: np.ndarray, shape_frames: np.ndarray
) -> Path:
    """Folder with good and bad videos: face, shapes, one frame, text, cut off, empty."""
    root = tmp_path_factory.mktemp("videos")
    write_video(root / "face.mp4", face_frames, 25)
    write_video(root / "shapes.mp4", shape_frames, 10)
    write_video(root / "one.mp4", face_frames[:1], 25)
    masks = np.zeros(face_frames.shape[:3], np.uint8)
    masks[:, :, :160] = 255
    write_video(root / "mask.mkv", masks, 25, lossless=True)
    (root / "text.mp4").write_text("this is no video\n" * 50)
    (root / "empty.mp4").write_bytes(b"")
    whole = (root / "face.mp4").read_bytes()
    (root / "cut.mp4").write_bytes(whole[:600])
    return root


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest video that serves as any video of a data set: three frames of noise."""
    frames = np.random.default_rng(0).integers(0, 255, (3, 16, 16, 3), dtype=np.uint8)
    return write_video(tmp_path_factory.mktemp("film") / "film.mp4", frames, 25)


@pytest.fixture
def place(film: Path, tmp_path: Path):
    """Put the film under several names, and metadata, into a folder: that of a data set."""

    def put(*films: str, texts: dict[str, object] | None = None, root: str = "set") -> Path:
        for name in films:
            (tmp_path / root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(film, tmp_path / root / name)
        for name, content in (texts or {}).items():
            path = tmp_path / root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            text = content if isinstance(content, str) else json.dumps(content)
            path.write_text(text, encoding="utf-8")
        return tmp_path / root

    return put


@pytest.fixture
def catalog() -> pd.DataFrame:
    """20 videos of 10 people."""
    number = np.arange(20)
    return pd.DataFrame(
        {
            "video_id": [f"v{i:02d}" for i in number],
            "path": [f"videos/{i}.mp4" for i in number],
            "label": np.where(number % 2, "fake", "real"),
            "identity": [f"p{i // 2}" for i in number],
        }
    )


@pytest.fixture(scope="session")
def listed():
    """Function that makes a catalog of rows: video_id, dataset, label, method, identity, ..."""

    def make(rows: list[tuple[str, ...]]) -> pd.DataFrame:
        columns = ["video_id", "dataset", "label", "method", "identity", "original", "donor"]
        frame = pd.DataFrame(rows, columns=columns[: len(rows[0])])
        return validate_catalog(frame.assign(path=frame.video_id + ".mp4"))

    return make


@pytest.fixture
def faces(listed):
    """20 people with one original each, and two fakes of each original."""
    rows = []
    for n in range(20):
        rows.append((f"r{n}", "set", "real", "", f"p{n}", ""))
        rows += [(f"{m}{n}", "set", "fake", m, f"p{n}", f"r{n}") for m in ("swap", "lips")]
    return listed(rows)
