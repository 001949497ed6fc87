"""Attribution methods side by side on one video: the work behind `viba compare`."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr
from torch import nn

from viba_lib.baselines.budget import LEAST
from viba_lib.baselines.common import logits_of
from viba_lib.baselines.explainers import NAMES, Network, check_names, explain_with
from viba_lib.baselines.names import CONTROLS, VIBA
from viba_lib.baselines.patch_head import FRAMES, PatchHead
from viba_lib.bottleneck.split import SplitModel
from viba_lib.bottleneck.statistics import channel_means
from viba_lib.core.errors import VibaError
from viba_lib.core.files import file_sha256
from viba_lib.data.video import VideoReader, write_video
from viba_lib.data.video_chunks import read_clip
from viba_lib.pipeline.explain import p_fake, save_maps
from viba_lib.pipeline.explain_video import (
    check_given,
    compare_with,
    domain_note,
    open_domain,
    open_run,
    output_rate,
    report_frames,
    written_aside,
)
from viba_lib.pipeline.run import forward_of
from viba_lib.pipeline.study import Study
from viba_lib.visual.map_figures import method_grid
from viba_lib.visual.overlay import poster, scale_maximum, with_note
from viba_lib.visual.style import figure_style, pixels

FILES = ("compare.mp4", "maps.zarr", "summary.json", "poster.png")
DEFAULT = (VIBA, "Grad-CAM", "Integrated gradients", "Occlusion")
NOTE = (
    "Maps show what this detector used according to each method; none proves that a video is fake."
)
LEGEND = "each map on a scale of its own: dark is none, bright the strongest"
GROUND, INK = "#181818", "#ebebeb"


def parse_methods(given: Sequence[str]) -> list[str]:
    """Names of methods from options such as "VIBA,Grad-CAM"; "all" stands for every one.

    Raises
    ------
    VibaError
        A name that is not known, or none.
    """
    pieces = [piece.strip() for text in given for piece in text.split(",") if piece.strip()]
    named = [n for p in pieces for n in (NAMES if p.casefold() == "all" else (p,))]
    return check_names(named)


def rank_correlations(maps: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Spearman's rank correlation of each pair of methods, mean over frames.

    Parameters
    ----------
    maps : of each method (T, H, W), in any units

    Returns
    -------
    Table of methods by methods, in [-1, 1]. Frames in which a method's map is constant, and so has
    no ranks, are left out of its means; NaN where none remains.
    """
    by_frame = []
    for frame in zip(*maps.values(), strict=True):
        table = pd.DataFrame({name: m.ravel() for name, m in zip(maps, frame, strict=True)})
        by_frame.append(table.corr("spearman"))
    return pd.concat(by_frame).groupby(level=0).mean().loc[list(maps), list(maps)]


@figure_style()
def draw_comparison(
    images: np.ndarray, maps: Mapping[str, np.ndarray], probabilities: np.ndarray, note: str = ""
) -> np.ndarray:
    """Frames of the video: the input and, over it, each method's map, in a labelled grid.

    Parameters
    ----------
    images : (T, S, S, 3) uint8
    maps : of each method (T, S, S), at least one; each has its own scale (`scale_maximum`),
        since units differ
    probabilities : (T,) probability of fake
    note : a warning above, with the probability, see `with_note`

    Returns
    -------
    (T, H, W, 3) uint8, H and W even, at most four tiles in a row.
    """
    named = {f"{n} (control)" if n in CONTROLS else n: found for n, found in maps.items()}
    maxima = {name: scale_maximum(found) for name, found in named.items()}
    frames = []
    for at, (image, p) in enumerate(zip(images, probabilities, strict=True)):
        now = {name: found[at] for name, found in named.items()}
        title = "input" if note else f"input, p(fake) {p:.2f}"
        figure = method_grid(image, None, now, title, maxima)
        figure.supxlabel(LEGEND, fontsize=10, color=INK)
        # The book's grey is for transparent grounds; on this one it is too dark to read.
        for axis in figure.axes:
            axis.xaxis.label.set_color(INK)
        frames.append(with_note(pixels(figure, GROUND), p, note))
    return np.stack(frames)


def _network(
    study: Study, detector: str, layer: str, model: nn.Module, weights: Path | None, viba: bool
) -> Network:
    """The detector as the methods see it; it is trained if no weights are given.

    Parameters
    ----------
    model : with the given weights
    viba : whether the bottleneck is used; without it no statistics are estimated
    """
    statistics = {}
    if viba:
        statistics[layer] = open_run(study, detector, layer, weights).layer_statistics
    settings = study.stages.bottleneck(study.registered(detector))
    settings.pop("seed")
    model = model.to(study.device) if weights else study.detector(detector)
    precision = study.settings(detector).training.precision
    forward = forward_of(study.registered(detector), model, precision)

    def head(at: str) -> PatchHead:
        run = open_run(study, detector, layer, weights)
        rows = run.sample(FRAMES)
        return PatchHead.fit(model, at, run.inputs(rows), torch.tensor(rows.label.to_numpy()))

    return Network(model, (layer,), statistics, settings, forward, head)


def compare_video(
    video: Path,
    out: Path,
    study: Study,
    detector: str = "xception",
    methods: Sequence[str] = DEFAULT,
    weights: Path | None = None,
    layer: str | None = None,
    max_frames: int = 12,
    passes: int = 64,
) -> dict[str, Any]:
    """Draw maps of a video by several methods, side by side.

    Writes `compare.mp4`, `maps.zarr` (explainer, frame, y, x), `summary.json` and `poster.png`.

    Parameters
    ----------
    out : folder of the four files; each appears complete or not at all
    methods : some of `explainers.NAMES`, in any case
    weights : of the detector; None = those that the study's profile trains
    layer : of the bottleneck and of the methods that have one; None = the paper's
    max_frames : frames explained at most, evenly spread
    passes : budget of a frame in forward-equivalents for the methods that have one, at least 8;
        the bottleneck has the profile's steps and noise samples

    Returns
    -------
    The content of `summary.json`.

    Raises
    ------
    VibaError
        Unknown method, detector or layer, a budget below 8, weights that do not fit, a video
        without frames or faces. Names are checked before anything that takes long.
    """
    names, layer = check_names(list(methods)), layer or study.layer(detector)
    if passes < LEAST:
        raise VibaError(f"passes is {passes}; expected {LEAST} or more for each frame")
    registered = study.registered(detector)
    model = check_given(video, out, FILES, registered, layer, weights)
    with VideoReader(video) as reader:
        clip = read_clip(reader, study.profile.preparation, max_frames)
        rate = output_rate(reader, clip.frame.tolist())
        report_frames(reader, len(clip.frame), study.progress)
        domain = open_domain(study, detector, layer, weights)
        network = _network(study, detector, layer, model, weights, VIBA in names)
        inputs = registered.inputs(clip, None, registered.size).to(study.device)
        features = channel_means(SplitModel(network.model, layer), inputs).numpy()
        compared = compare_with(domain, features, [clip], reader)
    probabilities = p_fake(logits_of(network.model, inputs))
    maps, seconds = _timed_maps(names, network, inputs, passes, study)
    summary = {
        **_about(reader, clip.frame.tolist(), study, detector, weights),
        "layer": layer,
        "passes": passes,
        "bottleneck": network.settings,
        "methods": names,
        "seconds_per_frame": seconds,
        "p_fake_mean": float(probabilities.mean()),
        "p_fake": probabilities.round(4).tolist(),
        "domain": compared,
        "rank_correlation": _pairs(maps),
        "note": NOTE,
    }
    images = registered.images(clip, None, registered.size)
    frames = draw_comparison(images, maps, probabilities, domain_note(summary))
    _write(out, frames, rate, maps, probabilities, summary)
    return summary


def _about(
    video: VideoReader, frames: list[int], study: Study, detector: str, weights: Path | None
) -> dict[str, Any]:
    """What `summary.json` says of the video, the detector and the run."""
    return {
        "video": video.path.name,
        "frames": video.length,
        "damage": video.damage,
        "explained_frames": frames,
        "detector": study.registered(detector).name,
        "weights_sha256": file_sha256(weights or study.weights_path(detector)),
        "profile": study.profile.name,
        "seed": study.seed,
    }


def _write(
    out: Path,
    frames: np.ndarray,
    rate: float,
    maps: Mapping[str, np.ndarray],
    probabilities: np.ndarray,
    summary: Mapping[str, Any],
) -> None:
    """Write the four files into a temporary folder, then move them to `out`."""
    units = {"units": "bits per pixel of VIBA; each other method has its own"}
    # Not "method": xarray takes sel(method=...) for another thing, and gives all maps silently.
    dims = ("explainer", "frame", "y", "x")
    labelled = xr.Dataset(
        {"maps": (dims, np.stack(list(maps.values())), units), "p_fake": ("frame", probabilities)},
        coords={"explainer": list(maps), "frame": summary["explained_frames"]},
        attrs={name: text for name, text in summary.items() if isinstance(text, str)},
    )
    with written_aside(out) as aside:
        write_video(aside / "compare.mp4", frames, rate, crf=20)
        poster(aside / "poster.png", frames[int(probabilities.argmax())])
        save_maps(labelled, aside / "maps.zarr")
        (aside / "summary.json").write_text(json.dumps(summary, indent=1), encoding="utf-8")


def _timed_maps(
    names: Sequence[str], network: Network, inputs: torch.Tensor, passes: int, study: Study
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Maps (T, S, S) of each method, and the seconds that one frame took."""
    maps, seconds = {}, {}
    for name in names:
        start = time.perf_counter()
        maps[name] = explain_with(name, network, inputs, None, passes, study.seed)
        seconds[name] = round((time.perf_counter() - start) / len(inputs), 3)
        study.progress(f"{name}: {seconds[name]:.2f} s per frame")
    return maps, seconds


def _pairs(maps: Mapping[str, np.ndarray]) -> dict[str, dict[str, float | None]]:
    """Rank correlation of each method with each other; None where a map has no ranks."""
    table = rank_correlations(maps).round(4).astype(object)
    table = table.where(table.notna(), None)
    return {name: row.drop(name).to_dict() for name, row in table.iterrows()}
