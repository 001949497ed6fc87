"""Sentences about the detectors: inputs, training, methods without a find, degraded frames."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from viba_lib.evaluation.robustness import UNCHANGED
from viba_lib.evaluation.sentences import Finding, difference_text, number, sample_size
from viba_lib.evaluation.significance import SIGNIFICANCE, holm, least_p
from viba_lib.experiments.common import Bootstrap, compared, stacked

RISE = 1.05  # the validation loss is said to rise if it ends above this multiple of its minimum


def training_text(name: str, history: pd.DataFrame, restore: str) -> str:
    """What the learning curve of a detector shows.

    Parameters
    ----------
    history : see `Study.training`
    restore : "last" or "best", see `TrainingSettings`
    """
    if len(history) < 2:
        return f"{name}: there is one validation only, so there is no trend."
    first, last = history.iloc[0], history.iloc[-1]
    best = history.loc[history.val_loss.idxmin()]
    falls = last.loss < first.loss
    verb = "falls" if falls else "does not fall"
    rises = last.val_loss > RISE * best.val_loss
    text = (
        f"{name}: the training loss {verb} from {first.loss:.2f} (step {first.step:.0f}) to "
        f"{last.loss:.2f} (step {last.step:.0f}). The validation loss is lowest at step "
        f"{best.step:.0f} ({best.val_loss:.2f})"
    )
    if best.step == last.step:
        text += f", the last one; the validation AUC is {last.val_auc:.2f} there."
    else:
        text += (
            f" and {'rises to' if rises else 'ends at'} {last.val_loss:.2f}; the validation AUC "
        )
        text += f"is {best.val_auc:.2f} there and {last.val_auc:.2f} at the end."
    if rises and falls and last.val_auc < best.val_auc:
        text += (
            f" The validation loss rises and the AUC ends {best.val_auc - last.val_auc:.2f} lower "
            "while the training loss falls: this can be overfitting, a difference between the "
            "training and the validation people, or chance."
        )
    elif rises and falls:
        text += (
            " The validation loss rises while the training loss falls, but the AUC does not end "
            "lower: wrong decisions become more confident."
        )
    kept = "of the last step" if restore == "last" else "with the lowest validation loss"
    return f"{text} The detector has the weights {kept}."


def held_out_text(table: pd.DataFrame) -> str:
    """Accuracy, AUC and ECE of each detector, from `detection.held_out_table`."""

    def shown(row: Any, measure: str) -> str:
        low, high = (getattr(row, f"{measure}_{end}") for end in ("low", "high"))
        return f"{getattr(row, measure):.3f} ({low:.3f} to {high:.3f})"

    return " ".join(
        f"{row.name}: accuracy {shown(row, 'accuracy')}, AUC {shown(row, 'auc')}, calibration "
        f"error (ECE) {shown(row, 'ece')}, on {sample_size(row.videos, row.clips, row.people)}."
        for row in table.itertuples(index=False)
    )


def methods_text(predictions: Mapping[str, pd.DataFrame]) -> str:
    """Methods of which a detector finds no frame or fewer than half, and its false alarms.

    Parameters
    ----------
    predictions : `held_out_predictions` of each detector
    """
    sentences = []
    for name, rows in predictions.items():
        called = rows.assign(called=rows.p_fake > 0.5)
        counts = called[called.label == 1].groupby("method").called.agg(["sum", "count"])
        each = list(zip(counts.index, counts["sum"], counts["count"], strict=True))
        never = [f"{method} (0 of {n} frames)" for method, hits, n in each if not hits]
        seldom = [f"{method} ({hits} of {n})" for method, hits, n in each if 0 < hits < n / 2]
        text = f"{name} finds at least one frame of every method in its scope"
        if never:
            text = f"{name} finds no frame of {_listed(never)}"
        if seldom:
            text += f", and fewer than half of the frames of {_listed(seldom)}"
        real = called[called.label == 0].called
        sentences.append(f"{text}. It classifies {real.sum()} of {len(real)} real frames as fake.")
    return " ".join(sentences)


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _ordered(p_fake: np.ndarray, label: np.ndarray) -> np.ndarray:
    """For each frame, the proportion of frames of the other class that are in the right order.

    Ties count half. The mean over the frames of a class is the AUC.
    """
    result = np.full(len(p_fake), np.nan)
    for this, sign in ((1, 1), (0, -1)):
        own, others = sign * p_fake[label == this], np.sort(sign * p_fake[label != this])
        sides = [np.searchsorted(others, own, side) for side in ("left", "right")]
        result[label == this] = np.mean(sides, axis=0) / len(others) if len(others) else np.nan
    return result


def corruption_losses(predictions: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Loss of AUC under each corruption, divided among the videos.

    Parameters
    ----------
    predictions : `Study.robustness` of each detector

    Returns
    -------
    detector, video_id, corruption and loss: the proportion of frames of the other class that are
    in the right order with the frames of this video, unchanged minus corrupted, the mean over all
    levels. Its mean over the fake (or the real) frames is the loss of AUC.
    """
    frames = stacked(predictions).reset_index(drop=True)
    ordered = pd.Series(np.nan, frames.index)
    for _, part in frames.groupby(["detector", "corruption", "level"], dropna=False):
        ordered[part.index] = _ordered(part.p_fake.to_numpy(float), part.label.to_numpy())
    keys = ["detector", "video_id", "corruption"]
    wide = frames.assign(ordered=ordered).groupby(keys, sort=False).ordered.mean().unstack()
    losses = -wide.drop(columns=UNCHANGED).sub(wide[UNCHANGED], axis=0)
    return losses.stack().rename("loss").reset_index()


def compared_losses(losses: pd.DataFrame, bootstrap: Bootstrap) -> dict[str, Finding]:
    """For each corruption, the loss of the first detector minus that of the second.

    The differences are paired by source clip, and the p-values are corrected by Holm's procedure
    for the number of corruptions.
    """
    first, second = losses.detector.unique()
    found = {
        str(name): compared(part, "loss", "detector", first, second, bootstrap)
        for name, part in losses.groupby("corruption", sort=False)
    }
    corrected = holm([one.p for one in found.values()])
    pairs = zip(found.items(), corrected, strict=True)
    return {name: one._replace(p=float(p)) for (name, one), p in pairs}


def robustness_text(losses: pd.DataFrame) -> str:
    """Which corruption costs each detector most and least, from `corruption_losses`."""
    means = losses.groupby(["detector", "corruption"], sort=False).loss.mean().unstack()
    return " ".join(
        f"{name} loses most AUC under {row.idxmax()} ({row.max():z.2f}, mean over levels) and "
        f"least under {row.idxmin()} ({row.min():z.2f})."
        for name, row in means.dropna(how="all").iterrows()
    )


def compared_texts(losses: pd.DataFrame, bootstrap: Bootstrap) -> list[str]:
    """For each corruption, whether the detectors differ in their loss, see `compared_losses`."""
    if losses.detector.nunique() != 2:
        return []  # one detector, or a set of one class, which has no AUC
    first, second = map(str, losses.detector.unique())
    found = compared_losses(losses, bootstrap)
    texts = [
        difference_text(f"Loss of AUC under {name}", first, second, one)
        for name, one in found.items()
    ]
    sizes = {
        one.tested: one.people if one.tested == "people" else one.clips
        for one in found.values()
        if one.clips
    }
    least = {units: least_p(size, len(found)) for units, size in sizes.items()}
    return texts + [
        f"These tests are inconclusive: the smallest corrected p-value that this number of {units} "
        f"can give is {number(p)}."
        for units, p in least.items()
        if p >= SIGNIFICANCE
    ]


def sizes_text(sizes: Mapping[str, tuple[int, int]]) -> str:
    """Sizes of images in this run and in the paper.

    Parameters
    ----------
    sizes : for each kind of image its side in pixels, in this run and in the paper
    """
    parts = [
        f"{what} have {here} x {here} pixels in this run"
        + (", as in the paper" if here == paper else f" and {paper} x {paper} in the paper")
        for what, (here, paper) in sizes.items()
    ]
    text = "; ".join(parts) + "."
    return text[0].upper() + text[1:]
