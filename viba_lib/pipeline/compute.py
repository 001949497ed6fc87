"""What each stage computes: functions that fill a folder from their declared inputs and settings.

They see no study and no profile, so that nothing can change a result without changing its key; see
`viba_lib.core.cache.Stage`. Stages of a detector receive the fields of `Run`. Which settings they
are given is said in `viba_lib.pipeline.stages`.
"""

import json
import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from viba_lib.bottleneck import LayerStatistics, ReadoutBottleneck
from viba_lib.bottleneck.split import SplitModel
from viba_lib.bottleneck.statistics import channel_means
from viba_lib.core.cache import Work
from viba_lib.core.checkpoints import map_checkpointed
from viba_lib.core.download import fetch
from viba_lib.data.catalog import segment
from viba_lib.data.clip_store import KEPT_FOR_TRAINING, ClipStore
from viba_lib.data.planted_dataset import PlantedSettings, build_planted
from viba_lib.data.prepare import PreparationSettings, prepare_catalog
from viba_lib.data.source_videos import default_files
from viba_lib.data.video import VideoReader
from viba_lib.evaluation.calibration import Calibration
from viba_lib.evaluation.domain import Domain, frame_facts
from viba_lib.evaluation.robustness import ORDINARY, corrupt, levels
from viba_lib.models.detectors import Detector
from viba_lib.models.training import TrainingSettings, predict, train
from viba_lib.models.weights import save_weights
from viba_lib.pipeline.explain import MAPS, explain_rows, save_maps
from viba_lib.pipeline.prepared_set import TABLES, PreparedSet
from viba_lib.pipeline.run import WEIGHTS, Run, statistics_file
from viba_lib.pipeline.select import select

READOUT = "readout.safetensors"
DOMAIN = "domain.npz"
CALIBRATED = 2  # frames of a validation video
AT_ONCE = 256  # frames whose inputs are in memory at the same time, a quarter of a GB


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
    build_planted(files, folder, PlantedSettings(**planted), seed, work)


def prepare(
    folder: Path, work: Work, *, dataset: Path, settings: Mapping[str, Any], seed: int
) -> None:
    """Key frames, face crops and flow fields of all videos."""
    work.progress("key frames, faces, crops and flow maps")
    opened = PreparedSet(dataset, folder)
    given = PreparationSettings(**settings)
    done = prepare_catalog(opened.catalog, opened.root, folder, given, seed, work)
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
    weights: str | Path | None,
    training: Mapping[str, Any],
    planted: bool,
    **given: Any,
) -> None:
    """Weights of a detector, with its learning curve."""
    run, settings = Run(work=work, **given), TrainingSettings(**training)
    detector, seed = run.detector, run.seed
    assert detector.start is not None and detector.batches is not None
    rows, held_out = run.frames("train"), run.frames("val")
    methods = list(run.methods) if planted else []
    store = ClipStore(run.clips.folder, KEPT_FOR_TRAINING)
    batches = detector.batches(store, rows, detector.size, settings, methods, seed)
    work.progress(f"training {detector.name}: {len(batches)} batches")  # type: ignore[arg-type]
    torch.manual_seed(seed)
    model = detector.start(None if weights is None else str(weights), work.data_root)
    history = train(
        model, batches, (run.inputs(held_out), held_out.label.to_numpy()), settings, folder,
        work.device, seed, lambda line: work.progress(f"{detector.name}: {line}"),
    )  # fmt: skip
    about = {"start": model.weights_source, "precision": history.attrs["precision"]}
    if settings.calibrate:
        found = _calibrated(model, run, held_out, history.attrs["precision"], settings.alarm_cost)
        about["calibration"] = asdict(found)
    save_weights(model.cpu(), folder / WEIGHTS)
    history.to_parquet(folder / "history.parquet")
    (folder / "source.json").write_text(json.dumps(about))
    (folder / "checkpoint.pt").unlink(missing_ok=True)


def _calibrated(
    model: nn.Module, run: Run, rows: pd.DataFrame, precision: str, alarm_cost: float
) -> Calibration:
    """Calibrate a network in place on validation frames, as they are and degraded."""
    rows = rows.groupby("video_id").head(CALIBRATED).sort_values(["video_id", "position"])
    run.work.progress(f"{run.detector.name}: calibration on {len(ORDINARY)} x {len(rows)} frames")
    margins = []
    for corruption, level in ORDINARY:
        change = partial(corrupt, corruption=corruption, level=level)
        inputs = run.clips.inputs(run.detector, rows, change)
        p = predict(model, inputs, run.work.device, precision).astype(float)
        margins.append(np.log(np.maximum(p[:, 1], 1e-9)) - np.log(np.maximum(p[:, 0], 1e-9)))
    labels, people = (np.tile(rows[name], len(ORDINARY)) for name in ("label", "identity"))
    found = Calibration.fit(np.concatenate(margins), labels, people, alarm_cost)
    found.fold(model)
    return found


def predict_frames(folder: Path, work: Work, **given: Any) -> None:
    """Probability of fake of each frame of the validation and test splits, with `in_scope`."""
    run = Run(work=work, **given)
    rows = run.clips.all_frames
    rows = rows[rows.split.isin(["val", "test"])].reset_index(drop=True)
    run.needed(rows, "val or test")
    parts = [rows.iloc[i : i + AT_ONCE] for i in range(0, len(rows), AT_ONCE)]
    found = _p_fake(run, folder, parts, run.inputs, list(map(len, parts)), "decisions")
    known = list(run.methods) or list(rows.method.unique())
    in_scope = (rows.label == 0) | rows.method.isin(known)
    rows = rows.assign(p_fake=np.concatenate(found), in_scope=in_scope)
    rows.to_parquet(folder / "predictions.parquet")


def predict_degraded(
    folder: Path, work: Work, *, frames_per_clip: int, clips: int | None, **given: Any
) -> None:
    """Probability of fake of test frames that were degraded, see `evaluation.robustness`."""
    run = Run(work=work, **given)
    rows = select(
        run.frames("test"), order="person", balanced=clips is not None, videos=clips,
        per_video=frames_per_clip,
    ).sort_values(["video_id", "position"], ignore_index=True)  # fmt: skip

    def inputs(how: tuple[str, float]) -> torch.Tensor:
        return run.clips.inputs(run.detector, rows, lambda image: corrupt(image, *how))

    hows = list(levels())
    title = f"ways to degrade {len(rows)} frames"
    found = _p_fake(run, folder, hows, inputs, [1] * len(hows), title)
    tables = [
        rows.assign(corruption=corruption, level=level, p_fake=p_fake)
        for (corruption, level), p_fake in zip(hows, found, strict=True)
    ]
    pd.concat(tables, ignore_index=True).to_parquet(folder / "robustness.parquet")


def _p_fake(
    run: Run,
    folder: Path,
    items: Sequence[Any],
    inputs: Callable[[Any], torch.Tensor],
    sizes: Sequence[int],
    title: str,
) -> list[np.ndarray]:
    """Probability of fake (T,) of the inputs of each item, resumable."""

    def predicted(item: Any) -> dict[str, np.ndarray]:
        return {"p_fake": run.probabilities(inputs(item))[:, 1]}

    pieces, title = folder / "pieces", f"{run.detector.name}: {title}"
    results = map_checkpointed(pieces, items, predicted, sizes, run.work.progress, title)
    found = [arrays["p_fake"] for arrays in results]
    shutil.rmtree(pieces)
    return found


# ---- explanations ------------------------------------------------------------------------------


def estimate_statistics(
    folder: Path, work: Work, *, frames: int, layers: Sequence[str], **given: Any
) -> None:
    """Mean and standard deviation of layers over frames of the training split, a file for each."""
    run = Run(work=work, **given)
    batches = run.clips.batches(run.detector, run.sample(frames))
    with warnings.catch_warnings():
        # The number of frames is in the provenance of a page; a warning would repeat there.
        warnings.simplefilter("ignore")
        found = LayerStatistics.estimate_all(run.model, layers, batches)
    for layer, statistics in found.items():
        statistics.save(folder / statistics_file(layer))


def calibrate_domain(folder: Path, work: Work, *, frames: int, **given: Any) -> None:
    """Ranges of measures over frames of the training and validation splits, see `Domain`."""
    run = Run(work=work, **given)
    held_out = run.clips.frames("val", run.methods)
    held_out = held_out.sample(min(frames, len(held_out)), random_state=run.seed)
    rows = pd.concat([run.sample(frames), held_out]).sort_values(["path", "position"])
    work.progress(f"{run.detector.name} at {run.layer}: training domain from {len(rows)} frames")
    split = SplitModel(run.model, run.layer)
    batches = run.clips.batches(run.detector, rows)
    features = torch.cat([channel_means(split, batch) for batch in batches]).numpy()
    facts, catalog = list[pd.DataFrame](), run.clips.catalog.set_index("video_id")
    for path, part in rows.groupby("path"):
        clip, at = run.clips.store[path], part.position.to_numpy()
        with VideoReader(*segment(catalog.loc[part.video_id.iloc[0]], run.clips.root)) as video:
            images = video.frames(clip.frame[at], "gray")
            pairs = clip.pairs[at, 0] if run.detector.temporal else None
            facts.append(pd.DataFrame(frame_facts(clip.faces[at], clip.squares[at], images, pairs)))
    people = rows.dataset + " " + rows.identity.where(rows.identity != "", rows.video_id)
    Domain.calibrate(
        features,
        {name: values.to_numpy() for name, values in pd.concat(facts).items()},
        people.to_numpy(str), (rows.split == "val").to_numpy(),
    ).save(folder / DOMAIN)  # fmt: skip


def explain_frames(
    folder: Path,
    work: Work,
    *,
    rows: Sequence[tuple[str, int]],
    bottleneck: Mapping[str, Any],
    target: str,
    noise_draws: int,
    **given: Any,
) -> None:
    """Relevance maps of some frames, and the frames that have none."""
    run = Run(work=work, **given)
    table = run.clips.rows(rows)
    work.progress(f"explaining {len(table)} frames of {run.detector.name} at {run.layer}")
    job = run.job(bottleneck=bottleneck, target=target, noise_draws=noise_draws)
    for path in table.path.unique():
        run.clips.store[path]  # a damaged clip is an error, and not a video without a map
    maps, problems = explain_rows(job, table, folder / "pieces", work)
    save_maps(maps, folder / MAPS)
    problems.to_parquet(folder / "problems.parquet")
    shutil.rmtree(folder / "pieces")


def open_readout(
    model: nn.Module, statistics: LayerStatistics, settings: Mapping[str, Any], **options: Any
) -> ReadoutBottleneck:
    """Readout bottleneck at the layer of the statistics, not fitted yet."""
    return ReadoutBottleneck(
        model, statistics.layer, settings["layers"], statistics,
        learning_rate=settings["learning_rate"], **options,
    )  # fmt: skip


def fit_readout(folder: Path, work: Work, *, settings: Mapping[str, Any], **given: Any) -> None:
    """Readout bottleneck, fitted on the training split."""
    run, epochs = Run(work=work, **given), settings["epochs"]
    work.progress(f"fitting the readout bottleneck: {epochs} epochs")
    readout = open_readout(
        run.model, run.layer_statistics, settings, seed=run.seed, precision=run.precision
    )
    losses = readout.fit(
        list(run.clips.batches(run.detector, run.sample(settings["frames"]))),
        epochs,
        lambda done, loss: work.progress(f"readout: epoch {done}/{epochs}  loss {loss:.3f}"),
        folder / "checkpoint.pt",
    )
    (folder / "checkpoint.pt").unlink(missing_ok=True)
    history = pd.DataFrame({"epoch": range(1, len(losses) + 1), "loss": losses})
    history.to_parquet(folder / "history.parquet")
    readout.save(folder / READOUT)
