"""The contest: fair rows, cached maps, honest tests and places."""

from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
import torch

from viba_lib.baselines.explainers import (
    NAMES,
    VIBA,
    Network,
    candidates_of,
    check_names,
    draw_maps,
)
from viba_lib.core.errors import VibaError
from viba_lib.experiments.benchmark.maps import (
    Contest,
    contest_rows,
    maps_of,
    resized,
    tuned_values,
    tuning,
)
from viba_lib.experiments.benchmark.scores import (
    FAITHFULNESS,
    LOCALISATION,
    SAME,
    costs,
    faithfulness_scores,
    localisation_scores,
    paired_tests,
    pareto,
    place,
    standings,
    told,
    tuned_gain,
)
from viba_lib.experiments.benchmark.temporal_coupling import ALONE, joint_scores, joint_table
from viba_lib.experiments.benchmark.temporal_localisation import (
    ITSELF,
    disturbed,
    moment_scores,
    moment_table,
)
from viba_lib.pipeline.study import Study

FEW = (VIBA, "Grad-CAM", "Occlusion", "Random")


@pytest.fixture(scope="module")
def study(roots):
    return Study("tiny", *roots)


def scores_of(means: dict[str, float], videos: int = 12, spread: float = 0.3) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = [
        {"method": name, "video_id": str(video), "ratio": mean + spread * rng.random()}
        for name, mean in means.items()
        for video in range(videos)
    ]
    return pd.DataFrame(rows)


def test_rows_are_a_frame_of_a_video_and_right_ones_come_first(study):
    rows = contest_rows(study, "xception", "test", 50)
    assert rows.video_id.is_unique and (rows.label == 1).all() and (rows.split == "test").all()
    right = (rows.p_fake > 0.5).to_numpy()
    assert (np.diff(right.astype(int)) <= 0).all()
    assert set(rows.method) <= set(study.settings("xception").methods)
    pd.testing.assert_frame_equal(rows, contest_rows(study, "xception", "test", 50))


def test_maps_are_drawn_once_and_say_what_they_cost(study):
    rows = contest_rows(study, "xception", "test", 1)
    found = maps_of(study, "xception", rows, "Occlusion")
    size = study.settings("xception").size
    assert found.maps.shape == (1, size, size) and found.attrs["forward"] > 4
    lines = []
    study.progress = lines.append
    again = maps_of(study, "xception", rows, "Occlusion")
    study.progress = lambda _: None
    assert not lines and np.array_equal(found.maps, again.maps)
    narrow = maps_of(study, "xception", rows, "Occlusion", 1)
    assert narrow.attrs["forward"] != found.attrs["forward"]


def test_each_method_is_tuned_by_the_same_rule(study):
    table = tuning(study, "flow-vgg11", FEW)
    assert (table.groupby("method").chosen.sum() == 1).all()
    best = table.loc[table.groupby("method").ratio.idxmax()].set_index("method").ratio
    chosen = table[table.chosen].set_index("method").ratio
    pd.testing.assert_series_equal(best, chosen, check_like=True)
    values = tuned_values(study, "flow-vgg11", table)
    assert values["Random"] is None and values[VIBA] in study.layers("flow-vgg11")
    assert isinstance(values["Occlusion"], int)


def test_scores_of_a_study_are_whole(study):
    contest = Contest(study, "xception", "default", FEW)
    scores = localisation_scores(contest)
    assert len(scores) == len(FEW) * len(contest.rows)
    assert scores[["inside", "rank", "hit"]].stack().between(0, 1).all()
    table = standings(scores, LOCALISATION, study)
    assert list(table.ratio) == sorted(table.ratio, reverse=True)
    assert set(costs(contest.maps()).method) == set(FEW)
    faithful = faithfulness_scores(contest)
    assert set(FAITHFULNESS) <= set(faithful) and faithful.insertion.between(0, 1).all()


def test_a_silent_map_gains_nothing(study, monkeypatch):
    contest = Contest(study, "xception", "default", ("Random",))
    silent = {name: found * 0 for name, found in contest.maps().items()}
    monkeypatch.setattr(contest, "maps", lambda: silent)
    assert set(localisation_scores(contest).ratio) == {0.0}


def test_what_tuning_gains_is_judged_on_other_frames(study):
    plain, tuned = (Contest(study, "flow-vgg11", how, FEW) for how in ("default", "tuned"))
    scores = localisation_scores(plain), localisation_scores(tuned)
    gains = tuned_gain(*scores, tuned.tuning).set_index("method")
    assert set(gains.index) == {VIBA, "Grad-CAM", "Occlusion"}
    assert (gains.gain[~gains.changed] == 0).all()
    values = tuned.values
    assert all(gains.changed[n] == (values[n] != values_of_default(tuned, n)) for n in gains.index)


def values_of_default(contest, name):
    return candidates_of(name, contest.study.layers(contest.detector))[0]


def test_paired_tests_find_what_is_there_and_no_more():
    scores = scores_of({VIBA: 2.0, "Grad-CAM": 1.0, "RISE": 2.0})
    tests = paired_tests(scores, "ratio").set_index("method")
    assert tests.better["Grad-CAM"] == VIBA and tests.better["RISE"] == SAME
    assert tests.difference["Grad-CAM"] == pytest.approx(1.0, abs=0.3)
    assert (tests.p_holm >= tests.p).all()
    # twelve videos that all speak for one side: the exact two-sided p
    assert tests.p["Grad-CAM"] == pytest.approx(2 / 2**12)
    worse = scores.rename(columns={"ratio": "deletion"})
    assert paired_tests(worse, "deletion").set_index("method").better["Grad-CAM"] == "Grad-CAM"


def test_few_videos_prove_nothing():
    scores = scores_of({VIBA: 2.0, "Grad-CAM": 1.0, "RISE": 1.5}, videos=4)
    found = place(scores, "ratio")
    assert found["verdict"] == SAME and found["ahead"] == [] and found["least"] > 0.05
    assert found["rank"] == 1 and found["best"] == VIBA


def test_places_of_first_tied_and_behind():
    assert place(scores_of({VIBA: 3.0, "Grad-CAM": 1.0}), "ratio")["verdict"] == "first"
    behind = place(scores_of({VIBA: 1.0, "Grad-CAM": 3.0, "Random": 9.0}), "ratio")
    assert behind["verdict"] == "behind" and behind["behind"] == ["Grad-CAM"]
    assert behind["best"] == "Grad-CAM", "controls are no rivals"
    equal = scores_of({VIBA: 1.0, "Grad-CAM": 1.0}, spread=0)
    assert place(equal, "ratio")["rank"] == 1 and place(equal, "ratio")["best"] == VIBA
    close = scores_of({VIBA: 1.0, "Grad-CAM": 1.0}, spread=1.0)
    assert place(close, "ratio")["verdict"] in ("first", "tied for first")


def test_the_front_holds_what_nothing_beats():
    names = [VIBA, "RISE", "LIME", "LRP", "Random"]
    table = pd.DataFrame({"method": names, "seconds": [1, 2, 3, 3, 0.1], "ratio": [1, 3, 2, 3, 9]})
    found = pareto(table)
    assert found.front.to_list() == [True, True, False, True, False]
    assert found.control.to_list() == [False] * 4 + [True]


def test_a_contest_shows_its_worst_frame_and_takes_other_numbers(study):
    other = resized(Study("tiny", study.data_root, study.root.parent), frames=1, passes=0)
    contest = Contest(other, "flow-vgg11", "default", FEW)
    assert len(contest.rows) == 1 and contest.values[VIBA] is None
    image, mask, maps = contest.worst()
    assert image.shape[:2] == mask.shape and list(maps) == list(FEW)
    assert all(m.shape == mask.shape for m in maps.values())
    with pytest.raises(VibaError, match="passes is 3"):
        resized(other, passes=3)
    with pytest.raises(VibaError, match="'best' are not known"):
        Contest(other, "xception", "best")


def test_the_sentence_says_what_the_numbers_say():
    few = told(place(scores_of({VIBA: 2.0, "Grad-CAM": 1.0}, videos=3), "ratio"))
    assert "3 videos cannot tell" in few
    behind = told(place(scores_of({VIBA: 1.0, "Grad-CAM": 3.0}), "ratio"))
    assert "number 2" in behind and "worse than Grad-CAM" in behind
    blank = scores_of({VIBA: 1.0, "Grad-CAM": 3.0}).assign(ratio=np.nan)
    assert "no planted masks" in told(place(blank, "ratio"))


def test_names_are_forgiving_about_case_and_nothing_else():
    assert check_names(["viba", "GRAD-CAM", "viba"]) == [VIBA, "Grad-CAM"]
    with pytest.raises(VibaError, match=r"'saliency'.*Grad-CAM"):
        check_names(["saliency"])
    with pytest.raises(VibaError, match="no method"):
        check_names([])


def test_every_method_draws_maps_of_any_network(study):
    network = Network(study.detector("flow-vgg11"), ("features.9",),
                      {"features.9": study.statistics("flow-vgg11", "features.9")},
                      asdict(study.profile.bottleneck))  # fmt: skip
    frames = study.inputs("flow-vgg11", contest_rows(study, "flow-vgg11", "test", 1))
    for name in NAMES:
        maps = draw_maps(name, network, frames, 1, 8)
        assert maps.shape == (1, *frames.shape[-2:]) and maps.min() >= 0, name
        assert candidates_of(name, network.layers) or name in ("Random", "Centred blob", "Edges")
    with pytest.raises(VibaError, match=r"no statistics of 'features\.12'"):
        draw_maps(VIBA, network, frames, value="features.12")


def test_a_disturbed_clip_differs_where_it_says(study):
    video = study.frames("test", "flow-vgg11").query("label == 0").video_id.iloc[0]
    one, other = (disturbed(study, video, "jitter", seed) for seed in (0, 1))
    assert one.truth.any() and not one.truth.all()
    same = torch.isclose(one.inputs, other.inputs, atol=1e-5).flatten(1).all(1).numpy()
    assert same[~one.truth].all() and not same[one.truth].any()
    with pytest.raises(VibaError, match="disturbs no motion"):
        disturbed(study, video, "mouth")


def test_moments_and_joint_maps_have_their_references(study):
    scores = moment_scores(study, {}, FEW)
    assert {ITSELF, *FEW} == set(scores.method) and scores.auc.between(0, 1).all()
    assert len(moment_table(scores, study)) == len(FEW) + 1
    joint = joint_scores(study, "xception")
    table = joint_table(joint, study).set_index("name")
    assert table.iou["one map for all"] == 1 and ALONE in table.index
    smoothed = next(name for name in table.index if "afterwards" in name)
    assert table.iou[smoothed] >= table.iou[ALONE]


def test_an_unknown_video_is_refused(study):
    from viba_lib.pipeline.consecutive import consecutive

    with pytest.raises(VibaError, match="not in the catalog"):
        consecutive(study, "nobody", 5)
    assert torch.is_tensor(study.inputs("xception", study.frames("test").head(1)))
