"""The study of convergence looks along one optimisation, and compares starts on the same frames."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from viba_lib.bottleneck import LayerStatistics, PerSampleBottleneck
from viba_lib.experiments import convergence as c

pytestmark = pytest.mark.filterwarnings("ignore:statistics of")


class Guess:
    """A readout that lets half of everything pass."""

    def predict_lam(self, frames):
        return torch.full((len(frames), 4, 6, 6), 0.5)


class Clips:
    """A study of six held-out videos of three frames, with masks in the upper left corner."""

    def __init__(self):
        torch.manual_seed(0)
        self.model = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1, stride=2), nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2),
        ).eval()  # fmt: skip
        self.data = torch.randn(18, 3, 12, 12)
        self.asked: list[dict] = []
        self.progress = lambda _line: None
        self.statistics = LayerStatistics.estimate(self.model, "0", [torch.randn(20, 3, 12, 12)])

    def frames(self, split=None, detector=None):
        rows = [(f"v{v}", 1, ["mouth", "eyes", "chin"][v // 2], p, 3 * p) for v in range(6)
                for p in range(3)]  # fmt: skip
        return pd.DataFrame(rows, columns=["video_id", "label", "method", "position", "frame"])

    def predictions(self, detector):
        rows = self.frames()
        p_fake = rows.video_id.map(dict(v0=0.9, v1=0.8, v2=0.3, v3=0.4, v4=0.7, v5=0.6))
        return rows.assign(split="test", in_scope=True, p_fake=p_fake)

    def inputs(self, detector, rows):
        return self.data[[3 * int(r.video_id[1]) + r.position for r in rows.itertuples()]]

    def masks(self, detector, rows):
        masks = np.zeros((len(rows), 12, 12), np.float32)
        masks[:, :6, :6] = 1
        return masks

    def bottleneck(self, detector, **settings):
        self.asked.append(settings)
        return PerSampleBottleneck(self.model, "0", self.statistics, **settings)

    def readout(self, detector):
        return Guess()


@pytest.fixture
def study():
    return Clips()


def test_the_longest_optimisation_is_looked_at_as_well():
    assert c.steps_until(40) == [1, 2, 5, 10, 20, 40]
    assert c.steps_until(3) == [1, 2, 3]
    assert c.steps_until(1) == [1]


def test_each_method_comes_before_any_comes_twice(study):
    found = c.held_out_clips(study, "xception", clips=4, frames=2)
    assert [rows.video_id.iloc[0] for rows in found] == ["v0", "v4", "v3", "v1"]
    assert all(rows.position.tolist() == [0, 1] for rows in found)


def test_maps_are_judged_by_the_mask():
    maps = np.zeros((2, 4, 4))
    maps[0, :2, :2] = 1
    maps[1] = 1
    masks = np.zeros((2, 4, 4), np.float32)
    masks[:, :2, :2] = 1
    found = c.judge(maps, masks)
    assert found.bits.tolist() == [4, 16]
    assert found.ratio.tolist() == [4, 1]
    assert found.hit.iloc[0] == 1
    assert c.judge(maps, 0 * masks).ratio.isna().all()


def test_a_look_at_step_n_sees_the_map_of_n_steps(study):
    inputs, masks = study.data[:3], study.masks("", study.frames().head(3))
    watched, _ = c.watch(study.bottleneck("", steps=5, noise_samples=1), inputs, masks, [2, 5])
    for steps in (2, 5):
        run = study.bottleneck("", steps=steps, noise_samples=1).attribute(inputs)
        wanted = c.judge(run.bits_per_pixel.numpy(), masks)
        part = watched[watched.steps == steps].drop(columns="steps").reset_index(drop=True)
        pd.testing.assert_frame_equal(part, wanted, rtol=1e-4)


def test_starts_and_steps_that_are_compared(study):
    table = c.convergence(study, clips=2, frames=3, longest=20, betas=(1.0, 100.0))
    counts = table.groupby(["start", "beta"]).size().to_dict()
    # 5 numbers of steps for 6 frames; warm at 4 of them, without the first frame of each clip.
    assert counts == {("cold", 1.0): 30, ("cold", 10.0): 30, ("cold", 100.0): 30,
                      ("readout", 10.0): 30, ("warm", 10.0): 16}  # fmt: skip
    assert table.notna().all(axis=None)
    warm = table[table.start == "warm"]
    assert set(warm.frame) == {3, 6} and warm.steps.max() == 10
    # Where everything passes at the start, more steps leave fewer bits.
    cold = c.over_frames(table).query("start == 'cold' and beta == 10").set_index("steps").bits
    assert cold[1] > cold[10]
    alike = c.starts_alike(table)
    assert set(alike.start) == {"cold", "readout", "warm"} and (alike.frames == 4).all()


def test_a_warm_start_is_where_the_frame_before_ended(study):
    settings = {"noise_samples": 1, "precision": "bfloat16", "frames_per_batch": 3}
    table = c.convergence(study, clips=1, frames=3, longest=4, betas=())
    inputs = study.data[:3]
    before = study.bottleneck("", steps=4, **settings).attribute(inputs, with_lam=True)
    before = before.lam[:1]
    for item in (1, 2):
        found = study.bottleneck("", steps=2, **settings).attribute(
            inputs[item : item + 1], start=before, with_lam=True
        )
        before = found.lam
        row = table.query(f"start == 'warm' and steps == 2 and frame == {3 * item}").iloc[0]
        assert row.bits == pytest.approx(float(found.bits_per_pixel.sum()), rel=1e-3)


def test_a_clip_of_one_frame_has_no_warm_start(study):
    table = c.convergence(study, clips=1, frames=1, longest=2, betas=())
    assert set(table.start) == {"cold", "readout"}
    assert set(c.starts_alike(table).start) == {"cold", "readout"}


def test_the_verdict_names_ten_steps_the_last_and_the_best():
    rows = [("cold", 1.0, 40, 900.0, 5.0), ("cold", 10.0, 5, 800.0, 1.0),
            ("cold", 10.0, 10, 700.0, 2.0), ("cold", 10.0, 40, 300.0, 3.0),
            ("warm", 10.0, 10, 200.0, 4.0)]  # fmt: skip
    means = pd.DataFrame(rows, columns=["start", "beta", "steps", "bits", "ratio"])
    found = c.verdict(means)
    assert (found["ten"].ratio, found["last"].ratio, found["best"].ratio) == (2.0, 3.0, 5.0)
    assert c.verdict(means[means.steps < 10])["ten"].steps == 5
    unknown = c.verdict(means.assign(ratio=np.nan))
    assert unknown["best"].bits == 300.0


def test_coupled_maps_stand_beside_those_of_single_frames(study):
    found = c.coupling(study, frames=3, sigma=2.0, weight=1e4)
    assert study.asked[-3:] == [{}, {"temporal_sigma": 2.0}, {"temporal_weight": 1e4}]
    assert list(found) == ["name", "iou", "kept", "bits", "ratio", "hit"] and len(found) == 3
    assert found.name[1].endswith("sigma 2") and found.name[2].endswith("10000")
    assert found.iou.between(0, 1).all() and found.kept.between(0, 1).all()
    assert found.bits.nunique() == 3  # a coupling changes the maps
