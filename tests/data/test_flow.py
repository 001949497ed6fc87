"""Flow of a texture that moves by a known amount."""

import cv2
import numpy as np
import pytest

from viba_lib.data.flow import (
    farneback,
    flow_to_input,
    flow_to_rgb,
    scale_flow,
    texture,
)


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    """A smooth texture, and the same moved by (2, -1) pixels."""
    noise = np.random.default_rng(0).integers(0, 255, (96, 96, 3)).astype(np.float32)
    first = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX)
    second = cv2.warpAffine(first, np.float32([[1, 0, 2], [0, 1, -1]]), (96, 96))
    return first.astype(np.uint8), second.astype(np.uint8)


def test_known_shift_is_found(pair: tuple[np.ndarray, np.ndarray]) -> None:
    flow = farneback(*pair)
    assert flow.shape == (96, 96, 2) and flow.dtype == np.float32
    inner = flow[20:-20, 20:-20].reshape(-1, 2)
    np.testing.assert_allclose(np.median(inner, 0), [2, -1], atol=0.1)


def test_texture_is_the_slope_in_the_weaker_direction() -> None:
    at = np.arange(96)
    across, down = np.meshgrid(at, at)
    ramp = 2 * across + 0 * down
    waves = 128 + 20 * np.sin(0.4 * across) + 40 * np.sin(0.4 * down)
    frames = np.stack([np.full((96, 96), 90), ramp, waves])[..., None].repeat(3, 3)
    flat, edge, both = texture(np.round(frames).astype(np.uint8))
    assert flat == 0 and edge == pytest.approx(0, abs=1e-3)
    # The mean square of the slope of the weaker wave.
    assert both == pytest.approx((20 * np.sin(0.4)) ** 2 / 2, rel=0.1)
    assert texture(np.zeros((0, 8, 8, 3), np.uint8)).shape == (0,)


def test_agrees_with_opencv(pair: tuple[np.ndarray, np.ndarray]) -> None:
    grey = [cv2.cvtColor(p, cv2.COLOR_RGB2GRAY) for p in pair]
    expected = cv2.calcOpticalFlowFarneback(*grey, None, 0.5, 3, 15, 3, 5, 1.2, 0)
    np.testing.assert_array_equal(farneback(*pair), expected)


def test_still_frames_have_no_flow_and_a_dark_picture(
    pair: tuple[np.ndarray, np.ndarray],
) -> None:
    flow = farneback(pair[0], pair[0])
    assert np.abs(flow).mean() < 0.01
    assert flow_to_rgb(flow).mean() < 5


def test_hue_is_direction_and_brightness_is_length() -> None:
    flow = np.zeros((1, 4, 2), np.float32)
    flow[0, :, 0] = [1, 2, -2, 0]
    picture = flow_to_rgb(flow, maximum=2)
    assert picture.dtype == np.uint8 and picture.shape == (1, 4, 3)
    assert picture[0, 1].tolist() == [255, 0, 0]
    assert picture[0, 2].tolist() == [0, 255, 255]
    assert picture[0, 0, 0] == 127 and picture[0, 3].tolist() == [0, 0, 0]


def test_network_input_is_local_motion_in_units_of_the_picture_clipped() -> None:
    flow = np.full((4, 4, 2), (7, -5), np.float32)  # the whole head moves
    flow[0, 0] += (3, 4)
    flow[2, 3] += (-100, 0)
    given = flow_to_input(flow, scale=0.5)
    assert given.shape == (3, 4, 4) and given.dtype == np.float32
    np.testing.assert_allclose(given[:, 0, 0], [1.5, 2, 2.5])
    np.testing.assert_allclose(given[:, 2, 3], [-3, 0, 3])
    np.testing.assert_allclose(given[:, 1, 1], 0)


def test_scaling_keeps_motion_in_units_of_the_picture() -> None:
    flow = np.full((8, 8, 2), 3, np.float32)
    np.testing.assert_allclose(scale_flow(flow, 4), 1.5)
    assert scale_flow(flow, 8) is flow
