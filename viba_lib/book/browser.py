"""The built book in a real browser: accessible, quiet, offline, on a phone, searchable, as PDF."""

import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from playwright.sync_api import Browser, Page, Route, TimeoutError, ViewportSize, sync_playwright

from viba_lib.book import paths
from viba_lib.book.paths import print_progress
from viba_lib.core.cache import digest
from viba_lib.core.code import code_key
from viba_lib.core.files import file_sha256, write_text

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
REMOTE = ("http:", "https:")
SITE = "http://book"  # an address that is answered from the folder of the pages
LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
DESKTOP: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
SLIDE: ViewportSize = {"width": 1280, "height": 720}
SMALLEST = 240  # pixels of height that a slide leaves for a figure
INDEX = "searchindex.js"  # what pages are found by
BROWSERS = 2  # that look at pages side by side
FOOTER = """<div style="font-size:8px;width:100%;text-align:center">
<span class="pageNumber"></span></div>"""

_WIDER = """() => {
  const room = document.documentElement.clientWidth;
  const wide = document.scrollingElement.scrollWidth;
  return wide > room + 1 ? wide : 0;
}"""

_SLIDES = """([width, height, smallest]) => Reveal.getSlides().flatMap((section, number) => {
  Reveal.slide(number);
  const wide = Math.max(...[section, ...section.children].map(part => part.scrollWidth));
  const high = Math.max(...[section, ...section.children].map(part => part.scrollHeight));
  const figures = [...section.querySelectorAll("img, video")].map(part => part.clientHeight);
  const name = `slide ${number + 1} (${section.querySelector("h2").innerText})`;
  const found = [];
  if (wide > width || high > height) found.push(`${name} needs ${wide} by ${high} px`);
  if (Math.min(...figures) < smallest) found.push(`${name} has a small figure, ${figures} px high`);
  return found;
})"""
MATHJAX = "() => window.MathJax && MathJax.startup ? MathJax.startup.promise.then(() => 1) : 1"
# Letters of a figure have 12 points at 110 dots per inch, so 18 pixels, and at least 10 on a page.
_TINY = """() => [...document.querySelectorAll("figure > img")]
  .filter(image => image.naturalWidth > 0)
  .filter(image => image.getBoundingClientRect().width < 0.55 * image.naturalWidth)
  .map(image => image.alt.slice(0, 60))"""


def find_browser() -> str | None:
    """Chromium of the system, or the one that Playwright fetched; None where there is none."""
    for name in NAMES:
        if path := shutil.which(name):
            return path
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).is_file() else None


@contextmanager
def opened(browser: str) -> Iterator[Browser]:
    """A headless browser that cannot reach the network."""
    flags = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost"]
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=browser, args=flags) as running,
    ):
        yield running


def violations(page: Page, rule: str | None = None) -> list[str]:
    """What axe-core finds against WCAG 2.1, levels A and AA, or against one rule alone."""
    only = {"type": "rule", "values": [rule]} if rule else {"type": "tag", "values": LEVELS}
    # Preloading would ask for the style sheets again, which a page from a folder may not.
    # Selectors of all that is in order would take longer than the checks.
    options = {"runOnly": only, "preload": False, "resultTypes": ["violations"]}
    # Imported here: it reads its files as the machine's language has them, and without one in UTF-8
    # it would keep chapters from being executed.
    from axe_playwright_python.sync_playwright import Axe

    found = []
    for broken in Axe().run(page, options=options).response["violations"]:
        elements = [" ".join(map(str, node["target"])) for node in broken["nodes"][:3]]
        rule = f"{broken['id']} ({broken['impact']}): {broken['help']}"
        found.append(f"{rule}: {'; '.join(elements)}")
    return found


def look_at(browser: Browser, path: Path) -> list[str]:
    """Problems of one page: violations, errors, asking the network, too wide for a phone."""
    context = browser.new_context(viewport=DESKTOP, color_scheme="light")
    page = context.new_page()
    found = _heard(page)
    page.goto(path.as_uri(), wait_until="load")
    page.wait_for_timeout(300)
    found += violations(page)
    page.set_viewport_size(PHONE)
    found += on_a_phone(page)
    page.emulate_media(color_scheme="dark")
    page.reload(wait_until="load")
    page.wait_for_timeout(400)  # colours fade in
    found += [f"in dark mode: {line}" for line in on_a_phone(page)]
    page.set_viewport_size(DESKTOP)
    found += [f"in dark mode: {line}" for line in violations(page, "color-contrast")]
    context.close()
    return found


def _heard(page: Page) -> list[str]:
    """A list to which a page adds its errors, and what it asks the network for."""
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(f"script error: {error}"))
    page.on("console", lambda m: found.append(f"console: {m.text}") if m.type == "error" else None)
    page.on(
        "request",
        lambda r: (
            found.append(f"asks the network for {r.url[:100]}")
            if r.url.startswith(REMOTE)
            else None
        ),
    )
    return found


def look_at_slides(browser: Browser, path: Path) -> list[str]:
    """Problems of the slides of a chapter: errors, asking the network, slides that overflow."""
    page = browser.new_page(viewport=SLIDE)
    found = _heard(page)
    page.goto(path.as_uri(), wait_until="load")
    page.evaluate(MATHJAX)
    found += page.evaluate(_SLIDES, [SLIDE["width"], SLIDE["height"], SMALLEST])
    page.close()
    return found


def is_deck(path: Path) -> bool:
    """Whether a built page has the slides of a chapter."""
    return path.parent.name == "slides"


def on_a_phone(page: Page) -> list[str]:
    """What does not fit on a phone, on a page that is shown in its size."""
    found = []
    if wide := page.evaluate(_WIDER):
        found.append(f"{wide} px wide on a phone of {PHONE['width']} px")
    found += [
        f"letters of a figure are too small on a phone: {alt}" for alt in page.evaluate(_TINY)
    ]
    return found


def page_reports(html: Path, pages: Sequence[Path], browser: str) -> list[str]:
    """What is wrong with built pages in a browser; each line begins with the page.

    A page in which nothing was wrong is looked at again when it or these checks have changed.
    """
    seen, checks = html.parent / "seen", code_key(look_at, look_at_slides, search)
    index = html / INDEX
    hashes = {path: file_sha256(path) for path in [*pages, index] if path.is_file()}
    # Names of style sheets and scripts in a page contain their hash.
    marks = {path: seen / digest([checks, hashes.get(path)]) for path in [*pages, index]}
    new = [path for path in marks if not marks[path].is_file()]

    def reports(part: Sequence[Path]) -> list[str]:
        found = []
        with opened(browser) as running:
            for path in part:
                look = look_at_slides if is_deck(path) else look_at
                problems = search(running, html) if path == index else look(running, path)
                name = path.relative_to(html).as_posix()
                found += [f"{name}: {line}" for line in dict.fromkeys(problems)]
                if not problems:
                    write_text(marks[path], path.name)
        return found

    parts = [new[start::BROWSERS] for start in range(min(BROWSERS, len(new)))]
    with ThreadPoolExecutor(BROWSERS) as pool:
        return sorted(line for lines in pool.map(reports, parts) for line in lines)


def search(browser: Browser, html: Path, patience: int = 20_000) -> list[str]:
    """Problems of the search, in pages as a site would serve them.

    From a folder, Sphinx shows no excerpts.
    """

    def answer(route: Route) -> None:
        path = html / unquote(urlsplit(route.request.url).path[1:])
        if path.is_file():
            route.fulfill(path=path)
        else:
            route.fulfill(status=404, body="not found")

    page = browser.new_page()
    page.route(f"{SITE}/**", answer)
    page.goto(f"{SITE}/search.html?q=bottleneck", wait_until="load")
    try:
        page.wait_for_selector("#search-results li", timeout=patience)
    except TimeoutError:
        return ["a search for 'bottleneck' finds nothing"]
    finally:
        page.close()
    return []


def write_pdf(folder: Path, target: Path, browser: str) -> Path:
    """Print the book, built as one page, to a PDF.

    Parameters
    ----------
    folder : pages of the builder `singlehtml`
    """
    # The page lies where the front page does, but its links are those of a page at the top.
    single = folder / "single.html"
    shutil.copyfile(folder / "book" / "index.html", single)
    with opened(browser) as running:
        page = running.new_page()
        page.goto(single.as_uri(), wait_until="load", timeout=120_000)
        page.evaluate(MATHJAX)
        page.evaluate((paths.ROOT / "book" / "_ext" / "print.js").read_text(encoding="utf-8"))
        page.wait_for_timeout(500)
        tmp = target.with_suffix(".part")
        page.pdf(
            path=str(tmp),
            format="A4",
            scale=0.8,
            print_background=True,
            outline=True,
            tagged=True,
            display_header_footer=True,
            header_template="<span></span>",
            footer_template=FOOTER,
            margin={"top": "16mm", "bottom": "16mm", "left": "15mm", "right": "15mm"},
        )
        tmp.replace(target)
    print_progress(f"wrote {target.name}: {target.stat().st_size / 1e6:.1f} MB")
    return target
