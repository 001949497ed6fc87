"""Stages: results that are computed once, found by a key and verified by hashes.

A stage declares its settings, its input stages and the function that computes it; its key follows
from these and from the code. A finished stage lies in `<root>/<name>/<digest of its key>`. Its
`meta.json` is written last and lists every file with its size and SHA-256, so that a result that
was cut short or changed since is noticed and computed again.
"""

import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from filelock import AcquireReturnProxy, FileLock, Timeout

from viba_lib.core.code import code_key
from viba_lib.core.files import file_sha256, write_text
from viba_lib.core.memory import give_back
from viba_lib.core.progress import Progress

log = logging.getLogger(__name__)
META = "meta.json"
WAIT_SECONDS = 5  # before a message says that another run has the lock


def digest(content: Any) -> str:
    """Short hash of JSON-able content; other objects in it count as their text."""
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class HasDigest(Protocol):
    """An input of a stage; whatever can change the result is in its digest."""

    @property
    def digest(self) -> str:
        """Short hash."""


@dataclass(frozen=True)
class External:
    """A file or folder that no stage writes, with the hash of its relevant content."""

    path: Path
    digest: str


@dataclass(frozen=True)
class Work:
    """How work is done. It never changes a result, so it is in no key.

    Parameters
    ----------
    progress : called with a line of text as work continues
    device : "cpu", "cuda", ...
    scheduler : address of a Dask cluster; "" = this machine
    workers : processes on this machine
    data_root : folder of fetched files
    """

    progress: Progress = lambda _: None
    device: str = "cpu"
    scheduler: str = ""
    workers: int = 1
    data_root: Path = Path("data")


@dataclass(frozen=True)
class Stage:
    """A result that is computed once, with everything that it depends on.

    Parameters
    ----------
    name : folder below the results
    compute : function of a module, `compute(folder, work, **inputs, **settings)`; it fills the
        folder and depends on nothing but what is declared here
    settings : JSON-able
    inputs : other stages, which `compute` receives as their finished folders; files from outside,
        which it receives as paths; and other objects with a digest
    uses : more functions and classes whose code counts
    size_only : path prefixes of files that are verified by their size; their reader notices
        damage by its own checksum
    """

    name: str
    compute: Callable[..., None]
    settings: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, HasDigest] = field(default_factory=dict)
    uses: tuple[object, ...] = ()
    size_only: tuple[str, ...] = ()

    @cached_property
    def key(self) -> dict[str, Any]:
        """Settings, digests of the inputs, and hash of the code."""
        return {
            "settings": json.loads(json.dumps(self.settings, default=str)),
            "inputs": {name: given.digest for name, given in self.inputs.items()},
            "code": code_key(self.compute, *self.uses),
        }

    @cached_property
    def digest(self) -> str:
        """Name of the folder that holds the result."""
        return digest(self.key)

    def with_inputs(self) -> "Iterator[Stage]":
        """This stage, and all stages that it is computed from."""
        yield self
        for value in self.inputs.values():
            if isinstance(value, Stage):
                yield from value.with_inputs()


class Record(NamedTuple):
    """Size in bytes and SHA-256 of a file as it was written."""

    size: int
    sha256: str

    def differs(self, path: Path, content: bool = True) -> str:
        """Difference between a file and its record, in words; "" if there is none.

        Parameters
        ----------
        content : compare its hash as well, for which it has to be read
        """
        try:
            size = path.stat().st_size
            if size != self.size:
                return f"{path.name} has {size} bytes; {self.size} were written"
            if content and file_sha256(path) != self.sha256:
                return f"{path.name} is not what was written: its SHA-256 differs"
        except OSError as error:
            return f"{path.name} cannot be read: {error.strerror or error}"
        return ""


def record_files(folder: Path) -> dict[str, Record]:
    """Size and hash of each file below a folder, by its path in the folder."""
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != META)
    return {
        path.relative_to(folder).as_posix(): Record(path.stat().st_size, file_sha256(path))
        for path in paths
    }


def write_meta(folder: Path, content: Mapping[str, Any], files: Mapping[str, Record]) -> None:
    """Describe a finished folder and its files, with a hash of the description itself."""
    meta = json.loads(json.dumps({**content, "files": files}, default=str))
    write_text(folder / META, json.dumps(meta | {"sum": digest(meta)}, indent=1))


def read_meta(folder: Path) -> dict[str, Any] | None:
    """The content that `write_meta` wrote, with `files`; None if it is missing or was changed."""
    try:
        meta = json.loads((folder / META).read_text(encoding="utf-8"))
        if meta.pop("sum") != digest(meta):
            return None
        return meta | {"files": {name: Record(*record) for name, record in meta["files"].items()}}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def integrity_error(
    folder: Path, meta: Mapping[str, Any] | None, size_only: Sequence[str] = ()
) -> str:
    """First fault of a finished folder, in words, or ""; for `size_only` see `Stage`."""
    if meta is None:
        return f"{META} is missing or is not what was written"
    differences = (
        record.differs(folder / name, content=not name.startswith(tuple(size_only)))
        for name, record in meta["files"].items()
    )
    return next(filter(None, differences), "")


class Cache:
    """The finished stages of one profile below a folder.

    Parameters
    ----------
    root : folder that receives `<name>/<digest>`
    work : how stages are computed
    """

    def __init__(self, root: Path, work: Work | None = None) -> None:
        self.root, self.work = root, work or Work()
        self.used: dict[Path, Stage] = {}  # folders that are complete, and what made them

    def folder(self, stage: Stage) -> Path:
        """Folder of a stage, finished or not."""
        return self.root / stage.name / stage.digest

    def get(self, stage: Stage) -> Path:
        """Folder of a finished stage; it and its inputs are computed if they are absent.

        A result that is not as it was written is removed and computed again. Two runs that want
        the same stage wait for each other. A run that was stopped leaves a folder of finished
        work, so that long work can resume.
        """
        done = self.folder(stage)
        if done not in self.used and _broken(stage, done):
            inputs = {name: self._given(value) for name, value in stage.inputs.items()}
            done.parent.mkdir(parents=True, exist_ok=True)
            with self._locked(stage.name, done):
                # Another run may have computed it in the meantime.
                if reason := _broken(stage, done):
                    if done.exists():
                        self._remove(stage, done, reason)
                    self._compute(stage, inputs, done)
        self.used[done] = stage
        return done

    def _given(self, value: HasDigest) -> object:
        """Argument of `compute` for an input."""
        if isinstance(value, Stage):
            return self.get(value)
        return value.path if isinstance(value, External) else value

    def _locked(self, name: str, done: Path) -> AcquireReturnProxy:
        lock = FileLock(f"{done}.lock")
        try:
            return lock.acquire(timeout=WAIT_SECONDS)
        except Timeout:
            self.work.progress(f"{name}: another run is at work on it; waiting for it")
            return lock.acquire()

    def _remove(self, stage: Stage, done: Path, reason: str) -> None:
        message = f"a stored result is broken ({reason}); it is computed again"
        self.work.progress(f"{stage.name}: {message}")
        log.warning("%s %s: %s", stage.name, done.name, message)
        # Renamed first: at no time does a half-removed folder have the name of a finished one.
        tmp = done.rename(done.with_name(f"{done.name}.broken-{os.getpid()}"))
        shutil.rmtree(tmp)

    def _compute(self, stage: Stage, inputs: Mapping[str, object], done: Path) -> None:
        part = done.with_name(done.name + ".part")
        resumed = part.is_dir() and any(part.iterdir())
        part.mkdir(exist_ok=True)
        log.info("%s %s %s", stage.name, done.name, "resumes" if resumed else "starts")
        start = time.perf_counter()
        try:
            stage.compute(part, self.work, **inputs, **stage.settings)
        except BaseException as error:
            log.error("%s %s stopped: %s: %s", stage.name, done.name, type(error).__name__, error)
            raise
        seconds = round(time.perf_counter() - start, 2)
        sweep(part)
        meta = {"stage": stage.name, "seconds": seconds, "key": stage.key}
        write_meta(part, meta, record_files(part))
        part.rename(done)
        give_back(seconds)
        log.info("%s %s done in %.1f s", stage.name, done.name, seconds)
        self.work.progress(f"{stage.name}: done in {seconds:.0f} s")

    def seconds(self) -> dict[str, float]:
        """Run time of each stage that was used or computed, and of its inputs, in seconds."""
        stages = {self.folder(s): s for used in self.used.values() for s in used.with_inputs()}
        found: dict[str, float] = {}
        for folder in sorted(stages):
            meta = read_meta(folder)
            if meta is not None:  # an input may have been removed
                found[meta["stage"]] = found.get(meta["stage"], 0.0) + float(meta["seconds"])
        return found


def _broken(stage: Stage, done: Path) -> str:
    """First fault of the folder of a stage, in words; "" if the folder is complete."""
    return integrity_error(done, read_meta(done), stage.size_only)


def sweep(folder: Path) -> None:
    """Remove what killed writers left behind: hidden files and those that end in .part."""
    for path in sorted(folder.rglob("*")):
        if path.name.startswith(".") or path.suffix == ".part":
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
