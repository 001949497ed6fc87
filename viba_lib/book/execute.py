"""Chapters executed by papermill, from the cache where nothing that makes one changed."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nbformat
import yaml

from viba_lib.book import places
from viba_lib.book.pairs import as_notebook, chapters, find_chapter
from viba_lib.book.parameters import checked, pairs_of, parameters_of
from viba_lib.book.places import BookError, say
from viba_lib.profiles import load_profile

LONGEST = ("15", "05", "12", "14", "06")  # chapters that compute most, in this order
WORKERS = 2


def _code_hash() -> str:
    digest = hashlib.sha256()
    folder = places.ROOT / "viba_lib"
    for path in sorted([*folder.rglob("*.py"), *folder.rglob("*.yaml")]):
        # What lays out pages, reads the command line or makes the viewer changes no chapter.
        first = path.relative_to(folder).parts[0]
        if first not in ("book", "viewer.py") and not first.startswith("cli"):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def kernel_environment(workers: int = 1) -> dict[str, str]:
    """Environment of a chapter's kernel: this interpreter's own, quiet, with its share of cores."""
    return os.environ | {
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


def execute(
    source: Path, target: Path, parameters: Mapping[str, Any], workers: int = 1
) -> list[str]:
    """Execute a chapter with papermill into `target`, in the folder of the chapters.

    papermill runs as a process of its own: it changes the working folder, which threads share.

    Returns
    -------
    What is wrong with the executed notebook, see `problems_of`.

    Raises
    ------
    BookError
        papermill's exit status is not zero. `target` is then left as it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    plain, aside = (target.with_name(f".{target.stem}.{s}.ipynb") for s in ("in", "out"))
    nbformat.write(as_notebook(source), plain)
    command = [sys.executable, "-m", "papermill", "--no-progress-bar", "--log-level", "ERROR"]
    command += ["--kernel", "python3", "--cwd", str(places.NOTEBOOKS)]
    command += ["-y", yaml.safe_dump(dict(parameters))] if parameters else []
    try:
        done = subprocess.run(
            [*command, str(plain), str(aside)],
            env=kernel_environment(workers),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
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


def execute_cached(source: Path, profile: str, seed: int, device: str) -> Path:
    """Executed chapter, from the cache where nothing that makes it changed.

    Only parameters that differ from the chapter's own are given: papermill then adds no cell to a
    page that shows the defaults anyway.

    Raises
    ------
    BookError
        A cell failed, was not run or wrote to stderr, or nothing has an output.
    """
    loaded = load_profile(profile)
    content = [source.read_text(encoding="utf-8"), loaded.model_dump(mode="json"), seed, device]
    key = hashlib.sha256(json.dumps([*content, _code_hash()]).encode()).hexdigest()[:16]
    target = places.ROOT / "results" / loaded.name / "chapters" / key / f"{source.stem}.ipynb"
    if target.is_file():
        say(f"{source.stem}: unchanged")
        return target
    start = time.perf_counter()
    say(f"{source.stem}: starts")
    defaults = parameters_of(source)
    given = {"profile": profile, "seed": seed, "device": device}
    given = {k: v for k, v in given.items() if defaults.get(k) != v}
    trial = target.with_name(f"{source.stem}.trial.ipynb")
    problems = execute(source, trial, given, WORKERS)
    if problems:
        raise BookError(
            f"chapter {source.stem} ran, but: {'; '.join(problems)}; it is kept as {trial}"
        )
    trial.replace(target)
    say(f"{source.stem}: executed in {time.perf_counter() - start:.0f} s")
    return target


def _turn(source: Path) -> tuple[int, str]:
    """Place in which a chapter is begun: one that takes long and comes last leaves a core idle."""
    number = source.stem[:2]
    return (LONGEST.index(number) if number in LONGEST else len(LONGEST), source.stem)


def execute_all(profile: str, seed: int, device: str) -> list[Path]:
    """Executed copies of all chapters, two at a time; failures are told when all are done."""
    with ThreadPoolExecutor(WORKERS) as pool:
        started = {
            source: pool.submit(execute_cached, source, profile, seed, device)
            for source in sorted(chapters(), key=_turn)
        }
        jobs = [started[source] for source in chapters()]
        errors = [str(e) for e in (job.exception() for job in jobs) if isinstance(e, BookError)]
    if errors:
        raise BookError("\n\n".join(errors))
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
