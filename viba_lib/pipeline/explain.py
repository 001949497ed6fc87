"""Maps of many frames, video by video: here, or on the workers of a Dask cluster."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
import xarray as xr

from viba_lib.bottleneck import PerSampleBottleneck
from viba_lib.core.checkpoints import map_checkpointed
from viba_lib.core.errors import VibaError
from viba_lib.core.parallel import Failed
from viba_lib.pipeline.profiles import Profile

if TYPE_CHECKING:
    from viba_lib.pipeline.study import Study

AT_ONCE = 8  # frames of one video that are optimised together
COORDS = ("video_id", "frame", "position", "label", "method")
LOST = ("video_id", "stage", "frame", "reason")


@dataclass(frozen=True)
class Remote:
    """What a worker needs to open the same study; its folders are seen from all machines."""

    profile: str
    data_root: Path
    results_root: Path
    device: str
    seed: int
    threads: int

    @classmethod
    def of(cls, study: "Study") -> "Remote":
        """The study of this process, for workers."""
        return cls(
            study.profile.model_dump_json(),
            study.data_root.absolute(),
            study.root.parent.absolute(),
            study.device,
            study.seed,
            torch.get_num_threads(),
        )


@cache
def _opened(remote: Remote) -> "Study":
    from viba_lib.pipeline.study import Study

    # Sums depend on how they are split among threads: as many as where the run was started.
    torch.set_num_threads(remote.threads)
    profile = Profile.model_validate_json(remote.profile)
    return Study(profile, remote.data_root, remote.results_root, remote.device, remote.seed)


@cache
def _bottleneck(
    remote: Remote, detector: str, layer: str, settings: tuple[tuple[str, Any], ...]
) -> PerSampleBottleneck:
    return _opened(remote).bottleneck(detector, layer, **dict(settings))


def _on_worker(
    remote: Remote,
    detector: str,
    layer: str,
    target: str,
    settings: tuple[tuple[str, Any], ...],
    rows: pd.DataFrame,
) -> dict[str, np.ndarray]:
    study = _opened(remote)
    return explain_piece(
        study, _bottleneck(remote, detector, layer, settings), detector, target, rows
    )


def explain_piece(
    study: "Study",
    bottleneck: PerSampleBottleneck,
    detector: str,
    target: str,
    rows: pd.DataFrame,
) -> dict[str, np.ndarray]:
    """Maps and probabilities of some frames of one video, see `Study.explain`."""
    inputs = study.inputs(detector, rows).to(study.device)
    wanted = torch.from_numpy(rows.label.to_numpy()) if target == "true" else None
    found = bottleneck.attribute(inputs, wanted, with_keep=True)
    redrawn = bottleneck.redraw(inputs, found.keep, study.profile.evaluation.noise_draws)
    return {
        "relevance": found.bits_per_pixel.numpy().astype(np.float32),
        "drawn": p_fake(redrawn).T,
        "clean": p_fake(found.logits_clean),
    }


def p_fake(logits: torch.Tensor) -> np.ndarray:
    """Probability of fake of logits (..., 2)."""
    return np.asarray(logits.double().softmax(-1)[..., 1].cpu().numpy())


def in_videos(rows: pd.DataFrame) -> list[pd.DataFrame]:
    """Rows cut where the video changes, and after every `AT_ONCE`."""
    parts = []
    changes = rows.video_id.ne(rows.video_id.shift()).cumsum()
    for _, part in rows.groupby(changes, sort=False):
        parts += [part.iloc[i : i + AT_ONCE] for i in range(0, len(part), AT_ONCE)]
    return parts


def explain_rows(
    study: "Study",
    detector: str,
    rows: pd.DataFrame,
    layer: str,
    target: str,
    settings: Mapping[str, Any],
    folder: Path,
) -> tuple[xr.Dataset, pd.DataFrame]:
    """Maps of rows of `Study.frames()`; finished pieces stay in `folder`, for a run to go on from.

    Returns
    -------
    The maps, see `Study.explain`, and the videos that have none: video_id, stage, frame, reason.

    Raises
    ------
    VibaError
        Not one frame could be explained.
    """
    parts = in_videos(rows)
    # Weights and statistics are there before a worker looks for them.
    bottleneck = study.bottleneck(detector, layer, **settings)
    if study.scheduler:
        given = tuple(sorted(settings.items()))
        work: Any = partial(_on_worker, Remote.of(study), detector, layer, target, given)
    else:
        work = partial(explain_piece, study, bottleneck, detector, target)
    found = map_checkpointed(
        folder, parts, work, [len(p) for p in parts], study.progress,
        f"{detector} at {layer}: frames", study.scheduler,
    )  # fmt: skip
    lost = [
        {"video_id": row.video_id, "stage": "explain", "frame": row.frame, "reason": str(piece)}
        for part, piece in zip(parts, found, strict=True)
        if isinstance(piece, Failed)
        for row in part.itertuples()
    ]
    whole = [(p, f) for p, f in zip(parts, found, strict=True) if not isinstance(f, Failed)]
    if not whole:
        reason = lost[0]["reason"] if lost else "there are no frames"
        raise VibaError(
            f"not one of {len(rows)} frames could be explained ({reason}); see viba.log in the "
            "results folder of the profile, and `viba status`"
        )
    kept = pd.concat([part for part, _ in whole])
    arrays = {name: np.concatenate([f[name] for _, f in whole]) for name in whole[0][1]}
    return dataset(kept, arrays, detector, layer), pd.DataFrame(lost, columns=list(LOST))


def dataset(
    rows: pd.DataFrame, arrays: Mapping[str, np.ndarray], detector: str, layer: str
) -> xr.Dataset:
    """Maps with labelled dimensions, see `Study.explain`."""
    relevance, drawn = arrays["relevance"], arrays["drawn"]
    coords = {name: ("item", rows[name].to_numpy()) for name in COORDS}
    for name in ("video_id", "method"):
        coords[name] = ("item", rows[name].to_numpy().astype(str))
    return xr.Dataset(
        {
            "relevance": (("item", "y", "x"), relevance, {"units": "bits per pixel"}),
            "p_fake": ("item", arrays["clean"]),
            "p_fake_bottleneck": ("item", drawn.mean(1)),
            "p_fake_draws": (("draw", "item"), drawn.T),
            "total_bits": ("item", relevance.sum((1, 2)), {"units": "bits"}),
        },
        coords=coords,
        attrs={"detector": detector, "layer": layer},
    )
