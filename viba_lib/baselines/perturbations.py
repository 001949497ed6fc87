"""Methods that change the input and measure the probability of the class.

They wrap captum and SciPy; RISE and the masks of Sobol are implemented here. Removed pixels become
zero: grey for a face, no motion for flow. `passes` is the largest number of inputs that go through
the network for one frame, so that methods can have the same budget; a method whose smallest design
needs more takes that one.
"""

import warnings
from collections.abc import Callable

import cv2
import numpy as np
import torch
from captum._utils.models.linear_model import SkLearnRidge
from captum.attr import KernelShap, Lime, Occlusion
from scipy.stats import sobol_indices, uniform
from skimage.segmentation import slic
from torch import nn

from viba_lib.baselines.common import BATCH, Target, map_frames, positive, probability

SEGMENTS = 50
Score = Callable[[torch.Tensor], torch.Tensor]  # probability (N,) of a class, of (N, 3, H, W)
MapOf = Callable[[torch.Tensor, Score], np.ndarray]


def _map_by_score(
    model: nn.Module, frames: torch.Tensor, target: Target, map_of: MapOf
) -> np.ndarray:
    """Maps of frames; `map_of` is given a frame (1, 3, H, W) and the score of its class."""
    return map_frames(
        model, frames, target, lambda frame, wanted: map_of(frame, probability(model, wanted))
    )


def occlusion_design(side: int, passes: int, width: int = 2) -> tuple[int, int]:
    """Step of the square in pixels, and its number of positions along a side of the input.

    The frame as it is takes one of the passes.
    """
    step = -(-side // (max(2, int(np.sqrt(passes - 1))) + width - 1))
    return step, -(-(side - min(side, width * step)) // step) + 1


def occlusion(
    model: nn.Module,
    frames: torch.Tensor,
    target: Target = None,
    passes: int = 64,
    width: int = 2,
) -> np.ndarray:
    """Occlusion by a sliding square (Zeiler and Fergus 2013), through captum.

    The step is as small as the passes allow, and the square `width` steps wide.
    """
    step, _ = occlusion_design(max(frames.shape[-2:]), passes, width)
    square = tuple(min(side, width * step) for side in frames.shape[-2:])

    def map_of(frame: torch.Tensor, score: Score) -> np.ndarray:
        found = Occlusion(score).attribute(
            frame, sliding_window_shapes=(3, *square), strides=(3, step, step),
            perturbations_per_eval=BATCH,
        )  # fmt: skip
        return positive(found)

    return _map_by_score(model, frames, target, map_of)


def segments_of(frame: torch.Tensor, count: int = SEGMENTS) -> np.ndarray:
    """Superpixels (H, W) of an input (3, H, W), numbered from 0 (SLIC).

    An input so even that SLIC sees one piece is cut into squares.
    """
    image = frame.float().cpu().permute(1, 2, 0).numpy()
    image = (image - image.min()) / max(float(np.ptp(image)), 1e-12)
    found = np.asarray(slic(image, n_segments=count, start_label=0))
    if found.max() > 0:
        return found
    side = int(np.sqrt(count))
    rows, columns = (np.arange(n) * side // n for n in found.shape)
    return rows[:, None] * side + columns


def _surrogate(kind: type[Lime | KernelShap], passes: int, seed: int, segments: int) -> MapOf:
    def map_of(frame: torch.Tensor, score: Score) -> np.ndarray:
        mask = torch.from_numpy(segments_of(frame[0], segments)).to(frame.device)
        given = {"interpretable_model": SkLearnRidge(alpha=1.0)} if kind is Lime else {}
        with torch.random.fork_rng(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that some superpixels are small
            torch.manual_seed(seed)
            found = kind(score, **given).attribute(
                frame, feature_mask=mask.expand_as(frame), n_samples=passes,
                perturbations_per_eval=BATCH,
            )  # fmt: skip
        return positive(found[:, :1])  # the same in each channel

    return map_of


def lime(
    model: nn.Module,
    frames: torch.Tensor,
    target: Target = None,
    passes: int = 64,
    seed: int = 0,
    segments: int = SEGMENTS,
) -> np.ndarray:
    """LIME on superpixels with a ridge regression (Ribeiro et al. 2016), through captum."""
    return _map_by_score(model, frames, target, _surrogate(Lime, passes, seed, segments))


def kernel_shap(
    model: nn.Module,
    frames: torch.Tensor,
    target: Target = None,
    passes: int = 64,
    seed: int = 0,
    segments: int = SEGMENTS,
) -> np.ndarray:
    """Kernel SHAP on superpixels (Lundberg and Lee 2017), through captum."""
    return _map_by_score(model, frames, target, _surrogate(KernelShap, passes, seed, segments))


def _masked(frame: torch.Tensor, masks: np.ndarray) -> torch.Tensor:
    """The frame under masks (N, h, w) in 0 to 1, enlarged to its size: (N, 3, H, W)."""
    size = (frame.shape[-1], frame.shape[-2])
    wide = np.stack([cv2.resize(m.astype(np.float32), size) for m in masks])
    return frame * torch.from_numpy(wide)[:, None].to(frame.device)


def sobol_design(passes: int, cells: int | None = None) -> tuple[int, int]:
    """Cells along a side of the grid, and samples; both give (cells * cells + 2) samples passes."""
    side = int(np.clip(np.sqrt(max(passes / 8 - 2, 4)), 2, 8)) if cells is None else cells
    return side, 2 ** int(np.log2(max(2, passes / (side * side + 2))))


def sobol(
    model: nn.Module,
    frames: torch.Tensor,
    target: Target = None,
    passes: int = 64,
    seed: int = 0,
    cells: int | None = None,
) -> np.ndarray:
    """Total-order Sobol indices of a grid of masks (Fel et al. 2021), through SciPy.

    The index of a cell is the fraction of the score's variance that it has a part in. A grid of
    `cells` a side takes (cells * cells + 2) n passes; n is a power of two, as large as the passes
    allow, and 2 or more. None = as many cells as leave eight draws, but four or more.
    """
    side, draws = sobol_design(passes, cells)
    number = side * side

    def map_of(frame: torch.Tensor, score: Score) -> np.ndarray:
        def scores(cells_by_draw: np.ndarray) -> np.ndarray:
            masks = np.moveaxis(cells_by_draw.reshape(number, -1), 0, -1).reshape(-1, side, side)
            parts = [
                score(_masked(frame, m)) for m in np.array_split(masks, -(-len(masks) // BATCH))
            ]
            return torch.cat(parts).cpu().numpy().reshape(1, *cells_by_draw.shape[1:])

        rng = np.random.default_rng(seed)
        with np.errstate(invalid="ignore", divide="ignore"):  # a score that nothing changes
            found = sobol_indices(func=scores, n=draws, dists=[uniform()] * number, rng=rng)
        total = np.nan_to_num(np.asarray(found.total_order).reshape(side, side)).clip(0)
        size = (frame.shape[-1], frame.shape[-2])
        return cv2.resize(total.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)

    return _map_by_score(model, frames, target, map_of)


def rise(
    model: nn.Module,
    frames: torch.Tensor,
    target: Target = None,
    passes: int = 64,
    seed: int = 0,
    cells: int = 7,
) -> np.ndarray:
    """RISE (Petsiuk et al. 2018): the mean of random masks, weighted by the score under each.

    Masks are grids of `cells` a side, half of them open, enlarged and shifted at random. This is
    an implementation of our own, because captum and pytorch-grad-cam have none.
    """
    share = 0.5

    def map_of(frame: torch.Tensor, score: Score) -> np.ndarray:
        rng = np.random.default_rng(seed)
        height, width = frame.shape[-2:]
        step = (-(-height // cells), -(-width // cells))
        total = np.zeros((height, width), np.float32)
        for start in range(0, passes, BATCH):
            masks = []
            for _ in range(min(BATCH, passes - start)):
                grid = (rng.random((cells + 1, cells + 1)) < share).astype(np.float32)
                wide = cv2.resize(grid, ((cells + 1) * step[1], (cells + 1) * step[0]))
                top, left = rng.integers(step[0]), rng.integers(step[1])
                masks.append(wide[top : top + height, left : left + width])
            stack = np.stack(masks)
            scores = score(frame * torch.from_numpy(stack)[:, None].to(frame.device))
            total += np.tensordot(scores.cpu().numpy(), stack, 1)
        return total / (passes * share)

    return _map_by_score(model, frames, target, map_of)
