"""Chapters executed by papermill, from the cache where nothing that makes one changed."""

import hashlib
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import nbformat
import yaml
from filelock import FileLock

from viba_lib.book import paths as places
from viba_lib.book.chapters import as_notebook, chapters, find_chapter
from viba_lib.book.parameters import checked, pairs_of, parameters_of
from viba_lib.book.paths import BookError, say
from viba_lib.core import journal
from viba_lib.core.cache import Record, digest, record_file
from viba_lib.core.errors import VibaError
from viba_lib.core.files import write_text
from viba_lib.pipeline.profiles import load_profile
from viba_lib.pipeline.status import changed

LONGEST = ("15", "05", "12", "14", "06")  # chapters that compute most, in this order
WORKERS = 2
_RUNNING: set[subprocess.Popen[str]] = set()
log = logging.getLogger(__name__)


def _code_hash() -> str:
    digest = hashlib.sha256()
    folder = places.ROOT / "viba_lib"
    for path in sorted([*folder.rglob("*.py"), *folder.rglob("*.yaml")]):
        # What lays out pages, reads the command line or makes the viewer changes no chapter.
        first = path.relative_to(folder).parts[0]
        if first not in ("book", "viewer.py") and not first.startswith("cli"):
            digest.update(path.read_bytes())
    return digest.hexdigest()


# Freed memory stays with the process: glibc would give large tensors back to the system each time,
# and take new pages for the next one, which costs up to a third of a chapter's time.
KEPT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**32), "MALLOC_TRIM_THRESHOLD_": str(2**34)}


def kernel_environment(workers: int = 1) -> dict[str, str]:
    """Environment of a chapter's kernel: this interpreter's own, quiet, with its share of cores."""
    given = KEPT_MEMORY | dict(os.environ)
    return given | {
        # A kernel of the same name in the user's home must not win over this environment's.
        "JUPYTER_PREFER_ENV_PATH": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "TQDM_DISABLE": "1",
        "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // workers)),
        # The backend of figures in a notebook is the kernel's own choice.
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }


def empty_outputs(notebook: Any) -> Iterator[str]:
    """Cells whose output shows nothing."""
    for number, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            data = output.get("data", {"text/plain": output.get("text", "")})
            if not any(str(value).strip() for value in data.values()):
                yield f"cell {number} has an empty output"


def problems_of(notebook: Any) -> list[str]:
    """What is wrong with an executed notebook; empty if nothing."""
    found, outputs = [], 0
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        outputs += len(cell.outputs)
        if cell.source.strip() and cell.get("execution_count") is None:
            found.append(f"cell {number} was not executed")
        for output in cell.outputs:
            if output.output_type == "error":
                found.append(f"cell {number}: {output.ename}: {output.evalue}")
            elif output.get("name") == "stderr":
                found.append(f"cell {number} writes to stderr: {output.text.strip()[:200]}")
    found += empty_outputs(notebook)
    return found if outputs else [*found, "no cell has an output"]


def run_stoppable(
    command: Sequence[str], environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a command so that `stop_all` can end it, also from another thread."""
    with subprocess.Popen(
        command, env=dict(environment), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        _RUNNING.add(process)
        try:
            out, err = process.communicate()
        except BaseException:
            process.terminate()
            raise
        finally:
            _RUNNING.discard(process)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def stop_all() -> None:
    """End what `run_stoppable` runs: papermill ends its kernel when it is interrupted."""
    for process in list(_RUNNING):
        process.send_signal(signal.SIGINT)


def execute(
    source: Path,
    target: Path,
    parameters: Mapping[str, Any],
    workers: int = 1,
    noted: Path | None = None,
) -> list[str]:
    """Execute a chapter with papermill into `target`, in the folder of the chapters.

    papermill runs as a process of its own: it changes the working folder, which threads share.

    Parameters
    ----------
    noted : file that receives what the chapter writes beside its page, see `viba_lib.core.journal`

    Returns
    -------
    What is wrong with the executed notebook, see `problems_of`.

    Raises
    ------
    BookError
        papermill's exit status is not zero. `target` is then left as it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own: two runs may execute the same chapter.
    plain, aside = (
        target.with_name(f".{target.stem}.{os.getpid()}.{s}.ipynb") for s in ("in", "out")
    )
    nbformat.write(as_notebook(source), plain)
    command = [sys.executable, "-m", "papermill", "--no-progress-bar", "--log-level", "ERROR"]
    command += ["--kernel", "python3", "--cwd", str(places.NOTEBOOKS)]
    command += ["-y", yaml.safe_dump(dict(parameters))] if parameters else []
    try:
        environment = kernel_environment(workers)
        environment |= {journal.VARIABLE: str(noted)} if noted else {}
        done = run_stoppable([*command, str(plain), str(aside)], environment)
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-25:]
            raise BookError(f"chapter {source.stem} failed:\n" + "\n".join(said))
        notebook = nbformat.read(aside, 4)
        # Papermill notes absolute paths; a page that is published must not name the machine.
        for key in ("input_path", "output_path"):
            notebook.metadata.get("papermill", {}).pop(key, None)
        # A page cannot answer a form, and its state would load scripts from the network.
        notebook.metadata.pop("widgets", None)
        nbformat.write(notebook, aside)
        aside.replace(target)
    finally:
        plain.unlink(missing_ok=True)
        aside.unlink(missing_ok=True)
    return problems_of(notebook)


@dataclass(frozen=True)
class Cached:
    """Where an executed chapter is kept, and what it was made from."""

    source: Path
    profile: str
    seed: int
    device: str

    @cached_property
    def made_from(self) -> dict[str, Any]:
        """All that makes the chapter what it is."""
        return {
            "text": digest(self.source.read_text(encoding="utf-8")),
            "settings": load_profile(self.profile).model_dump(mode="json"),
            "seed": self.seed,
            "device": self.device,
            "code": _code_hash(),
        }

    @cached_property
    def root(self) -> Path:
        """Folder of the profile's results."""
        return places.ROOT / "results" / load_profile(self.profile).name

    @property
    def target(self) -> Path:
        """The executed notebook."""
        return self.root / "chapters" / digest(self.made_from) / f"{self.source.stem}.ipynb"

    @property
    def record(self) -> Path:
        """Hashes of the notebook and of what it wrote beside it."""
        return self.target.with_suffix(".json")

    def wrong(self) -> str:
        """Why the chapter has to be executed (again); "" if it need not."""
        if not self.target.is_file():
            return "not executed yet"
        try:
            files = json.loads(self.record.read_text(encoding="utf-8"))["files"]
            records = {name: Record(*found) for name, found in files.items()}
        except (OSError, ValueError, KeyError, TypeError):
            return f"{self.record.name} is missing or is not what was written"
        for name, record in records.items():
            wrong = record.differs(self.root / name)
            if wrong:
                return wrong
        return ""

    def keep(self, trial: Path, noted: Path) -> None:
        """Put an executed notebook in its place; its record comes first, and is nothing without."""
        files = {p: r for p, r in journal.read(noted).items() if p.is_relative_to(self.root)}
        names = {p.relative_to(self.root).as_posix(): r for p, r in files.items()}
        names[self.target.relative_to(self.root).as_posix()] = record_file(trial)
        content = {"made_from": self.made_from, "files": names}
        write_text(self.record, json.dumps(content, indent=1))
        trial.replace(self.target)


def execute_cached(source: Path, profile: str, seed: int, device: str) -> Path:
    """Executed chapter, from the cache where nothing that makes it changed.

    A notebook that was cut or changed since, or a table or film that it wrote, makes it be executed
    again. Only parameters that differ from the chapter's own are given: papermill then adds no cell
    to a page that shows the defaults anyway.

    Raises
    ------
    BookError
        A cell failed, was not run or wrote to stderr, or nothing has an output.
    """
    cached = Cached(source, profile, seed, device)
    target = cached.target
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_suffix(".lock")):
        wrong = cached.wrong()
        if not wrong:
            say(f"{source.stem}: unchanged")
            return target
        if target.is_file():
            say(f"{source.stem}: a stored result is broken or was overwritten ({wrong})")
            log.warning("chapter %s: %s; executed again", source.stem, wrong)
        start = time.perf_counter()
        say(f"{source.stem}: starts")
        log.info("chapter %s starts", source.stem)
        defaults = parameters_of(source)
        given = {"profile": profile, "seed": seed, "device": device}
        given = {k: v for k, v in given.items() if defaults.get(k) != v}
        trial = target.with_name(f"{source.stem}.trial.ipynb")
        noted = target.with_name(f".{source.stem}.written")
        noted.unlink(missing_ok=True)
        problems = execute(source, trial, given, WORKERS, noted)
        if problems:
            raise BookError(
                f"chapter {source.stem} ran, but: {'; '.join(problems)}; it is kept as {trial}"
            )
        cached.keep(trial, noted)
        noted.unlink(missing_ok=True)
    seconds = time.perf_counter() - start
    say(f"{source.stem}: executed in {seconds:.0f} s")
    log.info("chapter %s executed in %.0f s", source.stem, seconds)
    return target


def chapter_state(source: Path, profile: str, seed: int, device: str) -> tuple[str, str]:
    """State of an executed chapter, one of `viba_lib.pipeline.status.STATES`, and why."""
    cached = Cached(source, profile, seed, device)
    wrong = cached.wrong()
    if cached.target.is_file():
        return ("broken", f"{wrong}; it will be executed again") if wrong else ("done", "")
    others = sorted(cached.target.parents[1].glob(f"*/{source.stem}.json"))
    if not others:
        return "absent", wrong
    changes: list[list[str]] = []
    for path in others:
        try:
            changes.append(changed(json.loads(path.read_text())["made_from"], cached.made_from))
        except (OSError, ValueError, KeyError, TypeError):
            changes.append(["its record cannot be read"])
    fewest = min(changes, key=len)
    return "stale", "; ".join(fewest)


def _turn(source: Path) -> tuple[int, str]:
    """Place in which a chapter is begun: one that takes long and comes last leaves a core idle."""
    number = source.stem[:2]
    return (LONGEST.index(number) if number in LONGEST else len(LONGEST), source.stem)


def execute_all(profile: str, seed: int, device: str, sources: Sequence[Path] = ()) -> list[Path]:
    """Executed copies of chapters, two at a time; failures are told when all are done.

    `sources` left out means all of them. An interrupt stops those that run; what they had finished
    is kept.
    """
    sources = sources or chapters()
    pool = ThreadPoolExecutor(WORKERS)
    try:
        started = {
            source: pool.submit(execute_cached, source, profile, seed, device)
            for source in sorted(sources, key=_turn)
        }
        jobs = [started[source] for source in sources]
        errors = [job.exception() for job in jobs]
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        stop_all()
        raise
    pool.shutdown()
    told = [str(error) for error in errors if isinstance(error, VibaError)]
    other = [e for e in errors if e is not None and not isinstance(e, VibaError)]
    if other:
        raise other[0]
    if told:
        raise BookError("\n\n".join(told))
    return [job.result() for job in jobs]


def run_chapter(number: str, given: Sequence[str], out: Path, rest: Sequence[str] = ()) -> None:
    """Execute one chapter with parameters.

    Parameters
    ----------
    given : what follows each `-p`: `name=value`, or a name whose value is the next of `rest`

    Raises
    ------
    BookError
        Unknown chapter, a parameter that the chapter does not have, a wrong value, or a cell that
        failed.
    """
    source = find_chapter(number)
    execute(source, Path(out).resolve(), checked(source, pairs_of(list(given), list(rest))))
