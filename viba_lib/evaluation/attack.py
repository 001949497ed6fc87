"""Adversarial evaluation of maps: the protocol of Tsigos et al. (2024) for deepfake detectors.

Segments of the input are ranked by mean relevance. The first one, two or three are changed by NES,
an attack that only needs probabilities (Ilyas et al. 2018). If the decision depends on these
segments, a small change of them flips it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from viba_lib.baselines.perturbations import segments_of
from viba_lib.core.errors import VibaError
from viba_lib.evaluation.agreement import rank_correlation
from viba_lib.evaluation.faithfulness import Probabilities


@dataclass(frozen=True)
class AttackSettings:
    """Settings of the attack, those of Tsigos et al. by default.

    Values are in units of an image from 0 to 1.

    Parameters
    ----------
    segments : of SLIC
    variance : of the noise in a query
    samples : queries of a step, in pairs of opposite sign
    iterations : steps at most
    eps : largest change of a pixel
    learning_rate : change of a pixel in a step
    span : width of the input's range

    Raises
    ------
    VibaError
        A number out of range.
    """

    segments: int = 50
    variance: float = 0.001
    samples: int = 40
    iterations: int = 50
    eps: float = 16 / 255
    learning_rate: float = 1 / 255
    span: float = 2.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise VibaError(f"{name} is {value}; expected a number above 0")
        if self.segments < 2 or self.samples < 2:
            raise VibaError(
                f"segments is {self.segments}, samples {self.samples}; expected 2 or more of each"
            )


def top_segments(
    frame: torch.Tensor, relevance: np.ndarray, count: int, settings: AttackSettings
) -> np.ndarray:
    """Mask (S, S) bool of the `count` segments of a frame (3, S, S) with most mean relevance."""
    number = segments_of(frame, settings.segments)
    sizes = np.bincount(number.ravel())
    means = np.bincount(number.ravel(), np.ravel(relevance)) / np.maximum(sizes, 1)
    chosen = np.argsort(-means, kind="stable")[:count]
    return np.isin(number, chosen)


def nes_attack(
    probabilities: Probabilities,
    frame: torch.Tensor,
    where: np.ndarray,
    settings: AttackSettings,
    seed: int = 0,
) -> tuple[torch.Tensor, int]:
    """Change a frame inside a mask until the predicted class changes.

    Each step estimates the gradient of the predicted class's probability from `samples` queries
    and moves against its sign.

    Parameters
    ----------
    probabilities : of a batch (N, 3, S, S): (N, classes)
    frame : (3, S, S), in the detector's input range
    where : (S, S) bool, the pixels that may change

    Returns
    -------
    The attacked frame (3, S, S), and the number of frames that went through the detector.
    """
    generator = torch.Generator().manual_seed(seed)
    inside = torch.from_numpy(where)[None].float()
    wanted = int(probabilities(frame[None])[0].argmax())
    deviation = settings.span * settings.variance**0.5
    step, reach = (settings.span * x for x in (settings.learning_rate, settings.eps))
    low, high = (
        torch.clamp(frame + side * reach, -settings.span / 2, settings.span / 2) for side in (-1, 1)
    )
    attacked, queries = frame.clone(), 1
    for _ in range(settings.iterations):
        half = torch.randn(max(1, settings.samples // 2), *frame.shape, generator=generator)
        noise = torch.cat([half, -half]) * inside
        found = probabilities(torch.cat([attacked[None], attacked + deviation * noise]))
        queries += len(found)
        if int(found[0].argmax()) != wanted:
            break
        scores = torch.from_numpy(np.asarray(found[1:, wanted], np.float32))
        gradient = torch.einsum("n,nchw->chw", scores, noise)
        moved = torch.clamp(attacked - step * gradient.sign(), low, high)
        # An input of another normalisation may be out of range; pixels outside stay as they are.
        attacked = torch.where(inside > 0, moved, attacked)
    return attacked, queries


def attack_scores(
    probabilities: Probabilities,
    inputs: torch.Tensor,
    maps: Mapping[str, np.ndarray],
    settings: AttackSettings,
    tops: Sequence[int] = (1, 2, 3),
    seed: int = 0,
) -> pd.DataFrame:
    """Effect on the decision of attacks on the segments that each map ranks first.

    Two methods that choose the same segments of a frame share one attack.

    Parameters
    ----------
    probabilities : see `nes_attack`
    inputs : (T, 3, S, S)
    maps : (T, S, S) by method
    tops : numbers of segments

    Returns
    -------
    method, item, top, sufficiency (probability of the predicted class, before minus after), kept
    (whether the predicted class stays), passes.
    """
    done: dict[tuple[int, bytes], tuple[float, bool, int]] = {}
    rows = []
    for item, frame in enumerate(inputs):
        before = probabilities(frame[None])[0]
        wanted = int(before.argmax())
        for name, values in maps.items():
            for top in tops:
                where = top_segments(frame, values[item], top, settings)
                key = (item, np.packbits(where).tobytes())
                if key not in done:
                    attacked, queries = nes_attack(probabilities, frame, where, settings, seed)
                    after = probabilities(attacked[None])[0]
                    lost = float(before[wanted] - after[wanted])
                    done[key] = (lost, int(after.argmax()) == wanted, queries)
                lost, kept, queries = done[key]
                rows.append(
                    {"method": name, "item": item, "top": top, "sufficiency": lost, "kept": kept,
                     "passes": queries}
                )  # fmt: skip
    columns = ["method", "item", "top", "sufficiency", "kept", "passes"]
    return pd.DataFrame(rows, columns=columns)


def stability(
    explain: Callable[[torch.Tensor], np.ndarray],
    probabilities: Probabilities,
    inputs: torch.Tensor,
    maps: np.ndarray,
    settings: AttackSettings,
    limit: float = 0.1,
    tries: int = 5,
    seed: int = 0,
) -> np.ndarray:
    """Similarity of a frame's map to that of the frame under noise that keeps the decision.

    Parameters
    ----------
    explain : maps (T, S, S) of frames (T, 3, S, S)
    maps : (T, S, S), of the inputs
    limit : largest change of the predicted class's probability; if noise changes it more, weaker
        noise is sampled, up to `tries` times

    Returns
    -------
    (T,) rank correlations; NaN if no noise is weak enough, or a map is constant.
    """
    generator, found = torch.Generator().manual_seed(seed), []
    for frame, plain in zip(inputs, maps, strict=True):
        noisy = _noisy(probabilities, frame, settings, limit, tries, generator)
        if noisy is None:
            found.append(float("nan"))
        else:
            found.append(rank_correlation(plain, explain(noisy[None])[0]))
    return np.array(found)


def _noisy(
    probabilities: Probabilities,
    frame: torch.Tensor,
    settings: AttackSettings,
    limit: float,
    tries: int,
    generator: torch.Generator,
) -> torch.Tensor | None:
    """The frame under noise that changes the probability by `limit` at most, or None."""
    before = probabilities(frame[None])[0]
    deviation, edge = settings.span * settings.variance**0.5, settings.span / 2
    for _ in range(tries):
        noise = deviation * torch.randn(frame.shape, generator=generator)
        noisy = torch.clamp(frame + noise, -edge, edge)
        if abs(float((probabilities(noisy[None])[0] - before)[before.argmax()])) <= limit:
            return noisy
        deviation /= 2
    return None
