"""Tables of agreement with annotated regions: Table 4 and Figure 2."""

from pathlib import Path

import pandas as pd

from viba_lib.data.prepared import PreparedClip
from viba_lib.errors import VibaError
from viba_lib.evaluation.agreement import (
    REGIONS,
    agreement_table,
    planted_regions,
    region_masks,
    regions_of,
    vote,
)
from viba_lib.study import DETECTORS, Study
from viba_lib.tables.common import explained, with_intervals


def read_annotations(path: str | Path) -> pd.DataFrame:
    """Human annotations from a CSV: annotator, video, regions (letters such as LB).

    Raises
    ------
    VibaError
        No such file, or missing columns.
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


def regions_by_video(
    study: Study, detector: str, top: int = 3, annotations: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Annotated and highlighted regions of each explained fake test video.

    Parameters
    ----------
    annotations : see `read_annotations`; videos without any are left out. With None the planted
        regions stand in for annotations.

    Returns
    -------
    video_id, method, annotated (letters, the `top` most frequent first), found (letters,
    strongest first).
    """
    frame, maps = explained(study, detector)
    catalog = study.catalog().set_index("video_id")
    votes: dict[str, str] = {}
    if annotations is not None:
        groups = annotations.groupby(annotations.video.astype(str))
        votes = {str(video): vote(group.regions, top) for video, group in groups}
    rows = []
    for video_id, group in frame[frame.label == 1].groupby("video_id", sort=True):
        clip, row = study.clip(str(video_id)), catalog.loc[video_id]
        known = _planted_letters(study, row, clip) if annotations is None else votes.get(video_id)
        if not known:
            continue
        relevance = maps.relevance.values[group.index].mean(0)
        masks = region_masks(clip.landmarks.mean(0), relevance.shape[0])
        found = "".join(regions_of(relevance, masks, top))
        rows.append((video_id, row["method"], known, found))
    return pd.DataFrame(rows, columns=["video_id", "method", "annotated", "found"])


def table_4(study: Study, top: int = 3, annotations: pd.DataFrame | None = None) -> pd.DataFrame:
    """Agreement of highlighted with annotated regions, with intervals (paper's Table 4).

    Parameters
    ----------
    annotations : see `regions_by_video`
    """

    def agreement(videos: pd.DataFrame) -> dict[str, float]:
        found = agreement_table(videos.annotated.tolist(), videos.found.tolist())
        return found.drop("videos").to_dict()

    rows = []
    for detector in DETECTORS:
        videos = regions_by_video(study, detector, top, annotations)
        row = {"detector": detector, "videos": len(videos)}
        rows.append(row | with_intervals(videos, agreement, study))
    return pd.DataFrame(rows)


def region_shares(
    study: Study, top: int = 3, annotations: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Share of fake test videos in which each region is annotated or highlighted (Figure 2)."""
    rows = []
    source = "planted" if annotations is None else "annotated"
    for detector in DETECTORS:
        videos = regions_by_video(study, detector, top, annotations)
        for column, who in (
            ("annotated", f"{source} for {detector}"),
            ("found", f"VIBA, {detector}"),
        ):
            for region in REGIONS:
                share = float(videos[column].str.contains(region).mean()) if len(videos) else 0.0
                rows.append({"region": region, "who": who, "share": share})
    return pd.DataFrame(rows)
