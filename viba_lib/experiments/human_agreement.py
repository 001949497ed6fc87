"""Tables of agreement with annotated regions: Table 4 and Figure 2."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from viba_lib.core.errors import VibaError
from viba_lib.core.files import user_path
from viba_lib.core.tables import read_csv
from viba_lib.evaluation import agreement
from viba_lib.evaluation.significance import with_intervals
from viba_lib.experiments.common import Bootstrap, ExplainedVideo

# Besides the rules for the mean map of a video: each frame has a vote.
VOTES = "votes"
TOPS = (1, 2, 3, 4)
ANNOTATION = ("annotator", "video", "regions")


def read_annotations(path: str | Path) -> pd.DataFrame:
    """Human annotations from a text table: annotator, video, regions (letters such as LB).

    An annotator who marked nothing has "" for regions.

    Raises
    ------
    VibaError
        No such file, not a table, missing columns, letters that are no region, or two answers of
        one annotator to one video.
    """
    path = user_path(path)
    if not path.is_file():
        raise VibaError(f'annotations {path} do not exist; expected a CSV, or "" for none')
    frame = read_csv(path, ANNOTATION)
    missing = set(ANNOTATION) - set(frame)
    if missing:
        raise VibaError(
            f"{path} has columns {list(frame)}; expected annotator, video, regions: "
            f"{', '.join(sorted(missing))} missing"
        )
    frame["regions"] = frame.regions.str.upper()
    wrong = frame[frame.regions.map(lambda r: not set(r) <= set(agreement.REGIONS))]
    if len(wrong):
        raise VibaError(
            f"{path}, line {wrong.index[0] + 2}: regions are {wrong.regions.iloc[0]!r}; expected "
            f"letters of {''.join(agreement.REGIONS)}, such as LB for lips and brows"
        )
    twice = frame[frame.duplicated(["annotator", "video"])]
    if len(twice):
        raise VibaError(
            f"{path}, line {twice.index[0] + 2}: annotator {twice.annotator.iloc[0]!r} has a "
            f"second answer to video {twice.video.iloc[0]!r}; expected one"
        )
    return frame


def _highlighted(relevance: np.ndarray, landmarks: np.ndarray, top: int, rule: str) -> str:
    """Regions that the maps (T, S, S) of a video highlight, strongest first."""
    size = relevance.shape[-1]
    if rule != VOTES:
        masks = agreement.region_masks(landmarks.mean(0), size)
        return "".join(agreement.regions_of(relevance.mean(0), masks, top, rule))
    answers = [
        "".join(agreement.regions_of(one, agreement.region_masks(points, size), top))
        for one, points in zip(relevance, landmarks, strict=True)
    ]
    return agreement.vote(answers, top)


def regions_by_video(
    videos: Iterable[ExplainedVideo],
    top: int = 3,
    annotations: pd.DataFrame | None = None,
    rule: str = "density",
) -> pd.DataFrame:
    """Annotated and highlighted regions of the fakes among explained videos.

    Parameters
    ----------
    top : number of regions that a map highlights
    annotations : see `read_annotations`; videos without any are left out. With None the planted
        regions replace annotations.
    rule : how maps rank regions: one of `evaluation.agreement.RULES` for the mean map, or "votes"
        for the most frequent ones of its frames

    Returns
    -------
    video_id, method, annotated (letters, the three most frequent first), highlighted (letters,
    strongest first).
    """
    votes: dict[str, str] = {}
    if annotations is not None:
        groups = annotations.groupby(annotations.video.astype(str))
        votes = {str(video): agreement.vote(group.regions) for video, group in groups}
    rows = []
    for video in videos:
        known = video.planted if annotations is None else votes.get(video.video_id)
        if video.fake and known:
            regions = _highlighted(video.relevance, video.landmarks, top, rule)
            rows.append((video.video_id, video.frames.method.iloc[0], known, regions))
    return pd.DataFrame(rows, columns=["video_id", "method", "annotated", "highlighted"])


def no_regions(values: pd.Series) -> str:
    """Sentence that replaces the agreement if no fake has known regions; "" if one has.

    Parameters
    ----------
    values : of a measure of agreement; NaN without known regions
    """
    if values.notna().any():
        return ""
    return (
        "No fake that is explained here has planted or annotated regions, so the agreement is not "
        "computed."
    )


def table_4(regions: Mapping[str, pd.DataFrame], bootstrap: Bootstrap) -> pd.DataFrame:
    """Agreement of highlighted with annotated regions, with intervals (paper's Table 4).

    Parameters
    ----------
    regions : `regions_by_video` of each detector

    Returns
    -------
    detector, videos, each measure with _low and _high, and with _chance: its mean if maps are
    shuffled among the videos.
    """
    rows = []
    for detector, videos in regions.items():
        row = {"detector": detector, "videos": len(videos)}
        chance = agreement.shuffled_agreement(videos, bootstrap.seed).mean().add_suffix("_chance")
        rows.append(
            row | with_intervals(videos, agreement.agreement_of, *bootstrap) | chance.to_dict()
        )
    return pd.DataFrame(rows)


def rules_table(
    videos: Mapping[str, Sequence[ExplainedVideo]],
    annotations: pd.DataFrame | None = None,
    tops: Sequence[int] = TOPS,
    rules: Sequence[str] = (*agreement.RULES, VOTES),
) -> pd.DataFrame:
    """Table 4 for each rule and each number of regions, without intervals.

    Parameters
    ----------
    videos : `explained_videos` of each detector
    annotations : see `regions_by_video`

    Returns
    -------
    detector, rule, top, videos, f1, precision, recall, overlap, top1.
    """
    rows = []
    for (detector, explained), rule, top in product(videos.items(), rules, tops):
        regions = regions_by_video(explained, top, annotations, rule)
        facts = {"detector": detector, "rule": rule, "top": top, "videos": len(regions)}
        rows.append(facts | agreement.agreement_of(regions))
    return pd.DataFrame(rows)


def region_shares(regions: Mapping[str, pd.DataFrame], source: str = "planted") -> pd.DataFrame:
    """Share of fake test videos in which each region is annotated or highlighted (Figure 2).

    Parameters
    ----------
    regions : `regions_by_video` of each detector
    source : of the annotated regions, as a legend names it
    """
    rows = []
    for detector, videos in regions.items():
        names = {"annotated": f"{source} for {detector}", "highlighted": f"VIBA, {detector}"}
        for (column, who), region in product(names.items(), agreement.REGIONS):
            share = float(videos[column].str.contains(region).mean()) if len(videos) else 0.0
            rows.append({"region": region, "who": who, "share": share})
    return pd.DataFrame(rows)
