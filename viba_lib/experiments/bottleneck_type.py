"""Comparison of the bottleneck types, per-sample and readout, on the same frames."""

import math
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from viba_lib.evaluation.consistency import highlight, mean_iou
from viba_lib.evaluation.faithfulness import deletion_areas, map_measures
from viba_lib.evaluation.sentences import (
    HIGHER,
    ILLUSTRATION,
    LOWER,
    NO_DIFFERENCE,
    NOT_COMPUTED,
    Finding,
    difference_text,
    level_text,
    verdict,
)
from viba_lib.evaluation.significance import means_of, with_intervals
from viba_lib.experiments import common
from viba_lib.pipeline.select import select
from viba_lib.pipeline.study import Study

TYPE_MEASURES = ("kept", "bits", "entropy", "ratio", "deletion")
PER_SAMPLE, READOUT = "per-sample", "readout"
FRAMES = 8  # real and fake frames each, two of a video if there are as many


@dataclass(frozen=True)
class ComparedTypes(common.Explained):
    """Maps by bottleneck type, the table of means, and rows with type and video_id behind it.

    measures has TYPE_MEASURES of each frame, overlaps the iou of each video.
    """

    measures: pd.DataFrame
    overlaps: pd.DataFrame


def bottleneck_types(study: Study, detector: str, count: int) -> ComparedTypes:
    """Maps of the same held-out frames by both bottleneck types, and their measures.

    Parameters
    ----------
    count : real and fake frames each, two of a video if there are as many

    Returns
    -------
    Inputs and maps by type; the table has one row per type: type, frames, kept (fraction of
    predictions that survive), bits, entropy, ratio (on fakes), deletion, and iou (of the
    highlighted regions of two frames of a video), each with _low and _high, seconds (per frame)
    and training (seconds spent beforehand).
    """
    rows = choose_pairs(study.evaluation_rows(detector), count)
    masks, inputs = study.masks(detector, rows), study.inputs(detector, rows)
    probabilities, bootstrap = common.probabilities_of(study, detector), common.Bootstrap.of(study)
    types: dict[str, Any] = {
        PER_SAMPLE: study.bottleneck(detector),
        READOUT: study.readout(detector),
    }
    training = {PER_SAMPLE: 0.0, READOUT: study.seconds().get(f"readout-{detector}", 0.0)}
    maps, table, measured, overlapping = {}, [], [], []
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
        overlaps = _overlaps(rows, maps[name])
        row |= with_intervals(overlaps, means_of(["iou"]), *bootstrap)
        measured.append(measures.assign(type=name))
        overlapping.append(overlaps.assign(type=name))
        table.append(row | {"seconds": seconds, "training": training[name]})
        study.progress(f"{name}: {len(rows)} maps, {seconds:.2f} s each")
    labels = [f"{r.method or 'real'}" for r in rows.itertuples()]
    images, rows_of = study.images(detector, rows), partial(pd.concat, ignore_index=True)
    return ComparedTypes(
        images, masks, labels, maps, pd.DataFrame(table), rows_of(measured), rows_of(overlapping)
    )


def stored_types(
    study: Study, detector: str, count: int = FRAMES
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measures of both types on the frames of `bottleneck_types`, from stored per-sample maps.

    Returns
    -------
    Rows with type, video_id and the measures of `map_measures`, and rows with type, video_id and
    iou, as in `ComparedTypes`. Frames whose video could not be explained are left out.
    """
    stored = study.explanations(detector)
    keys = zip(stored.video_id.values.astype(str), stored.position.values, strict=True)
    at = {key: item for item, key in enumerate(keys)}
    rows = choose_pairs(study.evaluation_rows(detector), count)
    items = [at.get(key, -1) for key in zip(rows.video_id, rows.position, strict=True)]
    rows = rows[np.array(items) >= 0].reset_index(drop=True)
    masks = study.masks(detector, rows)
    maps = {
        PER_SAMPLE: stored.relevance.values[[item for item in items if item >= 0]],
        READOUT: study.readout(detector).attribute(study.inputs(detector, rows)).bits_per_pixel,
    }
    tables = [
        (
            map_measures(m, masks).assign(video_id=rows.video_id, type=k),
            _overlaps(rows, m).assign(type=k),
        )
        for k, m in ((name, np.asarray(values)) for name, values in maps.items())
    ]
    return tuple(pd.concat(parts, ignore_index=True) for parts in zip(*tables, strict=True))


def choose_pairs(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    """Two frames of each video: a fake of each method up to `count`, then real; people in turn."""
    methods = rows.method[rows.label == 1].nunique()
    pairs: dict[str, Any] = {"order": "person", "per_video": 2, "take": "first"}
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


def types_text(measures: pd.DataFrame, overlaps: pd.DataFrame, bootstrap: common.Bootstrap) -> str:
    """Whether maps of the readout are clearer than per-sample ones, right, and more consistent.

    Parameters
    ----------
    measures, overlaps : see `ComparedTypes`
    """
    focus, ratio = (
        common.compared(measures, name, "type", READOUT, PER_SAMPLE, bootstrap)
        for name in ("entropy", "ratio")
    )
    readout, own = (
        common.level(part, part.ratio, bootstrap, at=1.0)
        for part in (measures[measures.type == name] for name in (READOUT, PER_SAMPLE))
    )
    sentences = [
        difference_text("Entropy of the maps in bits", READOUT, PER_SAMPLE, focus),
        level_text("Relevance on the artefact, readout", readout),
        level_text("Relevance on the artefact, per-sample", own),
        difference_text("Relevance on the artefact", READOUT, PER_SAMPLE, ratio),
        clear_and_right(focus, readout),
        difference_text(
            "Overlap (iou) of the maps of two frames of a video", READOUT, PER_SAMPLE,
            common.compared(overlaps, "iou", "type", READOUT, PER_SAMPLE, bootstrap),
        ),
    ]  # fmt: skip
    return " ".join(sentence for sentence in sentences if sentence)


def saved_time_text(types: pd.DataFrame) -> str:
    """Whether and when the training of the readout saves time.

    Parameters
    ----------
    types : training and seconds (of a frame), by type
    """
    gain = types.seconds[PER_SAMPLE] - types.seconds[READOUT]
    if gain <= 0:
        return "The readout is not faster here, so its training never saves time."
    return f"The training saves time after {math.ceil(types.training[READOUT] / gain):,} frames."


def clear_and_right(focus: Finding, place: Finding) -> str:
    """Sentence on two questions about the readout's maps that have independent answers.

    Parameters
    ----------
    focus : entropy, readout minus per-sample
    place : relevance of the readout inside the mask over its fraction of the frame, chance is 1
    """
    said = verdict(focus), verdict(place)
    if NOT_COMPUTED in said:
        return ""
    if ILLUSTRATION in said:
        return (
            "Whether the readout's maps are clearer and whether they are right is not decided "
            "here: there are too few videos or people."
        )
    clear, right = said
    clearer = {
        LOWER: "clearer by the book's measure (lower entropy)",
        HIGHER: "less clear by the book's measure (higher entropy)",
        NO_DIFFERENCE: "not distinguished in clarity",
    }[clear]
    join = "but" if clear == HIGHER and right == HIGHER else "and"
    correct = {
        HIGHER: "right: they are on the artefact more than chance",
        LOWER: "wrong: they are off the artefact more than chance",
        NO_DIFFERENCE: "not shown to be right: the test does not distinguish their relevance on "
        "the artefact from chance",
    }[right]
    return f"The readout's maps are {clearer}, {join} {correct}."
