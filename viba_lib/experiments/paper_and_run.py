"""The paper's numbers beside this run's."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from viba_lib.data.sampling import PAPER_COUNTS
from viba_lib.experiments import paper_numbers
from viba_lib.experiments.common import Bootstrap, explained_frames, explained_videos
from viba_lib.experiments.consistency import consistency, table_3
from viba_lib.experiments.detection import table_2
from viba_lib.experiments.human_agreement import regions_by_video, table_4
from viba_lib.models.describe import beside_paper
from viba_lib.models.detectors import DETECTORS
from viba_lib.pipeline.study import Study
from viba_lib.visual.html_table import Link


def table_1(catalog: pd.DataFrame) -> pd.DataFrame:
    """The paper's Table 1 beside a catalog.

    Returns
    -------
    dataset, paper (its number of videos, none for other sets), and of the catalog: videos, real,
    fake, methods, people (known ones). The last row is the sum.
    """
    labels = pd.crosstab(catalog.dataset, catalog.label).reindex(columns=["real", "fake"])
    groups = catalog.replace({"method": {"": None}, "identity": {"": None}}).groupby("dataset")
    table = labels.fillna(0).astype(int).rename_axis(columns=None)
    table.insert(0, "videos", groups.size())
    table[["methods", "people"]] = groups[["method", "identity"]].nunique()
    names = list(dict.fromkeys([*paper_numbers.DATASET_NAMES.index, *table.index]))
    table = table.reindex(names, fill_value=0)
    table.loc["all"] = table.sum()
    papers = PAPER_COUNTS | {"all": sum(PAPER_COUNTS.values())}
    table.insert(0, "paper", table.index.map(papers).astype("Int64"))
    return table.rename(index=paper_numbers.DATASET_NAMES).rename_axis("dataset").reset_index()


def table_1_text(beside: pd.DataFrame) -> str:
    """How many videos of the paper's data sets a catalog has, from a `table_1`."""
    sets, total = beside[beside.paper.notna()].iloc[:-1], beside.iloc[-1]
    shared = sets[sets.videos > 0]
    return (
        f"The paper's Table 1 lists {len(sets)} sources, and its numbers sum to {total.paper} "
        f"videos. This catalog has {total.videos} videos, {shared.videos.sum()} of them from "
        f"{len(shared)} of these sources."
    )


# For each table of the paper: the chapter and cell that compute it, how the run's numbers are
# computed, and, for Tables 5 to 7, the detector and the part of its network.
_TABLES = paper_numbers.read_csv("paper_tables", keep_default_na=False).set_index("table")
_NUMBERS = {"Table 2": paper_numbers.TABLE_2, "Table 3": paper_numbers.TABLE_3}
_NUMBERS["Table 4"] = paper_numbers.TABLE_4
_DIFFERENCES = paper_numbers.read_yaml("paper_layer_differences")
_CELLS: dict[object, str] = {True: "with bottleneck", False: "without"}
_FRACTIONS = ("ece", "iou", "tcs", "rpi")  # the paper prints other measures in per cent
COUNT = "videos"
REPRODUCED, DIFFERS, NOT_RUN = "reproduced", "differs", "not run here"


def link_to(table: str) -> Link:
    """Link to the cell that computes a table of the paper."""
    chapter, cell = _TABLES.loc[table, ["chapter", "cell"]]
    return Link(f"ch. {int(chapter[:2])}", f"{chapter}.html#{cell}")


def _status(licensed: bool, measure: str, paper: float, low: float, high: float) -> tuple[str, str]:
    """Status of a number, and the reason for it."""
    if not licensed:
        return NOT_RUN, "other videos"
    if not np.isfinite(low):
        return NOT_RUN, "too few videos for an interval"
    inside = low <= paper <= high
    if measure == COUNT:
        return (REPRODUCED, "the same count") if inside else (DIFFERS, "another count")
    side = "inside" if inside else "outside"
    return (REPRODUCED if inside else DIFFERS), f"the paper's value is {side} the interval"


def run_tables(study: Study) -> dict[str, pd.DataFrame]:
    """This run's Tables 2 to 4, by their names in the paper, computed as the chapters do."""
    bootstrap = Bootstrap.of(study)
    frames = {name: explained_frames(study, name) for name in DETECTORS}
    regions = {name: regions_by_video(explained_videos(study, name)) for name in DETECTORS}
    second = table_2(frames, bootstrap)
    return {
        "Table 2": second[second.unit == "frame"],
        "Table 3": table_3(consistency(study, [0.5]), bootstrap),
        "Table 4": table_4(regions, bootstrap),
    }


def paper_beside_run(
    catalog: pd.DataFrame, tables: Mapping[str, pd.DataFrame], licensed: bool
) -> pd.DataFrame:
    """Every number of the paper's Tables 1 to 4 beside this run's.

    Parameters
    ----------
    tables : see `run_tables`
    licensed : whether the run uses the paper's data sets

    Returns
    -------
    table, row, measure, paper, run, low and high (95 % interval of the run over videos; of a count,
    the count), status ("reproduced", "differs" or "not run here"), why, how (it was computed).
    """
    counts = catalog.dataset.value_counts().reindex(paper_numbers.DATASET_NAMES.index, fill_value=0)
    rows = [
        ("Table 1", name, COUNT, PAPER_COUNTS[key], counts[key], counts[key], counts[key])
        for key, name in paper_numbers.DATASET_NAMES.items()
    ]
    for table, paper in _NUMBERS.items():
        keys = list(paper.select_dtypes(exclude="number"))
        both = paper.merge(tables[table], "left", keys, suffixes=("_paper", ""), validate="1:1")
        for row in both.to_dict("records"):
            name = " ".join(_CELLS.get(row[k], str(row[k])) for k in keys)
            for measure in paper.columns.drop(keys):
                scale, unit = (1, "") if measure in _FRACTIONS else (100, " (%)")
                values = (scale * row[measure + end] for end in ("", "_low", "_high"))
                rows.append((table, name, measure + unit, row[f"{measure}_paper"], *values))
    numbers = pd.DataFrame(rows, columns=["table", "row", "measure", "paper", "run", "low", "high"])
    status = [
        _status(licensed, row.measure, row.paper, row.low, row.high) for row in numbers.itertuples()
    ]
    numbers[["status", "why"]] = status
    return numbers.assign(how=_TABLES.how[numbers.table].to_numpy())


def layers_beside_run(study: Study) -> pd.DataFrame:
    """Every row of the paper's Tables 5 to 7 beside the run's networks.

    Returns
    -------
    table, row, paper, run, status, why, how.
    """
    parts = []
    for table, rows in paper_numbers.LAYERS.items():
        how, detector, inside = _TABLES.loc[table, ["how", "detector", "inside"]]
        both = beside_paper(study.detector(detector), rows, inside)
        both = both.rename(columns={"layer": "row", "here": "run"})
        known = _DIFFERENCES[table]
        reasons = [known.get(row, "another setting, the same function") for row in both.row]
        both["status"] = np.where(both.agrees, REPRODUCED, DIFFERS)
        both["why"] = np.where(both.agrees, "all that is printed agrees", reasons)
        parts.append(both.drop(columns="agrees").assign(table=table, how=how))
    columns = ["table", "row", "paper", "run", "status", "why", "how"]
    return pd.concat(parts, ignore_index=True)[columns]


def for_page(beside: pd.DataFrame) -> pd.DataFrame:
    """Rows of `paper_beside_run` or `layers_beside_run` as a page shows them; no cell is empty."""
    shown = beside.assign(made=[link_to(t) for t in beside.table])
    if "low" in shown:
        ends = zip(shown.measure, shown.run, shown.low, shown.high, strict=True)
        shown["run (95 % interval)"] = [_with_interval(*row) for row in ends]
        shown["paper"] = shown.paper.map("{:.4g}".format)
        columns = ["measure", "paper", "run (95 % interval)"]
    else:
        columns = ["paper", "run"]
    return shown[["table", "row", *columns, "status", "why", "made"]].reset_index(drop=True)


def _with_interval(measure: str, value: float, low: float, high: float) -> str:
    if measure == COUNT:
        return f"{value:.0f} (a count)"
    if not np.isfinite(value):
        return "not computed"
    inside = f"{low:.3g} to {high:.3g}" if np.isfinite(low) else "too few videos"
    return f"{value:.3g} ({inside})"


def status_counts(*tables: pd.DataFrame) -> pd.DataFrame:
    """How many numbers of each of the paper's tables have which status, with links."""
    joined = pd.concat(tables)
    counts = pd.crosstab(joined.table, joined.status).rename_axis(columns=None)
    counts = counts.reindex(columns=[REPRODUCED, DIFFERS, NOT_RUN], fill_value=0).reset_index()
    how = _TABLES.how[counts.table].to_numpy()
    return counts.assign(how=how, made=[link_to(t) for t in counts.table])
