"""What the paper leaves open, what is done here, and how much results depend on it (chapter 14)."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from viba_lib.data.catalog import segment
from viba_lib.data.keyframes import frame_differences, key_frames
from viba_lib.data.video import iter_frames
from viba_lib.evaluation.agreement import agreement_table
from viba_lib.evaluation.consistency import highlight, mean_iou
from viba_lib.evaluation.detection import expected_calibration_error
from viba_lib.experiments.common import choose_rows, detection, explained
from viba_lib.experiments.consistency import consistency_by_video
from viba_lib.experiments.detection import leak_table, per_video
from viba_lib.experiments.human_agreement import regions_by_video, rules_table
from viba_lib.experiments.localisation import localisation
from viba_lib.pipeline.study import DETECTORS, Study


@dataclass(frozen=True)
class Choice:
    """A question that the paper leaves open.

    paper: what it says; here: what is done; measure: what was measured of the alternatives, or why
    nothing was.
    """

    question: str
    paper: str
    here: str
    measure: str


CHOICES = {
    "mask threshold": Choice(
        "From which relevance on does a pixel count as highlighted?",
        "binary masks, no threshold",
        "half of the maximum",
        "IoU of consecutive masks",
    ),
    "mask reference": Choice(
        "Of which maximum is the threshold a share?",
        "nothing",
        "of the frame's own",
        "IoU of consecutive masks",
    ),
    "size of the masks": Choice(
        "At which size are masks compared?",
        "924 by 924 pixels",
        "924 by 924, by bilinear interpolation",
        "IoU of consecutive masks",
    ),
    "meaning of TCS": Choice(
        "What is temporal consistency?",
        "text: frames in which regions stay highlighted; Eq. (3): mean highlighted area",
        "Eq. (3) as printed; persistence as a measure of its own",
        "TCS",
    ),
    "frames per video": Choice(
        "How many frames of a video are compared?",
        "all key frames",
        "the profile's number, evenly spread",
        "IoU of consecutive masks",
    ),
    "target class": Choice(
        "For which class is the bottleneck optimised?",
        "the prediction capability is retained",
        "for the predicted class",
        "accuracy with the bottleneck",
    ),
    "draws of the noise": Choice(
        "How many draws decide with the bottleneck?",
        "nothing",
        "a mean over fresh draws",
        "accuracy with the bottleneck",
    ),
    "unit of Table 2": Choice(
        "Are frames or videos counted?",
        "nothing",
        "frames; videos beside them",
        "accuracy",
    ),
    "frames of Table 2": Choice(
        "Which frames enter Table 2?",
        "the test set",
        "the explained frames of the test split",
        "accuracy",
    ),
    "bins of the ECE": Choice(
        "How many bins has the calibration error?",
        "the reference of the measure",
        "15 of equal width",
        "ECE",
    ),
    "map to regions": Choice(
        "How does a map become a set of regions?",
        "regions present in the explanation",
        "three by mean relevance per pixel",
        "F1 (macro)",
    ),
    "number of regions": Choice(
        "How many regions does a map highlight?",
        "the top three answers of annotators",
        "three",
        "F1 (macro)",
    ),
    "macro F1": Choice(
        "What is F1 (macro) a mean of?",
        "macro; yet printed values are the harmonic mean of the printed precision and recall",
        "mean of the regions' F1",
        "F1 (macro)",
    ),
    "beta": Choice(
        "How much does information cost?",
        "a trade-off parameter, no value",
        "10, over a mean of units, as in the reference of IBA",
        "relevance inside the mask over chance",
    ),
    "steps": Choice(
        "How long is the bottleneck optimised?",
        "nothing",
        "10 steps, as in the reference of IBA",
        "relevance inside the mask over chance",
    ),
    "smoothing": Choice(
        "Is lambda smoothed?",
        "nothing",
        "sigma 1 unit, as in the reference of IBA",
        "relevance inside the mask over chance",
    ),
    "key-frame threshold": Choice(
        "How high must a peak be to be a key frame?",
        "the tool is named, not its settings",
        "0.3 of the highest",
        "key frames found per test video",
    ),
}
# Not cheap to vary: each needs data, training or maps anew.
UNMEASURED = {
    "crops": Choice(
        "How much around a face belongs to its crop?",
        "faces are cropped with dlib",
        "a square of 1.3 times the detection",
        "every stage would be made anew: change `preparation` in a profile of your own",
    ),
    "statistics of the noise": Choice(
        "Over which axes are mean and deviation taken?",
        "over specific axes",
        "over frames, for each unit of the layer, as in the reference of IBA",
        "maps of all frames would be made anew",
    ),
    "split": Choice(
        "May a person be in training and test?",
        "a random split of videos",
        "no",
        "chapter 2 measures what a random split lets through",
    ),
    "real videos of Table 4": Choice(
        "Do real videos count in the agreement?",
        "annotators saw fakes only",
        "fakes only",
        "a real video has no planted region",
    ),
    "flow detector's head": Choice(
        "How large are its fully connected layers?",
        "FC and dropout",
        "one linear layer after global average pooling",
        "another network would be trained",
    ),
}
Effects = Iterator[tuple[str, str, float]]  # detector, variant, value; the first is ours


def _masks(study: Study) -> Effects:
    for detector in DETECTORS:
        videos = consistency_by_video(study, detector, (0.5, 0.3, 0.7))
        for threshold, part in videos.groupby("threshold", sort=False):
            yield detector, f"{threshold:g}", part.iou.mean()


def _references(study: Study) -> Effects:
    for detector in DETECTORS:
        for rule in ("frame", "clip", "area"):
            yield detector, rule, consistency_by_video(study, detector, [0.5], rule).iou.mean()


def _sizes(study: Study) -> Effects:
    for detector in DETECTORS:
        frame, maps = explained(study, detector)
        side = f"{maps.sizes['y']} (the map's own)"
        yield detector, "924", consistency_by_video(study, detector, [0.5]).iou.mean()
        groups = frame.sort_values("frame").groupby("video_id").indices.values()
        order = frame.sort_values("frame").index.to_numpy()
        found = [mean_iou(highlight(maps.relevance.values[order[g]])) for g in groups]
        yield detector, side, float(np.nanmean(found))


def _tcs(study: Study) -> Effects:
    for detector in DETECTORS:
        videos = consistency_by_video(study, detector, [0.5])
        yield detector, "Eq. (3)", videos.tcs.mean()
        yield detector, "persistence", videos.persistence.mean()


def _spacing(study: Study) -> Effects:
    for detector in DETECTORS:
        frame, maps = explained(study, detector)
        for name, each in (("all explained", 1), ("every second", 2)):
            found = []
            for _, group in frame.sort_values("frame").groupby("video_id"):
                found.append(mean_iou(highlight(maps.relevance.values[group.index[::each]])))
            yield detector, name, float(np.nanmean(found))


def _targets(study: Study) -> Effects:
    for row in leak_table(study).itertuples():
        yield row.detector, "predicted", row.predicted
        yield row.detector, "true (a leak)", row.true


def _draws(study: Study) -> Effects:
    for detector in DETECTORS:
        frame, maps = explained(study, detector)
        yield detector, "mean", detection("p_fake_bottleneck")(frame)["accuracy"]
        single = ((maps.p_fake_draws.values > 0.5) == maps.label.values).mean(1)
        yield detector, "worst draw", float(single.min())
        yield detector, "best draw", float(single.max())


def _units(study: Study) -> Effects:
    for detector in DETECTORS:
        frame, _ = explained(study, detector)
        yield detector, "frame", detection("p_fake")(frame)["accuracy"]
        yield detector, "video", detection("p_fake")(per_video(frame))["accuracy"]


def _frames(study: Study) -> Effects:
    for detector in DETECTORS:
        rows = study.predictions(detector).query("split == 'test' and in_scope")
        yield detector, "explained", detection("p_fake")(explained(study, detector)[0])["accuracy"]
        yield detector, "all prepared", detection("p_fake")(rows)["accuracy"]


def _bins(study: Study) -> Effects:
    for detector in DETECTORS:
        frame, _ = explained(study, detector)
        p, y = np.c_[1 - frame.p_fake, frame.p_fake], frame.label.to_numpy()
        for bins in (15, 10, 30):
            yield detector, str(bins), expected_calibration_error(p, y, bins)


def _rules(study: Study) -> Effects:
    for row in rules_table(study, tops=[3]).itertuples():
        yield row.detector, row.rule, row.f1


def _tops(study: Study) -> Effects:
    table = rules_table(study, tops=[3, 1, 2, 4])
    for row in table[table.rule == "density"].itertuples():
        yield row.detector, str(row.top), row.f1


def _macro(study: Study) -> Effects:
    for detector in DETECTORS:
        videos = regions_by_video(study, detector)
        found = agreement_table(videos.annotated.tolist(), videos.found.tolist())
        both = found.precision + found.recall
        harmonic = 2 * found.precision * found.recall / both if both > 0 else np.nan
        yield detector, "mean of F1", found.f1
        yield detector, "harmonic mean", harmonic


def _bottleneck(name: str, values: tuple[float, ...]) -> Callable[[Study], Effects]:
    """Localisation on a few fakes, explained anew with other settings of the bottleneck."""

    def effects(study: Study) -> Effects:
        for detector in DETECTORS:
            rows = choose_rows(study, detector, FEW).query("label == 1")
            for value in values:
                setting: dict[str, Any] = {name: value}
                maps = study.explain(detector, rows, **setting)
                yield detector, f"{value:g}", localisation(study, detector, maps).ratio.mean()

    return effects


FEW = 6  # fakes whose maps are made anew


def _thresholds(study: Study) -> Effects:
    catalog = study.catalog().query("split == 'test'")
    found = []
    for _, row in catalog.iterrows():
        path, start, end = segment(row, study.catalog_root())
        found.append(frame_differences(iter_frames(path, start, end, "gray")))
    for threshold in (0.3, 0.1, 0.5, 0.7):
        yield (
            "both",
            f"{threshold:g}",
            float(np.mean([len(key_frames(d, threshold)) for d in found])),
        )


_EFFECTS: Mapping[str, Callable[[Study], Effects]] = {
    "mask threshold": _masks,
    "mask reference": _references,
    "size of the masks": _sizes,
    "meaning of TCS": _tcs,
    "frames per video": _spacing,
    "target class": _targets,
    "draws of the noise": _draws,
    "unit of Table 2": _units,
    "frames of Table 2": _frames,
    "bins of the ECE": _bins,
    "map to regions": _rules,
    "number of regions": _tops,
    "macro F1": _macro,
    "beta": _bottleneck("beta", (10.0, 1.0, 100.0)),
    "steps": _bottleneck("steps", (10, 5, 40)),
    "smoothing": _bottleneck("sigma", (1.0, 0.0, 2.0)),
    "key-frame threshold": _thresholds,
}


def choices_table() -> pd.DataFrame:
    """Every question with what the paper says, what is done here, and what was measured."""
    rows = [
        {"choice": name, "question": c.question, "paper": c.paper, "here": c.here,
         "measured": c.measure}
        for name, c in (CHOICES | UNMEASURED).items()
    ]  # fmt: skip
    return pd.DataFrame(rows)


def sensitivity(study: Study) -> pd.DataFrame:
    """What each measured choice does to a result.

    Returns
    -------
    choice, measure, detector, here (our variant) and value_here, other (a variant) and value_other,
    change (other less ours), relative (change over ours).
    """
    rows = []
    for name, effects in _EFFECTS.items():
        ours: dict[str, tuple[str, float]] = {}
        for detector, variant, value in effects(study):
            if detector not in ours:
                ours[detector] = (variant, value)
                continue
            label, base = ours[detector]
            row: dict[str, object] = {
                "choice": name,
                "measure": CHOICES[name].measure,
                "detector": detector,
            }
            row |= {"here": label, "value_here": base, "other": variant, "value_other": value}
            change = value - base
            relative = change / base if base else np.nan
            rows.append(row | {"change": change, "relative": relative})
        study.progress(f"sensitivity: {name}")
    return pd.DataFrame(rows)
