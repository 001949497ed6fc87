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


def test_decisions_are_counted_per_class_and_the_smaller_fraction_counts():
    row = b.beta_row(3.0, maps_of((0.9, 0.8), (0.9, 0.2), (0.1, 0.3), (0.2, 0.1)), 2.0)
    assert row["kept"] == 0.5
    assert (row["kept_fake"], row["fake"], row["kept_real"], row["real"]) == (1, 2, 2, 2)


def table_of(*kept: float) -> pd.DataFrame:
    return pd.DataFrame({"beta": b.BETAS, "kept": kept, "fake": 4, "real": 6})


@pytest.mark.parametrize(
    ("kept", "expected"),
    [((0.7, 0.9, 1.0), 3), ((1.0, 1.0, 1.0), 10), ((0.95, 0.8, 0.8), 10),
     ((0.2, 0.3, 0.89), None)],
)  # fmt: skip
def test_the_largest_beta_that_keeps_enough_is_chosen(kept, expected):
    assert b.chosen_beta(table_of(*kept)) == expected


def test_the_text_says_what_to_set_or_that_nothing_is_to_be_set():
    table = table_of(0.7, 0.9, 1.0)
    assert "set `beta: 3` for this detector" in b.beta_text("net", table, 10)
    assert b.beta_text("net", table, 3).endswith("The profile has this value.")
    assert "90% of the decisions for each class, of 10 on" in b.beta_text("net", table, 3)
    none = b.beta_text("net", table_of(0.1, 0.1, 0.1), 10)
    assert "at no beta of 10, 3, 1" in none and none.endswith("stays 10.")


def study_of(rows: pd.DataFrame) -> SimpleNamespace:
    calls = []

    def explain(detector, chosen, beta):
        calls.append((detector, beta, len(chosen)))
        return maps_of(*[(0.1, 0.1 if beta < 10 else 0.9)] * len(chosen))

    return SimpleNamespace(
        predictions=lambda detector: rows, explain=explain, calls=calls, seed=0,
        profile=SimpleNamespace(name="mine"),
    )  # fmt: skip


def predicted(*p_fake: float, split: str = "val") -> pd.DataFrame:
    videos = [f"{number:02}" for number in range(len(p_fake))]
    return pd.DataFrame({
        "video_id": videos, "split": split, "label": 0, "in_scope": True, "p_fake": p_fake,
    })  # fmt: skip


def test_one_frame_of_each_validation_video_is_explained_at_each_beta():
    rows = pd.concat([predicted(0.1, 0.2, 0.3), predicted(0.4), predicted(0.9, split="test")])
    study = study_of(rows)
    chosen = b.validation_rows(study, "net", 2)
    assert len(chosen) == 2 and chosen.video_id.is_unique and (chosen.split == "val").all()
    assert chosen.equals(b.validation_rows(study, "net", 2))
    assert len(b.validation_rows(study, "net", 9)) == 3
    table = b.beta_table(study, "net", chosen)
    assert study.calls == [("net", beta, 2) for beta in b.BETAS]
    assert table.kept.tolist() == [0, 1, 1] and b.chosen_beta(table) == 3
    assert table.ratio.isna().all()


@pytest.mark.parametrize(("fakes", "expected"), [(9, 5), (2, 2), (0, 0)])
def test_half_of_the_frames_are_decided_as_fake_if_there_are_so_many(fakes, expected):
    rows = predicted(*[0.9] * fakes, *[0.1] * 20)
    chosen = b.validation_rows(study_of(rows), "net", 10)
    assert len(chosen) == 10 and (chosen.p_fake > 0.5).sum() == expected


def test_methods_that_the_detector_does_not_know_are_left_out():
    rows = predicted(*[0.9] * 4, *[0.1] * 4).assign(in_scope=[False, True] * 4)
    assert b.validation_rows(study_of(rows), "net", 8).in_scope.all()


def test_a_profile_without_validation_videos_is_refused():
    with pytest.raises(VibaError, match="'mine' has no validation video for net"):
        b.validation_rows(study_of(predicted(0.5, split="test")), "net", 5)
