"""The command line, called in this process."""

import sys

import pytest

from viba_lib.cli import main as cli


def viba(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Run `viba` with these arguments; returns its exit status."""
    monkeypatch.setattr(sys, "argv", ["viba", *map(str, arguments)])
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0
