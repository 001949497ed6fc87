"""Findings and the sentences about them: the one place that says higher, first or supports.

A verdict needs an estimate, its interval, a test and the number of independent people behind them.
All texts are plain; whoever puts them into HTML escapes them.
"""

from typing import Final, Literal, NamedTuple

import numpy as np
import pandas as pd

from viba_lib.core.words import plural
from viba_lib.evaluation.clusters import CLIP, PERSON, VIDEO, with_units
from viba_lib.evaluation.significance import SIGNIFICANCE, flip_test, means_of, with_intervals

HIGHER: Final = "higher"
LOWER: Final = "lower"
NO_DIFFERENCE = "no difference found"
ILLUSTRATION, NOT_COMPUTED = "illustration", "not computed"
SUPPORTS, CONTRADICTS, UNDECIDED = "supports", "contradicts", "undecided"
FEWEST_VIDEOS, FEWEST_PEOPLE = 5, 2  # below, a result is an illustration
# The smallest number of people that an exact two-sided test at 5 % can decide with.
PEOPLE_FOR_TEST = 6
RULE_OF_THREE = 3
VALUE = "value"
CLIPS, PEOPLE = "source clips", "people"  # units of a test
UNEQUAL: Final = "unequal"
Direction = Literal["higher", "lower", "equal", "unequal"]
_OPPOSITE = {SUPPORTS: CONTRADICTS, CONTRADICTS: SUPPORTS}
ILLUSTRATED = " This is an illustration: too few for a verdict."


class Finding(NamedTuple):
    """A mean over source clips, and what is known of its uncertainty.

    Parameters
    ----------
    estimate, low, high : mean and 95 % interval; NaN if unknown
    p : two-sided p-value of the difference from `at`
    videos, clips, people : numbers behind it
    at : the value that the mean is compared with
    tested : "people" or "source clips", the units of the test
    how : name of the test
    """

    estimate: float
    low: float
    high: float
    p: float
    videos: int
    clips: int
    people: int
    at: float = 0.0
    tested: str = CLIPS
    how: str = "sign-flip test"


def finding(
    values: pd.DataFrame,
    units: pd.DataFrame | None = None,
    samples: int = 1000,
    seed: int = 0,
    at: float = 0.0,
) -> Finding:
    """Mean of values over source clips, its interval, and an exact test against a constant.

    The interval is a bootstrap over people and their clips. The test flips signs: of the clips'
    means, or of each person's sum of them if there are at least six people, so that it tests the
    mean that is given. With fewer people the test holds for these people, and says nothing about
    others.

    Parameters
    ----------
    values : rows with video_id and value; rows without a value are left out
    units : see `clusters.units_of`; None = each video is independent
    samples, seed : of the bootstrap
    at : the constant, such as the value of chance
    """
    known = with_units(values[values[VALUE].notna()], units)
    by_clip = known.groupby([PERSON, CLIP], sort=True, as_index=False)[VALUE].mean()
    differences = by_clip[VALUE] - at
    by_person = differences.groupby(by_clip[PERSON]).sum()
    enough = len(by_person) >= PEOPLE_FOR_TEST
    clips = by_clip.rename(columns={CLIP: VIDEO})
    people = clips.set_index(VIDEO, drop=False)[[VIDEO, PERSON]].set_axis([CLIP, PERSON], axis=1)
    row = with_intervals(clips, means_of([VALUE]), samples, seed, people)
    return Finding(
        estimate=row[VALUE],
        low=row[VALUE + "_low"],
        high=row[VALUE + "_high"],
        p=flip_test((by_person if enough else differences).to_numpy(float), seed=seed),
        videos=known[VIDEO].nunique(),
        clips=len(by_clip),
        people=len(by_person),
        at=at,
        tested=PEOPLE if enough else CLIPS,
    )


def paired(
    rows: pd.DataFrame,
    measure: str,
    column: str,
    first: object,
    second: object,
    units: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Differences of a measure between two conditions, paired by source clip.

    Parameters
    ----------
    rows : rows with video_id, the measure, and the column of the conditions
    first, second : values of the column; clips that lack one of them are left out

    Returns
    -------
    video_id (each video of the clips that have both) and value, first minus second: the same for
    all videos of a clip.
    """
    known = with_units(rows[rows[measure].notna() & rows[column].isin([first, second])], units)
    wide = known.pivot_table(index=CLIP, columns=column, values=measure, dropna=False)
    if not {first, second} <= set(wide):
        return pd.DataFrame({VIDEO: pd.Series(dtype=str), VALUE: pd.Series(dtype=float)})
    difference = (wide[first] - wide[second]).dropna()
    videos = known[known[CLIP].isin(difference.index)].drop_duplicates(VIDEO)
    return pd.DataFrame({VIDEO: videos[VIDEO], VALUE: videos[CLIP].map(difference)})


def too_few(videos: int, people: int) -> bool:
    """Whether a result with so many videos and people is an illustration only."""
    return videos < FEWEST_VIDEOS or people < FEWEST_PEOPLE


def verdict(found: Finding) -> str:
    """HIGHER or LOWER than `found.at`, NO_DIFFERENCE, ILLUSTRATION or NOT_COMPUTED.

    A difference needs both: a p-value below 5 %, and an interval on one side.
    """
    if not found.videos or not np.isfinite(found.estimate):
        return NOT_COMPUTED
    if too_few(found.videos, found.people):
        return ILLUSTRATION
    if found.p < SIGNIFICANCE and found.low > found.at:
        return HIGHER
    if found.p < SIGNIFICANCE and found.high < found.at:
        return LOWER
    return NO_DIFFERENCE


def claim_verdict(found: Finding, direction: Direction, margin: float = float("nan")) -> str:
    """What a finding says of a claim: SUPPORTS, CONTRADICTS, UNDECIDED, or no verdict.

    Parameters
    ----------
    direction : "higher" or "lower" than `found.at`, "equal": within a margin of it, or "unequal",
        the opposite
    margin : for "equal"; that no difference was found does not support it, an interval within the
        margin does. An interval has no width if all clips agree. Of n such clips, at most a share
        of 3 / n of all clips differs with 95 % confidence (the rule of three), which is then the
        bound for values whose difference is at most 1
    """
    if direction == UNEQUAL:
        equal = claim_verdict(found, "equal", margin)
        return _OPPOSITE.get(equal, equal)
    said = verdict(found)
    if said in (ILLUSTRATION, NOT_COMPUTED):
        return said
    if direction == "equal":
        if max(abs(found.low - found.at), abs(found.high - found.at)) < margin:
            enough = found.low < found.high or RULE_OF_THREE / found.clips < margin
            return SUPPORTS if enough else UNDECIDED
        return CONTRADICTS if said in (HIGHER, LOWER) else UNDECIDED
    if said == NO_DIFFERENCE:
        return UNDECIDED
    return SUPPORTS if said == direction else CONTRADICTS


def number(value: float) -> str:
    """A value with three significant digits, or as a whole number from a thousand on."""
    if not np.isfinite(value):
        return "unknown"
    return f"{value:.3g}" if abs(value) < 999.5 else f"{value:,.0f}"


def sample_size(videos: int, clips: int, people: int) -> str:
    """The numbers behind a result: "12 videos from 6 source clips of 3 people"."""
    groups = f"{plural(clips, 'source clip')} of {plural(people, 'person', 'people')}"
    return f"{plural(videos, 'video')} from {groups}"


def behind(found: Finding) -> str:
    """The numbers behind a finding, see `sample_size`."""
    return sample_size(found.videos, found.clips, found.people)


def _shown(found: Finding) -> str:
    ends = f"{number(found.low)} to {number(found.high)}"
    known = np.isfinite(found.low) and np.isfinite(found.high)
    interval = f"95 % interval {ends}" if known else "no interval"
    return f"{number(found.estimate)} ({interval}; {behind(found)})"


def _tested(found: Finding) -> str:
    if found.tested == PEOPLE:
        return f"p = {number(found.p)}, {found.how} over people"
    people = "this person" if found.people == 1 else f"these {found.people} people"
    return f"p = {number(found.p)}, {found.how} over source clips of {people}"


def level_text(what: str, found: Finding, reference: str = "chance") -> str:
    """Sentence on a mean beside a constant.

    Parameters
    ----------
    what : the measure, with its condition
    found : against the constant `found.at`
    reference : name of the constant
    """
    said = verdict(found)
    if said == NOT_COMPUTED:
        return f"{what}: not computed, because no video has a value."
    if said == ILLUSTRATION:
        return f"{what}: {_shown(found)}.{ILLUSTRATED}"
    end = {HIGHER: "above", LOWER: "below"}.get(said, "not distinguished from")
    return f"{what}: {_shown(found)}, {end} {reference} ({number(found.at)}; {_tested(found)})."


def difference_text(what: str, first: str, second: str, found: Finding) -> str:
    """Sentence on a difference, first minus second.

    Parameters
    ----------
    what : the measure
    first, second : names of the conditions
    found : of the differences, against 0
    """
    said, pair = verdict(found), f"{what}, {first} minus {second}"
    if said == NOT_COMPUTED:
        return f"{pair}: not computed, because no source clip has both."
    if said == ILLUSTRATION:
        return f"{pair}: {_shown(found)}.{ILLUSTRATED}"
    if said == NO_DIFFERENCE and found.p < SIGNIFICANCE:
        return (
            f"{pair}: {_shown(found)}. It is not decided: the test finds a difference "
            f"({_tested(found)}), but the interval over people contains {number(found.at)}."
        )
    if said == NO_DIFFERENCE:
        return f"{pair}: {_shown(found)}. No difference was found ({_tested(found)})."
    return f"{pair}: {_shown(found)}. It is {said} for {first} ({_tested(found)})."


def claim_text(claim: str, said: str) -> str:
    """Sentence on a claim of the paper, from the result of `claim_verdict`.

    Parameters
    ----------
    claim : the claim as a clause after "that"
    """
    if said == SUPPORTS:
        return f"This run supports the paper's claim that {claim}."
    if said == CONTRADICTS:
        return f"This run contradicts the paper's claim that {claim}."
    if said == UNDECIDED:
        return f"This run does not decide whether {claim}."
    return f"This run is too small to test whether {claim}."


def answer_text(said: str) -> str:
    """Sentence on the answer to a quiz question, from the result of `claim_verdict`."""
    if said in (SUPPORTS, CONTRADICTS):
        return f"This run {said} the answer."
    if said == UNDECIDED:
        return "This run does not decide whether the answer holds."
    return "This run is too small to test the answer."
