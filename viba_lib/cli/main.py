"""The command line, `viba`."""

import atexit
import gc
import json
import logging
import math
import sys
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer import Option

from viba_lib.cli.bench import bench
from viba_lib.cli.data import data
from viba_lib.cli.options import STUDY, OpenStudy, Positive, described, print_rows
from viba_lib.cli.reproduce import reproduce
from viba_lib.core.errors import VibaError
from viba_lib.core.files import disk_message
from viba_lib.core.interrupts import interruptible

log = logging.getLogger(__name__)
INTERRUPTED = 130
app = typer.Typer(
    help="Information-bottleneck attribution for video.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(data, name="data")
app.add_typer(bench, name="bench")
app.command()(reproduce)


@app.command()
@described(*STUDY)
def explain(
    video: Path,
    open_study: OpenStudy,
    detector: str = "xception",
    weights: Path | None = None,
    layer: str | None = None,
    out: Path = Path("viba-out"),
    beta: Annotated[float | None, Option(min=0)] = None,
    steps: Annotated[int | None, Option(min=1)] = None,
    preset: str | None = None,
    max_frames: Positive = 24,
) -> None:
    """Explain a VIDEO: writes overlay.mp4, relevance.zarr, summary.json and poster.png.

    Parameters
    ----------
    video : A video with a face.
    detector : xception, flow-vgg11 or module:function.
    weights : Weights. Default: the profile's.
    layer : Injection layer. Default: the paper's.
    out : Folder of the four files.
    beta : Weight of the information loss.
    steps : Steps of the optimisation.
    preset : default, fast or accurate. Default: the profile's settings.
    max_frames : Maximal number of explained frames.
    """
    from viba_lib.bottleneck.settings import PRESETS
    from viba_lib.pipeline.explain_video import changed_text, explain_video, prediction_text

    if preset is not None and preset not in PRESETS:
        raise VibaError(f"preset {preset!r} is not known; choose one of {', '.join(PRESETS)}")
    study = open_study()
    given = {"beta": beta, "steps": steps}
    settings = PRESETS.get(preset or "", {}) | {k: v for k, v in given.items() if v is not None}
    summary = explain_video(video, out, study, detector, weights, layer, max_frames, settings)
    print(prediction_text(summary))
    if warning := changed_text(summary):
        print(f"warning: {warning}")
    print(f"written to {out}: overlay.mp4, relevance.zarr, summary.json, poster.png")


@app.command()
@described(*STUDY)
def compare(
    video: Path,
    open_study: OpenStudy,
    methods: list[str] | None = None,
    detector: str = "xception",
    weights: Path | None = None,
    layer: str | None = None,
    out: Path = Path("viba-compare"),
    max_frames: Positive = 12,
    passes: Annotated[int, Option(min=8)] = 64,
) -> None:
    """Compare attribution methods on a VIDEO.

    Writes compare.mp4, maps.zarr, summary.json and poster.png.

    Parameters
    ----------
    video : A video with a face.
    methods : Comma-separated names, or all. Default: VIBA, Grad-CAM, Integrated gradients,
        Occlusion.
    detector : xception, flow-vgg11 or module:function.
    weights : Weights. Default: the profile's.
    layer : Layer of the methods that have one. Default: the paper's.
    out : Folder of the four files.
    max_frames : Maximal number of explained frames.
    passes : Budget of a frame in forward-equivalents, for methods that have one.
    """
    from viba_lib.pipeline import compare_video as comparison
    from viba_lib.pipeline.explain_video import prediction_text

    names = comparison.parse_methods(methods or comparison.DEFAULT)
    summary = comparison.compare_video(
        video, out, open_study(), detector, names, weights, layer, max_frames, passes
    )
    print(prediction_text(summary))
    found = {names[0]: 1.0} | summary["rank_correlation"][names[0]]
    texts = {name: "constant map" if v is None else f"{v:.2f}" for name, v in found.items()}
    rows = [{"name": n, "seconds": summary["seconds_per_frame"][n], "r": texts[n]} for n in names]
    columns = f"method | s per frame | rank correlation with {names[0]}"
    print_rows(rows, columns, "{name} | {seconds:.2f} | {r}")
    print(f"written to {out}: {', '.join(comparison.FILES)}")


@app.command()
@described("profile", "seed", "device", "scheduler")
def book(profile: str, seed: int, device: str, scheduler: str) -> None:
    """Build the book: every stage, every chapter, HTML under _build/html."""
    from viba_lib.book.make import build

    build(profile, seed, device, scheduler)


@app.command()
@described(*STUDY)
def status(
    open_study: OpenStudy,
    chapters: bool = True,
    as_json: Annotated[bool, Option("--json")] = False,
) -> None:
    """Show which stages are done, stale, broken or stopped, and why. Computes nothing.

    Exit status 1 if a result is broken.

    Parameters
    ----------
    chapters : Also the chapters of the book, which need the extra `book`.
    as_json : Print JSON.
    """
    from viba_lib.pipeline.logs import NAME
    from viba_lib.pipeline.status import stage_states

    study = open_study()
    of_chapters = []
    if chapters:
        from viba_lib.book.execute import chapter_states

        of_chapters = list(chapter_states(study.given_profile, study.seed, study.device))
    states = [*stage_states(study, of_chapters), *of_chapters]
    if as_json:
        print(json.dumps([asdict(state) for state in states], indent=1))
    else:
        _print_states(states)
        print(f"log: {study.root / NAME}")
    if any(state.state == "broken" for state in states):
        raise typer.Exit(1)


def _print_states(states: Sequence[Any]) -> None:
    rows = [asdict(state) for state in states]
    for row in rows:
        row["seconds"] = math.nan if row["seconds"] is None else row["seconds"]
        row["size"] = math.nan if row["size"] is None else row["size"] / 1e6
    cells = "{stage} | {state} | {seconds:.0f} | {size:.1f} | {why}"
    print_rows(rows, "stage | state | seconds | MB | why", cells)
    counts = Counter(state.state for state in states)
    print(", ".join(f"{count} {name}" for name, count in counts.most_common()))


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Repeat `-p NAME VALUE` or `-p NAME=VALUE` for each parameter.",
)
@described()
def chapter(
    context: typer.Context,
    number: str,
    parameter: Annotated[list[str] | None, Option("-p", metavar="NAME VALUE")] = None,
    out: Path = Path("viba-out/chapter.ipynb"),
) -> None:
    """Execute one chapter with other parameters, such as `viba chapter 05 -p layer block12`.

    Parameters
    ----------
    number : Number or name, such as 05.
    parameter : A parameter's value.
    out : Executed notebook.
    """
    from viba_lib.book.execute import run_chapter

    run_chapter(number, parameter or [], out, context.args)
    print(f"written to {out}")


def _warning_line(message: Warning | str, *_where: Any, **_line: Any) -> str:
    """A warning without the line of code that gave it."""
    return f"warning: {message}\n"


def main() -> None:
    """Entry point: an error that a user can fix is one line on stderr and exit status 2."""
    interruptible()
    # The interpreter would search two GB for cycles at its end, for a second.
    atexit.register(gc.freeze)
    warnings.formatwarning = _warning_line
    if isinstance(sys.stdout, TextIOWrapper):  # a name may have characters that it cannot print
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app()
    except (VibaError, OSError, ModuleNotFoundError) as error:
        message = str(error)
        if isinstance(error, OSError):  # a full disk, a folder without write permission
            message = disk_message(error)
        elif isinstance(error, ModuleNotFoundError):
            message = f"this command needs {error.name}; install the package with its extra `book`"
        log.error("%s", message)
        console = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)
        console.print(f"error: {message}", style="red", markup=False)
        sys.exit(2)
    except (KeyboardInterrupt, SystemExit) as end:
        # Typer catches the interrupt itself, prints nothing and ends with this status.
        if getattr(end, "code", INTERRUPTED) != INTERRUPTED:
            raise
        print("interrupted; finished work is kept; the same command resumes it", file=sys.stderr)
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
