"""Torch data sets over prepared clips: the frames a detector learns from, and fresh fakes.

Items are whole batches and a batch is a function of (seed, step) alone, so that training can be
stopped and resumed with the same batches, whatever the number of workers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd
import torch
from torch.utils.data import Dataset

from viba_lib.data.flow import farneback, flow_to_input, scale_flow
from viba_lib.data.planted import plant
from viba_lib.data.prepared import ClipStore, PreparedClip
from viba_lib.errors import VibaError


def face_tensor(images: np.ndarray, size: int) -> torch.Tensor:
    """Face crops (T, S, S, 3) uint8 to Xception's input (T, 3, size, size) in [-1, 1]."""
    if images.shape[1] != size:
        images = np.stack(
            [cv2.resize(i, (size, size), interpolation=cv2.INTER_AREA) for i in images]
        )
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 127.5 - 1


@dataclass
class _Camera:
    """A worse camera: a small picture, compressed, so that its blocks are large in a crop.

    It takes the real frame before an artefact is planted, as it does in a coarse film: else the
    compression of one would itself pass for an artefact.
    """

    scale: float
    quality: int

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "_Camera | None":
        camera = cls(rng.uniform(0.3, 1.0), int(rng.integers(12, 70)))
        return camera if rng.random() < 0.35 else None

    def __call__(self, image: np.ndarray) -> np.ndarray:
        side = image.shape[0]
        small = round(side * self.scale)
        out = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
        return cv2.resize(_jpeg(out, self.quality), (side, side), interpolation=cv2.INTER_CUBIC)


def _jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))


def _through(camera: _Camera | None, images: np.ndarray) -> np.ndarray:
    """Images (T, S, S, 3) as the camera takes them; none leaves them as they are."""
    return images if camera is None else np.stack([camera(image) for image in images])


@dataclass
class _Film:
    """Another film for a pair of frames: skin without texture, and a camera that turns.

    Compression takes the texture of skin and leaves eyes, nose and mouth. Flow is then found at
    these alone, and they seem to float, in real frames as in fakes.
    """

    smooth: int  # side of the median's window, in pixels of the crop
    turn: float  # degrees
    scale: float
    shift: np.ndarray  # (x, y) in units of the side

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "_Film":
        # Most pairs stay as they are: where all are hard to read, motion is not learned at all.
        film = cls(
            smooth=int(rng.choice([5, 7, 9])),
            turn=rng.uniform(-0.6, 0.6),
            scale=1 + rng.uniform(-0.006, 0.006),
            shift=rng.uniform(-0.008, 0.008, 2),
        )
        if rng.random() > 0.3:
            film.smooth = 0
        if rng.random() > 0.2:
            film.turn, film.scale, film.shift = 0.0, 1.0, np.zeros(2)
        return film

    def soften(self, pair: np.ndarray) -> np.ndarray:
        """Both frames (2, S, S, 3) without their fine texture."""
        if not self.smooth:
            return pair
        return np.stack([cv2.medianBlur(np.ascontiguousarray(f), self.smooth) for f in pair])

    def move(self, pair: np.ndarray) -> np.ndarray:
        """The second frame as a camera sees it that has moved: what moves apart still does."""
        if self.turn == 0 and self.scale == 1 and not self.shift.any():
            return pair
        side = pair.shape[1]
        matrix = cv2.getRotationMatrix2D((side / 2, side / 2), self.turn, self.scale)
        matrix[:, 2] += self.shift * side
        moved = cv2.warpAffine(
            pair[1], matrix, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
        )
        return np.stack([pair[0], moved])


@dataclass
class _Look:
    """One draw of augmentation, given to a real frame and its fake twin alike."""

    flip: bool
    gain: float
    shift: float
    quality: int
    blur: float
    coarse: float
    zoom: float
    corner: np.ndarray

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "_Look":
        return cls(
            flip=bool(rng.random() < 0.5),
            gain=rng.uniform(0.8, 1.2),
            shift=rng.uniform(-20, 20),
            quality=int(rng.integers(50, 100)) if rng.random() < 0.6 else 0,
            blur=rng.uniform(0.3, 1.2) if rng.random() < 0.25 else 0.0,
            # Faces of a small picture are soft when they fill a crop, and not fake for that.
            coarse=rng.uniform(0.35, 0.9) if rng.random() < 0.4 else 1.0,
            zoom=rng.uniform(0.88, 1.0),
            corner=rng.random(2),
        )

    def _zoomed(self, image: np.ndarray) -> np.ndarray:
        side = image.shape[0]
        window = round(side * self.zoom)
        top, left = (self.corner * (side - window)).astype(int)
        out = image[top : top + window, left : left + window]
        return cv2.resize(out, (side, side), interpolation=cv2.INTER_LINEAR)

    def place(self, mask: np.ndarray) -> np.ndarray:
        """Where a mask (S, S) of the image lies in what `__call__` makes of it."""
        out = self._zoomed(mask)
        return out[:, ::-1] if self.flip else out

    def __call__(self, image: np.ndarray) -> np.ndarray:
        side = image.shape[0]
        out = self._zoomed(image)
        out = np.clip(out * np.float32(self.gain) + np.float32(self.shift), 0, 255).astype(np.uint8)
        if self.coarse < 1:
            small = round(side * self.coarse)
            out = cv2.resize(out, (small, small), interpolation=cv2.INTER_AREA)
            out = cv2.resize(out, (side, side), interpolation=cv2.INTER_LINEAR)
        if self.blur:
            out = cv2.GaussianBlur(out, (0, 0), self.blur)
        if self.quality:
            out = _jpeg(out, self.quality)
        return out[:, ::-1] if self.flip else out


Item = Callable[[PreparedClip, int, np.random.Generator, int], torch.Tensor]


def augmented_face(
    clip: PreparedClip, at: int, rng: np.random.Generator, size: int
) -> torch.Tensor:
    """Input (3, size, size) of the face detector: a crop in another light, place and sharpness."""
    return face_tensor(_Look.draw(rng)(clip.faces[at])[None], size)[0]


def augmented_flow(
    clip: PreparedClip, at: int, rng: np.random.Generator, size: int
) -> torch.Tensor:
    """Input (3, size, size) of the motion detector: flow of a pair whose frames look alike."""
    film, look = _Film.draw(rng), _flow_look(rng)
    return _flow(film.move(film.soften(clip.pairs[at])), look, size)


def _flow_look(rng: np.random.Generator) -> _Look:
    # `_Film` softens a pair. Strong compression of each frame for itself would bury the motion in
    # noise, real or fake: that of a film is alike in frames that follow each other.
    look = _Look.draw(rng)
    look.blur, look.coarse = 0.0, 1.0
    look.quality = look.quality if look.quality >= 80 else 0
    return look


def _flow(pair: np.ndarray, look: _Look, size: int) -> torch.Tensor:
    # Flow is found at full size and then scaled, as it is for the frames that are judged.
    flow = farneback(look(pair[0]), look(pair[1]))
    return torch.from_numpy(flow_to_input(scale_flow(flow, size)))


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
