"""When, not only where: relevance over time against frames whose motion was disturbed."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import roc_auc_score

from viba_lib.baselines.explainers import NAMES, draw_maps
from viba_lib.core.cache import code_hash
from viba_lib.core.errors import VibaError
from viba_lib.data.artefacts import TEMPORAL, plant
from viba_lib.data.faces import crop
from viba_lib.data.flow import farneback, flow_to_input, scale_flow
from viba_lib.experiments.benchmark.maps import network_of, probabilities_of
from viba_lib.experiments.common import Bootstrap, means_of, with_intervals
from viba_lib.pipeline.consecutive import consecutive, film_of
from viba_lib.pipeline.study import Study

FAKE = 1
DETECTOR = "flow-vgg11"
ITSELF = "p(fake) itself"


@dataclass(frozen=True)
class Moment:
    """A clip disturbed for some of its time: inputs (T, 3, S, S), truth (T,) bool, its method."""

    inputs: torch.Tensor
    truth: np.ndarray
    method: str


def disturbed(study: Study, video_id: str, method: str, seed: int = 0) -> Moment:
    """A real clip whose middle third has a temporal artefact.

    A pair of frames is disturbed where one of the two is: the way in and the way out count.

    Raises
    ------
    VibaError
        A method that is not temporal, an unknown video, or one too short.
    """
    if method not in TEMPORAL:
        raise VibaError(f"method {method!r} disturbs no motion; choose one of {TEMPORAL}")
    clip = consecutive(study, video_id, study.profile.comparison.clip_frames)
    frames, _ = film_of(study, video_id, study.profile.comparison.clip_frames + 1)
    count, side = len(clip.frame), clip.pairs.shape[2]
    if count < 5:
        raise VibaError(f"{video_id!r} has {count} frames with a face; expected 5 or more")
    first, last = count // 3, max(count // 3 + 2, 2 * count // 3)
    centre, size = clip.squares[:, None, :2], clip.squares[:, None, 2:]
    points = (clip.landmarks - 0.5) * size + centre
    held = frames[clip.frame].copy()
    held[first:last], _ = plant(
        held[first:last], points[first:last], method, np.random.default_rng(seed)
    )
    following = np.concatenate([held[1:], frames[clip.frame[-1:] + 1]])
    flows = [
        farneback(crop(a, tuple(square), side), crop(b, tuple(square), side))
        for a, b, square in zip(held, following, clip.squares, strict=True)
    ]
    width = study.settings(DETECTOR).size
    inputs = torch.stack([torch.from_numpy(flow_to_input(scale_flow(f, width))) for f in flows])
    at = np.arange(count)
    return Moment(inputs, (at >= first - 1) & (at < last), method)


def moments(study: Study, count: int) -> list[Moment]:
    """Up to `count` disturbed clips of held-out real videos, of the temporal methods in turn."""
    real = study.frames("test", DETECTOR)
    videos = real[real.label == 0].video_id.drop_duplicates().sort_values().to_list()
    return [
        disturbed(study, video, TEMPORAL[i % len(TEMPORAL)], study.seed + i)
        for i, video in enumerate(videos[:count])
    ]


def moment_scores(
    study: Study, values: Mapping[str, Any], names: Sequence[str] = NAMES
) -> pd.DataFrame:
    """Does relevance for "fake" rise in the disturbed pairs? Cached.

    A method's value at a moment is the sum of its map. The detector's own probability stands
    beside: a map that tells less of time than the probability that it explains adds nothing there.

    Returns
    -------
    method, video_id (number of the clip), planted, auc (of telling disturbed pairs of a clip from
    the others, 0.5 is chance).
    """
    settings = study.profile.comparison
    chosen = {name: str(values.get(name)) for name in names}
    sizes = [settings.clips, settings.clip_frames, settings.short_passes, study.seed]
    code = code_hash("baselines", "bottleneck", "experiments.benchmark.temporal_localisation",
                     "pipeline.consecutive", "data.artefacts")  # fmt: skip
    bottleneck = asdict(study.profile.bottleneck)
    weights = study.weights_path(DETECTOR).parent.name
    key = {"weights": weights, "chosen": chosen, "sizes": sizes, "settings": bottleneck,
           "code": code}  # fmt: skip

    def compute(folder: Path) -> None:
        network, rows = network_of(study, DETECTOR), []
        probabilities = probabilities_of(study, DETECTOR)
        for number, moment in enumerate(moments(study, settings.clips)):
            study.progress(f"moments: clip {number + 1} of {settings.clips}, {moment.method}")
            facts = {"video_id": str(number), "planted": moment.method}
            sums = {ITSELF: probabilities(moment.inputs)[:, FAKE]}
            for name in names:
                maps = draw_maps(name, network, moment.inputs, FAKE, settings.short_passes,
                                 study.seed, values.get(name))  # fmt: skip
                sums[name] = maps.sum((1, 2))
            rows += [
                {"method": name, **facts, "auc": float(roc_auc_score(moment.truth, total))}
                for name, total in sums.items()
            ]
        columns = ["method", "video_id", "planted", "auc"]
        pd.DataFrame(rows, columns=columns).to_parquet(folder / "scores.parquet")

    folder = study.stage("moments", key, compute)
    return pd.read_parquet(folder / "scores.parquet")


def moment_table(scores: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Means of `moment_scores` with 95 % intervals over clips, best first: name, clips, auc."""
    rows = []
    for name, part in scores.groupby("method", sort=False):
        means = with_intervals(part, means_of(["auc"]), Bootstrap.of(study))
        rows.append({"name": name, "method": name, "clips": len(part)} | means)
    return pd.DataFrame(rows).sort_values("auc", ascending=False, ignore_index=True)
