"""Readings of chapters 2 and 3 against tables with known answers."""

import numpy as np
import pandas as pd
import pytest

from viba_lib.evaluation.robustness import UNCHANGED
from viba_lib.experiments.common import Bootstrap
from viba_lib.experiments.detector_readings import (
    compared_losses,
    corruption_losses,
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
    assert "AUC is 0.70 there and 0.65 at the end" in text
    assert text.endswith("has the weights of the last step.")


def test_a_falling_validation_loss_is_not_called_overfitting() -> None:
    text = training_text("a", history([0.7, 0.2], [0.8, 0.5], [0.6, 0.9]), "best")
    assert "ends at 0.50" in text and "overfitting" not in text and "rises" not in text
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
    """A real and a fake video of each clip; so many of ten levels of a corruption turn wrong."""
    rows = []
    for clip in range(clips):
        for label in (0, 1):
            video = {"video_id": f"{clip}-{label}", "label": label}
            right = {"p_fake": 0.2 + 0.6 * label}
            rows.append(video | right | {"corruption": UNCHANGED, "level": np.nan})
            for name, wrong in zip(CORRUPTIONS, (blur, jpeg), strict=True):
                for level in range(10):
                    p_fake = 0.8 - 0.6 * label if level < 10 * wrong else right["p_fake"]
                    rows.append(video | {"p_fake": p_fake, "corruption": name, "level": level})
    return pd.DataFrame(rows)


@pytest.fixture
def units() -> pd.DataFrame:
    """Twelve clips, each of another person."""
    videos = [(f"{c}-{label}", f"c{c}", f"p{c}") for c in range(12) for label in (0, 1)]
    table = pd.DataFrame(videos, columns=["video_id", "clip", "person"])
    return table.set_index("video_id")


def test_losses_are_those_of_each_video(units) -> None:
    losses = corruption_losses({"a": degraded(0.3, 0.1), "b": degraded(0.5, 0.1)})
    means = losses.groupby(["detector", "corruption"]).loss.mean()
    assert means["a", "blur"] == pytest.approx(0.3) and means["b", "blur"] == pytest.approx(0.5)
    assert len(losses) == 2 * 24 * 2


def test_the_detector_that_loses_more_is_named(units) -> None:
    losses = corruption_losses({"a": degraded(0.3, 0.1), "b": degraded(0.5, 0.1)})
    text = robustness_text(losses, Bootstrap(200, 0, units))
    assert "a loses most correct decisions under blur (+0.30" in text
    assert "b loses most correct decisions under blur (+0.50" in text
    blur, jpeg = text.split("Loss under ")[1:]
    assert blur.startswith("blur, a minus b: -0.2") and "It is lower for a" in blur
    assert jpeg.startswith("jpeg, a minus b: 0") and "No difference was found" in jpeg


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
