"""Training batches of real frames and their manipulated twins."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd
import torch
from torch.utils.data import Dataset

from viba_lib.core.errors import VibaError
from viba_lib.data.artefacts import plant
from viba_lib.data.clip_store import ClipStore, PreparedClip
from viba_lib.models.augment import (
    Augmentation,
    Camera,
    LowQuality,
    MotionAugmentation,
    pair_to_flow,
)
from viba_lib.models.training import TrainingSettings
from viba_lib.models.xception import face_tensor


def _identity_weights(identity: pd.Series) -> np.ndarray:
    """Probability of each frame (N,) that samples every identity equally often."""
    weights = 1 / identity.map(identity.value_counts()).to_numpy(float)
    return np.asarray(weights / weights.sum())


@dataclass(frozen=True)
class Pair:
    """A real and a fake input (3, S, S), augmented equally, and the artefact's mask (s, s)."""

    real: torch.Tensor
    fake: torch.Tensor
    mask: np.ndarray

    def crop(self, rng: np.random.Generator) -> "Pair":
        """Both inputs cropped to half the side around the artefact; anywhere without a mask."""
        side = self.real.shape[-1]
        half = side // 2
        weights = self.mask.ravel().astype(float)
        total = weights.sum()
        at = rng.choice(len(weights), p=weights / total if total > 0 else None)
        centre = (np.array(np.unravel_index(at, self.mask.shape)) + 0.5) * side / len(self.mask)
        # The artefact need not be in the middle, as in a whole input.
        corner = np.round(centre - half * rng.uniform(0.2, 0.8, 2)).astype(int)
        top, left = np.clip(corner, 0, side - half)
        cut = (..., slice(top, top + half), slice(left, left + half))
        return Pair(self.real[cut], self.fake[cut], self.mask)


class TrainingBatches(Dataset, ABC):
    """Batches of a training: item `step` is (inputs (B, 3, S, S), labels (B,)).

    With a budget in epochs, every frame comes once in an epoch, in another order each time. With a
    budget in steps, half of a batch is real and half fake: each fake is made from the real frame
    beside it, or sampled from the data set.

    Parameters
    ----------
    frames : prepared frames of the training split: `path`, `position`, `label`, `identity`
    size : side of the inputs in pixels
    training : `fresh` is the proportion of fakes that are made here; the first `crop_steps` batches
        are cropped around the artefact to half the side, which costs a quarter. A network that ends
        in a spatial mean can begin there, because the artefact is a larger part of its input
    methods : what fakes are made with; empty for a data set that has its own

    Raises
    ------
    VibaError
        Frames of one class only.
    """

    def __init__(
        self,
        store: ClipStore,
        frames: pd.DataFrame,
        size: int,
        training: TrainingSettings,
        methods: Sequence[str],
        seed: int,
    ) -> None:
        self.store, self.size, self.training, self.seed = store, size, training, seed
        self.methods, self.fresh = list(methods), training.fresh if methods else 0.0
        self.frames = frames[["path", "position", "label", "identity"]].reset_index(drop=True)
        labels = self.frames.label
        self.real, self.fake = (self.frames[labels == k].reset_index(drop=True) for k in (0, 1))
        if self.real.empty or (self.fake.empty and (training.epochs or self.fresh < 1)):
            raise VibaError(
                f"training needs real and fake frames, got {len(self.real)} real and "
                f"{len(self.fake)} fake: check the split and the labels of the catalog"
            )
        # Identities weigh the same among real frames and among fakes, however many frames each has.
        # Otherwise one with many fakes would be called fake for its camera.
        self.weights, self.fake_weights = (
            _identity_weights(part.identity) for part in (self.real, self.fake)
        )

    @property
    def per_epoch(self) -> int | None:
        """Batches in an epoch, of which the last may be smaller; None for a budget in steps."""
        return -(-len(self.frames) // self.training.batch_size) if self.training.epochs else None

    def __len__(self) -> int:
        return (self.training.epochs or 0) * (self.per_epoch or 0) or self.training.steps or 0

    def __getitem__(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        cv2.setNumThreads(1)
        rng = np.random.default_rng([self.seed, 7919, step])
        if self.per_epoch is not None:
            return self._epoch_batch(*divmod(step, self.per_epoch), rng)
        # Traces that compression leaves of an artefact are found once clear ones are known.
        share = min(1.0, 2 * step / len(self))
        pairs = [self._pair(rng, share) for _ in range(self.training.batch_size // 2)]
        if step < self.training.crop_steps:
            pairs = [pair.crop(rng) for pair in pairs]
        items = [pair.real for pair in pairs] + [pair.fake for pair in pairs]
        return torch.stack(items), torch.tensor([0] * len(pairs) + [1] * len(pairs))

    def _epoch_batch(
        self, epoch: int, batch: int, rng: np.random.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        order = np.random.default_rng([self.seed, 104729, epoch]).permutation(len(self.frames))
        count = self.training.batch_size
        rows = list(self.frames.iloc[order[batch * count : (batch + 1) * count]].itertuples())
        items = [self.item(self.store[r.path], int(r.position), rng) for r in rows]
        return torch.stack(items), torch.tensor([int(r.label) for r in rows])

    @abstractmethod
    def item(self, clip: PreparedClip, at: int, rng: np.random.Generator) -> torch.Tensor:
        """Input (3, size, size) of a position in a clip, with a random augmentation."""

    @abstractmethod
    def _pair(self, rng: np.random.Generator, degraded: float) -> Pair:
        """A random pair of a real and a fake input.

        Parameters
        ----------
        degraded : proportion of the pairs that may be degraded after planting, 0 to 1
        """

    def _sample(
        self, rng: np.random.Generator
    ) -> tuple[PreparedClip, int, PreparedClip | None, int]:
        """Clip and position of a real frame, and of a fake one; None if the fake is to be made."""
        row = self.real.iloc[int(rng.choice(len(self.real), p=self.weights))]
        if rng.random() < self.fresh:
            return self.store[row.path], int(row.position), None, 0
        other = self.fake.iloc[int(rng.choice(len(self.fake), p=self.fake_weights))]
        return self.store[row.path], int(row.position), self.store[other.path], int(other.position)


class FaceBatches(TrainingBatches):
    """Batches (B, 3, size, size) of face crops for Xception."""

    def item(self, clip: PreparedClip, at: int, rng: np.random.Generator) -> torch.Tensor:
        """Input (3, size, size) of a face crop, with a random augmentation."""
        return face_tensor(Augmentation.sample(rng)(clip.faces[at])[None], self.size)[0]

    def _pair(self, rng: np.random.Generator, degraded: float = 1.0) -> Pair:
        clip, at, given, given_at = self._sample(rng)
        quality, camera = LowQuality.sample(rng), Camera.sample(rng)
        augmentation = Augmentation.sample(rng)
        if rng.random() >= degraded:
            augmentation = augmentation.clear()
        real = camera(quality(clip.faces[at]))
        if given is None:
            method = str(rng.choice(self.methods))
            points = clip.landmarks[at][None] * real.shape[0]
            fakes, masks = plant(real[None], points, method, rng)
            fake, mask = fakes[0], masks[0]
        else:
            fake, mask = camera(quality(given.faces[given_at])), given.masks[given_at]
        both = face_tensor(np.stack([augmentation(real), augmentation(fake)]), self.size)
        return Pair(both[0], both[1], augmentation.transform_mask(mask))


class FlowBatches(TrainingBatches):
    """Batches (B, 3, size, size) of flow inputs for the motion detector."""

    def item(self, clip: PreparedClip, at: int, rng: np.random.Generator) -> torch.Tensor:
        """Input (3, size, size) of a pair of frames, with a random augmentation."""
        motion, augmentation = MotionAugmentation.sample(rng), Augmentation.sample_for_flow(rng)
        pair = motion.publish(motion.move(motion.soften(clip.pairs[at])))
        return pair_to_flow(pair, augmentation, self.size)

    def _pair(self, rng: np.random.Generator, degraded: float = 1.0) -> Pair:
        clip, at, given, given_at = self._sample(rng)
        motion = MotionAugmentation.sample(rng, degraded)
        augmentation = Augmentation.sample_for_flow(rng)
        real = motion.soften(clip.pairs[at])
        if given is None:
            # Two frames are enough for a shift or a standstill. A lag needs more, and comes from
            # the data set.
            method = str(rng.choice([m for m in self.methods if m != "lag"] or self.methods))
            points = np.stack([clip.landmarks[at], clip.next_landmarks[at]]) * real.shape[1]
            fake, masks = plant(real, points, method, rng)
            mask = masks[0]
        else:
            fake, mask = motion.soften(given.pairs[given_at]), given.masks[given_at]
        published = (motion.publish(motion.move(pair)) for pair in (real, fake))
        both = [pair_to_flow(pair, augmentation, self.size) for pair in published]
        return Pair(both[0], both[1], augmentation.transform_mask(mask))
