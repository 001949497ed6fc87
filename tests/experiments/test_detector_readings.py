"""Readings of data and detectors against tables with known answers."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from viba_lib.evaluation.robustness import UNCHANGED
from viba_lib.experiments.common import Bootstrap
from viba_lib.experiments.detection import held_out_table
from viba_lib.experiments.detector_readings import (
    compared_losses,
    compared_texts,
    corruption_losses,
    held_out_text,
    methods_text,
    robustness_text,
    sizes_text,
    training_text,
)

CORRUPTIONS = ("blur", "jpeg")


def history(loss: list[float], val_loss: list[float], val_auc: list[float]) -> pd.DataFrame:
    steps = 50 * np.arange(1, len(loss) + 1)
    return pd.DataFrame({"step": steps, "loss": loss, "val_loss": val_loss, "val_auc": val_auc})


def test_a_rising_validation_loss_is_named() -> None:
    text = training_text("a", history([0.7, 0.5, 0.2], [0.8, 0.68, 1.65], [0.6, 0.7, 0.65]), "last")
    assert "falls from 0.70 (step 50) to 0.20 (step 150)" in text
    assert "lowest at step 100 (0.68) and rises to 1.65" in text and "overfitting" in text
    better = training_text("a", history([0.7, 0.2], [0.68, 1.65], [0.6, 0.7]), "last")
    assert "overfitting" not in better and "wrong decisions become more confident" in better
    assert "AUC is 0.70 there and 0.65 at the end" in text
    assert text.endswith("has the weights of the last step.")
    steady = training_text("a", history([0.7, 0.2], [0.68, 0.5], [0.6, 0.7]), "last")
    assert "lowest at step 100 (0.50), the last one; the validation AUC is 0.70 there." in steady


def test_performance_is_read_with_its_interval_and_its_people() -> None:
    rows = pd.DataFrame(
        {
            "video_id": [f"v{i}" for i in range(8)],
            "label": [0, 1] * 4,
            "p_fake": [0.1, 0.9, 0.2, 0.8, 0.3, 0.4, 0.4, 0.7],
        }
    )
    text = held_out_text(held_out_table({"a": rows}, Bootstrap(50)))
    assert text.startswith("a: accuracy 0.875 (") and "AUC 0.969 (" in text
    assert text.endswith("on 8 videos from 8 source clips of 8 people.")


def test_a_test_that_cannot_decide_is_called_inconclusive() -> None:
    names = [f"{clip}-{label}" for clip in range(12) for label in (0, 1)]
    clips = [name.split("-")[0] for name in names]

    def said(people: int) -> str:
        person = [str(int(clip) % people) for clip in clips]
        units = pd.DataFrame({"clip": clips, "person": person}, index=names)
        losses = corruption_losses({"a": degraded(0.3, 0.1), "b": degraded(0.6, 0.1)})
        return " ".join(compared_texts(losses, Bootstrap(50, 0, units)))

    # Six people, two corruptions: 2 x 2 / 2^6.
    assert "smallest corrected p-value that this number of people can give is 0.0625" in said(6)
    assert "inconclusive" not in said(8) and "inconclusive" not in said(3)


def test_a_falling_validation_loss_is_not_called_overfitting() -> None:
    text = training_text("a", history([0.7, 0.2], [0.8, 0.5], [0.6, 0.9]), "best")
    assert (
        "step 100 (0.50), the last one" in text
        and "overfitting" not in text
        and "rises" not in text
    )
    assert text.endswith("has the weights with the lowest validation loss.")
    text = training_text("a", history([0.2, 0.7], [0.5, 0.8], [0.6, 0.9]), "best")
    assert "does not fall" in text and "rises to 0.80" in text and "overfitting" not in text
    assert "no trend" in training_text("a", history([0.2], [0.5], [0.6]), "best")


def test_methods_without_a_find_are_named() -> None:
    rows = pd.DataFrame(
        {
            "method": ["mouth"] * 3 + ["nose"] * 3 + ["chin"] * 2 + [""] * 4,
            "label": [1] * 8 + [0] * 4,
            "p_fake": [0.1, 0.2, 0.5, 0.9, 0.1, 0.2, 0.8, 0.9, 0.1, 0.7, 0.2, 0.3],
        }
    )
    text = methods_text({"a": rows})
    assert text == (
        "a finds no frame of mouth (0 of 3 frames), and fewer than half of the frames of nose "
        "(1 of 3). It classifies 1 of 4 real frames as fake."
    )
    found = methods_text({"a": rows[rows.method != "mouth"]})
    assert found.startswith("a finds at least one frame of every method in its scope, and fewer")


def degraded(blur: float, jpeg: float, clips: int = 12) -> pd.DataFrame:
    """A real and a fake video of each clip; at so many of ten levels, all scores are one value."""
    rows = []
    for clip in range(clips):
        for label in (0, 1):
            video = {"video_id": f"{clip}-{label}", "label": label}
            right = {"p_fake": 0.2 + 0.01 * clip + 0.6 * label}
            rows.append(video | right | {"corruption": UNCHANGED, "level": np.nan})
            for name, tied in zip(CORRUPTIONS, (blur, jpeg), strict=True):
                for level in range(10):
                    p_fake = 0.5 if level < 10 * tied else right["p_fake"]
                    rows.append(video | {"p_fake": p_fake, "corruption": name, "level": level})
    return pd.DataFrame(rows)


@pytest.fixture
def units() -> pd.DataFrame:
    """Twelve clips, each of another person."""
    videos = [(f"{c}-{label}", f"c{c}", f"p{c}") for c in range(12) for label in (0, 1)]
    table = pd.DataFrame(videos, columns=["video_id", "clip", "person"])
    return table.set_index("video_id")


def test_losses_are_shares_of_the_loss_of_auc() -> None:
    """Against the AUC of scikit-learn, with scores in no order and with ties."""
    rng = np.random.default_rng(0)
    rows = degraded(0.5, 0.5)
    rows["p_fake"] = np.round(0.5 * rows.p_fake + 0.5 * rng.random(len(rows)), 1)
    losses = corruption_losses({"a": rows})
    aucs = rows.groupby(["corruption", "level"], dropna=False)[["label", "p_fake"]].apply(
        lambda part: roc_auc_score(part.label, part.p_fake)
    )
    for name in CORRUPTIONS:
        of_fakes = losses[(losses.corruption == name) & losses.video_id.str.endswith("-1")]
        expected = aucs[UNCHANGED].iloc[0] - aucs[name].mean()
        assert of_fakes.loss.mean() == pytest.approx(expected)


def test_the_detector_that_loses_more_is_named(units) -> None:
    losses = corruption_losses({"a": degraded(0.3, 0.1), "b": degraded(0.6, 0.1)})
    assert robustness_text(losses) == (
        "a loses most AUC under blur (0.15, mean over levels) and least under jpeg (0.05). "
        "b loses most AUC under blur (0.30, mean over levels) and least under jpeg (0.05)."
    )
    blur, jpeg = compared_texts(losses, Bootstrap(200, 0, units))
    assert blur.startswith("Loss of AUC under blur, a minus b: -0.15 ")
    assert "It is lower for a" in blur and "No difference was found" in jpeg


def test_one_class_has_no_auc_and_stops_nothing(units) -> None:
    fakes = degraded(0.3, 0.1).query("label == 1")
    losses = corruption_losses({"a": fakes, "b": fakes})
    assert robustness_text(losses) == ""
    assert compared_texts(losses, Bootstrap(20, 0, units)) == []


def test_p_values_are_corrected_for_the_number_of_corruptions(units) -> None:
    losses = corruption_losses({"a": degraded(0.3, 0.1), "b": degraded(0.5, 0.1)})
    both = compared_losses(losses, Bootstrap(200, 0, units))
    alone = compared_losses(losses[losses.corruption == "blur"], Bootstrap(200, 0, units))
    assert both["blur"].p == pytest.approx(2 * alone["blur"].p)


def test_sizes_come_from_the_settings() -> None:
    text = sizes_text({"Crops": (224, 299), "flow maps": (256, 256)})
    assert text == (
        "Crops have 224 x 224 pixels in this run and 299 x 299 in the paper; flow maps have "
        "256 x 256 pixels in this run, as in the paper."
    )
