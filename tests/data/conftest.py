"""Small made videos: a still photograph that moves, and drawn shapes without a face."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data

from viba_lib.video import write_video


@pytest.fixture(scope="session")
def face_frames() -> np.ndarray:
    """(6, 240, 320, 3): the astronaut of scikit-image, unmanipulated, moved 2 pixels a frame."""
    photograph = cv2.resize(skimage.data.astronaut()[:384], (320, 240))
    still = np.asarray(photograph)
    moved = [
        cv2.warpAffine(still, np.float32([[1, 0, 2 * t], [0, 1, 0]]), (320, 240),
                       borderMode=cv2.BORDER_REPLICATE)
        for t in range(6)
    ]  # fmt: skip
    return np.stack(moved)


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
