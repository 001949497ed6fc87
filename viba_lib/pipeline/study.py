"""A study: one run of a profile. Each method computes its stage or loads the stored result."""

import importlib.metadata
import json
import multiprocessing
import os
import platform
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr
from torch import nn

from viba_lib.bottleneck import LayerStatistics, PerSampleBottleneck, ReadoutBottleneck
from viba_lib.core.cache import Cache, Stage, Work
from viba_lib.core.errors import VibaError
from viba_lib.core.files import file_sha256, user_path
from viba_lib.core.progress import Progress
from viba_lib.data.card import data_card
from viba_lib.data.clip_store import PreparedClip
from viba_lib.data.prepare import account
from viba_lib.data.sampling import is_paper_sample
from viba_lib.evaluation.domain import Domain
from viba_lib.models.detectors import DETECTORS, Detector
from viba_lib.pipeline import compute
from viba_lib.pipeline.explain import TARGETS, open_maps
from viba_lib.pipeline.logs import log_to
from viba_lib.pipeline.prepared_set import PreparedSet
from viba_lib.pipeline.profiles import DetectorSettings, Profile, load_profile
from viba_lib.pipeline.run import WEIGHTS, statistics_file
from viba_lib.pipeline.select import select
from viba_lib.pipeline.stages import Stages
from viba_lib.pipeline.units import split_text
from viba_lib.visual.html_table import SavedTable
from viba_lib.visual.provenance import banner_html, commit, provenance_html, save_table

DEVICES = ("cpu", "cuda", "mps")
OUTPUT = "VIBA_OUTPUT"  # in the environment: folder that receives a chapter's tables and videos


def _project_folder(folder: str | Path) -> Path:
    """A folder given as seen from notebooks/, also if a chapter runs in the folder above it.

    papermill leaves a kernel in the folder it was called from: `../data` would lead out of the
    project there.
    """
    folder = user_path(folder)
    in_project = Path("_toc.yml").is_file() and Path("notebooks").is_dir()
    return Path("notebooks") / folder if folder.parts[:1] == ("..",) and in_project else folder


def check_device(device: str) -> None:
    """Refuse a device that is not there.

    Raises
    ------
    VibaError
        Not the name of a device that this library uses, or none of that name in this machine.
    """
    kind, _, number = str(device).partition(":")
    if kind not in DEVICES or (number and not number.isdecimal()):
        raise VibaError(f"device {device!r} cannot be used here; expected cpu, cuda, cuda:1 or mps")
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise VibaError(
            f"device {device!r} cannot be used here: PyTorch does not find it; use 'cpu'"
        ) from error


class Study:
    """One run of a profile.

    Parameters
    ----------
    profile : name of a profile, path of a YAML file, or the profile itself
    data_root : folder of what is fetched, or of the licensed data
    results_root : folder that receives `<profile>/<stage>/<key>`
    device : "cpu", "cuda", ...
    seed : changes data, training and noise; the same seed gives the same result
    progress : called with a line of text as long work continues
    scheduler : address of a Dask cluster for the stages that map over videos; "" = this machine

    Attributes
    ----------
    given_profile : the name or the path that the profile was given by
    stages : declarations of the stages that the chapters share
    cache : the finished stages of this profile on disk
    work : how stages are computed

    Raises
    ------
    VibaError
        Unknown profile, a seed that is not one, a device that is not there, or a script without a
        guard for its helper processes.
    """

    def __init__(
        self,
        profile: str | Path | Profile = "quick",
        data_root: str | Path = "data",
        results_root: str | Path = "results",
        device: str = "cpu",
        seed: int = 0,
        progress: Progress = lambda _: None,
        scheduler: str = "",
    ) -> None:
        if getattr(multiprocessing.current_process(), "_inheriting", False):
            # A process that training starts runs the calling script once more, and would wait for
            # the very stage that waits for it.
            raise VibaError(
                "a Study was opened by a script as a helper process began; put what the script "
                "does under `if __name__ == '__main__':`"
            )
        self.profile = profile if isinstance(profile, Profile) else load_profile(profile)
        self.given_profile = self.profile.name if isinstance(profile, Profile) else str(profile)
        whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
        if not whole or not 0 <= seed < 2**32:
            raise VibaError(f"seed is {seed!r}; expected a whole number from 0 to {2**32 - 1}")
        self.data_root, self.seed, self.device = _project_folder(data_root), int(seed), device
        self.root = _project_folder(results_root) / self.profile.name
        self.progress, self.scheduler = progress, scheduler
        self.work = Work(progress, device, scheduler, self.profile.workers, self.data_root)
        self.cache = Cache(self.root, self.work)
        self.stages = Stages(self.profile, self.seed, self.data_root)
        self._models: dict[str, nn.Module] = {}
        self._bottlenecks: dict[tuple[str, str], PerSampleBottleneck] = {}
        self._precisions: dict[str, str] = {}  # of the maps that this run has used or made
        log_to(self.root)
        check_device(device)

    # ---- stages -------------------------------------------------------------------------------

    def get(self, stage: Stage) -> Path:
        """Folder of a finished stage, computed if it is absent; see `Cache.get`."""
        return self.cache.get(stage)

    def registered(self, detector: str) -> Detector:
        """The detector of a name or `module:function`, with the profile's input size."""
        return self.stages.detector(detector)

    # ---- data ---------------------------------------------------------------------------------

    @cached_property
    def prepared(self) -> PreparedSet:
        """Prepared clips and their tables."""
        return PreparedSet(self.dataset, self.get(self.stages.prepared))

    @cached_property
    def dataset(self) -> Path:
        """Folder of the planted data set, or catalog file of a licensed one."""
        given = self.stages.dataset
        return self.get(given) if isinstance(given, Stage) else given.path

    @cached_property
    def _raw(self) -> PreparedSet:
        """The catalog, before anything is prepared."""
        return PreparedSet(self.dataset, Path())

    def catalog(self) -> pd.DataFrame:
        """Catalog: one row per video."""
        return self._raw.catalog

    def catalog_root(self) -> Path:
        """Folder that the catalog's paths are relative to."""
        return self._raw.root

    def problems(self) -> pd.DataFrame:
        """Videos and frames that were excluded, with the reason."""
        return self.prepared.preparation.problems

    def account(self) -> pd.DataFrame:
        """Log of excluded videos and frames, see `viba_lib.data.prepare.account`."""
        return account(self.catalog(), self.prepared.preparation)

    def data_card(self) -> str:
        """Data card of this run's videos, as a Markdown page."""
        title = f"Data card of the profile {self.profile.name}"
        catalog, root = self.catalog(), self.catalog_root()
        return data_card(catalog, root, title, self.profile.note, self.account(), self.problems())

    def frames(self, split: str | None = None, detector: str | None = None) -> pd.DataFrame:
        """One row per prepared frame.

        Parameters
        ----------
        split : "train", "val" or "test"; None = all
        detector : keeps real frames and the methods in this detector's scope
        """
        return self.prepared.frames(split, self.settings(detector).methods if detector else ())

    def clip(self, video_id: str) -> PreparedClip:
        """Prepared arrays of one video."""
        return self.prepared.clip(video_id)

    def inputs(self, detector: str, rows: pd.DataFrame) -> torch.Tensor:
        """Detector inputs (T, 3, S, S) float32 of rows of `frames()`."""
        return self.prepared.inputs(self.registered(detector), rows)

    def images(self, detector: str, rows: pd.DataFrame) -> np.ndarray:
        """Images (T, S, S, 3) uint8 of the inputs: face crops, or flow in colour."""
        return self.prepared.images(self.registered(detector), rows)

    def masks(self, detector: str, rows: pd.DataFrame) -> np.ndarray:
        """Planted masks (T, S, S) float32 in [0, 1], zero for real frames."""
        return self.prepared.masks(self.registered(detector), rows)

    # ---- detectors ----------------------------------------------------------------------------

    def settings(self, detector: str) -> DetectorSettings:
        """The profile's settings of a detector."""
        return self.stages.settings(self.registered(detector))

    def layers(self, detector: str) -> tuple[str, ...]:
        """The injection layers of a detector; those of the paper for its two."""
        return self.registered(detector).layers

    def layer(self, detector: str) -> str:
        """The default injection layer; the paper's choice for its two detectors."""
        return self.layers(detector)[0]

    def _trained(self, detector: str) -> Path:
        return self.get(self.stages.trained(self.registered(detector)))

    def detector(self, name: str) -> nn.Module:
        """Trained detector in evaluation mode."""
        if name not in self._models:
            weights = self.weights_path(name)
            self._models[name] = self.registered(name).open(weights, self.device)
        return self._models[name]

    def weights_path(self, detector: str) -> Path:
        """Safetensors file of a trained detector."""
        return self._trained(detector) / WEIGHTS

    def training(self, detector: str) -> pd.DataFrame:
        """Learning curve: step, loss, val_loss, val_auc, val_accuracy."""
        return pd.read_parquet(self._trained(detector) / "history.parquet")

    def predictions(self, detector: str) -> pd.DataFrame:
        """Probability of fake, `p_fake`, for each frame of the validation and test splits.

        All methods are in it; the column `in_scope` marks those that the detector is trained for.
        """
        folder = self.get(self.stages.predictions(self.registered(detector)))
        return pd.read_parquet(folder / "predictions.parquet")

    def robustness(self, detector: str) -> pd.DataFrame:
        """Probability of fake, `p_fake`, of degraded test frames.

        Returns
        -------
        Rows of `frames()` with corruption and level, see `evaluation.robustness`.
        """
        folder = self.get(self.stages.robustness(self.registered(detector)))
        return pd.read_parquet(folder / "robustness.parquet")

    # ---- explanations -------------------------------------------------------------------------

    def statistics(self, detector: str, layer: str | None = None) -> LayerStatistics:
        """Mean and standard deviation of a layer over frames of the training split."""
        layer = layer or self.layer(detector)
        stage = self.stages.statistics(self.registered(detector), layer)
        return LayerStatistics.load(self.get(stage) / statistics_file(layer))

    def domain(self, detector: str, layer: str | None = None) -> Domain:
        """Ranges of measures of the frames that a detector was trained on."""
        stage = self.stages.domain(self.registered(detector), layer or self.layer(detector))
        return Domain.load(self.get(stage) / compute.DOMAIN)

    def bottleneck(
        self, detector: str, layer: str | None = None, **settings: Any
    ) -> PerSampleBottleneck:
        """The per-sample bottleneck with the profile's settings, changed by `settings`."""
        layer = layer or self.layer(detector)
        statistics = self.statistics(detector, layer)
        options = self.stages.bottleneck(self.registered(detector), **settings)
        if (detector, layer) not in self._bottlenecks:  # the last one is kept: a cut takes a second
            found = PerSampleBottleneck(self.detector(detector), layer, statistics)
            self._bottlenecks = {(detector, layer): found}
        return self._bottlenecks[detector, layer].varied(**options)

    def explain(
        self,
        detector: str,
        rows: pd.DataFrame,
        layer: str | None = None,
        target: str = "predicted",
        lost: str = "refuse",
        **settings: Any,
    ) -> xr.Dataset:
        """Per-sample maps of rows of `frames()`; with a scheduler, on the workers of its cluster.

        Parameters
        ----------
        target : class that the bottleneck is optimised for: "predicted"; "true" and "false" (the
            other class) leak the label and show how much a decision follows the target
        lost : what happens if a video could not be explained, because it ended its worker three
            times or for another reason: "refuse" raises, "drop" gives the maps of the others

        Returns
        -------
        Dataset over `item`: relevance (item, y, x) in bits per pixel, p_fake (item),
        p_fake_draws (draw, item) with the bottleneck under fresh noise, p_fake_bottleneck (item)
        their mean, total_bits (item); coordinates video_id, frame, position, label, method.
        """
        if target not in TARGETS:
            raise VibaError(f"target {target!r} is not known; choose one of {TARGETS}")
        layer = layer or self.layer(detector)
        stage = self.stages.explained(self.registered(detector), layer, rows, target, settings)
        folder = self.get(stage)
        problems = pd.read_parquet(folder / "problems.parquet")
        if len(problems) and lost == "refuse":
            raise VibaError(
                f"{len(problems)} of {len(rows)} frames of {detector} could not be explained "
                f"({problems.reason.iloc[0]}): {', '.join(problems.video_id.unique()[:5])}; remove "
                f"{folder} to try again, or leave these videos out"
            )
        maps = open_maps(folder)
        self._precisions[f"{detector} at {layer}"] = maps.attrs["precision"]
        return maps

    def evaluation_rows(self, detector: str) -> pd.DataFrame:
        """Test frames that are explained: up to `frames_per_clip` per clip, evenly spread."""
        rows = self.frames("test", detector)
        return select(rows, per_video=self.profile.evaluation.frames_per_clip)

    def explanations(self, detector: str) -> xr.Dataset:
        """Maps of the evaluation frames, see `explain` and `evaluation_rows`.

        A video that could not be explained is left out.
        """
        return self.explain(detector, self.evaluation_rows(detector), lost="drop")

    def readout(self, detector: str = "xception") -> ReadoutBottleneck:
        """Readout bottleneck of a detector at its default layer, fitted on the training split."""
        stage = self.stages.readout(self.registered(detector))
        readout = compute.open_readout(
            self.detector(detector), self.statistics(detector), self.profile.readout.model_dump(),
            seed=self.seed, precision=self.profile.bottleneck.precision,
        )  # fmt: skip
        return readout.load(self.get(stage) / compute.READOUT)

    def readout_history(self, detector: str = "xception") -> pd.DataFrame:
        """Mean loss (nats) of each epoch of the readout's training."""
        folder = self.get(self.stages.readout(self.registered(detector)))
        return pd.read_parquet(folder / "history.parquet")

    # ---- the whole run, tables and provenance -------------------------------------------------

    def run_all(self) -> None:
        """Compute every stage that the chapters share."""
        for detector in DETECTORS:
            self.predictions(detector)
            self.robustness(detector)
            self.explanations(detector)
        self.readout()

    @property
    def output(self) -> Path:
        """Folder of a chapter's tables and videos: the profile's, or the one that a build names."""
        return Path(os.environ.get(OUTPUT) or self.root)

    def save_table(
        self, name: str, frame: pd.DataFrame, shown: pd.DataFrame | None = None, instead: str = ""
    ) -> SavedTable:
        """Store a table of results as Parquet and CSV in the folder `tables`, and show it.

        Parameters
        ----------
        shown : what a page shows of it, beside a link to all of it; None = the table itself
        instead : sentence that a page shows instead of the table, see `no_masks`; "" = the table
        """
        return save_table(self.output / "tables", name, frame, shown, instead)

    def seconds(self) -> dict[str, float]:
        """Run time of each stage whose result this run has used or made, in seconds."""
        return self.cache.seconds()

    def provenance(self, detectors: Sequence[str] = tuple(DETECTORS)) -> dict[str, Any]:
        """What made the results: profile, seed, device, versions, commit, hashes, run times.

        Parameters
        ----------
        detectors : those that the results come from; they are trained if they are not yet
        """
        names = ("torch", "torchvision", "timm", "numpy", "opencv-python-headless", "dlib-bin")
        threads = torch.get_num_threads()
        facts: dict[str, Any] = {
            "profile": f"{self.profile.name} ({self.profile.note})",
            "seed": self.seed,
            "device": f"{self.device}, {platform.machine()}, {threads} thread{'s' * (threads > 1)}",
            "versions": {"python": platform.python_version()}
            | {name: importlib.metadata.version(name) for name in ("viba", *names)},
            "commit": commit(),
            "data": self.stages.dataset.digest,
        }
        for detector in detectors:
            done = self._trained(detector)
            sha = file_sha256(done / WEIGHTS)[:16]
            source = done / "source.json"
            about = json.loads(source.read_text()) if source.is_file() else {}
            start, precision = about.get("start", "its own"), about.get("precision", "none")
            how = f"started from {start}, trained in {precision}"
            if found := about.get("calibration"):
                how += (
                    f", calibrated on {found['frames']} validation frames of {found['people']} "
                    f"people: margin shifted by {found['shift']:+.2f}"
                )
            facts[f"weights {detector}"] = f"{sha} ({how})"
        if self._precisions:
            facts["precision of maps"] = dict(sorted(self._precisions.items()))
        return facts | {"run time": {k: f"{v:.0f} s" for k, v in self.seconds().items()}}

    def provenance_html(self, detectors: Sequence[str] = tuple(DETECTORS)) -> str:
        """Provenance as a folded HTML table for the end of a page; see `provenance`."""
        return provenance_html(self.provenance(detectors))

    def is_paper_run(self) -> bool:
        """Whether profile and numbers of videos of each data set are the paper's."""
        return self.profile.name == "paper" and is_paper_sample(self.catalog())

    def banner(self) -> str:
        """HTML warning for the top of a page with other numbers than the paper's, or nothing.

        It gives the size of the test split, unless the data set is not there yet: a page without
        results must not wait for it.
        """
        size, licensed = "", False
        with suppress(VibaError):  # no catalog in the data folder
            data = self.stages.dataset
            if not isinstance(data, Stage) or self.cache.folder(data).is_dir():
                catalog = self.catalog()
                size, licensed = split_text(catalog), self.is_paper_run()
        return banner_html(self.profile.name, self.profile.note, size, licensed)
