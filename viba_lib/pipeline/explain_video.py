"""Explain one video from start to end: the work behind `viba explain`."""

import json
import os
import shutil
import tempfile
import warnings
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

from viba_lib.bottleneck import LayerStatistics, PerSampleBottleneck
from viba_lib.bottleneck.split import find_layer
from viba_lib.core.cache import code_hash, digest
from viba_lib.core.checkpoints import arrays_of, map_checkpointed, read_checkpoint, write_checkpoint
from viba_lib.core.errors import VibaError
from viba_lib.core.files import file_sha256
from viba_lib.data.clip_store import PreparedClip
from viba_lib.data.flow import flow_to_input
from viba_lib.data.video import VideoReader, write_video
from viba_lib.data.video_chunks import VideoChunks, spread_frames
from viba_lib.models import flow_vgg11, load_weights, xception
from viba_lib.models.xception import face_tensor
from viba_lib.pipeline.study import Study
from viba_lib.visual.overlay import colours, painted, paste_back, poster, with_scale

SAMPLED = 4_000_000  # pixels that the scale of a film's colours is found from
FILES = ("overlay.mp4", "relevance.zarr", "summary.json", "poster.png")


def clip_inputs(study: Study, detector: str, clip: PreparedClip) -> torch.Tensor:
    """Detector inputs (T, 3, S, S) of a prepared clip."""
    if detector == "xception":
        return face_tensor(clip.faces, study.profile.xception.size)
    flows = [study.scaled_flow(flow) for flow in clip.flow]
    return torch.stack([torch.from_numpy(flow_to_input(f)) for f in flows])


def check_folder(out: Path) -> None:
    """Refuse a file where a folder of results is expected."""
    if out.exists() and not out.is_dir():
        raise VibaError(f"{out} is a file; expected a folder for the results: name another")


def named_detector(
    study: Study, detector: str, layer: str, weights: Path | None
) -> torch.nn.Module:
    """The detector's network, with the named weights if any; refuses a layer it does not have.

    Comes before anything that takes minutes, so that a wrong name is told at once.

    Raises
    ------
    VibaError
        Unknown detector or layer, weights that do not fit.
    """
    study.settings(detector)
    model = xception(None) if detector == "xception" else flow_vgg11(None)
    find_layer(model, layer)
    if weights is not None:
        load_weights(model, weights)
    return model.to(study.device).to(memory_format=torch.channels_last).eval()


def own_statistics(
    study: Study, detector: str, model: torch.nn.Module, layer: str
) -> LayerStatistics:
    """Statistics of a layer of the user's own detector, over the profile's training frames."""
    rows = study.frames("train", detector)
    rows = rows.sample(
        min(len(rows), study.profile.evaluation.statistics_frames), random_state=study.seed
    )
    batches = (study.inputs(detector, rows.iloc[i : i + 16]) for i in range(0, len(rows), 16))
    with warnings.catch_warnings():
        # Few frames are said to be few in the summary.
        warnings.simplefilter("ignore")
        return LayerStatistics.estimate(model, layer, batches)


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
    out : folder of the four files; each appears whole or not at all
    weights : of the detector; None = those that the study's profile trains
    layer : injection layer; None = the paper's
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
    model = named_detector(study, detector, layer, weights)
    with VideoReader(video) as reader:
        indices = spread_frames(reader, max_frames)
        chosen = study.profile.bottleneck.model_dump() | {"seed": study.seed} | (settings or {})
        prepared = study.profile.preparation
        key = {
            "video": reader.sha256,
            "frames": indices.tolist(),
            "settings": prepared.model_dump(),
            "code": code_hash(
                "data.prepare", "data.tracking", "data.faces", "data.flow", "data.video"
            ),
        }
        with _working(study, key) as folder:
            clips = VideoChunks.prepare(folder / "clips", reader, indices, prepared, progress)
            progress(f"{len(clips.frames)} of {reader.length} frames have a face and are explained")
            if weights is None:
                name = study.profile.name
                progress(f"detector: {detector} of the profile {name}, trained if need be")
                weights = study.weights_path(detector)
                model, statistics = study.detector(detector), study.statistics(detector, layer)
            else:
                statistics = own_statistics(study, detector, model, layer)
            facts = {
                "detector": detector,
                "weights_sha256": file_sha256(weights),
                "statistics_frames": statistics.count,
                "layer": layer,
                "bottleneck": chosen,
                "profile": study.profile.name,
            }
            bottleneck = PerSampleBottleneck(model, layer, statistics, **chosen)
            how = digest([facts, study.profile.model_dump(), study.seed, code_hash("bottleneck")])
            found = map_checkpointed(
                folder / how, range(len(clips)),
                partial(_explained, study, bottleneck, detector, clips, folder / how / "maps"),
                clips.sizes(), progress, "frames explained",
            )  # fmt: skip
            # The maps stay on disk; what is one number a frame is small.
            numbers = {
                name: np.concatenate([arrays_of(piece)[name] for piece in found])
                for name in ("p_fake", "p_noisy", "bits")
            }
            summary = _summary(reader, clips.frames, facts, numbers)
            maps = _Maps(folder / how / "maps", len(clips))
            _write(out, reader, clips, maps, numbers["p_fake"], summary)
            shutil.rmtree(folder)
    return summary


def _summary(
    video: VideoReader,
    frames: Sequence[int],
    facts: Mapping[str, Any],
    numbers: Mapping[str, np.ndarray],
) -> dict[str, Any]:
    """The content of `summary.json`, from what is one number a frame."""
    return {
        "video": video.path.name,
        "frames": video.length,
        "explained_frames": list(frames),
        **facts,
        "p_fake_mean": float(numbers["p_fake"].mean()),
        "p_fake": [round(float(p), 4) for p in numbers["p_fake"]],
        "p_fake_with_bottleneck": [round(float(p), 4) for p in numbers["p_noisy"]],
        "bits_per_frame": [round(float(b), 2) for b in numbers["bits"]],
        "note": "A map shows what this detector used; it does not prove that a video is fake.",
    }


@contextmanager
def _working(study: Study, key: Mapping[str, Any]) -> Iterator[Path]:
    """A folder below the results for what a run that is stopped leaves to the next one."""
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
        return max(float(np.quantile(values, 0.995)), 1e-9)


def _explained(
    study: Study,
    bottleneck: PerSampleBottleneck,
    detector: str,
    clips: VideoChunks,
    folder: Path,
    number: int,
) -> dict[str, np.ndarray]:
    """Numbers of one piece of a video; its maps go to `folder` and are read when it is painted."""
    inputs = clip_inputs(study, detector, clips[number]).to(study.device)
    found = bottleneck.attribute(inputs)
    maps = found.bits_per_pixel.numpy().astype(np.float32)
    write_checkpoint(folder, number, {"maps": maps})
    return {
        "p_fake": found.logits_clean.softmax(1)[:, 1].numpy(),
        "p_noisy": found.logits.softmax(1)[:, 1].numpy(),
        "bits": maps.sum((1, 2)),
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
