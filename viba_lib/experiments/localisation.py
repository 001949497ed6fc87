"""Spatial localisation: how much relevance lies on the planted artefact."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
import xarray as xr

from viba_lib.evaluation.faithfulness import mass_inside, mass_ratio, pointing_game
from viba_lib.pipeline.study import Study


def localise(relevance: Iterable[np.ndarray], masks: Iterable[np.ndarray]) -> pd.DataFrame:
    """Measures of localisation of maps (T, H, W) against planted masks (T, H, W) in [0, 1].

    Returns
    -------
    One row per frame: inside (share of relevance inside the mask), area (the mask's share of the
    frame), ratio (inside / area, chance is 1) and hit (strongest pixel inside the mask); for an
    empty mask, ratio is NaN.
    """
    rows = [
        {
            "inside": mass_inside(one, mask),
            "area": float(mask.mean()),
            "ratio": mass_ratio(one, mask),
            "hit": pointing_game(one, mask),
        }
        for one, mask in zip(relevance, masks, strict=True)
    ]
    return pd.DataFrame(rows, columns=["inside", "area", "ratio", "hit"])


def localisation(study: Study, detector: str, maps: xr.Dataset | None = None) -> pd.DataFrame:
    """`localise` for the maps of fake frames with a planted mask.

    Parameters
    ----------
    maps : result of `Study.explain`; None = the evaluation frames at the paper's layer

    Returns
    -------
    video_id, frame, method, and the columns of `localise`.
    """
    maps = study.explanations(detector) if maps is None else maps
    fakes = maps.isel(item=np.flatnonzero(maps.label.values == 1))
    keys = list(zip(fakes.video_id.values.astype(str), fakes.position.values, strict=True))
    frames = study.frames(detector=detector).set_index(["video_id", "position"])
    rows = frames.loc[keys].reset_index()
    masks = study.masks(detector, rows)
    table = rows[["video_id", "frame", "method"]].join(localise(fakes.relevance.values, masks))
    return table[masks.max((1, 2)) > 0].reset_index(drop=True)
