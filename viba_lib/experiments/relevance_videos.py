"""Relevance videos: maps put back on the frames they came from (chapter 07)."""

import html
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from viba_lib.data.catalog import segment
from viba_lib.data.video import frame_rate, iter_frames, pick_frames, read_video, write_video
from viba_lib.experiments.common import explained
from viba_lib.pipeline.study import DETECTORS, Study
from viba_lib.visual.overlay import overlay_video, paste_back, video_html

WIDEST = 640  # pixels of an embedded video, for pages that load on a phone


def _small(frame: np.ndarray) -> np.ndarray:
    zoom = min(1.0, WIDEST / max(frame.shape[:2]))
    size = (round(frame.shape[1] * zoom), round(frame.shape[0] * zoom))
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA)


def _source(study: Study, video_id: str) -> tuple[Path, float | None, float | None]:
    """File of a video, and the start and end of its part in seconds."""
    return segment(study.catalog().set_index("video_id").loc[video_id], study.catalog_root())


def clip_film(study: Study, video_id: str, path: Path, seconds: float = 10.0) -> Path:
    """Write a video of the catalog, or the beginning of it, as a small film for a page."""
    source, start, end = _source(study, video_id)
    rate = frame_rate(source)
    frames = islice(iter_frames(source, start, end), max(1, round(seconds * rate)))
    return write_video(path, np.stack([_small(f) for f in frames]), rate, crf=20)


def _film(
    study: Study, detector: str, part: pd.DataFrame, relevance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Frames (T, H, W, 3) of one explained video, and its maps (T, H, W) at the faces' places."""
    clip = study.clip(str(part.video_id.iloc[0]))
    source, start, end = _source(study, str(part.video_id.iloc[0]))
    numbers = part.frame.tolist()
    found = dict(pick_frames(source, numbers, max(numbers) + 1, start, end))
    shown = np.stack([found[number] for number in numbers])
    places = [clip.squares[position] for position in part.position]
    maps = [paste_back(shown.shape[1:3], s, r) for s, r in zip(places, relevance, strict=True)]
    return np.stack([_small(f) for f in shown]), np.stack([_small(m) for m in maps])


def relevance_videos(study: Study, max_frames: int) -> dict[str, str]:
    """`<video>` elements of a real and a fake test video for each detector (chapter 07).

    Shown are the videos that the detector is surest about and right; the files are written to
    `videos` of the study's output folder.
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
            path = study.output / "videos" / f"{detector}-{kind}.mp4"
            overlay_video(path, shown, pasted, 2.0, part.p_fake.to_numpy(), top)
            method = catalog.loc[sure.index[0], "method"]
            text = f"Relevance of {detector} on a {kind} video"
            text += f", artefact: {method}" if method else ""
            text += f"; mean probability of fake {part.p_fake.mean():.2f}"
            text += f"; {part.total_bits.mean():,.0f} bits per frame"
            still = read_video(path, max_frames=1).frames[0]
            film = video_html(path, still, text)
            out[f"{detector} {kind}"] = f"{film}<p>{html.escape(text)}.</p>"
    return out
