"""Claims of the paper, on made tables with known answers."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from viba_lib.book.paths import ROOT
from viba_lib.evaluation.sentences import (
    CONTRADICTS,
    ILLUSTRATION,
    NOT_COMPUTED,
    SUPPORTS,
    UNDECIDED,
    UNEQUAL,
)
from viba_lib.experiments import claims, toy_claims
from viba_lib.experiments.claims_measured import TESTS, ClaimTables
from viba_lib.experiments.common import Bootstrap
from viba_lib.experiments.face_parts import PARTS
from viba_lib.models.xception import XCEPTION_LAYERS

CLIPS = 8  # of eight people; each real clip has one fake
DETECTORS = ("xception", "flow-vgg11")
VIDEOS = [(f"{kind}{i}", kind, i) for i in range(CLIPS) for kind in ("real", "fake")]
WOBBLE = np.linspace(-0.01, 0.01, CLIPS)
UNITS = pd.DataFrame(
    {"clip": [f"real{i}" for _, _, i in VIDEOS], "person": [f"p{i}" for _, _, i in VIDEOS]},
    index=[video for video, _, _ in VIDEOS],
)


def rows(value_of, **more):
    """One row per detector and video, with the values that a function gives."""
    made = [
        {"detector": d, "video_id": video, "label": kind, **value_of(d, kind, WOBBLE[i])}
        for d in DETECTORS
        for video, kind, i in VIDEOS
    ]
    return pd.DataFrame(made).assign(**more)


def layer_rows():
    made = []
    for detector, layers in (("xception", XCEPTION_LAYERS), ("flow-vgg11", FLOW)):
        for number, layer in enumerate(layers):
            late = layer in ("bn4", "features.16")
            values = {"entropy": 12.0 + late, "ratio": 3.0 if number == 0 else 1.5}
            made += [
                {"detector": detector, "layer": layer, "video_id": video, "label": int(k == "fake"),
                 "kept": 1.0,
                 **{name: v + WOBBLE[i] * (1 + number % 2) for name, v in values.items()}}
                for video, k, i in VIDEOS
            ]  # fmt: skip
    return pd.DataFrame(made)


FLOW = ("features.9", "features.12", "features.16")


@pytest.fixture
def tables():
    noisy = rows(
        lambda d, kind, w: {
            "label": int(kind == "fake"),
            "p_fake": 0.1 + 0.8 * (kind == "fake") + w,
        }
    )
    noisy["p_fake_bottleneck"] = noisy.p_fake.where(noisy.label == 1, noisy.p_fake + 0.05)
    for name in ("p_fake_0", "p_fake_1"):
        noisy[name] = noisy.p_fake_bottleneck
    types = pd.DataFrame([
        {"type": t, "video_id": video, "entropy": e + WOBBLE[i], "ratio": r + WOBBLE[i],
         "iou": o + WOBBLE[i]}
        for t, e, r, o in (("per-sample", 14.0, 3.0, 0.8), ("readout", 13.0, 1.0, 0.9))
        for video, _, i in VIDEOS
    ])  # fmt: skip
    flat = dict.fromkeys(PARTS, 1.0)
    fakes = rows(lambda d, kind, w: {"kind": kind}).query("kind == 'fake'")
    return ClaimTables(
        frames=noisy,
        consistency=rows(
            lambda d, kind, w: {
                "iou": (0.8 if d == "xception" else 0.6) + 0.05 * (kind == "real") + w,
                "tcs": 0.2 if d == "xception" else 0.7,
            }
        ),
        regions=fakes.assign(annotated="L", highlighted="LBN"),
        parts=rows(
            lambda d, kind, w: (
                flat | {"eyes": 2.0 if kind == "real" else 0.5 + w, "outside": 0.5 + w}
            )
        ),
        shares=rows(
            lambda d, kind, w: {
                "forehead": 0.5 + 0.2 * (kind == "fake") + w,
                "nose_ears": 0.5,
                "nose": 0.8 - 0.5 * (kind == "fake"),
                "chin": 0.2 + 0.5 * (kind == "fake"),
            }
        ),
        layers=layer_rows(),
        same=pd.DataFrame({"correlation": [0.99, 1.0, 1.0], "difference": [0.02, 0.01, 0.0]}),
        order=["block4", "block12", "conv3", "bn3", "bn4"],
        types=types.drop(columns="iou"),
        overlaps=types[["type", "video_id", "iou"]],
        localisation=fakes.assign(
            ratio=np.where(fakes.detector == "xception", 2.0, 0.5), centre=1.2
        ),
        predictions=noisy[noisy.detector == "flow-vgg11"],
        bootstrap=Bootstrap(200, 0, UNITS),
    )


@pytest.fixture(autouse=True)
def fast_toys(monkeypatch):
    """The toys have tests of their own."""
    outside = {"gradient": 0.3, "bottleneck": 0.3, "bottleneck, early": 0.8}
    made = [
        {"video_id": f"i{i}", "method": m, "outside": v + WOBBLE[i] * (m == "gradient")}
        for m, v in outside.items() for i in range(CLIPS)
    ]  # fmt: skip
    monkeypatch.setattr("viba_lib.experiments.claims_measured._over_attribution",
                        lambda seed: pd.DataFrame(made))  # fmt: skip
    monkeypatch.setattr(toy_claims, "saturation", lambda seed: pd.DataFrame(
        {"video_id": list("abcdefgh"), "gradient": 0.0, "bottleneck": 0.7 + WOBBLE}))  # fmt: skip


def test_each_claim_is_complete_and_has_a_test_or_a_reason():
    for name, claim in claims.CLAIMS.items():
        assert claim["kind"] in claims.EVIDENCE and claim["section"] and claim["claim"]
        assert (claim["kind"] == "none") == (name not in TESTS) == ("why" in claim), name
        assert (claim["kind"] in ("run", "toy")) == ("expected" in claim), name
        expected = claim.get("expected", "higher")
        assert expected in ("higher", "lower", "equal", UNEQUAL)
        assert (expected in ("equal", UNEQUAL)) == ("margin" in claim), name
        assert (ROOT / "notebooks" / f"{claim['chapter']}.py").is_file(), name
    assert set(TESTS) <= set(claims.CLAIMS)


EXPECTED = {
    SUPPORTS: ["consistent-xception", "block4", "features9", "abstract-xception", "abstract-flow",
               "readout-right", "real-xception", "iou-detectors",
               "tcs-detectors", "iterations", "saturation", "post-hoc",
               "forehead-eyes", "flow-nose", "temporal-artefacts", "outside",
               "overconfidence", "weak-annotation-xception"],
    CONTRADICTS: ["consistent-flow", "bn3-conv3", "readout-clear", "readout-consistent", "depth",
                  "calibration", "weak-annotation-flow",
                  "flow-chin-real", "xception-eyes"],
    UNDECIDED: ["over-attribution", "generalisation", "nose-cheeks", "recall", "overlap",
                "accuracy-xception", "randomness", "flow-chin"],  # intervals without width

    claims.NOT_TESTED: ["intuitive", "fact-checkers", "human-annotations"],
}  # fmt: skip


def test_verdicts_of_known_tables(tables):
    table = claims.claims_table(tables).set_index("name")
    assert list(table.index) == list(claims.CLAIMS)
    found = {
        said: [n for n in names if table.verdict[n] == said] for said, names in EXPECTED.items()
    }
    assert found == EXPECTED
    same = table.loc["bn3-conv3"]
    assert "rank correlation of both maps 1.000000 (median of 3 frames)" in same.result
    assert "2.00% of the maximum" in same.result and abs(same.estimate) < 0.05
    assert "8 inputs of a toy network" in table.result["saturation"]
    assert "of 8 people" in table.result["block4"]
    assert "block4, block12, conv3" in table.result["depth"]


def test_the_headline_counts_each_verdict(tables):
    table = claims.claims_table(tables)
    text = claims.claims_text(table)
    assert text.startswith(f"Of {len(table)} claims of the paper, ")
    counts = table.verdict.value_counts()
    assert f"{counts[SUPPORTS]} are supported, {counts[CONTRADICTS]} are contradicted" in text
    assert f"{counts[claims.NOT_TESTED]} are not tested here" in text
    decided = table[table.verdict.isin([SUPPORTS, CONTRADICTS])]
    videos = (decided.evidence == "this run's videos").sum()
    assert f"{videos} of the {len(decided)} verdicts rest on" in text
    tests = table.p.notna().sum()
    assert f"Of {tests} tests at 5 %, {tests * 0.05:.0f} are expected" in text
    shown = claims.claims_for_page(table)
    # How a claim is tested is not the unit of its test.
    assert list(shown["how it is tested"]) == [c["tested"] for c in claims.CLAIMS.values()]
    assert shown.notna().all(axis=None) and str(shown.more.iloc[0]) == "ch. 9"


def test_few_people_and_missing_masks_give_no_verdict(tables):
    one = UNITS.assign(person="p")
    few = claims.claims_table(replace(tables, bootstrap=Bootstrap(50, 0, one))).set_index("name")
    assert few.verdict["block4"] == ILLUSTRATION and few.verdict["depth"] == CONTRADICTS
    blank = replace(
        tables,
        layers=tables.layers.assign(ratio=np.nan),
        regions=tables.regions.head(0),
        localisation=tables.localisation.head(0),
    )
    table = claims.claims_table(blank).set_index("name")
    for name in ("block4", "weak-annotation-xception", "flow-chin"):
        assert table.verdict[name] == NOT_COMPUTED and table.result[name] == "no video has a value"
    assert table.verdict["abstract-xception"] == SUPPORTS and table.verdict["recall"] == UNDECIDED
    assert "not computed for lack of masks" in claims.claims_text(table.reset_index())


def test_layers_with_other_maps_support_the_paper(tables):
    layers = tables.layers.assign(
        entropy=tables.layers.entropy + (tables.layers.layer == "conv3") * 0.5
    )
    table = claims.claims_table(replace(tables, layers=layers)).set_index("name")
    assert table.verdict["bn3-conv3"] == SUPPORTS
