"""Rank of a method in a measure: verdicts that a test over source clips carries, and their text."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from viba_lib.baselines.names import CONTROLS, VIBA
from viba_lib.core.words import plural
from viba_lib.evaluation.clusters import counts
from viba_lib.evaluation.sentences import (
    FEWEST_PEOPLE,
    FEWEST_VIDEOS,
    ILLUSTRATED,
    ILLUSTRATION,
    NOT_COMPUTED,
    number,
    sample_size,
    too_few,
)
from viba_lib.evaluation.significance import (
    INCONCLUSIVE,
    SIGNIFICANCE,
    least_p,
    paired_tests,
    sign_of,
)

FIRST, BY_MEAN, OPEN, BEHIND = (
    "first", "first by the mean", "not distinguished from the best", "behind",
)  # fmt: skip
VERDICTS = (FIRST, BY_MEAN, OPEN, BEHIND)  # of measures that a test can decide


def rank_of(
    scores: pd.DataFrame,
    measure: str,
    name: str = VIBA,
    seed: int = 0,
    units: pd.DataFrame | None = None,
) -> dict[str, Any]:
    """Rank of a method in a measure, among all methods that are not controls.

    Parameters
    ----------
    scores : rows with method, video_id and the measure; NaN if it has no value
    units : see `clusters.units_of`; each source clip counts once in the test

    Returns
    -------
    rank (1 is best, by the mean), best (the methods with the best mean), behind (methods that are
    better at a corrected level of 5 %), ahead (methods that are worse), even (methods for which the
    test is inconclusive), videos, clips, people, min_p (the smallest corrected p-value that is
    possible with the number of source clips that have a difference), and verdict: FIRST (the mean
    is strictly best, and every other method is worse at the corrected level), BY_MEAN (strictly
    best, and some methods are not distinguished), OPEN (another mean is as good or better, and none
    significantly), BEHIND, INCONCLUSIVE (min_p is 0.05 or more), ILLUSTRATION (fewer than five
    videos or two people), or NOT_COMPUTED.
    """
    scores = scores[~scores.method.isin(CONTROLS) & scores[measure].notna()]
    means = scores.groupby("method")[measure].mean() * sign_of(measure)
    tests = paired_tests(scores, measure, name, seed=seed, units=units).set_index("method")
    unequal = int(tests.unequal.max()) if len(tests) else 0
    above = list(means.index[means > means[name]]) if name in means else list(means.index)
    rank = {
        "measure": measure,
        "rank": len(above) + 1,
        "best": list(means.index[means == means.max()]),
        "behind": list(tests.index[(tests.better != name) & (tests.better != INCONCLUSIVE)]),
        "ahead": list(tests.index[tests.better == name]),
        "even": list(tests.index[tests.better == INCONCLUSIVE]),
        **counts(scores, units),
        "min_p": least_p(unequal, len(tests)),
    }
    return rank | {"verdict": _verdict(rank, name) if name in means else NOT_COMPUTED}


def _verdict(rank: Mapping[str, Any], name: str) -> str:
    if too_few(rank["videos"], rank["people"]):
        return ILLUSTRATION
    if rank["min_p"] >= SIGNIFICANCE:
        return INCONCLUSIVE
    if rank["behind"]:
        return BEHIND
    if rank["best"] != [name]:
        return OPEN
    return BY_MEAN if rank["even"] else FIRST


def rank_text(what: str, rank: Mapping[str, Any], name: str = VIBA) -> str:
    """Sentences on the result of `rank_of`.

    Parameters
    ----------
    what : the measure, with its condition
    """
    said, best = rank["verdict"], " and ".join(rank["best"])
    if said == NOT_COMPUTED:
        return f"{what}: not computed, because no frame has a value."
    others = len(rank["behind"]) + len(rank["ahead"]) + len(rank["even"])
    even = f"{len(rank['even'])} of {others} methods"
    place = f"rank {rank['rank']} of {others + 1} by the mean (best: {best})"
    start = f"{what}, {sample_size(rank['videos'], rank['clips'], rank['people'])}: "
    if said == ILLUSTRATION:
        return f"{start}{name} has {place}.{ILLUSTRATED}"
    if said == INCONCLUSIVE:
        return (
            f"{start}{name} has {place}. The test is inconclusive: the smallest corrected p-value "
            "that this number of source clips with a difference can give is "
            f"{number(rank['min_p'])}."
        )
    if said == FIRST:
        return f"{start}{name} is first, and each of the {others} other methods is worse."
    if said == BY_MEAN:
        return f"{start}{name} is first by the mean, not distinguished from {even}."
    if said == OPEN:
        return (
            f"{start}{name} has {place}, not distinguished from {even}. The test finds no method "
            f"that is better than {name}."
        )
    return (
        f"{start}{name} is behind {', '.join(rank['behind'])}; {place}, not distinguished from "
        f"{even}."
    )


def verdicts_text(ranks: Sequence[Mapping[str, Any]], name: str = VIBA) -> str:
    """Sentences on the verdicts of several measures.

    Parameters
    ----------
    ranks : results of `rank_of`; a `detector` is named with its measure
    """
    if not ranks:
        return "No measure has a value, so there is no verdict."
    decided = [rank for rank in ranks if rank["verdict"] in VERDICTS]
    text = f"{name} is compared in {plural(len(ranks), 'measure')}. "
    for said, why in (
        (NOT_COMPUTED, "no frame has a value"),
        (ILLUSTRATION, f"they have fewer than {FEWEST_VIDEOS} videos or {FEWEST_PEOPLE} people"),
        (INCONCLUSIVE, "the number of source clips cannot decide"),
    ):
        out = [rank for rank in ranks if rank["verdict"] == said]
        if out:
            listed = ", ".join(f"{r['measure']} ({r['detector']})" for r in out)
            text += (
                f"{len(out)} {'drops' if len(out) == 1 else 'drop'} out because {why}: {listed}. "
            )
    if not decided:
        return text + "None is left for a verdict."
    found = [rank["verdict"] for rank in decided]
    shown = "; ".join(f"{said} in {found.count(said)}" for said in VERDICTS)
    if len(decided) == 1:
        return f"{text}In the one that is left, {name} is {found[0]}."
    return (
        f"{text}In the {len(decided)} that are left, {name} is: {shown}. These measures are "
        "correlated, because they are computed from the same maps of the same frames. They are not "
        f"{len(decided)} independent results."
    )


def sample_text(what: str, rows: pd.DataFrame, units: pd.DataFrame | None = None) -> str:
    """Sentence on what a table rests on; says so if it is an illustration.

    Parameters
    ----------
    what : the result
    rows : rows with video_id behind it
    """
    found = counts(rows, units)
    end = ILLUSTRATED if too_few(found["videos"], found["people"]) else ""
    return f"{what}: {sample_size(**found)}.{end}"
