"""The example of the method is the median frame, and the result is told for each method."""

import pandas as pd
import pytest

from viba_lib.experiments.common import Bootstrap
from viba_lib.experiments.localisation import (
    example_frame,
    example_text,
    localisation_text,
    settings_text,
)


@pytest.fixture
def predictions() -> pd.DataFrame:
    """Seven test frames; the fifth is missed, the last one real."""
    return pd.DataFrame(
        {
            "video_id": list("abcdefg"), "frame": range(7), "position": 0, "split": "test",
            "method": ["mouth"] * 6 + [""], "label": [1] * 6 + [0], "in_scope": True,
            "p_fake": [0.9, 0.8, 0.7, 0.95, 0.1, 0.6, 0.9],
        }
    )  # fmt: skip


@pytest.fixture
def table(predictions) -> pd.DataFrame:
    return predictions.head(6)[["video_id", "frame", "method"]].assign(
        ratio=[3.0, 1.0, 2.0, 9.0, 1.5, 0.5]
    )


def test_the_median_of_the_frames_that_are_called_fake(predictions, table) -> None:
    # The ratios 0.5, 1, 2, 3, 9 of f, b, c, a, d; the missed frame e does not count.
    chosen = [example_frame(predictions, table, rank).video_id[0] for rank in range(6)]
    assert chosen[0] == "c" and set(chosen[1:3]) == {"a", "b"} and chosen[5] == "c"
    assert sorted(chosen[:5]) == list("abcdf")
    text = example_text(example_frame(predictions, table).iloc[0])
    assert "relevance mass ratio it has rank 3 of 5" in text and "0.70" in text


def test_if_no_fake_is_called_fake_all_are_candidates(predictions, table) -> None:
    missed = predictions.assign(p_fake=0.2)
    assert example_frame(missed, table).ratio[0] == 1.5  # the third of six


def test_without_masks_the_order_is_that_of_the_probability(predictions, table) -> None:
    row = example_frame(predictions, table.head(0))
    assert row.video_id[0] == "b" and row["of"][0] == 5
    assert "order of the probability of fake it has rank 3 of 5" in example_text(row.iloc[0])


def ratios(**methods: list[float]) -> pd.DataFrame:
    """A localisation of one frame a video, with the ratios of each method."""
    rows = [(name, ratio) for name, values in methods.items() for ratio in values]
    table = pd.DataFrame(rows, columns=["method", "ratio"])
    videos = [f"v{i}" for i in range(len(table))]
    return table.assign(video_id=videos, hit=table.ratio > 2, area=0.1, p_fake=0.9)


def test_the_text_names_methods_below_near_and_above_chance() -> None:
    table = ratios(mouth=[0.9, 0.8, 0.7], blending_edge=[1.1, 1.2, 1.3], nose=[3.0, 2.8, 3.2])
    text = localisation_text(table, Bootstrap(200))
    assert (
        "below chance: mouth 0.80; near chance: blending_edge 1.20; above chance: nose 3.00" in text
    )
    assert "in 33% of the frames; a random pixel would in 10%" in text
    assert text.startswith("Relevance mass ratio over 9 frames: 1.67")


def test_the_verdict_is_that_of_the_interval_and_the_test() -> None:
    high = ratios(nose=[2.0, 2.2, 2.4, 2.1, 2.3, 2.2, 2.5, 1.9])
    assert "above chance (1;" in localisation_text(high, Bootstrap(200))
    mixed = ratios(nose=[0.5, 1.5, 0.6, 1.4, 0.7, 1.3, 0.8, 1.2])
    assert "not distinguished from chance" in localisation_text(mixed, Bootstrap(200))
    few = localisation_text(high.head(3), Bootstrap(200))
    assert "illustration" in few


def test_frames_that_are_called_real_are_read_apart() -> None:
    table = ratios(nose=[3.0] * 6, mouth=[1.0] * 6)
    text = localisation_text(table.assign(p_fake=(table.method == "nose") * 0.9), Bootstrap(200))
    assert "over 12 frames: 2 (" in text
    assert "Called fake, ratio over 6 frames: 3 (" in text
    assert "Called real, ratio over 6 frames: 1 (" in text
    assert "Called real" not in localisation_text(table, Bootstrap(200))


def test_settings_are_read_beside_the_decision_without_a_bottleneck() -> None:
    tried = pd.DataFrame(
        {"probability of fake": [0.92, 0.7], "fraction inside the mask": [0.9, 0.5]},
        index=["as above", "beta 0.1"],
    )
    text = settings_text(tried, 0.66)
    assert "is 0.66 without the bottleneck, 0.92 as above and 0.70 with beta 0.1" in text
    assert "goes from 0.50 to 0.90" in text
    assert "fraction" not in settings_text(tried.drop(columns="fraction inside the mask"), 0.66)
