"""Speed and memory are measured as the page says."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from viba_lib.bottleneck import LayerStatistics, PerSampleBottleneck, precision
from viba_lib.core.errors import VibaError
from viba_lib.experiments import common, speed
from viba_lib.pipeline.study import Study

MIB = 2**18  # numbers in float32
pytestmark = pytest.mark.filterwarnings("ignore:statistics of")


class Small(nn.Module):
    """A network whose layer is followed by an in-place ReLU, as Xception's are."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1, stride=2)
        self.middle = nn.Conv2d(6, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.relu = nn.ReLU(inplace=True)
        self.last = nn.Linear(6, 2)

    def forward(self, x):
        x = self.relu(self.first(x))
        x = x + self.relu(self.middle(x))
        return self.last(self.relu(self.norm(x)).mean((2, 3)))


class Wasteful(Small):
    """The same network, with memory that it does not need."""

    MEBIBYTES = 300

    def forward(self, x):
        return super().forward(x) + 0 * torch.ones(self.MEBIBYTES * MIB)[-1]


@pytest.fixture
def subject():
    torch.manual_seed(0)
    model = Small().eval()
    frames = torch.randn(2, 3, 16, 16)
    statistics = LayerStatistics.estimate(model, "middle", [torch.randn(20, 3, 16, 16)])
    return speed.Subject("small", "middle", model, statistics, frames)


def test_agreement_is_of_ranks_and_per_frame():
    maps = np.random.default_rng(0).random((2, 5, 5))
    assert speed.agreement(maps, maps**3 * [[[1.0]], [[100.0]]]) == pytest.approx(1)
    assert speed.agreement(maps, np.stack([maps[0], -maps[1]])) == pytest.approx(0)
    assert np.isnan(speed.agreement(maps, np.ones_like(maps)))


def test_the_mean_of_runs(subject):
    parts = (subject.model, subject.layer, subject.statistics)
    runs = [
        PerSampleBottleneck(*parts, seed=s).attribute(subject.frames).capacity.sum(1)
        for s in range(2)
    ]
    mean = speed.mean_maps(subject, runs=2)
    torch.testing.assert_close(mean, (runs[0] + runs[1]) / 2)
    assert not torch.allclose(runs[0], runs[1])


def test_rows_say_what_each_setting_costs(subject):
    rows = list(speed.measure_subject(subject, runs=2, plain_steps=2))
    assert [r["settings"] for r in rows] == list(speed.SETTINGS)
    for row in rows:
        assert " ".join(row) == (
            "detector layer settings precision seconds ratio ratio_low ratio_high agreement memory"
        )
        assert row["seconds"] > 0
        assert row["ratio"] == pytest.approx(rows[0]["seconds"] / row["seconds"])
    # Two of ten steps give no map that could be compared.
    assert np.isnan(rows[0]["agreement"])
    assert all(0.3 < r["agreement"] < 1 for r in rows[1:])


def test_a_precision_that_is_imitated_is_not_timed(subject, monkeypatch):
    """Fifteen times as long as in float32: a step is enough to know."""
    seconds = {"float32": 1.0, "bfloat16": 15.0}
    monkeypatch.setattr(precision, "_seconds", lambda run, name, _: run(name) or seconds[name])
    names = ["default", "bfloat16", "fast"]
    rows = list(speed.measure_subject(subject, names, runs=0))
    assert [row["settings"] for row in rows] == names and rows[1]["precision"] == "bfloat16"
    assert [math.isnan(row["seconds"]) for row in rows] == [False, True, False]
    assert rows[0].keys() == rows[1].keys()
    seconds["bfloat16"] = 0.5
    assert all(row["seconds"] > 0 for row in speed.measure_subject(subject, names, runs=0))


def test_medians_of_rounds_are_compared_within_a_round(subject, monkeypatch):
    """A machine that is half as fast in one round slows the reference down as well."""
    plain, fast = iter([10.0, 24.0, 11.0]), iter([1.0, 2.0, 1.0])
    maps = torch.rand(2, 8, 8)
    monkeypatch.setattr(speed, "_time_reference", lambda *_: (next(plain), maps[:1]))
    monkeypatch.setattr(speed, "_time_bottleneck", lambda *_: (next(fast), maps))
    said = []
    given = {"runs": 0, "repeats": 3, "progress": said.append}
    reference, row = speed.measure_subject(subject, ["plain", "fast"], **given)
    assert (reference["seconds"], row["seconds"]) == (11.0, 1.0)
    assert (row["ratio_low"], row["ratio"], row["ratio_high"]) == (10.0, 11.0, 12.0)
    assert reference["ratio_low"] == reference["ratio_high"] == 1.0
    assert said[2] == "small at middle: round 2 of 3, plain: 24.000 s per frame"


def test_all_steps_of_the_reference_give_a_map_to_compare(subject):
    (row,) = speed.measure_subject(subject, ["plain"], runs=2, plain_steps=10)
    assert 0.5 < row["agreement"] <= 1


def test_without_runs_nothing_is_compared(subject, monkeypatch):
    monkeypatch.setattr(speed, "mean_maps", pytest.fail)
    (row,) = speed.measure_subject(subject, ["fast"], runs=0)
    assert np.isnan(row["agreement"]) and np.isnan(row["ratio"]) and row["seconds"] > 0


def test_steps_of_the_reference_that_are_left_out_are_counted(subject, monkeypatch):
    """A first step of 5 s and others of 2 s: ten steps take 23 s."""
    times = iter([0.0, 5.0, 7.0, 9.0])
    monkeypatch.setattr(speed, "clock", lambda _device: next(times))
    seconds, _ = speed._time_reference(subject, steps=3)
    assert seconds == pytest.approx(23)


def test_unknown_settings_are_refused(subject):
    with pytest.raises(VibaError, match=r"quick.*default"):
        next(speed.measure_subject(subject, ["quick"]))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="memory is not reported")
def test_memory_is_that_of_a_process_of_its_own(subject):
    before = torch.ones(200 * MIB)  # memory of this process does not count
    model = Wasteful()
    model.load_state_dict(subject.model.state_dict())
    wasteful = speed.replace(subject, model=model.eval())
    small, large = (speed.peak_memory(s, speed.REFERENCE) for s in (subject, wasteful))
    assert 0 < small < 150 and large - small == pytest.approx(Wasteful.MEBIBYTES, abs=60)
    assert len(before)


@pytest.fixture
def study(tmp_path):
    return Study("tiny", tmp_path / "data", tmp_path / "results")


def test_layers_are_named_before_anything_is_computed(study, tmp_path):
    both = ("xception", "flow-vgg11")
    assert common.named_layers(study, both) == {
        "xception": ["block4"],
        "flow-vgg11": ["features.9"],
    }
    assert sum(map(len, common.named_layers(study, both, "all").values())) == 8
    assert common.named_layers(study, both, "features.16") == {"flow-vgg11": ["features.16"]}
    with pytest.raises(VibaError, match="block4"):
        common.named_layers(study, both, "block44")
    with pytest.raises(VibaError, match="resnet"):
        common.named_layers(study, ["resnet"])
    assert not list(tmp_path.iterdir())


def test_untrained_subjects_need_no_data(study, tmp_path):
    found = list(speed.subjects(study, ["flow-vgg11"], "all", frames=3, untrained=True))
    assert [s.layer for s in found] == ["features.9", "features.12", "features.16"]
    assert found[0].frames.shape == (3, 3, 64, 64) and not list(tmp_path.iterdir())
    assert all(s.statistics.active.float().mean() > 0.5 for s in found)


def test_counted_costs_are_those_of_the_networks():
    """Xception at 299 px has 8.4 G multiply-accumulates, 5.1 of them downstream of block 4."""
    costs = speed.layer_costs({"xception": 299, "flow-vgg11": 256}).set_index("layer")
    assert costs.upstream["block4"] + costs.downstream["block4"] == pytest.approx(8.36, abs=0.1)
    assert costs.downstream["block4"] == pytest.approx(5.08, abs=0.1)
    assert costs.downstream["block12"] == pytest.approx(0.47, abs=0.05)
    assert costs.expected["block4"] == pytest.approx(1.5 * 8.36 / 5.08, abs=0.05)
    total = costs.upstream + costs.downstream
    for _, part in total.groupby(costs.detector):
        assert np.ptp(part) < 0.02 * part.mean()


def test_the_file_holds_the_rows_and_what_they_were_measured_on(study, tmp_path):
    path = tmp_path / "new" / "rows.json"
    speed.save_rows(path, study, [{"settings": "fast", "seconds": 0.5, "agreement": float("nan")}])
    found = json.loads(path.read_text())
    assert found["rows"] == [{"settings": "fast", "seconds": 0.5, "agreement": None}]
    assert found["threads"] == torch.get_num_threads() and found["versions"]["torch"]
    assert [p.name for p in path.parent.iterdir()] == ["rows.json"]
