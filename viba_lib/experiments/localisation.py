"""Where relevance lies against planted masks, for VIBA and other explainers."""

import numpy as np
import pandas as pd
import xarray as xr

from viba_lib.baselines import centred_gaussian, grad_cam, random_maps
from viba_lib.evaluation.faithfulness import mass_inside, mass_ratio, pointing_game
from viba_lib.experiments.common import Bootstrap, explained, with_intervals
from viba_lib.pipeline.study import DETECTORS, Study


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
            means = with_intervals(
                part, lambda v: v[["ratio", "hit"]].mean().to_dict(), Bootstrap.of(study)
            )
            row = {"name": f"{detector}, {name}", "detector": detector, "explainer": name}
            rows.append(row | {"frames": len(part), "area": part.area.mean()} | means)
    return pd.DataFrame(rows)
