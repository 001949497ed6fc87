"""Key frames of made sequences whose cuts are known."""

import numpy as np
import pytest

from viba_lib.data.keyframes import frame_differences, key_frames, without_baseline


def scenes(lengths: list[int]) -> np.ndarray:
    """Grey scenes of given lengths, each of another brightness."""
    levels = np.repeat(np.arange(len(lengths)) % 2 * 120 + 60, lengths)
    return np.broadcast_to(levels[:, None, None, None], (len(levels), 24, 32, 3)).astype(np.uint8)


def changes(lengths: list[int]) -> np.ndarray:
    return frame_differences(scenes(lengths))


def test_differences_are_of_grey_frames_and_start_at_zero() -> None:
    found = frame_differences(scenes([3, 2]))
    np.testing.assert_allclose(found, [0, 0, 0, 120, 0], atol=1)
    np.testing.assert_allclose(frame_differences(scenes([3, 2])[..., 0]), found)


def test_cuts_are_key_frames() -> None:
    assert key_frames(changes([5, 6, 7, 4])).tolist() == [5, 11, 18]


def test_slow_change_is_baseline() -> None:
    slow = np.linspace(1, 3, 40)
    slow[20] += 4
    assert key_frames(slow).tolist() == [20]
    assert without_baseline(slow).max() == pytest.approx(1)


def test_the_last_frame_is_never_chosen() -> None:
    assert 9 not in key_frames(changes([9, 1]))
    assert key_frames(changes([1]), minimum=1).tolist() == []
    assert key_frames(changes([2]), minimum=5).tolist() == [0]


@pytest.mark.parametrize("minimum", [1, 3, 6, 30])
def test_still_videos_are_filled_evenly(minimum: int) -> None:
    found = key_frames(changes([20]), minimum=minimum)
    assert len(found) == min(minimum, 19)
    assert np.all(np.diff(found) > 0)
    if 1 < minimum < 19:
        assert np.ptp(np.diff(found)) <= 2


def test_the_highest_peaks_are_kept() -> None:
    differences = np.zeros(30)
    differences[[5, 12, 20]] = 5, 9, 7
    assert key_frames(differences, maximum=2).tolist() == [12, 20]
