"""What the tables share: explained frames, and intervals over videos."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from viba_lib.evaluation.detection import bootstrap_intervals, detection_metrics
from viba_lib.pipeline.study import Study

Statistics = Callable[[pd.DataFrame], Mapping[str, float]]


@dataclass(frozen=True)
class Bootstrap:
    """A bootstrap over videos: number of samples and random seed."""

    samples: int = 1000
    seed: int = 0

    @classmethod
    def of(cls, study: Study) -> "Bootstrap":
        """The bootstrap of a study's profile and seed."""
        return cls(study.profile.evaluation.draws, study.seed)


def with_intervals(
    frame: pd.DataFrame, statistics: Statistics, bootstrap: Bootstrap
) -> dict[str, float]:
    """Statistics of rows as m, m_low, m_high, with 95 % intervals from a bootstrap over videos."""
    ends = bootstrap_intervals(frame, statistics, draws=bootstrap.samples, seed=bootstrap.seed)
    row: dict[str, float] = {}
    for name, value in statistics(frame).items():
        row |= {name: value, f"{name}_low": ends[name][0], f"{name}_high": ends[name][1]}
    return row


def means_of(measures: Iterable[str]) -> Statistics:
    """Function from rows to the means of some columns, for `with_intervals`."""
    columns = list(measures)
    return lambda rows: rows[columns].mean().to_dict()


def detection(column: str) -> Callable[[pd.DataFrame], dict[str, float]]:
    """Detection measures of rows, decided by the probabilities in a column."""
    return lambda rows: detection_metrics(rows.label.to_numpy(), rows[column].to_numpy())


def explained(study: Study, detector: str) -> tuple[pd.DataFrame, xr.Dataset]:
    """Table of explained test frames, and their maps; see `Study.explain`."""
    maps = study.explanations(detector)
    frame = maps.drop_vars(["relevance", "p_fake_draws"]).to_dataframe().reset_index(drop=True)
    return frame, maps


@dataclass(frozen=True)
class Explained:
    """Inputs with their maps: images (T, S, S, 3), masks (T, S, S), maps by name, measures."""

    images: np.ndarray
    masks: np.ndarray
    labels: list[str]
    maps: dict[str, np.ndarray]
    table: pd.DataFrame


def choose_rows(study: Study, detector: str, count: int) -> pd.DataFrame:
    """Held-out fake and real frames, `count` each, one per video; the surest fakes first."""
    found = study.predictions(detector)
    found = found[(found.split == "test") & found.in_scope]
    fake = found[found.label == 1].sort_values("p_fake", ascending=False)
    real = found[found.label == 0].sort_values("p_fake")
    parts = [part.drop_duplicates("video_id").head(count) for part in (fake, real)]
    return pd.concat(parts).reset_index(drop=True)
