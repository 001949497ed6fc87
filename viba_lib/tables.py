"""The results tables of the book, each made in one place for the chapters that show it."""

import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
import xarray as xr

from viba_lib.baselines import centred_gaussian, grad_cam, random_maps
from viba_lib.bottleneck.tail import CutModel
from viba_lib.data.catalog import resolve
from viba_lib.data.prepared import PreparedClip
from viba_lib.data.sampling import PAPER_COUNTS
from viba_lib.errors import VibaError
from viba_lib.evaluation.agreement import (
    REGIONS,
    agreement_table,
    planted_regions,
    region_masks,
    regions_of,
    vote,
)
from viba_lib.evaluation.consistency import (
    highlight,
    mean_iou,
    pixel_persistence,
    region_persistence,
    temporal_consistency,
)
from viba_lib.evaluation.detection import bootstrap_intervals, detection_metrics
from viba_lib.evaluation.faithfulness import mass_inside, mass_ratio, pointing_game
from viba_lib.evaluation.paper import NAMES, TABLE_2, TABLE_3, TABLE_4
from viba_lib.evaluation.significance import mcnemar
from viba_lib.overlay import overlay, overlay_video, paste_back, video_html
from viba_lib.study import DETECTORS, Study
from viba_lib.video import iter_frames

CONSISTENCY = ("iou", "tcs", "rpi", "persistence")
PAPER_SIZE = 924  # pixels a side, section 3.4
WIDEST = 640  # pixels of an embedded video, for pages that load on a phone


def with_intervals(
    frame: pd.DataFrame,
    statistics: Callable[[pd.DataFrame], Mapping[str, float]],
    study: Study,
) -> dict[str, float]:
    """Statistics of rows as m, m_low, m_high, with 95 % intervals from a bootstrap over videos."""
    ends = bootstrap_intervals(
        frame, statistics, draws=study.profile.evaluation.draws, seed=study.seed
    )
    row: dict[str, float] = {}
    for name, value in statistics(frame).items():
        row |= {name: value, f"{name}_low": ends[name][0], f"{name}_high": ends[name][1]}
    return row


def detection(column: str) -> Callable[[pd.DataFrame], dict[str, float]]:
    """Detection measures of rows, decided by the probabilities in a column."""
    return lambda rows: detection_metrics(rows.label.to_numpy(), rows[column].to_numpy())


def held_out_table(study: Study) -> pd.DataFrame:
    """Detection on identities never trained on, over all prepared test frames."""
    rows = []
    for detector in DETECTORS:
        found = study.predictions(detector)
        found = found[(found.split == "test") & found.judged]
        row = with_intervals(found, detection("p_fake"), study)
        rows.append(
            {"name": detector, "frames": len(found), "videos": found.video_id.nunique()} | row
        )
    return pd.DataFrame(rows)


def decisions(study: Study) -> pd.DataFrame:
    """How the test frames of each person and method are decided.

    Returns
    -------
    detector, identity, method ("real" for real frames), frames, called_fake (number), share (of
    frames called fake: found fakes, or false alarms).
    """
    parts = []
    for detector in DETECTORS:
        found = study.predictions(detector)
        found = found[(found.split == "test") & found.judged].replace({"method": {"": "real"}})
        by = found.assign(fake=found.p_fake > 0.5).groupby(["identity", "method"]).fake
        table = by.agg(frames="size", called_fake="sum", share="mean").reset_index()
        parts.append(table.assign(detector=detector))
    columns = ["detector", "identity", "method", "frames", "called_fake", "share"]
    return pd.concat(parts, ignore_index=True)[columns]


def robustness_table(study: Study) -> pd.DataFrame:
    """Accuracy and AUC on test frames that were made worse, with intervals over videos.

    Returns
    -------
    detector, corruption, level, frames, accuracy and auc with _low and _high.
    """
    rows = []
    for detector in DETECTORS:
        found = study.robustness(detector)
        for (corruption, level), part in found.groupby(
            ["corruption", "level"], sort=False, dropna=False
        ):
            row = {"detector": detector, "corruption": corruption, "level": level}
            values = with_intervals(part, detection("p_fake"), study)
            kept = {k: v for k, v in values.items() if k.startswith(("accuracy", "auc"))}
            rows.append(row | {"frames": len(part)} | kept)
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
            row = with_intervals(frame, detection(column), study)
            name = f"{detector} {'+' if injected else '-'}"
            rows.append({"name": name, "detector": detector, "bottleneck": injected} | row)
    return pd.DataFrame(rows)


def detection_by_method(study: Study, detector: str) -> pd.DataFrame:
    """Share of right decisions per method, without and with the bottleneck.

    Returns
    -------
    method ("real" for real frames), frames, videos, without, with_bottleneck; shares 0 to 1.
    """
    frame, _ = explained(study, detector)
    frame = frame.assign(
        method=frame.method.where(frame.label == 1, "real"),
        without=(frame.p_fake > 0.5) == frame.label,
        with_bottleneck=(frame.p_fake_bottleneck > 0.5) == frame.label,
    )
    groups = frame.groupby("method", sort=True)
    found = groups[["without", "with_bottleneck"]].mean()
    found.insert(0, "frames", groups.size())
    found.insert(1, "videos", groups.video_id.nunique())
    return found.reset_index().sort_values("method", key=lambda m: m != "real", kind="stable")


def mcnemar_tests(study: Study) -> pd.DataFrame:
    """McNemar's test of decisions without against with the bottleneck, per detector.

    Returns
    -------
    detector, only_without and only_with (frames that only this one got right), p_value.
    """
    rows = []
    for detector in DETECTORS:
        frame, _ = explained(study, detector)
        test = mcnemar(frame.label.to_numpy(), frame.p_fake > 0.5, frame.p_fake_bottleneck > 0.5)
        row = {"only_without": test["only_first"], "only_with": test["only_second"]}
        rows.append({"detector": detector, **row, "p_value": test["p_value"]})
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
            row = {"name": f"{detector} {label}", "detector": detector, "label": label}
            measured = with_intervals(part, lambda v: v[list(CONSISTENCY)].mean().to_dict(), study)
            rows.append(row | {"videos": len(part)} | measured)
    return pd.DataFrame(rows)


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


def explainers(study: Study, detector: str) -> pd.DataFrame:
    """Localisation of VIBA's maps, of Grad-CAM's at the same layer, and of maps that know nothing.

    Returns
    -------
    As `localisation`, for every explained fake frame, and explainer.
    """
    _, maps = explained(study, detector)
    fake = maps.isel(item=np.flatnonzero(maps.label.values == 1))
    known = study.frames(detector=detector).set_index(["video_id", "position"])
    pairs = list(zip(fake.video_id.values.astype(str), fake.position.values, strict=True))
    rows = known.loc[pairs].reset_index()
    shape = fake.relevance.shape
    found = {
        "VIBA": fake.relevance.values,
        "Grad-CAM": grad_cam(
            study.detector(detector), study.layer(detector), study.inputs(detector, rows)
        ),
        "centred blob": centred_gaussian(shape),
        "random": random_maps(shape, study.seed),
    }
    parts = [
        localisation(study, detector, fake.assign(relevance=(("item", "y", "x"), values))).assign(
            explainer=name
        )
        for name, values in found.items()
    ]
    return pd.concat(parts, ignore_index=True).assign(detector=detector)


def explainer_table(study: Study) -> pd.DataFrame:
    """Means of `explainers` over frames, with 95 % intervals over videos."""
    rows = []
    for detector in DETECTORS:
        for name, part in explainers(study, detector).groupby("explainer", sort=False):
            means = with_intervals(part, lambda v: v[["ratio", "hit"]].mean().to_dict(), study)
            row = {"name": f"{detector}, {name}", "detector": detector, "explainer": name}
            rows.append(row | {"frames": len(part), "area": part.area.mean()} | means)
    return pd.DataFrame(rows)


def table_1(catalog: pd.DataFrame) -> pd.DataFrame:
    """The paper's Table 1 beside a catalog.

    Returns
    -------
    dataset, paper (its number of videos, none for sets that it does not have), and of the catalog:
    videos, real, fake, methods, people (known ones). The last row is the sum.
    """
    rows = []
    for name in dict.fromkeys([*NAMES, *sorted(catalog.dataset.unique())]):
        of_set = catalog[catalog.dataset == name]
        rows.append(
            {
                "dataset": NAMES.get(name, name),
                "paper": PAPER_COUNTS.get(name, pd.NA),
                "videos": len(of_set),
                "real": int((of_set.label == "real").sum()),
                "fake": int((of_set.label == "fake").sum()),
                "methods": of_set.method[of_set.method != ""].nunique(),
                "people": of_set.identity[of_set.identity != ""].nunique(),
            }
        )
    table = pd.DataFrame(rows).astype({"paper": "Int64"})
    table.loc[len(table)] = {"dataset": "all"} | table.drop(columns="dataset").sum().to_dict()
    return table


def _table_1(study: Study) -> list[dict[str, object]]:
    """The paper's numbers of videos per data set beside the catalog's."""
    counts = study.catalog().dataset.value_counts()
    rows: list[dict[str, object]] = []
    for key, name in NAMES.items():
        paper, run = PAPER_COUNTS[key], int(counts.get(key, 0))
        rows.append({"table": "Table 1", "row": name, "measure": "videos", "paper": paper,
                     "run": run, "low": float("nan"), "high": float("nan"),
                     "status": _status(study, paper, run, run),
                     "chapter": "02_dataset_construction"})  # fmt: skip
    return rows


def paper_beside_run(study: Study) -> pd.DataFrame:
    """Every number of the paper's Tables 1 to 4 beside this run's.

    Returns
    -------
    table, row, measure, paper, run, low and high (95 % interval of the run), status, chapter.
    """
    rows = _table_1(study)
    for table, paper, run, keys, chapter in (
        ("Table 2", TABLE_2, table_2(study), ["detector", "bottleneck"],
         "08_detection_performance"),
        ("Table 3", TABLE_3, table_3(study), ["detector", "label"], "09_consistency"),
        ("Table 4", TABLE_4, table_4(study), ["detector"], "10_human_agreement"),
    ):  # fmt: skip
        for _, row in paper.merge(run, on=keys, suffixes=("_paper", "")).iterrows():
            for measure in (c for c in paper if c not in keys):
                percent = measure not in ("ece", "iou", "tcs", "rpi")
                value, low, high = (
                    float(row[measure + end]) * (100 if percent else 1)
                    for end in ("", "_low", "_high")
                )
                printed = float(row[f"{measure}_paper"])
                rows.append({"table": table, "row": " ".join(_cell(row[k]) for k in keys),
                             "measure": measure + (" (%)" if percent else ""), "paper": printed,
                             "run": value, "low": low, "high": high,
                             "status": _status(study, printed, low, high),
                             "chapter": chapter})  # fmt: skip
    return pd.DataFrame(rows)


def _cell(value: object) -> str:
    return {True: "with bottleneck", False: "without"}.get(value, str(value))  # type: ignore[call-overload]


def _status(study: Study, paper: float, low: float, high: float) -> str:
    if study.profile.name != "paper":
        return "not run"
    if not np.isfinite(low):
        return "too few videos"
    return "reproduced" if low <= paper <= high else "differs"


@dataclass(frozen=True)
class Explained:
    """Inputs with their maps: images (T, S, S, 3), masks (T, S, S), maps by name, measures."""

    images: np.ndarray
    masks: np.ndarray
    labels: list[str]
    maps: dict[str, np.ndarray]
    table: pd.DataFrame


def choose_rows(study: Study, detector: str, count: int) -> pd.DataFrame:
    """Held-out fake and real frames, `count` each, one per video; the surest fakes first."""
    found = study.predictions(detector)
    found = found[(found.split == "test") & found.judged]
    fake = found[found.label == 1].sort_values("p_fake", ascending=False)
    real = found[found.label == 0].sort_values("p_fake")
    parts = [part.drop_duplicates("video_id").head(count) for part in (fake, real)]
    return pd.concat(parts).reset_index(drop=True)


def noise_response(
    study: Study, detector: str, row: pd.DataFrame, points: int = 11, draws: int = 8
) -> pd.DataFrame:
    """Probability of fake when the whole layer is mixed with noise at one lambda (chapter 04).

    Returns
    -------
    One row per lambda and draw: lambda, draw, p_fake.
    """
    layer = study.layer(detector)
    cut, statistics = CutModel(study.detector(detector), layer), study.statistics(detector, layer)
    generator = torch.Generator().manual_seed(study.seed)
    rows = []
    with torch.inference_mode():
        r = cut.head(study.inputs(detector, row).to(study.device)).cpu()
        noise = torch.randn(draws, *r.shape[1:], generator=generator)
        noise = noise * statistics.std + statistics.mean
        for lam in np.linspace(0, 1, points):
            z = (lam * r + (1 - lam) * noise) * statistics.active
            found = cut.tail(z.to(study.device), draws).float().softmax(1)[:, 1].cpu().numpy()
            rows += [{"lambda": lam, "draw": i, "p_fake": p} for i, p in enumerate(found)]
    return pd.DataFrame(rows)


def _film(
    study: Study, detector: str, part: pd.DataFrame, relevance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Frames (T, H, W, 3) of one explained video, and its maps (T, H, W) at the faces' places."""
    clip = study.clip(str(part.video_id.iloc[0]))
    row = study.catalog().set_index("video_id").loc[part.video_id.iloc[0]]
    start, end = (float(row[k]) if pd.notna(row[k]) else None for k in ("start", "end"))
    wanted, frames = set(part.frame), {}
    film = iter_frames(resolve(row.path, study.catalog_root()), start, end)
    for number, frame in enumerate(film):
        if number in wanted:
            frames[number] = frame
        if len(frames) == len(wanted):
            break
    shown = np.stack([frames[number] for number in part.frame])
    places = [clip.squares[position] for position in part.position]
    maps = [paste_back(shown.shape[1:3], s, r) for s, r in zip(places, relevance, strict=True)]
    zoom = min(1.0, WIDEST / max(shown.shape[1:3]))
    size = (round(shown.shape[2] * zoom), round(shown.shape[1] * zoom))
    small = [cv2.resize(f, size, interpolation=cv2.INTER_AREA) for f in shown]
    return np.stack(small), np.stack([cv2.resize(m, size) for m in maps])


def relevance_videos(study: Study, max_frames: int) -> dict[str, str]:
    """`<video>` elements of a real and a fake test video for each detector (chapter 07).

    Shown are the videos that the detector is surest about and right; the files are kept under
    `results/<profile>/videos`.
    """
    catalog = study.catalog().set_index("video_id")
    out = {}
    for detector in DETECTORS:
        frame, maps = explained(study, detector)
        top: float | None = None
        for label, kind in ((1, "fake"), (0, "real")):
            part = frame[frame.label == label]
            if part.empty:
                out[f"{detector} {kind}"] = f"<p>The test split holds no {kind} video.</p>"
                continue
            sure = part.groupby("video_id").p_fake.mean().sort_values(ascending=not label)
            part = part[part.video_id == sure.index[0]].sort_values("frame").head(max_frames)
            shown, pasted = _film(study, detector, part, maps.relevance.values[part.index])
            # One scale for both: stretched to its own, a map of few bits would look like many.
            top = float(np.quantile(pasted, 0.995)) if top is None else top
            path = study.root / "videos" / f"{detector}-{kind}.mp4"
            overlay_video(path, shown, pasted, 2.0, part.p_fake.to_numpy(), top)
            method = catalog.loc[sure.index[0], "method"]
            text = f"Relevance of {detector} on a {kind} video"
            text += f", artefact: {method}" if method else ""
            text += f"; mean probability of fake {part.p_fake.mean():.2f}"
            text += f"; {part.total_bits.mean():,.0f} bits per frame"
            still = overlay(shown[:1], pasted[:1], top)[0]
            film = video_html(path, still, text)
            out[f"{detector} {kind}"] = f"{film}<p>{html.escape(text)}.</p>"
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
