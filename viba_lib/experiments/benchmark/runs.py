"""What the stages of the benchmark share: a trained detector and the clips it is applied to."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from viba_lib.baselines.common import Target
from viba_lib.baselines.explainers import Network, explain_with
from viba_lib.core.cache import HasDigest, Stage, Work
from viba_lib.models.detectors import Detector
from viba_lib.models.training import predict
from viba_lib.pipeline.compute import open_detector, open_prepared, open_statistics
from viba_lib.pipeline.prepared_set import PreparedSet
from viba_lib.pipeline.study import Study

Positions = Sequence[tuple[str, int]]  # video_id and position of frames
Values = Mapping[str, Any]  # of the methods' settings, by method


@dataclass(frozen=True)
class Run:
    """A trained detector and prepared clips, from the inputs and settings of `run_stage`."""

    work: Work
    dataset: Path
    prepared: Path
    trained: Path
    detector: Detector
    size: int
    methods: Sequence[str]
    precision: str
    preparation: Mapping[str, Any]
    layer: str
    bottleneck: Mapping[str, Any]
    seed: int
    statistics: Path | None = None

    @cached_property
    def clips(self) -> PreparedSet:
        """Prepared clips and their tables."""
        return open_prepared(self.dataset, self.prepared, self.work)

    @cached_property
    def network(self) -> Network:
        """The trained detector as the methods use it."""
        model = open_detector(self.detector, self.trained, self.work.device)
        statistics = {self.layer: open_statistics(self.statistics)} if self.statistics else {}
        return Network(model, (self.layer,), statistics, dict(self.bottleneck), self.precision)

    def inputs(self, rows: Positions) -> torch.Tensor:
        """Detector inputs (T, 3, S, S) of frames."""
        wanted = pd.DataFrame(rows, columns=["video_id", "position"])
        found = wanted.merge(self.clips.all_frames, on=["video_id", "position"])
        return self.clips.inputs(self.detector, found, self.size)

    def probabilities(self, batch: torch.Tensor) -> np.ndarray:
        """Class probabilities (N, classes) of inputs (N, 3, S, S)."""
        return predict(self.network.model, batch, self.work.device, self.precision)

    def maps(
        self, name: str, inputs: torch.Tensor, passes: int, value: Any, target: Target = None
    ) -> np.ndarray:
        """Maps (T, S, S) of inputs (T, 3, S, S) by a method, see `explain_with`."""
        return explain_with(name, self.network, inputs, target, passes, self.seed, value)


def run_stage(
    study: Study,
    detector: str,
    name: str,
    compute: Callable[..., None],
    layer: str | None,
    settings: Mapping[str, Any],
    inputs: Mapping[str, HasDigest] | None = None,
) -> Stage:
    """Stage that applies a trained detector to prepared clips.

    Parameters
    ----------
    compute : receives `settings`, `inputs` and the fields of `Run`
    layer : of the bottleneck, whose statistics and settings count; None = no bottleneck is used
    """
    stages, registered = study.stages, study.registered(detector)
    chosen, given = stages.settings(registered), {**stages.network(registered), **(inputs or {})}
    if layer is not None:
        given["statistics"] = stages.statistics(registered, layer)
    shared = {
        "size": chosen.size,
        "methods": chosen.methods,
        "precision": chosen.training.precision,
        "preparation": study.profile.preparation.model_dump(),
        "layer": layer or registered.layers[0],
        "bottleneck": stages.bottleneck() if layer is not None else {},
        "seed": study.seed,
    }
    return Stage(f"{name}-{registered.name}", compute, {**shared, **settings}, given)


def positions_of(rows: pd.DataFrame) -> list[list[Any]]:
    """Video and position of each row, for the settings of a stage."""
    return rows[["video_id", "position"]].to_numpy().tolist()
