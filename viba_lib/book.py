"""Build the book: stages, chapters through papermill, HTML, and checks of the built pages."""

import argparse
import ast
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import jupytext
import nbformat
import papermill
from bs4 import BeautifulSoup

from viba_lib.errors import VibaError
from viba_lib.study import Study

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
COMMON = ("profile", "data_root", "results_root", "device", "seed")
_START = time.perf_counter()


class BookError(VibaError):
    """A chapter failed, a pair disagrees, or a built page is not as it should be."""


def say(line: str) -> None:
    """One line of progress with the time since the start."""
    passed = int(time.perf_counter() - _START)
    print(f"[{passed // 60:02d}:{passed % 60:02d}] {line}", flush=True)


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
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"{source.stem[:2]}-{number:03d}"
    return notebook


def write_pairs() -> None:
    """Write the `.ipynb` of each pair from its `.py`."""
    for source in chapters():
        target = source.with_suffix(".ipynb")
        text = nbformat.writes(as_notebook(source), indent=1) + "\n"
        if not target.is_file() or target.read_text(encoding="utf-8") != text:
            target.write_text(text, encoding="utf-8")
            say(f"wrote {target.name}")


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


def _code_hash() -> str:
    digest = hashlib.sha256()
    folder = ROOT / "viba_lib"
    for path in sorted([*folder.rglob("*.py"), *folder.rglob("*.yaml")]):
        if path.name not in ("book.py", "cli.py"):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def execute(source: Path, target: Path, parameters: dict[str, Any]) -> None:
    """Execute a chapter with papermill into `target`; written aside, so it is whole or absent.

    Raises
    ------
    BookError
        A cell failed, or a stored output is an error.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_suffix(".part.ipynb")
    plain = target.with_suffix(".in.ipynb")
    nbformat.write(as_notebook(source), plain)
    try:
        papermill.execute_notebook(
            str(plain), str(aside), parameters=parameters, cwd=str(NOTEBOOKS),
            progress_bar=False, kernel_name="python3", request_save_on_cell_execute=False,
        )  # fmt: skip
    except papermill.PapermillExecutionError as error:
        raise BookError(f"chapter {source.stem} failed: {error}") from error
    finally:
        plain.unlink(missing_ok=True)
    notebook = nbformat.read(aside, 4)
    # Papermill notes absolute paths; a page that is published must not name the machine.
    for key in ("input_path", "output_path"):
        notebook.metadata.get("papermill", {}).pop(key, None)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                raise BookError(f"chapter {source.stem} stored an error: {output.evalue}")
        if cell.cell_type == "code":
            kept = [o for o in cell.outputs if o.get("name") != "stderr"]
            cell["outputs"] = kept
    nbformat.write(notebook, aside)
    aside.replace(target)


def execute_cached(source: Path, profile: str, seed: int, device: str) -> Path:
    """Executed chapter, from the cache where nothing that makes it changed."""
    key = hashlib.sha256(
        json.dumps(
            [source.read_text(encoding="utf-8"), profile, seed, device, _code_hash()]
        ).encode()
    ).hexdigest()[:16]
    target = ROOT / "results" / Path(profile).stem / "chapters" / key / f"{source.stem}.ipynb"
    if target.is_file():
        say(f"{source.stem}: unchanged")
        return target
    start = time.perf_counter()
    execute(source, target, {"profile": profile, "seed": seed, "device": device})
    say(f"{source.stem}: executed in {time.perf_counter() - start:.0f} s")
    return target


def run_chapter(number: str, given: Sequence[str], out: Path) -> None:
    """Execute one chapter with parameters `name=value`.

    Raises
    ------
    BookError
        Unknown chapter, or a parameter that the chapter does not have.
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


def _copy(source: Path, target: Path) -> None:
    """Copy where the content differs, so that Sphinx builds only pages that changed."""
    if target.is_file() and target.read_bytes() == source.read_bytes():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def stage(executed: Sequence[Path]) -> Path:
    """Lay executed chapters over the book's sources in `_build/stage`."""
    folder = ROOT / "_build" / "stage"
    wanted = {}
    for name in ("_config.yml", "_toc.yml"):
        wanted[folder / name] = ROOT / name
    for path in (ROOT / "book").rglob("*"):
        if path.is_file():
            wanted[folder / path.relative_to(ROOT)] = path
    for path in executed:
        wanted[folder / "notebooks" / path.name] = path
    for target, source in wanted.items():
        _copy(source, target)
    for path in folder.rglob("*"):
        if (
            path.is_file()
            and path not in wanted
            and "_build" not in path.parts[len(folder.parts) :]
        ):
            path.unlink()
    return folder


def render(folder: Path) -> Path:
    """Build the HTML; a warning fails the build."""
    command = [sys.executable, "-m", "jupyter_book.cli.main", "build", str(folder), "--path-output",
               str(ROOT), "-W", "--keep-going", "-q"]  # fmt: skip
    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        lines = [x for x in (done.stdout + done.stderr).splitlines() if x.strip()]
        raise BookError("the HTML did not build:\n" + "\n".join(lines[-40:]))
    return ROOT / "_build" / "html"


def build(profile: str = "quick", seed: int = 0, device: str = "cpu") -> Path:
    """Compute, execute and render; what did not change is not done again."""
    say(f"profile {profile}, seed {seed}, device {device}")
    check_pairs()
    study = Study(profile, ROOT / "data", ROOT / "results", device, seed, say)
    study.run_all()
    say("stages done; executing chapters")
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(execute_cached, s, profile, seed, device) for s in chapters()]
        executed = [job.result() for job in jobs]
    say("building HTML")
    folder = stage(executed)
    html = render(folder)
    check(html)
    say(f"done: open {html.relative_to(ROOT)}/index.html")
    return html


# ---- checks of the built pages -------------------------------------------------------------------


def page_problems(path: Path, html: Path) -> list[str]:
    """What is wrong with one built page."""
    text = path.read_text(encoding="utf-8")
    page = BeautifulSoup(text, "html.parser")
    article = page.find("article") or page
    problems = []
    for image in article.find_all("img"):
        alt = (image.get("alt") or "").strip()
        if not alt or re.fullmatch(r"(\.\./)*_images/.*", alt):
            problems.append(f"picture without alt text: {image.get('src', '')[:60]}")
    for figure in article.find_all("figure"):
        if not figure.find("figcaption"):
            problems.append("figure without caption")
    for video in article.find_all("video"):
        if not video.has_attr("controls") or video.has_attr("autoplay"):
            problems.append("video without controls, or one that starts by itself")
        if not video.get("aria-label"):
            problems.append("video without a description")
    if "Traceback (most recent call last)" in article.get_text():
        problems.append("a traceback")
    for folder in {str(ROOT), str(Path.home())} - {"/"}:
        if f"{folder}/" in text:
            problems.append(f"a path of the building machine: {folder}")
    for link in article.find_all("a", href=True):
        target = urlparse(link["href"])
        if target.scheme or target.netloc or not target.path:
            continue
        if not (path.parent / unquote(target.path)).resolve().exists():
            problems.append(f"dead link {link['href']}")
    if re.fullmatch(r"\d\d_.*", path.stem) and path.parent.name == "notebooks":
        if not article.find(class_="viba-banner") and "paper" not in text:
            problems.append("no banner")
        if not article.find(class_="viba-provenance"):
            problems.append("no provenance")
        if not article.find("img") and not article.find("video"):
            problems.append("no figure")
    return problems


def check(html: Path) -> None:
    """Check every built page; raises BookError with all that was found."""
    pages = [p for p in sorted(html.rglob("*.html")) if "_static" not in p.parts]
    built = {p.stem for p in pages}
    found = [f"{s.stem} was not built" for s in chapters() if s.stem not in built]
    for path in pages:
        if path.name in ("genindex.html", "search.html"):
            continue
        found += [f"{path.relative_to(html)}: {p}" for p in page_problems(path, html)]
    if found:
        raise BookError("the built pages have problems:\n" + "\n".join(found[:60]))
    say(f"checked {len(pages)} pages: links, alt text, captions, provenance")


def main() -> None:
    """`python -m viba_lib.book build|check|notebooks`."""
    parser = argparse.ArgumentParser(description="Build and check the book.")
    parser.add_argument("command", choices=("build", "check", "notebooks"))
    parser.add_argument("--profile", default="quick")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    try:
        if given.command == "build":
            build(given.profile, given.seed, given.device)
        elif given.command == "check":
            check_pairs()
            check(ROOT / "_build" / "html")
        else:
            write_pairs()
    except VibaError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
