"""The independent units behind videos: source clips and people."""

from collections.abc import Sequence

import pandas as pd

COUNTS = ("videos", "clips", "people")


def units_of(catalog: pd.DataFrame) -> pd.DataFrame:
    """Source clip and person of each video of a catalog, indexed by `video_id`.

    Returns
    -------
    clip (identifier of the real video that a fake was made from; a real video is its own) and
    person (None if the identity is not known).
    """
    clip = catalog.original.where(catalog.original != "", catalog.video_id)
    person = catalog.identity.where(catalog.identity != "", None)
    return pd.DataFrame({"clip": clip, "person": person}).set_index(catalog.video_id)


def count_units(rows: pd.DataFrame, by: Sequence[str], units: pd.DataFrame) -> pd.DataFrame:
    """Numbers of videos, source clips and known people in each group of rows.

    Parameters
    ----------
    rows : with `by` and video_id
    units : see `units_of`

    Returns
    -------
    `by` and COUNTS.
    """
    known = rows[[*by, "video_id"]].join(units, on="video_id")
    groups = known.groupby(list(by), sort=False)[["video_id", "clip", "person"]]
    return groups.nunique().set_axis(list(COUNTS), axis=1).reset_index()


def split_text(catalog: pd.DataFrame) -> str:
    """Size of a catalog's test split, such as "3 test people, 24 source clips, 72 videos"."""
    test = catalog[catalog.split == "test"]
    units = units_of(test)
    people, clips = units["person"].nunique(), units["clip"].nunique()
    counts = ((people, "test person", "test people"), (clips, "source clip", "source clips"))
    known = [f"{n} {one if n == 1 else many}" for n, one, many in counts if n]
    videos = f"{len(test)} video{'s' * (len(test) != 1)}"
    return ", ".join([*known, videos])
