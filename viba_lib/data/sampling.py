"""Choice of the videos of a study from catalogs."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from viba_lib.data.catalog import COLUMNS, CatalogError, as_text, validate_catalog
from viba_lib.data.splits import split_catalog, split_together

# Table 1 of the paper, by the names of data sets in catalogs. The last three come as tables.
PAPER_COUNTS = {
    "faceforensics": 50, "celebdf": 56, "dfdc": 50, "dfd": 50, "fakeavceleb": 46,
    "avdeepfake1m": 54, "kodf": 48, "youtube": 18, "neighbour-wars": 6,
}  # fmt: skip


def is_paper_sample(catalog: pd.DataFrame) -> bool:
    """Whether a catalog has as many videos of each data set as the paper's Table 1."""
    return catalog.dataset.value_counts().to_dict() == PAPER_COUNTS


def fair_shares(available: Mapping[str, int], total: int) -> dict[str, int]:
    """Divide `total` among categories as evenly as the available numbers allow.

    Parameters
    ----------
    available : number of items of each category
    total : number of wanted items; if there are fewer, all are taken

    Returns
    -------
    Number of items to take of each category. Numbers that cannot be equal differ by one, with the
    larger ones first in alphabetical order.
    """
    shares = dict.fromkeys(sorted(available), 0)
    for _ in range(min(total, sum(available.values()))):
        open_to = [name for name in shares if shares[name] < available[name]]
        name = min(open_to, key=lambda name: shares[name])
        shares[name] += 1
    return shares


def sample_catalog(frame: pd.DataFrame, counts: Mapping[str, int], seed: int = 0) -> pd.DataFrame:
    """Sample videos of each data set: half of them real, the fakes spread over the methods.

    The paper took about 50 videos of each set, "ensuring diversity across manipulation methods"
    (its Table 1), and does not say how. Here they are sampled at random within each label and
    method.

    Parameters
    ----------
    frame : catalog
    counts : number of wanted videos of each data set; sets that are not named are left out
    seed : random seed; the sample does not depend on the order of the rows

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
        for label, of_label in labels.items():
            group = rows[rows.label == label]
            methods = fair_shares(group.method.value_counts().to_dict(), of_label)
            for method, count in methods.items():
                ids = group.loc[group.method == method, "video_id"].to_numpy()
                chosen.extend(rng.choice(ids, count, replace=False))
    return frame[frame.video_id.isin(chosen)].reset_index(drop=True)


def join_catalogs(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Join catalogs; a video that is in two of them, with the same path, is listed once.

    Raises
    ------
    CatalogError
        Two different videos have the same id.
    """
    joined = pd.concat(frames, ignore_index=True)
    # A text table has text only, so a further column may be numbers in one and text in another.
    for name in joined.columns.difference(COLUMNS):
        if len({str(frame[name].dtype) for frame in frames if name in frame}) > 1:
            joined[name] = as_text(joined[name])
    return validate_catalog(joined.drop_duplicates(["video_id", "path"]))


def draw_catalog(
    frames: Sequence[pd.DataFrame],
    counts: Mapping[str, int] | None = None,
    seed: int = 0,
    together: bool = True,
) -> pd.DataFrame:
    """The videos of a study: sampled from several catalogs, and split 70/15/15.

    Parameters
    ----------
    counts : videos of each data set; None = all
    together : keep linked videos on one side of the split (see `split_together`); False = at
        random, as in the paper. Official splits do not consider the other sets and are replaced.

    Raises
    ------
    CatalogError
        See `join_catalogs`, `sample_catalog` and `split_catalog`.
    """
    joined = join_catalogs(frames)
    sampled = joined if counts is None else sample_catalog(joined, counts, seed)
    return split_together(sampled, seed) if together else split_catalog(sampled, seed)
