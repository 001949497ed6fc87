"""The paper's numbers beside this run's."""

import numpy as np
import pandas as pd

from viba_lib.data.sampling import PAPER_COUNTS
from viba_lib.experiments.consistency import table_3
from viba_lib.experiments.detection import table_2
from viba_lib.experiments.human_agreement import table_4
from viba_lib.experiments.paper_numbers import (
    NAMES,
    TABLE_2,
    TABLE_3,
    TABLE_4,
    TABLE_5,
    TABLE_6,
    TABLE_7,
)
from viba_lib.models.describe import beside_paper
from viba_lib.pipeline.study import Study
from viba_lib.visual.html_table import Link


def table_1(catalog: pd.DataFrame) -> pd.DataFrame:
    """The paper's Table 1 beside a catalog.

    Returns
    -------
    dataset, paper (its number of videos, none for sets that it does not have), and of the catalog:
    videos, real, fake, methods, people (known ones). The last row is the sum.
    """
    rows = []
    for name in dict.fromkeys([*NAMES, *sorted(catalog.dataset.unique())]):
        of_set = catalog[catalog.dataset == name]
        rows.append(
            {
                "dataset": NAMES.get(name, name),
                "paper": PAPER_COUNTS.get(name, pd.NA),
                "videos": len(of_set),
                "real": int((of_set.label == "real").sum()),
                "fake": int((of_set.label == "fake").sum()),
                "methods": of_set.method[of_set.method != ""].nunique(),
                "people": of_set.identity[of_set.identity != ""].nunique(),
            }
        )
    table = pd.DataFrame(rows).astype({"paper": "Int64"})
    table.loc[len(table)] = {"dataset": "all"} | table.drop(columns="dataset").sum().to_dict()
    return table


# Where each table is made: chapter, id of its place there, and how the run's number comes about.
_MADE = {
    "Table 1": ("02_dataset_construction", "table_1", "videos in the catalog"),
    "Table 2": (
        "08_detection_performance",
        "table_2",
        "explained test frames; bottleneck for the predicted class, mean over draws of noise",
    ),
    "Table 3": (
        "09_consistency",
        "table_3",
        "masks at half of the frame's maximum, 924 px; mean over videos",
    ),
    "Table 4": (
        "10_human_agreement",
        "table_4",
        "three regions by density of the video's mean map; macro means over regions",
    ),
    "Table 5": ("03_detectors", "layers_xception", "read off the live network"),
    "Table 6": ("03_detectors", "layers_xception", "read off the live network, block 2"),
    "Table 7": ("03_detectors", "layers_flow", "read off the live network"),
}
COUNT = "videos"
REPRODUCED, DIFFERS, NOT_RUN = "reproduced", "differs", "not run here"


def place_of(table: str) -> Link:
    """Link to the cell that makes a table of the paper."""
    chapter, name, _ = _MADE[table]
    return Link(f"ch. {int(chapter[:2])}", f"{chapter}.html#{name}")


def _row(
    study: Study,
    key: tuple[str, str, str],
    paper: float,
    run: tuple[float, float, float],
) -> dict[str, object]:
    """One number: table, row and measure of it, the paper's value, the run's with its interval."""
    status, why = _status(study, key[2], paper, run[1], run[2])
    names: dict[str, object] = dict(zip(("table", "row", "measure"), key, strict=True))
    names |= {"paper": paper, "run": run[0], "low": run[1], "high": run[2]}
    return names | {"status": status, "why": why, "how": _MADE[key[0]][2]}


def _status(study: Study, measure: str, paper: float, low: float, high: float) -> tuple[str, str]:
    """Status of a number, and the reason for it."""
    if study.profile.name != "paper":
        return NOT_RUN, "other videos"
    if not np.isfinite(low):
        return NOT_RUN, "too few videos for an interval"
    inside = low <= paper <= high
    if measure == COUNT:
        return (REPRODUCED, "the same count") if inside else (DIFFERS, "another count")
    where = "inside" if inside else "outside"
    return (REPRODUCED if inside else DIFFERS), f"the paper's value is {where} the interval"


def _counts(study: Study) -> list[dict[str, object]]:
    """The paper's numbers of videos per data set beside the catalog's."""
    counts = study.catalog().dataset.value_counts()
    return [
        _row(study, ("Table 1", name, COUNT), PAPER_COUNTS[key], (run, run, run))
        for key, name in NAMES.items()
        for run in [int(counts.get(key, 0))]
    ]


def paper_beside_run(study: Study) -> pd.DataFrame:
    """Every number of the paper's Tables 1 to 4 beside this run's.

    Returns
    -------
    table, row, measure, paper, run, low and high (95 % interval of the run over videos; of a count,
    the count), status ("reproduced", "differs" or "not run here"), why, how (it was computed).
    """
    rows = _counts(study)
    second = table_2(study)
    for table, paper, run, keys in (
        ("Table 2", TABLE_2, second[second.unit == "frame"], ["detector", "bottleneck"]),
        ("Table 3", TABLE_3, table_3(study), ["detector", "label"]),
        ("Table 4", TABLE_4, table_4(study), ["detector"]),
    ):
        both = paper.merge(run, on=keys, suffixes=("_paper", ""), how="left", validate="1:1")
        for _, row in both.iterrows():
            name = " ".join(_cell(row[k]) for k in keys)
            for measure in (c for c in paper if c not in keys):
                percent = measure not in ("ece", "iou", "tcs", "rpi")
                value, low, high = (
                    float(row[measure + end]) * (100 if percent else 1)
                    for end in ("", "_low", "_high")
                )
                key = (table, name, measure + (" (%)" if percent else ""))
                rows.append(_row(study, key, float(row[f"{measure}_paper"]), (value, low, high)))
    return pd.DataFrame(rows)


def _cell(value: object) -> str:
    return {True: "with bottleneck", False: "without"}.get(value, str(value))  # type: ignore[call-overload]


# Why a row of Tables 5 to 7 differs, by its layer there; none of them changes a result.
_WHY = {
    ("Table 5", "last_linear"): "one linear layer; dropout does nothing in a network that explains",
    ("Table 6", "0"): "it must not write over its input, which the skip connection takes, too",
}


def layers_beside_run(study: Study) -> pd.DataFrame:
    """Every row of the paper's Tables 5 to 7 beside the live networks.

    Returns
    -------
    table, row, paper, run, status, why, how.
    """
    xception, flow = study.detector("xception"), study.detector("flow-vgg11")
    parts = []
    for table, model, rows, inside in (
        ("Table 5", xception, TABLE_5, ""),
        ("Table 6", xception, TABLE_6, "block2.rep"),
        ("Table 7", flow, TABLE_7, ""),
    ):
        found = beside_paper(model, rows, inside).rename(columns={"layer": "row", "here": "run"})
        reasons = [
            _WHY.get((table, row), "another setting, the same function") for row in found.row
        ]
        found["status"] = np.where(found.agrees, REPRODUCED, DIFFERS)
        found["why"] = np.where(found.agrees, "all that is printed agrees", reasons)
        parts.append(found.drop(columns="agrees").assign(table=table, how=_MADE[table][2]))
    columns = ["table", "row", "paper", "run", "status", "why", "how"]
    return pd.concat(parts, ignore_index=True)[columns]


def for_page(beside: pd.DataFrame) -> pd.DataFrame:
    """Rows of `paper_beside_run` or `layers_beside_run` as a page shows them; no cell is empty."""
    shown = beside.drop(columns=["how"]).assign(made=[place_of(t) for t in beside.table])
    if "low" in shown:
        ends = zip(shown.measure, shown.run, shown.low, shown.high, strict=True)
        shown["run (95 % interval)"] = [_with_interval(*row) for row in ends]
        shown["paper"] = [f"{value:.4g}" for value in shown.paper]
        shown = shown.drop(columns="run")
    names = ["table", "row", "measure", "paper", "run", "run (95 % interval)"]
    names += ["status", "why", "made"]
    return shown[[n for n in names if n in shown]].reset_index(drop=True)


def _with_interval(measure: str, value: float, low: float, high: float) -> str:
    if measure == COUNT:
        return f"{value:.0f} (a count)"
    inside = f"{low:.3g} to {high:.3g}" if np.isfinite(low) else "too few videos"
    return f"{value:.3g} ({inside})"


def status_counts(*tables: pd.DataFrame) -> pd.DataFrame:
    """How many numbers of each of the paper's tables have which status, with links."""
    joined = pd.concat([t[["table", "status"]] for t in tables])
    counts = joined.groupby(["table", "status"]).size().unstack(fill_value=0)
    counts = counts.reindex(columns=[REPRODUCED, DIFFERS, NOT_RUN], fill_value=0).reset_index()
    counts.columns.name = None
    how = [_MADE[t][2] for t in counts.table]
    return counts.assign(how=how, made=[place_of(t) for t in counts.table])
