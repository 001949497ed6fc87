"""Spatial localisation: how much relevance lies on the planted artefact."""

import numpy as np
import pandas as pd
import xarray as xr

from viba_lib.evaluation.faithfulness import map_measures
from viba_lib.pipeline.study import Study

LOCALISATION = ["inside", "area", "ratio", "hit"]


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
