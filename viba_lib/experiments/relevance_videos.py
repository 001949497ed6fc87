"""Relevance videos: maps on the video frames that they explain (`07_relevance_videos`)."""

import html
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from viba_lib.data.catalog import segment
from viba_lib.data.video import VideoReader, write_video
from viba_lib.evaluation.sentences import difference_text
from viba_lib.experiments.common import Bootstrap, ExplainedVideo, compared, explained_videos
from viba_lib.models.detectors import DETECTORS
from viba_lib.pipeline.study import Study
from viba_lib.visual.overlay import overlay_video, paste_back, scale_maximum, video_html

MAX_SIDE = 640  # pixels of an embedded video, for pages that load on a phone
RATE = 2.0  # frames per second


def bits_text(frames: Mapping[str, pd.DataFrame], bootstrap: Bootstrap) -> str:
    """Whether frames called fake have more bits than frames called real, of the same source clip.

    Parameters
    ----------
    frames : `explained_frames` of each detector
    """
    sentences = []
    for name, rows in frames.items():
        called = rows.assign(called=np.where(rows.p_fake > 0.5, "fake", "real"))
        found = compared(called, "total_bits", "called", "fake", "real", bootstrap)
        names = ("frames called fake", "frames called real")
        sentences.append(difference_text(f"{name}, total bits", *names, found))
        fakes = called[called.called == "fake"]
        if min(fakes.p_fake.nunique(), fakes.total_bits.nunique()) > 1:
            both = fakes.p_fake.corr(fakes.total_bits, method="spearman")
            sentences.append(
                f"Over the {len(fakes)} frames called fake, the rank correlation of bits with the "
                f"probability of fake is {both:.2f}."
            )
    return " ".join(sentences)


def _shrunk(frame: np.ndarray) -> np.ndarray:
    zoom = min(1.0, MAX_SIDE / max(frame.shape[:2]))
    size = (round(frame.shape[1] * zoom), round(frame.shape[0] * zoom))
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA)


def preview(row: pd.Series, root: Path, path: Path, seconds: float = 10.0) -> Path:
    """Write the beginning of a video, small enough for a page.

    Parameters
    ----------
    row : of the catalog
    root : folder that its path is relative to
    """
    with VideoReader(*segment(row, root)) as video:
        frames = islice(video.frames(), max(1, round(seconds * video.rate)))
        return write_video(path, (_shrunk(f) for f in frames), video.rate, crf=20)


def _pasted(
    video: ExplainedVideo, row: pd.Series, root: Path, max_frames: int
) -> tuple[np.ndarray, np.ndarray]:
    """First explained frames (T, H, W, 3) of a video, and maps (T, H, W) at the face's position."""
    with VideoReader(*segment(row, root)) as reader:
        shown = np.stack(list(reader.frames(video.frames.frame.head(max_frames).tolist())))
    pairs = zip(video.squares, video.relevance, strict=True)
    maps = [paste_back(shown.shape[1:3], *pair) for pair in islice(pairs, max_frames)]
    return np.stack([_shrunk(f) for f in shown]), np.stack([_shrunk(m) for m in maps])


def relevance_videos(study: Study, max_frames: int) -> dict[str, str]:
    """`<video>` elements of a fake and a real test video for each detector.

    Shown are the videos of which the detector is surest, in the right direction. The files are
    written to `videos` of the study's output folder.
    """
    catalog, out = study.catalog().set_index("video_id"), {}
    for detector in DETECTORS:
        videos = list(explained_videos(study, detector))
        top: float | None = None
        for label in ("fake", "real"):
            same = [v for v in videos if v.fake == (label == "fake")]
            if not same:
                out[f"{detector} {label}"] = f"<p>The test split contains no {label} video.</p>"
                continue
            sign = 1 if label == "fake" else -1
            video = max(same, key=lambda v: sign * v.frames.p_fake.mean())
            row = catalog.loc[video.video_id]
            shown, pasted = _pasted(video, row, study.catalog_root(), max_frames)
            # One colour scale for both videos: with its own, a map of few bits would look like one
            # of many.
            top = top or scale_maximum(pasted)
            frames = video.frames.head(max_frames)
            path = study.output / "videos" / f"{detector}-{label}.mp4"
            overlay_video(path, shown, pasted, RATE, frames.p_fake.to_numpy(), top)
            artefact = f", artefact: {row.method}" if row.method else ""
            text = (
                f"Relevance of {detector} on a {label} video{artefact}; mean probability of fake "
                f"{frames.p_fake.mean():.2f}; {frames.total_bits.mean():,.0f} bits per frame"
            )
            out[f"{detector} {label}"] = f"{video_html(path, text)}<p>{html.escape(text)}.</p>"
    return out
