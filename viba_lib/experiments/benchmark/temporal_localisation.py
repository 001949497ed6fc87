"""Temporal localisation: relevance over time against the frames whose motion was disturbed."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from viba_lib.baselines.names import VIBA
from viba_lib.core.cache import Stage, Work
from viba_lib.core.errors import VibaError
from viba_lib.data.artefacts import TEMPORAL, plant
from viba_lib.data.clip_store import PreparedClip
from viba_lib.data.faces import crop
from viba_lib.data.flow import farneback
from viba_lib.experiments.benchmark.runs import BenchmarkRun, Values, run_stage
from viba_lib.pipeline.prepared_set import PreparedSet
from viba_lib.pipeline.select import select
from viba_lib.pipeline.study import Study

FAKE = 1
NUMBERS = ("clips", "clip_frames", "short_passes")  # of `ComparisonSettings`
PROBABILITY = "p(fake) itself"


def disturbed(
    clips: PreparedSet,
    video_id: str,
    method: str,
    count: int,
    preparation: Mapping[str, Any],
    seed: int = 0,
) -> tuple[PreparedClip, np.ndarray]:
    """A real clip of up to `count` frames whose middle third has a temporal artefact.

    A pair of frames is disturbed if one of its frames is, so the pair before the first disturbed
    frame counts as well.

    Returns
    -------
    The clip, and which of its T pairs are disturbed: (T,) bool.

    Raises
    ------
    VibaError
        An unknown video, or one that is too short.
    """
    clip = clips.consecutive(video_id, count, preparation)
    first, count = int(clip.frame[0]), len(clip.frame)
    frames, _ = clips.first_frames(video_id, int(clip.frame[-1]) - first + 2, first)
    at = clip.frame - first
    if count < 5:
        raise VibaError(f"{video_id!r} has {count} frames with a face; expected 5 or more")
    begin, end = count // 3, max(count // 3 + 2, 2 * count // 3)
    centre, size = clip.squares[:, None, :2], clip.squares[:, None, 2:]
    points = (clip.landmarks - 0.5) * size + centre
    changed = frames[at].copy()
    changed[begin:end], _ = plant(
        changed[begin:end], points[begin:end], method, np.random.default_rng(seed)
    )
    following = np.concatenate([changed[1:], frames[at[-1:] + 1]])
    number = np.arange(count)
    return _with_frames(clip, changed, following), (number >= begin - 1) & (number < end)


def _with_frames(clip: PreparedClip, frames: np.ndarray, following: np.ndarray) -> PreparedClip:
    """The clip with other frames (T, H, W, 3) and successors; landmarks and masks stay."""

    def crops(images: np.ndarray, side: int) -> np.ndarray:
        return np.stack(
            [crop(i, tuple(s), side) for i, s in zip(images, clip.squares, strict=True)]
        )

    side = clip.pairs.shape[2]
    pairs = np.stack([crops(frames, side), crops(following, side)], axis=1)
    flow = np.stack([farneback(first, second).transpose(2, 0, 1) for first, second in pairs])
    faces = crops(frames, clip.faces.shape[1])
    return dataclasses.replace(clip, faces=faces, pairs=pairs, flow=flow)


def compute_temporal(folder: Path, work: Work, *, values: Values, **given: Any) -> None:
    """Area under the ROC curve of each method's sums of relevance, for disturbed clips.

    The clips are real test videos, disturbed by the temporal methods in turn.
    """
    run, rows = BenchmarkRun(work=work, **given), []
    clips, frames, passes = (run.numbers[name] for name in NUMBERS)
    tested = run.frames("test")
    real = select(tested, label=0, order="person", videos=clips, per_video=1).video_id
    for number, video in enumerate(real):
        method, seed = TEMPORAL[number % len(TEMPORAL)], run.seed + number
        work.progress(f"temporal localisation: clip {number + 1} of {len(real)}, {method}")
        clip, truth = disturbed(run.clips, video, method, frames, run.preparation, seed)
        inputs = run.detector.inputs(clip, None, run.detector.size)
        sums = {PROBABILITY: run.probabilities(inputs)[:, FAKE]}
        for name, value in values.items():
            sums[name] = run.maps(name, inputs, passes, value, FAKE).sum((1, 2))
        rows += [
            (name, video, method, float(roc_auc_score(truth, total)))
            for name, total in sums.items()
        ]
    columns = ["method", "video_id", "planted", "auc"]
    pd.DataFrame(rows, columns=columns).to_parquet(folder / "scores.parquet")


def temporal_stage(study: Study, detector: str, values: Values) -> Stage:
    """Stage of `temporal_scores`."""
    settings = {"values": dict(values)}
    layer = values.get(VIBA) or study.layer(detector)
    return run_stage(study, detector, "temporal", compute_temporal, layer, NUMBERS, settings)


def temporal_scores(study: Study, detector: str, values: Values) -> pd.DataFrame:
    """How well each method's relevance for "fake" distinguishes disturbed pairs; cached.

    The value of a pair of frames is the sum of its map. The detector's own probability is the
    reference: a map that distinguishes less adds nothing in time.

    Parameters
    ----------
    detector : one that sees motion, see `Detector.temporal`
    values : of the methods' settings; None = a method's default

    Returns
    -------
    method, video_id (of the real clip), planted, auc (area under the ROC curve for disturbed
    pairs of a clip against its other pairs, chance is 0.5).
    """
    stage = temporal_stage(study, detector, values)
    return pd.read_parquet(study.get(stage) / "scores.parquet")
