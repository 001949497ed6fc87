"""Layers compared: the selected layers, and differences on the same frames."""

import numpy as np
import pandas as pd
import pytest

from viba_lib.experiments.common import Bootstrap
from viba_lib.experiments.injection_layer import (
    LAYER_MEASURES,
    against_best,
    choice_text,
    deletion_text,
    kept_text,
    layer_differences,
    layer_table,
    ours_and_others,
)

BOOTSTRAP = Bootstrap(200)


@pytest.fixture
def measures():
    """Frames that differ much from one another, and layers that differ by one in each frame."""
    rng = np.random.default_rng(0)
    frames = pd.DataFrame({"video_id": [f"v{i}" for i in range(12)], "label": [0, 1] * 6})
    base = frames.assign(detector="xception", **{m: rng.normal(0, 5, 12) for m in LAYER_MEASURES})
    base.loc[base.label == 0, "ratio"] = np.nan
    base = base.assign(kept=[1.0] * 11 + [0.0])
    other = base.assign(layer="bn4", **{m: base[m] + 1 for m in LAYER_MEASURES})
    return pd.concat([base.assign(layer="block4"), other])


def test_the_table_holds_means_and_intervals(measures):
    table = layer_table(measures, BOOTSTRAP).set_index("layer")
    assert table.frames.tolist() == [12, 12]
    assert table.bits["bn4"] == pytest.approx(table.bits["block4"] + 1)
    assert (table.ratio_low < table.ratio).all() and (table.ratio < table.ratio_high).all()
    # Each interval alone is much wider than the difference ...
    assert table.bits_high["block4"] - table.bits_low["block4"] > 2


def test_lost_decisions_are_counted(measures):
    text = kept_text(measures)
    assert "xception, decisions that the bottleneck keeps: block4 11 of 12, bn4 11 of 12." in text
    assert "A map of a lost decision" in text
    assert "lost" not in kept_text(measures.assign(kept=1.0))
    assert layer_table(measures, BOOTSTRAP).kept.tolist() == pytest.approx([11 / 12] * 2)


def test_small_differences_are_found_on_the_same_frames(measures):
    # ... which is the same in each frame, and so has an interval of no width.
    found = layer_differences(measures, {"xception": "block4"}, BOOTSTRAP)
    assert found.name.tolist() == ["bn4 - block4"]
    for measure in LAYER_MEASURES:
        np.testing.assert_allclose(
            found[[measure, f"{measure}_low", f"{measure}_high"]], 1, atol=1e-9
        )
    only = measures[measures.layer == "bn4"]
    assert layer_differences(only, {"xception": "block4"}, BOOTSTRAP).empty


def several_people(count=8):
    videos = [f"v{i}" for i in range(count)]
    return pd.DataFrame({"clip": videos, "person": videos}, index=videos)


def constant_layers(**by_layer):
    """Eight videos with nearly the same values at each layer."""
    made = []
    for layer, values in by_layer.items():
        for i, wobble in enumerate(np.linspace(-0.01, 0.01, 8) * (1 + len(made) % 3)):
            more = {name: value + wobble for name, value in values.items()}
            made.append({"detector": "net", "layer": layer, "video_id": f"v{i}"} | more)
    return pd.DataFrame(made)


def test_the_choice_of_a_layer_is_compared_with_the_others():
    units = Bootstrap(200, 0, several_people())
    rows = constant_layers(a={"ratio": 3.0}, b={"ratio": 1.0}, c={"ratio": 2.0}).assign(kept=1.0)
    assert ours_and_others(rows, "ratio", "a", units).estimate == pytest.approx(1.5, abs=0.02)
    text = choice_text(rows, {"net": "a"}, units)
    assert "It is higher for a" in text
    assert "supports the paper's claim that a is the best choice for net" in text
    assert "a minus c, the closest other layer: 1 (" in text
    lost = rows.assign(kept=(rows.layer != "c").astype(float))
    assert "a minus b, the closest other layer: 2 (" in choice_text(lost, {"net": "a"}, units)
    found, other = against_best(rows, "ratio", "b", units)
    assert other == "a" and found.p == pytest.approx(2 * 2**-7)
    nothing = against_best(rows.assign(kept=0.0), "ratio", "a", units)
    assert nothing[1] == "" and nothing[0].videos == 0
    assert "contradicts" in choice_text(rows, {"net": "b"}, units)
    # One person decides nothing, and one layer has no others.
    alone = Bootstrap(200, 0, several_people().assign(person="p"))
    assert "illustration" in choice_text(rows, {"net": "a"}, alone)
    assert choice_text(rows[rows.layer == "a"], {"net": "a"}, units) == ""


def test_deletion_is_read_layer_by_layer():
    units = Bootstrap(200, 0, several_people())
    rows = constant_layers(a={"over_random": 0.2}, b={"over_random": -0.2}, c={"over_random": 0.0})
    text = deletion_text(rows, units)
    assert text.startswith("net: deletion is better than random order at 1 of 3 layers, and worse")
    assert "above random order" in text and "not distinguished from random order" in text
