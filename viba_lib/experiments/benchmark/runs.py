"""What the stages of the benchmark share: a trained detector and the clips it is applied to."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from viba_lib.baselines.common import Target
from viba_lib.baselines.explainers import Network, explain_with
from viba_lib.core.cache import HasDigest, Stage
from viba_lib.pipeline.run import Run
from viba_lib.pipeline.study import Study

Positions = Sequence[tuple[str, int]]  # video_id and position of frames
Values = Mapping[str, Any]  # of the methods' settings, by method


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
        return Network(self.model, (self.layer,), statistics, dict(self.bottleneck), self.forward)

    def inputs_at(self, positions: Positions) -> torch.Tensor:
        """Detector inputs (T, 3, S, S) of frames."""
        return self.inputs(self.clips.rows(positions))

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
        "bottleneck": stages.bottleneck() if layer is not None else {},
        "numbers": study.profile.comparison.model_dump(include=set(numbers)),
        "seed": study.seed,
    }
    return stages.applied(name, compute, registered, {**shared, **settings}, layer, inputs)
