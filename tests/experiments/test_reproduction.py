"""What a comparison with a reference run says of each number."""

import numpy as np
import pandas as pd
import pytest

from tests.reference import ABOUT, numbers_of
from viba_lib.core.errors import VibaError
from viba_lib.experiments import reproduction
from viba_lib.experiments.paper_and_run import for_page
from viba_lib.experiments.reference_run import Reference, read_reference, write_reference
from viba_lib.pipeline.study import Study

# value, low, high of the reference run
THEIRS = {
    "accuracy": (0.8, 0.7, 0.9), "auc": (0.9, 0.85, 0.95), "ece": (0.10, 0.12, 0.20),
    "iou": (0.5, np.nan, np.nan), "f1": (0.3, 0.2, 0.4), "tcs": (np.nan, np.nan, np.nan),
}  # fmt: skip


def compared(**ours):
    values = {name: (value, np.nan, np.nan) for name, value in ours.items()}
    run, reference = (Reference(ABOUT, numbers_of(rows)) for rows in (values, THEIRS))
    return reproduction.compare(run, reference).set_index("measure").result


def test_each_number_has_a_result():
    found = compared(accuracy=0.71, auc=0.99, ece=0.11, iou=0.5, tcs=0.4, rpi=0.2)
    assert found.to_dict() == {
        "accuracy": "inside", "auc": "outside", "ece": "inside",
        "iou": "no interval in the reference", "f1": "missing in this run",
        "tcs": "not in the reference", "rpi": "not in the reference",
    }  # fmt: skip
    assert list(found.index) == [*THEIRS, "rpi"], "the order of the reference"


def test_a_run_reproduces_itself_also_after_rounding(tmp_path):
    # The interval of a calibration error may lie above the error itself.
    reference = Reference(ABOUT, numbers_of({"ece": (1 / 3, 2 / 3, 2 / 3), "iou": (1, 1, 1)}))
    stored = read_reference(write_reference(tmp_path / "run.csv", reference))
    assert set(reproduction.compare(reference, stored).result) == {"inside"}
    moved = Reference(ABOUT, numbers_of({"ece": (1 / 3 - 1e-4,) * 3, "iou": (1 - 1e-4,) * 3}))
    assert set(reproduction.compare(moved, stored).result) == {"outside"}


def test_a_number_that_is_not_defined_in_this_run_is_missing():
    assert compared(accuracy=np.nan, auc=0.9)["accuracy"] == "missing in this run"
    assert "tcs" not in compared(auc=0.9, tcs=np.nan), "in neither run"


def test_the_sentence_names_what_is_outside_and_missing():
    run = {"accuracy": (0.5,) * 3, "auc": (0.9,) * 3, "iou": (0.5,) * 3}
    theirs = Reference(ABOUT, numbers_of(THEIRS))
    found = reproduction.compare(Reference(ABOUT, numbers_of(run)), theirs)
    assert reproduction.reproduction_text(found) == (
        "1 of 2 compared numbers lies outside the reference's intervals (Table 2, net, accuracy); "
        "2 missing in this run (Table 2, net, ece; Table 2, net, f1); "
        "1 no interval in the reference (Table 2, net, iou)."
    )
    good = found[found.result == "inside"]
    assert reproduction.reproduction_text(good) == (
        "0 of 1 compared numbers lie outside the reference's intervals."
    )


def test_runs_that_cannot_be_compared_are_refused():
    mine, theirs = numbers_of({"auc": (0.9,) * 3}), numbers_of(THEIRS)
    other = Reference(ABOUT.model_copy(update={"profile": "standard"}), theirs)
    with pytest.raises(VibaError, match="'standard', and this run has profile 'tiny'"):
        reproduction.compare(Reference(ABOUT, mine), other)
    iou = numbers_of({"iou": (0.5,) * 3})
    with pytest.raises(VibaError, match="no number with an interval in common"):
        reproduction.compare(Reference(ABOUT, iou), Reference(ABOUT, theirs))


def test_the_origin_names_what_differs():
    text = reproduction.origin_text(ABOUT, ABOUT)
    assert "2026-11-27 from commit abc" in text and "with the same settings, seed" in text
    other = ABOUT.model_copy(update={"processor": "another", "weights": {"net": "f"}})
    assert reproduction.origin_text(other, ABOUT).endswith("This run has other processor, weights.")


def test_a_page_shows_the_reference_run_if_there_is_one():
    beside = pd.DataFrame({
        "table": ["Table 2"] * 2, "row": ["net"] * 2, "measure": ["auc", "rpi"], "paper": 0.5,
        "run": 0.6, "low": 0.5, "high": 0.7, "status": "undecided", "why": "wide",
    })  # fmt: skip
    theirs = Reference(ABOUT, numbers_of(THEIRS))
    shown = for_page(reproduction.beside_reference(beside, theirs))
    assert shown["reference run (95 % interval)"].tolist() == ["0.9 (0.85 to 0.95)", "not computed"]
    assert list(for_page(reproduction.beside_reference(beside, None))) == list(for_page(beside))


def test_the_text_of_a_page():
    run, theirs = (Reference(ABOUT, numbers_of(rows)) for rows in ({"auc": (0.9,) * 3}, THEIRS))
    assert "0 of 1 compared numbers lie outside" in reproduction.reference_text(run, theirs)
    found = reproduction.reference_text(run, None)
    assert found == "No reference run of the profile tiny is stored."


def test_without_a_finished_run_nothing_is_computed(tmp_path):
    study = Study("tiny", tmp_path / "data", tmp_path / "results")
    with pytest.raises(VibaError, match=r"dataset \(absent\).*make book PROFILE=tiny SEED=0"):
        reproduction.finished_run(study)
    assert not list(tmp_path.rglob("meta.json"))


@pytest.mark.network
def test_a_finished_run_reproduces_itself(study, tmp_path):
    study.run_all()
    again = Study("tiny", study.data_root, study.root.parent)
    run = reproduction.finished_run(again)
    stored = read_reference(write_reference(tmp_path / "run.csv", run))
    found = reproduction.compare(run, stored)
    assert (found.result == "inside").any() and not (found.result == "outside").any()
    results = pd.crosstab(stored.numbers.table, stored.numbers.row)
    assert {"Table 2", "Table 3", "Table 4", "Localisation"} <= set(results.index)
    assert (stored.numbers.query("table == 'Table 2'").people == 3).all()
    assert stored.about.weights.keys() == {"xception", "flow-vgg11"} and stored.about.processor
