"""The class that a network decides for if its injection layer holds noise alone."""

import numpy as np
import pandas as pd
import torch

from viba_lib.pipeline.explain import p_fake
from viba_lib.pipeline.study import Study

FRAMES = 4  # a layer beside skip connections passes information, so the frame can matter


def noise_probabilities(study: Study, detector: str, samples: int = 16) -> np.ndarray:
    """Probability of fake if lambda is 0 at all units of the detector's default layer.

    Z is then the noise of Eq. (1) of the paper and contains no information about the frame.

    Parameters
    ----------
    samples : of the noise

    Returns
    -------
    (samples,) means over the first frames of up to `FRAMES` explained videos.
    """
    rows = study.evaluation_rows(detector).drop_duplicates("video_id").head(FRAMES)
    inputs, bottleneck = study.inputs(detector, rows), study.bottleneck(detector)
    closed = torch.zeros(len(rows), *bottleneck.statistics.mean.shape)
    return p_fake(bottleneck.predict_under_noise(inputs, closed, samples)).mean(1)


def kept_decisions(frames: pd.DataFrame, fake: bool) -> tuple[int, int]:
    """Decisions for a class that the bottleneck keeps, and all decisions for it.

    Parameters
    ----------
    frames : `explained_frames` of a detector
    fake : the class
    """
    chosen = frames[(frames.p_fake > 0.5) == fake]
    return int(((chosen.p_fake_bottleneck > 0.5) == fake).sum()), len(chosen)


def noise_class_text(
    detector: str, probabilities: np.ndarray, frames: pd.DataFrame, beta: float
) -> str:
    """Which class costs no information, and how many decisions for each class are kept.

    Parameters
    ----------
    probabilities : of fake, under samples of the noise alone
    frames : `explained_frames` of the detector
    beta : of their bottleneck
    """
    fake = bool(probabilities.mean() > 0.5)
    names, kept = {False: "real", True: "fake"}, {}
    for name in names:
        count, of = kept_decisions(frames, name)
        kept[name] = f"{count} of {of} decisions for {names[name]}"
    text = (
        f"{detector}: noise alone gives a probability of fake of {probabilities.mean():.2f} "
        f"({probabilities.min():.2f} to {probabilities.max():.2f} over {len(probabilities)} "
        f"samples). So the class {names[fake]} needs no information, and {names[not fake]} needs "
        f"enough to overrule the noise. At beta {beta:g}, the bottleneck keeps {kept[fake]} and "
        f"{kept[not fake]}."
    )
    count, of = kept_decisions(frames, not fake)
    if of and not count:
        text += (
            f" No decision for {names[not fake]} is worth its information at this beta, so the "
            "accuracy with the bottleneck says little about the maps."
        )
    return text
