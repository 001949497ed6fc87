"""Spatial localisation: how much relevance lies on the planted artefact."""

import numpy as np
import pandas as pd
import torch
import xarray as xr

from viba_lib.baselines.controls import centred_gaussian
from viba_lib.evaluation.faithfulness import map_measures, mass_ratio
from viba_lib.evaluation.sentences import level_text
from viba_lib.experiments.common import Bootstrap, level
from viba_lib.pipeline.study import Study

LOCALISATION = ["inside", "area", "ratio", "hit"]
NEAR = 0.25  # a mean ratio up to so much above 1 is called near chance


def localisation(study: Study, detector: str, maps: xr.Dataset | None = None) -> pd.DataFrame:
    """Localisation of the artefact by the maps of fake frames with a planted mask.

    Parameters
    ----------
    maps : result of `Study.explain`; None = the evaluation frames at the default layer

    Returns
    -------
    video_id, frame, method, p_fake, the columns LOCALISATION of `map_measures`, and centre (the
    ratio of a centre prior, which does not depend on the frame).
    """
    maps = study.explanations(detector) if maps is None else maps
    fakes = maps.isel(item=np.flatnonzero(maps.label.values == 1))
    keys = list(zip(fakes.video_id.values.astype(str), fakes.position.values, strict=True))
    frames = study.frames(detector=detector).set_index(["video_id", "position"])
    rows = frames.loc[keys].reset_index().assign(p_fake=fakes.p_fake.values)
    masks = study.masks(detector, rows)
    measures = map_measures(fakes.relevance.values, masks)[LOCALISATION]
    priors = centred_gaussian(torch.zeros(len(masks), 1, *masks.shape[1:]))
    centre = [mass_ratio(*pair) for pair in zip(priors, masks, strict=True)]
    table = rows[["video_id", "frame", "method", "p_fake"]].join(measures).assign(centre=centre)
    return table[masks.max((1, 2)) > 0].reset_index(drop=True)


def ordered_frames(predictions: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Explained fake frames in the order of the relevance mass ratio.

    Only frames that the detector classifies as fake are candidates, if there are any, because a
    map explains the decision. Without masks the order is that of p_fake.

    Parameters
    ----------
    predictions : of `Study.predictions`
    table : of `localisation`, for the same detector

    Returns
    -------
    Rows of the predictions, with `place` (1 = lowest) among `of` candidates, and `by`, the name of
    the measure that they are ordered by.
    """
    by = "ratio"
    frames = predictions.merge(table[["video_id", "frame", "ratio"]].dropna())
    if frames.empty:
        by = "p_fake"
        fakes = (predictions.split == "test") & (predictions.label == 1) & predictions.in_scope
        frames = predictions[fakes]
    called = frames[frames.p_fake > 0.5]
    frames = called if len(called) else frames
    frames = frames.sort_values([by, "video_id", "frame"], ignore_index=True)
    return frames.assign(place=np.arange(len(frames)) + 1, of=len(frames), by=by)


def example_frame(predictions: pd.DataFrame, table: pd.DataFrame, rank: int = 0) -> pd.DataFrame:
    """A typical explained fake frame: the one with the median relevance mass ratio.

    Parameters
    ----------
    predictions, table : see `ordered_frames`
    rank : 0 is the median frame; 1, 2, ... are the frames next to it in the order

    Returns
    -------
    One row of `ordered_frames`.
    """
    frames = ordered_frames(predictions, table)
    count = len(frames)
    distance = np.abs(np.arange(count) - (count - 1) // 2)
    return frames.iloc[[np.argsort(distance, kind="stable")[rank % count]]].reset_index(drop=True)


def example_text(row: pd.Series) -> str:
    """Which frame a chapter shows, from a row of `example_frame`."""
    by = {"ratio": "relevance mass ratio", "p_fake": "probability of fake"}[row.by]
    return (
        f"The frame is of the method {row.method}. In the order of the {by} it has rank "
        f"{row.place} of {row['of']}. The detector gives {row.p_fake:.2f} as its probability of "
        f"fake."
    )


def localisation_text(table: pd.DataFrame, bootstrap: Bootstrap) -> str:
    """Mass ratio of all frames against chance, by decision, and the methods around chance.

    Parameters
    ----------
    table : of `localisation`, with a ratio in at least one row
    """
    called = table.p_fake > 0.5
    names = ("Relevance mass ratio over", "Called fake, ratio over", "Called real, ratio over")
    groups = (table, table[called], table[~called])
    text = " ".join(
        level_text(f"{name} {group.ratio.count()} frames", level(group, group.ratio, bootstrap, 1))
        for name, group in zip(names, groups, strict=True)
        if group.ratio.count()
    )
    means = table.groupby("method").ratio.mean().dropna().sort_values()
    near = (means >= 1) & (means <= 1 + NEAR)
    sides = {"below chance": means < 1, "near chance": near, "above chance": means > 1 + NEAR}
    parts = [
        f"{name}: {', '.join(f'{m} {v:.2f}' for m, v in means[rows].items())}"
        for name, rows in sides.items()
        if rows.any()
    ]
    return (
        f"{text} Mean ratio of each method, without a test: {'; '.join(parts)}. The strongest "
        f"pixel lies inside the mask in {table.hit.mean():.0%} of the frames; a random pixel would "
        f"in {table.area.mean():.0%}."
    )


def settings_text(tried: pd.DataFrame, clean: float) -> str:
    """How the decision and the location of one map depend on the bottleneck's settings.

    Parameters
    ----------
    tried : one row for each setting, whose name is in the index ("as above" for that of the map):
        "probability of fake", and "fraction inside the mask" where there is a mask
    clean : probability of fake without the bottleneck
    """
    said = [
        f"{p:.2f} {name if name == 'as above' else f'with {name}'}"
        for name, p in tried["probability of fake"].items()
    ]
    text = (
        f"The probability of fake of this frame is {clean:.2f} without the bottleneck, "
        f"{', '.join(said[:-1])} and {said[-1]}."
    )
    if "fraction inside the mask" not in tried:
        return text
    low, high = tried["fraction inside the mask"].agg(["min", "max"])
    return f"{text} The fraction of relevance inside the mask goes from {low:.2f} to {high:.2f}."
