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
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from filelock import FileLock, Timeout

from viba_lib.core.code import code_key
from viba_lib.core.files import file_sha256, write_text

log = logging.getLogger(__name__)
META = "meta.json"
Progress = Callable[[str], None]
WAIT_SECONDS = 5  # after which one is told that another run has the lock


def digest(content: Any) -> str:
    """Short hash of anything that JSON can hold; what it cannot counts by its text."""
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class HasDigest(Protocol):
    """An input of a stage: its digest stands for all that counts of it."""

    @property
    def digest(self) -> str:
        """Short hash."""


@dataclass(frozen=True)
class External:
    """A file or folder that no stage made, with the hash of what counts in it."""

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
    """A result that is computed once, declared by all that it depends on.

    Parameters
    ----------
    name : folder below the results
    compute : function of a file, `compute(folder, work, **inputs, **settings)`; it fills the folder
        and sees nothing but what is declared here
    settings : what JSON can hold
    inputs : other stages, whose finished folders `compute` is given; files from outside, whose
        paths it is given; and other objects with a digest, which it is given themselves
    uses : more functions and classes whose code counts
    size_only : path prefixes of files that are verified by their size; their reader verifies the
        hash
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


class Record(NamedTuple):
    """Size in bytes and SHA-256 of a file as it was written."""

    size: int
    sha256: str

    def differs(self, path: Path, content: bool = True) -> str:
        """What is wrong with a file; "" if it is as it was written.

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
        except FileNotFoundError:
            return f"{path.name} is missing"
        except OSError as error:
            return f"{path.name} cannot be read: {error.strerror or error}"
        return ""


def record_file(path: Path) -> Record:
    """Size and hash of a file as it is."""
    return Record(path.stat().st_size, file_sha256(path))


def record_files(folder: Path) -> dict[str, Record]:
    """Records of all files below a folder, by their place in it."""
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != META)
    return {path.relative_to(folder).as_posix(): record_file(path) for path in paths}


def write_meta(folder: Path, content: Mapping[str, Any], files: Mapping[str, Record]) -> None:
    """Write what is known of a finished folder, under a hash of its own."""
    whole = dict(content) | {"files": {name: list(record) for name, record in files.items()}}
    whole = json.loads(json.dumps(whole, default=str))
    write_text(folder / META, json.dumps(whole | {"sum": digest(whole)}, indent=1))


def read_meta(folder: Path) -> dict[str, Any] | None:
    """What `write_meta` wrote; None where there is none, or another text."""
    try:
        whole = json.loads((folder / META).read_text(encoding="utf-8"))
        if whole.pop("sum") != digest(whole):
            return None
        whole["files"] = {name: Record(*record) for name, record in whole["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return dict(whole)


def integrity_error(
    folder: Path, meta: Mapping[str, Any] | None, size_only: Sequence[str] = ()
) -> str:
    """What is wrong with a finished folder; "" if nothing. For `size_only` see `Stage`."""
    if meta is None:
        return f"{META} is missing or is not what was written"
    for name, record in meta["files"].items():
        wrong = record.differs(folder / name, content=not name.startswith(tuple(size_only)))
        if wrong:
            return wrong
    return ""


class Cache:
    """The finished stages of one profile below a folder.

    Parameters
    ----------
    root : folder that receives `<name>/<digest>`
    work : how stages are computed
    """

    def __init__(self, root: Path, work: Work | None = None) -> None:
        self.root, self.work = root, work or Work()
        self.used: dict[Path, dict[str, Any]] = {}  # folders that were found complete: their meta
        self.behind: dict[Path, dict[str, Any]] = {}  # folders that these were computed from

    def folder(self, stage: Stage) -> Path:
        """Where a stage lies, finished or not."""
        return self.root / stage.name / stage.digest

    def get(self, stage: Stage) -> Path:
        """Folder of a finished stage; it and its inputs are computed if they are absent.

        A result that is not as it was written is removed and computed again. Two runs that want
        the same stage wait for each other. What a stopped run left is there when the stage is
        computed again, so that long work can resume.
        """
        done = self.folder(stage)
        if done in self.used or self._complete(done, stage):
            return done
        inputs = {name: self._given(value) for name, value in stage.inputs.items()}
        done.parent.mkdir(parents=True, exist_ok=True)
        with self._locked(stage.name, done):
            if self._complete(done, stage):
                return done
            if done.exists():
                wrong = integrity_error(done, read_meta(done), stage.size_only)
                self.work.progress(
                    f"{stage.name}: a stored result is broken ({wrong}); it is computed again"
                )
                log.warning("%s %s is broken (%s), computed again", stage.name, done.name, wrong)
                remove(done)
            self._compute(stage, inputs, done)
        return done

    def _given(self, value: HasDigest) -> object:
        """What `compute` receives for an input."""
        if isinstance(value, Stage):
            return self.get(value)
        return value.path if isinstance(value, External) else value

    def _complete(self, done: Path, stage: Stage) -> bool:
        meta = read_meta(done)
        if meta is None or integrity_error(done, meta, stage.size_only):
            return False
        self.used[done] = meta
        self._note_inputs(stage)
        return True

    def _note_inputs(self, stage: Stage) -> None:
        """Note what a finished stage was computed from, for the run times; it may be gone."""
        for value in stage.inputs.values():
            if isinstance(value, Stage) and self.folder(value) not in self.behind:
                self.behind[self.folder(value)] = read_meta(self.folder(value)) or {}
                self._note_inputs(value)

    @contextmanager
    def _locked(self, name: str, done: Path) -> Iterator[None]:
        lock = FileLock(f"{done}.lock")
        try:
            lock.acquire(timeout=WAIT_SECONDS)
        except Timeout:
            self.work.progress(f"{name}: another run is at work on it; waiting for it")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

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
        found = read_meta(done)
        assert found is not None
        self.used[done] = found
        log.info("%s %s done in %.1f s", stage.name, done.name, seconds)
        self.work.progress(f"{stage.name}: done in {seconds:.0f} s")

    def seconds(self) -> dict[str, float]:
        """Run time of each stage that was used or computed, and of its inputs, in seconds."""
        found: dict[str, float] = {}
        metas = self.behind | self.used
        for meta in (metas[folder] for folder in sorted(metas) if metas[folder]):
            found[meta["stage"]] = found.get(meta["stage"], 0.0) + float(meta["seconds"])
        return found


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
    if where.startswith("inputs."):
        return [f"its input {where.removeprefix('inputs.')} changed"]
    if where == "code":
        return ["the code that computes it changed"]
    where = where.removeprefix("settings.")
    short = all(isinstance(value, (int, float, str, type(None))) for value in (old, new))
    return [f"{where} {old} -> {new}" if short else f"{where} changed"]


def sweep(folder: Path) -> None:
    """Remove what killed writers left behind: hidden files and those that end in .part."""
    for path in sorted(folder.rglob("*")):
        if path.name.startswith(".") or path.suffix == ".part":
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def remove(folder: Path) -> None:
    """Remove a folder at once for anyone who looks for it, and then its files."""
    away = folder.with_name(f"{folder.name}.broken-{os.getpid()}")
    folder.rename(away)
    shutil.rmtree(away)
