"""Training, validation and test: at random as in the paper, or with linked videos together."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from viba_lib.data.catalog import SPLITS, CatalogError

# The paper's fractions of training, validation and test.
FRACTIONS = dict(zip(SPLITS, (0.70, 0.15, 0.15), strict=True))
LINKED = "linked people"  # column of the groups that stay together


def split_catalog(frame: pd.DataFrame, seed: int = 0, group: str | None = None) -> pd.DataFrame:
    """Assign train, val and test at random, as in the paper (70/15/15).

    Parameters
    ----------
    group : column whose values must not be in two splits, such as "identity"; None = by video

    Raises
    ------
    CatalogError
        Too few groups for three splits.
    """
    groups = frame[group] if group else frame.index.to_series()
    if groups.nunique() < 3:
        raise CatalogError(
            f"{len(frame)} videos in {groups.nunique()} groups by {group or 'video'} cannot be "
            "split three ways; expected at least 3 groups: add videos, or give the split of each "
            "(train, val or test) in the column split"
        )
    return frame.assign(split=_assign(groups, FRACTIONS, seed))


def _assign(groups: pd.Series, fractions: Mapping[str, float], seed: int) -> pd.Series:
    """Assign groups to splits, the largest first and otherwise in random order.

    A group goes to the split for which current size plus half of the group is the smallest part of
    its fraction (the Sainte-Laguë method), so large and small groups are spread alike. If the group
    went to the split that lacks most, all large groups would be in the training split. Each split
    gets at least one group if there are enough.
    """
    sizes = groups.value_counts()
    shuffled = np.random.default_rng(seed).permutation(sorted(sizes.index))
    order = sorted(shuffled, key=lambda name: -sizes[name])
    filled = dict.fromkeys(fractions, 0.0)
    split_of: dict[object, str] = {}
    for number, name in enumerate(order):
        half = sizes[name] / 2
        empty = [split for split in fractions if not filled[split]]
        open_to = empty if len(empty) >= len(order) - number else list(fractions)
        split = min(open_to, key=lambda split: (filled[split] + half) / fractions[split])
        split_of[name] = split
        filled[split] += sizes[name]
    return groups.map(split_of)


def linked_groups(frame: pd.DataFrame, donors: bool = True) -> pd.Series:
    """Number of the group of each video; a split must not separate the videos of a group.

    Two videos are linked if they show one person of one data set, if one is the original of the
    other, or if they have the same original. A group is a connected component of these links.

    Parameters
    ----------
    donors : whether the person whose face was put on another also counts as shown
    """
    ids = {name: n for n, name in enumerate(frame.video_id)}
    nodes = len(ids)
    known: dict[tuple[str, str], int] = {}
    edges = []
    columns = ["dataset", "identity", "donor", "original"]
    for video, row in enumerate(frame[columns].itertuples(index=False)):
        shown = [(row.dataset, row.identity), (row.dataset, row.donor if donors else "")]
        if row.original in ids:
            edges.append((video, ids[row.original]))
        else:
            # An original that is not in the catalog links the fakes that were made from it.
            shown.append(("", row.original))
        for node in shown:
            if node[1]:
                edges.append((video, known.setdefault(node, nodes + len(known))))
    size = nodes + len(known)
    ends = np.array(edges, int).reshape(-1, 2)
    # SciPy takes a second to import, and few commands make splits.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(ends), bool), (ends[:, 0], ends[:, 1])), shape=(size, size))
    _, groups = connected_components(graph, directed=False)
    return pd.Series(groups[:nodes], index=frame.index, name="group")


def split_together(frame: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Assign train, val and test so that no person and no original is in two of them.

    Donors are kept together as well in each data set in which small enough groups remain. In some
    sets, such as Celeb-DF, everyone lends a face to everyone, so all videos would be one group. For
    these, the people shown and the originals are kept together, and `leaks` counts the donors on
    both sides.

    Raises
    ------
    CatalogError
        Fewer than three groups.
    """
    with_donors = linked_groups(frame)
    size = with_donors.map(with_donors.value_counts())
    # A group larger than a held-out split can only be trained on. If it is more than half of its
    # data set, too little is left to be held out.
    entangled = (size > 0.5 * frame.dataset.map(frame.dataset.value_counts())) & (
        size > FRACTIONS["val"] * len(frame)
    )
    sets = frame.dataset[entangled].unique()
    donor = frame.donor.where(~frame.dataset.isin(sets), "")
    linked = {LINKED: linked_groups(frame.assign(donor=donor))}
    return split_catalog(frame.assign(**linked), seed, LINKED).drop(columns=LINKED)


def complete_splits(frame: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Assign a split to the videos that have none, and keep official splits.

    If there is no split, see `split_together`, or by video if there are fewer than three groups;
    one or two videos get none. If some splits are given, such as Celeb-DF's test list, the other
    videos are divided among the missing splits in the proportion 70/15/15, with people kept
    together.
    """
    frame = frame.reset_index(drop=True)
    open_rows = frame[frame.split == ""]
    if open_rows.empty or len(open_rows) == len(frame) < 3:
        return frame
    groups = linked_groups(open_rows, donors=False)
    if len(open_rows) == len(frame):
        few = groups.nunique() < 3
        return split_catalog(frame, seed=seed) if few else split_together(frame, seed)
    given = set(frame.split)
    missing = {split: part for split, part in FRACTIONS.items() if split not in given}
    split = frame.split.copy()
    split[open_rows.index] = _assign(groups, missing or {"train": 1.0}, seed)
    return frame.assign(split=split)


def leaks(frame: pd.DataFrame) -> pd.DataFrame:
    """Leakage: what the held-out splits share with the training split.

    Parameters
    ----------
    frame : catalog with splits

    Returns
    -------
    One row per held-out split: split, videos, person (fraction of its videos whose person is also
    in training), donor (fraction whose person lends or takes a face there), original (fraction
    whose original, or another fake of it, is also in training), linked (fraction connected with a
    training video by any chain of persons and originals).
    """
    groups = linked_groups(frame, donors=False)
    person, donor = _named(frame, "identity"), _named(frame, "donor")
    source = frame.original.where(frame.original != "", frame.video_id)
    train = frame.split == "train"
    people, donors = person[train].dropna(), donor[train].dropna()
    shared = pd.DataFrame(
        {
            "person": person.isin(people),
            "donor": donor.isin(people) | donor.isin(donors) | person.isin(donors),
            "original": source.isin(source[train]),
            "linked": groups.isin(groups[train]),
        }
    )
    held_out = {split: shared[frame.split == split] for split in SPLITS[1:]}
    return pd.DataFrame(
        [{"split": s, "videos": len(rows)} | rows.mean().to_dict() for s, rows in held_out.items()]
    )


def _named(frame: pd.DataFrame, column: str) -> pd.Series:
    """People as data set and name, missing if the name is not known."""
    return (frame.dataset + "\n" + frame[column]).where(frame[column] != "")
