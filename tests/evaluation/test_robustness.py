"""Pictures made worse keep their shape, and the more so the further they are from the original."""

import cv2
import numpy as np
import pytest
import skimage.data

from viba_lib.core.errors import VibaError
from viba_lib.evaluation.robustness import CORRUPTIONS, UNCHANGED, corrupt, levels

IMAGE = np.asarray(cv2.resize(skimage.data.coffee(), (96, 96)))


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_stronger_levels_change_more(name: str) -> None:
    changes = []
    for level in CORRUPTIONS[name][1]:
        worse = corrupt(IMAGE, name, level)
        assert worse.shape == IMAGE.shape and worse.dtype == np.uint8
        changes.append(np.abs(worse.astype(int) - IMAGE).mean())
    if name == "brightness":
        # From dark over the middle to bright.
        assert changes[0] > changes[1] > 1 < changes[2] < changes[3]
    else:
        assert changes == sorted(changes) and changes[0] > 0


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_frames_of_a_video_are_corrupted_as_each_alone_except_by_a_video_codec(name: str) -> None:
    frames = np.stack([IMAGE, np.roll(IMAGE, 2, axis=1)])
    level = CORRUPTIONS[name][1][-1]
    together, alone = corrupt(frames, name, level), [corrupt(f, name, level) for f in frames]
    assert together.shape == frames.shape and together.dtype == np.uint8
    same = [np.array_equal(a, b) for a, b in zip(together, alone, strict=True)]
    assert same == [True, name != "h264"]


def test_the_unchanged_picture_comes_first_and_is_unchanged() -> None:
    every = list(levels())
    assert every[0][0] == UNCHANGED and len(every) == 1 + sum(
        len(c[1]) for c in CORRUPTIONS.values()
    )
    assert corrupt(IMAGE, *every[0]) is IMAGE


def test_unknown_corruptions_are_refused() -> None:
    with pytest.raises(VibaError, match="'fog' is not known; choose one of jpeg"):
        corrupt(IMAGE, "fog", 1)
