"""Explain one video from start to end: the work behind `viba explain`."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from filelock import FileLock

from viba_lib.bottleneck import LayerStatistics
from viba_lib.bottleneck.split import find_layer
from viba_lib.core.cache import digest
from viba_lib.core.checkpoints import (
    arrays_of,
    map_checkpointed,
    read_checkpoint,
    write_checkpoint,
)
from viba_lib.core.code import code_key
from viba_lib.core.errors import VibaError
from viba_lib.core.files import file_sha256
from viba_lib.data.clip_store import PreparedClip
from viba_lib.data.video import VideoReader, write_video
from viba_lib.data.video_chunks import VideoChunks, spread_frames
from viba_lib.models.detectors import Detector
from viba_lib.models.weights import load_weights
from viba_lib.pipeline import compute
from viba_lib.pipeline.explain import ExplainJob, explain_inputs
from viba_lib.pipeline.study import Study
from viba_lib.visual.overlay import colours, painted, paste_back, poster, scale_maximum, with_scale

SAMPLED = 4_000_000  # pixels that the scale of a video's colours is found from
FILES = ("overlay.mp4", "relevance.zarr", "summary.json", "poster.png")


def check_folder(out: Path) -> None:
    """Refuse a file where a folder of results is expected."""
    if out.exists() and not out.is_dir():
        raise VibaError(f"{out} is a file; expected a folder for the results: name another")


def check_detector(detector: Detector, layer: str, weights: Path | None) -> torch.nn.Module:
    """The detector's network, with the given weights if any.

    It comes before anything that takes minutes, so that a wrong name is reported at once.

    Raises
    ------
    VibaError
        A layer that the network does not have, weights that do not fit.
    """
    model = detector.build()
    find_layer(model, layer)
    if weights is not None:
        load_weights(model, weights)
    return model


def layer_statistics(
    study: Study, detector: str, layer: str, weights: Path | None, folder: Path
) -> Path:
    """File of a layer's statistics over the profile's training frames, of given weights or its own.

    Parameters
    ----------
    folder : receives the statistics of given weights; a run that was stopped finds them there
    """
    stage = study.stages.statistics(study.registered(detector), layer)
    if weights is None:
        return study.get(stage) / compute.STATISTICS
    path = folder / compute.STATISTICS
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        given: dict[str, Any] = dict(stage.inputs)
        given |= {"dataset": study.dataset, "prepared": study.preparation_folder}
        given |= {"trained": weights, **stage.settings}
        compute.estimate_statistics(folder, study.work, **given)
    return path


def explain_video(
    video: Path,
    out: Path,
    study: Study,
    detector: str = "xception",
    weights: Path | None = None,
    layer: str | None = None,
    max_frames: int = 24,
    settings: dict[str, Any] | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Explain a video and write `overlay.mp4`, `relevance.zarr`, `summary.json`, `poster.png`.

    Parameters
    ----------
    out : folder of the four files; each appears complete or not at all
    detector : name, or `module:function` of a detector of one's own
    weights : of the detector; None = those that the study's profile trains
    layer : injection layer; None = the detector's default
    settings : changes to the profile's bottleneck settings

    Returns
    -------
    The content of `summary.json`.

    Raises
    ------
    VibaError
        Unknown detector or layer, weights that do not fit, a video without frames or faces.
    """
    layer = layer or study.layer(detector)
    check_folder(out)
    check_detector(study.registered(detector), layer, weights)
    with VideoReader(video) as reader:
        indices = spread_frames(reader, max_frames)
        prepared = study.profile.preparation
        with _working(study, reader, indices.tolist(), prepared.model_dump()) as folder:
            clips = VideoChunks.prepare(folder / "clips", reader, indices, prepared, progress)
            progress(f"{len(clips.frames)} of {reader.length} frames have a face and are explained")
            job = _job(study, detector, layer, weights, settings or {}, folder, progress)
            numbers = _explain_chunks(job, clips, folder / job.digest, progress)
            summary = _summary(reader, clips.frames, job, study.profile.name, numbers)
            maps = _Maps(folder / job.digest / "maps", len(clips))
            _write(out, reader, clips, maps, numbers["p_fake"], summary)
            shutil.rmtree(folder)
    return summary


def _job(
    study: Study,
    detector: str,
    layer: str,
    weights: Path | None,
    settings: Mapping[str, Any],
    folder: Path,
    progress: Callable[[str], None],
) -> ExplainJob:
    if weights is None:
        progress(f"detector: {detector} of the profile {study.profile.name}, trained if need be")
    own = folder / digest(file_sha256(weights)) if weights else folder
    return ExplainJob.of(
        study.registered(detector),
        weights or study.weights_path(detector),
        layer_statistics(study, detector, layer, weights, own),
        layer,
        study.stages.bottleneck(**settings),
        study.device,
        size=study.settings(detector).size,
        target="predicted",
        noise_draws=study.profile.evaluation.noise_draws,
    )


def _summary(
    video: VideoReader,
    frames: Sequence[int],
    job: ExplainJob,
    profile: str,
    numbers: Mapping[str, np.ndarray],
) -> dict[str, Any]:
    """The content of `summary.json`, from what is one number a frame."""
    return {
        "video": video.path.name,
        "frames": video.length,
        "explained_frames": list(frames),
        "detector": job.detector.name,
        "weights_sha256": file_sha256(job.weights),
        "statistics_frames": LayerStatistics.load(job.statistics).count,
        "layer": job.layer,
        "bottleneck": dict(job.bottleneck),
        "profile": profile,
        "p_fake_mean": float(numbers["p_fake"].mean()),
        "p_fake": [round(float(p), 4) for p in numbers["p_fake"]],
        "p_fake_with_bottleneck": [round(float(p), 4) for p in numbers["p_fake_bottleneck"]],
        "bits_per_frame": [round(float(b), 2) for b in numbers["bits"]],
        "note": "A map shows what this detector used; it does not prove that a video is fake.",
    }


@contextmanager
def _working(
    study: Study, video: VideoReader, frames: Sequence[int], settings: Mapping[str, Any]
) -> Iterator[Path]:
    """A folder below the results for what a run that is stopped leaves to the next one."""
    key = [video.sha256, frames, settings, code_key(VideoChunks)]
    folder = study.root / "explained" / digest(key)
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        folder.mkdir(exist_ok=True)
        yield folder


class _Maps:
    """Maps of a video on disk, piece by piece."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder, self.count = folder, count

    def __iter__(self) -> Iterator[np.ndarray]:
        for number in range(self.count):
            found = read_checkpoint(self.folder, number)
            if found is None:
                raise VibaError(
                    f"maps {number} in {self.folder} are broken; remove that folder and run again"
                )
            yield found["maps"]

    def top(self) -> float:
        """Relevance at full colour: the 99.5th percentile, of every n-th pixel of a long film."""
        total = sum(maps.size for maps in self)
        step = -(-total // SAMPLED)
        values = np.concatenate([maps.ravel()[::step] for maps in self])
        return scale_maximum(values)


def _explain_chunks(
    job: ExplainJob, clips: VideoChunks, folder: Path, progress: Callable[[str], None]
) -> dict[str, np.ndarray]:
    """Explain a video part by part; maps stay on disk, numbers (T,) of its frames are returned."""
    found = map_checkpointed(
        folder, range(len(clips)), partial(_explained, job, clips, folder / "maps"),
        clips.sizes(), progress, "frames explained",
    )  # fmt: skip
    return {
        name: np.concatenate([arrays_of(part)[name] for part in found])
        for name in ("p_fake", "p_fake_bottleneck", "bits")
    }


def _explained(
    job: ExplainJob, clips: VideoChunks, folder: Path, number: int
) -> dict[str, np.ndarray]:
    """Numbers of one part of a video; its maps go to `folder` and are read to be painted."""
    found = explain_inputs(job, job.detector.inputs(clips[number], None, job.size))
    write_checkpoint(folder, number, {"maps": found["relevance"]})
    return {
        "p_fake": found["p_fake"],
        "p_fake_bottleneck": found["p_fake_draws"].mean(1),
        "bits": found["relevance"].sum((1, 2)),
    }


def film_rate(video: VideoReader, frames: Sequence[int]) -> float:
    """Frames per second of a film of the explained frames.

    They are spread over the video: fewer per second keep its length.
    """
    return min(12.0, max(2.0, video.rate * len(frames) / max(1, frames[-1] + 1)))


@contextmanager
def written_aside(out: Path, names: Sequence[str]) -> Iterator[Path]:
    """A folder aside; the files and folders `names` written there move to `out` at the end.

    An error before the end leaves `out` as it was.
    """
    out.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=out, prefix=".part-"))
    try:
        yield aside
        for name in names:
            if (out / name).is_dir():
                shutil.rmtree(out / name)
            os.replace(aside / name, out / name)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _write(
    out: Path,
    video: VideoReader,
    clips: VideoChunks,
    maps: _Maps,
    p_fake: np.ndarray,
    summary: dict[str, Any],
) -> None:
    """Write the four files into a folder aside, then move them to their place."""
    best = clips.frames[int(np.argmax(p_fake))]
    first = next(video.frames(clips.frames[:1]))
    shape = (first.shape[0], first.shape[1])
    top = maps.top()

    def pasted() -> Iterator[np.ndarray]:
        for number, piece in enumerate(maps):
            for square, values in zip(clips[number].squares, piece, strict=True):
                yield paste_back(shape, square, values)

    with written_aside(out, FILES) as aside:
        film = painted(video.frames(clips.frames), pasted(), top, p_fake)
        write_video(aside / "overlay.mp4", film, film_rate(video, clips.frames), crf=23)
        number = clips.frames.index(best)
        shown = next(video.frames([best]))
        values = next(islice(pasted(), number, None))
        # One frame has a scale of its own: on that of the film it may be all dark.
        own = max(float(values.max()), 1e-9)
        poster(aside / "poster.png", with_scale(colours(shown, values, own), own))
        start = 0
        for number, piece in enumerate(maps):
            part = _labelled(piece, p_fake[start : start + len(piece)], clips[number], summary)
            start += len(piece)
            more: dict[str, Any] = {"append_dim": "frame"} if number else {"mode": "w"}
            part.to_zarr(aside / "relevance.zarr", consolidated=False, **more)
        (aside / "summary.json").write_text(json.dumps(summary, indent=1), encoding="utf-8")


def _labelled(
    maps: np.ndarray, p_fake: np.ndarray, clip: PreparedClip, summary: dict[str, Any]
) -> xr.Dataset:
    """Maps of a piece with labelled dimensions, as they are stored."""
    return xr.Dataset(
        {
            "relevance": (("frame", "y", "x"), maps, {"units": "bits per pixel"}),
            "p_fake": ("frame", p_fake),
            "square": (
                ("frame", "value"),
                clip.squares,
                {"units": "pixels of the frame", "value": "centre x, centre y, side"},
            ),
        },
        coords={"frame": clip.frame},
        attrs={k: v for k, v in summary.items() if isinstance(v, str)},
    )
