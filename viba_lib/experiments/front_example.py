"""The example of the front page: fakes beside their maps, chosen by a rule."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from viba_lib.experiments.localisation import localisation, ordered_frames
from viba_lib.pipeline.study import Study
from viba_lib.visual.map_figures import frames_grid
from viba_lib.visual.overlay import colours, scale_maximum

DETECTOR = "xception"


def chosen_frames(study: Study) -> pd.DataFrame:
    """The best and the median frame of `ordered_frames`; none if no fake has a mask."""
    table = localisation(study, DETECTOR)
    if not table.ratio.notna().any():
        return table.head(0)
    frames = ordered_frames(study.predictions(DETECTOR), table)
    return frames.iloc[[-1, (len(frames) - 1) // 2]]


def front_image(study: Study, rows: pd.DataFrame) -> Figure:
    """Each frame as recorded, with its map, and with the outline of the planted artefact.

    Parameters
    ----------
    rows : of `chosen_frames`, at least one
    """
    images, masks = study.images(DETECTOR, rows), study.masks(DETECTOR, rows)
    maps = study.explanations(DETECTOR)
    videos, positions = maps.video_id.values.astype(str), maps.position.values
    panels, labels, outlines = [], [], []
    for row, image, mask in zip(rows.itertuples(), images, masks, strict=True):
        item = np.flatnonzero((videos == row.video_id) & (positions == row.position))[0]
        relevance = maps.relevance.values[item]
        panels += [image, colours(image, relevance, scale_maximum(relevance)), image]
        labels += ["frame", "relevance", f"planted artefact: {row.method}"]
        outlines += [None, None, mask]
    return frames_grid(panels, labels, 3, outlines)


def front_caption(rows: pd.DataFrame) -> str:
    """The rule that chose the frames, and how well their maps match the artefact.

    Parameters
    ----------
    rows : of `chosen_frames`, at least one
    """
    best, median = rows.iloc[0], rows.iloc[-1]
    return (
        f"Chosen by rule: of the {best.of} explained test frames that the face detector correctly "
        f"calls fake, those with the highest (above) and the median (below) relevance mass ratio. "
        f"In the first, the planted region has {best.ratio:.1f} times as much relevance as its "
        f"area alone would have, in the second {median.ratio:.1f} times."
    )
