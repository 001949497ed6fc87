"""Localisation of the bottleneck's maps on degraded frames, beside the same frames as they are."""

import cv2
import numpy as np
import pandas as pd

from viba_lib.baselines.budget import within
from viba_lib.baselines.controls import centred_gaussian
from viba_lib.baselines.names import VIBA
from viba_lib.data.video import compress
from viba_lib.evaluation.faithfulness import map_measures
from viba_lib.evaluation.significance import interval_table, means_of
from viba_lib.experiments.benchmark.maps import Benchmark
from viba_lib.experiments.common import Bootstrap, no_masks
from viba_lib.pipeline.explain import open_maps, p_fake

CLEAN, DEGRADED = "clean", "degraded"
MEASURES = ("ratio", "centre", "correct")
CRF = 32


def published(frames: np.ndarray) -> np.ndarray:
    """Crops as of a small and strongly compressed video: half the side, crf 32.

    Parameters
    ----------
    frames : (S, S, 3) or (T, S, S, 3) uint8; the latter are consecutive, and compressed as a video
    """
    if frames.ndim == 3:
        return published(frames[None])[0]
    side = frames.shape[-2]
    half = (side // 2, side // 2)
    small = np.stack([cv2.resize(f, half, interpolation=cv2.INTER_AREA) for f in frames])
    coded = compress(small, CRF)
    return np.stack([cv2.resize(f, (side, side), interpolation=cv2.INTER_LINEAR) for f in coded])


def degraded_scores(benchmark: Benchmark) -> pd.DataFrame:
    """Localisation of a benchmark's fakes by the bottleneck, as they are and degraded.

    The bottleneck is optimised for the class that is predicted for the frame as it is shown. The
    maps of clean frames are those of the comparison.

    Returns
    -------
    Two rows per frame with a mask: detector, condition, planted (the method), video_id, ratio
    (fraction of relevance inside the mask over chance), centre (the same of a centre prior, which
    does not depend on the frame), correct (1 if it is called fake, else 0).
    """
    study, detector, rows = benchmark.study, benchmark.detector, benchmark.rows
    masks = study.masks(detector, rows)
    registered = study.registered(detector)
    inputs = study.prepared.inputs(registered, rows, published)
    given = within(study.stages.bottleneck(registered), study.profile.comparison.passes)
    found = study.bottleneck(detector, benchmark.layer, **given).attribute(inputs)
    shown = {
        CLEAN: (open_maps(study.get(benchmark.maps_stage(VIBA))).maps.values, rows.p_fake),
        DEGRADED: (found.bits_per_pixel.numpy(), p_fake(found.logits_clean)),
    }
    prior = map_measures(centred_gaussian(inputs), masks).ratio
    facts = rows[["video_id", "method"]].rename(columns={"method": "planted"})
    facts = facts.assign(detector=detector).reset_index(drop=True)
    parts = []
    for condition, (maps, probabilities) in shown.items():
        ratio = map_measures(maps, masks).ratio
        # A map without relevance finds nothing; it is not left out of the mean.
        ratio = ratio.where(maps.any((1, 2)) | ~masks.any((1, 2)), 0.0)
        correct = (np.asarray(probabilities) > 0.5).astype(float)
        parts.append(facts.assign(condition=condition, ratio=ratio, centre=prior, correct=correct))
    scores = pd.concat(parts, ignore_index=True)
    return scores[scores.centre.notna()].reset_index(drop=True)


def degraded_table(scores: pd.DataFrame, bootstrap: Bootstrap) -> pd.DataFrame:
    """Means of `degraded_scores` with 95 % intervals over videos, for all and for each method."""
    by = ["detector", "planted", "condition"]
    # A method's frames as they are stand beside the same frames degraded.
    own = [rows for _, rows in scores.groupby(["detector", "planted"], sort=False)]
    parts = [
        interval_table(rows, by, means_of(MEASURES), bootstrap)
        for rows in (scores.assign(planted="all"), pd.concat([scores.iloc[:0], *own]))
    ]
    return pd.concat(parts, ignore_index=True).drop(columns="name", errors="ignore")


def degraded_text(table: pd.DataFrame) -> str:
    """What a `degraded_table` shows of each detector."""
    sentences = []
    for name, part in table.groupby("detector", sort=False):
        every = part[part.planted == "all"].set_index("condition")
        shown = "; ".join(
            f"{condition} {row.ratio:.2f} times chance ({row.ratio_low:.2f} to "
            f"{row.ratio_high:.2f}), centre prior {row.centre:.2f}, {row.correct:.0%} called fake"
            for condition, row in every.iterrows()
        )
        worse = part[(part.planted != "all") & (part.condition == DEGRADED)]
        above = int((worse.ratio > worse.centre).sum())
        sentences.append(
            f"{name}, {int(every.videos.min())} videos: {shown}. Degraded, the mean is above that "
            f"of the centre prior for {above} of {len(worse)} planted methods."
        )
    return " ".join(sentences) or no_masks([], "this table")
