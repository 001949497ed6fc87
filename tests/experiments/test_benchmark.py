"""The benchmark: fair rows, stages with declared inputs, correct tests and ranks."""

import shutil
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch

from viba_lib.baselines import PatchHead
from viba_lib.baselines.common import classes_of
from viba_lib.baselines.explainers import (
    NAMES,
    Network,
    candidates_of,
    check_names,
    explain_with,
)
from viba_lib.baselines.names import VIBA
from viba_lib.core.cache import Stage
from viba_lib.core.code import LIBRARY, code_key, reached
from viba_lib.core.errors import VibaError
from viba_lib.experiments.benchmark import runs
from viba_lib.experiments.benchmark.budgets import (
    budget_means,
    budget_scores,
    budget_table,
    budget_text,
    curves_text,
)
from viba_lib.experiments.benchmark.maps import (
    Benchmark,
    benchmark_rows,
    maps_of,
    maps_stage,
    with_comparison,
)
from viba_lib.experiments.benchmark.memory import memory_of, memory_stage
from viba_lib.experiments.benchmark.ranking import costs, front_text, pareto
from viba_lib.experiments.benchmark.robustness import (
    attack_stage,
    attack_text,
    sanity_stage,
    sanity_text,
)
from viba_lib.experiments.benchmark.scores import (
    FAITHFULNESS,
    LOCALISATION,
    faithfulness_scores,
    faithfulness_stage,
    groups_text,
    localisation_scores,
    score_table,
    tuned_gain,
)
from viba_lib.experiments.benchmark.temporal_coupling import (
    ALONE,
    joint_scores,
    joint_stage,
    joint_table,
)
from viba_lib.experiments.benchmark.temporal_localisation import (
    PROBABILITY,
    disturbed,
    temporal_scores,
    temporal_stage,
)
from viba_lib.experiments.common import Bootstrap, no_masks
from viba_lib.pipeline.prepared_set import PreparedSet
from viba_lib.pipeline.profiles import Profile, load_profile
from viba_lib.pipeline.study import Study

FEW = (VIBA, "Grad-CAM", "Occlusion", "Random")
BOOTSTRAP = Bootstrap(50)

# ---- stages ------------------------------------------------------------------------------------

STAGES: dict[str, Callable[[Benchmark], Stage]] = {
    "bottleneck": lambda b: b.maps_stage(VIBA),
    "occlusion": lambda b: b.maps_stage("Occlusion"),
    "faithful": lambda b: faithfulness_stage(b, VIBA),
    "attack": attack_stage,
    "sanity": sanity_stage,
    "memory": memory_stage,
    "joint": lambda b: joint_stage(b.study, b.detector, ["a"]),
    "temporal": lambda b: temporal_stage(b.study, "flow-vgg11", b.values),
}
ALL = set(STAGES)
# For each setting another value, and the stages whose results it can change.
CHANGES = [
    ("evaluation", "statistics_frames", 9, ALL - {"occlusion"}),
    ("bottleneck", "beta", 5.0, ALL - {"occlusion"}),
    ("preparation", "frames_per_video", 3, ALL),
    ("xception", "size", 128, ALL - {"temporal"}),
    ("flow", "methods", ["jitter"], {"temporal"}),
    ("comparison", "passes", 16, {"bottleneck", "occlusion", "faithful", "attack", "memory"}),
    ("comparison", "short_passes", 16, {"attack", "sanity", "temporal"}),
    ("comparison", "faithful", 2, {"faithful"}),
    ("comparison", "steps", 3, {"faithful", "joint"}),
    ("comparison", "sets", 4, {"faithful"}),
    ("comparison", "attacked", 2, {"attack"}),
    ("comparison", "attack_samples", 4, {"attack"}),
    ("comparison", "attack_steps", 2, {"attack"}),
    ("comparison", "sanity", 2, {"sanity"}),
    ("comparison", "joint_frames", 4, {"joint"}),
    ("comparison", "clips", 2, {"temporal"}),
    ("comparison", "clip_frames", 7, {"temporal"}),
]


def changed(profile: Profile, section: str, field: str, value: object) -> Profile:
    content = profile.model_dump()
    content[section][field] = value
    return Profile.model_validate(content)


@pytest.fixture
def stages(tmp_path):
    """Function from a profile and a seed to the stages of a benchmark; nothing is computed."""
    rows = pd.DataFrame({"video_id": ["a", "b"], "position": [0, 1]})

    def declared(profile: Profile, seed: int = 0) -> dict[str, Stage]:
        study = Study(profile, tmp_path / "data", tmp_path / "results", seed=seed)
        benchmark = Benchmark(study, "xception", names=FEW, rows=rows)
        return {name: declare(benchmark) for name, declare in STAGES.items()}

    return declared


@pytest.mark.parametrize(("section", "field", "value", "affected"), CHANGES)
def test_a_stage_is_stale_if_a_setting_changes_that_it_depends_on(
    stages, section, field, value, affected
):
    profile = load_profile("tiny")
    before, after = stages(profile), stages(changed(profile, section, field, value))
    assert {name for name in ALL if before[name].digest != after[name].digest} == affected


def test_a_stage_is_stale_if_the_seed_changes(stages):
    before, after = stages(load_profile("tiny")), stages(load_profile("tiny"), seed=1)
    assert all(before[name].digest != after[name].digest for name in ALL)


def test_a_benchmark_of_other_settings_has_other_stages(stages, tmp_path):
    study = Study("tiny", tmp_path / "data", tmp_path / "results")
    rows = pd.DataFrame({"video_id": ["a"], "position": [0]})
    benchmark = Benchmark(study, "xception", names=FEW, rows=rows)
    tuned = Benchmark(study, "xception", names=FEW, rows=rows)
    tuned.values = benchmark.values | {VIBA: "block12"}
    for name in ALL - {"occlusion", "joint"}:
        assert STAGES[name](benchmark).digest != STAGES[name](tuned).digest, name


@pytest.mark.parametrize(
    ("name", "definition"),
    [
        ("bottleneck", "bottleneck.per_sample.PerSampleBottleneck"),
        ("occlusion", "baselines.perturbations.occlusion"),
        ("faithful", "evaluation.faithfulness.sensitivity_n"),
        ("attack", "evaluation.attack.stability"),
        ("sanity", "evaluation.randomisation.random_labels"),
        ("memory", "baselines.tensor_memory.TensorMemory"),
        ("joint", "data.prepare.prepared_rows"),
        ("temporal", "data.artefacts.plant"),
    ],
)
def test_the_code_of_a_stage_is_what_computes_it_and_no_study(stages, name, definition):
    found = {
        f"{module}.{part}" for module, part in reached(stages(load_profile("tiny"))[name].compute)
    }
    assert f"viba_lib.{definition}" in found
    assert not any(part.startswith("viba_lib.pipeline.study") for part in found)


def test_a_typo_in_a_docstring_computes_nothing_again(stages, tmp_path):
    copied = tmp_path / "viba_lib"
    shutil.copytree(LIBRARY, copied, ignore=shutil.ignore_patterns("__pycache__"))
    for path in copied.rglob("*.py"):
        path.write_text(path.read_text().replace('"""', '"""Unknown. ', 1) + "\n# A comment.\n")
    for stage in stages(load_profile("tiny")).values():
        assert code_key(stage.compute) == code_key(stage.compute, library=copied)


# ---- cost ----------------------------------------------------------------------------


def test_the_front_contains_the_methods_that_no_other_dominates():
    names = [VIBA, "RISE", "LIME", "LRP", "Random"]
    table = pd.DataFrame({"method": names, "seconds": [1, 2, 3, 3, 0.1], "ratio": [1, 3, 2, 3, 9]})
    found = pareto(table)
    assert found.front.to_list() == [True, True, False, True, False]
    assert found.control.to_list() == [False] * 4 + [True]


def test_names_are_forgiving_about_case_and_nothing_else():
    assert check_names(["viba", "GRAD-CAM", "viba"]) == [VIBA, "Grad-CAM"]
    with pytest.raises(VibaError, match=r"'saliency'.*Grad-CAM"):
        check_names(["saliency"])
    with pytest.raises(VibaError, match="no method"):
        check_names([])


def test_other_numbers_leave_the_study_as_it_is(tmp_path):
    study = Study("tiny", tmp_path / "data", tmp_path / "results", seed=3)
    before = study.profile.model_copy(deep=True)
    other = with_comparison(study, frames=1, passes=0)
    assert other.profile.comparison.frames == 1 and study.profile == before
    assert other.profile.comparison.passes == before.comparison.passes
    assert (other.root, other.data_root, other.seed) == (study.root, study.data_root, 3)
    assert other.stages.profile is other.profile
    with pytest.raises(VibaError, match=r"passes: .*got 3"):
        with_comparison(study, passes=3)
    with pytest.raises(VibaError, match="'best' are not known"):
        Benchmark(study, "xception", "best")


# ---- results of a run --------------------------------------------------------------------------


def test_rows_are_one_frame_of_a_video_and_correct_ones_come_first(study):
    rows = benchmark_rows(study, "xception", "test", 50)
    assert rows.video_id.is_unique and (rows.label == 1).all() and (rows.split == "test").all()
    correct = (rows.p_fake > 0.5).to_numpy()
    assert (np.diff(correct.astype(int)) <= 0).all()
    assert set(rows.method) <= set(study.settings("xception").methods)
    pd.testing.assert_frame_equal(rows, benchmark_rows(study, "xception", "test", 50))


def test_maps_are_computed_once_and_have_a_cost(study):
    rows = benchmark_rows(study, "xception", "test", 1)
    found = maps_of(study, "xception", rows, "Occlusion")
    size = study.settings("xception").size
    assert found.maps.shape == (1, size, size) and found.attrs["forward"] > 4
    lines: list[str] = []
    other = Study("tiny", study.data_root, study.root.parent, progress=lines.append)
    again = maps_of(other, "xception", rows, "Occlusion")
    assert not lines and np.array_equal(found.maps, again.maps)
    cams = [maps_of(study, "xception", rows, "Grad-CAM", layer) for layer in ("block4", "conv3")]
    assert not np.array_equal(cams[0].maps, cams[1].maps), "another setting is another stage"


def test_methods_that_explain_the_same_frames_share_inputs_and_decisions(study, monkeypatch):
    read, decided = [], []

    class Counted(PreparedSet):
        def inputs(self, detector, rows, change=None):
            read.append(len(rows))
            return super().inputs(detector, rows, change)

    def classes(model, inputs, target):
        decided.append(len(inputs))
        return classes_of(model, inputs, target)

    monkeypatch.setattr(runs, "PreparedSet", Counted)
    monkeypatch.setattr(runs, "classes_of", classes)
    runs._inputs.cache_clear()
    runs._classes.cache_clear()
    rows = benchmark_rows(study, "xception", "test", 2)
    asked = [(rows, "Occlusion", 3), (rows, "RISE", 10), (rows, "Grad-CAM", "conv3")]
    last = (rows.head(1), "RISE", 10)
    for one in (*asked, last):  # finished maps of an earlier run would read nothing
        shutil.rmtree(study.cache.folder(maps_stage(study, "xception", *one)), ignore_errors=True)
    for one in asked:
        maps_of(study, "xception", *one)
    assert read == decided == [2]
    maps_of(study, "xception", *last)
    assert read == decided == [2, 1]


def test_each_method_is_tuned_by_the_same_rule(study):
    benchmark = Benchmark(study, "flow-vgg11", "tuned", FEW)
    table, values = benchmark.tuning, benchmark.values
    assert (table.groupby("method").chosen.sum() == 1).all()
    best = table.loc[table.groupby("method").ratio.idxmax()].set_index("method").ratio
    chosen = table[table.chosen].set_index("method").ratio
    pd.testing.assert_series_equal(best, chosen, check_like=True)
    assert values["Random"] is None and values[VIBA] in study.layers("flow-vgg11")
    assert isinstance(values["Occlusion"], int)


def test_a_setting_that_follows_from_the_budget_is_named_so(study):
    benchmark = Benchmark(with_comparison(study, passes=20), "xception", "tuned", ("Sobol",))
    assert list(benchmark.tuning.value) == ["by the budget", "3", "4"]
    assert benchmark.values["Sobol"] in (None, 3, 4)


def test_scores_of_a_study_are_complete(study):
    benchmark = Benchmark(study, "xception", "default", FEW)
    scores = localisation_scores(benchmark)
    assert len(scores) == len(FEW) * len(benchmark.rows)
    assert scores[["inside", "rank", "hit"]].stack().between(0, 1).all()
    table = score_table(scores, LOCALISATION, BOOTSTRAP)
    assert list(table.ratio) == sorted(table.ratio, reverse=True)
    assert set(costs(benchmark.maps()).method) == set(FEW)
    faithful = faithfulness_scores(benchmark)
    assert set(FAITHFULNESS) <= set(faithful) and faithful.insertion.between(0, 1).all()


def test_an_empty_map_gains_nothing(study, monkeypatch):
    benchmark = Benchmark(study, "xception", "default", ("Random",))
    empty = {name: found * 0 for name, found in benchmark.maps().items()}
    monkeypatch.setattr(benchmark, "maps", lambda: empty)
    assert set(localisation_scores(benchmark).ratio) == {0.0}


@pytest.mark.parametrize("masked", [0, 1])
def test_frames_without_a_mask_are_not_localised(study, monkeypatch, masked):
    benchmark = Benchmark(with_comparison(study, frames=2), "xception", "default", FEW)
    masks = study.masks("xception", benchmark.rows)
    masks[masked:] = 0
    monkeypatch.setattr(benchmark.study, "masks", lambda *_: masks)
    scores = localisation_scores(benchmark)
    assert list(scores.video_id) == list(benchmark.rows.video_id[:masked]) * len(FEW)
    table = score_table(scores, LOCALISATION, BOOTSTRAP)
    assert list(table.frames) == [masked] * len(FEW) * masked
    assert bool(no_masks(table.ratio, "it")) == (not masked)
    beside = table.merge(costs(benchmark.maps()), "right", "method")
    assert not pareto(beside).front[beside.ratio.isna()].any() and len(beside) == len(FEW)


def test_the_gain_from_tuning_is_measured_on_other_frames(study):
    plain, tuned = (Benchmark(study, "flow-vgg11", how, FEW) for how in ("default", "tuned"))
    scores = localisation_scores(plain), localisation_scores(tuned)
    gains = tuned_gain(*scores, tuned.tuning).set_index("method")
    assert set(gains.index) == {VIBA, "Grad-CAM", "Occlusion"}
    assert (gains.gain[~gains.changed] == 0).all()
    layers = study.layers("flow-vgg11")
    for name in gains.index:
        assert gains.changed[name] == (tuned.values[name] != candidates_of(name, layers)[0])


def test_every_method_with_a_budget_has_a_curve(study):
    names = (*FEW, "RISE")
    benchmark = Benchmark(with_comparison(study, frames=2), "flow-vgg11", "default", names)
    curves = budget_scores(benchmark, localisation_scores(benchmark))
    assert set(curves.method) == {VIBA, "Occlusion", "RISE"} and set(curves.passes) == {8, 12}
    assert (curves.groupby(["method", "passes"]).size() == 1).all(), "budget_frames is 1"
    spent = curves.set_index(["method", "passes"]).equivalents
    assert spent["RISE", 8] == 8 and spent["RISE", 12] == 12
    assert spent[VIBA, 8] <= 8 < spent[VIBA, 12] <= 12
    means = budget_means(curves)
    assert "mean ratio at a budget of 8 and 12: VIBA " in curves_text(means)
    none = budget_means(curves.assign(ratio=np.nan))
    assert none.ratio.isna().all() and curves_text(none) == ""
    assert budget_means(curves.head(0)).empty


def test_the_table_of_budgets_agrees_with_the_passes_that_were_made(study):
    benchmark = Benchmark(with_comparison(study, frames=2), "flow-vgg11", "default", FEW)
    table = budget_table(benchmark).set_index("method")
    made = costs(benchmark.maps()).set_index("method")
    assert table.equivalents.to_dict() == made.equivalents.to_dict()
    text = budget_text(table.reset_index(), 8)
    assert "budget is 8 forward-equivalents" in text and "Grad-CAM 3." in text
    above = table.assign(equivalents=table.equivalents + table.budget * 10).reset_index()
    assert "design of VIBA, Occlusion is larger than the budget" in budget_text(above, 8)


def test_a_method_that_goes_backward_needs_more_memory(study):
    benchmark = Benchmark(with_comparison(study, frames=2), "flow-vgg11", "default", FEW)
    memory = memory_of(benchmark).set_index("method").memory
    assert set(memory.index) == set(FEW) and (memory >= 0).all()
    assert memory["Random"] < memory["Grad-CAM"]


def test_the_sentences_on_the_randomisation_check_begin_with_the_bottleneck():
    table = pd.DataFrame({
        "detector": ["a", "a", "b", "b", "b"], "method": ["RISE", VIBA, VIBA, "LIME", "Edges"],
        "rank": [0.2, 0.4, 0.6, 0.7, 1.0], "same": [False, False, True, True, True], "frames": 5,
    })  # fmt: skip
    text = sanity_text(table)
    assert text.startswith("VIBA on a, 5 frames:") and "is 0.40, at most 0.5." in text
    assert "is 0.60, above 0.5." in text
    assert text.endswith("On b, it is above that for 1 other method: LIME.")
    assert sanity_text(table.assign(frames=1)).endswith("too few for a verdict.")


def test_a_benchmark_shows_its_worst_frame(study):
    benchmark = Benchmark(with_comparison(study, frames=1), "flow-vgg11", "default", FEW)
    assert len(benchmark.rows) == 1 and benchmark.values[VIBA] is None
    image, mask, maps = benchmark.worst()
    assert image.shape[:2] == mask.shape and list(maps) == list(FEW)
    assert all(m.shape == mask.shape for m in maps.values())


def test_every_method_gives_maps_of_any_network(study):
    statistics = study.statistics("flow-vgg11", "features.9")
    head = PatchHead(torch.ones(len(statistics.mean)), 0.0)
    settings = study.stages.bottleneck(study.registered("flow-vgg11"))
    network = Network(study.detector("flow-vgg11"), ("features.9",), {"features.9": statistics},
                      settings, heads=lambda _: head)  # fmt: skip
    frames = study.inputs("flow-vgg11", benchmark_rows(study, "flow-vgg11", "test", 1))
    for name in NAMES:
        maps = explain_with(name, network, frames, 1, 8)
        assert maps.shape == (1, *frames.shape[-2:]) and maps.min() >= 0, name
        assert candidates_of(name, network.layers) or name in ("Random", "Centre prior", "Edges")
    with pytest.raises(VibaError, match=r"no statistics of 'features\.12'"):
        explain_with(VIBA, network, frames, value="features.12")


def test_a_disturbed_clip_differs_in_its_disturbed_pairs(study):
    video = study.frames("test", "flow-vgg11").query("label == 0").video_id.iloc[0]
    preparation, detector = study.profile.preparation.model_dump(), study.registered("flow-vgg11")
    given = (study.prepared, video, "jitter", 6, preparation)
    (one, truth), (other, _) = (disturbed(*given, seed) for seed in (0, 1))
    assert truth.any() and not truth.all()
    pairs = [detector.inputs(clip, None, 64) for clip in (one, other)]
    same = torch.isclose(*pairs, atol=1e-5).flatten(1).all(1).numpy()
    assert same[~truth].all() and not same[truth].any()


def test_maps_in_time_have_their_references(study):
    scores = temporal_scores(study, "flow-vgg11", dict.fromkeys(FEW))
    assert {PROBABILITY, *FEW} == set(scores.method) and scores.auc.between(0, 1).all()
    assert len(score_table(scores, ["auc"], BOOTSTRAP, "clips")) == len(FEW) + 1
    joint = joint_scores(study, "xception")
    table = joint_table(joint, BOOTSTRAP).set_index("name")
    assert table.iou["one map for all"] == 1 and ALONE in table.index
    smoothed = next(name for name in table.index if "afterwards" in name)
    assert table.iou[smoothed] >= table.iou[ALONE]


def test_an_unknown_video_is_refused(study):
    preparation = study.profile.preparation.model_dump()
    with pytest.raises(VibaError, match="not in the catalog"):
        study.prepared.consecutive("nobody", 5, preparation)


def test_groups_are_read_without_a_verdict():
    rows = [
        {"method": name, "detector": "a", "planted": planted, "ratio": ratio}
        for name, factor in ((VIBA, 1.0), ("Grad-CAM", 9.0))
        for planted, ratio in (("mouth", 3 * factor), ("mouth", factor), ("eyes", 4 * factor))
    ]
    rows.append({"method": VIBA, "detector": "a", "planted": "chin", "ratio": np.nan})
    text = groups_text(pd.DataFrame(rows), "planted", "planted method")
    assert text == f"{VIBA} on a, mean ratio by planted method: eyes 4.00, mouth 2.00 (no test)."
    assert groups_text(pd.DataFrame(rows[-1:]), "planted", "planted method") == ""


def test_the_front_is_named_the_cheapest_first():
    rows = {
        "method": ["costly", "worse", "cheap"],
        "seconds": [3.0, 2.0, 1.0],
        "ratio": [3.0, 1.0, 2.0],
    }
    text = front_text({"a": pareto(pd.DataFrame(rows))})
    assert "better by the mean than cheap, costly (cheapest first" in text
    none = pareto(pd.DataFrame(rows).assign(ratio=np.nan))
    assert front_text({"a": none}) == ""


def test_the_attack_is_read_beside_the_best_method():
    columns = ["method", "sufficiency 1", "sufficiency 2", "kept 1", "stability"]
    rows = [
        (VIBA, 0.1, 0.2, 1.0, 0.9),
        ("Grad-CAM", 0.3, 0.4, 1.0, 0.8),
        ("Random", 1.0, 1.0, 0, 1),
    ]
    text = attack_text(pd.DataFrame(rows, columns=columns))
    assert "sufficiency with 2 segments 0.20 (highest: Grad-CAM, 0.40)" in text
    assert f"stability 0.90 (highest: {VIBA}, 0.90)" in text
    assert attack_text(pd.DataFrame(rows[1:], columns=columns)) == ""
