"""Detection for each person: whose false alarms a total hides."""

import numpy as np
import pandas as pd
import pytest

from viba_lib.data.source_videos import GENERATED
from viba_lib.experiments.common import Bootstrap
from viba_lib.experiments.detection import people_table, people_text


def predictions() -> pd.DataFrame:
    """Two people: 'filmed' is ranked perfectly, 'drawn' at random, with a false alarm in two."""
    made = min(GENERATED)
    rows = []
    for identity, real, fake in (
        ("filmed", (0.1, 0.2), (0.9, 0.4)),
        (made, (0.3, 0.8), (0.8, 0.3)),
    ):
        for label, values in enumerate((real, fake)):
            rows += [
                {"identity": identity, "video_id": f"{identity}-{label}-{n}", "label": label,
                 "p_fake": value}
                for n, value in enumerate(values)
            ]  # fmt: skip
    return pd.DataFrame(rows)


def test_each_person_and_each_kind_has_a_row() -> None:
    table = people_table({"a": predictions()}, Bootstrap(50, 0))
    made = min(GENERATED)
    assert table.identity.tolist() == ["all", "filmed", "all", made]
    assert table.origin.tolist() == ["filmed", "filmed", "generated", "generated"]
    found = table.set_index(["origin", "identity"])
    assert found.loc[("filmed", "filmed"), ["auc", "false_alarms", "recall"]].tolist() == [
        1,
        0,
        0.5,
    ]
    assert found.loc[("generated", made), ["auc", "false_alarms"]].tolist() == [0.5, 0.5]
    assert (table.frames == 4).all() and (table.videos == 4).all()
    assert (table.false_alarms_low <= table.false_alarms).all()


def test_the_text_names_the_person_with_most_false_alarms() -> None:
    text = people_text(people_table({"a": predictions()}, Bootstrap(50, 0)))
    assert text.startswith("a: AUC 0.50 to 1.00, recall 0.50 to 0.50 over 2 people; ")
    assert "most false alarms 0.50" in text and text.endswith(f", {min(GENERATED)}.")
    table = people_table({"a": predictions()}, Bootstrap(50, 0))
    none = people_text(table.assign(false_alarms=0.0))
    assert none.endswith("; no false alarm on any of 2 people.")
    tie = people_text(table.assign(false_alarms=0.25))
    assert f"most false alarms 0.25, filmed, {min(GENERATED)}" in tie


@pytest.mark.parametrize("label", [0, 1])
def test_a_person_of_one_class_has_no_auc_and_stops_nothing(label: int) -> None:
    rows = predictions()
    one = rows[(rows.identity != "filmed") | (rows.label == label)]
    table = people_table({"a": one}, Bootstrap(20, 0)).set_index("identity")
    assert np.isnan(table.loc["filmed", "auc"])
    assert "nan" not in people_text(table.reset_index())
