"""Chapters executed by papermill: each is a stage that its source, settings and code determine."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat
import psutil
import yaml

from viba_lib.book import paths
from viba_lib.book.chapters import as_notebook, chapters, find_chapter
from viba_lib.book.images import make_lighter
from viba_lib.book.parameters import checked, pairs_of, parameters_of
from viba_lib.book.paths import BookError, print_progress, write_changed
from viba_lib.core.cache import Cache, External, Stage, Work, digest, read_meta
from viba_lib.core.code import reached
from viba_lib.core.errors import VibaError
from viba_lib.core.files import file_sha256, user_path
from viba_lib.experiments import paper_numbers
from viba_lib.models.detectors import MODULES
from viba_lib.pipeline.profiles import KEPT_MEMORY, Profile, load_profile, profile_names
from viba_lib.pipeline.stages import Stages
from viba_lib.pipeline.status import State, state_of
from viba_lib.pipeline.study import OUTPUT

# Chapters that compute most, in this order. The chapter on faithfulness explains the frames of the
# chapter on localisation, so it starts later.
LONGEST = (
    "11_localisation", "05_injection_layer", "speed",
    "12_faithfulness", "14_open_choices", "06_bottleneck_type",
)  # fmt: skip
WORKERS = 2
LARGEST_KEPT = 128  # MiB of a tensor whose memory is kept
STAGES = "chapters"  # folder of their stages, below the profile's results


def kernel_environment(workers: int = 1, kept_memory: int = KEPT_MEMORY) -> dict[str, str]:
    """Environment of a process that computes: quiet, with its share of cores.

    Parameters
    ----------
    kept_memory : MiB of freed memory that stay with the process: glibc would give large tensors
        back to the system each time, and take new pages for the next one, which costs up to a third
        of a chapter's time. The largest ones are given back all the same, or the rest would lie in
        the gaps between them.
    """
    kept, largest = kept_memory * 2**20, min(kept_memory, LARGEST_KEPT) * 2**20
    given = {
        "MALLOC_MMAP_THRESHOLD_": str(largest),
        "MALLOC_TRIM_THRESHOLD_": str(kept),
        **os.environ,
    }
    return given | {
        # A kernel of the same name in the user's home must not win over this environment's.
        "JUPYTER_PREFER_ENV_PATH": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "TQDM_DISABLE": "1",
        "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // workers)),
        # The backend of figures in a notebook is the kernel's own choice.
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        # A kernel starts in another folder, and the module of a user's detector lies in this one.
        # It is searched last: a file with the name of one of Python's modules must not replace it.
        MODULES: str(Path.cwd()),
    }


def is_empty(output: Any) -> bool:
    """Whether an output of a cell shows nothing."""
    data = output.get("data", {"text/plain": output.get("text", "")})
    return not any(str(value).strip() for value in data.values())


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
            elif is_empty(output):
                found.append(f"cell {number} has an empty output")
    return found if outputs else [*found, "no cell has an output"]


def join_streams(notebook: Any) -> None:
    """Make one output of what a cell prints without a break, in place.

    A kernel sends what is printed every fifth of a second, wherever that falls: a line and its end
    are then two outputs, and the second looks empty.
    """
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        joined: list[Any] = []
        for output in cell.outputs:
            name = output.get("name")  # streams only
            if name and joined and joined[-1].get("name") == name:
                joined[-1].text += output.text
            else:
                joined.append(output)
        cell.outputs = joined


def stop_all() -> None:
    """Interrupt the commands that run: papermill then ends its kernel."""
    for process in psutil.Process().children():
        with suppress(psutil.Error):  # it has just ended
            process.send_signal(signal.SIGINT)


def execute(
    source: Path, target: Path, parameters: Mapping[str, Any], environment: Mapping[str, str]
) -> list[str]:
    """Execute a chapter with papermill into `target`, in the folder of the chapters.

    papermill runs as a process of its own: it changes the working folder, which threads share.

    Parameters
    ----------
    environment : see `kernel_environment`; `OUTPUT` names the folder of its tables and videos

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
    plain, executed = (
        target.with_name(f".{target.stem}.{os.getpid()}.{s}.ipynb") for s in ("in", "out")
    )
    nbformat.write(as_notebook(source), plain)
    command = [sys.executable, "-P", "-m", "papermill", "--no-progress-bar", "--log-level", "ERROR"]
    command += ["--kernel", "python3", "--cwd", str(paths.NOTEBOOKS)]
    command += ["-y", yaml.safe_dump(dict(parameters))] if parameters else []
    try:
        done = subprocess.run(
            [*command, str(plain), str(executed)],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            message = (done.stderr.strip() or done.stdout.strip()).splitlines()[-25:]
            raise BookError(f"chapter {source.stem} failed:\n" + "\n".join(message))
        notebook = nbformat.read(executed, 4)
        # Papermill notes absolute paths; a page that is published must not name the machine.
        for key in ("input_path", "output_path"):
            notebook.metadata.get("papermill", {}).pop(key, None)
        # A page cannot answer a form, and its state would load scripts from the network.
        notebook.metadata.pop("widgets", None)
        join_streams(notebook)
        nbformat.write(notebook, executed)
        executed.replace(target)
    finally:
        plain.unlink(missing_ok=True)
        executed.unlink(missing_ok=True)
    return problems_of(notebook)


def execute_chapter(
    folder: Path, work: Work, *, source: Path, parameters: Mapping[str, Any], **counted: Any
) -> None:
    """Execute a chapter for its stage; its tables and videos go into the same folder.

    Parameters
    ----------
    counted : settings that count in the key; the chapter reads them itself

    Raises
    ------
    BookError
        A cell failed, was not executed or wrote to stderr, or no cell has an output. The notebook
        is then kept as `<chapter>.trial.ipynb`.
    """
    # A run that was stopped may have left tables that this one does not write.
    shutil.rmtree(folder)
    folder.mkdir()
    work.progress(f"{source.stem}: starts")
    target = folder / f"{source.stem}.ipynb"
    kept = counted.get("profile", {}).get("kept_memory", KEPT_MEMORY)
    environment = kernel_environment(WORKERS, kept) | {OUTPUT: str(folder)}
    problems = execute(source, target, parameters, environment)
    if problems:
        trial = target.rename(target.with_suffix(".trial.ipynb"))
        found = "; ".join(problems)
        raise BookError(f"chapter {source.stem} ran, but: {found}; it is kept as {trial}")
    # Here and not when pages are assembled: it takes seconds a chapter, and is done once.
    notebook = nbformat.read(target, 4)
    make_lighter(notebook)
    nbformat.write(notebook, target)


def _data_digest(profile: Profile, seed: int) -> str:
    """Digest of the data set; "" if it is not there, which the stages before a chapter report."""
    try:
        return Stages(profile, seed, paths.ROOT / "data").dataset.digest
    except VibaError:
        return ""


def chapter_stage(source: Path, profile: str, seed: int, device: str) -> Stage:
    """An executed chapter with its tables and videos, as a stage.

    Only parameters that differ from the chapter's own are given: papermill then adds no cell to a
    page that shows the defaults anyway.
    """
    defaults, loaded = parameters_of(source), load_profile(profile)
    if profile not in profile_names():
        # A chapter runs in its own folder, and a page must not name the machine.
        profile = os.path.relpath(user_path(profile), paths.NOTEBOOKS)
    given = {"profile": profile, "seed": seed, "device": device}
    settings = {
        "parameters": {name: v for name, v in given.items() if defaults.get(name) != v},
        "profile": loaded.model_dump(mode="json"),
        "data": _data_digest(loaded, seed),
    }
    # Prose counts through the hash of the text, the library through the code that it reaches.
    inputs = {"source": External(source, file_sha256(source))}
    if any(module == paper_numbers.__name__ for module, _ in reached(source)):
        folder = Path(str(paper_numbers.FOLDER))  # numbers of the paper and of reference runs
        hashes = [(file.name, file_sha256(file)) for file in sorted(folder.iterdir())]
        inputs["tables"] = External(folder, digest(hashes))
    return Stage(f"{STAGES}/{source.stem}", execute_chapter, settings, inputs, uses=(source,))


def chapter_stages(
    profile: str, seed: int, device: str, sources: Sequence[Path] = ()
) -> list[Stage]:
    """Stages of chapters, in order; `sources` left out means all of them."""
    return [chapter_stage(source, profile, seed, device) for source in sources or chapters()]


def chapter_cache(profile: str) -> Cache:
    """The cache of executed chapters: the results that chapters write to by default."""
    folder = paths.ROOT / "results" / load_profile(profile).name
    return Cache(folder, Work(print_progress))


def chapter_states(profile: str, seed: int, device: str) -> Iterator[State]:
    """State of each chapter's executed notebook and of the tables and videos that it wrote."""
    cache = chapter_cache(profile)
    for stage in chapter_stages(profile, seed, device):
        yield state_of(stage, cache.folder(stage))


def _executed(cache: Cache, stage: Stage) -> Path:
    """Path of an executed chapter; its tables and videos are copied to the profile's results."""
    name = Path(stage.name).name
    before = read_meta(cache.folder(stage))
    folder = cache.get(stage)
    if read_meta(folder) == before:
        print_progress(f"{name}: unchanged")
    for path in sorted(folder.glob("*/**/*")):
        if path.is_file():
            write_changed(cache.root / path.relative_to(folder), path.read_bytes())
    return folder / f"{name}.ipynb"


def _turn(stage: Stage) -> tuple[int, str]:
    """Order in which chapters start: a long one that starts last leaves a core idle."""
    name = Path(stage.name).name
    return (LONGEST.index(name) if name in LONGEST else len(LONGEST), name)


def execute_all(
    profile: str,
    seed: int,
    device: str,
    sources: Sequence[Path] = (),
    beside: Callable[[], None] = lambda: None,
) -> list[Path]:
    """Executed chapters, two at a time; failures are reported when all are done.

    An interrupt stops the running chapters; finished ones are kept.

    Parameters
    ----------
    sources : left out means all chapters
    beside : more work, which is done after the long chapters have started
    """
    stages, cache = chapter_stages(profile, seed, device, sources), chapter_cache(profile)
    pool = ThreadPoolExecutor(WORKERS)
    try:
        in_turn = sorted(stages, key=_turn)
        first, others = in_turn[: len(LONGEST)], in_turn[len(LONGEST) :]
        started = {s.name: pool.submit(_executed, cache, s) for s in first}
        more = pool.submit(beside)
        started |= {s.name: pool.submit(_executed, cache, s) for s in others}
        jobs = [started[stage.name] for stage in stages]
        errors = [*(job.exception() for job in jobs), more.exception()]
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        stop_all()
        raise
    pool.shutdown()
    failures = [error for error in errors if error is not None]
    for error in failures:
        if not isinstance(error, VibaError):
            raise error
    if failures:
        raise BookError("\n\n".join(map(str, failures)))
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
    values = checked(source, pairs_of(list(given), list(rest)))
    if out.is_dir() or out.suffix != ".ipynb":
        raise BookError(
            f"--out is {out}; expected the path of a notebook, such as {source.stem}.ipynb"
        )
    execute(source, out.resolve(), values, kernel_environment())
