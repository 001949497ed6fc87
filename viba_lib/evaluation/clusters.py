"""Independent units behind videos: source clips and people, and samples of them."""

import numpy as np
import pandas as pd

# Column of rows that name a video, and columns of a table of units.
VIDEO, CLIP, PERSON = "video_id", "clip", "person"


def units_of(catalog: pd.DataFrame) -> pd.DataFrame:
    """Source clip and person of each video of a catalog.

    A fake shares its source clip with the real clip that it was made from (column `original`), and
    its person with all clips of that identity. A video without an original is its own source clip,
    and a source clip without an identity counts as a person of its own.

    Parameters
    ----------
    catalog : rows with video_id; original and identity where they are known

    Returns
    -------
    clip and person, indexed by video_id.
    """
    videos = catalog[VIDEO].astype(str)
    clip = _known(catalog, "original").fillna(videos)
    person = _known(catalog, "identity").fillna(clip)
    return pd.DataFrame({CLIP: clip.to_numpy(), PERSON: person.to_numpy()}, index=pd.Index(videos))


def _known(catalog: pd.DataFrame, column: str) -> pd.Series:
    values = catalog.get(column, pd.Series("", index=catalog.index)).fillna("").astype(str)
    return values.where(values != "")


def with_units(rows: pd.DataFrame, units: pd.DataFrame | None) -> pd.DataFrame:
    """Rows with the columns clip and person.

    Parameters
    ----------
    rows : rows with video_id
    units : see `units_of`; None = each video is a source clip and a person of its own. So is a
        video that it does not list.
    """
    videos = rows[VIDEO].astype(str)
    if units is None:
        return rows.assign(**{CLIP: videos, PERSON: videos})
    listed = units.loc[units.index.isin(videos), [CLIP, PERSON]]
    known = {video: tuple(row) for video, *row in listed.itertuples()}
    found = [known.get(video, (video, video)) for video in videos]
    return rows.assign(**{CLIP: [clip for clip, _ in found], PERSON: [who for _, who in found]})


def counts(rows: pd.DataFrame, units: pd.DataFrame | None) -> dict[str, int]:
    """Numbers of videos, source clips and people behind rows."""
    known = with_units(rows, units)
    return {
        "videos": known[VIDEO].nunique(),
        "clips": known[CLIP].nunique(),
        "people": known[PERSON].nunique(),
    }


class Clusters:
    """Rows in clips in people, to be sampled with replacement: people first, then their clips.

    Parameters
    ----------
    rows : rows with video_id
    units : see `units_of`; None = each video by itself

    Rows of one clip are never taken apart. With a single person only clips are sampled, and the
    result holds for that person alone.
    """

    def __init__(self, rows: pd.DataFrame, units: pd.DataFrame | None = None) -> None:
        known = with_units(rows, units).reset_index(drop=True)
        self.people = [
            [clip.index.to_numpy() for _, clip in part.groupby(CLIP, sort=True)]
            for _, part in known.groupby(PERSON, sort=True)
        ]
        self.clips = sum(map(len, self.people))

    def sample(self, rng: np.random.Generator) -> np.ndarray:
        """Positions of the rows of one bootstrap sample."""
        chosen: list[np.ndarray] = []
        for number in rng.integers(len(self.people), size=len(self.people)):
            clips = self.people[number]
            # A person with one clip needs no second choice.
            picks = rng.integers(len(clips), size=len(clips)) if len(clips) > 1 else [0]
            chosen += [clips[pick] for pick in picks]
        return np.concatenate(chosen)
