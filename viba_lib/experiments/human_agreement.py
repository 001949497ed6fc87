"""Tables of agreement with annotated regions: Table 4 and Figure 2."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from viba_lib.core.errors import VibaError
from viba_lib.data.clip_store import PreparedClip
from viba_lib.evaluation.agreement import (
    REGIONS,
    RULES,
    agreement_table,
    planted_regions,
    region_masks,
    regions_of,
    vote,
)
from viba_lib.experiments.common import Bootstrap, explained, with_intervals
from viba_lib.pipeline.study import DETECTORS, Study

# Besides the rules for one map: each frame has a vote, and the map of a video is not averaged.
VOTES = "votes"
TOPS = (1, 2, 3, 4)


def read_annotations(path: str | Path) -> pd.DataFrame:
    """Human annotations from a CSV: annotator, video, regions (letters such as LB).

    An annotator who found nothing has "" for regions.

    Raises
    ------
    VibaError
        No such file, missing columns, letters that are no region, or two answers of one annotator
        to one video.
    """
    path = Path(path)
    if not path.is_file():
        raise VibaError(f'annotations {path} do not exist; expected a CSV, or "" for none')
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    missing = {"annotator", "video", "regions"} - set(frame)
    if missing:
        raise VibaError(
            f"{path} has columns {list(frame)}; expected annotator, video, regions: "
            f"{', '.join(sorted(missing))} missing"
        )
    frame["regions"] = frame.regions.str.strip().str.upper()
    wrong = frame[frame.regions.map(lambda r: not set(r) <= set(REGIONS))]
    if len(wrong):
        raise VibaError(
            f"{path}, line {wrong.index[0] + 2}: regions are {wrong.regions.iloc[0]!r}; expected "
            f"letters of {''.join(REGIONS)}, such as LB for lips and brows"
        )
    twice = frame[frame.duplicated(["annotator", "video"])]
    if len(twice):
        raise VibaError(
            f"{path}, line {twice.index[0] + 2}: annotator {twice.annotator.iloc[0]!r} has a "
            f"second answer to video {twice.video.iloc[0]!r}; expected one"
        )
    return frame


def _planted_letters(study: Study, row: pd.Series, clip: PreparedClip) -> str:
    """Planted regions of a video, the one that most of the mask lies in first; "" if unknown."""
    region = row["region"] if row.get("region") else row["method"]
    if study.profile.dataset.kind != "planted" or not region:
        return ""
    mask = clip.masks.astype(float).mean(0)
    regions = region_masks(clip.landmarks.mean(0), mask.shape[0])
    letters = sorted(planted_regions(region))
    return "".join(sorted(letters, key=lambda k: mask[regions[k]].sum(), reverse=True))


def _found(relevance: np.ndarray, landmarks: np.ndarray, top: int, rule: str) -> str:
    """Regions that the maps (T, S, S) of a video highlight, strongest first."""
    size = relevance.shape[-1]
    if rule != VOTES:
        return "".join(
            regions_of(relevance.mean(0), region_masks(landmarks.mean(0), size), top, rule)
        )
    answers = [
        "".join(regions_of(one, region_masks(points, size), top))
        for one, points in zip(relevance, landmarks, strict=True)
    ]
    return vote(answers, top)


def regions_by_video(
    study: Study,
    detector: str,
    top: int = 3,
    annotations: pd.DataFrame | None = None,
    rule: str = "density",
) -> pd.DataFrame:
    """Annotated and highlighted regions of each explained fake test video.

    Parameters
    ----------
    annotations : see `read_annotations`; videos without any are left out. With None the planted
        regions stand in for annotations.
    rule : how maps rank regions: one of `evaluation.agreement.RULES` for the mean map, or "votes"
        for the most frequent ones of its frames

    Returns
    -------
    video_id, method, annotated (letters, the three most frequent first), found (letters, strongest
    first).
    """
    frame, maps = explained(study, detector)
    catalog = study.catalog().set_index("video_id")
    votes: dict[str, str] = {}
    if annotations is not None:
        groups = annotations.groupby(annotations.video.astype(str))
        votes = {str(video): vote(group.regions) for video, group in groups}
    rows = []
    for video_id, group in frame[frame.label == 1].groupby("video_id", sort=True):
        clip, row = study.clip(str(video_id)), catalog.loc[video_id]
        known = _planted_letters(study, row, clip) if annotations is None else votes.get(video_id)
        if not known:
            continue
        landmarks = clip.landmarks[group.position]
        found = _found(maps.relevance.values[group.index], landmarks, top, rule)
        rows.append((video_id, row["method"], known, found))
    return pd.DataFrame(rows, columns=["video_id", "method", "annotated", "found"])


def _agreement(videos: pd.DataFrame) -> dict[str, float]:
    found = agreement_table(videos.annotated.tolist(), videos.found.tolist())
    return found.drop("videos").to_dict()


def by_chance(videos: pd.DataFrame, seed: int = 0, draws: int = 200) -> pd.DataFrame:
    """Agreement where each video gets the highlighted regions of another one, drawn at random.

    What is left after that shuffle is what regions agree on because some are often annotated and
    often highlighted, whatever the video.

    Returns
    -------
    One row per draw with the measures of `agreement_table`.
    """
    rng = np.random.default_rng(seed)
    found = videos.found.to_numpy()
    return pd.DataFrame(
        [_agreement(videos.assign(found=rng.permutation(found))) for _ in range(draws)]
    )


def table_4(
    study: Study, top: int = 3, annotations: pd.DataFrame | None = None, rule: str = "density"
) -> pd.DataFrame:
    """Agreement of highlighted with annotated regions, with intervals (paper's Table 4).

    Parameters
    ----------
    top, annotations, rule : see `regions_by_video`

    Returns
    -------
    detector, videos, each measure with _low and _high, and with _chance: its mean where maps are
    dealt to other videos.
    """
    rows = []
    for detector in DETECTORS:
        videos = regions_by_video(study, detector, top, annotations, rule)
        row = {"detector": detector, "rule": rule, "top": top, "videos": len(videos)}
        row |= with_intervals(videos, _agreement, Bootstrap.of(study))
        chance = by_chance(videos, study.seed).mean()
        rows.append(row | {f"{name}_chance": value for name, value in chance.items()})
    return pd.DataFrame(rows)


def rules_table(
    study: Study,
    annotations: pd.DataFrame | None = None,
    tops: Sequence[int] = TOPS,
) -> pd.DataFrame:
    """Table 4 under each rule and each number of regions, without intervals.

    Returns
    -------
    detector, rule, top, videos, f1, precision, recall, overlap, top1.
    """
    rows = []
    for detector in DETECTORS:
        for rule in (*RULES, VOTES):
            for top in tops:
                videos = regions_by_video(study, detector, top, annotations, rule)
                facts = {"detector": detector, "rule": rule, "top": top, "videos": len(videos)}
                rows.append(facts | _agreement(videos))
    return pd.DataFrame(rows)


def region_shares(
    study: Study, top: int = 3, annotations: pd.DataFrame | None = None, rule: str = "density"
) -> pd.DataFrame:
    """Share of fake test videos in which each region is annotated or highlighted (Figure 2)."""
    rows = []
    source = "planted" if annotations is None else "annotated"
    for detector in DETECTORS:
        videos = regions_by_video(study, detector, top, annotations, rule)
        for column, who in (
            ("annotated", f"{source} for {detector}"),
            ("found", f"VIBA, {detector}"),
        ):
            for region in REGIONS:
                share = float(videos[column].str.contains(region).mean()) if len(videos) else 0.0
                rows.append({"region": region, "who": who, "share": share})
    return pd.DataFrame(rows)
