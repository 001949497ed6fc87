"""Numbers that the paper prints, for comparison with a run's own (Solopova et al. 2024).

They are stored as CSV files in `tables/`.
"""

import json
from importlib import resources

import pandas as pd

from viba_lib.core.errors import VibaError
from viba_lib.models.describe import Row


def read_packaged(name: str, columns: tuple[str, ...], text: bool = False) -> pd.DataFrame:
    """A table that comes with the library, from `experiments/tables/NAME.csv`.

    Parameters
    ----------
    columns : that it must begin with
    text : read all cells as text, empty ones as ""

    Raises
    ------
    VibaError
        Other columns, or, unless cells are text, an empty cell.
    """
    path = resources.files("viba_lib.experiments") / "tables" / f"{name}.csv"
    with path.open(encoding="utf-8") as file:
        options = {"dtype": str, "keep_default_na": False} if text else {}
        table = pd.read_csv(file, float_precision="round_trip", **options)
    if tuple(table.columns[: len(columns)]) != columns or table.isna().any(axis=None):
        raise VibaError(
            f"{name}.csv has the columns {list(table)} and {int(table.isna().sum().sum())} empty "
            f"cells; expected {', '.join(columns)} and none; install the library again"
        )
    return table


def _layers(number: int) -> list[Row]:
    """Rows of Table 5, 6 or 7: layer as printed, its name in the network, type, printed facts."""
    table = read_packaged("paper_layers", ("table", "layer", "module", "type"), text=True)
    facts = list(table.columns[4:])
    rows = []
    for row in table[table.table == str(number)].to_dict("records"):
        printed = {
            name: row[name] if name == "parts" else json.loads(row[name])
            for name in facts
            if row[name]
        }
        rows.append((row["layer"], row["module"], row["type"], printed))
    return rows


DATASET_NAMES = read_packaged("paper_datasets", ("dataset", "name")).set_index("dataset").name
TABLE_2 = read_packaged(
    "paper_table_2", ("detector", "bottleneck", "accuracy", "precision", "recall", "ece")
)
TABLE_3 = read_packaged("paper_table_3", ("detector", "label", "iou", "tcs", "rpi"))
TABLE_4 = read_packaged(
    "paper_table_4", ("detector", "f1", "precision", "recall", "overlap", "top1")
)
TABLE_5, TABLE_6, TABLE_7 = (_layers(number) for number in (5, 6, 7))
