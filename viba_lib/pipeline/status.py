"""Which stages of a run are done, stale, broken or half-way, and why; nothing is computed."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from viba_lib.core.cache import Stage, integrity_error, read_meta
from viba_lib.core.errors import VibaError
from viba_lib.models.detectors import DETECTORS
from viba_lib.pipeline.study import Study

log = logging.getLogger(__name__)
# done: complete and up to date; stale: only a result of other settings, inputs or code is there;
# broken: not as it was written; running: another process is at work; stopped: begun, to be
# resumed; absent: not begun; waits: what it is computed from is not there yet.
STATES = ("done", "stale", "broken", "running", "stopped", "absent", "waits")
AGAIN = "it will be computed again when it is needed"


@dataclass(frozen=True)
class State:
    """State of a stage: its name, one of `STATES`, why, run time in seconds, size in bytes."""

    stage: str
    state: str
    why: str = ""
    seconds: float | None = None
    size: int | None = None
    folder: str = ""


def stage_states(study: Study) -> Iterator[State]:
    """State of each stage that the chapters share, then of what else lies there.

    Every file of a finished stage is read and compared with its hash.
    """
    shared: set[Path] = set()
    try:
        declared = [study.stages.dataset, *study.stages.shared()]
    except VibaError as error:
        yield State("dataset", "waits", str(error).splitlines()[0])
        declared = []
    for stage in declared:
        if isinstance(stage, Stage):
            shared.add(study.cache.folder(stage))
            yield state_of(stage, study.cache.folder(stage))
        else:
            yield State("dataset", "done", "a catalog of your own")
    for name in DETECTORS if declared else ():
        if not study.cache.folder(study.stages.prepared).is_dir():
            yield State(f"explain-{name}", "waits", "needs prepare")
            continue
        stage = study.explained_stage(name)
        shared.add(study.cache.folder(stage))
        yield state_of(stage, study.cache.folder(stage))
    yield from _others_below(study.root, shared)


def state_of(stage: Stage, done: Path) -> State:
    """State of one stage, from what lies in its folder and beside it."""
    name = Path(stage.name).name
    if done.is_dir():
        meta = read_meta(done)
        wrong = integrity_error(done, meta)
        if wrong or meta is None:
            return State(name, "broken", f"{wrong}; {AGAIN}", folder=str(done))
        size = sum(record.size for record in meta["files"].values())
        return State(name, "done", "", float(meta["seconds"]), size, str(done))
    if done.with_name(f"{done.name}.part").is_dir():
        if _held(done.with_name(f"{done.name}.lock")):
            return State(name, "running", "another process is at work on it", folder=str(done))
        return State(name, "stopped", "begun; the next run resumes it", folder=str(done))
    others = _others(done)
    if others:
        changes = min((changed(meta["key"], stage.key) for meta in others), key=len)
        return State(name, "stale", "; ".join(changes), folder=str(done))
    return State(name, "absent", "not computed yet", folder=str(done))


def changed(old: Any, new: Any, where: str = "") -> list[str]:
    """Differences between two keys of a stage, in words; `where` is the position in the key."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        parts = [
            changed(old.get(n), new.get(n), f"{where}.{n}".lstrip(".")) for n in {**old, **new}
        ]
        return [difference for part in parts for difference in part]
    if old == new:
        return []
    if where.startswith("inputs."):
        return [f"its input {where.removeprefix('inputs.')} changed"]
    if where == "code":
        return ["the code that computes it changed"]
    where = where.removeprefix("settings.")
    short = all(isinstance(value, (int, float, str, type(None))) for value in (old, new))
    return [f"{where} {old} -> {new}" if short else f"{where} changed"]


def _held(lock: Path) -> bool:
    if not lock.is_file():
        return False
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True
    except OSError as error:
        log.info("%s cannot be asked: %s", lock, error)
        return False


def _others(done: Path) -> list[dict[str, Any]]:
    if not done.parent.is_dir():
        return []
    found = [read_meta(folder) for folder in sorted(done.parent.iterdir()) if folder.is_dir()]
    return [meta for meta in found if meta is not None]


def _others_below(root: Path, shared: set[Path]) -> Iterator[State]:
    """Results of single chapters, other settings and other versions: the broken ones, and a sum."""
    complete, size, old = 0, 0, 0
    for path in sorted(root.glob("*/*/meta.json")):
        folder = path.parent
        if folder in shared or ".broken-" in folder.name or folder.name.endswith(".part"):
            continue
        meta = read_meta(folder)
        wrong = integrity_error(folder, meta)
        if meta is None and not _has_list(path):
            old += 1
        elif wrong or meta is None:
            yield State(folder.parent.name, "broken", f"{wrong}; {AGAIN}", folder=str(folder))
        else:
            complete += 1
            size += sum(record.size for record in meta["files"].values())
    if complete:
        yield State(f"{complete} others", "done", "of chapters, or of other settings", size=size)
    if old:
        yield State(f"{old} others", "stale", "written by an older version; never used")


def _has_list(path: Path) -> bool:
    """Whether a version that lists files wrote this, whatever became of it."""
    return b'"files"' in path.read_bytes()


def as_rows(states: Sequence[State]) -> list[dict[str, Any]]:
    """States as plain rows, for JSON."""
    return [asdict(state) for state in states]
