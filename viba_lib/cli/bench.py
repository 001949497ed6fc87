"""The commands `viba bench` (what explanations cost), `bench scale`, `bench book`, `bench beta`."""

import json
import math
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Option

from viba_lib.cli.options import STUDY, OpenStudy, Positive, described, print_progress, print_rows
from viba_lib.core.errors import VibaError
from viba_lib.core.files import write_text

bench = typer.Typer(help="Cost of explanations.", invoke_without_command=True)
Rows = list[dict[str, Any]]


@bench.callback()
@described(*STUDY)
def settings(
    context: typer.Context,
    open_study: OpenStudy,
    detector: str = "all",
    layer: str = "",
    frames: Positive = 2,
    agreement: bool = True,
    memory: bool = False,
    repeats: Positive = 1,
    plain_steps: Annotated[int, Option(min=2, max=10)] = 2,
    untrained: bool = False,
    growth: Annotated[int, Option(min=0)] = 0,
    out: Path | None = None,
) -> None:
    """Seconds per frame of each setting, compared with a reference implementation.

    Parameters
    ----------
    detector : xception, flow-vgg11, module:function or all.
    layer : A layer, or "all" layers of the paper. Default: the layer of the paper's results.
    frames : Frames explained in one call.
    agreement : Compare maps with the mean of eight default runs (long).
    memory : Measure memory, each setting in a process of its own.
    repeats : Rounds in which each setting is timed once; medians count.
    plain_steps : Steps of the reference implementation that are run.
    untrained : Random weights and frames: the same cost, but maps without meaning.
    growth : Also explain 1, 2, 4, ... up to this many frames in one call.
    out : JSON file of the rows.
    """
    if context.invoked_subcommand:
        return
    from viba_lib.experiments import speed

    study, chosen = open_study(), _detectors(detector)
    runs: dict[str, Any] = {"repeats": repeats, "plain_steps": plain_steps}
    runs |= {"runs": 8 if agreement else 0, "progress": print_progress}
    rows: dict[str, Rows] = {"rows": [], "growth": []}
    try:
        for subject in speed.subjects(study, chosen, layer, frames, untrained):
            for kind, row in speed.measurements(subject, growth, memory, **runs):
                rows[kind].append(row)
                if kind == "growth":
                    where = f"{subject.detector} at {subject.layer}"
                    took = f"{row['seconds']:.3f} s"
                    print_progress(f"{where}: a call of {row['frames']} frames: {took}")
                # Row by row, so that finished rows outlive an interrupt.
                if out is not None:
                    speed.save_rows(out, study, rows["rows"], rows["growth"])
    finally:
        _print_costs(rows["rows"], rows["growth"])


def _detectors(name: str) -> tuple[str, ...]:
    """The detector of a name, or those of the paper for "all"."""
    from viba_lib.models.detectors import DETECTORS

    return tuple(DETECTORS) if name == "all" else (name,)


def _print_costs(rows: Rows, growth: Rows) -> None:
    if rows:
        columns = "detector | layer | settings | s per frame | times plain | least to most | "
        cells = "{detector} | {layer} | {settings} in {precision} | {seconds:,.3f} | {ratio:,.1f}"
        cells += " | {ratio_low:,.1f} to {ratio_high:,.1f} | {agreement:,.3f} | {memory:,.0f}"
        print_rows(rows, columns + "agreement | MiB", cells)
        if left := {row["settings"] for row in rows if math.isnan(row["seconds"])}:
            print(f"not timed, because this machine imitates the precision: {', '.join(left)}")
    if growth:
        columns = "detector | layer | frames in a call | s in all | MiB"
        cells = "{detector} | {layer} | {frames:,} | {seconds:,.3f} | {memory:,.0f}"
        print_rows(growth, columns, cells)


@bench.command("scale")
@described(*STUDY)
def scale(
    open_study: OpenStudy,
    detector: str = "xception",
    minutes: str = "1,2.5,5,10",
    per_minute: Annotated[float, Option(min=0.1)] = 6.0,
    size: str = "1920x1080",
    workers: Positive = 32,
    teraflops: Annotated[float, Option(min=0.001)] = 20.0,
    out: Path | None = None,
) -> None:
    """Memory and time of long videos, and the projected cost of 1,000 and 1,000,000 of them.

    Exit status 1 if a video needs 4 GiB or more, or if time grows faster than length.

    Parameters
    ----------
    detector : xception, flow-vgg11 or module:function.
    minutes : Comma-separated lengths of the videos.
    per_minute : Explained frames for each minute of video.
    size : Width and height of the videos.
    workers : Dask workers of the projection.
    teraflops : Sustained speed of a GPU, in 10^12 operations per second.
    out : JSON file of the rows.
    """
    from viba_lib.experiments import scaling
    from viba_lib.experiments.speed import save_rows

    lengths, shape = _numbers(minutes), _size(size)
    study = open_study()
    rows: Rows = []
    for row in scaling.scale_rows(study, detector, lengths, per_minute, shape):
        rows.append(row)
        line = "{minutes:g} minutes: {seconds:.1f} s, {memory:.0f} MiB"
        print_progress(line.format_map(row))
    on_gpu = study.device.startswith("cuda")
    flops = scaling.operations(study, detector)
    projected = scaling.projection(rows[-1], flops, workers, teraflops, on_gpu)
    if out is not None:
        save_rows(out, study, rows, projected)
    fit = scaling.line(rows)
    _print_scaling(rows, fit, projected, workers)
    basis = "measured" if on_gpu else f"counted operations at an assumed {teraflops:g} TFLOP/s"
    print(
        f"Each {rows[-1]['minutes']:g} minutes long, {rows[-1]['explained']:.0f} frames explained, "
        f"{flops / 1e9:,.0f} GFLOP a frame; GPU hours: {basis}."
    )
    peak = max(row["memory"] for row in rows)
    if peak >= scaling.MAX_MIB or fit["exponent"] > scaling.MAX_EXPONENT:
        raise typer.Exit(1)


@bench.command("book")
@described("profile", "seed", "device")
def book(profile: str, seed: int, device: str, out: Path | None = None) -> None:
    """Time and memory of `make book` from nothing, and the time of each stage and chapter.

    Parameters
    ----------
    out : JSON file of the numbers.
    """
    from viba_lib.book.cost import measure_build
    from viba_lib.bottleneck.precision import machine

    found = {"machine": machine(device), **measure_build(profile, seed, device)}
    if out is not None:
        write_text(out, json.dumps(found, indent=1))
    rows = [{"stage": name, "seconds": seconds} for name, seconds in found["stages"].items()]
    print_rows(rows, "stage | seconds", "{stage} | {seconds:,.0f}")
    print(
        f"{', '.join(found['machine'])}: {found['seconds'] / 60:.1f} minutes, at most "
        f"{found['memory'] / 2**30:.1f} GiB; again, with nothing changed: {found['again']:.0f} s"
    )


@bench.command("beta")
@described(*STUDY)
def beta(
    open_study: OpenStudy, detector: str = "all", frames: Positive = 20, out: Path | None = None
) -> None:
    """Choose the trade-off weight beta of a detector on validation frames.

    Parameters
    ----------
    detector : xception, flow-vgg11, module:function or all.
    frames : Validation videos, each with one frame.
    out : JSON file of the rows.
    """
    from viba_lib.experiments import beta_choice
    from viba_lib.experiments.speed import save_rows

    study, rows, texts = open_study(), [], []
    for name in _detectors(detector):
        chosen_from = beta_choice.validation_rows(study, name, frames)
        table = beta_choice.beta_table(study, name, chosen_from)
        rows += table.assign(detector=name).to_dict("records")
        own = study.stages.bottleneck(study.registered(name))["beta"]
        texts.append(beta_choice.beta_text(name, table, own))
    if out is not None:
        save_rows(out, study, rows)
    columns = "detector | beta | kept | for fake | for real | relevance, times chance"
    cells = "{detector} | {beta:g} | {kept:.0%} | {kept_fake} of {fake} | {kept_real} of {real}"
    print_rows(rows, columns, cells + " | {ratio:.2f}")
    for text in texts:
        print(text)


def _print_scaling(rows: Rows, fit: dict[str, float], projected: Rows, workers: int) -> None:
    cells = "{minutes:g} | {frames:,} | {explained:.0f} | {seconds:.1f} | {memory:,.0f}"
    print_rows(rows, "minutes | frames | explained | seconds | MiB at most", cells)
    print(
        f"seconds = {fit['fixed']:.1f} + {fit['per_minute']:.2f} x minutes "
        f"(R2 {fit['r2']:.4f}, exponent {fit['exponent']:.2f})"
    )
    columns = f"videos | worker hours | days on {workers} workers | GPU hours"
    cells = "{videos:,} | {worker_hours:,.0f} | {days:,.1f} | {gpu_hours:,.1f}"
    print_rows(projected, columns, cells)


def _numbers(text: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or not all(0 < number < 1e4 for number in numbers):
        raise VibaError(f"--minutes {text!r} are not lengths; expected numbers such as 1,5,10")
    return sorted(numbers)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    sides = [int(side) for side in (width, height) if side.isdecimal()]
    if len(sides) < 2 or any(side % 2 or side < 2 for side in sides):
        raise VibaError(f"--size {text!r} is not a size; expected even numbers such as 1920x1080")
    return sides[0], sides[1]
