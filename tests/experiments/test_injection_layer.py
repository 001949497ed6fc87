"""Layers compared: the selected layers, and differences on the same frames."""

import numpy as np
import pandas as pd
import pytest

from viba_lib.experiments.common import Bootstrap
from viba_lib.experiments.injection_layer import (
    LAYER_MEASURES,
    layer_differences,
    layer_table,
)

BOOTSTRAP = Bootstrap(200)


@pytest.fixture
def measures():
    """Frames that differ much from one another, and layers that differ by one in each frame."""
    rng = np.random.default_rng(0)
    frames = pd.DataFrame({"video_id": [f"v{i}" for i in range(12)], "label": [0, 1] * 6})
    base = frames.assign(detector="xception", **{m: rng.normal(0, 5, 12) for m in LAYER_MEASURES})
    base.loc[base.label == 0, "ratio"] = np.nan
    other = base.assign(layer="bn4", **{m: base[m] + 1 for m in LAYER_MEASURES})
    return pd.concat([base.assign(layer="block4"), other])


def test_the_table_holds_means_and_intervals(measures):
    table = layer_table(measures, BOOTSTRAP).set_index("layer")
    assert table.frames.tolist() == [12, 12]
    assert table.bits["bn4"] == pytest.approx(table.bits["block4"] + 1)
    assert (table.ratio_low < table.ratio).all() and (table.ratio < table.ratio_high).all()
    # Each interval alone is much wider than the difference ...
    assert table.bits_high["block4"] - table.bits_low["block4"] > 2


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
