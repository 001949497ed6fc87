"""Whether a video is inside the training domain, on made-up features and images."""

import json

import cv2
import numpy as np
import pytest

from viba_lib.evaluation.domain import DISTANCE, OUTSIDE, Domain, frame_facts, outside_text

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
    return frame_facts(faces, np.tile([320.0, 180, side], (len(faces), 1)), shape)


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
    assert set(found["measures"]) == {DISTANCE, "face_size", "resolution", "sharpness"}


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
def test_images_of_another_kind_are_outside_by_their_sharpness(name):
    found = DOMAIN.compare(features_of(20), facts_of(IMAGES[name]))
    outside = [name for name, m in found["measures"].items() if not m["inside"]]
    assert not found["inside"] and outside == ["sharpness"]
    assert outside_text(found).startswith(f"{OUTSIDE} (sharpness")


def test_other_features_faces_and_frames_are_outside():
    faces = photographs(10)
    far = DOMAIN.compare(features_of(20) + 4.0, facts_of(faces))["measures"]
    assert [name for name, m in far.items() if not m["inside"]] == [DISTANCE]
    tiny = DOMAIN.compare(features_of(20), facts_of(faces, side=20))["measures"]
    assert [name for name, m in tiny.items() if not m["inside"]] == ["face_size"]
    small = DOMAIN.compare(features_of(20), facts_of(faces, shape=(60, 80)))
    assert [name for name, m in small["measures"].items() if not m["inside"]] == ["resolution"]
    assert "resolution 60, expected" in outside_text(small) and "or more" in outside_text(small)


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
