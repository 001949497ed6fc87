"""Which videos of a catalog are taken, and on which side of the split they may be."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from viba_lib.data.catalog import SPLITS, CatalogError, split_catalog, validate_catalog

# Table 1 of the paper, by the names of data sets in catalogs. The last three come as tables.
PAPER_COUNTS = {
    "faceforensics": 50, "celebdf": 56, "dfdc": 50, "dfd": 50, "fakeavceleb": 46,
    "avdeepfake1m": 54, "kodf": 48, "youtube": 18, "neighbour-wars": 6,
}  # fmt: skip


def fair_shares(available: Mapping[str, int], total: int) -> dict[str, int]:
    """Deal `total` out as evenly as the amounts allow; what one cannot give, the others do.

    Parameters
    ----------
    available : how many there are of each kind
    total : wanted in all; where there are fewer, all are given

    Returns
    -------
    How many to take of each kind. Counts that cannot be even differ by one, and the kinds that
    come first in the alphabet give the more.
    """
    total = min(total, sum(available.values()))
    level = 0  # what everyone who can gives
    while sum(min(n, level + 1) for n in available.values()) <= total and level < total:
        level += 1
    shares = {kind: min(n, level) for kind, n in available.items()}
    more = sorted(kind for kind, n in available.items() if n > level)
    for kind in more[: total - sum(shares.values())]:
        shares[kind] += 1
    return shares


def sample_catalog(frame: pd.DataFrame, counts: Mapping[str, int], seed: int = 0) -> pd.DataFrame:
    """Draw videos of each data set: half of them real, the fakes spread over the methods.

    The paper took some 50 videos of each set, "ensuring diversity across manipulation methods"
    (its Table 1), and does not say how; this draws at random within each label and method.

    Parameters
    ----------
    frame : catalog
    counts : videos wanted of each data set; sets that are not named are left out
    seed : of the draw; it does not depend on the order of the rows

    Raises
    ------
    CatalogError
        A data set that the catalog does not have, or has too few videos of.
    """
    chosen: list[str] = []
    for number, (name, wanted) in enumerate(sorted(counts.items())):
        rows = frame[frame.dataset == name].sort_values("video_id")
        if len(rows) < wanted:
            have = ", ".join(f"{k} ({n})" for k, n in frame.dataset.value_counts().items())
            raise CatalogError(
                f"{wanted} videos of {name!r} are wanted and the catalog has {len(rows)}; it has "
                f"{have}: ask for fewer, or add the data set to the catalog"
            )
        rng = np.random.default_rng([seed, number])
        labels = fair_shares(rows.label.value_counts().to_dict(), wanted)
        for label, of_label in sorted(labels.items()):
            kind = rows[rows.label == label]
            methods = fair_shares(kind.method.value_counts().to_dict(), of_label)
            for method, count in sorted(methods.items()):
                ids = kind.loc[kind.method == method, "video_id"].to_numpy()
                chosen.extend(rng.choice(ids, count, replace=False))
    return frame[frame.video_id.isin(chosen)].reset_index(drop=True)


def linked_groups(frame: pd.DataFrame) -> pd.Series:
    """Number of the group that each video belongs to: videos that must not be parted by a split.

    Two videos are linked where they show one person of one data set, where one is the original of
    the other, or where they have one original; a group is all that hangs together by such links.
    """
    ids = {name: n for n, name in enumerate(frame.video_id)}
    nodes = len(ids)
    known: dict[tuple[str, str], int] = {}
    edges = []
    for place, row in enumerate(frame[["dataset", "identity", "original"]].itertuples(index=False)):
        if row.identity:
            edges.append((place, known.setdefault((row.dataset, row.identity), nodes + len(known))))
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


def leaks(frame: pd.DataFrame) -> pd.DataFrame:
    """What the held-out splits share with the training split.

    Parameters
    ----------
    frame : catalog with splits

    Returns
    -------
    One row per held-out split: split, videos, person (share of its videos whose person is also in
    training), original (share whose original, or another fake of it, is also in training), linked
    (share that hangs together with a training video by any chain of both).
    """
    groups = linked_groups(frame)
    person = frame.dataset + "\n" + frame.identity
    source = frame.original.where(frame.original != "", frame.video_id)
    train = frame.split == "train"
    rows = []
    for split in SPLITS[1:]:
        held = frame.split == split
        same_person = person[held].isin(person[train]) & (frame.identity[held] != "")
        rows.append(
            {
                "split": split,
                "videos": int(held.sum()),
                "person": float(same_person.mean()),
                "original": float(source[held].isin(source[train]).mean()),
                "linked": float(groups[held].isin(groups[train]).mean()),
            }
        )
    return pd.DataFrame(rows)


def join_catalogs(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One catalog of several; a video that is in two of them, with one path, is taken once.

    Raises
    ------
    CatalogError
        Two different videos have one id.
    """
    joined = pd.concat(frames, ignore_index=True)
    return validate_catalog(joined.drop_duplicates(["video_id", "path"]))


def draw_catalog(
    frames: Sequence[pd.DataFrame],
    counts: Mapping[str, int] | None = None,
    seed: int = 0,
    together: bool = True,
) -> pd.DataFrame:
    """The videos of a study: drawn from several catalogs, and split 70/15/15.

    Parameters
    ----------
    counts : videos of each data set; None = all
    together : keep what is linked on one side of the split (see `linked_groups`); False = at
        random, as in the paper. Official splits, which know nothing of the other sets, are left.

    Raises
    ------
    CatalogError
        See `join_catalogs`, `sample_catalog` and `split_catalog`.
    """
    joined = join_catalogs(frames)
    drawn = joined if counts is None else sample_catalog(joined, counts, seed)
    if not together:
        return split_catalog(drawn, seed=seed)
    grouped = drawn.assign(group=linked_groups(drawn))
    return split_catalog(grouped, seed=seed, group="group").drop(columns="group")
