"""Choices that the paper leaves open, and how much results depend on them (chapter 14).

The questions are in `tables/open_choices.yaml`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from importlib import resources
from typing import Any

import numpy as np
import pandas as pd
import yaml
from pydantic import BaseModel, ValidationError

from viba_lib.core.errors import VibaError
from viba_lib.data.catalog import segment
from viba_lib.data.keyframes import frame_differences, key_frames
from viba_lib.data.video import VideoReader
from viba_lib.evaluation.consistency import highlight, mean_iou
from viba_lib.evaluation.detection import expected_calibration_error
from viba_lib.experiments.common import (
    ExplainedVideo,
    choose_rows,
    detection_of,
    explained_frames,
    explained_videos,
    held_out_predictions,
)
from viba_lib.experiments.consistency import consistency_by_video
from viba_lib.experiments.detection import explained_for_true_class, per_video, target_accuracies
from viba_lib.experiments.human_agreement import rules_table
from viba_lib.experiments.localisation import localisation
from viba_lib.models.detectors import DETECTORS
from viba_lib.pipeline.study import Study

FEW = 6  # fakes that are explained again


class Choice(BaseModel, extra="forbid", frozen=True):
    """A question that the paper leaves open.

    paper: what it says; here: what is done; measured: what was measured of the alternatives, or why
    nothing was.
    """

    question: str
    paper: str
    here: str
    measured: str


class Choices(BaseModel, extra="forbid", frozen=True):
    """Open choices by name: those with measured alternatives, and the others."""

    measured: dict[str, Choice]
    unmeasured: dict[str, Choice]


def read_choices(text: str) -> Choices:
    """Choices from YAML.

    Raises
    ------
    VibaError
        A choice without one of its texts, with another key, or measured by no function.
    """
    try:
        choices = Choices.model_validate(yaml.safe_load(text))
    except (yaml.YAMLError, ValidationError) as error:
        raise VibaError(f"the table of open choices is wrong: {error}") from error
    if set(choices.measured) != {*EFFECTS, KEY_FRAMES}:
        wrong = sorted(set(choices.measured) ^ {*EFFECTS, KEY_FRAMES})
        raise VibaError(f"open choices without a question, or without a measurement: {wrong}")
    return choices


def packaged_choices() -> Choices:
    """The choices that come with the library."""
    path = resources.files("viba_lib.experiments") / "tables" / "open_choices.yaml"
    return read_choices(path.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Results:
    """Results of a study for one detector."""

    study: Study
    detector: str

    @cached_property
    def frames(self) -> pd.DataFrame:
        """See `explained_frames`."""
        return explained_frames(self.study, self.detector)

    @cached_property
    def videos(self) -> list[ExplainedVideo]:
        """See `explained_videos`."""
        return list(explained_videos(self.study, self.detector))


Effects = Mapping[str, float]  # value of a measure by variant, ours first


def _mask_thresholds(results: Results) -> Effects:
    videos = consistency_by_video(results.videos, (0.5, 0.3, 0.7))
    return {f"{t:g}": part.iou.mean() for t, part in videos.groupby("threshold", sort=False)}


def _mask_references(results: Results) -> Effects:
    rules = ("frame", "clip", "area")
    return {rule: consistency_by_video(results.videos, [0.5], rule).iou.mean() for rule in rules}


def _mean_iou(videos: Sequence[ExplainedVideo], every: int = 1) -> float:
    # Of clips of one frame there is no overlap: pandas leaves them out without a warning.
    return float(pd.Series([mean_iou(highlight(v.relevance[::every])) for v in videos]).mean())


def _mask_sizes(results: Results) -> Effects:
    side = results.videos[0].relevance.shape[1]
    ours = consistency_by_video(results.videos, [0.5]).iou.mean()
    return {"924": ours, f"{side} (the map's own)": _mean_iou(results.videos)}


def _temporal_consistency(results: Results) -> Effects:
    videos = consistency_by_video(results.videos, [0.5])
    return {"Eq. (3)": videos.tcs.mean(), "persistence": videos.persistence.mean()}


def _spacing(results: Results) -> Effects:
    videos = results.videos
    return {"all explained": _mean_iou(videos), "every second": _mean_iou(videos, every=2)}


def _targets(results: Results) -> Effects:
    frames = explained_for_true_class(results.study, results.detector)
    accuracies = target_accuracies(frames)
    return {"predicted": accuracies["predicted"], "true (label leakage)": accuracies["true"]}


def _noise_samples(results: Results) -> Effects:
    frames = results.frames
    samples = frames.filter(regex=r"^p_fake_\d+$")
    single = (samples > 0.5).eq(frames.label, axis=0).mean()
    mean = detection_of("p_fake_bottleneck")(frames)["accuracy"]
    return {"mean": mean, "worst sample": single.min(), "best sample": single.max()}


def _accuracy(frames: pd.DataFrame) -> float:
    return detection_of("p_fake")(frames)["accuracy"]


def _units(results: Results) -> Effects:
    return {"frame": _accuracy(results.frames), "video": _accuracy(per_video(results.frames))}


def _frames(results: Results) -> Effects:
    prepared = held_out_predictions(results.study, results.detector)
    return {"explained": _accuracy(results.frames), "all prepared": _accuracy(prepared)}


def _bins(results: Results) -> Effects:
    p, labels = results.frames.p_fake, results.frames.label.to_numpy()
    both = np.c_[1 - p, p]
    return {str(bins): expected_calibration_error(both, labels, bins) for bins in (15, 10, 30)}


def _rules(results: Results) -> Effects:
    table = rules_table({results.detector: results.videos}, tops=[3])
    return dict(zip(table.rule, table.f1, strict=True))


def _region_counts(results: Results) -> Effects:
    table = rules_table({results.detector: results.videos}, None, (3, 1, 2, 4), ["density"])
    return dict(zip(table.top.astype(str), table.f1, strict=True))


def _macro_f1(results: Results) -> Effects:
    table = rules_table({results.detector: results.videos}, None, [3], ["density"])
    f1, precision, recall = table.loc[0, ["f1", "precision", "recall"]]
    total = precision + recall
    harmonic = 2 * precision * recall / total if total > 0 else np.nan
    return {"mean of F1": f1, "harmonic mean": harmonic}


def _bottleneck(name: str, values: tuple[float, ...], results: Results) -> Effects:
    """Localisation on a few fakes, explained again with other settings of the bottleneck."""
    study, detector = results.study, results.detector
    rows = choose_rows(study, detector, FEW).query("label == 1")
    effects = {}
    for value in values:
        setting: dict[str, Any] = {name: value}
        maps = study.explain(detector, rows, **setting)
        effects[f"{value:g}"] = localisation(study, detector, maps).ratio.mean()
    return effects


def _key_frame_thresholds(study: Study) -> Effects:
    differences = []
    for _, row in study.catalog().query("split == 'test'").iterrows():
        with VideoReader(*segment(row, study.catalog_root())) as video:
            differences.append(frame_differences(video.frames(format="gray")))
    return {
        f"{threshold:g}": float(np.mean([len(key_frames(d, threshold)) for d in differences]))
        for threshold in (0.3, 0.1, 0.5, 0.7)
    }


EFFECTS: Mapping[str, Callable[[Results], Effects]] = {
    "mask threshold": _mask_thresholds,
    "mask reference": _mask_references,
    "size of the masks": _mask_sizes,
    "meaning of TCS": _temporal_consistency,
    "frames per video": _spacing,
    "target class": _targets,
    "samples of the noise": _noise_samples,
    "unit of Table 2": _units,
    "frames of Table 2": _frames,
    "bins of the ECE": _bins,
    "map to regions": _rules,
    "number of regions": _region_counts,
    "macro F1": _macro_f1,
    "beta": partial(_bottleneck, "beta", (10.0, 1.0, 100.0)),
    "steps": partial(_bottleneck, "steps", (10, 5, 40)),
    "smoothing": partial(_bottleneck, "sigma", (1.0, 0.0, 2.0)),
}
KEY_FRAMES = "key-frame threshold"  # the same for all detectors


def choices_table(choices: Choices) -> pd.DataFrame:
    """Every question with the paper's answer, the answer here, and what was measured."""
    rows = [
        {"choice": name, **choice.model_dump()}
        for name, choice in (choices.measured | choices.unmeasured).items()
    ]
    return pd.DataFrame(rows)


def all_effects(study: Study) -> Iterator[tuple[str, str, Effects]]:
    """Name of a measured choice, detector, and values of its measure by variant, ours first."""
    results = [Results(study, name) for name in DETECTORS]
    for name, effects in EFFECTS.items():
        for one in results:
            yield name, one.detector, effects(one)
        study.progress(f"sensitivity: {name}")
    yield KEY_FRAMES, "both", _key_frame_thresholds(study)


def sensitivity(effects: Iterable[tuple[str, str, Effects]], choices: Choices) -> pd.DataFrame:
    """Effect of each choice on a result.

    Parameters
    ----------
    effects : see `all_effects`

    Returns
    -------
    choice, measure, detector, here (our variant) and value_here, other (a variant) and value_other,
    change (other minus ours), relative (change over ours).
    """
    rows = []
    for name, detector, values in effects:
        (here, ours), *others = values.items()
        facts = {"choice": name, "measure": choices.measured[name].measured, "detector": detector}
        for other, value in others:
            row = facts | {"here": here, "value_here": ours, "other": other, "value_other": value}
            change = value - ours
            rows.append(row | {"change": change, "relative": change / ours if ours else np.nan})
    return pd.DataFrame(rows)
