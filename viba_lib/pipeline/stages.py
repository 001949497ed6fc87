"""The stages of a profile, declared: what each depends on.

A stage is given here exactly the settings that `viba_lib.pipeline.compute` uses for it, and their
values make its key. Nothing is computed by declaring.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from viba_lib.core.cache import External, HasDigest, Stage, digest
from viba_lib.core.errors import VibaError
from viba_lib.data.catalog import load_catalog
from viba_lib.data.source_videos import default_files
from viba_lib.models.detectors import DETECTORS, Detector
from viba_lib.pipeline import compute
from viba_lib.pipeline.profiles import DetectorSettings, Profile


class Stages:
    """Declarations of the stages that the chapters share.

    Parameters
    ----------
    profile : settings of the run
    seed : of data, training and noise
    data_root : folder of what is fetched, or of the licensed data
    """

    def __init__(self, profile: Profile, seed: int, data_root: Path) -> None:
        self.profile, self.seed, self.data_root = profile, seed, data_root

    def settings(self, detector: Detector) -> DetectorSettings:
        """The profile's settings of a detector; a detector without any keeps its own size."""
        if detector.settings:
            found = getattr(self.profile, detector.settings)
            assert isinstance(found, DetectorSettings)
            return found
        return self.profile.xception.model_copy(
            update={"size": detector.size, "weights": None, "methods": []}
        )

    @cached_property
    def dataset(self) -> HasDigest:
        """The data set: planted by a stage, or the catalog of a licensed one.

        Raises
        ------
        VibaError
            The catalog is not in the data folder.
        """
        settings = self.profile.dataset
        if settings.kind == "planted":
            return self._planted()
        path = self.data_root / settings.catalog
        if not path.is_file():
            raise VibaError(
                f"profile {self.profile.name!r} takes its videos from {path.name} in the data "
                "folder, which is not there; write it with `viba data catalog ROOT --source NAME "
                f"--out {path.name}`, or use the profile 'quick', which needs no licensed data"
            )
        return External(path, digest(load_catalog(path).to_json()))

    def _planted(self) -> Stage:
        settings = self.profile.dataset
        return Stage(
            "dataset",
            compute.plant_dataset,
            {
                "sources": settings.sources,
                "sha256": [file.sha256 for file in default_files(settings.sources)],
                "planted": settings.planted.model_dump(),
                "seed": self.seed,
            },
        )

    @cached_property
    def prepared(self) -> Stage:
        """Key frames, face crops and flow fields."""
        settings = {"settings": self.profile.preparation.model_dump(), "seed": self.seed}
        # Clips may be many and large: their reader verifies the hash.
        return Stage(
            "prepare", compute.prepare, settings, {"dataset": self.dataset}, size_only=("clips/",)
        )

    @property
    def data(self) -> dict[str, HasDigest]:
        """The inputs `dataset` and `prepared`, from which `compute.open_prepared` opens clips."""
        return {"dataset": self.dataset, "prepared": self.prepared}

    def trained(self, detector: Detector) -> Stage:
        """Weights of a detector."""
        if detector.start is None:
            name = f"train-{detector.name}"
            return Stage(name, compute.store_weights, inputs={"detector": detector})
        settings = self.settings(detector)
        return Stage(
            f"train-{detector.name}",
            compute.train_detector,
            {
                "size": settings.size,
                "weights": settings.weights,
                "methods": settings.methods,
                "training": settings.training.model_dump(),
                "planted": self.profile.dataset.kind == "planted",
                "seed": self.seed,
            },
            self.data | {"detector": detector},
        )

    def network(self, detector: Detector) -> dict[str, HasDigest]:
        """Inputs of a stage that runs a trained detector on prepared clips."""
        return self.data | {"trained": self.trained(detector), "detector": detector}

    def predictions(self, detector: Detector) -> Stage:
        """Probability of fake of validation and test frames."""
        return Stage(
            f"predict-{detector.name}",
            compute.predict_frames,
            self._forward(detector),
            self.network(detector),
        )

    def _forward(self, detector: Detector) -> dict[str, Any]:
        settings = self.settings(detector)
        return {
            "size": settings.size,
            "methods": settings.methods,
            "precision": settings.training.precision,
        }

    def robustness(self, detector: Detector) -> Stage:
        """Probability of fake of degraded test frames."""
        evaluation = self.profile.evaluation
        limits = {
            "frames_per_clip": evaluation.robustness_frames,
            "clips": evaluation.robustness_clips,
        }
        return Stage(
            f"robustness-{detector.name}",
            compute.predict_degraded,
            self._forward(detector) | limits,
            self.network(detector),
        )

    def statistics(self, detector: Detector, layer: str) -> Stage:
        """Mean and standard deviation of a layer."""
        settings = self.settings(detector)
        return Stage(
            f"statistics-{detector.name}",
            compute.estimate_statistics,
            {
                "size": settings.size,
                "methods": settings.methods,
                "layer": layer,
                "frames": self.profile.evaluation.statistics_frames,
                "seed": self.seed,
            },
            self.network(detector),
        )

    def bottleneck(self, **changes: Any) -> dict[str, Any]:
        """The profile's settings of the per-sample bottleneck, changed."""
        return asdict(self.profile.bottleneck) | {"seed": self.seed} | changes

    def explained(
        self,
        detector: Detector,
        layer: str,
        rows: pd.DataFrame,
        target: str,
        changes: Mapping[str, Any],
    ) -> Stage:
        """Relevance maps of rows of frames."""
        pairs: Sequence[Any] = rows[["video_id", "position"]].to_numpy().tolist()
        return Stage(
            f"explain-{detector.name}",
            compute.explain_frames,
            {
                "size": self.settings(detector).size,
                "layer": layer,
                "rows": pairs,
                "bottleneck": self.bottleneck(**changes),
                "target": target,
                "noise_draws": self.profile.evaluation.noise_draws,
            },
            self.network(detector) | {"statistics": self.statistics(detector, layer)},
        )

    def readout(self, detector: Detector) -> Stage:
        """Readout bottleneck at the detector's default layer."""
        settings, layer = self.settings(detector), detector.layers[0]
        return Stage(
            f"readout-{detector.name}",
            compute.fit_readout,
            {
                "size": settings.size,
                "methods": settings.methods,
                "layer": layer,
                "settings": self.profile.readout.model_dump(),
                "precision": self.profile.bottleneck.precision,
                "seed": self.seed,
            },
            self.network(detector) | {"statistics": self.statistics(detector, layer)},
        )

    def shared(self) -> list[Stage]:
        """The stages that all chapters share, in the order in which they are computed.

        Explanations are not among them: their frames are known when clips are prepared.
        """
        found = [self.prepared]
        for detector in DETECTORS.values():
            found += [
                self.trained(detector),
                self.predictions(detector),
                self.robustness(detector),
                self.statistics(detector, detector.layers[0]),
            ]
        return [*found, self.readout(next(iter(DETECTORS.values())))]
