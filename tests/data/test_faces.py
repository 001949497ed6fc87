"""Faces on a still photograph, unmanipulated, and on pictures without one."""

import numpy as np
import pytest

from viba_lib.data.faces import FaceDetector, crop, landmark_model, square_box, to_crop


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector()


def test_the_landmark_model_is_where_its_package_put_it() -> None:
    assert landmark_model().stat().st_size > 10**7


def test_one_face_is_found_and_landmarks_are_in_order(
    detector: FaceDetector, face_frames: np.ndarray
) -> None:
    boxes = detector.boxes(face_frames[0])
    assert len(boxes) == 1
    left, top, right, bottom = box = boxes[0]
    assert detector.largest(face_frames[0]) == box
    assert 100 < left < right < 200 and 30 < top < bottom < 150
    points = detector.landmarks(face_frames[0], box)
    assert points.shape == (68, 2) and points.dtype == np.float32
    parts = (slice(17, 27), slice(27, 36), slice(48, 68), slice(7, 10))
    brows, nose, mouth, chin = (points[part, 1].mean() for part in parts)
    assert brows < nose < mouth < chin
    assert points[0, 0] < points[16, 0]


def test_the_box_follows_the_picture(detector: FaceDetector, face_frames: np.ndarray) -> None:
    first, later = (detector.largest(face_frames[t]) for t in (0, 5))
    assert first is not None and later is not None
    assert 4 <= later[0] - first[0] <= 16


def test_a_small_face_in_a_large_frame_is_found(
    detector: FaceDetector, face_frames: np.ndarray
) -> None:
    wide = np.zeros((540, 1280, 3), np.uint8)
    wide[100:340, 500:820] = face_frames[0]
    box = detector.largest(wide)
    assert box is not None and 600 < box[0] < 700


@pytest.mark.parametrize("shape", [(60, 80, 3), (1, 1, 3), (3, 400, 3)])
def test_no_face_is_none(detector: FaceDetector, shape: tuple[int, ...]) -> None:
    assert detector.largest(np.full(shape, 90, np.uint8)) is None
    assert detector.boxes(np.full(shape, 90, np.uint8)) == []


def test_square_has_the_side_of_the_longer_edge() -> None:
    assert square_box((10, 20, 50, 80), 1.5) == (30, 50, 90)


def test_crop_and_points_agree() -> None:
    frame = np.zeros((60, 80, 3), np.uint8)
    frame[28:33, 48:53] = 255
    square = (45.0, 30.0, 40.0)
    cut = crop(frame, square, 80)
    assert cut.shape == (80, 80, 3)
    y, x = np.argwhere(cut[..., 0] > 128).mean(0)
    expected = to_crop(np.array([[50.5, 30.5]]), square)[0] * 80
    np.testing.assert_allclose([x, y], expected - 0.5, atol=1)


def test_crop_over_the_border_repeats_it() -> None:
    frame = np.full((20, 20, 3), 77, np.uint8)
    assert np.all(crop(frame, (0.0, 0.0, 40.0), 16) == 77)


def test_a_mask_is_cut_like_its_frame() -> None:
    mask = np.zeros((60, 80), np.uint8)
    mask[:, 40:] = 255
    cut = crop(mask, (40.0, 30.0, 40.0), 20)
    assert cut.shape == (20, 20)
    assert cut[:, :9].max() == 0 and cut[:, 11:].min() >= 254
