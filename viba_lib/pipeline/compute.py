"""What each stage computes: functions that fill a folder from their declared inputs and settings.

They see no study and no profile, so that nothing can change a result without changing its key; see
`viba_lib.core.cache.Stage`. Which settings they are given is said in `viba_lib.pipeline.stages`.
"""

import json
import shutil
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from viba_lib.bottleneck import LayerStatistics, ReadoutBottleneck
from viba_lib.core.cache import Work
from viba_lib.core.checkpoints import arrays_of, map_checkpointed
from viba_lib.core.download import fetch
from viba_lib.data.planted_dataset import PlantedSettings, build_planted
from viba_lib.data.prepare import PreparationSettings, prepare_catalog
from viba_lib.data.source_videos import default_files
from viba_lib.evaluation.robustness import corrupt, levels
from viba_lib.models.detectors import Detector
from viba_lib.models.training import TrainingSettings, predict, train
from viba_lib.models.weights import load_weights, save_weights
from viba_lib.pipeline.explain import ExplainJob, explain_rows, save_maps
from viba_lib.pipeline.prepared_set import TABLES, PreparedSet
from viba_lib.pipeline.select import select

WEIGHTS = "weights.safetensors"
STATISTICS = "statistics.safetensors"
READOUT = "readout.safetensors"
AT_ONCE = 256  # frames whose inputs are in memory at the same time, a quarter of a GB


# ---- opening what stages have made -------------------------------------------------------------


def open_prepared(dataset: Path, prepared: Path, work: Work) -> PreparedSet:
    """Prepared clips from the folders of the data set (or a catalog file) and the preparation."""
    if dataset.is_dir():
        return PreparedSet(dataset / "catalog.parquet", dataset, prepared, work.progress)
    return PreparedSet(dataset, work.data_root, prepared, work.progress)


def open_detector(detector: Detector, trained: Path, device: str) -> nn.Module:
    """Trained network of a detector in evaluation mode, from its folder or its weights file."""
    model = detector.build()
    load_weights(model, trained / WEIGHTS if trained.is_dir() else trained)
    return place(model, device)


def place(model: nn.Module, device: str) -> nn.Module:
    """The model on a device, in evaluation mode and the fastest memory format."""
    return model.to(device).to(memory_format=torch.channels_last).eval()


def open_statistics(folder: Path) -> LayerStatistics:
    """Layer statistics that a stage has estimated."""
    return LayerStatistics.load(folder / STATISTICS)


def open_readout(
    model: nn.Module,
    layer: str,
    statistics: LayerStatistics,
    settings: Mapping[str, Any],
    precision: str,
    seed: int,
) -> ReadoutBottleneck:
    """Readout bottleneck, not fitted yet."""
    return ReadoutBottleneck(
        model, layer, settings["layers"], statistics, learning_rate=settings["learning_rate"],
        seed=seed, precision=precision,
    )  # fmt: skip


# ---- data --------------------------------------------------------------------------------------


def plant_dataset(
    folder: Path,
    work: Work,
    *,
    sources: str,
    sha256: Sequence[str],
    planted: Mapping[str, Any],
    seed: int,
) -> None:
    """The default data set: fetched videos with planted artefacts."""
    files = tuple(file for file in default_files(sources) if file.sha256 in sha256)
    work.progress("fetching source videos")
    fetch(files, work.data_root)
    work.progress("planting artefacts")
    build_planted(
        files, work.data_root, folder, PlantedSettings(**planted), seed, work.workers,
        work.scheduler, work.progress,
    )  # fmt: skip


def prepare(
    folder: Path, work: Work, *, dataset: Path, settings: Mapping[str, Any], seed: int
) -> None:
    """Key frames, face crops and flow fields of all videos."""
    work.progress("key frames, faces, crops and flow maps")
    opened = open_prepared(dataset, folder, work)
    done = prepare_catalog(
        opened.catalog, opened.root, folder, PreparationSettings(**settings), work.workers,
        work.scheduler, seed, work.progress,
    )  # fmt: skip
    for name in TABLES:
        getattr(done, name).to_parquet(folder / f"{name}.parquet")


# ---- detectors ---------------------------------------------------------------------------------


def store_weights(folder: Path, work: Work, *, detector: Detector) -> None:
    """Weights of a detector that comes trained."""
    save_weights(detector.build().cpu(), folder / WEIGHTS)


def train_detector(
    folder: Path,
    work: Work,
    *,
    dataset: Path,
    prepared: Path,
    detector: Detector,
    size: int,
    weights: str | None,
    methods: Sequence[str],
    training: Mapping[str, Any],
    planted: bool,
    seed: int,
) -> None:
    """Weights of a detector, with its learning curve."""
    assert detector.start is not None and detector.batches is not None
    clips, settings = open_prepared(dataset, prepared, work), TrainingSettings(**training)
    rows, held_out = clips.frames("train", methods), clips.frames("val", methods)
    batches = detector.batches(
        clips.store, rows, size, settings, list(methods) if planted else [], seed
    )
    # The process that makes batches can read clips, and not repair them.
    clips.store.check(rows.path.unique())
    work.progress(f"training {detector.name}: {len(batches)} batches")  # type: ignore[arg-type]
    torch.manual_seed(seed)
    model = detector.start(weights, work.data_root)
    validation = (clips.inputs(detector, held_out, size), held_out.label.to_numpy())
    history = train(
        model, batches, validation, settings, folder, work.device, seed,
        lambda line: work.progress(f"{detector.name}: {line}"),
    )  # fmt: skip
    save_weights(model.cpu(), folder / WEIGHTS)
    history.to_parquet(folder / "history.parquet")
    (folder / "source.json").write_text(json.dumps({"start": model.weights_source}))
    for leftover in ("checkpoint.pt", "best.pt"):
        (folder / leftover).unlink(missing_ok=True)


def predict_frames(
    folder: Path,
    work: Work,
    *,
    dataset: Path,
    prepared: Path,
    trained: Path,
    detector: Detector,
    size: int,
    methods: Sequence[str],
    precision: str,
) -> None:
    """Probability of fake of each frame of the validation and test splits, with `in_scope`."""
    clips = open_prepared(dataset, prepared, work)
    rows = clips.all_frames[clips.all_frames.split.isin(["val", "test"])].reset_index(drop=True)
    model = open_detector(detector, trained, work.device)
    parts = [rows.iloc[i : i + AT_ONCE] for i in range(0, len(rows), AT_ONCE)]

    def predicted(part: pd.DataFrame) -> dict[str, np.ndarray]:
        inputs = clips.inputs(detector, part, size)
        return {"p_fake": predict(model, inputs, work.device, precision)[:, 1]}

    found = map_checkpointed(
        folder / "pieces", parts, predicted, [len(p) for p in parts], work.progress,
        f"{detector.name}: decisions",
    )  # fmt: skip
    rows["p_fake"] = np.concatenate([arrays_of(piece)["p_fake"] for piece in found])
    known = list(methods) or list(rows.method.unique())
    rows["in_scope"] = (rows.label == 0) | rows.method.isin(known)
    shutil.rmtree(folder / "pieces")
    rows.to_parquet(folder / "predictions.parquet")


def predict_degraded(
    folder: Path,
    work: Work,
    *,
    dataset: Path,
    prepared: Path,
    trained: Path,
    detector: Detector,
    size: int,
    methods: Sequence[str],
    precision: str,
    frames_per_clip: int,
    clips: int | None,
) -> None:
    """Probability of fake of test frames that were degraded, see `evaluation.robustness`."""
    opened = open_prepared(dataset, prepared, work)
    rows = select(
        opened.frames("test", methods), balanced=clips is not None, videos=clips,
        per_video=frames_per_clip,
    ).sort_values(["video_id", "position"], ignore_index=True)  # fmt: skip
    model = open_detector(detector, trained, work.device)

    def predicted(how: tuple[str, float]) -> dict[str, np.ndarray]:
        inputs = opened.degraded(detector, rows, lambda image: corrupt(image, *how), size)
        return {"p_fake": predict(model, inputs, work.device, precision)[:, 1]}

    made = list(levels())
    found = map_checkpointed(
        folder / "pieces", made, predicted, [1] * len(made), work.progress,
        f"{detector.name}: ways to degrade {len(rows)} frames",
    )  # fmt: skip
    parts = [
        rows.assign(corruption=corruption, level=level, **arrays_of(piece))
        for (corruption, level), piece in zip(made, found, strict=True)
    ]
    shutil.rmtree(folder / "pieces")
    pd.concat(parts, ignore_index=True).to_parquet(folder / "robustness.parquet")


# ---- explanations ------------------------------------------------------------------------------


def estimate_statistics(
    folder: Path,
    work: Work,
    *,
    dataset: Path,
    prepared: Path,
    trained: Path,
    detector: Detector,
    size: int,
    methods: Sequence[str],
    layer: str,
    frames: int,
    seed: int,
) -> None:
    """Mean and standard deviation of a layer over frames of the training split."""
    clips = open_prepared(dataset, prepared, work)
    batches = clips.batches(detector, clips.sample(frames, seed, methods), size)
    model = open_detector(detector, trained, work.device)
    with warnings.catch_warnings():
        # The number of frames is in the provenance of a page; a warning would repeat there.
        warnings.simplefilter("ignore")
        found = LayerStatistics.estimate(model, layer, batches)
    found.save(folder / STATISTICS)


def explain_frames(
    folder: Path,
    work: Work,
    *,
    dataset: Path,
    prepared: Path,
    trained: Path,
    statistics: Path,
    detector: Detector,
    size: int,
    layer: str,
    rows: Sequence[tuple[str, int]],
    bottleneck: Mapping[str, Any],
    target: str,
    noise_draws: int,
) -> None:
    """Relevance maps of some frames, and the frames that have none."""
    clips = open_prepared(dataset, prepared, work)
    wanted = pd.DataFrame(rows, columns=["video_id", "position"])
    table = wanted.merge(clips.all_frames, on=["video_id", "position"], how="left")
    work.progress(f"explaining {len(table)} frames of {detector.name} at {layer}")
    job = ExplainJob.of(
        detector, trained / WEIGHTS, statistics / STATISTICS, layer, bottleneck, work.device,
        clips=prepared, size=size, target=target, noise_draws=noise_draws,
    )  # fmt: skip
    clips.store.check(table.path.unique())
    maps, problems = explain_rows(job, table, folder / "pieces", work)
    save_maps(maps, folder / "maps.zarr")
    problems.to_parquet(folder / "problems.parquet")
    shutil.rmtree(folder / "pieces")


def fit_readout(
    folder: Path,
    work: Work,
    *,
    dataset: Path,
    prepared: Path,
    trained: Path,
    statistics: Path,
    detector: Detector,
    size: int,
    methods: Sequence[str],
    layer: str,
    settings: Mapping[str, Any],
    precision: str,
    seed: int,
) -> None:
    """Readout bottleneck, fitted on the training split."""
    epochs = settings["epochs"]
    work.progress(f"fitting the readout bottleneck: {epochs} epochs")
    clips = open_prepared(dataset, prepared, work)
    rows = clips.sample(settings["frames"], seed, methods)
    readout = open_readout(
        open_detector(detector, trained, work.device), layer, open_statistics(statistics),
        settings, precision, seed,
    )  # fmt: skip
    losses = readout.fit(
        list(clips.batches(detector, rows, size)),
        epochs,
        lambda done, loss: work.progress(f"readout: epoch {done}/{epochs}  loss {loss:.3f}"),
        folder / "checkpoint.pt",
    )
    (folder / "checkpoint.pt").unlink(missing_ok=True)
    history = pd.DataFrame({"epoch": range(1, len(losses) + 1), "loss": losses})
    history.to_parquet(folder / "history.parquet")
    readout.save(folder / READOUT)
