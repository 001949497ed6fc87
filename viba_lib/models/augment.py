"""Augmentation of training inputs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch

from viba_lib.data.flow import farneback, flow_to_input, scale_flow
from viba_lib.data.video import compress, jpeg


def _h264(image: np.ndarray, crf: int) -> np.ndarray:
    return compress(image[None], crf)[0]


def _through_small(
    image: np.ndarray, scale: float, enlarge: int, crf: int = 0, quality: int = 0
) -> np.ndarray:
    """An image (S, S, 3) made smaller, compressed by H.264 or JPEG if asked, enlarged again."""
    side = image.shape[0]
    small = (round(side * scale),) * 2
    out = image if scale == 1 else cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    out = _h264(out, crf) if crf else out
    out = jpeg(out, quality) if quality else out
    return out if scale == 1 else cv2.resize(out, (side, side), interpolation=enlarge)


@dataclass
class LowQuality:
    """A degraded video: a small image, compressed, whose blocks are large in a face crop.

    It is applied to the real frame before an artefact is planted, because real fakes were recorded
    like that as well. Otherwise the compression itself would pass for an artefact.
    """

    scale: float = 1.0
    crf: int = 0  # of H.264; 0 changes nothing

    @classmethod
    def sample(cls, rng: np.random.Generator) -> "LowQuality":
        """A random degradation; about two thirds of them change nothing."""
        found = cls(rng.uniform(0.3, 1.0), int(rng.integers(18, 41)))
        return found if rng.random() < 0.35 else cls()

    def __call__(self, image: np.ndarray) -> np.ndarray:
        if not self.crf:
            return image
        return _through_small(image, self.scale, cv2.INTER_CUBIC, self.crf)


@dataclass
class Camera:
    """What ordinary cameras and phones do to a frame, in about half of the pairs.

    It is applied to the real frame before an artefact is planted, as `LowQuality` is. Otherwise
    noise, sharpened edges and colours that no training video has would pass for artefacts.
    """

    gamma: float = 1.0
    balance: Sequence[float] | np.ndarray = (1.0, 1.0, 1.0)  # of the colours
    streak: int = 0  # length of a motion blur in pixels
    angle: float = 0.0  # of it, in degrees
    sharpen: float = 0.0
    noise: float = 0.0  # standard deviation in grey levels
    seed: int = 0  # of the noise

    @classmethod
    def sample(cls, rng: np.random.Generator) -> "Camera":
        """A random camera; half of them change nothing."""
        use = rng.random(5) < 0.4
        found = cls(
            gamma=float(np.exp(use[0] * rng.uniform(-0.35, 0.35))),
            balance=1 + use[1] * rng.uniform(-0.12, 0.12, 3),
            streak=int(use[2] * rng.integers(3, 10)),
            angle=rng.uniform(0, 180),
            sharpen=float(use[3] * rng.uniform(0.3, 1.5)),
            noise=float(use[4] * rng.uniform(1, 8)),
            seed=int(rng.integers(2**31)),
        )
        return found if rng.random() < 0.5 else cls()

    def __call__(self, image: np.ndarray) -> np.ndarray:
        out: np.ndarray = 255 * (image / np.float32(255)) ** np.float32(self.gamma)
        out = out * np.asarray(self.balance, np.float32)
        if self.streak:
            line = np.zeros((self.streak, self.streak), np.float32)
            line[self.streak // 2] = 1
            middle = (self.streak / 2 - 0.5, self.streak / 2 - 0.5)
            turn = cv2.getRotationMatrix2D(middle, self.angle, 1.0)
            kernel = np.asarray(cv2.warpAffine(line, turn, line.shape))
            out = cv2.filter2D(out, -1, kernel / kernel.sum())
        if self.sharpen:
            out = out + self.sharpen * (out - cv2.GaussianBlur(out, (0, 0), 1.0))
        if self.noise:
            rng = np.random.default_rng(self.seed)
            out = out + self.noise * rng.standard_normal(out.shape, np.float32)
        return np.clip(np.rint(out), 0, 255).astype(np.uint8)


@dataclass
class MotionAugmentation:
    """Another video of a pair of frames: without texture, with a camera that turns, compressed.

    Compression removes the texture of skin and leaves eyes, nose and mouth. Flow is then found at
    these alone, and they seem to float, in real frames as in fakes.
    """

    smooth: int = 0  # side of the median's window, in pixels of the crop
    turn: float = 0.0  # degrees
    scale: float = 1.0
    shift: Sequence[float] | np.ndarray = (0.0, 0.0)  # (x, y) in units of the side
    crf: int = 0  # of H.264; 0 changes nothing

    @classmethod
    def sample(cls, rng: np.random.Generator, degraded: float = 1.0) -> "MotionAugmentation":
        """A random augmentation; most change nothing, since otherwise nothing is learned.

        Parameters
        ----------
        degraded : proportion of the compressions that are kept, 0 to 1
        """
        found = cls(
            smooth=int(rng.choice([5, 7, 9])),
            turn=rng.uniform(-0.6, 0.6),
            scale=1 + rng.uniform(-0.006, 0.006),
            shift=rng.uniform(-0.008, 0.008, 2),
        )
        if rng.random() > 0.3:
            found.smooth = 0
        found = found if rng.random() <= 0.2 else cls(found.smooth)
        crf, use = int(rng.integers(18, 41)), rng.random() < 0.4 * degraded
        return replace(found, crf=crf if use else 0)

    def soften(self, pair: np.ndarray) -> np.ndarray:
        """Both frames (2, S, S, 3) without their fine texture."""
        if not self.smooth:
            return pair
        return np.stack([cv2.medianBlur(np.ascontiguousarray(f), self.smooth) for f in pair])

    def move(self, pair: np.ndarray) -> np.ndarray:
        """The pair with the second frame as a camera sees it that has moved."""
        if self.turn == 0 and self.scale == 1 and not np.any(self.shift):
            return pair
        side = pair.shape[1]
        matrix = cv2.getRotationMatrix2D((side / 2, side / 2), self.turn, self.scale)
        matrix[:, 2] += np.asarray(self.shift) * side
        moved = cv2.warpAffine(
            pair[1], matrix, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
        )
        return np.stack([pair[0], moved])

    def publish(self, pair: np.ndarray) -> np.ndarray:
        """The pair compressed as a video: the second frame is predicted from the first."""
        return compress(pair, self.crf) if self.crf else pair


@dataclass
class Augmentation:
    """A change of one frame's appearance; a real frame and its fake twin are given the same."""

    flip: bool
    gain: float
    shift: float
    quality: int  # of JPEG; 0 changes nothing
    crf: int  # of H.264; 0 changes nothing
    blur: float
    coarse: float
    zoom: Sequence[float] | np.ndarray  # of width and height: faces differ in shape
    corner: np.ndarray

    @classmethod
    def sample(cls, rng: np.random.Generator) -> "Augmentation":
        """A random augmentation of a face crop."""
        return cls(
            flip=bool(rng.random() < 0.5),
            gain=rng.uniform(0.8, 1.2),
            shift=rng.uniform(-20, 20),
            # A forgery is compressed once more when it is published.
            quality=int(rng.integers(50, 100)) if (codec := rng.random()) < 0.3 else 0,
            crf=int(rng.integers(18, 41)) if codec > 0.6 else 0,
            blur=rng.uniform(0.3, 1.2) if rng.random() < 0.25 else 0.0,
            # Faces of a small image are soft when they fill a crop, and not fake for that.
            coarse=rng.uniform(0.35, 0.9) if rng.random() < 0.4 else 1.0,
            zoom=rng.uniform(0.82, 1.0, 2),
            corner=rng.random(2),
        )

    @classmethod
    def sample_for_flow(cls, rng: np.random.Generator) -> "Augmentation":
        """A random augmentation of the frames of a pair, which keeps their motion.

        `MotionAugmentation` softens and compresses a pair. Strong compression of each frame by
        itself would hide the motion in noise.
        """
        found = cls.sample(rng)
        return replace(found.clear(), quality=found.quality if found.quality >= 80 else 0)

    def clear(self) -> "Augmentation":
        """The same without compression and blur."""
        return replace(self, quality=0, crf=0, blur=0.0, coarse=1.0)

    def _zoomed(self, image: np.ndarray) -> np.ndarray:
        side = image.shape[0]
        width, height = np.round(np.multiply(self.zoom, side)).astype(int)
        top, left = (self.corner * (side - height, side - width)).astype(int)
        out = image[top : top + height, left : left + width]
        return cv2.resize(out, (side, side), interpolation=cv2.INTER_LINEAR)

    def transform_mask(self, mask: np.ndarray) -> np.ndarray:
        """A mask (S, S) of the image, transformed as `__call__` transforms the image."""
        out = self._zoomed(mask)
        return out[:, ::-1] if self.flip else out

    def __call__(self, image: np.ndarray) -> np.ndarray:
        out = self._zoomed(image)
        out = np.clip(out * np.float32(self.gain) + np.float32(self.shift), 0, 255).astype(np.uint8)
        if self.blur:
            out = cv2.GaussianBlur(out, (0, 0), self.blur)
        out = _through_small(out, self.coarse, cv2.INTER_LINEAR, self.crf, self.quality)
        return out[:, ::-1] if self.flip else out


def pair_to_flow(pair: np.ndarray, augmentation: Augmentation, size: int) -> torch.Tensor:
    """Flow input (3, size, size) of a pair (2, S, S, 3) whose frames get the same augmentation.

    Flow is computed at full size and then scaled, as it is without augmentation.
    """
    flow = farneback(augmentation(pair[0]), augmentation(pair[1]))
    return torch.from_numpy(flow_to_input(scale_flow(flow, size)))
