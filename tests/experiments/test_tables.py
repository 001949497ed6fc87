"""The tables of results, on small inputs with known answers."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from tests.landmarks import face
from viba_lib.evaluation.agreement import region_masks
from viba_lib.experiments import consistency, detection, human_agreement, open_choices
from viba_lib.experiments import paper_and_run as paper
from viba_lib.experiments.common import Bootstrap, ExplainedVideo, no_masks
from viba_lib.experiments.paper_numbers import DATASET_NAMES, LAYERS, TABLE_2, TABLE_3, TABLE_4
from viba_lib.visual.html_table import Link

# Two real and two fake videos of two frames each; one real frame is classified as fake.
LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 1])
CLEAN = np.array([0.1, 0.2, 0.9, 0.3, 0.8, 0.9, 0.7, 0.6])
SAMPLES = np.stack([CLEAN, np.where(np.arange(8) == 7, 0.4, CLEAN)])  # one sample loses a fake
BOOTSTRAP = Bootstrap(samples=40)


@pytest.fixture
def frames():
    return pd.DataFrame({
        "video_id": [f"v{i // 2}" for i in range(8)], "position": [0, 1] * 4,
        "frame": [0, 5] * 4, "label": LABELS, "method": np.where(LABELS == 1, "mouth", ""),
        "p_fake": CLEAN, "p_fake_0": SAMPLES[0], "p_fake_1": SAMPLES[1],
        "p_fake_bottleneck": SAMPLES.mean(0),
    })  # fmt: skip


def test_table_2_by_frame_and_by_video(frames):
    table = detection.table_2({"net": frames}, BOOTSTRAP).set_index(["name", "unit"])
    plain = table.loc[("net -", "frame")]
    assert plain.accuracy == pytest.approx(7 / 8) and plain["count"] == 8
    assert plain.accuracy_std == 0 and not plain.bottleneck
    noisy = table.loc[("net +", "frame")]
    # The mean over samples is 0.5 for the last fake, which is not above 0.5.
    assert noisy.accuracy == pytest.approx(6 / 8) and noisy.recall == pytest.approx(3 / 4)
    assert noisy.accuracy_std == pytest.approx(np.std([7 / 8, 6 / 8], ddof=1))
    video = table.loc[("net -", "video")]
    # The second real video has 0.9 and 0.3: its mean is above 0.5.
    assert video["count"] == 4 and video.accuracy == pytest.approx(3 / 4)


def test_mcnemar_counts_frames_and_videos(frames):
    table = detection.mcnemar_tests({"net": frames}).set_index(["detector", "unit"])
    assert table.loc[("net", "frame"), "only_without"] == 1
    assert table.loc[("net", "video"), ["count", "only_without"]].tolist() == [4, 0]


def test_shares_by_method_start_with_real(frames):
    table = detection.detection_by_method(frames)
    assert table.method.tolist() == ["real", "mouth"] and table.videos.tolist() == [2, 2]
    assert table.without.tolist() == [3 / 4, 1] and table.with_bottleneck.tolist() == [3 / 4, 3 / 4]


def videos_with(frames, relevance):
    for number, (video, rows) in enumerate(frames.groupby("video_id")):
        squares = np.array([[50, 50, 40], [300 if video == "v1" else 55, 50, 40]], float)
        part = relevance[2 * number : 2 * number + 2]
        yield ExplainedVideo(rows, part, squares, np.stack([face()] * 2), "L")


def test_table_3_leaves_out_steps_over_cuts(frames):
    relevance = np.zeros((8, 8, 8))
    relevance[:, :4] = 1.0
    relevance[3], relevance[3, 4:] = 0.0, 1.0  # v1 jumps, and its face does as well
    relevance[5] = 0.0  # nothing in the second frame of v2
    videos = consistency.consistency_by_video(videos_with(frames, relevance), [0.5])
    table = consistency.table_3(videos.assign(detector="net"), BOOTSTRAP).set_index("name")
    real, fake = table.loc["net, real"], table.loc["net, fake"]
    assert real.cuts == 1 and real.iou == 1, "v0 alone has a step"
    assert fake["empty"] == pytest.approx(1 / 4) and fake.iou == pytest.approx((0 + 1) / 2)
    assert real.tcs == pytest.approx(0.5, abs=0.02)
    assert fake.persistence == pytest.approx((0.5 + 1) / 2)
    difference = consistency.real_minus_fake(videos.assign(detector="net"), BOOTSTRAP)
    assert difference.iou.tolist() == [pytest.approx(0.5)]


def test_votes_of_frames_and_the_mean_map_differ(frames):
    masks = region_masks(face(), 60)
    lips, chin = (np.where(masks[k], 1.0, 0.0) for k in "LC")
    maps, three = np.stack([9 * lips, chin, chin]), frames.iloc[[4, 5, 4]]
    video = ExplainedVideo(three, maps, np.zeros((3, 3)), np.stack([face()] * 3), "LC")

    def highlighted(rule):
        return human_agreement.regions_by_video([video], 1, None, rule).highlighted.tolist()

    assert highlighted("density") == ["L"] and highlighted(human_agreement.VOTES) == ["C"]


def test_regions_are_planted_or_annotated_and_of_fakes(frames):
    videos = list(videos_with(frames, np.ones((8, 60, 60))))
    planted = human_agreement.regions_by_video(videos)
    assert planted.video_id.tolist() == ["v2", "v3"] and set(planted.annotated) == {"L"}
    answers = pd.DataFrame({"annotator": ["a", "b"], "video": ["v3", "v3"], "regions": ["C", "CB"]})
    annotated = human_agreement.regions_by_video(videos, annotations=answers)
    assert annotated[["video_id", "annotated"]].to_numpy().tolist() == [["v3", "CB"]]
    table = human_agreement.rules_table({"net": videos}, answers, (1, 2))
    assert len(table) == 2 * 4 and (table.videos == 1).all()


def test_agreement_without_known_regions_is_a_sentence(frames):
    videos = list(videos_with(frames, np.ones((8, 60, 60))))
    known = human_agreement.regions_by_video(videos)
    found = {n: human_agreement.table_4({"net": known.head(n)}, BOOTSTRAP).overlap for n in (0, 1)}
    assert "agreement is not computed" in human_agreement.no_regions(found[0])
    assert human_agreement.no_regions(found[1]) == ""


def test_results_without_masks_are_a_sentence():
    assert no_masks([np.nan, 0.0], "the ratio") == no_masks(1.5, "the ratio") == ""
    for ratios in ([], [np.nan, np.nan], np.nan):
        assert no_masks(ratios, "the ratio").endswith("has a mask, so the ratio is not computed.")


ENDS = {"_low": -0.01, "_high": 0.01}


def numbers(licensed):
    run = TABLE_2.assign(unit="frame")
    for name in ("accuracy", "precision", "recall"):
        run[name] /= 100
    for name in ("accuracy", "precision", "recall", "ece"):
        run[f"{name}_low"], run[f"{name}_high"] = run[name] - 0.01, run[name] + 0.01
    run["recall"] += 0.5
    run["recall_low"], run["recall_high"] = run.recall - 0.01, run.recall + 0.01
    run["ece_low"] = np.nan
    counts = {"videos": 12, "clips": 4, "people": 2}
    tables = {"Table 2": run.assign(**counts)}
    for name, table in (("Table 3", TABLE_3), ("Table 4", TABLE_4)):
        measures = table.select_dtypes("number")
        ends = {f"{m}{end}": measures[m] + by for m in measures for end, by in ENDS.items()}
        tables[name] = table.assign(**ends, **counts)
    catalog = pd.DataFrame({"dataset": ["celebdf"] * 56 + ["dfdc"] * 3})
    return paper.paper_beside_run(catalog, tables, licensed)


def test_status_of_numbers():
    found = numbers(licensed=True).set_index(["table", "row", "measure"])
    status = found.status.to_dict()
    assert status[("Table 1", "Celeb-DF", "videos")] == paper.REPRODUCED
    assert status[("Table 1", "DFDC", "videos")] == paper.DIFFERS
    assert status[("Table 2", "xception without", "accuracy (%)")] == paper.REPRODUCED
    assert status[("Table 2", "xception with bottleneck", "recall (%)")] == paper.DIFFERS
    few = found.loc[("Table 2", "xception without", "ece")]
    assert few.status == paper.NOT_RUN and "too few" in few.why
    assert len(found) == 9 + 16 + 12 + 10
    assert found.loc["Table 2", ["videos", "clips", "people"]].to_numpy().tolist() == 16 * [
        [12, 4, 2]
    ]


@pytest.mark.parametrize(("half", "status"), [(4.9, paper.REPRODUCED), (5.1, paper.UNDECIDED)])
def test_a_wide_interval_reproduces_nothing(half, status):
    assert paper.status_of(True, "recall (%)", 80, 81 - half, 81 + half)[0] == status
    found, why = paper.status_of(True, "iou", 0.80, 0.81 - half / 100, 0.81 + half / 100)
    assert found == status and ("± 0.05" in why) == (status == paper.UNDECIDED)
    assert paper.status_of(True, "iou", 0.2, 0.3, 0.9)[0] == paper.DIFFERS, "outside, however wide"
    for value in (100, 98):
        assert paper.status_of(True, "precision (%)", value, 100, 100)[0] == paper.UNDECIDED
    assert paper.status_of(True, "videos", 54, 54, 54)[0] == paper.REPRODUCED, "a count is exact"


def test_the_headline_separates_results_from_descriptions():
    layers = pd.DataFrame({"status": [paper.AGREES, paper.AGREES, paper.DIFFERS]})
    assert paper.headline(numbers(licensed=False), layers) == (
        "Results (Tables 2 to 4): 0 of 38 numbers reproduced, 38 not run here. "
        "Videos (Table 1): 0 of 9 counts reproduced, 9 not run here. "
        "Networks (Tables 5 to 7): 2 of 3 rows agree with the paper; they describe the detectors "
        "and are not results."
    )
    text = paper.headline(numbers(licensed=True), layers)
    assert "20 of 38 numbers reproduced, 14 differ, 4 not run here." in text
    assert "1 of 9 counts reproduced, 8 differ." in text


def test_rows_of_a_table_get_the_counts_of_their_videos():
    units = pd.DataFrame({"clip": ["a", "a", "b"], "person": "ann"}, ["v0", "v1", "v2"])
    rows = pd.DataFrame({"detector": "net", "video_id": ["v0", "v0", "v1", "v2"]})
    table = pd.DataFrame({"detector": ["net", "flow"], "videos": [9, 9], "f1": [0.5, np.nan]})
    found = paper.with_counts(table, rows, units)
    assert found[["videos", "clips", "people"]].to_numpy().tolist() == [[3, 2, 1], [0, 0, 0]]
    assert list(found.f1) == [0.5, pytest.approx(np.nan, nan_ok=True)]


def test_other_data_reproduce_nothing():
    found = numbers(licensed=False)
    assert (found.status == paper.NOT_RUN).all() and (found.why == "other videos").all()
    shown = paper.for_page(found)
    assert not (shown.astype(str) == "").any(axis=None) and not shown.isna().any(axis=None)
    assert isinstance(shown.made.iloc[0], Link)
    assert paper.status_counts(found)[paper.NOT_RUN].sum() == 47


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        (TABLE_2, ["detector", "bottleneck", "accuracy", "precision", "recall", "ece"]),
        (TABLE_3, ["detector", "label", "iou", "tcs", "rpi"]),
        (TABLE_4, ["detector", "f1", "precision", "recall", "overlap", "top1"]),
        (DATASET_NAMES.reset_index(), ["dataset", "name"]),
    ],
)
def test_packaged_tables_are_complete(table, columns):
    assert list(table) == columns and table.notna().all(axis=None)


def test_packaged_numbers_are_those_of_the_paper():
    assert TABLE_4.top1.tolist() == [62.96, 40.74]
    assert [len(rows) for rows in LAYERS.values()] == [22, 7, 30]


def test_each_open_choice_has_its_texts_and_a_measurement():
    table = open_choices.choices_table()
    assert list(table) == ["choice", "question", "paper", "here", "measured"] and len(table) == 23
    assert (table.map(len) > 0).all(axis=None)
    measured = [*open_choices.EFFECTS, open_choices.KEY_FRAMES]
    assert set(table.choice[: len(measured)]) == set(measured)


def test_effects_of_choices_are_compared_with_ours():
    effects = [
        ("beta", "net", {"10": 2.0, "1": 3.0, "100": 1.0}),
        ("steps", "net", {"10": 0.0, "5": 1.0}),
    ]
    table = open_choices.sensitivity(effects)
    assert table.choice.tolist() == ["beta", "beta", "steps"] and table.other.tolist() == [
        "1",
        "100",
        "5",
    ]
    assert table.change.tolist() == [1, -1, 1] and table.relative[:2].tolist() == [0.5, -0.5]
    assert np.isnan(table.relative[2]) and set(table.here) == {"10"}
    assert open_choices.unmeasured(table) == ""


def test_choices_without_a_value_are_named():
    blank = {"10": np.nan, "1": np.nan}
    effects = [("beta", "net", blank), ("beta", "flow", {"10": 1.0, "1": 2.0})]
    effects += [("steps", name, blank) for name in ("net", "flow")]
    message = open_choices.unmeasured(open_choices.sensitivity(effects))
    assert message.startswith("Not computed") and message.endswith(": steps.")


def test_the_text_of_the_choices_names_the_largest_and_smallest_effects():
    effects = [
        ("beta", "net", {"10": 2.0, "1": 3.0, "100": 1.9}),
        ("beta", "flow", {"10": 2.0, "1": 2.1}),
        ("steps", "net", {"10": 1.0, "5": 1.01}),
        ("smoothing", "net", {"1": 1.0, "0": 0.5, "2": np.nan}),
        ("macro F1", "net", {"mean": 0.0, "both": 0.1}),
    ]
    table = open_choices.sensitivity(effects)
    furthest = open_choices.furthest(table)
    assert furthest.other.tolist() == ["1", "1", "5", "0", "both"]
    text = open_choices.sensitivity_text(table, shown=1)
    assert "own: smoothing (-50% with 0 instead of 1)" in text or "own: beta (+50%" in text
    assert "The smallest: macro F1 (0.0% at most)" in text
    assert "With 2 of 4 choices" in text
    nothing = open_choices.sensitivity([("beta", "net", {"10": np.nan, "1": np.nan})])
    assert "Too few" in open_choices.sensitivity_text(nothing)


def test_the_text_of_the_splits_counts_videos_people_and_methods():
    rows = [("real", "", "ann", "train"), ("fake", "mouth", "ann", "train")]
    rows += [("fake", "lag", "bob", "train"), ("fake", "lag", "bob", "train")]
    rows += [
        ("real", "", "cas", "test"),
        ("fake", "lag", "cas", "test"),
        ("real", "", "dan", "val"),
    ]
    catalog = pd.DataFrame(rows, columns=["label", "method", "identity", "split"])
    text = paper.splits_text(catalog)
    assert "train: 4 videos of 2 people, 1 real and 3 fake (1 to 2 of a method)." in text
    assert (
        "test: 2 videos of 1 person, 1 real and 1 fake (1 to 1 of a method), without mouth." in text
    )
    assert "val: 1 video of 1 person, 1 real and 0 fake, without lag, mouth." in text


def test_kept_decisions_are_a_share_of_frames():
    maps = xr.Dataset({
        "p_fake": ("item", [0.9, 0.9, 0.2, 0.6]),
        "p_fake_bottleneck": ("item", [0.8, 0.3, 0.1, 0.7]),
    })  # fmt: skip
    assert open_choices._kept(None, maps) == 0.75
