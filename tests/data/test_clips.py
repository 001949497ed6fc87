"""What detectors are trained on: every frame once in an epoch, and augmentation by the seed."""

import numpy as np
import pandas as pd
import pytest
import torch

from viba_lib.data.clips import (
    EpochBatches,
    FaceBatches,
    FlowBatches,
    _Camera,
    augmented_face,
    augmented_flow,
)
from viba_lib.data.preparation import PreparationSettings, prepare_frames
from viba_lib.data.prepared import PreparedClip
from viba_lib.errors import VibaError

ROWS = pd.DataFrame({"path": "a", "position": range(7), "label": [0, 1, 1, 0, 1, 0, 1]})


def position(_clip, at, _rng, _size) -> torch.Tensor:
    return torch.tensor([at])


def batches(**changes) -> EpochBatches:
    made = {"store": {"a": None}, "rows": ROWS, "item": position, "size": 8, "epochs": 3,
            "batch_size": 3, "seed": 0}  # fmt: skip
    return EpochBatches(**made | changes)


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
        batches(rows=ROWS[ROWS.label == 0])


@pytest.fixture(scope="module")
def clip(face_frames: np.ndarray) -> PreparedClip:
    settings = PreparationSettings(spatial_size=96, flow_size=64)
    return prepare_frames(enumerate(face_frames), np.array([0, 2]), settings)[0]


@pytest.mark.parametrize("item", [augmented_face, augmented_flow])
def test_augmentation_follows_the_seed_and_keeps_the_range(clip: PreparedClip, item) -> None:
    found = [item(clip, 1, np.random.default_rng(seed), 48) for seed in (1, 1, 2)]
    assert found[0].shape == (3, 48, 48) and found[0].dtype == torch.float32
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])
    low, high = (-1, 1) if item is augmented_face else (-3, 3)
    assert low <= found[2].min() < found[2].max() <= high


def test_people_weigh_the_same_among_real_and_among_fakes() -> None:
    people = ["often"] * 90 + ["seldom"] * 10
    frames = pd.DataFrame({"path": people, "position": 0, "identity": people})
    rows = pd.concat([frames.assign(label=0), frames.assign(label=1)])
    store = {name: name for name in set(people)}
    found = FaceBatches(store, rows, 32, 1, 2, ["mouth"], 0.0, 0)
    rng = np.random.default_rng(0)
    drawn = pd.DataFrame([found._draw(rng) for _ in range(400)])
    for column in (0, 2):  # the clip of the real frame, and that of the fake
        assert 0.4 < (drawn[column] == "seldom").mean() < 0.6


@pytest.mark.parametrize("kind", [FaceBatches, FlowBatches])
def test_the_first_batches_are_of_half_the_size(clip: PreparedClip, kind) -> None:
    rows = pd.DataFrame({"path": "a", "position": 0, "identity": "x", "label": [0]})
    method = "mouth" if kind is FaceBatches else "jitter"
    found = kind({"a": clip}, rows, 64, 4, 4, [method], 1.0, 0, half_until=2)
    assert [found[step][0].shape for step in range(4)] == 2 * [(4, 3, 32, 32)] + 2 * [
        (4, 3, 64, 64)
    ]
    again = kind({"a": clip}, rows, 64, 4, 4, [method], 1.0, 0, half_until=2)
    assert all(torch.equal(found[step][0], again[step][0]) for step in range(4))


def test_a_worse_camera_has_blocks_as_coarse_as_its_picture(clip: PreparedClip) -> None:
    image = clip.faces[0]
    seen = [_Camera(scale, 12)(image) for scale in (1.0, 0.5)]
    lost = [np.abs(s.astype(float) - image).mean() for s in seen]
    assert all(s.shape == image.shape and s.dtype == np.uint8 for s in seen)
    assert 0 < lost[0] < lost[1]
    kinds = [_Camera.draw(np.random.default_rng(seed)) for seed in range(400)]
    assert 0.25 < np.mean([k is not None for k in kinds]) < 0.45
