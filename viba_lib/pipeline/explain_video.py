"""Explain one video from start to end: the work behind `viba explain`."""

import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr
from filelock import FileLock
from zarr.storage import LocalStore

from viba_lib.bottleneck import LayerStatistics
from viba_lib.bottleneck.split import find_layer
from viba_lib.core.cache import External, Stage, digest
from viba_lib.core.checkpoints import Arrays, Results, map_checkpointed
from viba_lib.core.code import code_key
from viba_lib.core.errors import VibaError
from viba_lib.core.files import check_output, file_sha256
from viba_lib.core.prefetch import prefetched
from viba_lib.core.progress import Progress
from viba_lib.data.clip_store import PreparedClip
from viba_lib.data.video import VideoReader, write_video
from viba_lib.data.video_chunks import VideoChunks, spread_frames
from viba_lib.evaluation.domain import OUTSIDE, TEXTURE, Domain, frame_facts, outside_text
from viba_lib.models.detectors import Detector
from viba_lib.pipeline.compute import DOMAIN
from viba_lib.pipeline.explain import ExplainJob, explain_inputs
from viba_lib.pipeline.run import Run
from viba_lib.pipeline.study import Study
from viba_lib.visual.overlay import (
    colours,
    painted,
    paste_back,
    poster,
    scale_maximum,
    with_note,
    with_scale,
)

FILES = ("overlay.mp4", "relevance.zarr", "summary.json", "poster.png")
SAMPLED = 4_000_000  # pixels that the scale of a video's colours is found from


def check_given(
    video: Path, out: Path, files: Sequence[str], detector: Detector, layer: str,
    weights: Path | None,
) -> torch.nn.Module:  # fmt: skip
    """The detector's network, with the given weights if any.

    It comes before anything that takes minutes, so that a wrong name is reported at once.

    Parameters
    ----------
    files : names of the results in the folder `out`

    Raises
    ------
    VibaError
        A file where a folder for the results is expected, a result that would replace the video or
        the weights, a layer that the network does not have, weights that do not fit.
    """
    if out.exists() and not out.is_dir():
        raise VibaError(f"{out} is a file; expected a folder for the results: name another")
    for name in files:
        check_output(out / name, video, *([weights] if weights else []))
    model = detector.open(weights)
    find_layer(model, layer)
    return model


def with_weights(stage: Stage, weights: Path | None) -> Stage:
    """A stage of a detector, with given weights instead of the trained ones if there are any."""
    if weights is None:
        return stage
    own = {"trained": External(weights, file_sha256(weights))}
    return replace(stage, inputs={**stage.inputs, **own})


def open_run(study: Study, detector: str, layer: str, weights: Path | None) -> Run:
    """A detector at a layer, with given weights or those that the study's profile trains.

    The layer's statistics under given weights are a stage as well: they are estimated once.
    """
    registered = study.registered(detector)
    statistics = with_weights(study.stages.statistics(registered, layer), weights)
    return Run(
        work=study.work, dataset=study.dataset, prepared=study.prepared.folder,
        detector=registered, trained=weights or study.weights_path(detector), layer=layer,
        statistics=study.get(statistics),
    )  # fmt: skip


def open_domain(study: Study, detector: str, layer: str, weights: Path | None) -> Domain:
    """The training domain of a detector; its features are those of the given weights, if any."""
    stage = with_weights(study.stages.domain(study.registered(detector), layer), weights)
    return Domain.load(study.get(stage) / DOMAIN)


def explain_video(
    video: Path,
    out: Path,
    study: Study,
    detector: str = "xception",
    weights: Path | None = None,
    layer: str | None = None,
    max_frames: int = 24,
    settings: dict[str, Any] | None = None,
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
    check_given(video, out, FILES, study.registered(detector), layer, weights)
    prepared, progress = study.profile.preparation, study.progress
    with VideoReader(video) as reader:
        indices = spread_frames(reader, max_frames)
        # A run that is stopped leaves finished work here for the next one.
        key = [reader.sha256, indices.tolist(), prepared.model_dump(), code_key(VideoChunks)]
        folder = study.root / "explained" / digest(key)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            clips = VideoChunks.prepare(folder / "clips", reader, indices, prepared, progress)
            report_frames(reader, len(clips.frames), progress)
            if weights is None:
                progress(f"detector: {detector} of the profile {study.profile.name}")
            domain = open_domain(study, detector, layer, weights)
            job = open_run(study, detector, layer, weights).job(
                bottleneck=study.stages.bottleneck(study.registered(detector), **(settings or {})),
                noise_draws=study.profile.evaluation.noise_draws,
            )

            def explained(number: int) -> Arrays:
                inputs = job.detector.inputs(clips[number], None, job.detector.size)
                return explain_inputs(job, inputs)

            results = map_checkpointed(
                folder / job.digest, range(len(clips)), explained, clips.sizes(), progress,
                "frames explained",
            )  # fmt: skip
            numbers = pd.concat([_numbers(part) for part in results], ignore_index=True)
            summary = _summary(reader, clips.frames, job, study.profile.name, numbers)
            parts = (clips[number] for number in range(len(clips)))
            features = np.concatenate([part["features"] for part in results])
            summary["domain"] = compare_with(domain, features, parts, reader)
            _write(out, reader, clips, results, numbers.p_fake.to_numpy(), summary)
            shutil.rmtree(folder)
    return summary


def report_frames(video: VideoReader, explained: int, progress: Progress) -> None:
    """Say how many frames of a video are explained, and whether it is damaged."""
    progress(f"{explained} of {video.length} frames have a face and are explained")
    if video.damage:
        progress(f"{video.path}: {video.damage}")


def compare_with(
    domain: Domain, features: np.ndarray, clips: Iterable[PreparedClip], video: VideoReader
) -> dict[str, Any]:
    """Whether the frames of a video are inside the training domain, see `Domain.compare`.

    Parameters
    ----------
    features : (T, C) means of the channels at the layer of the domain
    clips : the video in chunks
    """
    facts = []
    for clip in clips:
        pairs = clip.pairs[:, 0] if TEXTURE in domain.ranges else None
        images = video.frames(clip.frame, "gray")
        facts.append(frame_facts(clip.faces, clip.squares, images, pairs))
    joined = {name: np.concatenate([part[name] for part in facts]) for name in facts[0]}
    return domain.compare(features, joined)


def domain_note(summary: Mapping[str, Any]) -> str:
    """The warning beside a probability in images; "" if the video is inside."""
    return "" if summary["domain"]["inside"] else OUTSIDE


def prediction_text(summary: Mapping[str, Any]) -> str:
    """The mean probability of a summary, and what is outside the training domain."""
    mean, count = summary["p_fake_mean"], len(summary["p_fake"])
    notes = [f"p(fake) {mean:.3f} (mean of {count} frames)", outside_text(summary["domain"])]
    return ", ".join(filter(None, notes))


def changed_text(summary: Mapping[str, Any]) -> str:
    """Warning about frames whose decision the bottleneck changes; "" if there are none.

    The map of such a frame lacks a part of the evidence that the decision needs.
    """
    changed, beta = summary["decisions_changed"], summary["bottleneck"]["beta"]
    if not changed:
        return ""
    text = (
        f"the bottleneck changes the decision of {changed} of {len(summary['p_fake'])} frames: "
        "their maps lack evidence that the decision needs"
    )
    return text + (f"; try a lower cost of information, --beta {beta / 3:.2g}" if beta else "")


def _numbers(part: Arrays) -> pd.DataFrame:
    """What is one number a frame, as `summary.json` names it."""
    return pd.DataFrame(
        {
            "p_fake": part["p_fake"],
            "p_fake_with_bottleneck": part["p_fake_draws"].mean(1),
            "bits_per_frame": part["relevance"].sum((1, 2)),
        },
        dtype=float,
    )


def _summary(
    video: VideoReader, frames: Sequence[int], job: ExplainJob, profile: str, numbers: pd.DataFrame
) -> dict[str, Any]:
    """The content of `summary.json`."""
    decided = numbers.p_fake > 0.5
    return {
        "video": video.path.name,
        "frames": video.length,
        "damage": video.damage,
        "explained_frames": list(frames),
        "detector": job.detector.name,
        "weights_sha256": file_sha256(job.weights),
        "statistics_frames": LayerStatistics.load(job.statistics).count,
        "layer": job.layer,
        "bottleneck": dict(job.bottleneck),
        "profile": profile,
        "p_fake_mean": numbers.p_fake.mean(),
        **numbers.round({"bits_per_frame": 2}).round(4).to_dict("list"),
        "decisions_changed": int(((numbers.p_fake_with_bottleneck > 0.5) != decided).sum()),
        "note": "A map shows what this detector used; it does not prove that a video is fake.",
    }


def output_rate(video: VideoReader, frames: Sequence[int]) -> float:
    """Frames per second of a video of the explained frames.

    They are spread over the video: fewer per second keep its length.
    """
    return min(12.0, max(2.0, video.rate * len(frames) / max(1, frames[-1] + 1)))


@contextmanager
def written_aside(out: Path) -> Iterator[Path]:
    """A temporary folder, whose files and folders move to `out` at the end.

    An error before the end leaves `out` as it was.
    """
    out.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=out, prefix=".part-"))
    try:
        yield aside
        for path in list(aside.iterdir()):
            if (out / path.name).is_dir():
                shutil.rmtree(out / path.name)
            path.replace(out / path.name)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _write(
    out: Path,
    video: VideoReader,
    clips: VideoChunks,
    results: Results,
    p_fake: np.ndarray,
    summary: dict[str, Any],
) -> None:
    """Write the four files into a temporary folder, then move them to `out`."""
    numbers, best = clips.frames, int(np.argmax(p_fake))
    note = domain_note(summary)
    # The scale is found from every n-th pixel of a long video.
    step = -(-len(p_fake) * results[0]["relevance"][0].size // SAMPLED)
    top = scale_maximum(np.concatenate([p["relevance"].ravel()[::step] for p in results]))

    def pasted() -> Iterator[np.ndarray]:
        for number, part in enumerate(results):
            for square, values in zip(clips[number].squares, part["relevance"], strict=True):
                yield paste_back(video.shape, square, values)

    with written_aside(out) as aside:
        pictures = painted(video.frames(numbers), pasted(), top, p_fake, note)
        with closing(prefetched(pictures)) as coming:
            write_video(aside / "overlay.mp4", coming, output_rate(video, numbers), crf=23)
        values = next(islice(pasted(), best, None))
        # One frame has a scale of its own: on that of the video it may be all dark.
        own = scale_maximum(values, 1.0)
        shown = colours(next(video.frames([numbers[best]])), values, own)
        still = with_scale(shown, own)
        poster(aside / "poster.png", with_note(still, p_fake[best], note))
        for number, part in enumerate(results):
            more: dict[str, Any] = {"append_dim": "frame"} if number else {"mode": "w"}
            labelled = _labelled(part, clips[number], summary)
            # A store, since xarray takes a path with "::" for an address.
            labelled.to_zarr(LocalStore(aside / "relevance.zarr"), consolidated=False, **more)
        (aside / "summary.json").write_text(json.dumps(summary, indent=1), encoding="utf-8")


def _labelled(part: Arrays, clip: PreparedClip, summary: Mapping[str, Any]) -> xr.Dataset:
    """Maps of a part of a video with labelled dimensions, as they are stored."""
    units = {"units": "pixels of the frame", "value": "centre x, centre y, side"}
    return xr.Dataset(
        {
            "relevance": (("frame", "y", "x"), part["relevance"], {"units": "bits per pixel"}),
            "p_fake": ("frame", part["p_fake"]),
            "square": (("frame", "value"), clip.squares, units),
        },
        coords={"frame": clip.frame},
        attrs={name: text for name, text in summary.items() if isinstance(text, str)},
    )
