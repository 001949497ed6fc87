"""The built book in a real browser: accessible, quiet, offline, on a phone, searchable, as PDF."""

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, TimeoutError, ViewportSize, sync_playwright

from viba_lib.book.paths import print_progress

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
DESKTOP: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}

_WIDER = """() => {
  const room = document.documentElement.clientWidth;
  const wide = document.scrollingElement.scrollWidth;
  return wide > room + 1 ? wide : 0;
}"""
# A page on paper shows what a click would: folded answers, and a picture in place of a film.
_FOR_PAPER = """() => {
  document.querySelectorAll('details:not(.viba-provenance)').forEach(d => { d.open = true; });
  document.querySelectorAll('.toggle-hidden').forEach(e => e.classList.remove('toggle-hidden'));
  document.querySelectorAll('video').forEach(v => {
    const p = document.createElement('p');
    const i = document.createElement('img');
    i.src = v.poster; i.alt = v.getAttribute('aria-label') || '';
    p.append(i, ' (a film in the HTML book)');
    if (v.poster) { v.replaceWith(p); } else { v.remove(); }
  });
  document.querySelectorAll('a[href]').forEach(a => {
    const h = a.getAttribute('href');
    if (!h.startsWith('#') && !/^https?:/.test(h)) { a.removeAttribute('href'); }
  });
}"""
_PAPER = """
.bd-sidebar-primary, .bd-sidebar-secondary, .bd-header, .bd-header-article, .bd-footer, footer,
.prev-next-area, .skip-link, #pst-skip-link, .pst-back-to-top, button, .headerlink, #viba-viewer,
dialog, .viba-links, .viba-download { display: none !important; }
.bd-main .bd-content .bd-article-container { max-width: 100% !important; }
h1, h2, h3 { break-after: avoid; }
figure, pre { break-inside: avoid; }
pre, pre * { white-space: pre-wrap !important; overflow-wrap: anywhere; }
img { max-height: 22cm; }
"""


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
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=browser, args=flags)
        try:
            yield running
        finally:
            running.close()


def violations(page: Page, rule: str | None = None) -> list[str]:
    """What axe-core finds against WCAG 2.1, levels A and AA, or against one rule alone."""
    only = {"type": "rule", "values": [rule]} if rule else {"type": "tag", "values": LEVELS}
    # Preloading would ask for the style sheets again, which a page from a folder may not.
    options = {"runOnly": only, "preload": False}
    # Imported here: it reads its files as the machine's language has them, and without one in UTF-8
    # it would keep chapters from being executed.
    from axe_playwright_python.sync_playwright import Axe

    found = []
    for broken in Axe().run(page, options=options).response["violations"]:
        places = [" ".join(map(str, node["target"])) for node in broken["nodes"]]
        said = f"{broken['id']} ({broken['impact']}): {broken['help']}"
        found.append(f"{said}: {'; '.join(places[:3])}")
    return found


def look_at(browser: Browser, path: Path) -> list[str]:
    """Problems of one page: violations, errors, asking the network, too wide for a phone."""
    context = browser.new_context(viewport=DESKTOP, color_scheme="light")
    found: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: found.append(f"script error: {error}"))
    page.on("console", lambda m: found.append(f"console: {m.text}") if m.type == "error" else None)
    page.on("request", lambda r: _note_request(r.url, found))
    page.goto(path.as_uri(), wait_until="load")
    page.wait_for_timeout(300)
    found += violations(page)
    page.set_viewport_size(PHONE)
    if wide := page.evaluate(_WIDER):
        found.append(f"{wide} px wide on a phone of {PHONE['width']} px")
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size(DESKTOP)
    page.reload(wait_until="load")
    page.wait_for_timeout(400)  # colours fade in
    found += [f"in dark mode: {line}" for line in violations(page, "color-contrast")]
    context.close()
    return found


def _note_request(address: str, found: list[str]) -> None:
    if address.startswith(("http:", "https:", "//")):
        found.append(f"asks the network for {address[:100]}")


def page_reports(html: Path, pages: Sequence[Path], browser: str) -> list[str]:
    """What is wrong with built pages in a browser; each line begins with the page."""
    found = []
    with opened(browser) as running:
        for path in pages:
            name = path.relative_to(html).as_posix()
            found += [f"{name}: {line}" for line in dict.fromkeys(look_at(running, path))]
        found += _search(html, running)
    return found


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Address of a folder on this machine, as a site would serve it."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with _Server(("localhost", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_address[1]}"
        server.shutdown()


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a page that is closed breaks off what it was loading."""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def _search(html: Path, browser: Browser, patience: int = 20_000) -> list[str]:
    with served(html) as address:
        page = browser.new_page()
        page.goto(f"{address}/search.html?q=bottleneck", wait_until="load")
        try:
            page.wait_for_selector("#search-results li", timeout=patience)
        except TimeoutError:
            return ["search.html: a search for 'bottleneck' finds nothing"]
        finally:
            page.close()
    return []


def write_pdf(folder: Path, target: Path, browser: str) -> Path:
    """Print the book, built as one page, to a PDF.

    Parameters
    ----------
    folder : what the builder `singlehtml` made
    """
    # The page lies where the front page does, but its links are those of a page at the top.
    single = folder / "whole.html"
    shutil.copyfile(folder / "book" / "index.html", single)
    with opened(browser) as running:
        page = running.new_page()
        page.goto(single.as_uri(), wait_until="load", timeout=120_000)
        page.evaluate(
            "() => window.MathJax && MathJax.startup ? MathJax.startup.promise.then(() => 1) : 1"
        )
        page.evaluate(_FOR_PAPER)
        page.add_style_tag(content=_PAPER)
        page.wait_for_timeout(500)
        aside = target.with_suffix(".part")
        footer = (
            '<div style="font-size:8px;width:100%;text-align:center">'
            '<span class="pageNumber"></span></div>'
        )
        page.pdf(
            path=str(aside),
            format="A4",
            scale=0.8,
            print_background=True,
            outline=True,
            tagged=True,
            display_header_footer=True,
            header_template="<span></span>",
            footer_template=footer,
            margin={"top": "16mm", "bottom": "16mm", "left": "15mm", "right": "15mm"},
        )
        aside.replace(target)
    print_progress(f"wrote {target.name}: {target.stat().st_size / 1e6:.1f} MB")
    return target
