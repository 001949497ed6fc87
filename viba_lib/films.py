"""Relevance videos: maps put back on the frames they came from (chapter 07)."""

import html

import cv2
import numpy as np
import pandas as pd

from viba_lib.data.catalog import resolve
from viba_lib.overlay import overlay, overlay_video, paste_back, video_html
from viba_lib.study import DETECTORS, Study
from viba_lib.tables.common import explained
from viba_lib.video import iter_frames

WIDEST = 640  # pixels of an embedded video, for pages that load on a phone


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
