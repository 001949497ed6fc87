"""Augmentation of training inputs."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from viba_lib.data.clip_store import PreparedClip
from viba_lib.data.flow import farneback, flow_to_input, scale_flow
from viba_lib.models.xception import face_tensor


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
