"""Training batches: every frame once in an epoch, and augmentation by the seed."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from viba_lib.core.errors import VibaError
from viba_lib.data.clip_store import PreparedClip
from viba_lib.data.flow import farneback
from viba_lib.data.prepare import PreparationSettings, prepared_rows
from viba_lib.models.augment import Augmentation, Camera, LowQuality, MotionAugmentation
from viba_lib.models.batches import FaceBatches, FlowBatches, Pair, TrainingBatches
from viba_lib.models.training import TrainingSettings

ROWS = pd.DataFrame(
    {"path": "a", "position": range(7), "label": [0, 1, 1, 0, 1, 0, 1], "identity": "x"}
)


class Positions(TrainingBatches):
    """Batches of the positions of frames."""

    def item(self, clip, at, rng) -> torch.Tensor:
        return torch.tensor([at])

    def _pair(self, _rng) -> Pair:
        raise AssertionError("an epoch has no pairs")


def batches(frames: pd.DataFrame = ROWS, seed: int = 0) -> TrainingBatches:
    training = TrainingSettings(epochs=3, batch_size=3)
    return Positions({"a": None}, frames, 8, training, ["mouth"], seed)


def test_every_frame_comes_once_in_an_epoch_and_in_another_order() -> None:
    found = batches()
    assert len(found) == 9 and found.per_epoch == 3
    epochs = []
    for epoch in range(3):
        items = [found[3 * epoch + batch] for batch in range(3)]
        assert [len(labels) for _, labels in items] == [3, 3, 1]
        order = torch.cat([inputs for inputs, _ in items]).ravel().tolist()
        labels = torch.cat([labels for _, labels in items]).tolist()
        assert sorted(order) == list(range(7))
        assert labels == ROWS.label[order].tolist()
        epochs.append(order)
    assert epochs[0] != epochs[1] != epochs[2]
    other = batches(seed=1)
    assert torch.cat([other[i][0] for i in range(3)]).ravel().tolist() != epochs[0]


def test_one_class_is_no_training() -> None:
    with pytest.raises(VibaError, match="3 real and 0 fake"):
        batches(ROWS[ROWS.label == 0])


@pytest.fixture(scope="module")
def clip(face_frames: np.ndarray) -> PreparedClip:
    settings = PreparationSettings(spatial_size=96, flow_size=64)
    return PreparedClip.stack(prepared_rows(enumerate(face_frames), np.array([0, 2]), settings))


@pytest.mark.parametrize("category", [FaceBatches, FlowBatches])
def test_augmentation_follows_the_seed_and_keeps_the_range(clip: PreparedClip, category) -> None:
    made = category({"a": clip}, ROWS, 48, TrainingSettings(epochs=1), [], 0)
    found = [made.item(clip, 1, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert found[0].shape == (3, 48, 48) and found[0].dtype == torch.float32
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])
    low, high = (-1, 1) if category is FaceBatches else (-3, 3)
    assert low <= found[2].min() < found[2].max() <= high


def test_people_weigh_the_same_among_real_and_among_fakes() -> None:
    people = ["often"] * 90 + ["seldom"] * 10
    frames = pd.DataFrame({"path": people, "position": 0, "identity": people})
    rows = pd.concat([frames.assign(label=0), frames.assign(label=1)])
    store = {name: name for name in set(people)}
    training = TrainingSettings(steps=1, batch_size=2, fresh=0.0)
    found = FaceBatches(store, rows, 32, training, ["mouth"], 0)
    rng = np.random.default_rng(0)
    sampled = pd.DataFrame([found._sample(rng) for _ in range(400)])
    for column in (0, 2):  # the clip of the real frame, and that of the fake
        assert 0.4 < (sampled[column] == "seldom").mean() < 0.6


FOUR = {"steps": 4, "batch_size": 4, "fresh": 1.0}


def whole_and_cropped(clip: PreparedClip, kind, steps: int) -> list[list]:
    """The same batches, all whole, and the first ones cropped."""
    rows = pd.DataFrame({"path": "a", "position": 0, "identity": "x", "label": [0]})
    method = "mouth" if kind is FaceBatches else "jitter"
    made = [
        kind({"a": clip}, rows, 64, TrainingSettings(crop_steps=n, **FOUR), [method], 0)
        for n in (0, steps)
    ]
    return [[batches[step][0] for step in range(4)] for batches in made]


@pytest.mark.parametrize("kind", [FaceBatches, FlowBatches])
def test_the_first_batches_are_crops_of_the_whole_inputs(clip: PreparedClip, kind) -> None:
    plain, found = whole_and_cropped(clip, kind, 2)
    assert [f.shape for f in found] == 2 * [(4, 3, 32, 32)] + 2 * [(4, 3, 64, 64)]
    again = whole_and_cropped(clip, kind, 2)[1]
    assert all(torch.equal(a, b) for a, b in zip(found, again, strict=True))
    assert torch.equal(found[2], plain[2])
    # The first real crop and its fake twin have the same position in the whole inputs, because the
    # first pair of a batch is sampled before any crop.
    places = [
        {(t, n) for t in range(33) for n in range(33)
         if torch.equal(found[0][i], plain[0][i][:, t : t + 32, n : n + 32])}
        for i in (0, 2)
    ]  # fmt: skip
    assert places[0] & places[1]


def test_a_crop_contains_the_artefact() -> None:
    mask = np.zeros((64, 64), np.float32)
    mask[50:54, 8:12] = 1
    real = torch.arange(128 * 128).reshape(1, 128, 128)
    rng = np.random.default_rng(0)
    corners = set()
    for _ in range(50):
        seen = Pair(real, real, mask).crop(rng)
        top, left = divmod(int(seen.real[0, 0, 0]), 128)
        corners.add((top, left))
        assert seen.real.shape == seen.fake.shape == (1, 64, 64)
        assert top <= 100 and top + 64 >= 108 and left <= 16 and left + 64 >= 24
    assert len(corners) > 10
    assert Pair(real, real, mask * 0).crop(rng).real.shape == (1, 64, 64)


def test_a_mask_is_transformed_like_its_image(clip: PreparedClip) -> None:
    rng = np.random.default_rng(3)
    dot = np.zeros((96, 96), np.uint8)
    dot[30:40, 60:70] = 255
    for _ in range(20):
        sampled = Augmentation.sample(rng)
        augmentation = replace(sampled, gain=1.0, shift=0.0, blur=0.0, coarse=1.0, quality=0, crf=0)
        np.testing.assert_array_equal(augmentation(dot), augmentation.transform_mask(dot))


def test_a_softened_pair_loses_its_texture_and_keeps_its_edges() -> None:
    rng = np.random.default_rng(0)
    image = np.full((2, 64, 64, 3), 60, np.uint8)
    image[:, :, 32:] = 190
    noisy = (image + rng.integers(-9, 10, image.shape)).astype(np.uint8)
    soft = MotionAugmentation(7).soften(noisy).astype(float)
    flat = np.r_[4:24, 40:60]
    assert soft[:, :, flat].std(axis=1).mean() < 0.35 * noisy[:, :, flat].std(axis=1).mean()
    np.testing.assert_allclose(soft[:, :, 34] - soft[:, :, 29], 130, atol=12)
    plain = MotionAugmentation()
    assert np.array_equal(plain.move(plain.soften(noisy)), noisy)


def test_a_camera_that_moves_moves_all_alike(clip: PreparedClip) -> None:
    still = np.stack([clip.faces[0]] * 2)
    side = still.shape[1]
    flow = farneback(*MotionAugmentation(shift=(0.02, -0.01)).move(still))
    middle = flow[side // 4 : -side // 4, side // 4 : -side // 4].reshape(-1, 2)
    np.testing.assert_allclose(np.median(middle, 0), [0.02 * side, -0.01 * side], atol=0.25)
    sampled = [MotionAugmentation.sample(np.random.default_rng(seed)) for seed in range(400)]
    assert 0.2 < np.mean([motion.smooth > 0 for motion in sampled]) < 0.4
    assert 0.1 < np.mean([motion.turn != 0 for motion in sampled]) < 0.3
    assert {motion.smooth for motion in sampled} == {0, 5, 7, 9}


def test_pairs_are_compressed_as_a_video_the_more_the_later(clip: PreparedClip) -> None:
    pair = clip.pairs[0]
    assert MotionAugmentation().publish(pair) is pair
    lost = [np.abs(MotionAugmentation(crf=crf).publish(pair).astype(float) - pair).mean()
            for crf in (18, 40)]  # fmt: skip
    assert 0 < lost[0] < lost[1]
    # A codec predicts the second frame, so a scene that does not move stays without motion.
    still = MotionAugmentation(crf=32).publish(np.stack([clip.faces[0]] * 2))
    assert np.abs(farneback(*still)).mean() < 0.02
    used = [np.mean([MotionAugmentation.sample(np.random.default_rng(seed), part).crf > 0
                     for seed in range(400)]) for part in (0.0, 0.5, 1.0)]  # fmt: skip
    assert used[0] == 0 and 0.1 < used[1] < 0.3 < used[2] < 0.5


def test_low_quality_loses_more_at_a_smaller_scale(clip: PreparedClip) -> None:
    image = clip.faces[0]
    seen = [LowQuality(scale, 36)(image) for scale in (1.0, 0.5)]
    lost = [np.abs(s.astype(float) - image).mean() for s in seen]
    assert all(s.shape == image.shape and s.dtype == np.uint8 for s in seen)
    assert 0 < lost[0] < lost[1]
    kinds = [LowQuality.sample(np.random.default_rng(seed)) for seed in range(400)]
    assert 0.25 < np.mean([k.crf > 0 for k in kinds]) < 0.45


def test_only_batches_that_make_pairs_can_be_used() -> None:
    with pytest.raises(TypeError, match="abstract"):
        TrainingBatches({"a": None}, ROWS, 8, TrainingSettings(steps=1), [], 0)


def test_a_camera_changes_colour_detail_and_noise_as_told():
    rng = np.random.default_rng(0)
    image = rng.integers(60, 180, (64, 64, 3), dtype=np.uint8)
    grey = np.full((64, 64, 3), 100, np.uint8)
    np.testing.assert_array_equal(Camera()(image), image)
    assert Camera(gamma=0.8)(grey).mean() > 110 and Camera(gamma=1.2)(grey).mean() < 90
    warm = Camera(balance=(1.1, 1.0, 0.9))(grey)[0, 0].astype(int)
    assert warm.tolist() == [110, 100, 90]
    detail = [np.abs(np.diff(c(image).astype(float), axis=1)).mean() for c in (
        Camera(streak=9), Camera(), Camera(sharpen=1.0))]  # fmt: skip
    assert detail[0] < 0.5 * detail[1] < 0.6 * detail[2]
    noisy = Camera(noise=5.0, seed=1)(grey)
    assert 4 < noisy.std() < 6 and np.array_equal(noisy, Camera(noise=5.0, seed=1)(grey))
    sampled = [Camera.sample(np.random.default_rng(seed)) for seed in range(400)]
    unchanged = np.mean([
        (c.gamma, *c.balance, c.streak, c.sharpen, c.noise) == (1, 1, 1, 1, 0, 0, 0)
        for c in sampled
    ])  # fmt: skip
    assert 0.45 < unchanged < 0.65
