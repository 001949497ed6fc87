"""Options and words that the commands of `viba` share."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

ProfileOption = Annotated[str, typer.Option(help="quick, standard, paper or a YAML file.")]
DataOption = Annotated[Path, typer.Option(help="Folder of fetched or licensed data.")]
ResultsOption = Annotated[Path, typer.Option(help="Folder of results.")]
DetectorOption = Annotated[str, typer.Option(help="xception, flow-vgg11 or module:function.")]
DeviceOption = Annotated[str, typer.Option(help="cpu, cuda, ...")]
SchedulerOption = Annotated[
    str, typer.Option(help="Address of a Dask cluster; left out: this machine.")
]
SeedOption = Annotated[int, typer.Option(help="Seed of all that is drawn.")]


def say(line: str) -> None:
    Console(stderr=True, highlight=False).print(line, style="dim", markup=False)


def open_study(
    profile: str, data_root: Path, results_root: Path, device: str, seed: int, scheduler: str = ""
) -> Any:
    from viba_lib.pipeline.study import Study

    return Study(profile, data_root, results_root, device, seed, say, scheduler)


def cell(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    digits = {"seconds": 3, "agreement": 3, "ratio": 1}.get(name, 0)
    return "" if value != value else f"{value:,.{digits}f}"
