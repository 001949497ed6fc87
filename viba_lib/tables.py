"""The results tables of the book, each made in one place for the chapters that show it."""

from collections.abc import Sequence

import cv2
import numpy as np
import pandas as pd
import xarray as xr

from viba_lib.evaluation.agreement import (
    REGIONS,
    agreement_table,
    planted_regions,
    region_masks,
    regions_of,
)
from viba_lib.evaluation.consistency import (
    highlight,
    mean_iou,
    pixel_persistence,
    region_persistence,
    temporal_consistency,
)
from viba_lib.evaluation.detection import bootstrap_interval, detection_metrics
from viba_lib.evaluation.faithfulness import mass_inside, mass_ratio, pointing_game
from viba_lib.evaluation.paper import TABLE_2, TABLE_3, TABLE_4
from viba_lib.study import DETECTORS, Study

DETECTION = ("accuracy", "precision", "recall", "auc", "ece")
CONSISTENCY = ("iou", "tcs", "rpi", "persistence")
PAPER_SIZE = 924


def with_intervals(
    frame: pd.DataFrame, measures: Sequence[str], column: str, draws: int, seed: int
) -> dict[str, float]:
    """Measures of decisions by `column`, each with a 95 % interval from a bootstrap over videos."""
    values = detection_metrics(frame.label.to_numpy(), frame[column].to_numpy())
    row: dict[str, float] = {}
    for measure in measures:

        def statistic(part: pd.DataFrame, measure: str = measure) -> float:
            return detection_metrics(part.label.to_numpy(), part[column].to_numpy())[measure]

        low, high = bootstrap_interval(frame, statistic, draws=draws, seed=seed)
        row |= {measure: values[measure], f"{measure}_low": low, f"{measure}_high": high}
    return row


def held_out_table(study: Study) -> pd.DataFrame:
    """Detection on identities never trained on, over all prepared test frames."""
    rows = []
    for detector in DETECTORS:
        found = study.predictions(detector)
        found = found[(found.split == "test") & found.judged]
        draws = min(200, study.profile.evaluation.draws)
        row = with_intervals(found, ("accuracy", "auc"), "p_fake", draws, study.seed)
        rows.append({"name": detector, "frames": len(found), "videos": found.video_id.nunique()} | row)
    return pd.DataFrame(rows)


def explained(study: Study, detector: str) -> tuple[pd.DataFrame, xr.Dataset]:
    """Table of explained test frames, and their maps."""
    maps = study.explanations(detector)
    frame = maps.drop_vars("relevance").to_dataframe().reset_index(drop=True)
    return frame, maps


def table_2(study: Study) -> pd.DataFrame:
    """Detection with and without the bottleneck on the explained test frames (paper's Table 2)."""
    rows = []
    for detector in DETECTORS:
        frame, _ = explained(study, detector)
        for injected, column in ((False, "p_fake"), (True, "p_fake_bottleneck")):
            draws = min(200, study.profile.evaluation.draws)
            row = with_intervals(frame, DETECTION, column, draws, study.seed)
            name = f"{detector} {'+' if injected else '-'}"
            rows.append({"name": name, "detector": detector, "bottleneck": injected} | row)
    return pd.DataFrame(rows)


def consistency_by_video(study: Study, detector: str, threshold: float) -> pd.DataFrame:
    """IoU, TCS, RPI and persistence of each explained test video, at the paper's 924 px."""
    frame, maps = explained(study, detector)
    rows = []
    for video_id, group in frame.groupby("video_id", sort=True):
        relevance = maps.relevance.values[group.sort_values("frame").index]
        size = (PAPER_SIZE, PAPER_SIZE)
        wide = np.stack([cv2.resize(r, size, interpolation=cv2.INTER_LINEAR) for r in relevance])
        masks = highlight(wide, threshold)
        rows.append(
            {
                "detector": detector,
                "video_id": video_id,
                "label": "fake" if group.label.iloc[0] else "real",
                "threshold": threshold,
                "iou": mean_iou(masks),
                "tcs": temporal_consistency(masks),
                "rpi": region_persistence(masks),
                "persistence": pixel_persistence(masks),
            }
        )
    return pd.DataFrame(rows)


def table_3(study: Study, threshold: float = 0.5) -> pd.DataFrame:
    """Means over videos with 95 % intervals (paper's Table 3)."""
    rows = []
    for detector in DETECTORS:
        videos = consistency_by_video(study, detector, threshold)
        for label in ("fake", "real"):
            part = videos[videos.label == label]
            row: dict[str, object] = {"name": f"{detector} {label}", "detector": detector}
            row |= {"label": label, "videos": len(part)}
            for measure in CONSISTENCY:
                low, high = bootstrap_interval(
                    part, lambda d, m=measure: float(d[m].mean()), draws=200, seed=study.seed
                )
                row |= {measure: part[measure].mean(), f"{measure}_low": low}
                row |= {f"{measure}_high": high}
            rows.append(row)
    return pd.DataFrame(rows)


def regions_by_video(study: Study, detector: str, top: int = 3) -> pd.DataFrame:
    """Planted regions and highlighted regions of each explained fake test video."""
    frame, maps = explained(study, detector)
    catalog = study.catalog().set_index("video_id")
    rows = []
    for video_id, group in frame[frame.label == 1].groupby("video_id", sort=True):
        clip = study.clip(str(video_id))
        relevance = maps.relevance.values[group.index].mean(0)
        masks = region_masks(clip.landmarks.mean(0), relevance.shape[0])
        row = catalog.loc[video_id]
        region = row["region"] if row.get("region") else row["method"]
        rows.append(
            {
                "video_id": video_id,
                "method": row["method"],
                "annotated": "".join(sorted(planted_regions(region))) if region else "",
                "found": "".join(regions_of(relevance, masks, top)),
            }
        )
    return pd.DataFrame(rows, columns=["video_id", "method", "annotated", "found"])


def table_4(study: Study, top: int = 3, annotations: pd.DataFrame | None = None) -> pd.DataFrame:
    """Agreement of highlighted with annotated regions (paper's Table 4).

    Parameters
    ----------
    annotations : video, regions (letters), one row per annotator and video; None = the planted
        regions. With several annotators, a video's regions are the `top` most frequent ones.
    """
    rows = []
    for detector in DETECTORS:
        videos = regions_by_video(study, detector, top)
        if annotations is not None:
            votes = {
                str(video): pd.Series(list("".join(group.regions))).value_counts().index[:top]
                for video, group in annotations.groupby("video")
            }
            videos = videos[videos.video_id.isin(votes)]
            videos = videos.assign(annotated=[set(votes[v]) for v in videos.video_id])
        scores = agreement_table([set(a) for a in videos.annotated], [list(f) for f in videos.found])
        rows.append({"detector": detector, **scores.to_dict()})
    return pd.DataFrame(rows)


def region_shares(study: Study, top: int = 3) -> pd.DataFrame:
    """Share of fake test videos in which each region is planted or highlighted (Figure 2)."""
    rows = []
    for detector in DETECTORS:
        videos = regions_by_video(study, detector, top)
        for column, who in (("annotated", f"planted for {detector}"), ("found", f"VIBA, {detector}")):
            for region in REGIONS:
                share = float(videos[column].str.contains(region).mean()) if len(videos) else 0.0
                rows.append({"region": region, "who": who, "share": share})
    return pd.DataFrame(rows)


def localisation(study: Study, detector: str, maps: xr.Dataset | None = None) -> pd.DataFrame:
    """Where relevance lies against the planted mask, for each explained fake frame.

    Parameters
    ----------
    maps : result of `study.explain`; None = the evaluation frames at the paper's layer

    Returns
    -------
    video_id, frame, method, inside (share of relevance), area (the mask's share of the frame),
    ratio (inside / area, chance is 1), hit (strongest pixel inside).
    """
    maps = study.explanations(detector) if maps is None else maps
    table = study.frames(detector=detector).set_index(["video_id", "position"])
    rows = []
    for item in range(maps.sizes["item"]):
        one = maps.isel(item=item)
        if int(one.label) == 0:
            continue
        key = (str(one.video_id.values), int(one.position))
        row = table.loc[[key]].reset_index()
        mask, relevance = study.masks(detector, row)[0], one.relevance.values
        if mask.max() == 0:
            continue
        rows.append(
            {
                "video_id": key[0],
                "frame": int(one.frame),
                "method": str(one.method.values),
                "inside": mass_inside(relevance, mask),
                "area": float(mask.mean()),
                "ratio": mass_ratio(relevance, mask),
                "hit": pointing_game(relevance, mask),
            }
        )
    names = ["video_id", "frame", "method", "inside", "area", "ratio", "hit"]
    return pd.DataFrame(rows, columns=names)


def paper_beside_run(study: Study) -> pd.DataFrame:
    """Every number of the paper's Tables 2 to 4 beside this run's, with its interval and status."""
    rows = []
    for table, paper, run, keys, chapter in (
        ("Table 2", TABLE_2, table_2(study), ["detector", "bottleneck"], "08_detection_performance"),
        ("Table 3", TABLE_3, table_3(study), ["detector", "label"], "09_consistency"),
        ("Table 4", TABLE_4, table_4(study), ["detector"], "10_human_agreement"),
    ):
        joined = paper.merge(run, on=keys, suffixes=("_paper", ""))
        measures = [c for c in paper if c not in keys]
        for _, row in joined.iterrows():
            for measure in measures:
                percent = measure not in ("ece", "iou", "tcs", "rpi")
                scale = 100 if percent else 1
                low, high = (row.get(f"{measure}_{end}", np.nan) * scale for end in ("low", "high"))
                rows.append(
                    {
                        "table": table,
                        "row": " ".join(_cell(row[k]) for k in keys),
                        "measure": measure + (" (%)" if percent else ""),
                        "paper": row[f"{measure}_paper"],
                        "run": row[measure] * scale,
                        "low": low,
                        "high": high,
                        "status": _status(study, row[f"{measure}_paper"], low, high),
                        "chapter": chapter,
                    }
                )
    return pd.DataFrame(rows)


def _cell(value: object) -> str:
    return {True: "with bottleneck", False: "without"}.get(value, str(value))  # type: ignore[call-overload]


def _status(study: Study, paper: float, low: float, high: float) -> str:
    if study.profile.name != "paper":
        return "other data: not comparable"
    if not np.isfinite(low):
        return "no interval"
    return "reproduced" if low <= paper <= high else "differs"
