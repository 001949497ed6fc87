"""Maps over the steps of one optimisation, and starts that are compared on the same frames."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from viba_lib.bottleneck import LayerStatistics, PerSampleBottleneck
from viba_lib.experiments import convergence as c

pytestmark = pytest.mark.filterwarnings("ignore:statistics of")
FAST = {"noise_samples": 1, "precision": "bfloat16"}


@pytest.fixture
def make():
    """Makes bottlenecks of a small network."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, stride=2), nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2),
    ).eval()  # fmt: skip
    statistics = LayerStatistics.estimate(model, "0", [torch.randn(20, 3, 12, 12)])
    return partial(PerSampleBottleneck, model, "0", statistics)


@pytest.fixture
def inputs():
    return torch.randn(3, 3, 12, 12, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def masks():
    """Artefacts in the upper left corner."""
    masks = np.zeros((3, 12, 12), np.float32)
    masks[:, :6, :6] = 1
    return masks


def compared(make, inputs, masks, longest, betas):
    """The table of one clip; the readout predicts a lambda of one half."""
    readout = torch.full((len(inputs), 4, 6, 6), 0.5)
    make = partial(make, **FAST)
    return pd.concat(c.compare_starts(make, inputs, masks, readout, longest, betas))


def test_the_longest_optimisation_is_compared_as_well():
    assert c.steps_until(40) == [1, 2, 3, 5, 10, 20, 40]
    assert c.steps_until(3) == [1, 2, 3]
    assert c.steps_until(1) == [1]


def test_maps_are_measured_against_the_mask():
    maps = np.zeros((2, 4, 4))
    maps[0, :2, :2] = 1
    maps[1] = 1
    masks = np.zeros((2, 4, 4), np.float32)
    masks[:, :2, :2] = 1
    expected = np.stack([1 - maps[0], maps[1]])
    with np.errstate(invalid="ignore"):
        found = c.measure(maps, masks, expected)
    assert found.agreement.iloc[0] == pytest.approx(-1) and np.isnan(found.agreement.iloc[1])
    assert found.bits.tolist() == [4, 16]
    assert found.ratio.tolist() == [4, 1]
    assert found.hit.iloc[0] == 1
    assert c.measure(maps, 0 * masks, expected).ratio.isna().all()


def test_the_map_at_step_n_is_that_of_a_run_of_n_steps(make, inputs, masks):
    maps = make(steps=10).attribute(inputs).bits_per_pixel.numpy()
    table, _ = c.measure_steps(make(steps=5, noise_samples=1), inputs, masks, maps, [2, 5])
    for steps in (2, 5):
        run = make(steps=steps, noise_samples=1).attribute(inputs)
        expected = c.measure(run.bits_per_pixel.numpy(), masks, maps)
        part = table[table.steps == steps].drop(columns="steps").reset_index(drop=True)
        pd.testing.assert_frame_equal(part, expected, rtol=1e-4)


def test_starts_and_steps_that_are_compared(make, inputs, masks):
    table = compared(make, inputs, masks, 20, (1.0, 100.0))
    counts = table.groupby(["start", "beta"]).size().to_dict()
    # 6 numbers of steps for 3 frames; warm at 5 of them, without the first frame.
    names = [("cold", 1.0), ("cold", 10.0), ("cold", 100.0)]
    names += [(start, 10.0) for start in ("antithetic", "gradients", "readout")]
    assert counts == {**dict.fromkeys(names, 18), ("warm", 10.0): 10}
    assert table.notna().all(axis=None)
    warm = table[table.start == "warm"]
    assert set(warm["item"]) == {1, 2} and warm.steps.max() == 10
    # At the start all information is transmitted, so more steps leave fewer bits.
    cold = c.over_frames(table).query("start == 'cold' and beta == 10").set_index("steps").bits
    assert cold[1] > cold[10]
    common = c.over_common_frames(table.assign(video_id="v", frame=table["item"]))
    assert set(common.start) == set(c.FEW) and (common.frames == 2).all()
    few = c.few_steps(common)
    found = few.groupby("start").steps.agg(lambda steps: tuple(sorted(steps))).to_dict()
    assert found == c.FEW
    by_start = few.set_index(["start", "steps"]).agreement
    assert by_start["cold", 10] > by_start["cold", 3]
    short = c.few_steps(common[common.steps <= 2])
    assert set(short.start) == set(c.FEW) and (short.steps == 2).all()


def test_the_start_that_agrees_best_is_named():
    rows = [("cold", 10, 4, 0.98), ("cold", 3, 4, 0.7), ("readout", 3, 4, 0.8)]
    few = pd.DataFrame(rows, columns=["start", "steps", "frames", "agreement"])
    assert c.few_steps_message(few) == (
        "Over 4 frames, the maps that agree best with the default's are from the start cold after "
        "10 steps (0.98); after 3 steps, from the start readout (0.80)."
    )


def test_a_warm_start_is_the_end_of_the_previous_frame(make, inputs, masks):
    table = compared(make, inputs, masks, 4, ())
    long = make(steps=4, frames_per_batch=3, **FAST).attribute(inputs, with_lam=True)
    before = long.lam[:1]
    for item in (1, 2):
        run = make(steps=2, frames_per_batch=3, **FAST)
        found = run.attribute(inputs[item : item + 1], start=before, with_lam=True)
        before = found.lam
        row = table.query(f"start == 'warm' and steps == 2 and item == {item}").iloc[0]
        assert row.bits == pytest.approx(float(found.bits_per_pixel.sum()), rel=1e-3)


def test_a_clip_of_one_frame_has_no_warm_start(make, inputs, masks):
    table = compared(make, inputs[:1], masks[:1], 2, ())
    assert set(table.start) == set(c.FEW) - {"warm"}
    common = c.over_common_frames(table.assign(video_id="v", frame=0))
    assert set(common.start) == set(table.start)


def test_the_summary_has_ten_steps_the_last_and_the_best():
    rows = [("cold", 1.0, 40, 900.0, 5.0), ("cold", 10.0, 5, 800.0, 1.0),
            ("cold", 10.0, 10, 700.0, 2.0), ("cold", 10.0, 40, 300.0, 3.0),
            ("warm", 10.0, 10, 200.0, 4.0)]  # fmt: skip
    means = pd.DataFrame(rows, columns=["start", "beta", "steps", "bits", "ratio"])
    found = c.summary(means)
    assert (found["ten"].ratio, found["last"].ratio, found["best"].ratio) == (2.0, 3.0, 5.0)
    assert c.summary(means[means.steps < 10])["ten"].steps == 5
    unknown = c.summary(means.assign(ratio=np.nan))
    assert unknown["best"].bits == 300.0
