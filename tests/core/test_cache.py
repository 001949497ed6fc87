"""Finished stages: hurt in every way that a disk, a kill or another run can hurt them."""

import errno
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from viba_lib.core.cache import (
    META,
    Cache,
    External,
    Stage,
    Work,
    integrity_error,
    read_meta,
    record_files,
)
from viba_lib.core.checkpoints import read_checkpoint, write_checkpoint
from viba_lib.core.files import write_text
from viba_lib.pipeline.logs import log_to
from viba_lib.pipeline.status import changed, state_of

SETTINGS = {"seed": 0, "training": {"steps": 72}}
COMPUTED = []  # the settings of each computation, in this process


def fill(folder: Path, work: Work, **settings: object) -> None:
    COMPUTED.append(settings)
    (folder / "maps").mkdir(exist_ok=True)
    (folder / "maps" / "0").write_bytes(bytes(range(256)) * 40)
    (folder / "table.csv").write_text("a,b\n1,2\n")


class Counted:
    """A stage that is opened anew each time, as by another process: nothing is remembered."""

    def __init__(self, root: Path) -> None:
        self.said, self.root = [], root
        COMPUTED.clear()

    @property
    def count(self) -> int:
        return len(COMPUTED)

    def get(self, settings=SETTINGS, size_only=()):
        stage = Stage("thing", fill, settings, size_only=size_only)
        return Cache(self.root, Work(self.said.append)).get(stage)


@pytest.fixture
def stage(tmp_path):
    made = Counted(tmp_path)
    made.get()
    assert made.count == 1
    return made


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


HURTS = {
    "cut short": lambda f: (f / "maps/0").write_bytes((f / "maps/0").read_bytes()[:-1]),
    "emptied": lambda f: (f / "maps/0").write_bytes(b""),
    "one bit flipped": lambda f: flip(f / "maps/0", 5000),
    "first byte": lambda f: flip(f / "table.csv", 0),
    "removed": lambda f: (f / "table.csv").unlink(),
    "a folder in its place": lambda f: ((f / "table.csv").unlink(), (f / "table.csv").mkdir()),
    "folder removed": lambda f: shutil.rmtree(f / "maps"),
    "meta cut short": lambda f: (f / META).write_text((f / META).read_text()[:50]),
    "meta emptied": lambda f: (f / META).write_text(""),
    "meta removed": lambda f: (f / META).unlink(),
    "meta of other text": lambda f: (f / META).write_text("[1, 2]"),
    "meta changed": lambda f: (f / META).write_text(
        (f / META).read_text().replace('"seconds": ', '"seconds": 1')
    ),
    "not UTF-8": lambda f: (f / META).write_bytes(b"\xff\xfe"),
}


@pytest.mark.parametrize("how", HURTS)
def test_what_was_hurt_is_found_and_made_again(stage, how):
    folder = stage.get()
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != META}
    HURTS[how](folder)
    assert integrity_error(folder, read_meta(folder))
    assert stage.get() == folder and stage.count == 2
    assert not integrity_error(folder, read_meta(folder))
    assert before == {p: p.read_bytes() for p in before}
    assert any("is computed again" in line for line in stage.said)
    assert stage.get() == folder and stage.count == 2


@pytest.mark.parametrize("place", range(0, 10240, 1024))
def test_a_bit_anywhere_is_found(stage, place):
    flip(stage.get() / "maps/0", place)
    stage.get()
    assert stage.count == 2


def test_of_size_only_files_the_size_is_compared(stage):
    folder = stage.get()
    flip(folder / "maps/0", 7)
    assert stage.get(size_only=("maps/",)) == folder and stage.count == 1
    (folder / "maps/0").write_bytes(b"short")
    stage.get(size_only=("maps/",))
    assert stage.count == 2


SEEN = []


def stops_once(folder: Path, work: Work) -> None:
    if (folder / "000000.npz").is_file():
        SEEN.append(read_checkpoint(folder, 0)["a"].tolist())
        return
    write_checkpoint(folder, 0, {"a": np.arange(3)})
    (folder / ".piece-killed.npz").write_bytes(b"half")
    (folder / "tmpdir.part").mkdir()
    raise OSError(errno.ENOSPC, "No space left on device")


def test_an_error_leaves_no_result_and_work_resumes_from_what_is_there(tmp_path):
    cache, stage = Cache(tmp_path), Stage("thing", stops_once)
    with pytest.raises(OSError):
        cache.get(stage)
    assert not cache.folder(stage).exists()
    SEEN.clear()
    done = cache.get(stage)
    assert SEEN == [[0, 1, 2]]
    assert sorted(p.name for p in done.iterdir()) == ["000000.npz", META]


def compute_slowly(folder: Path, work: Work, *, seconds: float, out: str) -> None:
    with open(out, "a") as stream:
        stream.write("computed\n")
    time.sleep(seconds)
    fill(folder, work)


def _compete(root: str, seconds: float, out: str) -> None:
    Cache(Path(root)).get(Stage("thing", compute_slowly, {"seconds": seconds, "out": out}))


def test_two_runs_at_once_compute_a_stage_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    out = tmp_path / "computed.txt"
    runs = [
        context.Process(target=_compete, args=(str(tmp_path / "r"), 1.0, str(out)))
        for _ in range(2)
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join(120)
    assert [run.exitcode for run in runs] == [0, 0]
    assert out.read_text() == "computed\n"


def test_one_that_waits_for_another_says_so(stage, tmp_path, monkeypatch):
    monkeypatch.setattr("viba_lib.core.cache.WAIT_SECONDS", 0.1)
    other = {**SETTINGS, "seed": 1}
    folder = Cache(tmp_path).folder(Stage("thing", fill, other))
    held = threading.Event()

    def hold():
        with FileLock(f"{folder}.lock"):
            held.set()
            time.sleep(0.5)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    stage.get(other)
    holder.join()
    assert "thing: another run is at work on it; waiting for it" in stage.said


def test_a_clock_that_jumps_changes_nothing(stage, monkeypatch):
    folder = stage.get()
    for path in folder.rglob("*"):
        os.utime(path, (0, 0))
    monkeypatch.setattr(time, "time", lambda: 4e9)
    assert stage.get() == folder and stage.count == 1
    for path in folder.rglob("*"):
        os.utime(path, (4e9, 4e9))
    assert stage.get() == folder and stage.count == 1


# ---- the disk ------------------------------------------------------------------------------------


def fill_the_disk(folder: Path, work: Work) -> None:
    for number in range(64):
        (folder / f"{number}.bin").write_bytes(b"x" * 65536)


FULL = f"""
import importlib.util
import sys
from pathlib import Path
from viba_lib.core.cache import Cache, Stage
from viba_lib.core.files import disk_message

spec = importlib.util.spec_from_file_location("test_cache", {str(Path(__file__))!r})
tests = importlib.util.module_from_spec(spec)
sys.modules["test_cache"] = tests
spec.loader.exec_module(tests)
try:
    Cache(Path(sys.argv[1])).get(Stage("thing", tests.fill_the_disk))
except OSError as error:
    print(disk_message(error))
    sys.exit(2)
"""


def in_small_disk(script: str, folder: Path, size: str = "1m") -> subprocess.CompletedProcess[str]:
    """Run a script with a small file system at `folder`, in a name space of its own."""
    mount = f"mount -t tmpfs -o size={size} none {folder} && exec {sys.executable} - {folder}"
    return _unshared(mount, script)


def _unshared(command: str, script: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("unshare") is None:
        pytest.skip("no unshare here")
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", command], input=script, capture_output=True, text=True
    )
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no file system of one's own here: {done.stderr.strip()}")
    return done


def test_a_full_disk_is_told_and_leaves_no_result(tmp_path):
    (tmp_path / "small").mkdir()
    done = in_small_disk(FULL, tmp_path / "small")
    assert done.returncode == 2, done.stderr
    assert "the disk is full" in done.stdout and "--results-root" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_folder_that_may_only_be_read_is_told(tmp_path):
    (tmp_path / "fixed").mkdir()
    folder = tmp_path / "fixed"
    command = f"mount -t tmpfs none {folder} && mount -o remount,ro {folder} && "
    done = _unshared(command + f"exec {sys.executable} - {folder}", FULL)
    assert done.returncode == 2, done.stderr
    assert "may only be read" in done.stdout


def test_a_text_is_whole_or_as_it_was_where_the_disk_is_full(tmp_path):
    (tmp_path / "small").mkdir()
    script = """
import sys
from pathlib import Path
from viba_lib.core.files import write_text

place = Path(sys.argv[1]) / "text.txt"
write_text(place, "first")
try:
    write_text(place, "x" * 5_000_000)
except OSError:
    pass
print(place.read_text(), [p.name for p in place.parent.iterdir()])
"""
    done = in_small_disk(script, tmp_path / "small")
    assert done.stdout == "first ['text.txt']\n", done.stderr


# ---- status and log ------------------------------------------------------------------------------


HOLD = """
import sys, time
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_state_of_a_stage(stage, tmp_path):
    cache, done = Cache(tmp_path), Stage("thing", fill, SETTINGS)
    folder = stage.get()
    assert cache.folder(done) == folder and state_of(done, folder).state == "done"
    flip(folder / "maps/0", 3)
    found = state_of(done, folder)
    assert found.state == "broken" and "SHA-256 differs" in found.why
    stage.get()
    other = Stage("thing", fill, {"seed": 1, "training": {"steps": 80}}, uses=(stops_once,))
    wanted = cache.folder(other)
    found = state_of(other, wanted)
    assert found.state == "stale"
    assert found.why.split("; ") == [
        "seed 0 -> 1", "training.steps 72 -> 80", "the code that computes it changed",
    ]  # fmt: skip
    part = wanted.with_name(wanted.name + ".part")
    part.mkdir()
    assert state_of(other, wanted).state == "stopped"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, f"{wanted}.lock"], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    assert state_of(other, wanted).state == "running"
    holder.kill()
    holder.communicate()
    assert state_of(other, wanted).state == "stopped"
    assert state_of(Stage("none", fill), tmp_path / "none" / "x").state == "absent"


def test_changes_are_said_in_words():
    before = {"settings": SETTINGS, "inputs": {"trained": "w"}, "code": "c"}
    after = {"settings": SETTINGS, "inputs": {"trained": "v"}, "code": "c"}
    assert changed(before, after) == ["its input trained changed"]
    assert changed({"rows": [1]}, {"rows": [1]}) == []
    assert changed({"rows": [1]}, {"rows": [2], "more": 1}) == ["rows changed", "more None -> 1"]


def fail(folder: Path, work: Work) -> None:
    raise ValueError("no luck")


def test_what_happened_is_in_the_log_with_levels(tmp_path, monkeypatch):
    path = log_to(tmp_path / "new")
    assert path is not None and not path.exists(), "nothing was logged yet"
    stage = Stage("thing", fill, SETTINGS)
    folder = Cache(tmp_path / "new").get(stage)
    flip(folder / "maps/0", 1)
    Cache(tmp_path / "new").get(stage)
    with pytest.raises(ValueError):
        Cache(tmp_path / "new").get(Stage("thing", fail))
    lines = path.read_text().splitlines()
    levels = [line.split()[1] for line in lines]
    assert levels == ["INFO", "INFO", "WARNING", "INFO", "INFO", "INFO", "ERROR"]
    assert "no luck" in lines[-1] and "is broken" in lines[2]
    monkeypatch.setenv("VIBA_LOG_LEVEL", "ERROR")
    path = log_to(tmp_path / "quiet")
    Cache(tmp_path / "quiet").get(stage)
    assert not path.exists()
    monkeypatch.setenv("VIBA_LOG_LEVEL", "off")
    assert log_to(tmp_path / "off") is None


def test_no_work_is_lost_because_its_log_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    log_to(tmp_path / "file" / "below")
    Cache(tmp_path / "results").get(Stage("thing", fill))
    assert capsys.readouterr().err == ""
    log_to(tmp_path)


def test_a_record_tells_size_and_hash(tmp_path):
    path = write_text(tmp_path / "a.txt", "abc")
    (record,) = record_files(tmp_path).values()
    assert record.size == 3 and record.differs(path) == ""
    path.write_text("abx")
    assert "SHA-256" in record.differs(path) and record.differs(path, content=False) == ""
    assert json.dumps(list(record))


# ---- keys ----------------------------------------------------------------------------------------


def join(folder: Path, work: Work, *, first: Path, second: Path, number: int) -> None:
    lines = [(first / "table.csv").read_text(), second.read_text(), str(number)]
    (folder / "joined.txt").write_text("".join(lines))


def test_inputs_are_computed_first_and_given_as_folders(tmp_path):
    write_text(tmp_path / "outside.txt", "outside ")
    outside = External(tmp_path / "outside.txt", "v1")
    stage = Stage("join", join, {"number": 7}, {"first": Stage("thing", fill), "second": outside})
    cache = Cache(tmp_path / "r")
    assert (cache.get(stage) / "joined.txt").read_text() == "a,b\n1,2\noutside 7"
    assert set(cache.seconds()) == {"thing", "join"}
    again = Cache(tmp_path / "r")
    again.get(stage)
    assert set(again.seconds()) == {"thing", "join"}, "run times of inputs are known"


def test_a_key_follows_from_settings_inputs_and_code():
    first = Stage("thing", fill, {"seed": 0})

    def joined(given: Stage, number: int = 7, **more: object) -> str:
        inputs = {"first": given, "second": External(Path("x"), "v1")}
        return Stage("join", join, {"number": number}, inputs, **more).digest

    assert joined(first) == joined(Stage("thing", fill, {"seed": 0}))
    others = [
        joined(first, 8), joined(Stage("thing", fill, {"seed": 1})),
        joined(Stage("thing", fail, {"seed": 0})), joined(first, uses=(fail,)),
    ]  # fmt: skip
    assert len({joined(first), *others}) == 5
