"""The two kinds of bottleneck, per-sample and readout, on the same frames (chapter 06)."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from viba_lib.evaluation.consistency import highlight, mean_iou
from viba_lib.evaluation.faithfulness import entropy, mass_ratio
from viba_lib.experiments.common import Bootstrap, Explained, with_intervals
from viba_lib.experiments.injection_layer import deletion_of
from viba_lib.pipeline.study import Study

MEASURES = ("kept", "bits", "entropy", "ratio", "deletion")


def bottleneck_types(study: Study, count: int, steps: int = 10) -> Explained:
    """Maps of both kinds of the same held-out frames of Xception, and their measures.

    Parameters
    ----------
    count : real and fake frames each, two of a video where there are as many
    steps : of deletion, see `evaluation.faithfulness.deletion_areas`

    Returns
    -------
    Inputs and maps by kind; the table holds one row per kind: kind, frames, kept (share of
    predictions that survive), bits, entropy, ratio (on fakes), deletion, and iou (of the
    highlighted regions of two frames of a video), each with _low and _high, seconds (per frame)
    and training (seconds spent beforehand).
    """
    rows = _rows(study, count)
    masks, inputs = study.masks("xception", rows), study.inputs("xception", rows)
    kinds: dict[str, Any] = {
        "per-sample": study.bottleneck("xception"),
        "readout": study.readout("xception"),
    }
    training = {"per-sample": 0.0, "readout": study.seconds().get("readout-xception", 0.0)}
    maps, table = {}, []
    for name, bottleneck in kinds.items():
        start = time.perf_counter()
        found = bottleneck.attribute(inputs)
        seconds = (time.perf_counter() - start) / len(rows)
        maps[name] = found.bits_per_pixel.numpy()
        same = found.logits.argmax(1) == found.logits_clean.argmax(1)
        measures = rows[["video_id", "label"]].assign(
            kept=same.numpy().astype(float),
            bits=maps[name].sum((1, 2)),
            entropy=[entropy(r) for r in maps[name]],
            ratio=[mass_ratio(r, m) for r, m in zip(maps[name], masks, strict=True)],
            deletion=deletion_of(study, "xception", rows, maps[name], steps),
        )
        row = {"kind": name, "frames": len(rows)} | with_intervals(
            measures, _means, Bootstrap.of(study)
        )
        row |= with_intervals(_overlaps(rows, maps[name]), _overlap, Bootstrap.of(study))
        table.append(row | {"seconds": seconds, "training": training[name]})
        study.progress(f"{name}: {len(rows)} maps, {seconds:.2f} s each")
    labels = [f"{r.method or 'real'}" for r in rows.itertuples()]
    return Explained(study.images("xception", rows), masks, labels, maps, pd.DataFrame(table))


def _rows(study: Study, count: int) -> pd.DataFrame:
    """Fakes first, of as many methods as fit, then real frames; two frames of each video."""
    rows = study.evaluation_rows("xception").groupby("video_id", sort=False).head(2)
    fakes, reals = rows[rows.label == 1], rows[rows.label == 0]
    fakes = fakes.groupby("method", sort=True).head(2).sort_values("method", kind="stable")
    return pd.concat([fakes.head(count), reals.head(count)]).reset_index(drop=True)


def _means(part: pd.DataFrame) -> Mapping[str, float]:
    return part[list(MEASURES)].mean().to_dict()


def _overlap(part: pd.DataFrame) -> Mapping[str, float]:
    return {"iou": part.iou.mean()}


def _overlaps(rows: pd.DataFrame, maps: np.ndarray) -> pd.DataFrame:
    """Overlap of the highlighted regions of the two frames of each video that has two."""
    found = [
        {"video_id": video, "iou": mean_iou(highlight(maps[group.index]))}
        for video, group in rows.groupby("video_id") if len(group) > 1
    ]  # fmt: skip
    return pd.DataFrame(found, columns=["video_id", "iou"])
