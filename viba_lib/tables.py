"""The results tables of the book, each made in one place for the chapters that show it."""

import html
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pandas as pd
import xarray as xr

from viba_lib.data.catalog import resolve
from viba_lib.errors import VibaError
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
from viba_lib.overlay import overlay, overlay_video, paste_back, video_html
from viba_lib.study import DETECTORS, Study
from viba_lib.video import read_video

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
        rows.append(
            {"name": detector, "frames": len(found), "videos": found.video_id.nunique()} | row
        )
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

                def mean(drawn: pd.DataFrame, measure: str = measure) -> float:
                    return float(drawn[measure].mean())

                low, high = bootstrap_interval(part, mean, draws=200, seed=study.seed)
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
        scores = agreement_table(
            [set(a) for a in videos.annotated], [list(f) for f in videos.found]
        )
        rows.append({"detector": detector, **scores.to_dict()})
    return pd.DataFrame(rows)


def region_shares(study: Study, top: int = 3) -> pd.DataFrame:
    """Share of fake test videos in which each region is planted or highlighted (Figure 2)."""
    rows = []
    for detector in DETECTORS:
        videos = regions_by_video(study, detector, top)
        for column, who in (
            ("annotated", f"planted for {detector}"),
            ("found", f"VIBA, {detector}"),
        ):
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
        (
            "Table 2",
            TABLE_2,
            table_2(study),
            ["detector", "bottleneck"],
            "08_detection_performance",
        ),
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


@dataclass(frozen=True)
class Explained:
    """Inputs with their maps: images (T, S, S, 3), masks (T, S, S), maps by name, measures."""

    images: np.ndarray
    masks: np.ndarray
    labels: list[str]
    maps: dict[str, np.ndarray]
    table: pd.DataFrame


def entropy(relevance: np.ndarray) -> float:
    """Entropy of a map (H, W) over pixels, in bits; low is focused."""
    share = np.clip(relevance, 0, None).ravel() / max(
        float(np.clip(relevance, 0, None).sum()), 1e-12
    )
    share = share[share > 0]
    return float(-(share * np.log2(share)).sum())


def choose_rows(study: Study, detector: str, count: int) -> pd.DataFrame:
    """Held-out fake and real frames, `count` each, one per video; the surest fakes first."""
    found = study.predictions(detector)
    found = found[(found.split == "test") & found.judged]
    fake = found[found.label == 1].sort_values("p_fake", ascending=False)
    real = found[found.label == 0].sort_values("p_fake")
    parts = [part.drop_duplicates("video_id").head(count) for part in (fake, real)]
    return pd.concat(parts).reset_index(drop=True)


def injection_maps(study: Study, layer: str, beta: float, count: int) -> dict[str, Explained]:
    """The same inputs at the paper's injection layers (chapter 05).

    Raises
    ------
    VibaError
        A layer that is none of the paper's.
    """
    known = [name for detector in DETECTORS for name in study.layers(detector)]
    if layer != "all" and layer not in known:
        raise VibaError(f"layer {layer!r} is not known here; choose 'all' or one of {known}")
    out = {}
    for detector in DETECTORS:
        rows = choose_rows(study, detector, count)
        names = [n for n in study.layers(detector) if layer in ("all", n)] or [
            study.layer(detector)
        ]
        masks = study.masks(detector, rows)
        maps, measures = {}, []
        for name in names:
            maps[name] = study.explain(detector, rows, name, beta=beta).relevance.values
            on = [mass_ratio(r, m) for r, m in zip(maps[name], masks, strict=True) if m.max() > 0]
            measures.append(
                {
                    "detector": detector,
                    "layer": name,
                    "bits": float(maps[name].sum((1, 2)).mean()),
                    "entropy": float(np.mean([entropy(r) for r in maps[name]])),
                    "ratio": float(np.mean(on)) if on else float("nan"),
                    "fakes": len(on),
                }
            )
        labels = [f"{r.method or 'real'}, {r.p_fake:.2f}" for r in rows.itertuples()]
        images = study.images(detector, rows)
        out[detector] = Explained(images, masks, labels, maps, pd.DataFrame(measures))
    return out


def bottleneck_types(study: Study, count: int) -> Explained:
    """Per-sample and readout maps of the same held-out fake frames (chapter 06)."""
    rows = study.evaluation_rows("xception").query("label == 1")
    rows = rows.groupby("method", sort=True).head(2).head(count).reset_index(drop=True)
    masks, inputs = study.masks("xception", rows), study.inputs("xception", rows)
    maps, seconds = {}, {}
    runs: dict[str, Any] = {
        "per-sample": study.bottleneck("xception"),
        "readout": study.readout("xception"),
    }
    for name, bottleneck in runs.items():
        start = time.perf_counter()
        maps[name] = bottleneck.attribute(inputs).bits_per_pixel.numpy()
        seconds[name] = (time.perf_counter() - start) / len(rows)
    measures = []
    for name, found in maps.items():
        overlaps = [
            mean_iou(highlight(found[group.index]))
            for _, group in rows.groupby("video_id")
            if len(group) > 1
        ]
        ratios = [mass_ratio(r, m) for r, m in zip(found, masks, strict=True)]
        measures.append(
            {
                "kind": name,
                "frames": len(rows),
                "ratio": float(np.nanmean(ratios)),
                "entropy": float(np.mean([entropy(r) for r in found])),
                "iou": float(np.mean(overlaps)) if overlaps else float("nan"),
                "seconds": seconds[name],
            }
        )
    images = study.images("xception", rows)
    return Explained(images, masks, rows.method.tolist(), maps, pd.DataFrame(measures))


def relevance_videos(study: Study, max_frames: int) -> dict[str, str]:
    """`<video>` elements of a real and a fake test video for each detector (chapter 07)."""
    catalog = study.catalog().set_index("video_id")
    out = {}
    for detector in DETECTORS:
        frame, maps = explained(study, detector)
        for label, kind in ((1, "fake"), (0, "real")):
            part = frame[frame.label == label]
            best = part.groupby("video_id").p_fake.mean().sort_values(ascending=not label).index[0]
            part = part[part.video_id == best].sort_values("frame").head(max_frames)
            clip = study.clip(str(best))
            row = catalog.loc[best]
            video = read_video(resolve(row.path, study.catalog_root()))
            shown = video.frames[part.frame.to_numpy()]
            squares = [clip.squares[p] for p in part.position]
            shape = (shown.shape[1], shown.shape[2])
            pasted = np.stack(
                [
                    paste_back(shape, s, r)
                    for s, r in zip(squares, maps.relevance.values[part.index], strict=True)
                ]
            )
            folder = study.root / "videos"
            path = folder / f"{detector}-{kind}.mp4"
            overlay_video(path, shown, pasted, 2.0, part.p_fake.to_numpy())
            still = overlay(shown[:1], pasted[:1])[0]
            text = f"Relevance of {detector} on a {kind} video"
            text += f", planted artefact: {row.method}" if row.method else ""
            text += f"; mean probability of fake {part.p_fake.mean():.2f}"
            out[f"{detector} {kind}"] = (
                f"{video_html(path, still, text)}<p>{html.escape(text)}.</p>"
            )
    return out


def threshold_sweep(study: Study) -> pd.DataFrame:
    """Mean IoU, TCS and RPI over thresholds, per detector and label (chapter 09)."""
    parts = [
        consistency_by_video(study, detector, threshold)
        for detector in DETECTORS
        for threshold in (0.1, 0.3, 0.5, 0.7, 0.9)
    ]
    groups = pd.concat(parts).groupby(["detector", "label", "threshold"])
    return groups[["iou", "tcs", "rpi"]].mean().reset_index()
