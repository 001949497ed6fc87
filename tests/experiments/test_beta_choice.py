"""The choice of beta by the decisions that a bottleneck keeps on validation frames."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from viba_lib.core.errors import VibaError
from viba_lib.experiments import beta_choice as b


def maps_of(*pairs: tuple[float, float]) -> xr.Dataset:
    p, under = np.array(pairs).T
    label = ("item", [0] * len(p))
    data = {"p_fake": ("item", p), "p_fake_bottleneck": ("item", under)}
    return xr.Dataset(data, {"label": label})


def test_decisions_are_counted_per_class():
    row = b.beta_row(3.0, maps_of((0.9, 0.8), (0.9, 0.2), (0.1, 0.3), (0.2, 0.1)), 2.0)
    assert row["kept"] == 0.75
    assert (row["kept_fake"], row["fake"], row["kept_real"], row["real"]) == (1, 2, 2, 2)


def table_of(*kept: float) -> pd.DataFrame:
    return pd.DataFrame({"beta": b.BETAS, "kept": kept, "fake": 4, "real": 6})


@pytest.mark.parametrize(
    ("kept", "expected"),
    [((0.5, 0.7, 0.9, 1.0), 3), ((1.0, 1.0, 1.0, 1.0), 30), ((0.95, 0.8, 0.8, 0.8), 30),
     ((0.1, 0.2, 0.3, 0.89), None)],
)  # fmt: skip
def test_the_largest_beta_that_keeps_enough_is_chosen(kept, expected):
    assert b.chosen_beta(table_of(*kept)) == expected


def test_the_text_says_what_to_set_or_that_nothing_is_to_be_set():
    table = table_of(0.5, 0.7, 0.9, 1.0)
    assert "set `beta: 3` for this detector" in b.beta_text("net", table, 10)
    assert b.beta_text("net", table, 3).endswith("The profile has this value.")
    assert "90% of 10 decisions" in b.beta_text("net", table, 3)
    none = b.beta_text("net", table_of(0.1, 0.1, 0.1, 0.1), 10)
    assert "at no beta of 30, 10, 3, 1" in none and none.endswith("stays 10.")


def study_of(rows: pd.DataFrame) -> SimpleNamespace:
    calls = []

    def explain(detector, chosen, beta):
        calls.append((detector, beta, len(chosen)))
        return maps_of(*[(0.1, 0.1 if beta < 10 else 0.9)] * len(chosen))

    return SimpleNamespace(
        frames=lambda split, detector: rows[rows.split == split], explain=explain, calls=calls,
        seed=0, profile=SimpleNamespace(name="mine"),
    )  # fmt: skip


def test_one_frame_of_each_validation_video_is_explained_at_each_beta():
    rows = pd.DataFrame({
        "video_id": ["a", "a", "b", "c", "d"], "split": ["val"] * 4 + ["test"], "label": 0,
    })  # fmt: skip
    study = study_of(rows)
    chosen = b.validation_rows(study, "net", 2)
    assert len(chosen) == 2 and set(chosen.video_id) <= set("abc")
    assert chosen.equals(b.validation_rows(study, "net", 2))
    assert len(b.validation_rows(study, "net", 9)) == 3
    table = b.beta_table(study, "net", chosen)
    assert study.calls == [("net", beta, 2) for beta in b.BETAS]
    assert table.kept.tolist() == [0, 0, 1, 1] and b.chosen_beta(table) == 3
    assert table.ratio.isna().all()


def test_a_profile_without_validation_videos_is_refused():
    rows = pd.DataFrame({"video_id": ["a"], "split": ["test"], "label": [0]})
    with pytest.raises(VibaError, match="'mine' has no validation video for net"):
        b.validation_rows(study_of(rows), "net", 5)
