"""The results tables on small results whose answer is known."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from viba_lib.experiments import (
    consistency,
    detection,
)
from viba_lib.experiments import (
    human_agreement as regions,
)
from viba_lib.experiments import (
    paper_and_run as paper,
)
from viba_lib.experiments.paper_numbers import TABLE_2
from viba_lib.visual.html_table import Link

# Two real and two fake videos of two frames each; one real frame is called fake.
LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 1])
CLEAN = np.array([0.1, 0.2, 0.9, 0.3, 0.8, 0.9, 0.7, 0.6])
DRAWS = np.stack([CLEAN, np.where(np.arange(8) == 7, 0.4, CLEAN)])  # one draw loses a fake


class FakeStudy:
    """What the tables ask a study for."""

    seed, root = 0, None

    def __init__(self, name="quick", relevance=None):
        evaluation = SimpleNamespace(draws=40)
        dataset = SimpleNamespace(kind="planted")
        self.profile = SimpleNamespace(name=name, evaluation=evaluation, dataset=dataset)
        self.relevance = np.zeros((8, 8, 8)) if relevance is None else relevance
        self.told = []

    def rows(self):
        return pd.DataFrame({
            "video_id": [f"v{i // 2}" for i in range(8)], "position": [0, 1] * 4,
            "frame": [0, 5] * 4, "label": LABELS,
            "method": np.where(LABELS == 1, "mouth", ""),
        })  # fmt: skip

    evaluation_rows = property(lambda self: lambda detector: self.rows())

    def maps(self, rows, draws):
        at = rows.index.to_numpy()
        coordinates = {c: ("item", rows[c].to_numpy()) for c in rows}
        return xr.Dataset(
            {
                "relevance": (("item", "y", "x"), self.relevance[at]),
                "p_fake": ("item", CLEAN[at]),
                "p_fake_draws": (("draw", "item"), draws),
                "p_fake_bottleneck": ("item", draws.mean(0)),
                "total_bits": ("item", self.relevance[at].sum((1, 2))),
            },
            coords=coordinates,
        )

    def explanations(self, detector):
        return self.maps(self.rows(), DRAWS)

    def explain(self, detector, rows, target):
        self.told.append((target, rows.frame.tolist(), rows.video_id.tolist()))
        return self.maps(self.rows().iloc[[2]], rows.label.to_numpy(float)[None])

    def clip(self, video_id):
        squares = [[50, 50, 40], [300 if video_id == "v1" else 55, 50, 40]]
        return SimpleNamespace(squares=np.array(squares, float))


def test_table_2_by_frame_and_by_video():
    table = detection.table_2(FakeStudy()).set_index(["name", "unit"])
    plain = table.loc[("xception -", "frame")]
    assert plain.accuracy == pytest.approx(7 / 8) and plain["count"] == 8
    assert plain.accuracy_spread == 0 and not plain.bottleneck
    noisy = table.loc[("xception +", "frame")]
    # The mean over draws calls the last fake 0.5, which is not above 0.5.
    assert noisy.accuracy == pytest.approx(6 / 8) and noisy.recall == pytest.approx(3 / 4)
    assert noisy.accuracy_spread == pytest.approx(np.std([7 / 8, 6 / 8], ddof=1))
    video = table.loc[("xception -", "video")]
    # The second real video has 0.9 and 0.3: its mean is above 0.5.
    assert video["count"] == 4 and video.accuracy == pytest.approx(3 / 4)


def test_a_bottleneck_that_is_told_the_truth_flatters():
    study = FakeStudy()
    table = detection.leak_table(study).set_index("detector")
    assert study.told[0] == ("true", [0], ["v1"]), "only the wrong frame is explained anew"
    row = table.loc["xception"]
    assert (row.frames, row.wrong) == (8, 1)
    assert row.without == pytest.approx(7 / 8) and row.predicted == pytest.approx(6 / 8)
    assert row.true == pytest.approx(7 / 8) and row.flattery == pytest.approx(1 / 8)


def test_mcnemar_counts_frames_and_videos():
    table = detection.mcnemar_tests(FakeStudy()).set_index(["detector", "unit"])
    assert table.loc[("xception", "frame"), "only_without"] == 1
    assert table.loc[("xception", "video"), ["count", "only_without"]].tolist() == [4, 0]


def test_table_3_leaves_out_steps_over_cuts():
    relevance = np.zeros((8, 8, 8))
    relevance[:, :4] = 1.0
    relevance[3], relevance[3, 4:] = 0.0, 1.0  # v1 jumps, and its face does, too
    relevance[5] = 0.0  # nothing in the second frame of v2
    table = consistency.table_3(FakeStudy(relevance=relevance)).set_index("name")
    real, fake = table.loc["xception real"], table.loc["xception fake"]
    assert real.cuts == 1 and real.iou == 1, "v0 alone has a step"
    assert fake["empty"] == pytest.approx(1 / 4) and fake.iou == pytest.approx((0 + 1) / 2)
    assert real.tcs == pytest.approx(0.5, abs=0.02)
    assert fake.persistence == pytest.approx((0.5 + 1) / 2)
    less = consistency.real_less_fake(FakeStudy(relevance=relevance)).set_index("detector")
    assert less.loc["xception", "iou"] == pytest.approx(0.5)


def videos_of(pairs):
    return pd.DataFrame(pairs, columns=["annotated", "found"])


def test_maps_dealt_to_other_videos_agree_less():
    right = videos_of([("L", "L"), ("B", "B"), ("C", "C"), ("N", "N")])
    chance = regions.by_chance(right, draws=400).mean()
    assert chance.overlap == pytest.approx(1 / 4, abs=0.06)
    same = videos_of([("L", "LB"), ("B", "LB"), ("L", "LB")])
    always = regions.by_chance(same, draws=5)
    assert (always.overlap == 1).all(), "a map that always says the same is no worse elsewhere"


def test_votes_of_frames_and_the_mean_map_differ():
    from tests.evaluation.test_measures import face

    masks = regions.region_masks(face(), 60)
    lips, chin = (np.where(masks[k], 1.0, 0.0) for k in "LC")
    frames = np.stack([9 * lips, chin, chin])
    landmarks = np.stack([face()] * 3)
    assert regions._found(frames, landmarks, 1, "density") == "L"
    assert regions._found(frames, landmarks, 1, regions.VOTES) == "C"


def numbers(monkeypatch, profile):
    study = FakeStudy(profile)
    study.catalog = lambda: pd.DataFrame({"dataset": ["celebdf"] * 56 + ["dfdc"] * 3})
    run = TABLE_2.assign(unit="frame")
    for name in ("accuracy", "precision", "recall"):
        run[name] /= 100
    for name in ("accuracy", "precision", "recall", "ece"):
        run[f"{name}_low"], run[f"{name}_high"] = run[name] - 0.01, run[name] + 0.01
    run["recall"] += 0.5
    run["recall_low"], run["recall_high"] = run.recall - 0.01, run.recall + 0.01
    run["ece_low"] = np.nan
    monkeypatch.setattr(paper, "table_2", lambda study: run)
    for name, rows, keys in (
        ("table_3", paper.TABLE_3, ["iou", "tcs", "rpi"]),
        ("table_4", paper.TABLE_4, ["f1", "precision", "recall", "overlap", "top1"]),
    ):
        ends = {f"{k}{end}": rows[k] for k in keys for end in ("_low", "_high")}
        wide = rows.assign(**ends)
        monkeypatch.setattr(paper, name, lambda study, wide=wide: wide)
    return paper.paper_beside_run(study).set_index(["table", "row", "measure"])


def test_status_of_numbers(monkeypatch):
    found = numbers(monkeypatch, "paper")
    status = found.status.to_dict()
    assert status[("Table 1", "Celeb-DF", "videos")] == paper.REPRODUCED
    assert status[("Table 1", "DFDC", "videos")] == paper.DIFFERS
    assert status[("Table 2", "xception without", "accuracy (%)")] == paper.REPRODUCED
    assert status[("Table 2", "xception with bottleneck", "recall (%)")] == paper.DIFFERS
    few = found.loc[("Table 2", "xception without", "ece")]
    assert few.status == paper.NOT_RUN and "too few" in few.why
    assert len(found) == 9 + 16 + 12 + 10


def test_other_data_reproduce_nothing(monkeypatch):
    found = numbers(monkeypatch, "quick")
    assert (found.status == paper.NOT_RUN).all() and (found.why == "other videos").all()
    shown = paper.for_page(found.reset_index())
    assert not (shown.astype(str) == "").any(axis=None) and not shown.isna().any(axis=None)
    assert isinstance(shown.made.iloc[0], Link)
    counts = paper.status_counts(found.reset_index())
    assert counts[paper.NOT_RUN].sum() == 47
