"""A profile's stages with cached results: data, preparation, training, explanation.

Each stage stores its result under `results/<profile>/<stage>/<key>`, see `viba_lib.core.cache`. Its
key covers the stage's parameters, the keys of its inputs and the source code of the modules that
compute it, so that a result is never computed twice.
"""

import html
import importlib.metadata
import json
import logging
import multiprocessing
import os
import platform
import shutil
import subprocess
import warnings
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
import xarray as xr
from torch import nn

from viba_lib.bottleneck import LayerStatistics, PerSampleBottleneck, ReadoutBottleneck
from viba_lib.core.cache import Stages, code_hash, digest
from viba_lib.core.checkpoints import arrays_of, map_checkpointed
from viba_lib.core.download import fetch
from viba_lib.core.errors import VibaError
from viba_lib.core.files import atomic_write, file_sha256
from viba_lib.core.logs import log_to
from viba_lib.data.card import data_card
from viba_lib.data.catalog import CLASSES, load_catalog
from viba_lib.data.clip_store import ClipStore, PreparedClip
from viba_lib.data.flow import farneback, flow_to_input, flow_to_rgb, scale_flow
from viba_lib.data.planted_dataset import build_planted
from viba_lib.data.prepare import Preparation, account, prepare_catalog, prepare_video
from viba_lib.data.source_videos import default_files
from viba_lib.evaluation.robustness import corrupt, levels
from viba_lib.models import flow_vgg11, load_weights, save_weights, xception
from viba_lib.models.augment import augmented_face, augmented_flow
from viba_lib.models.batches import EpochBatches, FaceBatches, FlowBatches
from viba_lib.models.flow_vgg import FLOW_LAYERS
from viba_lib.models.training import predict, train
from viba_lib.models.xception import XCEPTION_LAYERS, face_tensor
from viba_lib.pipeline.explain import explain_rows
from viba_lib.pipeline.profiles import DetectorSettings, Profile, load_profile
from viba_lib.visual.html_table import SavedTable

DETECTORS = ("xception", "flow-vgg11")
LAYERS = {"xception": XCEPTION_LAYERS, "flow-vgg11": FLOW_LAYERS}
PREPARED = ("index", "frames", "problems")
TARGETS = ("predicted", "true")
OUTPUT = "VIBA_OUTPUT"  # names the folder of a chapter's tables and videos in its environment
DECIDED = 256  # frames of which the inputs are in memory at once, a quarter of a GB
Progress = Callable[[str], None]
log = logging.getLogger(__name__)


def _meant(folder: str | Path) -> Path:
    """A folder given as seen from notebooks/, also where a chapter runs from the folder above it.

    papermill leaves a kernel in the folder it was called from: `../data` would lead out of the
    project there.
    """
    folder = Path(folder)
    notebooks = Path("notebooks")
    above = folder.parts[:1] == ("..",) and (notebooks / "01_information_bottleneck.py").is_file()
    return notebooks / folder if above else folder


class Study:
    """One run of a profile: every method computes its stage or loads the cached result.

    Parameters
    ----------
    profile : name of a profile, path of a YAML file, or the profile itself
    data_root : folder of what is fetched, or of the licensed data
    results_root : folder that receives `<profile>/<stage>/<key>`
    device : "cpu", "cuda", ...
    seed : changes data, training and noise; the same seed gives the same result
    progress : called with a line of text as long work goes on
    scheduler : address of a Dask cluster for the stages that map over videos; "" = this machine

    Raises
    ------
    VibaError
        Unknown profile, a device that is not there, or a script without a guard for its helper
        processes.
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
        self.scheduler = scheduler
        self.profile = profile if isinstance(profile, Profile) else load_profile(profile)
        self.data_root, self.seed, self.device = _meant(data_root), int(seed), device
        self.root = _meant(results_root) / self.profile.name
        self.progress = progress
        log_to(self.root)
        try:
            torch.zeros(1, device=device)
        except (RuntimeError, AssertionError) as error:
            raise VibaError(
                f"device {device!r} cannot be used here: {str(error).splitlines()[0]}; use 'cpu'"
            ) from error

    # ---- stages -------------------------------------------------------------------------------

    @cached_property
    def stages(self) -> Stages:
        """The finished stages of this profile on disk."""
        return Stages(self.root, lambda line: self.progress(line))

    def stage(
        self, name: str, key: Any, compute: Callable[[Path], None], later: Sequence[str] = ()
    ) -> Path:
        """Folder of a finished stage, computed where it is absent; see `Stages.get`."""
        return self.stages.get(name, key, compute, later)

    @cached_property
    def _catalog_folder(self) -> Path:
        settings = self.profile.dataset
        if settings.kind == "catalog":
            return self.data_root
        files = default_files(settings.sources)

        def compute(folder: Path) -> None:
            self.progress("fetching source videos")
            fetch(files, self.data_root)
            self.progress("planting artefacts")
            build_planted(
                files, self.data_root, folder, settings.planted, self.seed, self.profile.workers,
                self.scheduler, self.progress,
            )  # fmt: skip

        key = {
            "settings": settings.model_dump(),
            "sources": [f.sha256 for f in files],
            "seed": self.seed,
            "code": code_hash("data.artefacts", "data.planted_dataset", "data.faces", "data.video"),
        }
        return self.stage("dataset", key, compute)

    def catalog_root(self) -> Path:
        """Folder that the catalog's paths are relative to."""
        return self._catalog_folder

    def catalog(self) -> pd.DataFrame:
        """Catalog: one row per video."""
        name = self.profile.dataset.catalog if self.profile.dataset.kind == "catalog" else ""
        path = self._catalog_folder / (name or "catalog.parquet")
        if not path.is_file():
            raise VibaError(
                f"profile {self.profile.name!r} takes its videos from {path.name} in the data "
                "folder, which is not there; write it with `viba data catalog ROOT --source NAME "
                f"--out {path.name}`, or use the profile 'quick', which needs no licensed data"
            )
        return load_catalog(path)

    @cached_property
    def _catalog_hash(self) -> str:
        return digest(self.catalog().to_json())

    @cached_property
    def preparation_folder(self) -> Path:
        """Folder of the prepared clips and the tables about them."""
        settings = self.profile.preparation
        key = {
            "catalog": self._catalog_hash,
            "settings": settings.model_dump(),
            "seed": self.seed,
            "code": code_hash(
                "data.prepare", "data.clip_store", "data.tracking", "data.faces", "data.flow",
                "data.keyframes", "data.video",
            ),
        }  # fmt: skip

        def compute(folder: Path) -> None:
            self.progress("key frames, faces, crops and flow maps")
            done = prepare_catalog(
                self.catalog(), self.catalog_root(), folder, settings, self.profile.workers,
                self.scheduler, self.seed, self.progress,
            )  # fmt: skip
            for name in PREPARED:
                getattr(done, name).to_parquet(folder / f"{name}.parquet")

        # Clips may be many and large: whoever opens one looks at its hash, see `_store`.
        return self.stage("prepare", key, compute, later=("clips/",))

    @cached_property
    def preparation(self) -> Preparation:
        """What became of the catalog's videos: index, frames and problems."""
        folder = self.preparation_folder
        return Preparation(**{n: pd.read_parquet(folder / f"{n}.parquet") for n in PREPARED})

    def problems(self) -> pd.DataFrame:
        """Videos and frames that were left out, with the reason."""
        return self.preparation.problems

    def account(self) -> pd.DataFrame:
        """Where all videos and frames went, see `viba_lib.data.prepare.account`."""
        return account(self.catalog(), self.preparation)

    def data_card(self) -> str:
        """Data card of this run's videos, as a Markdown page."""
        title = f"Data card of the profile {self.profile.name}"
        catalog, root = self.catalog(), self.catalog_root()
        return data_card(catalog, root, title, self.profile.note, self.account(), self.problems())

    @cached_property
    def _frames(self) -> pd.DataFrame:
        catalog = self.catalog()
        keep = ["video_id", "dataset", "label", "method", "identity", "split", "original"]
        keep += [c for c in ("region",) if c in catalog]
        kept = self.preparation.frames
        table = kept.merge(catalog[keep], on="video_id", how="left", validate="many_to_one")
        table["label"] = table.label.map({name: i for i, name in enumerate(CLASSES)})
        return table

    @cached_property
    def _store(self) -> ClipStore:
        folder = self.preparation_folder
        return ClipStore(folder, self.stages.used[folder]["files"], mend=self._mend)

    def _mend(self, name: str, wrong: str) -> None:
        """Prepare a clip again whose file is not what was written."""
        folder = self.preparation_folder
        self.progress(f"prepare: a stored clip is broken ({wrong}); it is made again")
        log.warning("prepare %s: %s is broken (%s) and is made again", folder.name, name, wrong)
        video = self.preparation.index.set_index("path").video_id[name]
        row = self.catalog().set_index("video_id", drop=False).loc[video].to_dict()
        prepare_video(row, self.catalog_root(), folder / name, self.profile.preparation, self.seed)

    def frames(self, split: str | None = None, detector: str | None = None) -> pd.DataFrame:
        """One row per prepared frame.

        Parameters
        ----------
        split : "train", "val" or "test"; None = all
        detector : keeps real frames and the methods in the scope of this detector
        """
        rows = self._frames
        if split is not None:
            rows = rows[rows.split == split]
        if detector is not None and self.settings(detector).methods:
            rows = rows[(rows.label == 0) | rows.method.isin(self.settings(detector).methods)]
        return rows.reset_index(drop=True)

    def clip(self, video_id: str) -> PreparedClip:
        """Prepared arrays of one video."""
        found = self._frames.loc[self._frames.video_id == video_id, "path"]
        if found.empty:
            raise VibaError(f"video {video_id!r} was not prepared; see study.problems()")
        return self._store[found.iloc[0]]

    # ---- inputs -------------------------------------------------------------------------------

    def settings(self, detector: str) -> DetectorSettings:
        """The profile's settings of a detector."""
        if detector not in DETECTORS:
            raise VibaError(f"detector {detector!r} is not known; choose one of {DETECTORS}")
        return self.profile.xception if detector == "xception" else self.profile.flow

    def layers(self, detector: str) -> tuple[str, ...]:
        """The paper's injection layers of a detector."""
        self.settings(detector)
        return LAYERS[detector]

    def layer(self, detector: str) -> str:
        """The injection layer that the paper chose."""
        return self.layers(detector)[0]

    def _flow(self, row: Any) -> np.ndarray:
        return self.scaled_flow(self._store[row.path].flow[row.position])

    def scaled_flow(self, flow: np.ndarray) -> np.ndarray:
        """Stored flow (2, h, w) as flow (S, S, 2) in pixels of the detector's input."""
        return scale_flow(flow.astype(np.float32).transpose(1, 2, 0), self.profile.flow.size)

    def inputs(self, detector: str, rows: pd.DataFrame) -> torch.Tensor:
        """Detector inputs (T, 3, S, S) float32 of rows of `frames()`."""
        size = self.settings(detector).size
        if detector == "xception":
            images = [self._store[r.path].faces[r.position] for r in rows.itertuples()]
            return face_tensor(np.stack(images), size) if images else torch.zeros(0, 3, size, size)
        flows = [torch.from_numpy(flow_to_input(self._flow(r))) for r in rows.itertuples()]
        return torch.stack(flows) if flows else torch.zeros(0, 3, size, size)

    def images(self, detector: str, rows: pd.DataFrame) -> np.ndarray:
        """Pictures (T, S, S, 3) uint8 of the inputs: face crops, or flow in colour."""
        if detector == "flow-vgg11":
            return np.stack([flow_to_rgb(self._flow(r)) for r in rows.itertuples()])
        size = self.settings(detector).size
        faces = [self._store[r.path].faces[r.position] for r in rows.itertuples()]
        return np.stack([cv2.resize(f, (size, size), interpolation=cv2.INTER_AREA) for f in faces])

    def masks(self, detector: str, rows: pd.DataFrame) -> np.ndarray:
        """Planted masks (T, S, S) float32 in [0, 1], zero for real frames."""
        size = self.settings(detector).size
        masks = [self._store[r.path].masks[r.position] for r in rows.itertuples()]
        scaled = [cv2.resize(m, (size, size), interpolation=cv2.INTER_AREA) for m in masks]
        return np.stack(scaled).astype(np.float32) / 255

    # ---- detectors ----------------------------------------------------------------------------

    def _trained(self, detector: str) -> Path:
        settings = self.settings(detector)
        key = {
            "detector": detector,
            "prepared": self.preparation_folder.name,
            "settings": settings.model_dump(),
            "seed": self.seed,
            "code": code_hash("models", "data.artefacts", "data.flow"),
        }

        def compute(folder: Path) -> None:
            self._train(detector, settings, folder)

        return self.stage(f"train-{detector}", key, compute)

    def _untrained(self, detector: str, weights: str | None) -> nn.Module:
        if detector == "xception":
            return xception(weights, data_root=self.data_root, adapt_classifier=True)
        return flow_vgg11(weights, adapt_classifier=True)

    def _batches(
        self, detector: str, settings: DetectorSettings
    ) -> EpochBatches | FaceBatches | FlowBatches:
        training, rows = settings.training, self.frames("train", detector)
        faces = detector == "xception"
        if training.epochs is not None:
            item = augmented_face if faces else augmented_flow
            return EpochBatches(
                self._store, rows, item, settings.size, training.epochs, training.batch_size,
                self.seed,
            )  # fmt: skip
        make = FaceBatches if faces else FlowBatches
        methods = settings.methods if self.profile.dataset.kind == "planted" else []
        return make(
            self._store, rows, settings.size, training.steps or 0, training.batch_size, methods,
            training.fresh, self.seed, training.window_steps,
        )  # fmt: skip

    def _train(self, detector: str, settings: DetectorSettings, folder: Path) -> None:
        batches = self._batches(detector, settings)
        # The process that makes batches can read clips, and not mend them.
        self._store.check(self.frames("train", detector).path.unique())
        self.progress(f"training {detector}: {len(batches)} batches")
        torch.manual_seed(self.seed)
        model = self._untrained(detector, settings.weights)
        held_out = self.frames("val", detector)
        validation = (self.inputs(detector, held_out), held_out.label.to_numpy())
        history = train(
            model,
            batches,
            validation,
            settings.training,
            folder,
            self.device,
            self.seed,
            lambda line: self.progress(f"{detector}: {line}"),
        )
        save_weights(model.cpu(), folder / "weights.safetensors")
        history.to_parquet(folder / "history.parquet")
        source = {"start": model.weights_source}
        (folder / "source.json").write_text(json.dumps(source))
        for leftover in ("checkpoint.pt", "best.pt"):
            (folder / leftover).unlink(missing_ok=True)

    def detector(self, name: str) -> nn.Module:
        """Trained detector in evaluation mode."""
        if name not in self._models:
            path = self._trained(name) / "weights.safetensors"
            model = xception(None) if name == "xception" else flow_vgg11(None)
            load_weights(model, path)
            self._models[name] = _place(model, self.device)
        return self._models[name]

    @cached_property
    def _models(self) -> dict[str, nn.Module]:
        return {}

    def weights_path(self, detector: str) -> Path:
        """Safetensors file of a trained detector."""
        return self._trained(detector) / "weights.safetensors"

    def training(self, detector: str) -> pd.DataFrame:
        """Learning curve: step, loss, val_loss, val_auc, val_accuracy."""
        return pd.read_parquet(self._trained(detector) / "history.parquet")

    def predictions(self, detector: str) -> pd.DataFrame:
        """Probability of fake, `p_fake`, for each frame of the validation and test splits.

        All methods are in it; the column `in_scope` marks those that the detector is trained for.
        """
        key = {
            "weights": self._trained(detector).name,
            "prepared": self.preparation_folder.name,
            "columns": ["p_fake", "in_scope"],
        }

        def compute(folder: Path) -> None:
            rows = self._frames[self._frames.split.isin(["val", "test"])].reset_index(drop=True)
            rows["p_fake"] = self._decided(detector, rows, folder / "pieces")
            methods = self.settings(detector).methods
            rows["in_scope"] = (rows.label == 0) | rows.method.isin(methods or rows.method.unique())
            rows.to_parquet(folder / "predictions.parquet")

        folder = self.stage(f"predict-{detector}", key, compute)
        return pd.read_parquet(folder / "predictions.parquet")

    def _decided(self, detector: str, rows: pd.DataFrame, folder: Path) -> np.ndarray:
        """Probability of fake (N,) of rows of `frames()`, some at a time: all inputs are large."""
        precision = self.settings(detector).training.precision
        parts = [rows.iloc[i : i + DECIDED] for i in range(0, len(rows), DECIDED)]

        def judge(part: pd.DataFrame) -> dict[str, np.ndarray]:
            inputs, model = self.inputs(detector, part), self.detector(detector)
            return {"p_fake": predict(model, inputs, self.device, precision)[:, 1]}

        found = map_checkpointed(
            folder, parts, judge, [len(p) for p in parts], self.progress, f"{detector}: decisions"
        )
        shutil.rmtree(folder)
        return np.concatenate([arrays_of(piece)["p_fake"] for piece in found])

    def robustness(self, detector: str) -> pd.DataFrame:
        """Probability of fake, `p_fake`, of test frames that were made worse.

        Returns
        -------
        Rows of `frames()` with corruption and level, see `evaluation.robustness`.
        """
        evaluation = self.profile.evaluation
        key = {
            "weights": self._trained(detector).name,
            "prepared": self.preparation_folder.name,
            "limits": [evaluation.robustness_frames, evaluation.robustness_clips],
            "code": code_hash("evaluation.robustness", "data.flow"),
        }

        def compute(folder: Path) -> None:
            rows = self.frames("test", detector)
            if evaluation.robustness_clips is not None:
                rows = _some_clips(rows, evaluation.robustness_clips)
            rows = _spread(rows, evaluation.robustness_frames)
            precision = self.settings(detector).training.precision
            made = list(levels())

            def judge(how: tuple[str, float]) -> dict[str, np.ndarray]:
                inputs = self._corrupted(detector, rows, *how)
                p_fake = predict(self.detector(detector), inputs, self.device, precision)[:, 1]
                return {"p_fake": p_fake}

            found = map_checkpointed(
                folder / "pieces", made, judge, [1] * len(made), self.progress,
                f"{detector}: ways to make {len(rows)} frames worse",
            )  # fmt: skip
            parts = [
                rows.assign(corruption=corruption, level=level, **arrays_of(piece))
                for (corruption, level), piece in zip(made, found, strict=True)
            ]
            pd.concat(parts, ignore_index=True).to_parquet(folder / "robustness.parquet")
            shutil.rmtree(folder / "pieces")

        folder = self.stage(f"robustness-{detector}", key, compute)
        return pd.read_parquet(folder / "robustness.parquet")

    def _corrupted(
        self, detector: str, rows: pd.DataFrame, corruption: str, level: float
    ) -> torch.Tensor:
        """Detector inputs of rows whose crops were made worse, before flow is found in them."""
        size, found = self.settings(detector).size, []
        for row in rows.itertuples():
            clip = self._store[row.path]
            if detector == "xception":
                worse = corrupt(clip.faces[row.position], corruption, level)
                found.append(face_tensor(worse[None], size)[0])
            else:
                first, second = (corrupt(f, corruption, level) for f in clip.pairs[row.position])
                flow = scale_flow(farneback(first, second), size)
                found.append(torch.from_numpy(flow_to_input(flow)))
        return torch.stack(found) if found else torch.zeros(0, 3, size, size)

    # ---- explanations -------------------------------------------------------------------------

    def statistics(self, detector: str, layer: str | None = None) -> LayerStatistics:
        """Mean and standard deviation of a layer over frames of the training split."""
        layer = layer or self.layer(detector)
        count = self.profile.evaluation.statistics_frames
        key = {
            "weights": self._trained(detector).name,
            "layer": layer,
            "frames": count,
            "code": code_hash("bottleneck.statistics"),
        }

        def compute(folder: Path) -> None:
            rows = self.frames("train", detector)
            rows = rows.sample(min(count, len(rows)), random_state=self.seed)
            batches = (
                self.inputs(detector, rows.iloc[i : i + 16]) for i in range(0, len(rows), 16)
            )
            with warnings.catch_warnings():
                # The number of frames is on the page of provenance; a warning would repeat there.
                warnings.simplefilter("ignore")
                found = LayerStatistics.estimate(self.detector(detector), layer, batches)
            found.save(folder / "statistics.safetensors")

        folder = self.stage(f"statistics-{detector}", key, compute)
        return LayerStatistics.load(folder / "statistics.safetensors")

    def bottleneck(
        self, detector: str, layer: str | None = None, **settings: Any
    ) -> PerSampleBottleneck:
        """The per-sample bottleneck with the profile's settings, changed by `settings`."""
        layer = layer or self.layer(detector)
        chosen = self.profile.bottleneck.model_dump() | {"seed": self.seed} | settings
        return PerSampleBottleneck(
            self.detector(detector), layer, self.statistics(detector, layer), **chosen
        )

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
        target : class that the bottleneck is optimised for: "predicted", or "true", which leaks
            the label and is for showing what a leak does
        lost : what happens where a video could not be explained, because it ended its worker three
            times or for another reason: "refuse" raises, "drop" gives the maps of the others

        Returns
        -------
        Dataset over `item`: relevance (item, y, x) in bits per pixel, p_fake (item),
        p_fake_draws (draw, item) with the bottleneck under fresh noise, p_fake_bottleneck (item)
        their mean, total_bits (item); coordinates video_id, frame, label, method.
        """
        if target not in TARGETS:
            raise VibaError(f"target {target!r} is not known; choose one of {TARGETS}")
        layer = layer or self.layer(detector)
        chosen = self.profile.bottleneck.model_dump() | {"seed": self.seed} | settings
        key = {
            "weights": self._trained(detector).name,
            "rows": rows[["video_id", "position"]].to_numpy().tolist(),
            "layer": layer,
            "settings": chosen,
            "statistics": self.profile.evaluation.statistics_frames,
            "target": target,
            "draws": self.profile.evaluation.noise_draws,
            "code": code_hash("bottleneck", "pipeline.explain"),
        }

        def compute(folder: Path) -> None:
            self.progress(f"explaining {len(rows)} frames of {detector} at {layer}")
            maps, problems = explain_rows(
                self, detector, rows, layer, target, settings, folder / "pieces"
            )
            save_maps(maps, folder / "maps.zarr")
            problems.to_parquet(folder / "problems.parquet")
            shutil.rmtree(folder / "pieces")

        folder = self.stage(f"explain-{detector}", key, compute)
        problems = pd.read_parquet(folder / "problems.parquet")
        if len(problems) and lost == "refuse":
            raise VibaError(
                f"{len(problems)} of {len(rows)} frames of {detector} could not be explained "
                f"({problems.reason.iloc[0]}): {', '.join(problems.video_id.unique()[:5])}; remove "
                f"{folder} to try again, or leave these videos out"
            )
        return xr.open_zarr(folder / "maps.zarr", consolidated=False).load()

    def evaluation_rows(self, detector: str) -> pd.DataFrame:
        """Test frames that are explained: up to `frames_per_clip` per clip, evenly spread."""
        return _spread(self.frames("test", detector), self.profile.evaluation.frames_per_clip)

    def explanations(self, detector: str, layer: str | None = None, **settings: Any) -> xr.Dataset:
        """Maps of the evaluation frames, see `explain` and `evaluation_rows`.

        A video that could not be explained is left out.
        """
        rows = self.evaluation_rows(detector)
        return self.explain(detector, rows, layer, lost="drop", **settings)

    def _readout_bottleneck(self, detector: str) -> ReadoutBottleneck:
        settings, layer = self.profile.readout, self.layer(detector)
        return ReadoutBottleneck(
            self.detector(detector),
            layer,
            settings.layers,
            self.statistics(detector, layer),
            learning_rate=settings.learning_rate,
            seed=self.seed,
            precision=self.profile.bottleneck.precision,
        )

    def _readout_folder(self, detector: str) -> Path:
        settings, layer = self.profile.readout, self.layer(detector)
        key = {
            "weights": self._trained(detector).name,
            "layer": layer,
            "settings": settings.model_dump(),
            "precision": self.profile.bottleneck.precision,
            "seed": self.seed,
            "code": code_hash("bottleneck"),
        }

        def compute(folder: Path) -> None:
            self.progress(f"fitting the readout bottleneck: {settings.epochs} epochs")
            rows = self.frames("train", detector)
            rows = rows.sample(min(settings.frames, len(rows)), random_state=self.seed)
            batches = [
                self.inputs(detector, rows.iloc[i : i + 16]) for i in range(0, len(rows), 16)
            ]
            readout = self._readout_bottleneck(detector)
            losses = readout.fit(
                batches,
                settings.epochs,
                lambda done, loss: self.progress(
                    f"readout: epoch {done}/{settings.epochs}  loss {loss:.3f}"
                ),
                folder / "checkpoint.pt",
            )
            (folder / "checkpoint.pt").unlink(missing_ok=True)
            epochs = range(1, len(losses) + 1)
            pd.DataFrame({"epoch": epochs, "loss": losses}).to_parquet(folder / "history.parquet")
            readout.save(folder / "readout.safetensors")

        return self.stage(f"readout-{detector}", key, compute)

    def readout(self, detector: str = "xception") -> ReadoutBottleneck:
        """Readout bottleneck of a detector at the paper's layer, fitted on the training split."""
        path = self._readout_folder(detector) / "readout.safetensors"
        return self._readout_bottleneck(detector).load(path)

    def readout_history(self, detector: str = "xception") -> pd.DataFrame:
        """Mean loss (nats) of each epoch of the readout's training."""
        return pd.read_parquet(self._readout_folder(detector) / "history.parquet")

    # ---- the whole run, tables and provenance -------------------------------------------------

    def run_all(self, progress: Progress | None = None) -> None:
        """Compute every stage that the chapters share."""
        self.progress = progress or self.progress
        for detector in DETECTORS:
            self.predictions(detector)
            self.robustness(detector)
            self.explanations(detector)
        self.readout()

    @property
    def output(self) -> Path:
        """Folder for tables and videos: `results/<profile>`, or that of the chapter that runs."""
        return Path(os.environ.get(OUTPUT) or self.root)

    def save_table(
        self, name: str, frame: pd.DataFrame, shown: pd.DataFrame | None = None
    ) -> SavedTable:
        """Store a table of results as Parquet and CSV under `tables` of the output folder.

        Parameters
        ----------
        shown : what a page shows of it, beside a link to all of it; None = the table itself

        Returns
        -------
        What a notebook shows where it is the value of a cell.
        """
        folder = self.output / "tables"
        for suffix, write in ((".csv", frame.to_csv), (".parquet", frame.to_parquet)):
            with atomic_write(folder / f"{name}{suffix}") as tmp:
                write(tmp, index=False)
        return SavedTable(name, folder / f"{name}.parquet", frame if shown is None else shown)

    def seconds(self) -> dict[str, float]:
        """Run time of each stage whose result this run has used or made, in seconds."""
        return self.stages.seconds()

    def provenance(self, detectors: Sequence[str] = DETECTORS) -> dict[str, Any]:
        """What made the results: profile, seed, device, versions, commit, hashes, run times.

        Parameters
        ----------
        detectors : those that the results come from; they are trained where they are not yet
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
            "catalog": self._catalog_hash,
        }
        for detector in detectors:
            done = self._trained(detector)
            start = json.loads((done / "source.json").read_text())["start"]
            sha = file_sha256(done / "weights.safetensors")[:16]
            facts[f"weights {detector}"] = f"{sha} (started from {start})"
        return facts | {"run time": {k: f"{v:.0f} s" for k, v in self.seconds().items()}}

    def provenance_html(self, detectors: Sequence[str] = DETECTORS) -> str:
        """Provenance as a folded HTML table for the end of a page; see `provenance`."""
        rows = []
        for name, value in self.provenance(detectors).items():
            if isinstance(value, dict):
                value = ", ".join(f"{k} {v}" for k, v in value.items())
            rows.append(f"<tr><th>{html.escape(name)}</th><td>{html.escape(str(value))}</td></tr>")
        return (
            '<details class="viba-provenance"><summary>Provenance: what made this page</summary>'
            f"<table>{''.join(rows)}</table></details>"
        )

    def banner(self) -> str:
        """HTML warning for the top of a page with other numbers than the paper's, or nothing."""
        if self.profile.name == "paper":
            return ""
        return (
            '<div class="admonition warning viba-banner"><p class="admonition-title">Not the '
            f"paper's numbers</p><p>This page was built with the profile "
            f"<code>{html.escape(self.profile.name)}</code>: {html.escape(self.profile.note)}. "
            "It shows how the method works; its numbers cannot be compared with the paper's, which "
            "come from licensed data.</p></div>"
        )


def _some_clips(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    """Rows of up to `count` videos, as many real as fake, and the fakes of all methods."""
    videos = rows.drop_duplicates("video_id").sort_values("video_id")
    turn = videos.groupby(["label", "method"]).cumcount()
    methods = max(1, videos.method[videos.label == 1].nunique())
    videos = videos.assign(turn=np.where(videos.label == 0, turn / methods, turn))
    chosen = videos.sort_values(["turn", "label", "method"]).video_id.head(count)
    return rows[rows.video_id.isin(chosen)]


def _spread(rows: pd.DataFrame, limit: int) -> pd.DataFrame:
    """Up to `limit` rows of each video, evenly spread."""
    chosen = []
    for _, group in rows.groupby("video_id", sort=True):
        at = np.linspace(0, len(group) - 1, min(limit, len(group))).round().astype(int)
        chosen.append(group.iloc[at])
    return pd.concat(chosen).reset_index(drop=True) if chosen else rows


def save_maps(maps: xr.Dataset, path: Path) -> None:
    """Write maps as Zarr."""
    with warnings.catch_warnings():
        # zarr warns that text of fixed length has no place in its third specification yet.
        warnings.simplefilter("ignore")
        maps.to_zarr(path, mode="w", consolidated=False)


def _place(model: nn.Module, device: str) -> nn.Module:
    return model.to(device).to(memory_format=torch.channels_last).eval()


def commit() -> str:
    """Commit of the code, with a mark where files differ from it."""
    command: Sequence[str] = ("git", "describe", "--always", "--dirty")
    try:
        done = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip() or "unknown"
