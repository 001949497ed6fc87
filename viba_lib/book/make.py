"""The book from one command: compute, execute, render and check."""

import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import cv2
from filelock import FileLock

from viba_lib.book import paths
from viba_lib.book.assemble import CAPTION, STATIC, assemble, render
from viba_lib.book.browser import find_browser, page_reports, write_pdf
from viba_lib.book.chapters import check_pairs, find_chapter
from viba_lib.book.checks import articles, check, decks
from viba_lib.book.cost import MemorySampler
from viba_lib.book.execute import WORKERS, chapter_states, execute_all, kernel_environment
from viba_lib.book.paths import BookError, print_progress
from viba_lib.core.cache import META
from viba_lib.core.files import write_text
from viba_lib.data.video import read_video
from viba_lib.pipeline.profiles import from_anywhere, load_profile
from viba_lib.pipeline.study import Study


def build(
    profile: str = "quick",
    seed: int = 0,
    device: str = "cpu",
    scheduler: str = "",
    only: Sequence[str] = (),
) -> Path:
    """Compute, execute, render and check; what did not change is not done again.

    Parameters
    ----------
    scheduler : address of a Dask cluster that sees the same folders, and makes, prepares and
        explains videos; "" = this machine
    only : numbers or names of chapters, which are then executed and no pages built

    Returns
    -------
    Folder of the pages; of the results, where no pages were built.
    """
    print_progress(f"profile {profile}, seed {seed}, device {device}")
    root = paths.ROOT
    profile = from_anywhere(profile)
    check_pairs()
    study = Study(profile, root / "data", root / "results", device, seed, print_progress, scheduler)
    with MemorySampler() as memory:
        given = (profile, seed, device, scheduler)
        _compute("stages", *given)
        if only:
            execute_all(profile, seed, device, [find_chapter(number) for number in only])
            return study.root
        executed = execute_all(profile, seed, device, beside=partial(_compute, "viewer", *given))
        (root / "_build").mkdir(exist_ok=True)
        with FileLock(root / "_build" / ".lock"):
            # Two runs have one folder of pages.
            html = _pages(study, executed, profile)
    states = chapter_states(profile, seed, device)
    for seconds, name in sorted(((s.seconds or 0.0, s.stage) for s in states), reverse=True):
        print(f"{seconds:7.0f} s  {name}")
    print_progress(f"at most {memory.peak / 2**30:.1f} GiB of memory in all processes together")
    print_progress(f"done: open {html.relative_to(root)}/index.html")
    return html


def _compute(what: str, profile: str, seed: int, device: str, scheduler: str) -> None:
    """Compute what chapters share ("stages"), or the data of the viewer's page ("viewer").

    It is done in a process that ends and so gives its memory back.
    """
    command = [sys.executable, "-m", "viba_lib.book", what, "--profile", profile]
    command += ["--seed", str(seed), "--device", device, "--scheduler", scheduler]
    # The stages have the machine for themselves, the viewer's data are computed beside chapters.
    workers = 1 if what == "stages" else WORKERS
    environment = kernel_environment(workers, load_profile(profile).kept_memory)
    done = subprocess.run(
        command, cwd=paths.ROOT, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    if done.returncode:
        raise BookError(done.stderr.strip().removeprefix("error: "))


def _pages(study: Study, executed: list[Path], profile: str) -> Path:
    """Assemble, render and check what was computed and executed."""
    print_progress("building HTML")
    browser = find_browser()
    folder = assemble(executed, generated=pages_of(study), pdf=browser is not None)
    html = render(folder)
    if browser is None:
        print_progress("SKIPPED: no Chromium here, so the PDF of the book was not written")
    else:
        with ThreadPoolExecutor(1) as pool:
            printed = pool.submit(_print, folder, html, browser)
            # `check` reports what is wrong.
            page_reports(html, [*articles(html), *decks(html)], browser)
            printed.result()
    check(html, profile)
    return html


def _print(folder: Path, html: Path, browser: str) -> None:
    """Write the PDF of an assembled book beside its pages, unless it is newer than the book."""
    single, pdf = render(folder, builder="singlehtml"), html / "viba.pdf"
    page = single / "book" / "index.html"
    if not pdf.is_file() or pdf.stat().st_mtime < page.stat().st_mtime:
        write_pdf(single, pdf, browser)


def pages_of(study: Study) -> dict[str, Path | str]:
    """Files of a run for the book beside its chapters, by path: data card, videos and viewer."""
    # Here: it brings the compared methods along, 170 MB that a builder would hold meanwhile.
    from viba_lib.book.viewer import viewer_stage
    from viba_lib.experiments.front_example import chosen_frames, front_caption, front_image

    card = study.data_card()
    write_text(study.root / "data_card.md", card)
    viewer = [p for p in study.get(viewer_stage(study)).iterdir() if p.name != META]
    files: dict[str, Path | str] = {f"{STATIC}/viewer/{path.name}": path for path in sorted(viewer)}
    for video in sorted((study.root / "videos").glob("*.mp4")):
        poster = video.with_suffix(".jpg")
        cv2.imwrite(str(poster), read_video(video, max_frames=1).frames[0][..., ::-1])
        files |= {f"{STATIC}/videos/{path.name}": path for path in (video, poster)}
    if len(rows := chosen_frames(study)):
        image = study.root / "front.png"
        front_image(study, rows).savefig(image, dpi=110)
        files |= {f"{STATIC}/front.png": image, CAPTION: front_caption(rows)}
    return {"book/data_card.md": card, **files}
