"""`viba reproduce`: exit status and messages, on small made runs."""

import pandas as pd
import pytest

from tests.command import viba
from tests.reference import ABOUT, numbers_of
from viba_lib.experiments import reference_run, reproduction
from viba_lib.experiments.reference_run import Reference, read_reference, write_reference

RUN = {"auc": (0.9, 0.8, 1.0), "iou": (0.5, 0.4, 0.6)}


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """Run `viba reproduce` with RUN as its finished run; returns exit status and output."""
    run = Reference(ABOUT, numbers_of(RUN))
    monkeypatch.setattr(reproduction, "finished_run", lambda study: run)
    roots = ["--data-root", tmp_path / "data", "--results-root", tmp_path / "results"]

    def call(*options: object) -> tuple[int, str]:
        status = viba(monkeypatch, "reproduce", "--profile", "tiny", *roots, *options)
        said = capsys.readouterr()
        return status, " ".join((said.out + said.err).split())

    return call


def stored(folder, rows, **about):
    reference = Reference(ABOUT.model_copy(update=about), numbers_of(rows))
    return write_reference(folder / "reference.csv", reference)


def test_all_numbers_inside(command, tmp_path):
    status, said = command("--reference", stored(tmp_path, {"auc": (0.85, 0.8, 0.9), **RUN}))
    assert status == 0 and "0 of 2 compared numbers lie outside" in said
    assert "Table 2, net, auc" in said and "with the same settings" in said


def test_a_number_outside(command, tmp_path):
    path = stored(tmp_path, RUN | {"auc": (0.7, 0.6, 0.8)}, processor="another")
    status, said = command("--reference", path)
    assert status == 1 and "1 of 2 compared numbers lies outside" in said
    assert "(Table 2, net, auc)" in said and "This run has other processor." in said


def test_a_missing_number_is_named(command, tmp_path):
    status, said = command("--reference", stored(tmp_path, RUN | {"tcs": (0.7, 0.6, 0.8)}))
    assert status == 0 and "1 missing in this run (Table 2, net, tcs)" in said


def test_a_run_is_written_and_compared_with_itself(command, tmp_path):
    out = tmp_path / "new" / "run.csv"
    status, said = command("--write", out)
    assert status == 0 and "nothing is compared" in said
    assert read_reference(out).about == ABOUT
    pd.testing.assert_frame_equal(read_reference(out).numbers, numbers_of(RUN))
    assert command("--reference", out)[0] == 0


def test_the_reference_of_the_profile_is_the_default(command, tmp_path, monkeypatch):
    path = stored(tmp_path, RUN | {"auc": (0.7, 0.6, 0.8)})
    path.rename(tmp_path / "reference_tiny.csv")
    monkeypatch.setattr(reference_run, "FOLDER", tmp_path)
    status, said = command()
    assert status == 1 and "Table 2, net, auc" in said


def test_bad_references_are_refused(command, tmp_path):
    status, said = command()
    assert status == 2 and "no reference run of profile 'tiny'" in said and "--write" in said
    status, said = command("--reference", tmp_path / "none.csv")
    assert status == 2 and "none.csv does not exist" in said
    status, said = command("--reference", stored(tmp_path, RUN, profile="quick"))
    assert status == 2 and "use --profile quick" in said
    path = stored(tmp_path, RUN)
    path.write_text(path.read_text()[:-30])
    status, said = command("--reference", path)
    assert status == 2 and "not a reference run" in said
    assert command("--reference", path, "--write", tmp_path / "out.csv")[0] == 2
    assert not (tmp_path / "out.csv").exists()


def test_without_a_finished_run(monkeypatch, capsys, tmp_path):
    given = ("--profile", "tiny", "--reference", stored(tmp_path, RUN))
    roots = ("--data-root", tmp_path / "data", "--results-root", tmp_path / "results")
    assert viba(monkeypatch, "reproduce", *given, *roots) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "no finished run of profile 'tiny'" in said and "make book PROFILE=tiny" in said
    assert not (tmp_path / "results" / "tiny" / "dataset").exists()
