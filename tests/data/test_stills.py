"""A photograph becomes a clip in which the head moves, and what is behind it hardly does."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data

from viba_lib.core.errors import VibaError
from viba_lib.data.faces import FaceDetector
from viba_lib.data.stills import photograph, swing, turning_head


@pytest.fixture(scope="module")
def face() -> np.ndarray:
    return np.ascontiguousarray(skimage.data.astronaut()[:256, 90:346])


def sheet(path: Path, face: np.ndarray) -> Path:
    """Four photographs, of which the third is upside down and so has no face."""
    top = np.hstack([face, face[:, ::-1]])
    bottom = np.hstack([face[::-1], face])
    cv2.imwrite(str(path), np.vstack([top, bottom])[..., ::-1])
    return path


def test_each_photograph_of_a_sheet_is_cut_to_its_face(tmp_path: Path, face: np.ndarray) -> None:
    path = sheet(tmp_path / "sheet.png", face)
    for number in (0, 1, 3):
        image, points = photograph(path, 2, number, 640)
        height, width = image.shape[:2]
        assert height == width and height % 2 == 0 and 60 < height < 256
        box = FaceDetector().largest(image)
        assert box is not None and box[2] - box[0] > 0.5 * width
        middle = points.mean(0) / width
        assert np.abs(middle - 0.5).max() < 0.2 and points.shape == (68, 2)
    small, there = photograph(path, 2, 0, 100)
    assert small.shape == (100, 100, 3) and there.min() > 0 and there.max() < 100
    with pytest.raises(VibaError, match=r"photograph 2 of .* has no face"):
        photograph(path, 2, 2, 640)


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"no image")
    with pytest.raises(VibaError, match="cannot be read as an image"):
        photograph(path, 1, 0, 640)


def test_near_points_move_further_than_far_ones() -> None:
    # Dots on a dark ground: where they are is their centre of mass.
    image = np.zeros((200, 200, 3), np.uint8)
    points = np.zeros((68, 2), np.float32)
    points[:17, 0], points[:17, 1] = np.linspace(50, 150, 17), 100
    points[8], points[27:36] = (100, 160), (100, 100)
    dots = {"nose": (100, 100), "cheek": (140, 100), "behind": (8, 8)}
    for x, y in dots.values():
        cv2.circle(image, (x, y), 4, (255, 255, 255), -1)
    clip = turning_head(image, points, 30, np.random.default_rng(0))
    assert clip.shape == (30, 200, 200, 3) and clip.dtype == np.uint8
    way = {}
    for name, (x, y) in dots.items():
        part = clip[:, max(0, y - 15) : y + 15, max(0, x - 15) : x + 15, 0].astype(float)
        at = np.arange(part.shape[2])
        way[name] = np.ptp((part.sum(1) * at).sum(1) / part.sum((1, 2)))
    assert way["nose"] > 1.3 * way["cheek"] > 1.3 * 4 * max(way["behind"], 0.01)
    again = turning_head(image, points, 30, np.random.default_rng(0))
    np.testing.assert_array_equal(clip, again)


def test_a_swing_is_slow_and_small() -> None:
    paths = [swing(100, np.random.default_rng(seed), 10, 20) for seed in range(20)]
    assert all(np.abs(p).max() <= 1 and np.ptp(p) > 0.9 for p in paths)
    crossings = [np.count_nonzero(np.diff(np.sign(p))) for p in paths]
    assert min(crossings) >= 9 and max(crossings) <= 21
