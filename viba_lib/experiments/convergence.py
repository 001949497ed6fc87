"""How far the optimisation has come after so many steps, and what other starts or neighbours give.

Judged where the answer is known: on held-out frames with a planted artefact and its mask.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from viba_lib.bottleneck import Attribution, PerSampleBottleneck, bits_per_pixel
from viba_lib.evaluation.consistency import highlight, mean_iou
from viba_lib.evaluation.faithfulness import mass_ratio, pointing_game
from viba_lib.pipeline.study import Study

STEPS = (1, 2, 5, 10, 20, 40, 100, 200)
SHORT, BETA = 10, 10.0  # the reference's
MEASURES = ["bits", "ratio", "hit"]


def steps_until(longest: int) -> list[int]:
    """Numbers of steps that are looked at, `longest` among them."""
    return sorted({s for s in STEPS if s < longest} | {longest})


def held_out_clips(study: Study, detector: str, clips: int, frames: int) -> list[pd.DataFrame]:
    """First frames of held-out fakes, one clip per method first, those the detector is surest of.

    The map of a fake that was taken for real would explain the word "real".
    """
    found = study.predictions(detector)
    found = found[(found.split == "test") & (found.label == 1) & found.in_scope]
    sure = found.groupby(["video_id", "method"]).p_fake.mean().sort_values(ascending=False)
    order = sure.reset_index()
    order = order.assign(again=order.groupby("method").cumcount())
    names = order.sort_values("again", kind="stable").video_id.head(clips)
    rows = study.frames("test", detector).sort_values("position")
    return [rows[rows.video_id == name].head(frames).reset_index(drop=True) for name in names]


def judge(maps: np.ndarray, masks: np.ndarray) -> pd.DataFrame:
    """Bits, ratio (see `mass_ratio`) and hit (strongest pixel inside) of maps (T, H, W), by frame.

    Parameters
    ----------
    masks : (T, H, W) in [0, 1]; without any area a ratio is NaN
    """
    pairs = list(zip(maps, masks, strict=True))
    return pd.DataFrame(
        {
            "item": range(len(pairs)),
            "bits": [float(one.sum()) for one, _ in pairs],
            "ratio": [mass_ratio(one, mask) for one, mask in pairs],
            "hit": [float(pointing_game(one, mask)) for one, mask in pairs],
        }
    )


def watch(
    bottleneck: PerSampleBottleneck,
    inputs: torch.Tensor,
    masks: np.ndarray,
    steps: Sequence[int],
    start: torch.Tensor | None = None,
) -> tuple[pd.DataFrame, Attribution]:
    """Judge the maps of one single optimisation at several of its steps.

    Parameters
    ----------
    bottleneck : takes all the frames in one batch
    inputs : (T, 3, H, W)
    masks : (T, H, W) in [0, 1]
    steps : numbers of steps; the map at step n is that of a run of n steps
    start : lambda to begin with

    Returns
    -------
    `judge` with a column steps, and what the optimisation found at its end.
    """
    parts: list[pd.DataFrame] = []
    size = (int(inputs.shape[-2]), int(inputs.shape[-1]))

    def look(step: int, capacity: torch.Tensor) -> None:
        if step in steps:
            maps = bits_per_pixel(capacity, size).cpu().numpy()
            parts.append(judge(maps, masks).assign(steps=step))

    found = bottleneck.attribute(inputs, start=start, on_step=look, with_lam=True)
    return pd.concat(parts, ignore_index=True), found


def _bottleneck(
    study: Study, detector: str, frames: int, steps: int, beta: float = BETA, **more: Any
) -> PerSampleBottleneck:
    """One noise sample in bfloat16: many frames and steps in place of many samples."""
    chosen: dict[str, Any] = {"noise_samples": 1, "precision": "bfloat16", "steps": steps}
    return study.bottleneck(detector, **chosen, beta=beta, frames_per_batch=frames, **more)


def _of_clip(
    study: Study, detector: str, rows: pd.DataFrame, longest: int, betas: Sequence[float]
) -> Iterator[pd.DataFrame]:
    """Tables of one clip: cold for each beta, then from the readout, then warm."""
    inputs, masks = study.inputs(detector, rows), study.masks(detector, rows)
    count, steps = len(rows), steps_until(longest)
    for beta in sorted({*betas, BETA}):
        bottleneck = _bottleneck(study, detector, count, longest, beta)
        table, found = watch(bottleneck, inputs, masks, steps)
        if beta == BETA:
            before = found.lam[:1]
        yield table.assign(start="cold", beta=beta)
    guess = study.readout(detector).predict_lam(inputs)
    table, _ = watch(_bottleneck(study, detector, count, longest), inputs, masks, steps, guess)
    yield table.assign(start="readout", beta=BETA)
    for short in [s for s in steps if s <= SHORT and count > 1]:
        chain = _bottleneck(study, detector, count, short, warm_start=True)
        start = before.expand(count - 1, *before.shape[1:])
        found = chain.attribute(inputs[1:], start=start)
        table = judge(found.bits_per_pixel.numpy(), masks[1:])
        yield table.assign(item=table["item"] + 1, steps=short, start="warm", beta=BETA)


def convergence(
    study: Study,
    detector: str = "xception",
    clips: int = 3,
    frames: int = 3,
    longest: int = 40,
    betas: Sequence[float] = (1.0, 10.0, 100.0),
) -> pd.DataFrame:
    """Maps over steps, for several beta and several starts.

    Starts are "cold" (lambda near 1, the reference's), "readout" (what the readout bottleneck
    predicts) and "warm" (lambda of the frame before, which had as many steps; the first frame of a
    clip, after the longest optimisation, only gives the next one its start). The latter two at
    beta 10.

    Parameters
    ----------
    clips, frames : held-out clips, and frames of each
    longest : steps of the longest optimisation

    Returns
    -------
    video_id, frame, start, beta, steps, bits, ratio, hit; warm rows are of at most 10 steps.
    """
    parts = []
    for rows in held_out_clips(study, detector, clips, frames):
        study.progress(f"convergence: {len(rows)} frames of {rows.video_id.iloc[0]}")
        for table in _of_clip(study, detector, rows, longest, betas):
            names = rows.loc[table["item"], ["video_id", "frame"]].reset_index(drop=True)
            parts.append(pd.concat([names, table.drop(columns="item")], axis=1))
    return pd.concat(parts, ignore_index=True)


def over_frames(table: pd.DataFrame) -> pd.DataFrame:
    """Means of `convergence` over frames: start, beta, steps, bits, ratio, hit, frames."""
    groups = table.groupby(["start", "beta", "steps"])
    return groups[MEASURES].mean().assign(frames=groups.size()).reset_index()


def starts_alike(table: pd.DataFrame) -> pd.DataFrame:
    """`over_frames` of the starts at beta 10, on the frames that all starts were judged on."""
    at_beta = table[table.beta == BETA]
    warm = at_beta.loc[at_beta.start == "warm", ["video_id", "frame"]].drop_duplicates()
    return over_frames(at_beta.merge(warm, on=["video_id", "frame"]) if len(warm) else at_beta)


def verdict(means: pd.DataFrame) -> dict[str, pd.Series]:
    """Rows of `over_frames` that the text speaks of, all from the cold start.

    Returns
    -------
    ten (beta 10, ten steps or the most below), last (beta 10, the most steps), best (most relevance
    on the artefact at any beta and step; without masks the fewest bits).
    """
    cold = means[means.start == "cold"].sort_values("steps")
    ratios = cold.ratio if cold.ratio.notna().any() else -cold.bits
    usual = cold[cold.beta == BETA]
    short = usual[usual.steps <= SHORT]
    return {
        "ten": (short if len(short) else usual).iloc[-1],
        "last": usual.iloc[-1],
        "best": cold.loc[ratios.idxmax()],
    }


def coupling(
    study: Study, detector: str = "xception", frames: int = 4, sigma: float = 1.0,
    weight: float = 100.0,
) -> pd.DataFrame:  # fmt: skip
    """One held-out fake clip explained frame by frame, and with lambda coupled along it.

    Coupled maps are alike by construction, so being alike says nothing for them; whether they
    still lie on the artefact, and still carry the prediction, does.

    Returns
    -------
    name, iou (mean of consecutive highlighted regions), ratio, hit, kept (share of predictions
    that survive), bits.
    """
    (rows,) = held_out_clips(study, detector, 1, frames)
    inputs, masks = study.inputs(detector, rows), study.masks(detector, rows)
    ways: dict[str, dict[str, Any]] = {
        "each frame alone": {},
        f"smoothed in time, sigma {sigma:g}": {"temporal_sigma": sigma},
        f"change penalised, weight {weight:g}": {"temporal_weight": weight},
    }
    found = []
    for name, settings in ways.items():
        attribution = study.bottleneck(detector, **settings).attribute(inputs)
        maps = attribution.bits_per_pixel.numpy()
        same = attribution.logits.argmax(1) == attribution.logits_clean.argmax(1)
        row = {"name": name, "iou": mean_iou(highlight(maps)), "kept": float(same.float().mean())}
        found.append(row | judge(maps, masks)[MEASURES].mean().to_dict())
    return pd.DataFrame(found)
