"""Which videos of the catalogs are taken for a study."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from viba_lib.data.catalog import CatalogError, validate_catalog
from viba_lib.data.splits import split_catalog, split_together

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
    together : keep what is linked on one side of the split (see `split_together`); False = at
        random, as in the paper. Official splits, which know nothing of the other sets, are left.

    Raises
    ------
    CatalogError
        See `join_catalogs`, `sample_catalog` and `split_catalog`.
    """
    joined = join_catalogs(frames)
    drawn = joined if counts is None else sample_catalog(joined, counts, seed)
    return split_together(drawn, seed=seed) if together else split_catalog(drawn, seed=seed)
