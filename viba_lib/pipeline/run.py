"""A detector and the prepared clips it is applied to, opened from the inputs of a stage."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from viba_lib.bottleneck import LayerStatistics
from viba_lib.core.cache import Work
from viba_lib.models.detectors import Detector
from viba_lib.models.training import predict
from viba_lib.pipeline.explain import ExplainJob
from viba_lib.pipeline.prepared_set import PreparedSet

WEIGHTS = "weights.safetensors"
STATISTICS = "statistics.safetensors"


@dataclass(frozen=True, kw_only=True)
class Run:
    """What the stages of a detector share; see `viba_lib.pipeline.stages.Stages.applied`.

    Parameters
    ----------
    work : how the stage is computed
    dataset : folder of the planted data set, or catalog file of a licensed one
    prepared : folder of the prepared clips
    detector : with the profile's input size
    trained : folder of its weights, or a weights file
    methods : of manipulation, in the detector's scope; empty = all
    layer, statistics : injection layer and the folder of its statistics
    precision : of forward passes
    seed : of sampled frames and of noise
    """

    work: Work
    dataset: Path
    prepared: Path
    detector: Detector
    trained: Path = Path()
    methods: Sequence[str] = ()
    layer: str = ""
    statistics: Path = Path()
    precision: str = "float32"
    seed: int = 0

    @cached_property
    def clips(self) -> PreparedSet:
        """Prepared clips and their tables."""
        return PreparedSet(self.dataset, self.prepared, self.work)

    @cached_property
    def model(self) -> nn.Module:
        """Trained network in evaluation mode."""
        return self.detector.open(self.weights, self.work.device)

    @property
    def weights(self) -> Path:
        """Safetensors file of the trained network."""
        return self.trained / WEIGHTS if self.trained.is_dir() else self.trained

    @cached_property
    def layer_statistics(self) -> LayerStatistics:
        """Statistics of the layer."""
        return LayerStatistics.load(self.statistics / STATISTICS)

    def job(self, **settings: Any) -> ExplainJob:
        """The work of explaining frames with this detector at this layer."""
        return ExplainJob(
            detector=self.detector, weights=self.weights.absolute(), layer=self.layer,
            statistics=(self.statistics / STATISTICS).absolute(), device=self.work.device,
            clips=self.prepared.absolute(), **settings,
        )  # fmt: skip

    def frames(self, split: str) -> pd.DataFrame:
        """Frames of a split: real ones and those of the methods."""
        return self.clips.frames(split, self.methods)

    def sample(self, count: int) -> pd.DataFrame:
        """Up to `count` training frames, sampled without replacement."""
        rows = self.frames("train")
        return rows.sample(min(count, len(rows)), random_state=self.seed)

    def inputs(self, rows: pd.DataFrame) -> torch.Tensor:
        """Detector inputs (T, 3, S, S) of rows of frames."""
        return self.clips.inputs(self.detector, rows)

    def probabilities(self, inputs: torch.Tensor) -> np.ndarray:
        """Class probabilities (T, classes) of inputs (T, 3, S, S)."""
        return predict(self.model, inputs, self.work.device, self.precision)
