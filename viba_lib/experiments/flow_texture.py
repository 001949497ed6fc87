"""Texture of the test videos of a motion detector, beside the range of its training."""

import numpy as np
import pandas as pd

from viba_lib.data.flow import texture
from viba_lib.evaluation.domain import TEXTURE
from viba_lib.experiments.detection import span
from viba_lib.pipeline.study import Study


def texture_table(study: Study, detector: str) -> pd.DataFrame:
    """Texture of the first frame of each real test video, by person.

    Returns
    -------
    identity, videos, texture (median over videos), lowest (the limit of the training domain) and
    inside (fraction of the videos at or above it); the least texture first.
    """
    rows = study.predictions(detector)
    rows = rows[(rows.split == "test") & (rows.label == 0)].drop_duplicates("video_id")
    found = [
        float(texture(study.prepared.store[row.path].pairs[row.position, :1])[0])
        for row in rows.itertuples()
    ]
    lowest = study.domain(detector).ranges[TEXTURE][0]
    people = rows.assign(texture=found).groupby("identity").texture
    table = people.agg(
        videos="size", texture="median", inside=lambda values: float(np.mean(values >= lowest))
    )
    return table.assign(lowest=lowest).sort_values("texture").reset_index()


def texture_text(table: pd.DataFrame, auc: pd.Series) -> str:
    """Which people a motion detector has too little texture for, and the AUC of both groups.

    Parameters
    ----------
    table : see `texture_table`
    auc : by identity
    """
    few = table[table.inside < 0.5]
    if few.empty:
        return f"The videos of all {len(table)} test people have texture as in training."
    named = ", ".join(f"{row.identity} ({row.texture:.2g})" for row in few.itertuples())
    text = (
        f"Most videos of {named} have less texture than the training domain (at least "
        f'{table.lowest.iloc[0]:.2g}): `viba explain` calls their decisions "outside the training '
        f'domain". AUC there: {_auc(auc.reindex(few.identity))}'
    )
    others = table.identity[table.inside >= 0.5]
    return text + (
        f"; of the {len(others)} others: {_auc(auc.reindex(others))}." if len(others) else "."
    )


def _auc(values: pd.Series) -> str:
    known = values.dropna()
    return f"{known.iloc[0]:.2f}" if known.nunique() == 1 else span(known)
