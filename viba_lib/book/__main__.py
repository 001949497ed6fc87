"""`python -m viba_lib.book build|stages|viewer|check|links|notebooks|release|grade`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from viba_lib.book import paths
from viba_lib.book.chapters import check_pairs, write_pairs
from viba_lib.book.checks import check, check_addresses
from viba_lib.book.make import build
from viba_lib.book.paths import print_progress
from viba_lib.core.errors import VibaError
from viba_lib.core.files import disk_message
from viba_lib.core.interrupts import interruptible
from viba_lib.pipeline.study import Study

COMMANDS = ("build", "stages", "viewer", "check", "links", "notebooks", "release", "grade")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Build and check the book.")
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--profile", default="quick")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--scheduler", default="", help="address of a Dask cluster")
    only = "compute and execute only these chapters, and build no pages"
    parser.add_argument("--only", nargs="+", default=(), metavar="NUMBER", help=only)
    parser.add_argument("--chapter", default="", help="the chapter to grade")
    submitted = "folder with one notebook a student"
    parser.add_argument("--submissions", type=Path, default=Path("submissions"), help=submitted)
    light = "leave out the exercises that need data and results"
    parser.add_argument("--light", action="store_true", help=light)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Build or check the book, or write the notebooks; returns the exit status."""
    given = _parser().parse_args(arguments)
    interruptible()
    try:
        if given.command == "build":
            build(given.profile, given.seed, given.device, given.scheduler, given.only)
        elif given.command in ("stages", "viewer"):
            roots = (paths.ROOT / "data", paths.ROOT / "results")
            how = {"progress": print_progress, "scheduler": given.scheduler}
            study = Study(given.profile, *roots, given.device, given.seed, **how)
            if given.command == "stages":
                study.run_all()
            else:
                from viba_lib.book.viewer import viewer_stage  # with the compared methods

                study.get(viewer_stage(study))
        elif given.command == "check":
            check_pairs()
            check(paths.ROOT / "_build" / "html", given.profile)
        elif given.command == "links":
            check_addresses(paths.ROOT / "_build" / "book")
        elif given.command == "release":
            from viba_lib.book.release import release  # with the notebooks of all chapters

            folder = release()
            print(f"for students: {folder / 'students'}\nfor teachers: {folder / 'teacher'}")
        elif given.command == "grade":
            from viba_lib.book.grade import grade  # with papermill

            marks = grade(given.chapter, given.submissions, given.profile, given.light)
            print(f"marks: {marks}")
        else:
            write_pairs()
    except (VibaError, OSError) as error:
        message = disk_message(error) if isinstance(error, OSError) else error
        print(f"error: {message}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; finished stages and chapters are kept", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
