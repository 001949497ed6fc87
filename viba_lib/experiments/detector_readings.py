"""Sentences about the detectors: inputs, training, methods without a find, degraded frames."""

from collections.abc import Mapping

import pandas as pd
from statsmodels.stats.multitest import multipletests

from viba_lib.evaluation.robustness import UNCHANGED
from viba_lib.evaluation.sentences import Finding, difference_text, finding, paired
from viba_lib.experiments.common import Bootstrap, stacked

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
        f"{best.step:.0f} ({best.val_loss:.2f}) and "
    )
    text += f"rises to {last.val_loss:.2f}" if rises else f"ends at {last.val_loss:.2f}"
    text += f"; the validation AUC is {best.val_auc:.2f} there and {last.val_auc:.2f} at the end."
    if rises and falls:
        text += (
            " A validation loss that rises while the training loss falls is a sign of overfitting: "
            "confidence on the training frames grows, and wrong decisions on the validation people "
            "become more confident as well."
        )
    kept = "of the last step" if restore == "last" else "with the lowest validation loss"
    return f"{text} The detector has the weights {kept}."


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


def corruption_losses(predictions: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Correct decisions that a corruption costs, of each video.

    Parameters
    ----------
    predictions : `Study.robustness` of each detector

    Returns
    -------
    detector, video_id, corruption and loss: the proportion of correct decisions on the unchanged
    frames minus that on the corrupted ones, the mean over all levels.
    """
    frames = stacked(predictions)
    correct = ((frames.p_fake > 0.5) == (frames.label == 1)).astype(float)
    keys = ["detector", "video_id", "corruption"]
    wide = frames.assign(correct=correct).groupby(keys, sort=False).correct.mean().unstack()
    losses = -wide.drop(columns=UNCHANGED).sub(wide[UNCHANGED], axis=0)
    return losses.stack().rename("loss").reset_index()


def compared_losses(losses: pd.DataFrame, bootstrap: Bootstrap) -> dict[str, Finding]:
    """For each corruption, the loss of the first detector minus that of the second.

    The differences are paired by source clip, and the p-values are corrected by Holm's procedure
    for the number of corruptions.
    """
    first, second = losses.detector.unique()
    samples, seed, units = bootstrap
    found = {
        str(name): finding(
            paired(part, "loss", "detector", first, second, units), units, samples, seed
        )
        for name, part in losses.groupby("corruption", sort=False)
    }
    corrected = multipletests([one.p for one in found.values()], method="holm")[1]
    pairs = zip(found.items(), corrected, strict=True)
    return {name: one._replace(p=float(p)) for (name, one), p in pairs}


def robustness_text(losses: pd.DataFrame, bootstrap: Bootstrap) -> str:
    """Which corruption costs each detector most, and for which the two detectors differ."""
    first, second = losses.detector.unique()
    means = losses.groupby(["detector", "corruption"], sort=False).loss.mean().unstack()
    sentences = [
        f"{name} loses most correct decisions under {row.idxmax()} ({row.max():+.2f}, mean over "
        f"levels and videos) and fewest under {row.idxmin()} ({row.min():+.2f})."
        for name, row in means.iterrows()
    ]
    sentences.append("The p-values below are corrected by Holm's procedure.")
    sentences += [
        difference_text(f"Loss under {name}", str(first), str(second), one)
        for name, one in compared_losses(losses, bootstrap).items()
    ]
    return " ".join(sentences)


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
    return "; ".join(parts) + "."
