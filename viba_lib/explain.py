"""Explain one video from start to end: the work behind `viba explain`."""

import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from viba_lib.bottleneck import LayerStatistics, PerSampleBottleneck
from viba_lib.bottleneck.tail import find_layer
from viba_lib.data.clips import face_tensor
from viba_lib.data.faces import NoFaceError
from viba_lib.data.flow import flow_to_input
from viba_lib.data.preparation import frames_between, prepare_frames
from viba_lib.data.prepared import PreparedClip
from viba_lib.errors import VibaError
from viba_lib.models import flow_vgg11, load_weights, xception
from viba_lib.models.weights import file_sha256
from viba_lib.overlay import colours, overlay_video, paste_back, poster
from viba_lib.study import Study
from viba_lib.video import VideoError, frame_rate, iter_frames, pick_frames

FILES = ("overlay.mp4", "relevance.zarr", "summary.json", "poster.png")


def clip_inputs(study: Study, detector: str, clip: PreparedClip) -> torch.Tensor:
    """Detector inputs (T, 3, S, S) of a prepared clip."""
    if detector == "xception":
        return face_tensor(clip.faces, study.profile.xception.size)
    flows = [study.scaled_flow(flow) for flow in clip.flow]
    return torch.stack([torch.from_numpy(flow_to_input(f)) for f in flows])


def read_clip(
    video: Path, study: Study, max_frames: int
) -> tuple[PreparedClip, dict[int, np.ndarray], int]:
    """Crops of up to `max_frames` evenly spaced frames, the frames, and the video's length.

    Raises
    ------
    VideoError, NoFaceError
        Not decodable, one frame only, or no face in any chosen frame.
    """
    length = sum(1 for _ in iter_frames(video, form="gray"))
    if length < 2:
        raise VideoError(f"{video} has one frame; a flow map needs two: give a longer video")
    indices = np.unique(np.linspace(0, length - 2, min(max_frames, length - 1)).round().astype(int))
    wanted = {int(i) for i in indices} | {int(i) + 1 for i in indices}
    frames = dict(pick_frames(video, wanted, length))
    between = frames_between(video, length)
    clip, lost = prepare_frames(
        sorted(frames.items()), indices, study.profile.preparation, between=between
    )
    if clip is None:
        raise NoFaceError(
            f"no face in any of {len(lost)} frames of {video}; expected a face at least 80 pixels "
            "wide in a frame 480 wide, looking to the camera: choose another video"
        )
    return clip, frames, length


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
    clip, frames, length = read_clip(video, study, max_frames)
    progress(f"{len(clip.frame)} of {length} frames have a face and are explained")
    if weights is None:
        progress(f"detector: {detector} of the profile {study.profile.name}, trained if need be")
        weights = study.weights_path(detector)
        model, statistics = study.detector(detector), study.statistics(detector, layer)
    else:
        statistics = own_statistics(study, detector, model, layer)
    chosen = study.profile.bottleneck.model_dump() | {"seed": study.seed} | (settings or {})
    bottleneck = PerSampleBottleneck(model, layer, statistics, **chosen)
    found = bottleneck.attribute(
        clip_inputs(study, detector, clip).to(study.device),
        progress=lambda n: progress(f"{n}/{len(clip.frame)} frames"),
    )
    maps = found.bits_per_pixel.numpy()
    p_fake = found.logits_clean.softmax(1)[:, 1].numpy()
    p_noisy = found.logits.softmax(1)[:, 1].numpy()
    summary = {
        "video": video.name,
        "frames": length,
        "explained_frames": [int(i) for i in clip.frame],
        "detector": detector,
        "weights_sha256": file_sha256(weights),
        "statistics_frames": statistics.count,
        "layer": layer,
        "bottleneck": chosen,
        "profile": study.profile.name,
        "p_fake_mean": float(p_fake.mean()),
        "p_fake": [round(float(p), 4) for p in p_fake],
        "p_fake_with_bottleneck": [round(float(p), 4) for p in p_noisy],
        "bits_per_frame": [round(float(b), 2) for b in maps.sum((1, 2))],
        "note": "A map shows what this detector used; it does not prove that a video is fake.",
    }
    _write(out, video, clip, frames, maps, p_fake, summary)
    return summary


def film_rate(video: Path, clip: PreparedClip) -> float:
    """Frames per second of a film of the explained frames.

    They are spread over the video: fewer per second keep its length.
    """
    return min(
        12.0, max(2.0, frame_rate(video) * len(clip.frame) / max(1, int(clip.frame[-1]) + 1))
    )


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
    video: Path,
    clip: PreparedClip,
    frames: dict[int, np.ndarray],
    maps: np.ndarray,
    p_fake: np.ndarray,
    summary: dict[str, Any],
) -> None:
    """Write the four files into a folder aside, then move them to their place."""
    out.mkdir(parents=True, exist_ok=True)
    whole = np.stack([frames[int(i)] for i in clip.frame])
    shape = whole.shape[1:3]
    pasted = np.stack(
        [paste_back((shape[0], shape[1]), s, m) for s, m in zip(clip.squares, maps, strict=True)]
    )
    top = max(float(np.quantile(maps, 0.995)), 1e-9)
    with written_aside(out, FILES) as aside:
        overlay_video(aside / "overlay.mp4", whole, pasted, film_rate(video, clip), p_fake, top)
        best = int(np.argmax(p_fake))
        poster(aside / "poster.png", colours(whole[best], pasted[best], top))
        xr.Dataset(
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
        ).to_zarr(aside / "relevance.zarr", mode="w", consolidated=False)
        (aside / "summary.json").write_text(json.dumps(summary, indent=1), encoding="utf-8")
