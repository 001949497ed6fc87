"""A run's numbers as a small table that is stored with the library, and what made them."""

from datetime import UTC, date, datetime
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import yaml
from pydantic import Field, ValidationError

from viba_lib.bottleneck.precision import machine
from viba_lib.core.cache import digest
from viba_lib.core.errors import VibaError
from viba_lib.core.files import file_sha256, read_text, user_path, write_text
from viba_lib.core.settings import Settings, Whole
from viba_lib.evaluation.significance import interval_table, means_of
from viba_lib.experiments import paper_and_run as paper
from viba_lib.experiments.common import Bootstrap, detection_of, held_out_predictions, stacked
from viba_lib.experiments.localisation import localisation
from viba_lib.experiments.paper_and_run import COUNTS
from viba_lib.experiments.paper_numbers import FOLDER
from viba_lib.models.detectors import DETECTORS
from viba_lib.pipeline.profiles import first_problem
from viba_lib.pipeline.study import Study

KEYS, NUMBERS = ["table", "row", "measure"], ["value", "low", "high"]
COLUMNS = [*KEYS, *NUMBERS, *COUNTS]
DIGITS = 6  # of stored numbers, after the point
# Settings that change how a result is computed, and not the result.
WORK = {"note", "workers", "kept_memory"}
# Numbers that are not in the paper: the measure, its name, and whether it is in per cent.
UNSEEN, LOCALISATION = "Detection of unseen people", "Localisation"
MORE = {
    UNSEEN: [("accuracy", "accuracy", True), ("auc", "auc", False), ("ece", "ece", False)],
    LOCALISATION: [("ratio", "relevance mass ratio", False), ("hit", "pointing game", True)],
}


class About(Settings):
    """What made the numbers of a reference run."""

    profile: str = Field(min_length=1)
    settings: str  # hash of the profile's settings
    seed: Whole
    device: str
    processor: str
    commit: str
    date: date
    weights: dict[str, str]  # hash, by detector
    versions: dict[str, str]  # by package


class Reference(NamedTuple):
    """A run's numbers, see `reference_of`, and what made them."""

    about: About
    numbers: pd.DataFrame


def about_run(study: Study) -> About:
    """What makes the numbers of a study, today."""
    settings = study.profile.model_dump(mode="json", exclude=WORK)
    facts = study.provenance()
    return About(
        profile=study.profile.name,
        settings=digest(settings),
        seed=study.seed,
        device=study.device,
        processor=machine(study.device)[0].split(":")[-1].strip(),
        commit=facts["commit"],
        date=datetime.now(UTC).date(),
        weights={name: file_sha256(study.weights_path(name))[:16] for name in DETECTORS},
        versions=facts["versions"],
    )


def reference_of(study: Study, numbers: pd.DataFrame | None = None) -> pd.DataFrame:
    """A run's numbers with 95 % intervals: Tables 2 to 4, unseen people, localisation.

    Parameters
    ----------
    numbers : see `paper_beside_run`; None = they are computed

    Returns
    -------
    table, row, measure, value, low, high, videos, clips, people (of known identity). NaN if a
    number or its interval is not defined.
    """
    if numbers is None:
        catalog, tables = study.catalog(), paper.run_tables(study)
        numbers = paper.paper_beside_run(catalog, tables, licensed=False)
    results = numbers[numbers.table.isin(paper.RESULTS)].rename(columns={"run": "value"})
    parts = [results[COLUMNS]]
    frames = {name: held_out_predictions(study, name) for name in DETECTORS}
    maps = {name: localisation(study, name) for name in DETECTORS}
    for table, rows, statistics in (
        (UNSEEN, stacked(frames), detection_of("p_fake")),
        (LOCALISATION, stacked(maps), means_of(["ratio", "hit"])),
    ):
        found = interval_table(rows, ["detector"], statistics, Bootstrap.of(study))
        parts.append(_in_rows(table, found))
    # A table without rows, or without any interval, would change the types of a concatenation.
    rows = [row for part in parts for row in part.to_dict("records")]
    return pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys(COUNTS, "Int64"))


def _in_rows(table: str, found: pd.DataFrame) -> pd.DataFrame:
    """A table of detectors as one row per number."""
    rows = []
    for row in found.to_dict("records"):
        for measure, name, percent in MORE[table]:
            scale, unit = (100, paper.PERCENT) if percent else (1, "")
            values = (scale * row[measure + end] for end in ("", "_low", "_high"))
            rows.append((table, row["detector"], name + unit, *values, *(row[k] for k in COUNTS)))
    return pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys(COUNTS, "Int64"))


def write_reference(path: str | Path, reference: Reference) -> Path:
    """Store a reference run as CSV, below comments that say what made it."""
    about = yaml.safe_dump(reference.about.model_dump(mode="json"), sort_keys=False)
    head = "".join(f"# {line}\n" for line in about.splitlines())
    numbers = _checked(reference.numbers).round(DIGITS).to_csv(index=False, lineterminator="\n")
    return write_text(user_path(path), head + numbers)


def read_reference(path: str | Path) -> Reference:
    """Read what `write_reference` stored.

    Raises
    ------
    VibaError
        No such file, or one that is not a reference run.
    """
    path = user_path(path)
    if not path.is_file():
        raise VibaError(
            f"reference {path} does not exist; write one with `viba reproduce --write {path.name}`"
        )
    try:
        lines = read_text(path).splitlines()
        head = [line.removeprefix("#").removeprefix(" ") for line in lines if line[:1] == "#"]
        about = About.model_validate(yaml.safe_load("\n".join(head)))
        types = dict.fromkeys(KEYS, "str") | dict.fromkeys(NUMBERS, "float")
        numbers = pd.read_csv(
            StringIO("\n".join(line for line in lines if line[:1] != "#")),
            dtype=types | dict.fromkeys(COUNTS, "Int64"), float_precision="round_trip",
            keep_default_na=False, na_values={name: [""] for name in (*NUMBERS, *COUNTS)},
        )  # fmt: skip
        return Reference(about, _checked(numbers))
    except (ValueError, TypeError, yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())
        if isinstance(error, ValidationError):
            reason = first_problem(error)
        raise VibaError(
            f"{path} is not a reference run ({reason}); write it again with `viba reproduce "
            "--write FILE`"
        ) from error


def stored_reference(profile: str) -> Reference | None:
    """The reference run of a profile that comes with the library; None if there is none."""
    path = Path(str(FOLDER / f"reference_{profile}.csv"))
    return read_reference(path) if path.is_file() else None


def _checked(numbers: pd.DataFrame) -> pd.DataFrame:
    """The numbers, if they are those of a reference run."""
    if list(numbers) != COLUMNS:
        raise VibaError(f"its columns are {list(numbers)}; expected {', '.join(COLUMNS)}")
    if numbers.empty:
        raise VibaError("it has no numbers; expected one row per number")
    ends, counts = numbers[["low", "high"]], numbers[list(COUNTS)]
    more = counts.diff(axis=1).iloc[:, 1:] > 0
    checks = {
        "a name is empty": (numbers[KEYS] == "").any(axis=1),
        "a number is given twice": numbers.duplicated(KEYS),
        "a number is infinite": np.isinf(numbers[NUMBERS]).any(axis=1),
        "an interval has one end": ends.isna().sum(axis=1) == 1,
        "an interval ends before it begins": ends.low > ends.high,
        "a count is missing or negative": counts.isna().any(axis=1) | (counts < 0).any(axis=1),
        "it has fewer videos than clips, or fewer clips than people": more.any(axis=1),
    }
    for problem, wrong in checks.items():
        if wrong.any():
            raise VibaError(f"{problem}: {', '.join(numbers.loc[wrong, KEYS].iloc[0])}")
    return numbers
