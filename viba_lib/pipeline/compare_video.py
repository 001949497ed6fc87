"""Attribution methods side by side on one video: the work behind `viba compare`."""

import json
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import matplotlib as mpl
import numpy as np
import torch
import xarray as xr
from scipy.stats import rankdata

from viba_lib.baselines.common import probability
from viba_lib.baselines.explainers import CONTROLS, NAMES, VIBA, Network, check_names, explain_with
from viba_lib.bottleneck import LayerStatistics
from viba_lib.core.errors import VibaError
from viba_lib.core.files import file_sha256
from viba_lib.data.video import VideoReader, write_video
from viba_lib.data.video_chunks import read_clip
from viba_lib.pipeline.compute import place
from viba_lib.pipeline.explain import save_maps
from viba_lib.pipeline.explain_video import (
    check_detector,
    check_folder,
    film_rate,
    layer_statistics,
    written_aside,
)
from viba_lib.pipeline.study import Study
from viba_lib.visual.overlay import overlay, poster

FILES = ("compare.mp4", "maps.zarr", "summary.json", "poster.png")
DEFAULT = (VIBA, "Grad-CAM", "Integrated gradients", "Occlusion")
NOTE = (
    "Maps show what this detector used by each method's lights; none proves that a video is fake."
)
COLUMNS = 4
SIDE = 240  # pixels of a tile at least; small inputs are enlarged
LABEL, LEGEND = 28, 32  # pixels of the line under a tile, and of the one under all
GROUND, INK = 24, (235, 235, 235)


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


def rank_correlations(maps: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation of each pair of methods (M, M), mean over frames.

    Parameters
    ----------
    maps : (M, T, H, W), in any units

    Returns
    -------
    (M, M) in [-1, 1]. Frames in which a method's map is constant, and so has no ranks, are left
    out of its means; NaN where none remains.
    """
    ranks = rankdata(maps.reshape(*maps.shape[:2], -1), axis=2)
    ranks -= ranks.mean(2, keepdims=True)
    lengths = np.linalg.norm(ranks, axis=2, keepdims=True)
    unit = ranks / np.where(lengths > 0, lengths, np.nan)
    found = np.einsum("atp,btp->abt", unit, unit)
    counts = np.isfinite(found).sum(2)
    return np.nansum(found, 2) / np.where(counts > 0, counts, np.nan)


def draw_comparison(
    images: np.ndarray, maps: dict[str, np.ndarray], p_fake: np.ndarray
) -> np.ndarray:
    """Frames of the film: the input and, over it, each method's map, in a labelled grid.

    Parameters
    ----------
    images : (T, S, S, 3) uint8
    maps : of each method (T, S, S), at least one; each is scaled by its own 99.5th percentile,
        since units differ
    p_fake : (T,) probability of fake

    Returns
    -------
    (T, H, W, 3) uint8, H and W even, at most four tiles in a row.
    """
    side = max(SIDE, images.shape[1] + images.shape[1] % 2)
    large = np.stack([cv2.resize(i, (side, side), interpolation=cv2.INTER_CUBIC) for i in images])
    rows = [[_tile(i, f"input   p(fake) {p:.2f}") for i, p in zip(large, p_fake, strict=True)]]
    for name, found in maps.items():
        label = f"{name} (control)" if name in CONTROLS else name
        rows.append([_tile(i, label) for i in overlay(large, found)])
    return np.stack([_grid(tiles) for tiles in zip(*rows, strict=True)])


def _text(picture: np.ndarray, text: str, left: int, middle: int, width: int) -> int:
    """Write a line, smaller where it is wider than `width`; returns where it ends."""
    font, size = cv2.FONT_HERSHEY_SIMPLEX, 0.5
    (wide, high), _ = cv2.getTextSize(text, font, size, 1)
    shrink = min(1.0, width / wide)
    place = (left, middle + round(high * shrink / 2))
    cv2.putText(picture, text, place, font, size * shrink, INK, 1, cv2.LINE_AA)
    return left + math.ceil(wide * shrink)


def _tile(image: np.ndarray, label: str) -> np.ndarray:
    width = image.shape[1]
    line = np.full((LABEL, width, 3), GROUND, np.uint8)
    _text(line, label, 8, LABEL // 2, width - 16)
    return np.concatenate([image, line])


def _grid(tiles: Sequence[np.ndarray]) -> np.ndarray:
    """Tiles in rows as even as can be, and the legend below."""
    rows = math.ceil(len(tiles) / COLUMNS)
    columns = math.ceil(len(tiles) / rows)
    empty = np.full_like(tiles[0], GROUND)
    filled = [*tiles, *[empty] * (rows * columns - len(tiles))]
    lines = [np.concatenate(filled[r * columns : (r + 1) * columns], axis=1) for r in range(rows)]
    return np.concatenate([*lines, _legend(lines[0].shape[1])])


def _legend(width: int) -> np.ndarray:
    """The scale of all maps: words, as the units differ."""
    line = np.full((LEGEND, width, 3), GROUND, np.uint8)
    middle = LEGEND // 2
    at = _text(line, "each map on a scale of its own: none", 8, middle, width - 200) + 8
    bar = (mpl.colormaps["inferno"](np.linspace(0, 1, 96))[:, :3] * 255).astype(np.uint8)
    line[middle - 6 : middle + 6, at : at + len(bar)] = bar
    _text(line, "strongest", at + len(bar) + 8, middle, 90)
    return line


def _network(
    study: Study,
    detector: str,
    layer: str,
    model: torch.nn.Module,
    weights: Path | None,
    names: list[str],
) -> tuple[Network, Path]:
    """The detector as the methods see it, and its weights; it is trained if need be."""
    statistics = {}
    used = weights or study.weights_path(detector)
    model = study.detector(detector) if weights is None else place(model, study.device)
    # The other methods need no statistics: then no training frames are prepared.
    if VIBA in names:
        with tempfile.TemporaryDirectory() as folder:
            path = layer_statistics(study, detector, layer, weights, Path(folder))
            statistics[layer] = LayerStatistics.load(path)
    settings = study.stages.bottleneck()
    settings.pop("seed")
    precision = study.settings(detector).training.precision
    return Network(model, (layer,), statistics, settings, precision), used


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
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Draw maps of a video by several methods, side by side.

    Writes `compare.mp4`, `maps.zarr` (explainer, frame, y, x), `summary.json` and `poster.png`.

    Parameters
    ----------
    out : folder of the four files; each appears whole or not at all
    methods : some of `contest.NAMES`, in any case
    weights : of the detector; None = those that the study's profile trains
    layer : of the bottleneck and of the methods that have one; None = the paper's
    max_frames : frames explained at most, evenly spread
    passes : budget of a frame for the methods that have one, at least 8; the bottleneck's is the
        profile's steps and draws

    Returns
    -------
    The content of `summary.json`.

    Raises
    ------
    VibaError
        Unknown method, detector or layer, a budget below 8, weights that do not fit, a video
        without frames or faces. Names are judged before anything that takes long.
    """
    names, layer = check_names(list(methods)), layer or study.layer(detector)
    if passes < 8:
        raise VibaError(f"passes is {passes}; expected 8 or more for each frame")
    check_folder(out)
    registered, size = study.registered(detector), study.settings(detector).size
    model = check_detector(registered, layer, weights)
    with VideoReader(video) as reader:
        clip = read_clip(reader, study.profile.preparation, max_frames)
        length, rate = reader.length, film_rate(reader, clip.frame.tolist())
    progress(f"{len(clip.frame)} of {length} frames have a face and are explained")
    network, used = _network(study, detector, layer, model, weights, names)
    inputs = registered.inputs(clip, None, size).to(study.device)
    p_fake = probability(network.model, 1)(inputs).cpu().numpy()
    maps, seconds = {}, {}
    for name in names:
        began = time.perf_counter()
        maps[name] = explain_with(name, network, inputs, None, passes, study.seed)
        seconds[name] = round((time.perf_counter() - began) / len(inputs), 3)
        progress(f"{name}: {seconds[name]:.2f} s per frame")
    summary = {
        "video": video.name,
        "frames": length,
        "explained_frames": [int(i) for i in clip.frame],
        "detector": registered.name,
        "weights_sha256": file_sha256(used),
        "layer": layer,
        "profile": study.profile.name,
        "seed": study.seed,
        "passes": passes,
        "bottleneck": network.settings,
        "methods": names,
        "seconds_per_frame": seconds,
        "p_fake": [round(float(p), 4) for p in p_fake],
        "rank_correlation": _pairs(maps),
        "note": NOTE,
    }
    _write(
        out,
        rate,
        registered.images(clip, None, size),
        maps,
        p_fake,
        summary,
    )
    return summary


def _pairs(maps: dict[str, np.ndarray]) -> dict[str, dict[str, float | None]]:
    """Rank correlation of each method with each other; None where a map has no ranks."""
    found = rank_correlations(np.stack(list(maps.values())))
    return {
        a: {
            b: round(float(value), 4) if np.isfinite(value) else None
            for b, value in zip(maps, row, strict=True)
            if b != a
        }
        for a, row in zip(maps, found, strict=True)
    }


def _write(
    out: Path,
    rate: float,
    images: np.ndarray,
    maps: dict[str, np.ndarray],
    p_fake: np.ndarray,
    summary: dict[str, Any],
) -> None:
    """Write the four files into a folder aside, then move them to their place."""
    film = draw_comparison(images, maps, p_fake)
    units = "bits per pixel of VIBA; each other method has its own"
    # Not "method": xarray takes sel(method=...) for another thing, and gives all maps silently.
    data = xr.Dataset(
        {
            "maps": (
                ("explainer", "frame", "y", "x"),
                np.stack(list(maps.values())),
                {"units": units},
            ),
            "p_fake": ("frame", p_fake),
        },
        coords={"explainer": list(maps), "frame": summary["explained_frames"]},
        attrs={k: v for k, v in summary.items() if isinstance(v, str)},
    )
    with written_aside(out, FILES) as aside:
        write_video(aside / "compare.mp4", film, rate, crf=20)
        poster(aside / "poster.png", film[int(np.argmax(p_fake))])
        save_maps(data, aside / "maps.zarr")
        (aside / "summary.json").write_text(json.dumps(summary, indent=1), encoding="utf-8")
