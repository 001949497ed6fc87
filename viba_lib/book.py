"""The book: pair, execute, stage, render and check.

A chapter's source is `notebooks/NN_name.py`. papermill executes the notebook that it stands for;
the executed copy is laid over a staged book, which Jupyter Book renders without running anything.
"""

import argparse
import ast
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import jupytext
import nbformat
import yaml
from bs4 import BeautifulSoup, Tag

from viba_lib.data.sources.packages import KERAS_XCEPTION, STANDARD_FILES
from viba_lib.errors import VibaError
from viba_lib.files import write_text
from viba_lib.profiles import load_profile
from viba_lib.study import Study

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
LONGEST = ("15", "05", "12", "14", "06")  # chapters that compute most, in this order
WORKERS = 2
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
_START = time.perf_counter()


class BookError(VibaError):
    """A chapter failed, a pair disagrees, or a built page is not as it should be."""


def say(line: str) -> None:
    """One line of progress with the time since the start."""
    passed = int(time.perf_counter() - _START)
    print(f"[{passed // 60:02d}:{passed % 60:02d}] {line}", flush=True)


def _write(path: Path, text: str) -> bool:
    """Write aside and rename, unless the file holds that text; Sphinx builds what is newer."""
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    write_text(path, text)
    return True


# ---- pairs ---------------------------------------------------------------------------------------


def chapters() -> list[Path]:
    """Sources of the chapters, in order."""
    found = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.py"))
    if not found:
        raise BookError(
            f"no chapters in {NOTEBOOKS}; the book builds from a checkout of the project"
        )
    return found


def find_chapter(number: str) -> Path:
    """Source of a chapter by its number, name or path."""
    wanted = Path(number).stem
    found = [p for p in chapters() if p.stem == wanted or p.stem.startswith(f"{wanted:0>2}_")]
    if len(found) != 1:
        names = ", ".join(p.stem for p in chapters())
        raise BookError(f"chapter {number!r} does not exist; choose one of {names}")
    return found[0]


def as_notebook(source: Path) -> Any:
    """Notebook without outputs that a source stands for; cell ids follow from the position."""
    notebook = jupytext.read(source)
    notebook.metadata["kernelspec"] = KERNEL
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"{source.stem[:2]}-{number:03d}"
    return notebook


def write_pairs() -> None:
    """Write the `.ipynb` of each pair from its `.py`, and the table of sources of the data set."""
    for source in chapters():
        text = nbformat.writes(as_notebook(source), indent=1) + "\n"
        if _write(source.with_suffix(".ipynb"), text):
            say(f"wrote {source.stem}.ipynb")
    page = ROOT / "book" / "dataset.md"
    if _write(page, with_sources(page.read_text(encoding="utf-8"))):
        say(f"wrote {page.name}")


def check_pairs() -> None:
    """Refuse pairs that disagree, and notebooks with outputs."""
    for source in chapters():
        target = source.with_suffix(".ipynb")
        wanted = [(c.cell_type, c.source) for c in as_notebook(source).cells]
        found = nbformat.read(target, 4) if target.is_file() else None
        if found is None or [(c.cell_type, c.source) for c in found.cells] != wanted:
            raise BookError(
                f"{target.name} does not agree with {source.name}; run `make notebooks`"
            )
        if any(cell.get("outputs") for cell in found.cells):
            raise BookError(f"{target.name} holds outputs; run `make notebooks`")


def with_sources(page: str) -> str:
    """The data set's page with the table of sources that `packages.py` lists."""
    rows = ["| File | Origin | Split | Licence |", "|---|---|---|---|"]
    for file in (*STANDARD_FILES, KERAS_XCEPTION):
        registry = "PyPI" if file.registry == "pip" else "npm"
        rows.append(
            f"| `{file.name}` in {file.package} {file.version} ({registry}), SHA-256 "
            f"`{file.sha256[:12]}…` | {file.origin} | {file.split or 'none'} | {file.licence} |"
        )
    begin, end = "<!-- sources: written by `make notebooks` -->", "<!-- end of sources -->"
    table = "\n".join([begin, "", *rows, "", end])
    pattern = re.escape(begin) + ".*?" + re.escape(end)
    return re.sub(pattern, lambda _: table, page, flags=re.DOTALL)


def parameters_of(source: Path) -> dict[str, Any]:
    """Names and defaults in the `parameters` cell of a chapter."""
    for cell in as_notebook(source).cells:
        if "parameters" in cell.metadata.get("tags", []):
            body = ast.parse(cell.source).body
            return {
                node.targets[0].id: ast.literal_eval(node.value)
                for node in body
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
            }
    raise BookError(f"{source.name} has no cell tagged 'parameters'")


# ---- execution -----------------------------------------------------------------------------------


def _code_hash() -> str:
    digest = hashlib.sha256()
    folder = ROOT / "viba_lib"
    for path in sorted([*folder.rglob("*.py"), *folder.rglob("*.yaml")]):
        if path.stem != "book" and not path.stem.startswith("cli"):
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
    command += ["--kernel", "python3", "--cwd", str(NOTEBOOKS)]
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
    target = ROOT / "results" / loaded.name / "chapters" / key / f"{source.stem}.ipynb"
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


def run_chapter(number: str, given: Sequence[str], out: Path) -> None:
    """Execute one chapter with parameters `name=value`.

    Raises
    ------
    BookError
        Unknown chapter, a parameter that the chapter does not have, or a cell that failed.
    """
    source = find_chapter(number)
    known = parameters_of(source)
    parameters: dict[str, Any] = {}
    for item in given:
        name, sep, text = item.partition("=")
        if not sep or name not in known:
            raise BookError(
                f"parameter {item!r} is not known to {source.stem}; expected name=value with one "
                f"of {', '.join(known)}"
            )
        parameters[name] = _value(name, text, known[name])
    execute(source, Path(out).resolve(), parameters)


def _value(name: str, text: str, default: Any) -> Any:
    if isinstance(default, str):
        return text
    try:
        return type(default)(ast.literal_eval(text))
    except (ValueError, SyntaxError, TypeError) as error:
        raise BookError(
            f"parameter {name} is {text!r}; expected {type(default).__name__}"
        ) from error


# ---- pages ---------------------------------------------------------------------------------------


def repository() -> tuple[str, str] | None:
    """Address and branch for launch buttons: those that a workflow runs for, if any."""
    name = os.environ.get("GITHUB_REPOSITORY")
    server = os.environ.get("GITHUB_SERVER_URL", "https://github.com")
    return (f"{server}/{name}", os.environ.get("GITHUB_REF_NAME", "main")) if name else None


def mathjax() -> dict[str, Path]:
    """Files of MathJax by their place, so that formulas are set without a network."""
    spec = importlib.util.find_spec("sphinx-mathjax-offline")
    if spec is None or spec.origin is None:
        raise BookError("sphinx-mathjax-offline is not installed; run `make env`")
    source = Path(spec.origin).parent / "static" / "mathjax"
    fonts = source / "output" / "chtml" / "fonts" / "woff-v2"
    files = [source / "tex-chtml.js", *fonts.glob("*.woff")]
    return {str(f.relative_to(source)): f for f in files}


def stage(
    executed: Sequence[Path], root: Path = ROOT, made: Mapping[str, Path] | None = None
) -> Path:
    """Lay executed chapters over the book's sources in `_build/stage`.

    Only files whose content differs are written, and those that belong to no page are removed.

    Parameters
    ----------
    made : pages that the run wrote, by their place in the book
    """
    folder = root / "_build" / "stage"
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    address = repository()
    if address:
        config["repository"] |= {"url": address[0], "branch": address[1]}
    _write(folder / "_config.yml", yaml.safe_dump(config))
    wanted = {folder / "_toc.yml": root / "_toc.yml"}
    wanted |= {folder / p.relative_to(root): p for p in (root / "book").rglob("*") if p.is_file()}
    wanted |= {folder / "notebooks" / p.name: p for p in executed}
    wanted |= {folder / place: path for place, path in (made or {}).items()}
    static = folder / "book" / "_static" / "mathjax"
    wanted |= {static / name: path for name, path in mathjax().items()}
    for target, source in wanted.items():
        if not target.is_file() or target.read_bytes() != source.read_bytes():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    for path in [p for p in folder.rglob("*") if p.is_file()]:
        if path not in wanted and path != folder / "_config.yml":
            path.unlink()
    return folder


def render(folder: Path, root: Path = ROOT) -> Path:
    """Build the HTML of a staged book in `_build/html`; a warning fails the build."""
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build"]
    command += [str(folder), "--path-output", str(root), "-W", "-n", "--keep-going", "-q"]
    environment = kernel_environment() | {"PYTHONWARNINGS": "ignore", "NO_COLOR": "1"}
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    html = root / "_build" / "html"
    if done.returncode or not (html / "index.html").is_file():
        lines = [x for x in (done.stdout + done.stderr).splitlines() if x.strip(" =")]
        shown = [x for x in lines if re.search("WARNING|ERROR|rror:", x)][:40] or lines[-40:]
        raise BookError("the HTML did not build:\n" + "\n".join(shown))
    return html


def build(profile: str = "quick", seed: int = 0, device: str = "cpu") -> Path:
    """Compute, execute, render and check; what did not change is not done again."""
    say(f"profile {profile}, seed {seed}, device {device}")
    check_pairs()
    study = Study(profile, ROOT / "data", ROOT / "results", device, seed, say)
    study.run_all()
    card = study.root / "data_card.md"
    write_text(card, study.data_card())
    say("stages done; executing chapters")
    executed = execute_all(profile, seed, device)
    say("building HTML")
    html = render(stage(executed, made={"book/data_card.md": card}))
    check(html, profile)
    say(f"done: open {html.relative_to(ROOT)}/index.html")
    return html


# ---- checks of the built pages -------------------------------------------------------------------

CHAPTER = re.compile(r"notebooks/\d\d_\w+\.html")


def check_pictures(article: Tag) -> Iterator[str]:
    """Pictures without alternative text (Sphinx puts the file's name there), or caption."""
    for image in article.select("img"):
        alt = str(image.get("alt") or "").strip()
        if not alt or re.search(r"_images/|\.(png|svg|jpe?g|gif)$", alt):
            yield f"picture without alt text: {str(image.get('src'))[:60]}"
    for figure in article.select("figure"):
        if figure.find("figcaption") is None:
            yield "figure without caption"


def check_videos(article: Tag) -> Iterator[str]:
    """Videos that a reader cannot control or a screen reader cannot name."""
    for video in article.select("video"):
        if not video.has_attr("controls"):
            yield "video without controls"
        if video.has_attr("autoplay"):
            yield "video that starts by itself"
        if not video.get("aria-label"):
            yield "video without a description"


def check_outputs(article: Tag) -> Iterator[str]:
    """Errors and warnings that a cell left on the page."""
    if "Traceback (most recent call last)" in article.get_text():
        yield "a traceback"
    for output in article.select(".output.stderr"):
        yield f"output on stderr: {output.get_text(strip=True)[:80]}"


def check_chapter(article: Tag, banner: bool) -> Iterator[str]:
    """What each chapter must have: a figure, provenance and, but for `paper`, a banner."""
    if article.select_one("img, video") is None:
        yield "no figure"
    provenance = article.select_one(".viba-provenance")
    if provenance is None or not provenance.get_text(strip=True):
        yield "no provenance"
    if banner and article.select_one(".viba-banner") is None:
        yield "no banner, although its numbers are not the paper's"


def _places(page: BeautifulSoup) -> set[str]:
    return {str(tag[key]) for key in ("id", "name") for tag in page.select(f"[{key}]")}


def check_links(path: Path, page: BeautifulSoup, places: Mapping[Path, set[str]]) -> Iterator[str]:
    """Links inside the book that lead nowhere; `places` are the ids of each page."""
    targets = {str(tag[key]) for key in ("href", "src") for tag in page.select(f"[{key}]")}
    for target in sorted(targets):
        parts = urlsplit(target)
        if parts.scheme or parts.netloc or target in ("", "#"):
            continue
        place = (path.parent / unquote(parts.path)).resolve() if parts.path else path.resolve()
        known = places.get(place)
        if not place.is_file():
            yield f"dead link {target}"
        elif parts.fragment and known is not None and unquote(parts.fragment) not in known:
            yield f"dead link {target}: the page has no such place"


def check_paths(html: Path, prefixes: Sequence[str] | None = None) -> Iterator[str]:
    """Built files that name the machine they were built on."""
    home = Path.home()
    own = [f"{ROOT}/", f"{sys.prefix}/", *([f"{home}/"] if len(home.parts) > 1 else [])]
    for path in sorted(html.rglob("*")):
        if path.suffix in (".html", ".ipynb", ".md", ".txt", ".json", ".js"):
            text = path.read_text(encoding="utf-8", errors="replace")
            for prefix in own if prefixes is None else prefixes:
                if prefix in text:
                    yield f"{path.relative_to(html)}: a path of the building machine: {prefix}"


def page_problems(html: Path, banner: bool = True) -> list[str]:
    """Everything that is wrong with built pages; each line begins with the page."""
    skipped = ("genindex.html", "search.html")
    paths = [p for p in sorted(html.rglob("*.html")) if p.name not in skipped]
    paths = [p for p in paths if "_static" not in p.relative_to(html).parts]
    pages = {p: BeautifulSoup(p.read_text(encoding="utf-8"), "html.parser") for p in paths}
    places = {path.resolve(): _places(page) for path, page in pages.items()}
    found: list[str] = []
    for path, page in pages.items():
        name = path.relative_to(html).as_posix()
        article = page.select_one("article") or page
        checks: list[Callable[[Tag], Iterator[str]]] = [check_pictures, check_videos, check_outputs]
        said = [line for check_one in checks for line in check_one(article)]
        if CHAPTER.fullmatch(name):
            said += check_chapter(article, banner)
        said += check_links(path, page, places)
        found += [f"{name}: {line}" for line in said]
    return found + list(check_paths(html))


def check(html: Path, profile: str = "quick") -> None:
    """Check every built page; raises BookError with all that was found."""
    if not (html / "index.html").is_file():
        raise BookError(f"no built book in {html}; build it with `make book`")
    built = {p.stem for p in (html / "notebooks").glob("*.html")}
    found = [f"{s.stem} was not built" for s in chapters() if s.stem not in built]
    found += page_problems(html, banner=load_profile(profile).name != "paper")
    if found:
        raise BookError("the built pages have problems:\n" + "\n".join(found[:60]))
    say(f"checked {len(built)} chapters and the pages around them: all is in order")


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m viba_lib.book build|check|notebooks`; returns the exit status."""
    parser = argparse.ArgumentParser(description="Build and check the book.")
    parser.add_argument("command", choices=("build", "check", "notebooks"))
    parser.add_argument("--profile", default="quick")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args(arguments)
    try:
        if given.command == "build":
            build(given.profile, given.seed, given.device)
        elif given.command == "check":
            check_pairs()
            check(ROOT / "_build" / "html", given.profile)
        else:
            write_pairs()
    except VibaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; finished stages and chapters are kept", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
