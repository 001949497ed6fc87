"""The book from one command: compute, execute, render and check."""

from collections.abc import Sequence
from pathlib import Path

import cv2
from filelock import FileLock

from viba_lib.book import paths
from viba_lib.book.assemble import STATIC, assemble, render
from viba_lib.book.browser import find_browser, write_pdf
from viba_lib.book.chapters import check_pairs, find_chapter
from viba_lib.book.checks import check
from viba_lib.book.execute import execute_all
from viba_lib.book.paths import print_progress
from viba_lib.book.viewer import viewer_stage
from viba_lib.core.cache import META
from viba_lib.core.files import write_text
from viba_lib.data.video import read_video
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
    check_pairs()
    study = Study(profile, root / "data", root / "results", device, seed, print_progress, scheduler)
    study.run_all()
    executed = execute_all(profile, seed, device, [find_chapter(number) for number in only])
    if only:
        return study.root
    (root / "_build").mkdir(exist_ok=True)
    with FileLock(root / "_build" / ".lock"):
        # Two runs have one folder of pages.
        return _pages(study, executed)


def _pages(study: Study, executed: list[Path]) -> Path:
    """Assemble, render and check what was computed and executed."""
    print_progress("building HTML")
    browser = find_browser()
    folder = assemble(executed, generated=pages_of(study), pdf=browser is not None)
    html = render(folder)
    if browser is None:
        print_progress("SKIPPED: no Chromium here, so the PDF of the book was not written")
    else:
        write_pdf(render(folder, builder="singlehtml"), html / "viba.pdf", browser)
    check(html, study.profile.name)
    print_progress(f"done: open {html.relative_to(paths.ROOT)}/index.html")
    return html


def pages_of(study: Study) -> dict[str, Path | str]:
    """Files of a run for the book beside its chapters, by path: data card, videos and viewer."""
    card = study.data_card()
    write_text(study.root / "data_card.md", card)
    viewer = [p for p in study.get(viewer_stage(study)).iterdir() if p.name != META]
    files: dict[str, Path | str] = {f"{STATIC}/viewer/{path.name}": path for path in sorted(viewer)}
    for video in sorted((study.root / "videos").glob("*.mp4")):
        poster = video.with_suffix(".jpg")
        cv2.imwrite(str(poster), read_video(video, max_frames=1).frames[0][..., ::-1])
        files |= {f"{STATIC}/videos/{path.name}": path for path in (video, poster)}
    return {"book/data_card.md": card, **files}
