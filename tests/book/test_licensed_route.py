"""The licensed route: from folders of data sets without masks to executed chapters."""

import re
from pathlib import Path

import nbformat
import pytest

from tests import command
from tests.licensed import build_tree, write_profile
from viba_lib.book import execute
from viba_lib.book.chapters import chapters
from viba_lib.book.parameters import parameters_of
from viba_lib.pipeline.study import OUTPUT

# Chapters that measure localisation or agreement.
WITHOUT_TRUTH = ("04", "05", "06", "10", "11", "12", "14", "15")


@pytest.fixture(scope="module")
def licensed(fetched, tmp_path_factory) -> dict[str, str]:
    """Parameters of a chapter for a built study."""
    folder = tmp_path_factory.mktemp("licensed")
    folders, profile = build_tree(folder, fetched[0]), write_profile(folder / "licensed.yaml")
    given = {"profile": profile, "data_root": folder / "data", "results_root": folder / "results"}
    options = [x for k, v in given.items() for x in (f"--{k.replace('_', '-')}", v)]
    with pytest.MonkeyPatch.context() as patch:
        assert command.viba(patch, "data", "build", folders, "--all", *options) == 0
    return {name: str(path) for name, path in given.items()}


def shown(notebook) -> str:
    """Text and HTML of all outputs."""
    outputs = [o for c in notebook.cells if c.cell_type == "code" for o in c.outputs]
    return "\n".join(o.get("text") or str(o.get("data", {}).get("text/html")) for o in outputs)


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize("source", chapters(), ids=lambda source: source.stem)
def test_a_chapter_runs_without_masks(source: Path, licensed: dict[str, str], tmp_path: Path):
    target = tmp_path / source.with_suffix(".ipynb").name
    environment = execute.kernel_environment(2) | {OUTPUT: str(tmp_path)}
    known = parameters_of(source).keys()
    values = {name: value for name, value in licensed.items() if name in known}
    assert execute.execute(source, target, values, environment) == []
    text = shown(nbformat.read(target, 4))
    says = "not computed" in text.lower()
    assert says == (source.stem[:2] in WITHOUT_TRUTH)
    assert not (says and re.search(r"\bnan\b", text)), "a sentence with a missing number"
