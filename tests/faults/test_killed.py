"""`make book` killed again and again, interrupted, and run twice at once: nothing is lost.

`make faults` kills the whole book at the tiny profile, with all chapters and pages
(VIBA_FAULTS=long). Otherwise the stages and one chapter are killed as often, without pages.
"""

import json
import os
import random
import shutil
import signal
from pathlib import Path

import pandas as pd
import psutil
import pytest

from tests.faults.runs import files_of
from viba_lib.pipeline.status import STATES

pytestmark = [pytest.mark.network, pytest.mark.slow]

LONG = os.environ.get("VIBA_FAULTS") == "long"
KILLS = 20
CHAPTERS = ("08",)
# Times and sizes of processes are not the same twice, killed or not.
TIMED = ("second", "time", "ratio", "memory", "MiB", "cost", "pace")
BUILD = ("-m", "viba_lib.book", "build", "--profile", "tiny")
BUILD += () if LONG else ("--only", *CHAPTERS)
ODD = {"LC_ALL": "C", "TZ": "Pacific/Kiritimati"}
# Pages are checked by a package that needs a locale with UTF-8, as `make` sets it.
ODD |= {} if LONG else {"PYTHONUTF8": "0"}


def tables_of(results: Path) -> dict[str, str]:
    """Tables of the chapters as text, without columns that hold times."""
    found = {}
    for path in sorted((results / "tables").glob("*.parquet")):
        table = pd.read_parquet(path)
        kept = [c for c in table if not any(word.lower() in str(c).lower() for word in TIMED)]
        found[path.stem] = table[kept].to_csv(index=False)
        assert path.with_suffix(".csv").is_file()
    return found


def test_a_book_that_is_killed_again_and_again_ends_as_one_that_is_not(project, start):
    results = project / "results"
    assert start(*BUILD).end() == 0
    whole, tables = files_of(results / "tiny"), tables_of(results / "tiny")
    assert len(tables) >= 3 and any(name.startswith("explain-xception/") for name in whole)
    seconds = 1.5 * max(4.0, len(whole) / 100) if LONG else 7.0
    results.rename(project / "undisturbed")
    dice, kills = random.Random(0), 0
    while kills < KILLS:
        run = start(*BUILD)
        if run.ended_within(dice.uniform(1.0, seconds)):
            # It was quicker than the dice: the next one starts from nothing.
            assert run.end() == 0, run.said()[-3000:]
            assert files_of(results / "tiny") == whole
            shutil.rmtree(results)
        else:
            run.kill()
            kills += 1
    # Two at once go on, in another language and on another side of the world.
    runs = [start(*BUILD), start(*BUILD, **ODD)]
    for run in runs:
        assert run.end() == 0, run.said()[-3000:]
    assert files_of(results / "tiny") == whole
    assert tables_of(results / "tiny") == tables
    assert not list(results.rglob("*.part")), "something half-written was left"
    # Nothing is computed a third time.
    again = start(*BUILD)
    assert again.end() == 0
    assert again.said().count("unchanged") >= len(CHAPTERS) and "done in" not in again.said()


STUDY = """
import sys
from viba_lib.pipeline.study import Study

if __name__ == "__main__":
    study = Study(sys.argv[1], "data", "results", progress=lambda line: print(line, flush=True))
    print("interrupted" if len(sys.argv) > 2 else "whole", flush=True)
    study.weights_path("flow-vgg11")
"""


def long_training(project: Path, shared: tuple[Path, Path]) -> Path:
    """A profile that trains longer, with the films and clips that are there already."""
    text = (project / "viba_lib" / "pipeline" / "profiles" / "tiny.yaml").read_text()
    head, flow, rest = text.partition("\nflow:")
    assert "training: {steps: 2, " in rest
    longer = rest.replace("training: {steps: 2, ", "training: {steps: 12, ", 1)
    (project / "longer.yaml").write_text(head + flow + longer)
    for stage in ("dataset", "prepare"):
        (project / "results" / "tiny").mkdir(parents=True, exist_ok=True)
        (project / "results" / "tiny" / stage).symlink_to(shared[1].resolve() / "tiny" / stage)
    return project / "longer.yaml"


def test_training_that_is_interrupted_ends_with_the_same_weights(project, shared, start):
    profile = long_training(project, shared)
    (project / "study.py").write_text(STUDY)
    assert start("study.py", str(profile)).end() == 0
    trained = project / "results" / "tiny" / "train-flow-vgg11"
    whole = files_of(project / "results" / "tiny", "train-*")
    assert len(whole) == 3
    trained.rename(project / "trained")
    run = start("study.py", str(profile))
    run.wait_for("step 2/12")
    os.kill(run.process.pid, signal.SIGINT)
    assert run.end() != 0
    assert not list(trained.glob("*/meta.json")) and list(trained.glob("*.part/checkpoint.pt"))
    last = start("study.py", str(profile))
    assert last.end() == 0 and "training: resumed at" in last.said()
    assert files_of(project / "results" / "tiny", "train-*") == whole


def test_an_explanation_that_is_interrupted_goes_on(project, shared, start):
    (project / "results").symlink_to(shared[1].resolve())
    film = next(Path("data/sources").glob("*single_face.mp4"), None) or next(
        shared[0].glob("sources/*single_face.mp4")
    )
    command = ("-m", "viba_lib.cli.main", "explain", str(film.resolve()), "--profile", "tiny")
    command += ("--max-frames", "40", "--steps", "8")
    assert start(*command, "--out", "whole").end() == 0
    run = start(*command, "--out", "resumed")
    run.wait_for("frames explained: 16/40")
    os.kill(run.process.pid, signal.SIGINT)
    assert run.end() == 130 and "interrupted" in run.said() and "Traceback" not in run.said()
    assert not (project / "resumed").exists(), "nothing half-written"
    last = start(*command, "--out", "resumed")
    assert last.end() == 0, last.said()
    assert "resumed at 16/40" in last.said() or "resumed at 32/40" in last.said()
    names = ("overlay.mp4", "poster.png", "summary.json")
    for name in names:
        assert (project / "resumed" / name).read_bytes() == (project / "whole" / name).read_bytes()
    kept = {p.relative_to(project / "whole"): p.read_bytes()
            for p in (project / "whole" / "relevance.zarr").rglob("*") if p.is_file()}  # fmt: skip
    assert all((project / "resumed" / p).read_bytes() == data for p, data in kept.items())


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_book_that_is_interrupted_stops_its_chapters(project, shared, start, sent):
    (project / "results").mkdir()
    (project / "results" / "tiny").mkdir()
    for stage in (shared[1] / "tiny").iterdir():
        if stage.is_dir() and stage.name not in ("chapters", "tables", "videos"):
            (project / "results" / "tiny" / stage.name).symlink_to(stage.resolve())
    run = start(*BUILD, "--only", "03", "08")
    run.wait_for("03_detectors: starts")
    run.wait_for_process("ipykernel")
    started = psutil.Process(run.process.pid).children(recursive=True)
    os.kill(run.process.pid, sent)
    assert run.ended_within(600), run.said()[-2000:]
    assert not psutil.wait_procs(started, 600)[1], "a process that nobody waits for"
    assert run.end() == 130, run.said()[-2000:]
    assert "finished stages and chapters are kept" in run.said()
    assert not list((project / "results" / "tiny").glob("chapters/*/*/*.ipynb"))


def test_status_tells_what_is_done_and_what_is_broken(project, shared, start):
    (project / "results").symlink_to(shared[1].resolve())
    run = start("-m", "viba_lib.cli.main", "status", "--profile", "tiny", "--json")
    assert run.end() in (0, 1)
    found = json.loads(run.said()[run.said().index("[") :])
    states = {row["stage"]: row["state"] for row in found}
    ours = [
        s for name, s in states.items() if name.split("-")[0] in ("train", "explain", "readout")
    ]
    assert len(ours) >= 5 and set(ours) == {"done"}
    assert set(states.values()) <= set(STATES)
    assert states["03_detectors"] in ("absent", "done", "stale")
