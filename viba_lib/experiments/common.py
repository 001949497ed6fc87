"""What experiments share: explained frames and videos, and intervals over videos."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike

from viba_lib.bottleneck.split import find_layer
from viba_lib.core.progress import ProgressLines
from viba_lib.data.clip_store import PreparedClip
from viba_lib.evaluation.agreement import planted_regions, region_masks
from viba_lib.evaluation.clusters import units_of
from viba_lib.evaluation.detection import detection_metrics
from viba_lib.evaluation.faithfulness import Probabilities
from viba_lib.evaluation.sentences import Finding, finding, paired
from viba_lib.evaluation.significance import Statistics
from viba_lib.models.detectors import find_detector
from viba_lib.models.training import predict
from viba_lib.pipeline.run import forward_of
from viba_lib.pipeline.select import select
from viba_lib.pipeline.study import Study


class Bootstrap(NamedTuple):
    """A bootstrap over people and their source clips: number of samples, random seed, and units.

    Without units, each video counts as independent (see `evaluation.clusters.units_of`).
    """

    samples: int = 1000
    seed: int = 0
    units: pd.DataFrame | None = None

    @classmethod
    def of(cls, study: Study) -> "Bootstrap":
        """The bootstrap of a study's profile, seed and catalog."""
        return cls(study.profile.evaluation.draws, study.seed, units_of(study.catalog()))


def compared(
    rows: pd.DataFrame, measure: str, column: str, first: Any, second: Any, bootstrap: Bootstrap
) -> Finding:
    """Mean of a measure for a value of a column minus that for another, over source clips."""
    differences = paired(rows, measure, column, first, second, bootstrap.units)
    return finding(differences, bootstrap.units, bootstrap.samples, bootstrap.seed)


def level(rows: pd.DataFrame, values: ArrayLike, bootstrap: Bootstrap, at: float = 0.0) -> Finding:
    """Mean over source clips of a value of each row (with video_id), against a constant."""
    table = rows[["video_id"]].assign(value=values)
    return finding(table, bootstrap.units, bootstrap.samples, bootstrap.seed, at)


def stacked(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """One table of the tables of several detectors, with a column `detector`."""
    return pd.concat(tables, names=["detector", None]).reset_index("detector")


def detection_of(column: str) -> Statistics:
    """Function from rows to measures of detection by the probabilities of fake in a column."""
    return lambda rows: detection_metrics(rows["label"], rows[column])


def held_out_predictions(study: Study, detector: str) -> pd.DataFrame:
    """Predictions for all prepared test frames in the detector's scope, with `p_fake`."""
    rows = study.predictions(detector)
    return rows[(rows.split == "test") & rows.in_scope]


def probabilities_of(study: Study, detector: str) -> Probabilities:
    """Function from inputs (N, 3, S, S) to probabilities (N, classes) of a study's detector."""
    precision = study.settings(detector).training.precision
    forward = forward_of(study.registered(detector), study.detector(detector), precision)
    return partial(predict, forward, device=study.device)


def _table_of(maps: xr.Dataset) -> pd.DataFrame:
    frames = maps.drop_vars(["relevance", "p_fake_draws"]).to_dataframe().reset_index(drop=True)
    samples = {f"p_fake_{i}": values for i, values in enumerate(maps.p_fake_draws.values)}
    return frames.assign(**samples)


def explained_frames(study: Study, detector: str) -> pd.DataFrame:
    """Explained test frames, see `Study.explanations`.

    Returns
    -------
    video_id, frame, position, label, method, total_bits, and the probabilities of fake: p_fake of
    the detector, p_fake_0, p_fake_1, ... with the bottleneck under each sample of the noise, and
    their mean, p_fake_bottleneck.
    """
    return _table_of(study.explanations(detector))


def named_layers(study: Study, detectors: Iterable[str], layer: str = "") -> dict[str, list[str]]:
    """Layers that a name selects, per detector; fast, so that errors come before long work.

    Parameters
    ----------
    layer : dotted name; "" = the paper's choice for each detector, "all" = all of the paper

    Raises
    ------
    VibaError
        Unknown detector, or a layer that none of the detectors has.
    """
    known = {name: list(study.layers(name)) for name in detectors}
    if layer in ("", "all"):
        return known if layer else {name: layers[:1] for name, layers in known.items()}
    networks = {name: find_detector(name).build() for name in known}
    chosen = {d: [layer] for d, n in networks.items() if layer in dict(n.named_modules())}
    if not chosen:
        find_layer(next(iter(networks.values())), layer)
    return chosen


@dataclass(frozen=True)
class ExplainedVideo:
    """The explained frames of one test video, in the order of time.

    Parameters
    ----------
    frames : rows of `explained_frames`
    relevance : (T, S, S) in bits per pixel
    squares : (T, 3) centre and side of the face in the video, in pixels
    landmarks : (T, 68, 2) in the face crop, as fractions of its side
    planted : letters of the planted regions, the one with most of the mask first; "" = unknown
    """

    frames: pd.DataFrame
    relevance: np.ndarray
    squares: np.ndarray
    landmarks: np.ndarray
    planted: str = ""

    @property
    def video_id(self) -> str:
        """Identifier in the catalog."""
        return str(self.frames.video_id.iloc[0])

    @property
    def fake(self) -> bool:
        """Whether the video is a fake."""
        return bool(self.frames.label.iloc[0])

    @property
    def label(self) -> str:
        """ "fake" or "real"."""
        return "fake" if self.fake else "real"


def explained_videos(study: Study, detector: str) -> Iterator[ExplainedVideo]:
    """Explained test videos of a detector, in the order of their identifiers.

    Each is read when it is needed: the progress lines of `study` count what is done with them.
    """
    maps = study.explanations(detector)
    catalog = study.catalog().set_index("video_id")
    groups = _table_of(maps).groupby("video_id", sort=True)
    lines = ProgressLines(study.progress, f"measures of {detector}, videos", groups.ngroups)
    for video_id, frames in lines.counted(groups):
        frames = frames.sort_values("frame")
        clip, row = study.clip(str(video_id)), catalog.loc[video_id]
        known = study.profile.dataset.kind == "planted" and frames.label.iloc[0]
        yield ExplainedVideo(
            frames,
            maps.relevance.values[frames.index],
            clip.squares[frames.position],
            clip.landmarks[frames.position],
            _planted_letters(row.get("region") or row["method"], clip) if known else "",
        )


def _planted_letters(region: str, clip: PreparedClip) -> str:
    mask = clip.masks.astype(float).mean(0)
    regions = region_masks(clip.landmarks.mean(0), mask.shape[0])
    letters = sorted(planted_regions(region))
    return "".join(sorted(letters, key=lambda k: mask[regions[k]].sum(), reverse=True))


@dataclass(frozen=True)
class Explained:
    """Inputs with their maps: images (T, S, S, 3), masks (T, S, S), maps by name, measures.

    `kept` tells for the maps of a name which decisions (T,) are the same with the bottleneck.
    """

    images: np.ndarray
    masks: np.ndarray
    labels: list[str]
    maps: dict[str, np.ndarray]
    table: pd.DataFrame
    kept: dict[str, np.ndarray] = field(default_factory=dict, kw_only=True)


def no_masks(ratios: ArrayLike, what: str) -> str:
    """Sentence that replaces a result for which masks are needed; "" if there are masks.

    Parameters
    ----------
    ratios : relevance inside the mask over chance, of one or several frames; NaN without a mask
    what : the result, in the singular
    """
    if pd.notna(np.asarray(ratios, float)).any():
        return ""
    return f"No video that is explained here has a mask, so {what} is not computed."


def choose_rows(study: Study, detector: str, count: int) -> pd.DataFrame:
    """Held-out fake and real frames, `count` each: of the surest videos, the surest frame."""
    frames = held_out_predictions(study, detector)
    order: dict[str, Any] = {"order": "surest frame", "take": "chosen", "videos": count}
    return pd.concat([select(frames, label=k, **order) for k in (1, 0)], ignore_index=True)
