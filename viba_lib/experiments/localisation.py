"""Spatial localisation: how much relevance lies on the planted artefact."""

import numpy as np
import pandas as pd
import xarray as xr

from viba_lib.evaluation.faithfulness import entropy, mass_inside, mass_ratio, pointing_game
from viba_lib.pipeline.study import Study

LOCALISATION = ["inside", "area", "ratio", "hit"]


def map_measures(relevance: np.ndarray, masks: np.ndarray) -> pd.DataFrame:
    """Measures of maps (T, H, W), also against planted masks (T, H, W) in [0, 1].

    Returns
    -------
    One row per frame: bits (sum of the map), entropy (of the map over pixels, in bits), inside
    (share of relevance inside the mask), area (the mask's share of the frame), ratio (inside /
    area, chance is 1) and hit (strongest pixel inside the mask). For an empty mask, ratio is NaN.
    """
    pairs = list(zip(relevance, masks, strict=True))
    return pd.DataFrame(
        {
            "bits": relevance.sum((1, 2)),
            "entropy": [entropy(one) for one in relevance],
            "inside": [mass_inside(*pair) for pair in pairs],
            "area": [float(mask.mean()) for mask in masks],
            "ratio": [mass_ratio(*pair) for pair in pairs],
            "hit": [pointing_game(*pair) for pair in pairs],
        }
    )


def localisation(study: Study, detector: str, maps: xr.Dataset | None = None) -> pd.DataFrame:
    """Localisation of the artefact by the maps of fake frames with a planted mask.

    Parameters
    ----------
    maps : result of `Study.explain`; None = the evaluation frames at the default layer

    Returns
    -------
    video_id, frame, method, and the columns LOCALISATION of `map_measures`.
    """
    maps = study.explanations(detector) if maps is None else maps
    fakes = maps.isel(item=np.flatnonzero(maps.label.values == 1))
    keys = list(zip(fakes.video_id.values.astype(str), fakes.position.values, strict=True))
    frames = study.frames(detector=detector).set_index(["video_id", "position"])
    rows = frames.loc[keys].reset_index()
    masks = study.masks(detector, rows)
    measures = map_measures(fakes.relevance.values, masks)[LOCALISATION]
    table = rows[["video_id", "frame", "method"]].join(measures)
    return table[masks.max((1, 2)) > 0].reset_index(drop=True)
