"""Help texts and options that commands share."""

import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from viba_lib.cli.main import app
from viba_lib.cli.options import described, print_rows


def commands(group, *path):
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, *path, name)
    if path:
        yield path, group


EVERY = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_every_option_has_a_help_text(path):
    for option in EVERY[path].params:
        assert option.help, option.name
    assert "Parameters" not in (EVERY[path].help or "")


def test_a_command_receives_its_own_and_shared_options(monkeypatch):
    seen = {}
    monkeypatch.setattr("viba_lib.cli.options._open_study", lambda **given: given)
    little = typer.Typer()

    @little.command()
    @described("profile", "seed", profile="paper")
    def show(folder: Path, open_study, count: int = 3) -> None:
        """Show it.

        Parameters
        ----------
        folder : Folder
            of files.
        count : How many.
        """
        seen.update(folder=folder, count=count, study=open_study())

    assert CliRunner().invoke(little, ["here", "--count", "5", "--seed", "7"]).exit_code == 0
    assert seen == {"folder": Path("here"), "count": 5, "study": {"profile": "paper", "seed": 7}}
    text = CliRunner().invoke(little, ["--help"]).output
    assert "Folder of files." in text and "How many." in text


def test_rows_have_empty_cells_for_nan_and_no_markup(capsys):
    print_rows([{"name": "[red]a", "value": float("nan")}], "name | value", "{name} | {value:.1f}")
    printed = capsys.readouterr().out
    assert "[red]a" in printed and "nan" not in printed
    print_rows([{"low": float("nan"), "high": float("nan")}], "range", "{low:.1f} to {high:.1f}")
    assert "nan" not in capsys.readouterr().out
    print_rows([{"name": "nan", "value": 1.0}], "name | value", "{name} | {value:.1f}")
    assert "nan" in capsys.readouterr().out


def test_help_waits_for_no_large_package():
    code = "import sys, viba_lib.cli.main; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "pandas", "numpy", "cv2", "dask", "av"} & set(done.stdout.split())


def test_words_of_a_table_stay_whole_in_a_file_and_in_a_narrow_terminal(capsys, monkeypatch):
    columns = " | ".join(f"column number {i}" for i in range(8))
    cells = " | ".join(["{name}"] * 8)
    monkeypatch.delenv("COLUMNS", raising=False)
    print_rows([{"name": "flow-vgg11"}], columns, cells)
    assert capsys.readouterr().out.count("flow-vgg11") == 8
    monkeypatch.setenv("COLUMNS", "60")
    print_rows([{"name": "flow-vgg11"}], columns, cells)
    narrow = capsys.readouterr().out
    assert "…" not in narrow and max(map(len, narrow.splitlines())) <= 60
