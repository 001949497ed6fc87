"""The assembled book: sources, executed chapters and generated files."""

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
import yaml
from nbformat import v4

from viba_lib.book import paths
from viba_lib.book.chapters import find_chapter, key_of
from viba_lib.book.execute import STAGES, kernel_environment
from viba_lib.book.exercises import tagged
from viba_lib.book.parameters import parameters_page
from viba_lib.book.paths import BookError, fill_template, package_folder, write_changed
from viba_lib.book.repository import UNKNOWN, repository, with_repository
from viba_lib.book.slides import revealjs, slides_page
from viba_lib.book.students import student_notebook, without_solutions
from viba_lib.core.cache import digest, read_meta
from viba_lib.core.files import file_sha256, write_text
from viba_lib.core.progress import format_duration

STATIC = "book/_static"
WORDS_PER_MINUTE = 200
PROFILES = ("quick", "standard", "paper")
TIME, MATERIALS = "<!-- time -->", "<!-- teaching materials -->"
PDF, VIDEO, EXAMPLE = "<!-- pdf -->", "<!-- video -->", "<!-- example -->"
CAPTION = f"{STATIC}/front.txt"  # of the example on the front page
TITLE = re.compile(r'^[\s"]*# (.*)', re.MULTILINE)  # in Markdown, and in a line of a notebook
FRONT = "xception-fake"  # the video on the front page


def mathjax() -> dict[str, Path]:
    """Files of MathJax by their path in it, so that formulas are set without a network."""
    source = package_folder("sphinx-mathjax-offline") / "static" / "mathjax"
    fonts = source / "output" / "chtml" / "fonts" / "woff-v2"
    files = [source / "tex-chtml.js", *fonts.glob("*.woff")]
    return {str(f.relative_to(source)): f for f in files}


def reading_minutes(notebook: Any) -> int:
    """Minutes to read the prose of a chapter, without its code and solutions."""
    text = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    words = re.findall(r"\w+", without_solutions(text, False)[0])
    return max(1, round(len(words) / WORDS_PER_MINUTE))


def running_seconds(stem: str, results: Path) -> dict[str, float]:
    """Seconds that a chapter last took, by profile; profiles that were not run are absent."""
    found = {}
    for profile in PROFILES:
        metas = list((results / profile / STAGES / stem).glob("*/meta.json"))
        newest = max(metas, key=lambda path: path.stat().st_mtime, default=None)
        if newest and (meta := read_meta(newest.parent)):
            found[profile] = float(meta["seconds"])
    return found


def time_line(notebook: Any, seconds: Mapping[str, float]) -> str:
    """What a chapter costs its reader and its machine."""
    timed = {p: format_duration(seconds[p]) for p in PROFILES if p in seconds}
    absent = [p for p in PROFILES if p not in seconds]
    reading = reading_minutes(notebook)
    return fill_template("time.md", reading=reading, timed=timed, absent=absent)


def decorated(notebook: Any, stem: str, seconds: Mapping[str, float], videos: Sequence[str]) -> Any:
    """An executed chapter with its times and links to what belongs to it."""
    position = len(notebook.cells)
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown" and TIME in cell.source:
            cell.source = cell.source.replace(TIME, time_line(notebook, seconds))
        elif "provenance_html" in cell.source:
            position = number
    links = v4.new_markdown_cell(fill_template("links.md", stem=stem, videos=videos))
    links["id"] = f"{key_of(stem)}-links"
    notebook.cells.insert(position, links)
    return notebook


def chapter_files(executed: Path, results: Path, videos: Sequence[str]) -> dict[str, str]:
    """What an executed chapter puts in the book, by path: page, notebooks and slides."""
    stem, notebook = executed.stem, nbformat.read(executed, 4)
    notebook.cells = [cell for cell in notebook.cells if not tagged(cell, "hidden")]
    text = nbformat.writes(notebook, indent=1) + "\n"
    slides, student = slides_page(notebook), student_notebook(find_chapter(stem))
    own = videos if "relevance_videos" in stem else ()
    page = decorated(notebook, stem, running_seconds(stem, results), own)
    return {
        f"{STATIC}/executed/{stem}.ipynb": text,
        f"{STATIC}/teaching/slides/{stem}.html": slides,
        f"{STATIC}/teaching/student/{stem}.ipynb": nbformat.writes(student, indent=1),
        f"notebooks/{stem}.ipynb": nbformat.writes(page, indent=1),
    }


def _markers(
    executed: Sequence[Path], generated: Mapping[str, Path | str], pdf: bool, address: str
) -> dict[str, str]:
    """What the build puts in the markers of pages of prose."""
    caption = generated.get(CAPTION, "")
    return {
        PDF: 'As one file: <a href="../viba.pdf">the book as PDF</a>.' if pdf else "",
        VIDEO: fill_template("video.html", video=FRONT) if FRONT in _videos(generated) else "",
        EXAMPLE: fill_template("front.md", caption=caption) if caption else "",
        MATERIALS: fill_template("materials.md", stems=[path.stem for path in executed]),
        UNKNOWN: address,
    }


def _videos(generated: Mapping[str, Path | str]) -> list[str]:
    return [Path(name).stem for name in generated if name.endswith(".mp4")]


def _filled(path: Path, markers: Mapping[str, str]) -> str | Path:
    """A page of prose with its markers replaced; another file as it is."""
    if path.suffix != ".md":
        return path
    text = path.read_text(encoding="utf-8")
    for marker, content in markers.items():
        text = text.replace(marker, content)
    return text


def assemble(
    executed: Sequence[Path],
    root: Path | None = None,
    generated: Mapping[str, Path | str] | None = None,
    pdf: bool = False,
) -> Path:
    """Lay executed chapters over the book's sources in `_build/book`.

    Only files whose content differs are written, and those that belong to no page are removed.

    Parameters
    ----------
    generated : files of the run, or their text, by their path in the book
    pdf : whether the front page links to the book as PDF
    """
    root, generated = root or paths.ROOT, generated or {}
    folder = root / "_build" / "book"
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    found = repository(root)
    config = with_repository(config, found)
    wanted: dict[str, Path | str] = {"_config.yml": yaml.safe_dump(config)}
    wanted["_toc.yml"] = root / "_toc.yml"
    markers = _markers(executed, generated, pdf, found.get("url", UNKNOWN))
    for path in (root / "book").rglob("*"):
        if path.is_file():
            wanted[path.relative_to(root).as_posix()] = _filled(path, markers)
    for path in executed:
        wanted |= chapter_files(path, root / "results", _videos(generated))
    for package, files in (("mathjax", mathjax()), ("revealjs", revealjs())):
        wanted |= {f"{STATIC}/{package}/{name}": path for name, path in files.items()}
    if executed:
        wanted["book/parameters.md"] = parameters_page()
    wanted |= generated
    _lay(folder, wanted)
    return folder


def _forget_pages(folder: Path) -> None:
    """Remove built pages: Sphinx builds again only those whose own source changed."""
    for name in (".doctrees", "html", "singlehtml"):
        shutil.rmtree(folder / name, ignore_errors=True)


def _titles(folder: Path) -> dict[str, str]:
    """First heading of each page, as the sidebar of every page shows it."""
    pages = [*folder.rglob("*.md"), *(folder / "notebooks").glob("*.ipynb")]
    found = {p: TITLE.search(p.read_text(encoding="utf-8")) for p in pages}
    return {p.relative_to(folder).as_posix(): m[1] for p, m in found.items() if m}


def _lay(folder: Path, wanted: Mapping[str, Path | str]) -> None:
    """Write what differs, and remove what is not wanted."""
    titles, shared = _titles(folder), False
    for name, content in wanted.items():
        data = content if isinstance(content, str) else content.read_bytes()
        shared |= write_changed(folder / name, data) and name in ("_toc.yml", "_config.yml")
    now = _titles(folder)
    if shared or any(now.get(name) != titles[name] for name in titles.keys() & wanted.keys()):
        _forget_pages(folder.parent)  # every page has the sidebar and the settings
    for path in [p for p in folder.rglob("*") if p.is_file()]:
        if path.relative_to(folder).as_posix() not in wanted:
            path.unlink()


def render(folder: Path, root: Path | None = None, builder: str = "html") -> Path:
    """Build the HTML of an assembled book in `_build/html`; a warning fails the build.

    Nothing is done if neither the book nor the library has changed since.

    Parameters
    ----------
    builder : `html` for pages, `singlehtml` for the whole book as one page, `linkcheck` for
        `output.json` with the state of each address outside the book

    Returns
    -------
    The folder of the pages.
    """
    root = root or paths.ROOT
    html = root / "_build" / ("html" if builder == "linkcheck" else builder)
    finished, content = root / "_build" / f".{builder}.finished", _content(folder, root)
    same = finished.is_file() and finished.read_text(encoding="utf-8") == content
    if same and (html / "index.html").is_file() and builder != "linkcheck":
        return html
    begun = root / "_build" / f".{builder}.begun"
    if begun.is_file():
        # It was stopped while it wrote: Sphinx takes a page that exists for complete.
        _forget_pages(root / "_build")
    write_text(begun, "")
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build"]
    command += [str(folder), "--path-output", str(root), "-n", "--keep-going", "-q"]
    command += ["--builder", builder] if builder != "html" else ["-W"]
    environment = kernel_environment() | {"PYTHONWARNINGS": "ignore", "NO_COLOR": "1"}
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    begun.unlink()
    if builder == "linkcheck" and (html / "output.json").is_file():
        return html  # its exit status says that an address is broken; the caller reads it
    if done.returncode or not (html / "index.html").is_file():
        lines = [x for x in (done.stdout + done.stderr).splitlines() if x.strip(" =")]
        shown = [x for x in lines if re.search("WARNING|ERROR|rror:", x)][:40] or lines[-40:]
        raise BookError("the HTML did not build:\n" + "\n".join(shown))
    write_text(finished, content)
    return html


def _content(folder: Path, root: Path) -> str:
    """Hash of all that pages are made from: assembled book, docstrings, versions of packages."""
    files = [*folder.rglob("*"), *(root / "viba_lib").rglob("*.py"), root / "requirements.lock"]
    return digest([(str(path), file_sha256(path)) for path in sorted(files) if path.is_file()])
