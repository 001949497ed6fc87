"""The commands `viba bench` and `viba bench scale`: what explanations cost."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from viba_lib.cli.options import (
    DataOption,
    DeviceOption,
    ProfileOption,
    ResultsOption,
    SeedOption,
    cell,
    open_study,
    say,
)
from viba_lib.core.errors import VibaError

bench = typer.Typer(help="What explanations cost.", invoke_without_command=True)


@bench.callback()
def settings(
    context: typer.Context,
    detector: Annotated[str, typer.Option(help="xception, flow-vgg11 or all.")] = "all",
    layer: Annotated[
        str, typer.Option(help='A layer, or "all" eight of the paper; left out: its choice.')
    ] = "",
    frames: Annotated[int, typer.Option(min=1, help="Frames explained in one call.")] = 2,
    agreement: Annotated[
        bool, typer.Option(help="Compare maps with the mean of eight default runs (long).")
    ] = True,
    memory: Annotated[
        bool, typer.Option(help="Measure memory, each setting in a process of its own.")
    ] = False,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of which the quickest counts.")] = 1,
    plain_steps: Annotated[
        int, typer.Option(min=2, max=10, help="Steps of the plain version that are run.")
    ] = 2,
    untrained: Annotated[
        bool, typer.Option(help="Random weights and frames: the same cost, maps mean nothing.")
    ] = False,
    growth: Annotated[
        int, typer.Option(min=0, help="Also explain 1, 2, 4, ... up to so many frames in one call.")
    ] = 0,
    out: Annotated[Path | None, typer.Option(help="JSON file of the rows.")] = None,
    profile: ProfileOption = "quick",
    data_root: DataOption = Path("data"),
    results_root: ResultsOption = Path("results"),
    device: DeviceOption = "cpu",
    seed: SeedOption = 0,
) -> None:
    """Seconds per frame of each setting, beside a plain version of the reference's work."""
    if context.invoked_subcommand:
        return
    from rich.console import Group
    from rich.live import Live

    from viba_lib.experiments import speed
    from viba_lib.models.detectors import DETECTORS

    study = open_study(profile, data_root, results_root, device, seed)
    chosen = tuple(DETECTORS) if detector == "all" else (detector,)
    titles = {"seconds": "s per frame", "ratio": "times plain", "memory": "MiB"}
    tables = {
        "rows": Table(*(titles.get(name, name) for name in speed.COLUMNS)),
        "growth": Table("detector", "layer", "frames in a call", "s in all", "MiB"),
    }
    found: dict[str, list[dict[str, Any]]] = {"rows": [], "growth": []}
    runs = 8 if agreement else 0
    with Live(Group(*list(tables.values())[: 2 if growth else 1]), console=Console()):
        for subject in speed.subjects(study, chosen, layer, frames, untrained):
            for kind, row in speed.measurements(
                subject, growth, memory, runs=runs, repeats=repeats, plain_steps=plain_steps
            ):
                found[kind].append(row)
                tables[kind].add_row(*(cell(name, value) for name, value in row.items()))
                what = row["settings"] if kind == "rows" else f"a call of {row['frames']} frames"
                say(f"{subject.detector} at {subject.layer}: {what} is measured")
                # Row by row, so that an interrupt leaves what was measured.
                if out is not None:
                    speed.save_rows(out, study, found["rows"], found["growth"])


@bench.command("scale")
def scale(
    detector: Annotated[str, typer.Option(help="xception or flow-vgg11.")] = "xception",
    minutes: Annotated[
        str, typer.Option(help="Lengths of the films, with commas between.")
    ] = "1,2.5,5,10",
    per_minute: Annotated[
        float, typer.Option(min=0.1, help="Explained frames for each minute of film.")
    ] = 6.0,
    size: Annotated[str, typer.Option(help="Width and height of the films.")] = "1920x1080",
    workers: Annotated[int, typer.Option(min=1, help="Dask workers of the projection.")] = 32,
    teraflops: Annotated[
        float, typer.Option(min=0.001, help="10^12 operations a second that a GPU keeps up.")
    ] = 20.0,
    out: Annotated[Path | None, typer.Option(help="JSON file of the rows.")] = None,
    profile: ProfileOption = "quick",
    data_root: DataOption = Path("data"),
    results_root: ResultsOption = Path("results"),
    device: DeviceOption = "cpu",
    seed: SeedOption = 0,
) -> None:
    """Memory and time of long films, and what 1,000 and 1,000,000 of them would cost.

    Exit status 1 where a film needs 4 GiB or more, or time grows faster than length.
    """
    from viba_lib.experiments import scaling
    from viba_lib.experiments.speed import save_rows

    lengths, shape = _numbers(minutes), _size(size)
    study = open_study(profile, data_root, results_root, device, seed)
    table = Table("minutes", "frames", "explained", "seconds", "MiB at most")
    rows: list[dict[str, Any]] = []
    for row in scaling.scale_rows(study, detector, lengths, per_minute, shape, say):
        rows.append(row)
        say(f"{row['minutes']:g} minutes: {row['seconds']:.1f} s, {row['memory']:.0f} MiB")
        table.add_row(
            f"{row['minutes']:g}", f"{row['frames']:,}", f"{row['explained']:.0f}",
            f"{row['seconds']:.1f}", f"{row['memory']:,.0f}",
        )  # fmt: skip
    found = scaling.line(rows)
    on_gpu = device.startswith("cuda")
    flops = scaling.operations(study, detector)
    projected = scaling.projection(
        rows[-1], flops, workers=workers, teraflops=teraflops, measured_on_gpu=on_gpu
    )
    if out is not None:
        save_rows(out, study, rows, projected)
    Console().print(table)
    print(
        f"seconds = {found['fixed']:.1f} + {found['per_minute']:.2f} x minutes "
        f"(R2 {found['r2']:.4f}, exponent {found['exponent']:.2f})"
    )
    _print_projection(projected, workers)
    basis = "measured" if on_gpu else f"counted operations at an assumed {teraflops:g} TFLOP/s"
    print(
        f"Each {rows[-1]['minutes']:g} minutes long, {rows[-1]['explained']:.0f} frames explained, "
        f"{flops / 1e9:,.0f} GFLOP a frame; GPU hours: {basis}."
    )
    most = max(row["memory"] for row in rows)
    if most >= scaling.MAX_MIB or found["exponent"] > scaling.MAX_EXPONENT:
        raise typer.Exit(1)


def _print_projection(rows: list[dict[str, Any]], workers: int) -> None:
    table = Table("videos", "worker hours", f"days on {workers} workers", "GPU hours")
    for row in rows:
        table.add_row(
            f"{row['videos']:,}", f"{row['worker_hours']:,.0f}", f"{row['days']:,.1f}",
            f"{row['gpu_hours']:,.1f}",
        )  # fmt: skip
    Console().print(table)


def _numbers(text: str) -> list[float]:
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(0 < number < 1e4 for number in found):
        raise VibaError(f"--minutes {text!r} are no lengths; expected such as 1,5,10")
    return sorted(found)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()) or int(width) % 2 or int(height) % 2:
        raise VibaError(f"--size {text!r} is no size; expected even numbers such as 1920x1080")
    return int(width), int(height)
