"""A reference run is stored as it is, and read only if it is one."""

import numpy as np
import pandas as pd
import pytest

from tests.reference import ABOUT
from viba_lib.core.errors import VibaError
from viba_lib.evaluation.clusters import units_of
from viba_lib.experiments import reference_run
from viba_lib.experiments.paper_numbers import FOLDER
from viba_lib.experiments.reference_run import (
    COLUMNS,
    Reference,
    read_reference,
    stored_reference,
    write_reference,
)
from viba_lib.pipeline.profiles import profile_names


@pytest.fixture
def reference(numbers):
    return Reference(ABOUT, numbers)


@pytest.fixture
def numbers():
    rows = [
        ("Table 2", "net without", "accuracy (%)", 100 / 3, 20.0, 50.0, 9, 3, 2),
        ("Table 3", "net, fake", "iou", 0.5, np.nan, np.nan, 1, 1, 0),
        ("Table 4", "net", "f1 (%)", np.nan, np.nan, np.nan, 0, 0, 0),
    ]
    counts = dict.fromkeys(("videos", "clips", "people"), "Int64")
    return pd.DataFrame(rows, columns=COLUMNS).astype(counts)


def test_a_reference_is_read_as_it_was_written(reference, tmp_path):
    path = write_reference(tmp_path / "new" / "run.csv", reference)
    found = read_reference(path)
    assert found.about == ABOUT
    pd.testing.assert_frame_equal(found.numbers, reference.numbers, atol=1e-6, rtol=0)
    # A spreadsheet reads it as well.
    assert list(pd.read_csv(path, comment="#")) == COLUMNS
    assert [p.name for p in path.parent.iterdir()] == ["run.csv"]


CHANGES = {
    "a line is cut": lambda text: text[: text.index("20.0")],
    "no provenance": lambda text: text[text.index("table,") :],
    "provenance is not YAML": lambda text: "# a: [b\n" + text,
    "an unknown fact": lambda text: "# colour: red\n" + text,
    "a wrong seed": lambda text: text.replace("seed: 3", "seed: -3"),
    "another column": lambda text: text.replace("measure,value", "measure,worth"),
    "a word for a number": lambda text: text.replace("20.0", "twenty"),
    "an infinite number": lambda text: text.replace("20.0", "-inf"),
    "an interval that ends before it begins": lambda text: text.replace("20.0", "60.0"),
    "one end": lambda text: text.replace("20.0", ""),
    "a count that is not whole": lambda text: text.replace(",9,3,2", ",9.5,3,2"),
    "a negative count": lambda text: text.replace(",9,3,2", ",9,3,-2"),
    "more clips than videos": lambda text: text.replace(",9,3,2", ",9,30,2"),
    "a number twice": lambda text: text + text.splitlines()[-1] + "\n",
    "an empty name": lambda text: text.replace("Table 3", ""),
    "no numbers": lambda text: text[: text.index("Table 2")],
    "nothing": lambda text: "",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_corrupted_reference_is_refused(reference, tmp_path, change):
    path = write_reference(tmp_path / "run.csv", reference)
    text = path.read_text(encoding="utf-8")
    assert CHANGES[change](text) != text
    path.write_text(CHANGES[change](text), encoding="utf-8")
    with pytest.raises(VibaError, match=r"run.csv is not a reference run \(.+\); write it again"):
        read_reference(path)


def test_bytes_and_absent_files_are_refused(tmp_path):
    with pytest.raises(VibaError, match=r"none\.csv does not exist"):
        read_reference(tmp_path / "none.csv")
    path = tmp_path / "run.csv"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(VibaError, match="not a reference run"):
        read_reference(path)


def test_wrong_numbers_are_not_written(reference, tmp_path):
    path = write_reference(tmp_path / "run.csv", reference)
    before = path.read_bytes()
    twice = pd.concat([reference.numbers] * 2)
    with pytest.raises(VibaError, match="given twice: Table 2, net without, accuracy"):
        write_reference(path, Reference(ABOUT, twice))
    assert path.read_bytes() == before


def test_references_of_the_library_are_small_and_of_their_profile(monkeypatch, tmp_path):
    assert stored_reference("nobody") is None
    files = {p.name for p in FOLDER.iterdir() if p.name.startswith("reference_")}
    assert files <= {f"reference_{name}.csv" for name in profile_names()}
    for name in files:
        profile = name.removeprefix("reference_").removesuffix(".csv")
        found = stored_reference(profile)
        assert found is not None and found.about.profile == profile
        assert {"Table 2", "Table 3", "Table 4"} <= set(found.numbers.table)
        assert len((FOLDER / name).read_bytes()) < 200_000


@pytest.fixture
def run_of_scores(monkeypatch, catalog):
    """Replaces detection and localisation of unseen people by rows with known means."""
    labels = pd.DataFrame({"video_id": ["r0", "f0", "r1", "f1"], "label": [0, 1, 0, 1]})
    rows = {"xception": [0.1, 0.9, 0.2, 0.8], "flow-vgg11": [0.9, 0.1, 0.2, 0.8]}
    maps = pd.DataFrame({"video_id": ["f0", "f1"], "ratio": [1.0, 3.0], "hit": [0.0, 1.0]})
    monkeypatch.setattr(
        reference_run, "held_out_predictions", lambda _, name: labels.assign(p_fake=rows[name])
    )
    monkeypatch.setattr(reference_run, "localisation", lambda study, name: maps)


@pytest.fixture
def catalog():
    return pd.DataFrame({
        "video_id": ["r0", "f0", "r1", "f1"], "original": ["", "r0", "", "r1"],
        "identity": ["ann", "ann", "bob", "bob"],
    })  # fmt: skip


def test_the_numbers_of_a_run(run_of_scores, catalog, monkeypatch):
    units = reference_run.Bootstrap(20, 0, units_of(catalog))

    class Small:
        def catalog(self):
            return catalog

    monkeypatch.setattr(reference_run.Bootstrap, "of", lambda study: units)
    counts = dict.fromkeys(("videos", "clips", "people"), 2)
    beside = pd.DataFrame([
        {"table": t, "row": "net", "measure": "m", "paper": 1.0, "run": 0.5, "low": 0.4,
         "high": 0.6, **counts, "status": "", "why": "", "how": ""} for t in ("Table 1", "Table 2")
    ])  # fmt: skip
    found = reference_run.reference_of(Small(), beside).set_index(["table", "row", "measure"])
    assert [*found.index.names, *found] == COLUMNS and "Table 1" not in found.index
    assert found.loc[("Table 2", "net", "m"), "value"] == 0.5
    unseen = found.loc["Detection of unseen people", ["value", "videos", "clips", "people"]]
    assert unseen.loc[("xception", "accuracy (%)")].tolist() == [100, 4, 2, 2]
    assert unseen.loc[("flow-vgg11", "auc"), "value"] == pytest.approx(0.25)
    ratio = found.loc[("Localisation", "xception", "relevance mass ratio")]
    assert ratio[["value", "low", "high", "videos"]].tolist() == [2, 1, 3, 2]
    assert found.loc[("Localisation", "xception", "pointing game (%)"), "value"] == 50
