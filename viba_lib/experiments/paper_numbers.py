"""Numbers that the paper prints, for comparison with a run's own (Solopova et al. 2024).

They are stored in `tables/`.
"""

from collections.abc import Mapping
from importlib import resources
from typing import Any

import pandas as pd
import yaml

from viba_lib.models.describe import Row

FOLDER = resources.files("viba_lib.experiments") / "tables"


def read_csv(name: str, **options: Any) -> pd.DataFrame:
    """A table of `tables/`; for `options` see `pandas.read_csv`."""
    with (FOLDER / f"{name}.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file, float_precision="round_trip", **options)


def read_yaml(name: str) -> Any:
    """Content of a YAML file of `tables/`."""
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))


DATASET_NAMES = read_csv("paper_datasets").set_index("dataset").name
TABLE_2, TABLE_3, TABLE_4 = (read_csv(f"paper_table_{number}") for number in (2, 3, 4))
LAYERS: Mapping[str, list[Row]] = read_yaml("paper_layers")
TABLE_5, TABLE_6, TABLE_7 = LAYERS.values()
