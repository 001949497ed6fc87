"""Choices that the paper leaves open, and how much results depend on them (`14_open_choices`)."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from viba_lib.data.catalog import segment
from viba_lib.data.keyframes import frame_differences, key_frames
from viba_lib.data.video import VideoReader
from viba_lib.evaluation.consistency import highlight, mean_iou
from viba_lib.evaluation.detection import expected_calibration_error
from viba_lib.experiments import common, detection, target_class
from viba_lib.experiments.consistency import consistency_by_video
from viba_lib.experiments.human_agreement import rules_table
from viba_lib.experiments.localisation import localisation
from viba_lib.experiments.paper_numbers import read_yaml
from viba_lib.models.detectors import DETECTORS
from viba_lib.pipeline.study import Study

FEW = 6  # fakes that are explained again
BETAS = (10.0, 1.0, 3.0, 100.0)
LARGE = 0.1  # a relative change above it is counted


# Texts of each question by its name: question, paper (what it says), here (what is done), measured
# (what was measured of the alternatives, or why nothing was).
CHOICES: Mapping[str, Mapping[str, str]] = read_yaml("open_choices")


@dataclass(frozen=True)
class Results:
    """Results of a study for one detector."""

    study: Study
    detector: str

    @cached_property
    def frames(self) -> pd.DataFrame:
        """See `explained_frames`."""
        return common.explained_frames(self.study, self.detector)

    @cached_property
    def videos(self) -> list[common.ExplainedVideo]:
        """See `explained_videos`."""
        return list(common.explained_videos(self.study, self.detector))


Effects = Mapping[str, float]  # value of a measure by variant, ours first


def _consistency(
    results: Results, threshold: float = 0.5, rule: str = "frame", measure: str = "iou"
) -> float:
    videos = consistency_by_video(results.videos, [threshold], rule)
    return float(videos[measure].mean())


def _mask_thresholds(results: Results) -> Effects:
    return {f"{t:g}": _consistency(results, t) for t in (0.5, 0.3, 0.7)}


def _mask_references(results: Results) -> Effects:
    return {rule: _consistency(results, rule=rule) for rule in ("frame", "clip", "area")}


def _mean_iou(videos: Sequence[common.ExplainedVideo], every: int = 1) -> float:
    # Of clips of one frame there is no overlap: pandas leaves them out without a warning.
    return float(pd.Series([mean_iou(highlight(v.relevance[::every])) for v in videos]).mean())


def _mask_sizes(results: Results) -> Effects:
    side = results.videos[0].relevance.shape[1]
    return {"924": _consistency(results), f"{side} (the map's own)": _mean_iou(results.videos)}


def _temporal_consistency(results: Results) -> Effects:
    measures = {"Eq. (3) of the paper": "tcs", "persistence": "persistence"}
    return {name: _consistency(results, measure=m) for name, m in measures.items()}


def _spacing(results: Results) -> Effects:
    videos = results.videos
    return {"all explained": _mean_iou(videos), "every second": _mean_iou(videos, every=2)}


def _targets(results: Results) -> Effects:
    rows = target_class.decisions(
        target_class.explained_for_targets(results.study, results.detector)
    )
    right = rows.groupby("target").right.mean()
    names = {"predicted": "predicted", "true (label leakage)": "true", "random": "random"}
    return {name: right[target] for name, target in names.items()}


def _noise_samples(results: Results) -> Effects:
    frames = results.frames
    samples = frames.filter(regex=r"^p_fake_\d+$")
    single = (samples > 0.5).eq(frames.label, axis=0).mean()
    mean = common.detection_of("p_fake_bottleneck")(frames)["accuracy"]
    return {"mean": mean, "worst sample": single.min(), "best sample": single.max()}


def _accuracies(tables: Mapping[str, pd.DataFrame]) -> Effects:
    return {k: common.detection_of("p_fake")(table)["accuracy"] for k, table in tables.items()}


def _units(results: Results) -> Effects:
    return _accuracies({"frame": results.frames, "video": detection.per_video(results.frames)})


def _frames(results: Results) -> Effects:
    prepared = common.held_out_predictions(results.study, results.detector)
    return _accuracies({"explained": results.frames, "all prepared": prepared})


def _bins(results: Results) -> Effects:
    p, labels = results.frames.p_fake, results.frames.label.to_numpy()
    both = np.c_[1 - p, p]
    return {str(bins): expected_calibration_error(both, labels, bins) for bins in (15, 10, 30)}


def _region_f1(by: str, results: Results, **given: Any) -> Effects:
    table = rules_table({results.detector: results.videos}, **given)
    return dict(zip(table[by].astype(str), table.f1, strict=True))


def _macro_f1(results: Results) -> Effects:
    table = rules_table({results.detector: results.videos}, tops=[3], rules=["density"])
    f1, precision, recall = table.loc[0, ["f1", "precision", "recall"]]
    total = precision + recall
    harmonic = 2 * precision * recall / total if total > 0 else np.nan
    return {"mean of F1": f1, "harmonic mean": harmonic}


def _ratio(results: Results, maps: xr.Dataset) -> float:
    return float(localisation(results.study, results.detector, maps).ratio.mean())


def _kept(_results: Results, maps: xr.Dataset) -> float:
    return float(((maps.p_fake_bottleneck > 0.5) == (maps.p_fake > 0.5)).mean())


def _bottleneck(
    name: str,
    values: tuple[float, ...],
    results: Results,
    measure: Callable[[Results, xr.Dataset], float] = _ratio,
) -> Effects:
    """A measure of a few fakes, explained again with other settings of the bottleneck."""
    study, detector = results.study, results.detector
    own = study.stages.bottleneck(study.registered(detector))[name]
    rows = common.choose_rows(study, detector, FEW).query("label == 1")

    def measured(value: float) -> float:
        setting: dict[str, Any] = {name: value}
        return measure(results, study.explain(detector, rows, **setting))

    return {f"{value:g}": measured(value) for value in dict.fromkeys([own, *values])}


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
    "map to regions": partial(_region_f1, "rule", tops=[3]),
    "number of regions": partial(_region_f1, "top", tops=(3, 1, 2, 4), rules=["density"]),
    "macro F1": _macro_f1,
    "beta": partial(_bottleneck, "beta", BETAS),
    "beta and decisions": partial(_bottleneck, "beta", BETAS, measure=_kept),
    "steps": partial(_bottleneck, "steps", (10, 5, 40)),
    "smoothing": partial(_bottleneck, "sigma", (1.0, 0.0, 2.0)),
}
KEY_FRAMES = "key-frame threshold"  # the same for all detectors


def choices_table() -> pd.DataFrame:
    """Every question with the paper's answer, the answer here, and what was measured."""
    return pd.DataFrame.from_dict(CHOICES, "index").rename_axis("choice").reset_index()


def all_effects(study: Study) -> Iterator[tuple[str, str, Effects]]:
    """Name of a measured choice, detector, and values of its measure by variant, ours first."""
    results = [Results(study, name) for name in DETECTORS]
    for name, effects in EFFECTS.items():
        for one in results:
            yield name, one.detector, effects(one)
        study.progress(f"sensitivity: {name}")
    yield KEY_FRAMES, "both", _key_frame_thresholds(study)


def sensitivity(effects: Iterable[tuple[str, str, Effects]]) -> pd.DataFrame:
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
        first = (name, CHOICES[name]["measured"], detector, here, ours)
        rows += [(*first, other, value) for other, value in others]
    columns = ["choice", "measure", "detector", "here", "value_here", "other", "value_other"]
    table = pd.DataFrame(rows, columns=columns)
    change = table.value_other - table.value_here
    relative = change / table.value_here.where(table.value_here != 0)
    return table.assign(change=change, relative=relative)


def unmeasured(effects: pd.DataFrame) -> str:
    """Sentence about the choices of `sensitivity` without a change; "" if each has one."""
    known = effects.groupby("choice", sort=False).change.count()
    names = ", ".join(known.index[known == 0])
    lack = "for lack of masks, of known regions or of frames of a video"
    return names and f"Not computed, {lack}: {names}."


def furthest(table: pd.DataFrame) -> pd.DataFrame:
    """For each choice and detector of `sensitivity`, the alternative with the largest change."""
    known = table.dropna(subset=["change"])
    size = known.relative.abs().fillna(0.0)
    ordered = known.assign(size=size).sort_values("size", kind="stable")
    return ordered.groupby(["choice", "detector"], sort=False).tail(1).sort_index()


def sensitivity_text(table: pd.DataFrame, shown: int = 3) -> str:
    """The choices with the largest and the smallest relative changes, from `sensitivity`.

    Parameters
    ----------
    shown : choices of each kind; fewer if there are not twice as many
    """
    order = furthest(table).sort_values("size", kind="stable").groupby("choice").tail(1)
    shown = min(shown, len(order) // 2)
    if not shown:
        return "Too few choices have a measured alternative to compare them."
    most = ", ".join(
        f"{row.choice} ({row.relative:+.0%} with {row.other} instead of {row.here})"
        for row in order.tail(shown).iloc[::-1].itertuples()
    )
    least = ", ".join(
        f"{row.choice} ({row.size:.1%} at most)" for row in order.head(shown).itertuples()
    )
    largest = (order["size"] > LARGE).sum()
    return (
        f"The largest relative changes, each of a measure of its own: {most}. The smallest: "
        f"{least}. With {largest} of {len(order)} choices, an alternative changes a result by more "
        f"than {LARGE:.0%} of its value."
    )
