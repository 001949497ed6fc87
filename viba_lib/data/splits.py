"""Training, validation and test: at random as in the paper, or with linked videos together."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from viba_lib.data.catalog import SPLITS, CatalogError

# The paper's shares of training, validation and test.
FRACTIONS = (0.70, 0.15, 0.15)


def split_catalog(
    frame: pd.DataFrame,
    fractions: tuple[float, float, float] = FRACTIONS,
    seed: int = 0,
    group: str | None = None,
) -> pd.DataFrame:
    """Assign train, val and test at random, as in the paper (70/15/15).

    Parameters
    ----------
    group : column whose values must not be in two splits, such as "identity"; None = by video

    Raises
    ------
    CatalogError
        Fractions that do not sum to 1, or too few groups for three splits.
    """
    if abs(sum(fractions) - 1) > 1e-6 or min(fractions) <= 0:
        raise CatalogError(f"fractions {fractions} must be positive and sum to 1")
    groups = frame[group] if group else frame.index.to_series()
    if groups.nunique() < 3:
        raise CatalogError(
            f"{groups.nunique()} groups cannot be split three ways; expected at least 3 videos"
            + (f" with different {group}" if group else "")
        )
    return frame.assign(split=_deal(groups, dict(zip(SPLITS, fractions, strict=True)), seed))


def _deal(groups: pd.Series, shares: Mapping[str, float], seed: int) -> pd.Series:
    """Deal groups out, the largest first and else at random.

    Each goes to the split that is then, by half of the group, least of what it is to get (the
    method of Sainte-Laguë), so that large groups and small ones are spread alike: given to the
    split that lacks most, all large ones would be trained on. Each split gets at least one group,
    where there are enough.
    """
    sizes = groups.value_counts()
    shuffled = np.random.default_rng(seed).permutation(sorted(sizes.index))
    order = sorted(shuffled, key=lambda name: -sizes[name])
    got = dict.fromkeys(shares, 0.0)
    found: dict[object, str] = {}
    for number, name in enumerate(order):
        half = sizes[name] / 2
        empty = [split for split in shares if not got[split]]
        open_to = empty if len(empty) >= len(order) - number else list(shares)
        split = min(open_to, key=lambda split: (got[split] + half) / shares[split])
        found[name] = split
        got[split] += sizes[name]
    return groups.map(found)


def linked_groups(frame: pd.DataFrame, donors: bool = True) -> pd.Series:
    """Number of the group that each video belongs to: videos that must not be parted by a split.

    Two videos are linked where they show one person of one data set, where one is the original of
    the other, or where they have one original; a group is all that hangs together by such links.

    Parameters
    ----------
    donors : whether a person whose face was put on another counts as shown, too
    """
    ids = {name: n for n, name in enumerate(frame.video_id)}
    nodes = len(ids)
    known: dict[tuple[str, str], int] = {}
    edges = []
    columns = ["dataset", "identity", "donor", "original"]
    for place, row in enumerate(frame[columns].itertuples(index=False)):
        for person in (row.identity, row.donor if donors else ""):
            if person:
                edges.append((place, known.setdefault((row.dataset, person), nodes + len(known))))
        if row.original in ids:
            edges.append((place, ids[row.original]))
        elif row.original:
            # An original that is not in the catalog links the fakes that were made of it.
            edges.append((place, known.setdefault(("", row.original), nodes + len(known))))
    size = nodes + len(known)
    ends = np.array(edges, int).reshape(-1, 2)
    graph = coo_array((np.ones(len(ends), bool), (ends[:, 0], ends[:, 1])), shape=(size, size))
    _, groups = connected_components(graph, directed=False)
    return pd.Series(groups[:nodes], index=frame.index, name="group")


def split_together(
    frame: pd.DataFrame, seed: int = 0, fractions: tuple[float, float, float] = FRACTIONS
) -> pd.DataFrame:
    """Assign train, val and test so that no person and no original is in two of them.

    Donors are kept together as well in each data set where that leaves groups that can be dealt
    out. In some, such as Celeb-DF, everyone lends a face to everyone, and all its videos would be
    one group; there, the people shown and the originals are kept together, and `leaks` tells how
    many donors are on both sides.

    Raises
    ------
    CatalogError
        Fewer than three groups.
    """
    with_donors = linked_groups(frame)
    size = with_donors.map(with_donors.value_counts())
    # A group larger than a held-out split can only be trained on; past half of its data set there
    # is too little left to be held out.
    entangled = (size > 0.5 * frame.dataset.map(frame.dataset.value_counts())) & (
        size > fractions[1] * len(frame)
    )
    sets = frame.dataset[entangled].unique()
    donor = frame.donor.where(~frame.dataset.isin(sets), "")
    grouped = frame.assign(group=linked_groups(frame.assign(donor=donor)))
    return split_catalog(grouped, fractions, seed, "group").drop(columns="group")


def complete_splits(frame: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Assign a split to the videos that have none, and leave official splits alone.

    Without any split, see `split_together`; by video where fewer than three groups are known.
    Where some splits are given, such as Celeb-DF's test list, the other videos are divided among
    the splits that are not, in the proportion 70/15/15, with people kept together.
    """
    frame = frame.reset_index(drop=True)
    open_rows = frame[frame.split == ""]
    if open_rows.empty:
        return frame
    groups = linked_groups(open_rows, donors=False)
    if len(open_rows) == len(frame):
        few = groups.nunique() < 3
        return split_catalog(frame, seed=seed) if few else split_together(frame, seed)
    shares = {s: f for s, f in zip(SPLITS, FRACTIONS, strict=True)
              if not (frame.split == s).any()} or {"train": 1.0}  # fmt: skip
    split = frame.split.copy()
    split[open_rows.index] = _deal(groups, shares, seed)
    return frame.assign(split=split)


def leaks(frame: pd.DataFrame) -> pd.DataFrame:
    """What the held-out splits share with the training split.

    Parameters
    ----------
    frame : catalog with splits

    Returns
    -------
    One row per held-out split: split, videos, person (share of its videos whose person is also in
    training), donor (share whose person lends or takes a face there), original (share whose
    original, or another fake of it, is also in training), linked (share that hangs together with a
    training video by any chain of persons and originals).
    """
    groups = linked_groups(frame, donors=False)
    person, donor = _named(frame, "identity"), _named(frame, "donor")
    source = frame.original.where(frame.original != "", frame.video_id)
    train = frame.split == "train"
    seen = {*person[train].dropna(), *donor[train].dropna()}
    rows = []
    for split in SPLITS[1:]:
        held = frame.split == split
        lends = donor[held].isin(seen) | person[held].isin({*donor[train].dropna()})
        shares = {
            "person": person[held].isin({*person[train].dropna()}),
            "donor": lends,
            "original": source[held].isin(source[train]),
            "linked": groups[held].isin(groups[train]),
        }
        row = {"split": split, "videos": int(held.sum())}
        rows.append(row | {name: float(found.mean()) for name, found in shares.items()})
    return pd.DataFrame(rows)


def _named(frame: pd.DataFrame, column: str) -> pd.Series:
    """People as (data set, name), none where the name is not known."""
    return (frame.dataset + "\n" + frame[column]).where(frame[column] != "")
