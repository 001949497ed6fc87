"""The paper's numbers beside this run's."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from viba_lib.core.words import plural
from viba_lib.data.sampling import PAPER_COUNTS
from viba_lib.evaluation import clusters
from viba_lib.evaluation.sentences import UNDECIDED
from viba_lib.experiments import paper_numbers
from viba_lib.experiments.common import Bootstrap, explained_frames, explained_videos, stacked
from viba_lib.experiments.consistency import consistency, table_3
from viba_lib.experiments.detection import table_2
from viba_lib.experiments.human_agreement import regions_by_video, table_4
from viba_lib.models.describe import beside_paper
from viba_lib.models.detectors import DETECTORS
from viba_lib.pipeline.study import Study
from viba_lib.visual.html_table import Link, chapter_link


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


def splits_text(catalog: pd.DataFrame) -> str:
    """How many videos, people and methods the splits of a catalog have.

    Parameters
    ----------
    catalog : with label ("real" or "fake"), method, identity and split
    """
    methods, sentences = set(catalog[catalog.label == "fake"].method), []
    for split, part in catalog.groupby("split", sort=False):
        fakes = part[part.label == "fake"]
        counts = fakes.method.value_counts()
        each = f" ({counts.min()} to {counts.max()} of a method)" if len(counts) else ""
        lacking = sorted(methods - set(counts.index))
        sentences.append(
            f"{split}: {plural(len(part), 'video')} of "
            f"{plural(part.identity.nunique(), 'person', 'people')}, "
            f"{len(part) - len(fakes)} real and {len(fakes)} fake{each}"
            + (f", without {', '.join(lacking)}." if lacking else ".")
        )
    return " ".join(sentences)


# For each table of the paper: the chapter and cell that compute it, how the run's numbers are
# computed, and, for Tables 5 to 7, the detector and the part of its network.
_TABLES = paper_numbers.read_csv("paper_tables", keep_default_na=False).set_index("table")
_NUMBERS = {"Table 2": paper_numbers.TABLE_2, "Table 3": paper_numbers.TABLE_3}
_NUMBERS["Table 4"] = paper_numbers.TABLE_4
_DIFFERENCES = paper_numbers.read_yaml("paper_layer_differences")
_CELLS: dict[object, str] = {True: "with bottleneck", False: "without"}
_FRACTIONS = ("ece", "iou", "tcs", "rpi")  # the paper prints other measures in per cent
COUNT, PERCENT = "videos", " (%)"
COUNTS = ("videos", "clips", "people")  # behind a number
REPRODUCED, DIFFERS = "reproduced", "differs"
NOT_RUN, AGREES = "not run here", "agrees"
RESULTS = tuple(_NUMBERS)  # the other tables describe videos and networks
STATUSES = [REPRODUCED, DIFFERS, UNDECIDED, NOT_RUN, AGREES]
MARGIN = 0.05  # half width of an interval, of measures from 0 to 1: a wider one decides nothing


def link_to(table: str) -> Link:
    """Link to the cell that computes a table of the paper."""
    chapter, cell = _TABLES.loc[table, ["chapter", "cell"]]
    return chapter_link(chapter, cell)


def status_of(
    licensed: bool, measure: str, paper: float, low: float, high: float
) -> tuple[str, str]:
    """Status of a number, and the reason for it.

    Parameters
    ----------
    licensed : whether the run has the paper's data sets
    measure : its name; "(%)" at the end marks per cent
    paper : the printed value
    low, high : the run's 95 % interval; NaN if unknown
    """
    if not licensed:
        return NOT_RUN, "other videos"
    if not np.isfinite(low):
        return NOT_RUN, "too few videos for an interval"
    inside = low <= paper <= high
    if measure == COUNT:
        return (REPRODUCED, "the same count") if inside else (DIFFERS, "another count")
    if low == high:  # such as a precision of 1 in every sample: it says nothing of other videos
        return UNDECIDED, "the interval has no width"
    if not inside:
        return DIFFERS, "the paper's value is outside the interval"
    if (high - low) / 2 > MARGIN * _scale(measure):
        points = f"{100 * MARGIN:g} points" if measure.endswith(PERCENT) else f"{MARGIN:g}"
        return UNDECIDED, f"the interval is wider than the value ± {points}"
    return REPRODUCED, "the paper's value is inside the interval"


def _scale(measure: str) -> int:
    return 100 if measure.endswith(PERCENT) else 1


def run_tables(study: Study) -> dict[str, pd.DataFrame]:
    """This run's Tables 2 to 4, by their names in the paper, computed as the chapters do.

    Beside their own columns they have COUNTS, of what each row is computed from.
    """
    bootstrap = Bootstrap.of(study)
    frames = {name: explained_frames(study, name) for name in DETECTORS}
    regions = {name: regions_by_video(explained_videos(study, name)) for name in DETECTORS}
    second = table_2(frames, bootstrap)
    units = bootstrap.units
    return {
        "Table 2": with_counts(second[second.unit == "frame"], stacked(frames), units),
        "Table 3": table_3(consistency(study, [0.5]), bootstrap),
        "Table 4": with_counts(table_4(regions, bootstrap), stacked(regions), units),
    }


def with_counts(
    table: pd.DataFrame, rows: pd.DataFrame, units: pd.DataFrame | None
) -> pd.DataFrame:
    """A table of detectors with the numbers of videos, source clips and people behind its rows.

    Parameters
    ----------
    rows : with detector and video_id, from which the table was computed
    units : see `evaluation.clusters.units_of`
    """
    none = dict.fromkeys(COUNTS, 0)
    sizes = {name: clusters.counts(part, units) for name, part in rows.groupby("detector")}
    found = [sizes.get(name, none) for name in table.detector]
    return table.assign(**{name: [size[name] for size in found] for name in COUNTS})


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
    the count), videos, clips, people (none in Table 1), status ("reproduced", "differs",
    "undecided" or "not run here"), why, how (it was computed).
    """
    counts = catalog.dataset.value_counts().reindex(paper_numbers.DATASET_NAMES.index, fill_value=0)
    rows = [
        ("Table 1", name, COUNT, PAPER_COUNTS[key], *3 * [counts[key]], *3 * [None])
        for key, name in paper_numbers.DATASET_NAMES.items()
    ]
    for table, paper in _NUMBERS.items():
        keys = list(paper.select_dtypes(exclude="number"))
        both = paper.merge(tables[table], "left", keys, suffixes=("_paper", ""), validate="1:1")
        for row in both.to_dict("records"):
            name = " ".join(_CELLS.get(row[k], str(row[k])) for k in keys)
            for measure in paper.columns.drop(keys):
                shown = measure if measure in _FRACTIONS else measure + PERCENT
                values = (_scale(shown) * row[measure + end] for end in ("", "_low", "_high"))
                facts = (row[f"{measure}_paper"], *values, *(row[k] for k in COUNTS))
                rows.append((table, name, shown, *facts))
    columns = ["table", "row", "measure", "paper", "run", "low", "high", *COUNTS]
    numbers = pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(COUNTS, "Int64"))
    status = [
        status_of(licensed, row.measure, row.paper, row.low, row.high)
        for row in numbers.itertuples()
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
        both["status"] = np.where(both.agrees, AGREES, DIFFERS)
        both["why"] = np.where(both.agrees, "all that is printed agrees", reasons)
        parts.append(both.drop(columns="agrees").assign(table=table, how=how))
    columns = ["table", "row", "paper", "run", "status", "why", "how"]
    return pd.concat(parts, ignore_index=True)[columns]


def for_page(beside: pd.DataFrame) -> pd.DataFrame:
    """Rows of `paper_beside_run` or `layers_beside_run` as a page shows them; no cell is empty.

    Numbers of a reference run, see `reproduction.beside_reference`, are shown if there are any.
    """
    shown = beside.assign(made=[link_to(t) for t in beside.table])
    if "low" in shown:
        ends = zip(shown.measure, shown.run, shown.low, shown.high, strict=True)
        shown["run (95 % interval)"] = [_with_interval(*row) for row in ends]
        shown["paper"] = shown.paper.map("{:.4g}".format)
        columns = ["measure", "paper", "run (95 % interval)"]
        if "reference" in shown and shown.reference.notna().any():
            names = ["measure", "reference", "reference_low", "reference_high"]
            stored = [_with_interval(*row) for row in shown[names].to_numpy()]
            shown["reference run (95 % interval)"] = stored
            columns.insert(2, "reference run (95 % interval)")
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
    counts = counts.reindex(columns=STATUSES, fill_value=0).reset_index()
    how = _TABLES.how[counts.table].to_numpy()
    return counts.assign(how=how, made=[link_to(t) for t in counts.table])


def headline(numbers: pd.DataFrame, layers: pd.DataFrame) -> str:
    """What a run reproduces, with results apart from descriptions of videos and networks.

    Parameters
    ----------
    numbers, layers : see `paper_beside_run` and `layers_beside_run`
    """
    result = numbers.table.isin(RESULTS)
    agree, rows = int((layers.status == AGREES).sum()), len(layers)
    return (
        f"Results (Tables 2 to 4): {_share(numbers[result].status, 'numbers')}. "
        f"Videos (Table 1): {_share(numbers[~result].status, 'counts')}. "
        f"Networks (Tables 5 to 7): {agree} of {rows} rows agree with the paper; they describe the "
        "detectors and are not results."
    )


def _share(status: pd.Series, what: str) -> str:
    """Such as "0 of 38 numbers reproduced, 3 differ, 35 not run here"."""
    counts = status.value_counts()
    many = {DIFFERS: "differ"}
    others = [
        f"{n} {many.get(name, name) if n > 1 else name}"
        for name in STATUSES[1:]
        if (n := counts.get(name, 0))
    ]
    found = f"{counts.get(REPRODUCED, 0)} of {len(status)} {what} {REPRODUCED}"
    return ", ".join([found, *others])
