"""The licensed route: from folders of data sets without masks to the pages of the book."""

import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests import command
from tests.licensed import build_tree, write_profile
from viba_lib.book import execute, paths
from viba_lib.book.assemble import assemble
from viba_lib.book.chapters import chapters, key_of
from viba_lib.book.make import pages_of
from viba_lib.pipeline.study import Study

# Chapters with results that need masks, known regions or planted methods.
NEED_TRUTH = {"03", "04", "05", "06", "07", "10", "11", "12", "13", "14", "15", "speed"}


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """A copy of the book's sources, in which chapters are executed."""
    for name in ("notebooks", "book", "_config.yml", "_toc.yml"):
        source = paths.ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, tmp_path / name)
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setattr(paths, "NOTEBOOKS", tmp_path / "notebooks")
    return tmp_path


def shown(notebook: Any) -> str:
    """Text and HTML of all outputs."""
    outputs = [o for c in notebook.cells if c.cell_type == "code" for o in c.outputs]
    return "\n".join(o.get("text") or str(o.get("data", {}).get("text/html")) for o in outputs)


@pytest.mark.network
@pytest.mark.slow
def test_chapters_and_pages_without_masks(fetched, checkout, monkeypatch):
    folders, profile = build_tree(checkout, fetched[0]), write_profile(checkout / "licensed.yaml")
    roots = (checkout / "data", checkout / "results")
    options = ("--all", "--profile", profile, "--data-root", roots[0], "--results-root", roots[1])
    assert command.viba(monkeypatch, "data", "build", folders, *options) == 0
    study = Study(profile, *roots)
    study.run_all()
    executed = execute.execute_all(str(profile), 0, "cpu")
    texts = {key_of(path.stem): shown(nbformat.read(path, 4)) for path in executed}
    assert {n for n, text in texts.items() if "not computed" in text.lower()} == NEED_TRUTH
    assert [n for n, text in texts.items() if re.search(r"\bnan\b", text)] == []
    folder = assemble(executed, generated=pages_of(study))
    pages = {path.stem for path in (folder / "notebooks").iterdir()}
    assert pages == {source.stem for source in chapters()}
