"""Which stages of a run are done, stale, broken or half-way, and why; nothing is computed."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from viba_lib.core.cache import Stages, broken, read_meta
from viba_lib.core.errors import VibaError
from viba_lib.pipeline.study import DETECTORS, Study

log = logging.getLogger(__name__)
# done: whole and up to date; stale: only a result of other settings, inputs or code is there;
# broken: not as it was written; running: another process is at work; stopped: begun, to be gone on
# with; absent: not begun; waits: what it is made from is not there yet.
STATES = ("done", "stale", "broken", "running", "stopped", "absent", "waits")
AGAIN = "it will be made again when it is needed"
INPUTS = {"catalog": "the data set", "prepared": "the prepared clips", "weights": "the detector"}


@dataclass(frozen=True)
class State:
    """State of a stage: its name, one of `STATES`, why, run time in seconds, size in bytes."""

    stage: str
    state: str
    why: str = ""
    seconds: float | None = None
    size: int | None = None
    folder: str = ""


class _Looking(Stages):
    """Notes which stage would be wanted, and computes none."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.wanted: dict[str, tuple[Any, Path]] = {}

    def get(
        self, name: str, key: Any, compute: Callable[[Path], None], later: Sequence[str] = ()
    ) -> Path:
        done = self.folder(name, key)
        self.wanted[name] = (key, done)
        meta = read_meta(done)
        if meta is not None:
            self.used[done] = meta
        return done


def _shared(study: Study) -> dict[str, Callable[[], object]]:
    """The stages that all chapters share, in the order of `Study.run_all`."""
    asked: dict[str, Callable[[], object]] = {
        "dataset": study.catalog_root,
        "prepare": lambda: study.preparation_folder,
    }
    if study.profile.dataset.kind == "catalog":
        asked["dataset"] = study.catalog
    for detector in DETECTORS:
        asked |= {
            f"train-{detector}": partial(study.weights_path, detector),
            f"predict-{detector}": partial(study.predictions, detector),
            f"robustness-{detector}": partial(study.robustness, detector),
            f"statistics-{detector}": partial(study.statistics, detector),
            f"explain-{detector}": partial(study.explanations, detector),
        }
    return asked | {"readout-xception": study.readout_history}


def stage_states(study: Study) -> Iterator[State]:
    """State of each stage that the chapters share, then of what else lies there.

    Every file of a finished stage is read and compared with its hash.

    Parameters
    ----------
    study : is looked at only; it cannot compute afterwards
    """
    looking = _Looking(study.root)
    study.__dict__["stages"] = looking
    for name, ask in _shared(study).items():
        why = ""
        try:
            ask()
        except Exception as error:
            # What is not there cannot be read: the stage that was asked for is noted before that.
            why = str(error).splitlines()[0] if str(error) else type(error).__name__
        if name in looking.wanted:
            key, done = looking.wanted[name]
            yield state_of(name, done, key)
        elif name == "dataset":
            yield State(name, "waits" if why else "done", why or "a catalog of your own")
        else:
            yield State(name, "waits", _missing(looking))
    yield from _others_below(study.root, {folder for _, folder in looking.wanted.values()})


def _missing(looking: _Looking) -> str:
    absent = [name for name, (_, done) in looking.wanted.items() if not done.is_dir()]
    return f"needs {absent[0]}" if absent else "needs the data set"


def state_of(name: str, done: Path, key: Any) -> State:
    """State of one stage, from what lies in its folder and beside it."""
    if done.is_dir():
        meta = read_meta(done)
        wrong = broken(done, meta)
        if wrong or meta is None:
            return State(name, "broken", f"{wrong}; {AGAIN}", folder=str(done))
        size = sum(record.size for record in meta["files"].values())
        return State(name, "done", "", float(meta["seconds"]), size, str(done))
    if done.with_name(f"{done.name}.part").is_dir():
        if _held(done.with_name(f"{done.name}.lock")):
            return State(name, "running", "another process is at work on it", folder=str(done))
        return State(name, "stopped", "begun; the next run goes on from there", folder=str(done))
    others = _others(done)
    if others:
        changes = min((changed(meta["key"], key) for meta in others), key=len)
        return State(name, "stale", "; ".join(changes), folder=str(done))
    return State(name, "absent", "not computed yet", folder=str(done))


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


def changed(old: Any, new: Any, where: str = "") -> list[str]:
    """What differs between two keys, in words; keys are mappings, as JSON has them."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        found = []
        for name in [*old, *(n for n in new if n not in old)]:
            at = f"{where}.{name}" if where else str(name)
            found += changed(old.get(name), new.get(name), at)
        return found
    if old == new or (isinstance(new, tuple) and old == list(new)):
        return []
    if where in INPUTS:
        return [f"{INPUTS[where]} changed"]
    if where == "code":
        return ["the code that computes it changed"]
    short = all(isinstance(value, (int, float, str, type(None))) for value in (old, new))
    return [f"{where} {old} -> {new}" if short else f"{where} changed"]


def _others_below(root: Path, shared: set[Path]) -> Iterator[State]:
    """Results of single chapters, other settings and other versions: the broken ones, and a sum."""
    whole, size, old = 0, 0, 0
    for path in sorted(root.glob("*/*/meta.json")):
        folder = path.parent
        if folder in shared or ".broken-" in folder.name or folder.name.endswith(".part"):
            continue
        meta = read_meta(folder)
        wrong = broken(folder, meta)
        if meta is None and not _has_list(path):
            old += 1
        elif wrong or meta is None:
            yield State(folder.parent.name, "broken", f"{wrong}; {AGAIN}", folder=str(folder))
        else:
            whole += 1
            size += sum(record.size for record in meta["files"].values())
    if whole:
        yield State(f"{whole} others", "done", "of chapters, or of other settings", size=size)
    if old:
        yield State(f"{old} others", "stale", "written by an older version; never used")


def _has_list(path: Path) -> bool:
    """Whether a version that lists files wrote this, whatever became of it."""
    return b'"files"' in path.read_bytes()


def chapter_states(profile: str, seed: int, device: str) -> Iterator[State]:
    """State of each chapter's executed notebook and of the tables and videos that it wrote.

    Raises
    ------
    VibaError
        The packages that build the book are not installed.
    """
    try:
        from viba_lib.book.execute import chapter_cache, chapter_stages
    except ImportError as error:
        raise VibaError(
            f"the chapters cannot be looked at without {error.name}; install the package with its "
            "extra `book`"
        ) from error
    cache = chapter_cache(profile)
    for stage in chapter_stages(profile, seed, device):
        yield state_of(Path(stage.name).name, cache.folder(stage), stage.key)


def as_rows(states: Sequence[State]) -> list[dict[str, Any]]:
    """States as plain rows, for JSON."""
    return [asdict(state) for state in states]
