"""Maps of many frames, from a job of paths and settings: here, or on workers of a Dask cluster."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr
from torch import nn
from zarr.storage import LocalStore

from viba_lib.bottleneck import LayerStatistics, PerSampleBottleneck
from viba_lib.bottleneck.precision import AUTO
from viba_lib.core.cache import Work, digest
from viba_lib.core.checkpoints import map_checkpointed
from viba_lib.core.code import code_key
from viba_lib.core.errors import VibaError
from viba_lib.core.files import file_sha256
from viba_lib.data.clip_store import ClipStore
from viba_lib.models.detectors import Detector

MAPS = "maps.zarr"  # in the folder of a stage
AT_ONCE = 8  # frames of one video that are optimised together
TARGETS = ("predicted", "true", "false")
COORDS = ("video_id", "frame", "position", "label", "method")
LOST = ("video_id", "stage", "frame", "reason")


@dataclass(frozen=True, kw_only=True)
class ExplainJob:
    """All that a worker needs to explain frames.

    Parameters
    ----------
    detector : makes the network and its inputs
    weights : of the detector; like the other paths absolute, and seen from all machines
    statistics : of the layer
    layer : injection layer
    bottleneck : keyword arguments of `PerSampleBottleneck`
    device : of the network
    noise_draws : fresh noise samples under which the detector decides again
    clips : folder of prepared clips that the paths of rows are relative to
    target : class that the bottleneck is optimised for: "predicted", "true", or "false", the class
        of two that is not the true one
    threads : sums depend on how they are split among threads: as many as where the run started
    """

    detector: Detector
    weights: Path
    statistics: Path
    layer: str
    bottleneck: Mapping[str, Any] = field(hash=False)
    device: str
    noise_draws: int
    clips: Path = Path()
    target: str = "predicted"
    threads: int = field(default_factory=torch.get_num_threads)

    @property
    def digest(self) -> str:
        """Hash of all that changes a map, for the folder of a run that may be resumed."""
        files = [file_sha256(self.weights), file_sha256(self.statistics)]
        settings = [self.layer, self.bottleneck, self.target, self.noise_draws]
        return digest([self.detector.digest, files, settings, code_key(explain_inputs)])

    def on_this_machine(self) -> "ExplainJob":
        """The job with the precision that is faster here: workers elsewhere take the same."""
        given = self.bottleneck.get("precision", "float32")
        if given == AUTO:
            frames = torch.rand(1, 3, self.detector.size, self.detector.size)
            given = open_bottleneck(self).choose_precision(frames)
        return replace(self, bottleneck={**self.bottleneck, "precision": given})


@lru_cache(maxsize=1)
def open_network(detector: Detector, weights: Path, _changed: int, device: str) -> nn.Module:
    """A detector's network; the last one stays open: a chapter applies it in many stages.

    Parameters
    ----------
    _changed : when the file was written, in nanoseconds
    """
    return detector.open(weights, device)


@lru_cache(maxsize=1)
def _at_layer(network: nn.Module, statistics: Path, layer: str) -> PerSampleBottleneck:
    return PerSampleBottleneck(network, layer, LayerStatistics.load(statistics))


def open_bottleneck(job: ExplainJob) -> PerSampleBottleneck:
    """The bottleneck of a job; the last network stays open in a process, cut at its layer."""
    torch.set_num_threads(job.threads)
    changed = job.weights.stat().st_mtime_ns
    network = open_network(job.detector, job.weights, changed, job.device)
    return _at_layer(network, job.statistics, job.layer).varied(**job.bottleneck)


def explain_inputs(
    job: ExplainJob, inputs: torch.Tensor, labels: torch.Tensor | None = None
) -> dict[str, np.ndarray]:
    """Maps and probabilities of frames.

    Parameters
    ----------
    inputs : (T, 3, S, S) detector inputs
    labels : (T,) classes that the bottleneck is optimised for; None = the predicted ones

    Returns
    -------
    relevance (T, S, S) float32 in bits per pixel; p_fake (T,) of the detector; p_fake_draws (T,
    draws) with the bottleneck under fresh noise, because probabilities under the noise of the
    optimisation are biased towards its target; features (T, C), means of the layer's channels.
    """
    bottleneck = open_bottleneck(job)
    inputs = inputs.to(job.device)
    found = bottleneck.attribute(inputs, labels, draws=job.noise_draws)
    return {
        "relevance": found.bits_per_pixel.numpy().astype(np.float32),
        "p_fake": p_fake(found.logits_clean),
        "p_fake_draws": p_fake(found.logits_drawn),
        "features": found.channel_means.numpy(),
    }


def p_fake(logits: torch.Tensor) -> np.ndarray:
    """Probability of fake of logits (..., 2).

    Raises
    ------
    VibaError
        Another number of classes, of which it is not known which one is fake.
    """
    if logits.shape[-1] != 2:
        raise VibaError(
            f"the detector has {logits.shape[-1]} classes; expected logits (real, fake), or one "
            "logit of fake: wrap its network in a module that returns these"
        )
    return np.asarray(logits.double().softmax(-1)[..., 1].cpu().numpy())


def explain_part(job: ExplainJob, rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """`explain_inputs` of some frames of one video."""
    clip = ClipStore(job.clips)[rows.path.iloc[0]]
    inputs = job.detector.inputs(clip, rows.position.to_list(), job.detector.size)
    true = torch.from_numpy(rows.label.to_numpy())
    labels = {"predicted": None, "true": true, "false": 1 - true}[job.target]
    return explain_inputs(job, inputs, labels)


def in_videos(rows: pd.DataFrame) -> list[pd.DataFrame]:
    """Rows cut where the video changes, and after every `AT_ONCE`."""
    changes = rows.video_id.ne(rows.video_id.shift()).cumsum()
    turns = rows.groupby(changes).cumcount() // AT_ONCE
    return [part for _, part in rows.groupby([changes, turns])]


def explain_rows(
    job: ExplainJob, rows: pd.DataFrame, folder: Path, work: Work
) -> tuple[xr.Dataset, pd.DataFrame]:
    """Maps of rows of `Study.frames()`; finished parts stay in `folder`, so that a run can resume.

    Returns
    -------
    The maps, see `Study.explain`, and the frames that have none: video_id, stage, frame, reason.

    Raises
    ------
    VibaError
        Not one frame could be explained.
    """
    parts = in_videos(rows)
    results = map_checkpointed(
        folder, parts, partial(explain_part, job), [len(p) for p in parts], work.progress,
        f"{job.detector.name} at {job.layer}: frames", work.scheduler,
    )  # fmt: skip
    failures = list(zip(parts, results.failed, strict=True))
    problems = pd.DataFrame(
        [
            (row.video_id, "explain", row.frame, str(failure))
            for part, failure in failures
            if failure
            for row in part.itertuples()
        ],
        columns=list(LOST),
    )
    done = [number for number, (_, failure) in enumerate(failures) if not failure]
    if not done:
        reason = problems.reason.iloc[0] if len(problems) else "there are no frames"
        raise VibaError(
            f"not one of {len(rows)} frames could be explained ({reason}); see viba.log in the "
            "results folder of the profile, and `viba status`"
        )
    found = [results[number] for number in done]
    arrays = {name: np.concatenate([part[name] for part in found]) for name in found[0]}
    return _dataset(job, pd.concat([parts[number] for number in done]), arrays), problems


def _dataset(job: ExplainJob, rows: pd.DataFrame, arrays: Mapping[str, np.ndarray]) -> xr.Dataset:
    relevance, draws = arrays["relevance"], arrays["p_fake_draws"]
    # Lists become arrays of text of a fixed length, which Zarr can hold.
    coords = {name: ("item", np.array(rows[name].to_list())) for name in COORDS}
    return xr.Dataset(
        {
            "relevance": (("item", "y", "x"), relevance, {"units": "bits per pixel"}),
            "p_fake": ("item", arrays["p_fake"]),
            "p_fake_bottleneck": ("item", draws.mean(1)),
            "p_fake_draws": (("draw", "item"), draws.T),
            "total_bits": ("item", relevance.sum((1, 2)), {"units": "bits"}),
        },
        coords=coords,
        attrs={
            "detector": job.detector.name,
            "layer": job.layer,
            "precision": job.bottleneck["precision"],
        },
    )


def open_maps(folder: Path) -> xr.Dataset:
    """Maps of a stage, which `save_maps` wrote into its folder."""
    return xr.open_zarr(LocalStore(folder / MAPS), consolidated=False).load()


def save_maps(maps: xr.Dataset, path: Path) -> None:
    """Write maps as Zarr; a store, since xarray takes a path with "::" for an address."""
    with warnings.catch_warnings():
        # zarr warns that text of fixed length has no place in its third specification yet.
        warnings.simplefilter("ignore")
        maps.to_zarr(LocalStore(path), mode="w", consolidated=False)
