"""Training batches of real frames and their manipulated twins."""

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
    Item,
    _Camera,
    _Film,
    _flow,
    _flow_look,
    _Look,
    _through,
)
from viba_lib.models.xception import face_tensor


class EpochBatches(Dataset):
    """Every frame of the training split once in an epoch, in another order each time.

    Parameters
    ----------
    rows : prepared frames of the training split: `path`, `position`, `label`
    item : `augmented_face` or `augmented_flow`
    """

    def __init__(
        self,
        store: ClipStore,
        rows: pd.DataFrame,
        item: Item,
        size: int,
        epochs: int,
        batch_size: int,
        seed: int,
    ) -> None:
        _check_labels(rows, fake_needed=True)
        self.store, self.item, self.size = store, item, size
        self.rows = rows[["path", "position", "label"]].reset_index(drop=True)
        self.epochs, self.batch_size, self.seed = epochs, batch_size, seed

    @property
    def per_epoch(self) -> int:
        """Batches in an epoch; the last may be smaller."""
        return -(-len(self.rows) // self.batch_size)

    def __len__(self) -> int:
        return self.epochs * self.per_epoch

    def __getitem__(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        cv2.setNumThreads(1)
        epoch, batch = divmod(step, self.per_epoch)
        order = np.random.default_rng([self.seed, 104729, epoch]).permutation(len(self.rows))
        chosen = order[batch * self.batch_size : (batch + 1) * self.batch_size]
        rng = np.random.default_rng([self.seed, 7919, step])
        rows = list(self.rows.iloc[chosen].itertuples(index=False))
        items = [self.item(self.store[r.path], int(r.position), rng, self.size) for r in rows]
        return torch.stack(items), torch.tensor([int(r.label) for r in rows])


def _check_labels(rows: pd.DataFrame, fake_needed: bool) -> None:
    real, fake = int((rows.label == 0).sum()), int((rows.label == 1).sum())
    if not real or (fake_needed and not fake):
        raise VibaError(
            f"training needs real and fake frames, got {real} real and {fake} fake: check the "
            "split and the labels of the catalog"
        )


def _even(identity: pd.Series) -> np.ndarray:
    """Probability of each frame (N,) with which every identity is drawn as often as the others."""
    weights = 1 / identity.map(identity.value_counts()).to_numpy(float)
    return np.asarray(weights / weights.sum())


@dataclass(frozen=True)
class _Pair:
    """A real and a fake input (3, S, S) seen alike, and where the artefact lies, (s, s)."""

    real: torch.Tensor
    fake: torch.Tensor
    mask: np.ndarray

    def window(self, rng: np.random.Generator) -> "_Pair":
        """Half the side of both inputs about a place of the artefact; anywhere without a mask."""
        side = self.real.shape[-1]
        half = side // 2
        weights = self.mask.ravel().astype(float)
        total = weights.sum()
        at = rng.choice(len(weights), p=weights / total if total > 0 else None)
        centre = (np.array(np.unravel_index(at, self.mask.shape)) + 0.5) * side / len(self.mask)
        # The artefact need not be in the middle: nor is it in a whole input.
        corner = np.round(centre - half * rng.uniform(0.2, 0.8, 2)).astype(int)
        top, left = np.clip(corner, 0, side - half)
        cut = (..., slice(top, top + half), slice(left, left + half))
        return _Pair(self.real[cut], self.fake[cut], self.mask)


class _Batches(Dataset):
    """Half real, half fake; each fake is a fresh one of the real frame beside it, or a given one.

    Parameters
    ----------
    rows : prepared frames of the training split: `path`, `position`, `label`
    methods : what fresh fakes are drawn from; empty for data whose fakes are given
    fresh : share of fakes that are made on the spot
    windows : so many batches come first that are cut from the inputs around the artefact, with half
        the side, which costs a quarter: a network that ends in a mean over places can begin there,
        where the artefact is a larger share of what it sees, at the scale of whole inputs
    """

    def __init__(
        self,
        store: ClipStore,
        rows: pd.DataFrame,
        size: int,
        steps: int,
        batch_size: int,
        methods: Sequence[str],
        fresh: float,
        seed: int,
        windows: int = 0,
    ) -> None:
        self.store, self.size, self.steps, self.batch_size = store, size, steps, batch_size
        self.windows = windows
        self.methods, self.fresh, self.seed = list(methods), fresh if methods else 0.0, seed
        self.real = rows[rows.label == 0].reset_index(drop=True)
        self.fake = rows[rows.label == 1].reset_index(drop=True)
        _check_labels(rows, fake_needed=self.fresh < 1)
        # Identities weigh the same, however many frames each has, among real frames and among fakes
        # alike: else one with many fakes would be called fake for its camera.
        self.weights, self.fake_weights = (_even(part.identity) for part in (self.real, self.fake))

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        cv2.setNumThreads(1)
        rng = np.random.default_rng([self.seed, 7919, step])
        pairs = [self._pair(rng) for _ in range(self.batch_size // 2)]
        if step < self.windows:
            pairs = [pair.window(rng) for pair in pairs]
        items = [pair.real for pair in pairs] + [pair.fake for pair in pairs]
        labels = torch.tensor([0] * len(pairs) + [1] * len(pairs))
        return torch.stack(items), labels

    def _pair(self, rng: np.random.Generator) -> _Pair:
        raise VibaError("use FaceBatches or FlowBatches")

    def _draw(self, rng: np.random.Generator) -> tuple[PreparedClip, int, PreparedClip | None, int]:
        row = self.real.iloc[int(rng.choice(len(self.real), p=self.weights))]
        if rng.random() < self.fresh:
            return self.store[row.path], int(row.position), None, 0
        other = self.fake.iloc[int(rng.choice(len(self.fake), p=self.fake_weights))]
        return self.store[row.path], int(row.position), self.store[other.path], int(other.position)


class FaceBatches(_Batches):
    """Batches (B, 3, size, size) of face crops for Xception."""

    def _pair(self, rng: np.random.Generator) -> _Pair:
        clip, at, given, given_at = self._draw(rng)
        camera, look = _Camera.draw(rng), _Look.draw(rng)
        real = _through(camera, clip.faces[at][None])[0]
        if given is None:
            method = str(rng.choice(self.methods))
            points = clip.landmarks[at][None] * real.shape[0]
            fakes, masks = plant(real[None], points, method, rng)
            fake, mask = fakes[0], masks[0]
        else:
            fake, mask = _through(camera, given.faces[given_at][None])[0], given.masks[given_at]
        seen = face_tensor(np.stack([look(real), look(fake)]), self.size)
        return _Pair(seen[0], seen[1], look.place(mask))


class FlowBatches(_Batches):
    """Batches (B, 3, size, size) of flow maps for the detector of motion."""

    def _pair(self, rng: np.random.Generator) -> _Pair:
        clip, at, given, given_at = self._draw(rng)
        film, look = _Film.draw(rng), _flow_look(rng)
        real = film.soften(clip.pairs[at])
        if given is None:
            # Two frames carry a shift or a standstill; a lag needs more and comes as a given fake.
            method = str(rng.choice([m for m in self.methods if m != "lag"] or self.methods))
            points = np.stack([clip.landmarks[at], clip.next_landmarks[at]]) * real.shape[1]
            fake, masks = plant(real, points, method, rng)
            mask = masks[0]
        else:
            fake, mask = film.soften(given.pairs[given_at]), given.masks[given_at]
        seen = [_flow(film.move(pair), look, self.size) for pair in (real, fake)]
        return _Pair(seen[0], seen[1], look.place(mask))
