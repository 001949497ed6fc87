"""What must hold for every built page."""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup, Tag

from viba_lib.book import paths
from viba_lib.book.assemble import render
from viba_lib.book.browser import find_browser, page_reports
from viba_lib.book.chapters import chapters
from viba_lib.book.paths import BookError, print_progress
from viba_lib.book.slide_text import LIMIT, words
from viba_lib.pipeline.profiles import load_profile

CHAPTER = re.compile(r"notebooks/\w+\.html")
HEAVIEST = 5_000_000  # bytes of a page, without its videos
SHORT = 500  # bytes within which a page says that it only leads to another one


# What no page may have, by CSS selector.
WRONG = {
    "figure:not(:has(figcaption))": "figure without caption",
    "video:not([controls])": "video without controls",
    "video[autoplay]": "video that starts by itself",
    'video:not([aria-label]), video[aria-label=""]': "video without a description",
    ".output.stderr": "output on stderr",
}
# What each chapter must have.
NEEDED = {"img, video": "no figure", ".viba-provenance td": "no provenance"}
BANNER = {".viba-banner": "no banner, although its numbers are not the paper's"}


def check_article(article: Tag, needed: Mapping[str, str]) -> Iterator[str]:
    """What a page must not have, and what it lacks of `needed` (problems by CSS selector)."""
    for image in article.select("img"):
        alt = str(image.get("alt") or "").strip()
        # Sphinx puts the name of the file for an alternative text that is missing.
        if not alt or re.search(r"_images/|\.(png|svg|jpe?g|gif)$", alt):
            yield f"image without alt text: {str(image.get('src'))[:60]}"
    for selector, problem in WRONG.items():
        for tag in article.select(selector):
            yield f"{problem}: {str(tag.get('src') or tag.get_text(strip=True))[:80]}"
    if "Traceback (most recent call last)" in article.get_text():
        yield "a traceback"
    yield from (problem for selector, problem in needed.items() if not article.select(selector))


def _values(page: BeautifulSoup, *attributes: str) -> set[str]:
    tags = page.find_all(
        True
    )  # in one walk: a selector for each attribute takes four times as long
    return {str(tag[name]) for tag in tags for name in attributes if name in tag.attrs}


def check_links(path: Path, page: BeautifulSoup, known: Mapping[Path, set[str]]) -> Iterator[str]:
    """Links inside the book that lead nowhere; `known` are the ids of each page."""
    for target in sorted(_values(page, "href", "src")):
        parts = urlsplit(target)
        if parts.scheme or parts.netloc or target in ("", "#"):
            continue
        page_path = (path.parent / unquote(parts.path)).resolve() if parts.path else path.resolve()
        anchors = known.get(page_path)
        if not page_path.is_file():
            yield f"dead link {target}"
        elif parts.fragment and anchors is not None and unquote(parts.fragment) not in anchors:
            yield f"dead link {target}: the page has no such anchor"


def check_paths(html: Path) -> Iterator[str]:
    """Built files that name the machine they were built on."""
    home = Path.home()
    own = [f"{paths.ROOT}/", f"{sys.prefix}/", *([f"{home}/"] if len(home.parts) > 1 else [])]
    for path in sorted(html.rglob("*")):
        if path.suffix in (".html", ".ipynb", ".md", ".txt", ".json", ".js"):
            text = path.read_text(encoding="utf-8", errors="replace")
            for prefix in own:
                if prefix in text:
                    yield f"{path.relative_to(html)}: a path of the building machine: {prefix}"


def page_problems(html: Path, banner: bool = True) -> list[str]:
    """Everything that is wrong with built pages; each line begins with the page."""
    pages = {p: BeautifulSoup(p.read_text(encoding="utf-8"), "html.parser") for p in articles(html)}
    known = {path.resolve(): _values(page, "id", "name") for path, page in pages.items()}
    found: list[str] = []
    for path, page in pages.items():
        name = path.relative_to(html).as_posix()
        needed = NEEDED | (BANNER if banner else {}) if CHAPTER.fullmatch(name) else {}
        lines = list(check_article(page.select_one("article") or page, needed))
        lines += [*check_links(path, page, known), *check_launch(page), *check_weight(path, page)]
        found += [f"{name}: {line}" for line in lines]
    for path in decks(html):
        found += [f"{path.name} (slides): {line}" for line in check_slides(path.read_text("utf-8"))]
    return found + list(check_paths(html))


def check_weight(path: Path, page: BeautifulSoup) -> Iterator[str]:
    """Pages that weigh more than 5 MB with their images and without their videos."""
    weight = len(str(page).encode()) - sum(len(str(video)) for video in page.select("video"))
    for image in page.select("img[src]"):
        file = path.parent / unquote(str(image["src"]))
        if not str(image["src"]).startswith("data:") and file.is_file():
            weight += file.stat().st_size
    if weight > HEAVIEST:
        yield f"weighs {weight / 1e6:.1f} MB, more than {HEAVIEST / 1e6:.0f}"


def check_launch(page: BeautifulSoup) -> Iterator[str]:
    """Launch buttons that open a notebook which the repository does not have."""
    for button in page.select(".dropdown-launch-buttons a[href]"):
        found = re.search(r"(notebooks/[\w.]+\.ipynb)", unquote(str(button["href"])))
        if found and not (paths.ROOT / found[1]).is_file():
            yield f"a launch button opens {found[1]}, which does not exist"


def articles(html: Path) -> list[Path]:
    """Built pages that are pages of the book, without those that only lead to another page."""
    skipped = ("genindex.html", "search.html", "py-modindex.html")
    pages = [p for p in sorted(html.rglob("*.html")) if p.name not in skipped]
    pages = [p for p in pages if "_static" not in p.relative_to(html).parts]
    return [p for p in pages if b'http-equiv="refresh"' not in p.read_bytes()[:SHORT]]


def decks(html: Path) -> list[Path]:
    """Built slides of the chapters."""
    return sorted((html / "_static" / "teaching" / "slides").glob("*.html"))


def check_slides(text: str) -> Iterator[str]:
    """Slides of a chapter with too many words or without notes for the speaker."""
    sections = BeautifulSoup(re.sub(r'"data:[^"]*"', '""', text), "html.parser").select("section")
    if not sections:
        yield "no slides"
    for number, section in enumerate(sections, 1):
        title = section.h2.get_text() if section.h2 else ""
        count, notes = words(str(section)), section.select_one("aside.notes")
        if count > LIMIT:
            yield f"slide {number} ({title}) has {count} words, more than {LIMIT}"
        if notes is None or not notes.get_text(strip=True):
            yield f"slide {number} ({title}) has no notes"


def check(html: Path, profile: str = "quick") -> None:
    """Check every built page; raises BookError with all that was found."""
    if not (html / "index.html").is_file():
        raise BookError(f"no built book in {html}; build it with `make book`")
    built = {p.stem for p in (html / "notebooks").glob("*.html")}
    found = [f"{s.stem} was not built" for s in chapters() if s.stem not in built]
    found += page_problems(html, banner=load_profile(profile).name != "paper")
    browser = find_browser()
    if browser is None:
        print_progress("SKIPPED: no Chromium here, so no page was checked in a browser")
    else:
        found += page_reports(html, [*articles(html), *decks(html)], browser)
    if found:
        raise BookError("the built pages have problems:\n" + "\n".join(found[:60]))
    print_progress(f"checked {len(chapters())} chapters and the pages around them: all is in order")


def check_addresses(assembled: Path) -> None:
    """Ask for every address outside the book; raises BookError with those that fail."""
    if not (assembled / "_config.yml").is_file():
        raise BookError(f"no assembled book in {assembled}; build it with `make book`")
    folder = render(assembled, builder="linkcheck")
    rows = (folder / "output.json").read_text(encoding="utf-8").splitlines()
    found = [json.loads(row) for row in rows]
    failed = [row for row in found if row["status"] in ("broken", "timeout")]
    if failed:
        lines = [f"{r['filename']}:{r['lineno']}: {r['uri']}: {r['info']}" for r in failed]
        raise BookError("addresses that cannot be reached:\n" + "\n".join(lines))
    print_progress(f"asked for {len(found)} addresses: all are there")
