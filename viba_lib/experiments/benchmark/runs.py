"""What the stages of the benchmark share: a trained detector and the clips it is applied to."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from viba_lib.baselines.common import Target, classes_of
from viba_lib.baselines.explainers import Network, explain_with
from viba_lib.baselines.patch_head import FRAMES, PatchHead
from viba_lib.core.cache import HasDigest, Stage
from viba_lib.models.detectors import Detector
from viba_lib.pipeline.prepared_set import TABLES, PreparedSet
from viba_lib.pipeline.run import Run
from viba_lib.pipeline.stages import positions_of
from viba_lib.pipeline.study import Study

Positions = Sequence[tuple[str, int]]  # video_id and position of frames
Values = Mapping[str, Any]  # of the methods' settings, by method
KEPT = 6  # sets of frames: those for tests, tuning and patch heads, of two detectors


@lru_cache(maxsize=KEPT)
def _inputs(
    dataset: Path, prepared: Path, _changed: int, detector: Detector,
    positions: tuple[tuple[str, int], ...],
) -> torch.Tensor:  # fmt: skip
    clips = PreparedSet(dataset, prepared)
    return clips.inputs(detector, clips.rows(positions))


@lru_cache(maxsize=KEPT)
def _classes(model: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    return torch.tensor(classes_of(model, inputs, None))


@lru_cache(maxsize=KEPT)
def _head(model: nn.Module, layer: str, inputs: torch.Tensor, labels: tuple[int, ...]) -> PatchHead:
    return PatchHead.fit(model, layer, inputs, torch.tensor(labels))


@dataclass(frozen=True, kw_only=True)
class BenchmarkRun(Run):
    """A `Run` from the inputs and settings of `run_stage`.

    Parameters
    ----------
    preparation : settings of the preparation, for frames that are not prepared yet
    bottleneck : settings of the bottleneck; empty if it is not used
    """

    preparation: Mapping[str, Any]
    bottleneck: Mapping[str, Any]
    numbers: Mapping[str, int]

    @cached_property
    def network(self) -> Network:
        """The trained detector as the methods use it."""
        statistics = {self.layer: self.layer_statistics} if self.bottleneck else {}
        settings = dict(self.bottleneck)
        return Network(
            self.model, (self.layer,), statistics, settings, self.forward, self.head, equal=True
        )

    def head(self, layer: str) -> PatchHead:
        """The patch head of a layer, fitted to training frames."""
        rows = self.sample(FRAMES)
        inputs = self.inputs_at([(video, position) for video, position in positions_of(rows)])
        return _head(self.model, layer, inputs, tuple(rows.label))

    def inputs_at(self, positions: Positions) -> torch.Tensor:
        """Detector inputs (T, 3, S, S) of frames; the last ones stay: all methods explain them."""
        changed = (self.prepared / f"{TABLES[0]}.parquet").stat().st_mtime_ns
        keys = tuple((video, position) for video, position in positions)
        return _inputs(self.dataset, self.prepared, changed, self.detector, keys)

    def classes(self, inputs: torch.Tensor) -> torch.Tensor:
        """Predicted classes (T,) of what `inputs_at` returned, which all methods explain."""
        return _classes(self.model, inputs)

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
    numbers: Collection[str],
    settings: Mapping[str, Any],
    inputs: Mapping[str, HasDigest] | None = None,
) -> Stage:
    """Stage that applies a trained detector to prepared clips.

    Parameters
    ----------
    compute : receives `settings`, `inputs` and the fields of `BenchmarkRun`
    layer : of the bottleneck, whose statistics and settings count; None = no bottleneck is used
    numbers : names of fields of `ComparisonSettings` that the result depends on
    """
    stages, registered = study.stages, study.registered(detector)
    own = stages.settings(registered)
    shared = {
        "methods": own.methods,
        "precision": own.training.precision,
        "preparation": study.profile.preparation.model_dump(),
        "layer": registered.layers[0],
        "bottleneck": stages.bottleneck(registered) if layer is not None else {},
        "numbers": study.profile.comparison.model_dump(include=set(numbers)),
        "seed": study.seed,
    }
    return stages.applied(name, compute, registered, {**shared, **settings}, layer, inputs)
