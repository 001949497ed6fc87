"""Comparison of the bottleneck types, per-sample and readout, on the same frames (chapter 6)."""

import time
from typing import Any

import numpy as np
import pandas as pd

from viba_lib.evaluation.consistency import highlight, mean_iou
from viba_lib.evaluation.faithfulness import deletion_areas, map_measures
from viba_lib.evaluation.significance import means_of, with_intervals
from viba_lib.experiments import common
from viba_lib.pipeline.select import select
from viba_lib.pipeline.study import Study

TYPE_MEASURES = ("kept", "bits", "entropy", "ratio", "deletion")


def bottleneck_types(study: Study, detector: str, count: int) -> common.Explained:
    """Maps of the same held-out frames by both bottleneck types, and their measures.

    Parameters
    ----------
    count : real and fake frames each, two of a video if there are as many

    Returns
    -------
    Inputs and maps by type; the table has one row per type: type, frames, kept (share of
    predictions that survive), bits, entropy, ratio (on fakes), deletion, and iou (of the
    highlighted regions of two frames of a video), each with _low and _high, seconds (per frame)
    and training (seconds spent beforehand).
    """
    rows = choose_pairs(study.evaluation_rows(detector), count)
    masks, inputs = study.masks(detector, rows), study.inputs(detector, rows)
    probabilities, bootstrap = common.probabilities_of(study, detector), common.Bootstrap.of(study)
    types: dict[str, Any] = {
        "per-sample": study.bottleneck(detector),
        "readout": study.readout(detector),
    }
    training = {"per-sample": 0.0, "readout": study.seconds().get(f"readout-{detector}", 0.0)}
    maps, table = {}, []
    for name, bottleneck in types.items():
        start = time.perf_counter()
        attribution = bottleneck.attribute(inputs)
        seconds = (time.perf_counter() - start) / len(rows)
        maps[name] = attribution.bits_per_pixel.numpy()
        same = attribution.logits.argmax(1) == attribution.logits_clean.argmax(1)
        measures = map_measures(maps[name], masks).assign(
            video_id=rows.video_id,
            kept=same.numpy().astype(float),
            deletion=deletion_areas(probabilities, inputs, maps[name]),
        )
        row = {"type": name, "frames": len(rows)}
        row |= with_intervals(measures, means_of(TYPE_MEASURES), *bootstrap)
        row |= with_intervals(_overlaps(rows, maps[name]), means_of(["iou"]), *bootstrap)
        table.append(row | {"seconds": seconds, "training": training[name]})
        study.progress(f"{name}: {len(rows)} maps, {seconds:.2f} s each")
    labels = [f"{r.method or 'real'}" for r in rows.itertuples()]
    return common.Explained(study.images(detector, rows), masks, labels, maps, pd.DataFrame(table))


def choose_pairs(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    """Two frames of each video: of a fake of each method, up to `count`, then of real videos."""
    methods = rows.method[rows.label == 1].nunique()
    pairs: dict[str, Any] = {"per_video": 2, "take": "first"}
    fakes = select(rows, label=1, in_turn=True, videos=methods, **pairs)
    reals = select(rows, label=0, **pairs)
    return pd.concat([fakes.head(count), reals.head(count)], ignore_index=True)


def _overlaps(rows: pd.DataFrame, maps: np.ndarray) -> pd.DataFrame:
    """Overlap of the highlighted regions of the two frames of each video that has two."""
    overlaps = [
        {"video_id": video, "iou": mean_iou(highlight(maps[group.index]))}
        for video, group in rows.groupby("video_id")
        if len(group) > 1
    ]
    return pd.DataFrame(overlaps, columns=["video_id", "iou"])
