"""The command line, `viba`."""

import json
import logging
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from viba_lib.cli.bench import bench
from viba_lib.cli.data import data
from viba_lib.cli.options import (
    DataOption,
    DetectorOption,
    DeviceOption,
    ProfileOption,
    ResultsOption,
    SchedulerOption,
    SeedOption,
    open_study,
    say,
)
from viba_lib.core.errors import VibaError
from viba_lib.core.files import disk_message

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


@app.command()
def explain(
    video: Annotated[Path, typer.Argument(help="A video with a face.")],
    detector: DetectorOption = "xception",
    weights: Annotated[Path | None, typer.Option(help="Weights; left out: the profile's.")] = None,
    layer: Annotated[
        str | None, typer.Option(help="Injection layer; left out: the paper's.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the four files.")] = Path("viba-out"),
    beta: Annotated[
        float | None, typer.Option(min=0, help="Weight of the information loss.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of the optimisation.")] = None,
    preset: Annotated[
        str | None,
        typer.Option(help="default, fast or accurate; left out: the profile's settings."),
    ] = None,
    max_frames: Annotated[int, typer.Option(min=1, help="Frames explained at most.")] = 24,
    profile: ProfileOption = "quick",
    data_root: DataOption = Path("data"),
    results_root: ResultsOption = Path("results"),
    device: DeviceOption = "cpu",
    seed: SeedOption = 0,
) -> None:
    """Explain a VIDEO: writes overlay.mp4, relevance.zarr, summary.json and poster.png."""
    from viba_lib.bottleneck.settings import PRESETS
    from viba_lib.pipeline.explain_video import explain_video

    if preset is not None and preset not in PRESETS:
        raise VibaError(f"preset {preset!r} is not known; choose one of {', '.join(PRESETS)}")
    study = open_study(profile, data_root, results_root, device, seed)
    given = {"beta": beta, "steps": steps}
    settings = PRESETS.get(preset or "", {}) | {k: v for k, v in given.items() if v is not None}
    summary = explain_video(video, out, study, detector, weights, layer, max_frames, settings, say)
    print(f"p(fake) {summary['p_fake_mean']:.3f} (mean of {len(summary['p_fake'])} frames)")
    print(f"written to {out}: overlay.mp4, relevance.zarr, summary.json, poster.png")


@app.command()
def compare(
    video: Annotated[Path, typer.Argument(help="A video with a face.")],
    methods: Annotated[
        list[str] | None,
        typer.Option(
            help="Names with commas between, or all; left out: VIBA, Grad-CAM, "
            "Integrated gradients, Occlusion."
        ),
    ] = None,
    detector: DetectorOption = "xception",
    weights: Annotated[Path | None, typer.Option(help="Weights; left out: the profile's.")] = None,
    layer: Annotated[
        str | None, typer.Option(help="Layer of the methods that have one; left out: the paper's.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the four files.")] = Path("viba-compare"),
    max_frames: Annotated[int, typer.Option(min=1, help="Frames explained at most.")] = 12,
    passes: Annotated[
        int, typer.Option(min=8, help="Forward passes for each frame, for methods that count them.")
    ] = 64,
    profile: ProfileOption = "quick",
    data_root: DataOption = Path("data"),
    results_root: ResultsOption = Path("results"),
    device: DeviceOption = "cpu",
    seed: SeedOption = 0,
) -> None:
    """Attribution methods side by side on a VIDEO.

    Writes compare.mp4, maps.zarr, summary.json and poster.png.
    """
    from viba_lib.pipeline import compare_video as side_by_side

    names = side_by_side.parse_methods(methods or side_by_side.DEFAULT)
    study = open_study(profile, data_root, results_root, device, seed)
    summary = side_by_side.compare_video(
        video, out, study, detector, names, weights, layer, max_frames, passes, say
    )
    table = Table("method", "s per frame", f"rank correlation with {names[0]}")
    correlation = summary["rank_correlation"][names[0]] | {names[0]: 1.0}
    for name in names:
        value = correlation[name]
        found = "constant map" if value is None else f"{value:.2f}"
        table.add_row(name, f"{summary['seconds_per_frame'][name]:.2f}", found)
    Console().print(table)
    print(f"written to {out}: {', '.join(side_by_side.FILES)}")


@app.command()
def book(
    profile: ProfileOption = "quick",
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    scheduler: SchedulerOption = "",
) -> None:
    """Build the book: every stage, every chapter, HTML under _build/html."""
    from viba_lib.book.make import build

    build(profile, seed, device, scheduler)


@app.command()
def status(
    chapters: Annotated[bool, typer.Option(help="Also the chapters of the book.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    profile: ProfileOption = "quick",
    data_root: DataOption = Path("data"),
    results_root: ResultsOption = Path("results"),
    device: DeviceOption = "cpu",
    seed: SeedOption = 0,
) -> None:
    """Which stages are done, stale, broken or half-way, and why. Computes nothing.

    Exit status 1 where something is broken.
    """
    from viba_lib.core.logs import NAME
    from viba_lib.pipeline.status import as_rows, stage_states

    study = open_study(profile, data_root, results_root, device, seed)
    found = list(stage_states(study))
    if chapters:
        try:
            from viba_lib.book.execute import chapter_states
        except ImportError as error:
            raise VibaError(
                f"the chapters cannot be looked at without {error.name}; install the package with "
                "its extra `book`, or add --no-chapters"
            ) from error
        found += chapter_states(profile, seed, device)
    if as_json:
        print(json.dumps(as_rows(found), indent=1))
    else:
        table = Table("stage", "state", "seconds", "MB", "why")
        for state in found:
            seconds = "" if state.seconds is None else f"{state.seconds:.0f}"
            size = "" if state.size is None else f"{state.size / 1e6:.1f}"
            table.add_row(state.stage, state.state, seconds, size, escape(state.why))
        Console().print(table)
        counts = Counter(state.state for state in found)
        print(", ".join(f"{n} {name}" for name, n in counts.most_common()))
        print(f"log: {study.root / NAME}")
    if any(state.state == "broken" for state in found):
        raise typer.Exit(1)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="A parameter is given as `-p NAME VALUE` or `-p NAME=VALUE`, as often as needed.",
)
def chapter(
    context: typer.Context,
    number: Annotated[str, typer.Argument(help="Number or name, such as 05.")],
    parameter: Annotated[
        list[str] | None, typer.Option("-p", metavar="NAME VALUE", help="A parameter's value.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Executed notebook.")] = Path("viba-out/chapter.ipynb"),
) -> None:
    """Execute one chapter with other parameters, such as `viba chapter 05 -p layer block12`."""
    from viba_lib.book.execute import run_chapter

    run_chapter(number, parameter or [], out, context.args)
    print(f"written to {out}")


def main() -> None:
    """Entry point: an error a user can mend is one line on stderr and exit status 2."""
    try:
        app()
    except (VibaError, OSError) as error:
        # OSError: a disk that is full, a folder that may not be written.
        said = disk_message(error) if isinstance(error, OSError) else str(error)
        log.error("%s", said)
        Console(stderr=True, soft_wrap=True, highlight=False).print(
            f"error: {said}", style="red", markup=False
        )
        sys.exit(2)
    except KeyboardInterrupt:
        _interrupted()
    except SystemExit as end:
        # Typer catches the interrupt itself, and says nothing.
        if end.code == INTERRUPTED:
            _interrupted()
        raise


def _interrupted() -> None:
    print("interrupted; what is finished is kept, and the same command goes on", file=sys.stderr)
    sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
