"""The audit of pinned packages: holes fail, and what was not asked is said."""

import json
import subprocess

import pytest

from viba_lib.book.audit import audit
from viba_lib.book.paths import BookError

GOOD = {"name": "good", "version": "1.0", "vulns": []}
UNKNOWN = {"name": "unknown", "skip_reason": "Dependency not found"}
HOLE = {
    "name": "holed",
    "version": "2.1",
    "vulns": [
        {"id": "PYSEC-2024-1", "fix_versions": ["2.2"], "aliases": [], "description": ""},
        {"id": "PYSEC-2024-2", "fix_versions": [], "aliases": [], "description": ""},
    ],
}


def answering(*packages, out=None, err="", status=0):
    text = json.dumps({"dependencies": list(packages), "fixes": []}) if out is None else out
    return lambda command: subprocess.CompletedProcess(command, status, text, err)


def test_a_known_hole_fails_and_names_the_remedy():
    with pytest.raises(BookError) as caught:
        audit(run=answering(GOOD, HOLE, status=1))
    said = str(caught.value)
    assert "2 known security holes" in said
    assert "holed 2.1: PYSEC-2024-1, mended in 2.2" in said
    assert "PYSEC-2024-2, mended in no version yet" in said


def test_what_the_index_does_not_know_is_said(capsys):
    assert audit(run=answering(GOOD, UNKNOWN)) == 1
    said = capsys.readouterr().out
    assert "no known hole in 1 of 2" in said and "SKIPPED 1" in said and "unknown" in said


def silent(command):
    raise subprocess.TimeoutExpired(command, 300)


@pytest.mark.parametrize(
    ("run", "why"),
    [
        (answering(UNKNOWN), "gives no advisories"),
        (answering(out="", err="x\nConnectionError: nobody", status=1), "ConnectionError: nobody"),
        (answering(out="[]", status=2), "exit status 2"),
        (silent, "no answer within"),
    ],
)
def test_no_answer_is_not_taken_for_safety(run, why, capsys):
    assert audit(run=run) == 0
    said = capsys.readouterr().out
    assert "SKIPPED, no package was audited" in said and why in said


def test_every_pinned_package_is_asked_about(tmp_path):
    asked = []

    def run(command):
        asked.extend(command)
        return answering(GOOD)(command)

    lock = tmp_path / "some.lock"
    lock.write_text("good==1.0\n")
    audit(lock, run)
    assert asked[asked.index("-r") + 1] == str(lock)
    # It neither installs nor resolves: a package of the lock is never run by the audit.
    assert {"--no-deps", "--disable-pip"} <= set(asked)
