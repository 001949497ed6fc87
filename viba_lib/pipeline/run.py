"""A detector and the prepared clips it is applied to, opened from the inputs of a stage."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from viba_lib.bottleneck import LayerStatistics
from viba_lib.bottleneck.forward import Forward
from viba_lib.core.cache import Work
from viba_lib.core.errors import VibaError
from viba_lib.models.detectors import Detector
from viba_lib.models.training import predict
from viba_lib.pipeline.explain import ExplainJob, open_network
from viba_lib.pipeline.prepared_set import PreparedSet

WEIGHTS = "weights.safetensors"


def statistics_file(layer: str) -> str:
    """Name of the file with a layer's statistics in the folder of their stage."""
    return f"{layer}.safetensors"


def forward_of(detector: Detector, model: nn.Module, precision: str) -> Forward:
    """A detector's network for forward passes alone."""
    generator = torch.Generator().manual_seed(0)
    example = torch.rand(1, 3, detector.size, detector.size, generator=generator) * 2 - 1
    return Forward(model, example, precision)


@lru_cache(maxsize=1)
def _forward(
    detector: Detector, weights: Path, changed: int, device: str, precision: str
) -> Forward:
    network = open_network(detector, weights, changed, device)
    return forward_of(detector, network, precision)


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
        return PreparedSet(self.dataset, self.prepared)

    @cached_property
    def model(self) -> nn.Module:
        """Trained network in evaluation mode."""
        return open_network(*self._opened_file)

    @property
    def forward(self) -> Forward:
        """The same network for forward passes alone, in the run's precision."""
        return _forward(*self._opened_file, self.precision)

    @property
    def _opened_file(self) -> tuple[Detector, Path, int, str]:
        changed = self.weights.stat().st_mtime_ns
        return self.detector, self.weights.absolute(), changed, self.work.device

    @property
    def weights(self) -> Path:
        """Safetensors file of the trained network."""
        return self.trained / WEIGHTS if self.trained.is_dir() else self.trained

    @cached_property
    def layer_statistics(self) -> LayerStatistics:
        """Statistics of the layer."""
        return LayerStatistics.load(self.statistics / statistics_file(self.layer))

    def job(self, **settings: Any) -> ExplainJob:
        """The work of explaining frames with this detector at this layer."""
        return ExplainJob(
            detector=self.detector, weights=self.weights.absolute(), layer=self.layer,
            statistics=(self.statistics / statistics_file(self.layer)).absolute(),
            device=self.work.device,
            clips=self.prepared.absolute(), **settings,
        ).on_this_machine()  # fmt: skip

    def frames(self, split: str) -> pd.DataFrame:
        """Frames of a split: real ones and those of the methods.

        Raises
        ------
        VibaError
            No prepared video is in the split.
        """
        return self.needed(self.clips.frames(split, self.methods), split)

    def needed(self, rows: pd.DataFrame, split: str) -> pd.DataFrame:
        """The rows, of which there must be some; see `frames`."""
        if rows.empty:
            found = self.clips.all_frames.drop_duplicates("video_id").split.value_counts().to_dict()
            raise VibaError(
                f"no prepared video is in the split {split!r}; the numbers of videos are {found}: "
                "give the catalog at least 3 videos, or train, val and test in its column split"
            )
        return rows

    def sample(self, count: int) -> pd.DataFrame:
        """Up to `count` training frames, sampled without replacement."""
        rows = self.frames("train")
        return rows.sample(min(count, len(rows)), random_state=self.seed)

    def inputs(self, rows: pd.DataFrame) -> torch.Tensor:
        """Detector inputs (T, 3, S, S) of rows of frames."""
        return self.clips.inputs(self.detector, rows)

    def probabilities(self, inputs: torch.Tensor) -> np.ndarray:
        """Class probabilities (T, classes) of inputs (T, 3, S, S)."""
        return predict(self.forward, inputs, self.work.device)
