"""Comparison of a finished run with a reference run."""

import numpy as np
import pandas as pd

from viba_lib.core.errors import VibaError
from viba_lib.experiments.reference_run import (
    DIGITS,
    KEYS,
    About,
    Reference,
    about_run,
    reference_of,
)
from viba_lib.pipeline.status import unfinished
from viba_lib.pipeline.study import Study

INSIDE, OUTSIDE = "inside", "outside"
MISSING, NEW = "missing in this run", "not in the reference"
NO_INTERVAL = "no interval in the reference"
ABOUT = ("settings", "seed", "device", "processor", "weights", "versions")


def finished_run(study: Study) -> Reference:
    """The numbers of a finished run; nothing is trained or explained for them.

    Raises
    ------
    VibaError
        A stage that they are computed from is not done.
    """
    if waiting := unfinished(study):
        stages = ", ".join(f"{s.stage} ({s.state})" for s in waiting)
        raise VibaError(
            f"there is no finished run of profile {study.profile.name!r} with seed {study.seed} "
            f"and this code in {study.root}: {stages}; make one with `make book "
            f"PROFILE={study.given_profile} SEED={study.seed}`, or name its folders with "
            "--data-root and --results-root"
        )
    return Reference(about_run(study), reference_of(study))


def check_profile(profile: str, reference: Reference) -> None:
    """Refuse a reference run of another profile than a run's."""
    other = reference.about.profile
    if other != profile:
        raise VibaError(
            f"the reference is a run of profile {other!r}, and this run has profile {profile!r}; "
            f"use --profile {other}, or a reference of {profile}"
        )


def compare(run: Reference, reference: Reference) -> pd.DataFrame:
    """Each number of a reference run beside that of another run.

    A bootstrap's interval need not contain the value itself, as for calibration errors. Therefore
    the interval is widened to the reference's own value.

    Returns
    -------
    table, row, measure, value, low, high (of the reference), run, result ("inside" or "outside" its
    interval, "missing in this run", "not in the reference", "no interval in the reference").

    Raises
    ------
    VibaError
        The reference is of another profile, or no number can be compared.
    """
    check_profile(run.about.profile, reference)
    mine, stored = (numbers.set_index(KEYS) for numbers in (run.numbers, reference.numbers))
    both = stored[["value", "low", "high"]].join(mine.value.rename("run"), how="outer")
    both = both.loc[stored.index.union(mine.index, sort=False)].reset_index()
    both = both[both.value.notna() | both.run.notna()].reset_index(drop=True)
    low, high = both[["low", "value"]].min(axis=1), both[["high", "value"]].max(axis=1)
    tolerance = 10.0**-DIGITS  # of stored numbers
    inside = both.run.between(low - tolerance, high + tolerance)
    result = inside.map({True: INSIDE, False: OUTSIDE})
    result[both.low.isna()] = NO_INTERVAL
    result[both.value.isna()], result[both.run.isna()] = NEW, MISSING
    if not result.isin([INSIDE, OUTSIDE]).any():
        raise VibaError("this run and the reference have no number with an interval in common")
    return both.assign(result=result)


def reproduction_text(compared: pd.DataFrame) -> str:
    """Which numbers of `compare` lie outside the reference's intervals, and which are missing."""
    groups = {result: part for result, part in compared.groupby("result", sort=False)}
    outside = len(groups.get(OUTSIDE, ()))
    known = outside + len(groups.get(INSIDE, ()))
    lies = "lies" if outside == 1 else "lie"
    text = f"{outside} of {known} compared numbers {lies} outside the reference's intervals"
    text += _named(groups.pop(OUTSIDE)) if outside else ""
    groups.pop(INSIDE, None)
    for result, part in groups.items():
        text += f"; {len(part)} {result}{_named(part)}"
    return f"{text}."


def _named(part: pd.DataFrame) -> str:
    names = part[KEYS].agg(", ".join, axis=1)
    return f" ({'; '.join(names)})"


def origin_text(run: About, reference: About) -> str:
    """Where a reference run comes from, and in what this run differs from it."""
    others = [name for name in ABOUT if getattr(run, name) != getattr(reference, name)]
    text = f"The reference run was made on {reference.date} from commit {reference.commit}"
    if not others:
        return f"{text}, with the same {', '.join(ABOUT)}."
    return f"{text}. This run has other {', '.join(others)}."


def beside_reference(numbers: pd.DataFrame, reference: Reference | None) -> pd.DataFrame:
    """Rows of `paper_beside_run` with reference, reference_low and reference_high; NaN if none."""
    names = {"value": "reference", "low": "reference_low", "high": "reference_high"}
    if reference is None:
        return numbers.assign(**dict.fromkeys(names.values(), np.nan))
    stored = reference.numbers[[*KEYS, *names]].rename(columns=names)
    return numbers.merge(stored, "left", KEYS, validate="1:1")


def reference_text(run: Reference, reference: Reference | None) -> str:
    """How a run compares with the stored reference run of its profile, if there is one."""
    if reference is None:
        return f"No reference run of the profile {run.about.profile} is stored."
    origin = origin_text(run.about, reference.about)
    return f"{origin} {reproduction_text(compare(run, reference))}"
