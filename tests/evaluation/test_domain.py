"""Whether a video is inside the training domain, on made-up features and images."""

import json

import cv2
import numpy as np
import pytest

from viba_lib.data.video import read_video, write_video
from viba_lib.evaluation.domain import (
    DISTANCE,
    OUTSIDE,
    Domain,
    frame_facts,
    outside_text,
    smooth_run,
)

SIZE = 96
rng = np.random.default_rng(0)


def features_of(person: int, count: int = 40) -> np.ndarray:
    """(count, 30): every person has a centre of their own, and one channel is constant."""
    own = np.random.default_rng(person)
    found = own.normal(0, 1, 30) + own.normal(0, 0.5, (count, 30))
    found[:, 0] = 1.0
    return found


def photographs(count: int, blur: float = 1.0) -> np.ndarray:
    """(count, SIZE, SIZE, 3) uint8 with the spectrum of photographs, blurred like a camera."""
    fx, fy = np.meshgrid(np.fft.fftfreq(SIZE), np.fft.fftfreq(SIZE))
    noise = np.fft.fft2(rng.normal(size=(count, SIZE, SIZE))) / np.maximum(np.hypot(fx, fy), 0.01)
    images = np.fft.ifft2(noise).real
    images = 128 + 40 * images / images.std((1, 2), keepdims=True)
    soft = [cv2.GaussianBlur(image, (0, 0), blur) for image in images]
    return np.repeat(np.clip(soft, 0, 255).astype(np.uint8)[..., None], 3, 3)


def facts_of(faces: np.ndarray, side: float = 200, shape=(360, 640)) -> dict[str, np.ndarray]:
    """Frames of this shape are filled with the faces, enlarged if the side is larger."""
    (height, width), zoom = shape, max(1, round(side / SIZE))
    times = (-(-height // SIZE), -(-width // SIZE))
    large = [np.tile(face[..., 0], times).repeat(zoom, 0).repeat(zoom, 1) for face in faces]
    frames = [frame[:height, :width] for frame in large]
    return frame_facts(faces, np.tile([width / 2, height / 2, side], (len(faces), 1)), frames)


def calibrated(people: int = 4, held_out: int = 1) -> Domain:
    """The last people are held out; their cameras differ a little."""
    names = np.repeat(np.arange(people), 40)
    parts = [facts_of(photographs(40, 0.8 + 0.2 * p), 120 + 40 * p) for p in range(people)]
    facts = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    features = np.concatenate([features_of(p) for p in range(people)])
    return Domain.calibrate(features, facts, names.astype(str), names >= people - held_out)


DOMAIN = calibrated()


@pytest.mark.parametrize("person", [20, 21, 22, 23])
def test_a_person_who_was_never_seen_is_inside(person):
    found = DOMAIN.compare(features_of(person), facts_of(photographs(10)))
    assert found["inside"] and outside_text(found) == ""
    assert all(m["low"] <= m["value"] <= (m["high"] or np.inf) for m in found["measures"].values())
    facts = {"face_size", "resolution", "sharpness", "compression"}
    assert set(found["measures"]) == {DISTANCE} | facts


def drawing() -> np.ndarray:
    """A flat face with lines."""
    image = np.full((SIZE, SIZE, 3), 200, np.uint8)
    cv2.circle(image, (48, 48), 40, (120, 120, 120), -1)
    for x in range(10, SIZE, 8):
        cv2.line(image, (x, 20), (x, 80), (20, 20, 20), 2)
    return image


def enlarged(faces: np.ndarray) -> np.ndarray:
    """The faces from a tenth of their side."""
    small = [cv2.resize(f, (SIZE // 10,) * 2, interpolation=cv2.INTER_AREA) for f in faces]
    return np.stack([cv2.resize(f, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC) for f in small])


IMAGES = {
    "drawing": np.stack([drawing()] * 5),
    "noise": rng.integers(0, 255, (5, SIZE, SIZE, 3), dtype=np.uint8),
    "enlarged": enlarged(photographs(5)),
    "grey": np.full((5, SIZE, SIZE, 3), 128, np.uint8),
}


@pytest.mark.parametrize("name", IMAGES)
def test_images_of_another_kind_are_outside(name):
    found = DOMAIN.compare(features_of(20), facts_of(IMAGES[name]))
    outside = [name for name, m in found["measures"].items() if not m["inside"]]
    assert not found["inside"] and outside == ["sharpness", "compression"]
    assert outside_text(found).startswith(f"{OUTSIDE} (sharpness")


def test_the_distance_of_extrema_is_that_of_a_known_pattern():
    zigzag = np.tile(np.abs(np.arange(64) % 8 - 4).astype(np.uint8), (64, 1))
    square = np.array([32.0, 32, 64])
    rows, columns = 15 / 62, 0.0
    for frame in (zigzag, zigzag.T):
        assert smooth_run(frame, square, 64) == pytest.approx(2 / (rows + columns))
    chequered = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    assert smooth_run(chequered, square, 64) == 1
    assert smooth_run(np.full((64, 64), 128, np.uint8), square, 64) == 64, "at most the side"
    # Of a face at the border, the part inside the frame counts.
    assert smooth_run(chequered, np.array([0.0, 60, 20]), 64) == 1


def test_a_larger_face_is_measured_at_the_size_of_the_crop():
    face = photographs(1)[0, ..., 0]
    square = np.array([SIZE / 2, SIZE / 2, SIZE])
    doubled = face.repeat(2, 0).repeat(2, 1)
    assert smooth_run(doubled, 2 * square, SIZE) == smooth_run(face, square, SIZE)


def test_compression_grows_with_that_of_the_codec(face_frames, tmp_path):
    """Also if the compressed video is exported again in high quality."""
    square = np.array([150.0, 110, 120])

    def measured(frames: np.ndarray, crf: int) -> tuple[np.ndarray, float]:
        coded = read_video(write_video(tmp_path / "v.mp4", frames, 25, crf)).frames
        grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in coded]
        faces = np.zeros((len(grey), SIZE, SIZE, 3), np.uint8)
        facts = frame_facts(faces, np.tile(square, (len(grey), 1)), grey)
        return coded, float(np.median(facts["compression"]))

    runs = [measured(face_frames, crf)[1] for crf in (18, 23, 28, 32, 40, 45)]
    assert runs == sorted(runs) and runs[-1] > 1.5 * runs[0]
    strong = measured(face_frames, 45)[0]
    assert measured(strong, 10)[1] > 1.2 * runs[0]


def test_other_features_faces_and_frames_are_outside():
    faces = photographs(10)
    far = DOMAIN.compare(features_of(20) + 4.0, facts_of(faces))["measures"]
    assert [name for name, m in far.items() if not m["inside"]] == [DISTANCE]
    tiny = DOMAIN.compare(features_of(20), facts_of(faces, side=60))["measures"]
    assert [name for name, m in tiny.items() if not m["inside"]] == ["face_size"]
    small = DOMAIN.compare(features_of(20), facts_of(faces, shape=(60, 80)))
    assert [name for name, m in small["measures"].items() if not m["inside"]] == ["resolution"]
    assert "resolution 60, expected" in outside_text(small) and "or more" in outside_text(small)


def test_texture_counts_for_a_motion_detector_and_has_no_highest_value():
    rng = np.random.default_rng(0)
    faces = photographs(40)
    square = np.tile([320.0, 180, 200], (40, 1))
    grey = [np.tile(face[..., 0], (12, 12))[:360, :640] for face in faces]

    def facts(contrast: float) -> dict[str, np.ndarray]:
        pairs = 128 + contrast * rng.standard_normal((40, 48, 48, 1)).repeat(3, 3)
        return frame_facts(faces, square, grey, np.clip(pairs, 0, 255).astype(np.uint8))

    assert "texture" not in frame_facts(faces, square, grey)
    people = np.repeat(["a", "b"], 20)
    domain = Domain.calibrate(features_of(40), facts(8), people, people == "b")
    compared = {c: domain.compare(features_of(20), facts(c))["measures"] for c in (2, 8, 40)}
    assert [m["texture"]["inside"] for m in compared.values()] == [False, True, True]


@pytest.mark.slow
def test_larger_faces_and_frames_are_inside():
    found = DOMAIN.compare(features_of(20), facts_of(photographs(10), 900, (2160, 3840)))
    assert found["inside"] and found["measures"]["face_size"]["high"] is None
    json.dumps(found, allow_nan=False)


def test_a_few_bad_frames_do_not_decide():
    features = features_of(20)
    features[:15] += 100
    assert DOMAIN.compare(features, facts_of(photographs(10)))["inside"]
    features[15:25] += 100
    assert not DOMAIN.compare(features, facts_of(photographs(10)))["inside"]


def test_the_text_says_who_the_ranges_come_from():
    assert DOMAIN.calibrated_on == (
        "validation split (1 person) and training people left out one at a time (3 people)"
    )
    assert calibrated(held_out=2).calibrated_on == "validation split (2 people)"
    assert calibrated(people=2, held_out=1).calibrated_on == "validation split (1 person)"
    assert "no held-out person" in calibrated(people=1, held_out=0).calibrated_on


def test_the_distance_comes_from_people_who_were_left_out():
    """Training frames are closer to their own mean than any other person's frames are."""
    own = DOMAIN.compare(features_of(0), facts_of(photographs(10)))["measures"][DISTANCE]
    new = DOMAIN.compare(features_of(20), facts_of(photographs(10)))["measures"][DISTANCE]
    assert own["value"] < new["value"] < new["high"]


def test_a_stored_domain_is_the_same(tmp_path):
    DOMAIN.save(tmp_path / "d.npz")
    back = Domain.load(tmp_path / "d.npz")
    features, facts = features_of(20), facts_of(photographs(5))
    assert back.compare(features, facts) == DOMAIN.compare(features, facts)
