"""The paper's numbers beside this run's."""

import numpy as np
import pandas as pd

from viba_lib.data.sampling import PAPER_COUNTS
from viba_lib.evaluation.paper import NAMES, TABLE_2, TABLE_3, TABLE_4
from viba_lib.study import Study
from viba_lib.tables.consistency import table_3
from viba_lib.tables.detection import table_2
from viba_lib.tables.regions import table_4


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


def _table_1(study: Study) -> list[dict[str, object]]:
    """The paper's numbers of videos per data set beside the catalog's."""
    counts = study.catalog().dataset.value_counts()
    rows: list[dict[str, object]] = []
    for key, name in NAMES.items():
        paper, run = PAPER_COUNTS[key], int(counts.get(key, 0))
        rows.append({"table": "Table 1", "row": name, "measure": "videos", "paper": paper,
                     "run": run, "low": float("nan"), "high": float("nan"),
                     "status": _status(study, paper, run, run),
                     "chapter": "02_dataset_construction"})  # fmt: skip
    return rows


def paper_beside_run(study: Study) -> pd.DataFrame:
    """Every number of the paper's Tables 1 to 4 beside this run's.

    Returns
    -------
    table, row, measure, paper, run, low and high (95 % interval of the run), status, chapter.
    """
    rows = _table_1(study)
    for table, paper, run, keys, chapter in (
        ("Table 2", TABLE_2, table_2(study), ["detector", "bottleneck"],
         "08_detection_performance"),
        ("Table 3", TABLE_3, table_3(study), ["detector", "label"], "09_consistency"),
        ("Table 4", TABLE_4, table_4(study), ["detector"], "10_human_agreement"),
    ):  # fmt: skip
        for _, row in paper.merge(run, on=keys, suffixes=("_paper", "")).iterrows():
            for measure in (c for c in paper if c not in keys):
                percent = measure not in ("ece", "iou", "tcs", "rpi")
                value, low, high = (
                    float(row[measure + end]) * (100 if percent else 1)
                    for end in ("", "_low", "_high")
                )
                printed = float(row[f"{measure}_paper"])
                rows.append({"table": table, "row": " ".join(_cell(row[k]) for k in keys),
                             "measure": measure + (" (%)" if percent else ""), "paper": printed,
                             "run": value, "low": low, "high": high,
                             "status": _status(study, printed, low, high),
                             "chapter": chapter})  # fmt: skip
    return pd.DataFrame(rows)


def _cell(value: object) -> str:
    return {True: "with bottleneck", False: "without"}.get(value, str(value))  # type: ignore[call-overload]


def _status(study: Study, paper: float, low: float, high: float) -> str:
    if study.profile.name != "paper":
        return "not run"
    if not np.isfinite(low):
        return "too few videos"
    return "reproduced" if low <= paper <= high else "differs"
