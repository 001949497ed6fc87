"""How maps change with the number of steps, the trade-off weight and the start (`speed`).

Maps are compared with planted masks and with maps of the default settings, on held-out frames.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import pandas as pd
import torch

from viba_lib.bottleneck import (
    Attribution,
    BottleneckSettings,
    PerSampleBottleneck,
    bits_per_pixel,
)
from viba_lib.core.memory import give_back
from viba_lib.evaluation.agreement import rank_correlation
from viba_lib.evaluation.faithfulness import map_measures
from viba_lib.experiments.common import held_out_predictions
from viba_lib.experiments.gradient_start import gradient_start
from viba_lib.pipeline.select import select
from viba_lib.pipeline.study import Study

STEPS = (1, 2, 3, 5, 10, 20, 40, 100, 200)
BETAS = (1.0, 10.0, 100.0)
REFERENCE = BottleneckSettings()  # the defaults
SHORT, BETA = REFERENCE.steps, REFERENCE.beta
MEASURES = ["bits", "ratio", "hit", "agreement"]
# Starts at beta 10 that need few steps, or may need few, and numbers of steps to compare.
FEW = {"cold": (3, 10, 20), "antithetic": (3, 10), "gradients": (3,), "readout": (3,), "warm": (3,)}


def steps_until(longest: int) -> list[int]:
    """Numbers of steps that are compared, `longest` among them."""
    return sorted({s for s in STEPS if s < longest} | {longest})


def measure(maps: np.ndarray, masks: np.ndarray, expected: np.ndarray) -> pd.DataFrame:
    """Item and MEASURES of maps (T, H, W) against masks (T, H, W), see `map_measures`.

    Parameters
    ----------
    expected : maps (T, H, W) of the default settings; `agreement` is the rank correlation
    """
    pairs = zip(maps, expected, strict=True)
    table = map_measures(maps, masks)[["bits", "ratio", "hit"]].astype(float)
    table["agreement"] = [rank_correlation(*pair) for pair in pairs]
    return table.rename_axis("item").reset_index()


def measure_steps(
    bottleneck: PerSampleBottleneck,
    inputs: torch.Tensor,
    masks: np.ndarray,
    expected: np.ndarray,
    steps: Sequence[int],
    start: torch.Tensor | None = None,
) -> tuple[pd.DataFrame, Attribution]:
    """Measure the maps of one optimisation after several of its steps.

    Parameters
    ----------
    bottleneck : optimises all frames in one batch
    inputs : (T, 3, H, W)
    masks : (T, H, W) in [0, 1]
    expected : see `measure`
    steps : numbers of steps; the map at step n is that of a run of n steps
    start : initial lambda

    Returns
    -------
    `measure` with a column steps, and the result of the optimisation.
    """
    parts: list[pd.DataFrame] = []
    size = tuple(inputs.shape[-2:])

    def on_step(step: int, capacity: torch.Tensor) -> None:
        if step in steps:
            maps = bits_per_pixel(capacity, size).cpu().numpy()
            parts.append(measure(maps, masks, expected).assign(steps=step))

    attribution = bottleneck.attribute(inputs, start=start, on_step=on_step, with_lam=True)
    return pd.concat(parts, ignore_index=True), attribution


def compare_starts(
    make: Callable[..., PerSampleBottleneck],
    inputs: torch.Tensor,
    masks: np.ndarray,
    readout: torch.Tensor,
    longest: int,
    betas: Sequence[float],
) -> Iterator[pd.DataFrame]:
    """`measure_steps` of one clip: cold for each beta, then other starts at beta 10.

    Parameters
    ----------
    make : returns a bottleneck with the given steps, beta and further settings
    readout : lambda (T, C, h, w) that a readout bottleneck predicts
    longest : number of steps
    betas : trade-off weights of the cold start

    Yields
    ------
    item, bits, ratio, hit, agreement, steps, start and beta.
    """
    count, steps = len(inputs), steps_until(longest)
    make = partial(make, frames_per_batch=count)
    default = make(steps=SHORT, beta=BETA, noise_samples=REFERENCE.noise_samples)
    expected = default.attribute(inputs).bits_per_pixel.numpy()
    measured = partial(measure_steps, inputs=inputs, masks=masks, expected=expected, steps=steps)
    for beta in sorted({*betas, BETA}):
        table, attribution = measured(make(steps=longest, beta=beta))
        if beta == BETA:
            before = attribution.lam[:1]
        yield table.assign(start="cold", beta=beta)
    usual = make(steps=longest, beta=BETA)
    others = {
        "antithetic": (make(steps=longest, beta=BETA, antithetic=True), None),
        "gradients": (usual, gradient_start(usual, inputs)),
        "readout": (usual, readout),
    }
    for name, (bottleneck, start) in others.items():
        yield measured(bottleneck, start=start)[0].assign(start=name, beta=BETA)
    for short in [s for s in steps if s <= SHORT and count > 1]:
        chain = make(steps=short, beta=BETA, warm_start=True)
        start = before.expand(count - 1, *before.shape[1:])
        maps = chain.attribute(inputs[1:], start=start).bits_per_pixel.numpy()
        table = measure(maps, masks[1:], expected[1:])
        yield table.assign(item=table["item"] + 1, steps=short, start="warm", beta=BETA)


def convergence(study: Study, detector: str, clips: int, frames: int, longest: int) -> pd.DataFrame:
    """Maps over steps, for several beta and several starts.

    Starts are "cold" (lambda near 1, the reference's) and, at beta 10: "antithetic" (cold, every
    second step with the noise of the step before it, mirrored), "gradients" (see `gradient_start`),
    "readout" (the prediction of the readout bottleneck) and "warm" (lambda of the previous frame
    after as many steps; the first frame of a clip, after the longest optimisation, only gives the
    second one its start). One noise sample in the faster precision makes many frames and steps
    affordable; `agreement` is with maps of ten steps and ten samples.

    Parameters
    ----------
    clips, frames : number of held-out fakes, and of the first frames of each. Each method's surest
        fake comes first, because the map of a fake that is classified as real explains that

    Returns
    -------
    video_id, frame, start, beta, steps and the measures of `measure`.
    """
    fakes = held_out_predictions(study, detector).sort_values("video_id", kind="stable")
    rows = select(
        fakes, label=1, order="surest video", in_turn=True, videos=clips, per_video=frames,
        take="first",
    )  # fmt: skip
    make = partial(
        study.bottleneck, detector, noise_samples=1, antithetic=False, precision="auto",
        information_steps=0,
    )  # fmt: skip
    parts = []
    for number, (_, clip) in enumerate(rows.groupby("video_id", sort=False)):
        study.progress(f"convergence: clip {number + 1} of {clips}")
        clip = clip.reset_index(drop=True)
        inputs, masks = study.inputs(detector, clip), study.masks(detector, clip)
        readout = study.readout(detector).predict_lam(inputs)
        for table in compare_starts(make, inputs, masks, readout, longest, BETAS):
            names = clip.loc[table["item"], ["video_id", "frame"]].reset_index(drop=True)
            parts.append(pd.concat([names, table.drop(columns="item")], axis=1))
            give_back()
    return pd.concat(parts, ignore_index=True)


def over_frames(table: pd.DataFrame) -> pd.DataFrame:
    """Means of `convergence` over frames: start, beta, steps, MEASURES, frames."""
    groups = table.groupby(["start", "beta", "steps"])
    return groups[MEASURES].mean().assign(frames=groups.size()).reset_index()


def over_common_frames(table: pd.DataFrame) -> pd.DataFrame:
    """`over_frames` of the starts at beta 10, on the frames that all starts have."""
    at_beta = table[table.beta == BETA]
    warm = at_beta.loc[at_beta.start == "warm", ["video_id", "frame"]].drop_duplicates()
    return over_frames(at_beta.merge(warm, on=["video_id", "frame"]) if len(warm) else at_beta)


def few_steps(means: pd.DataFrame) -> pd.DataFrame:
    """Rows of `over_common_frames` that FEW names: what few steps give from each start.

    Where fewer steps were made, the longest optimisation stands for those that are missing.
    """
    longest = means.steps.max()
    wanted = {(start, min(steps, longest)) for start, many in FEW.items() for steps in many}
    pairs = pd.Series(list(zip(means.start, means.steps, strict=True)), index=means.index)
    return means[pairs.isin(wanted)].sort_values(["steps", "start"], ignore_index=True)


def few_steps_message(few: pd.DataFrame) -> str:
    """Which start and number of steps of `few_steps` agree best with the default's maps."""
    ranked = few.sort_values("agreement", ascending=False)
    best, fewest = ranked.iloc[0], ranked[ranked.steps == ranked.steps.min()].iloc[0]
    return (
        f"Over {best.frames} frames, the maps that agree best with the default's are from the "
        f"start {best.start} after {best.steps} steps ({best.agreement:.2f}); after "
        f"{fewest.steps} steps, from the start {fewest.start} ({fewest.agreement:.2f})."
    )


def summary(means: pd.DataFrame) -> dict[str, pd.Series]:
    """The rows of `over_frames` that the chapter reports, all from the cold start.

    Returns
    -------
    ten (beta 10, ten steps or the largest number below), last (beta 10, the most steps), best (most
    relevance on the artefact at any beta and number of steps; without masks, the fewest bits).
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
