"""Whose face is taken where there are several, and what happens when it is not seen."""

import cv2
import numpy as np
import pytest

from viba_lib.data.clip_store import PreparedClip
from viba_lib.data.prepare import PreparationSettings, prepared_rows
from viba_lib.data.tracking import FaceTrack, follow, overlap

BOX = (100, 60, 160, 120)
OTHER = (220, 60, 300, 140)


class Seen:
    """Stands in for the detector: says one list of boxes after another."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def boxes(self, frame):
        return self.answers.pop(0)


@pytest.fixture
def film():
    """20 frames of texture before which a patch moves by 3 pixels a frame; gone from the 12th."""
    rng = np.random.default_rng(0)
    ground = cv2.GaussianBlur(rng.integers(0, 255, (240, 320)).astype(np.uint8), (0, 0), 6)
    patch = cv2.GaussianBlur(rng.integers(0, 255, (60, 60)).astype(np.uint8), (0, 0), 2)
    frames = np.stack([ground] * 20)
    for t in range(12):
        frames[t, 60:120, 100 + 3 * t : 160 + 3 * t] = patch
    return frames


def shifted(box, by):
    return box[0] + by, box[1], box[2] + by, box[3]


def test_overlap_is_intersection_over_union():
    assert overlap((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 10, 10), (10, 0, 20, 10)) == 0 and overlap(BOX, BOX) == 1


def test_a_patch_is_followed_until_it_is_gone(film):
    found = follow(BOX, film[:11])
    assert overlap(found, shifted(BOX, 30)) > 0.8
    assert follow(BOX, film) is None and follow(BOX, []) is None
    assert overlap(follow(BOX, np.stack([film[:11]] * 3, axis=-1)), found) > 0.95


def test_the_first_face_is_the_largest_or_the_most_central_one(film):
    boxes = [OTHER, BOX]
    assert FaceTrack(Seen(boxes)).find(film[0]).box == OTHER
    found = FaceTrack(Seen(boxes), prefer="central").find(film[0])
    assert found.box == BOX and not found.tracked
    assert FaceTrack(Seen([])).find(film[0]) is None


def test_the_same_face_is_taken_again_though_another_is_larger(film):
    track = FaceTrack(Seen([BOX], [OTHER, shifted(BOX, 9)]))
    track.find(film[0])
    assert track.find(film[3]).box == shifted(BOX, 9)


def test_a_face_that_moved_far_is_found_through_the_frames_between(film):
    # Another face is larger; the one before has moved out of its old box.
    far = shifted(BOX, 33)
    track = FaceTrack(Seen([BOX], [OTHER, (far[0] + 15, far[1] + 20, far[2] + 15, far[3] + 20)]))
    track.find(film[0])
    found = track.find(film[11], lambda: film[:12])
    assert found.box[0] == far[0] + 15 and not found.tracked


@pytest.mark.parametrize("bridge", [True, False])
def test_a_face_that_is_not_detected_is_followed_or_lost(film, bridge):
    track = FaceTrack(Seen([BOX], [], []), bridge=bridge)
    track.find(film[0])
    found = track.find(film[6], lambda: film[:7])
    if not bridge:
        assert found is None
        return
    assert found.tracked and overlap(found.box, shifted(BOX, 18)) > 0.8
    assert track.find(film[16], lambda: film[6:17]) is None


def test_behind_a_cut_the_choice_is_made_anew(film):
    track = FaceTrack(Seen([BOX], [OTHER]))
    track.find(film[0])
    found = track.find(film[16], lambda: film[:17])
    assert found.box == OTHER and not found.tracked


@pytest.mark.parametrize(("lost", "kept"), [("track", [0, 4]), ("drop", [0])])
def test_a_prepared_clip_says_which_faces_were_followed(
    face_frames: np.ndarray, lost: str, kept: list[int], monkeypatch
) -> None:
    settings = PreparationSettings(spatial_size=64, flow_size=64, lost=lost)
    original = FaceTrack.find

    def blind(self, frame, between):
        # The detector does not see the face a second time.
        if self.last is not None:
            monkeypatch.setattr(type(self.detector), "boxes", lambda self, frame: [])
        return original(self, frame, between)

    monkeypatch.setattr(FaceTrack, "find", blind)
    rows = prepared_rows(
        enumerate(face_frames), np.array([0, 4]), settings,
        between=lambda first, last: face_frames[first : last + 1],
    )  # fmt: skip
    clip = PreparedClip.stack(rows)
    assert clip.frame.tolist() == kept
    assert clip.tracked.tolist() == [0, 1][: len(kept)]
    # The photograph moves to the right by 2 pixels a frame, and the crop with it.
    if lost == "track":
        assert clip.squares[1, 0] - clip.squares[0, 0] == pytest.approx(8, abs=2)
