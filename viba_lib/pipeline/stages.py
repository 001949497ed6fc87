"""The stages of a profile, declared: what each depends on.

A stage is given here exactly the settings that `viba_lib.pipeline.compute` uses for it, and their
values make its key. Nothing is computed by declaring.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from viba_lib.core.cache import External, HasDigest, Stage, digest
from viba_lib.core.errors import VibaError
from viba_lib.core.files import file_sha256
from viba_lib.data.catalog import load_catalog, resolve
from viba_lib.data.source_videos import default_files
from viba_lib.models.detectors import DETECTORS, Detector, find_detector
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
        self._registered: dict[str, Detector] = {}

    def detector(self, name: str) -> Detector:
        """A detector of `find_detector`, with the input size that the profile gives it."""
        if name not in self._registered:
            detector = find_detector(name)
            self._registered[name] = replace(detector, size=self.settings(detector).size)
        return self._registered[name]

    def settings(self, detector: Detector) -> DetectorSettings:
        """The profile's settings of a detector; those of Xception for one that it does not know."""
        found = getattr(self.profile, detector.settings or "xception")
        assert isinstance(found, DetectorSettings)
        if detector.settings:
            return found
        return found.model_copy(update={"size": detector.size, "weights": None, "methods": []})

    @cached_property
    def dataset(self) -> Stage | External:
        """The data set: planted by a stage, or the catalog of a licensed one.

        Raises
        ------
        VibaError
            The catalog is not in the data folder.
        """
        settings = self.profile.dataset
        if settings.kind == "planted":
            planted = {
                "sources": settings.sources,
                "sha256": [file.sha256 for file in default_files(settings.sources)],
                "planted": settings.planted.model_dump(),
                "seed": self.seed,
            }
            return Stage("dataset", compute.plant_dataset, planted)
        path = self.data_root / settings.catalog
        if not path.is_file():
            raise VibaError(
                f"profile {self.profile.name!r} takes its videos from {path.name} in the data "
                "folder, which is not there; write it with `viba data catalog ROOT --source NAME "
                f"--out {path.name}`, or use the profile 'quick', which needs no licensed data"
            )
        catalog = load_catalog(path)
        return External(path, digest([catalog.to_json(), _files(catalog, path.parent)]))

    @cached_property
    def prepared(self) -> Stage:
        """Key frames, face crops and flow fields."""
        settings = {"settings": self.profile.preparation.model_dump(), "seed": self.seed}
        inputs = {"dataset": self.dataset}
        # Clips may be many and large. Their reader notices damage by the CRC-32 of the archive.
        return Stage("prepare", compute.prepare, settings, inputs, size_only=("clips/",))

    @property
    def data(self) -> dict[str, HasDigest]:
        """The inputs `dataset` and `prepared`, from which a `PreparedSet` is opened."""
        return {"dataset": self.dataset, "prepared": self.prepared}

    def applied(
        self,
        name: str,
        compute: Callable[..., None],
        detector: Detector,
        settings: Mapping[str, Any],
        layer: str | None = None,
        inputs: Mapping[str, HasDigest] | None = None,
    ) -> Stage:
        """A stage that applies a trained detector to prepared clips.

        Parameters
        ----------
        compute : receives `settings`, `inputs` and the fields of `Run`
        layer : of the bottleneck, whose statistics count; None = no bottleneck is used
        """
        given = self.data | {"trained": self.trained(detector), "detector": detector}
        given |= inputs or {}
        if layer is not None:
            given["statistics"] = self.statistics(detector, layer)
            settings = {**settings, "layer": layer}
        return Stage(f"{name}-{detector.name}", compute, settings, given)

    def trained(self, detector: Detector) -> Stage:
        """Weights of a detector."""
        name, own = f"train-{detector.name}", dict[str, HasDigest](detector=detector)
        if detector.start is None:
            return Stage(name, compute.store_weights, inputs=own)
        settings = self.settings(detector)
        training = {
            "methods": settings.methods,
            "training": settings.training.model_dump(),
            "planted": self.profile.dataset.kind == "planted",
            "seed": self.seed,
        }
        # A file counts by its content, another start by its name.
        if settings.weights is not None and (file := Path(settings.weights)).is_file():
            own["weights"] = External(file, file_sha256(file))
        else:
            training["weights"] = settings.weights
        return Stage(name, compute.train_detector, training, self.data | own)

    def predictions(self, detector: Detector) -> Stage:
        """Probability of fake of validation and test frames."""
        return self.applied("predict", compute.predict_frames, detector, self._forward(detector))

    def _forward(self, detector: Detector) -> dict[str, Any]:
        settings = self.settings(detector)
        return {"methods": settings.methods, "precision": settings.training.precision}

    def robustness(self, detector: Detector) -> Stage:
        """Probability of fake of degraded test frames."""
        evaluation = self.profile.evaluation
        settings = self._forward(detector) | {
            "frames_per_clip": evaluation.robustness_frames,
            "clips": evaluation.robustness_clips,
        }
        return self.applied("robustness", compute.predict_degraded, detector, settings)

    def statistics(self, detector: Detector, layer: str) -> Stage:
        """Mean and standard deviation of a layer; of all the detector's layers if it is one."""
        sample = {
            "methods": self.settings(detector).methods,
            "frames": self.profile.evaluation.statistics_frames,
            "seed": self.seed,
            "layers": list(detector.layers) if layer in detector.layers else [layer],
        }
        return self.applied("statistics", compute.estimate_statistics, detector, sample)

    def domain(self, detector: Detector, layer: str) -> Stage:
        """Ranges of measures of the frames that a detector was trained on, for one layer."""
        sample = {
            "methods": self.settings(detector).methods,
            "frames": self.profile.evaluation.statistics_frames,
            "seed": self.seed,
            "layer": layer,
        }
        return self.applied("domain", compute.calibrate_domain, detector, sample)

    def bottleneck(self, detector: Detector, **changes: Any) -> dict[str, Any]:
        """The profile's settings of the per-sample bottleneck of a detector, changed."""
        beta = self.settings(detector).beta
        own = {} if beta is None else {"beta": beta}
        return asdict(self.profile.bottleneck) | own | {"seed": self.seed} | changes

    def explained(
        self,
        detector: Detector,
        layer: str,
        rows: pd.DataFrame,
        target: str = "predicted",
        changes: Mapping[str, Any] | None = None,
    ) -> Stage:
        """Relevance maps of rows of frames."""
        settings = {
            "rows": positions_of(rows),
            "bottleneck": self.bottleneck(detector, **(changes or {})),
            "target": target,
            "noise_draws": self.profile.evaluation.noise_draws,
        }
        return self.applied("explain", compute.explain_frames, detector, settings, layer)

    def readout(self, detector: Detector) -> Stage:
        """Readout bottleneck at the detector's default layer."""
        settings = {
            "methods": self.settings(detector).methods,
            "settings": self.profile.readout.model_dump(),
            "precision": self.profile.bottleneck.precision,
            "seed": self.seed,
        }
        return self.applied("readout", compute.fit_readout, detector, settings, detector.layers[0])

    def shared(self) -> list[Stage]:
        """The stages that all chapters share, in the order in which they are computed.

        Explanations are not among them: their frames are known when clips are prepared.
        """
        detectors = [self.detector(name) for name in DETECTORS]
        stages = [self.prepared]
        for detector in detectors:
            stages += [
                self.trained(detector),
                self.predictions(detector),
                self.robustness(detector),
                self.statistics(detector, detector.layers[0]),
            ]
        return [*stages, self.readout(detectors[0])]


def positions_of(rows: pd.DataFrame) -> list[list[Any]]:
    """Video and position of each row, for the settings of a stage."""
    return rows[["video_id", "position"]].to_numpy().tolist()


def _files(catalog: pd.DataFrame, root: Path) -> list[tuple[int, int] | None]:
    """Size and time of change of the files of a catalog, None for one that is not there.

    Two folders may have the same catalog with other videos, and a video may be replaced.
    """
    found: list[tuple[int, int] | None] = []
    for name in [*catalog.path, *catalog.mask_path[catalog.mask_path != ""]]:
        try:
            facts = resolve(str(name), root).stat()
            found.append((facts.st_size, facts.st_mtime_ns))
        except (OSError, VibaError):
            found.append(None)
    return found
