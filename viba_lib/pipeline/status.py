"""Which stages of a run are done, stale, broken or half-way, and why; nothing is computed."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from viba_lib.core.cache import Stage, integrity_error, read_meta
from viba_lib.core.errors import VibaError
from viba_lib.models.detectors import DETECTORS
from viba_lib.pipeline.study import Study

# done: complete and up to date; stale: only a result of other settings, inputs or code is there;
# broken: not as it was written; running: another process is at work; stopped: begun, to be
# resumed; absent: not begun; waits: what it is computed from is not there yet.
STATES = ("done", "stale", "broken", "running", "stopped", "absent", "waits")
AGAIN = "it will be computed again when it is needed"
KIND = re.compile("(dataset|prepare|train|predict|explain)(-|$)")  # stages behind Tables 2 to 4


@dataclass(frozen=True)
class State:
    """State of a stage: its name, one of `STATES`, why, run time in seconds, size in bytes."""

    stage: str
    state: str
    why: str = ""
    seconds: float | None = None
    size: int | None = None
    folder: str = ""


def stage_states(study: Study, known: Collection[State] = ()) -> Iterator[State]:
    """State of each stage that the chapters share, then of what else lies there.

    Every file of a finished stage is read and compared with its hash.

    Parameters
    ----------
    known : states of chapters, which are not told again
    """
    shared = {Path(state.folder).resolve() for state in known}
    for state in shared_states(study):
        shared.add(Path(state.folder).resolve())
        yield state
    yield from _others_below(study.root, shared)


def shared_states(study: Study) -> Iterator[State]:
    """State of each stage that the chapters share."""
    try:
        dataset, stages = study.stages.dataset, study.stages.shared()
    except VibaError as error:
        yield State("dataset", "waits", str(error).splitlines()[0])
        return
    if isinstance(dataset, Stage):
        stages = [dataset, *stages]
    else:
        yield State("dataset", "done", "a catalog of your own")
    states = {stage.name: state_of(stage, study.cache.folder(stage)) for stage in stages}
    yield from states.values()
    waits = [n for n in ("dataset", "prepare") if n in states and states[n].state != "done"]
    for name in DETECTORS:
        if waits:  # to name the explained frames would compute these stages
            yield State(f"explain-{name}", "waits", f"needs {' and '.join(waits)}")
            continue
        rows, layer = study.evaluation_rows(name), study.layer(name)
        stage = study.stages.explained(study.registered(name), layer, rows)
        yield state_of(stage, study.cache.folder(stage))


def unfinished(study: Study) -> list[State]:
    """Stages that are not done of those that the paper's Tables 2 to 4 are computed from."""
    return [s for s in shared_states(study) if KIND.match(s.stage) and s.state != "done"]


def state_of(stage: Stage, done: Path) -> State:
    """State of one stage, from what lies in its folder and beside it."""
    name = Path(stage.name).name
    if done.is_dir():
        return _stored(name, done)
    if done.with_name(f"{done.name}.part").is_dir():
        if _held(done.with_name(f"{done.name}.lock")):
            return State(name, "running", "another process is at work on it", folder=str(done))
        return State(name, "stopped", "begun; the next run resumes it", folder=str(done))
    others = [meta for folder in sorted(done.parent.glob("*")) if (meta := read_meta(folder))]
    if others:
        changes = min((changed(meta["key"], stage.key) for meta in others), key=len)
        return State(name, "stale", "; ".join(changes), folder=str(done))
    return State(name, "absent", "not computed yet", folder=str(done))


def _stored(name: str, folder: Path) -> State:
    """State of a folder that was finished: done, or broken since."""
    meta = read_meta(folder)
    wrong = integrity_error(folder, meta)
    if wrong or meta is None:
        return State(name, "broken", f"{wrong}; {AGAIN}", folder=str(folder))
    size = sum(record.size for record in meta["files"].values())
    return State(name, "done", "", float(meta["seconds"]), size, str(folder))


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
    except OSError as error:  # such as a lock that another user owns
        return isinstance(error, Timeout)


def _others_below(root: Path, shared: set[Path]) -> Iterator[State]:
    """Results of single chapters, other settings and other versions: the broken ones, and a sum."""
    sizes, old = [], 0
    # Chapters lie one folder deeper.
    for path in sorted([*root.glob("*/*/meta.json"), *root.glob("chapters/*/*/meta.json")]):
        # Folders that are not finished, or are being removed, have a dot in their names.
        if path.parent.resolve() in shared or "." in path.parent.name:
            continue
        state = _stored(path.parts[-3], path.parent)
        if state.state != "broken":
            sizes.append(state.size or 0)
        elif b'"files"' in path.read_bytes():
            yield state
        else:
            old += 1  # a version that listed no files wrote it
    if sizes:
        why = "of chapters, or of other settings"
        yield State(f"{len(sizes)} others", "done", why, size=sum(sizes))
    if old:
        yield State(f"{old} others", "stale", "written by an older version; never used")
