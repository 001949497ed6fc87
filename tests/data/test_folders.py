"""From a file that names folders to the videos of a study, prepared, with one command."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests import command
from viba_lib.cli.data import _sampled
from viba_lib.core.errors import VibaError
from viba_lib.data.catalog import CatalogError
from viba_lib.data.clip_store import load_clip
from viba_lib.data.readers.folders import read_all, read_folders
from viba_lib.pipeline.profiles import load_profile
from viba_lib.pipeline.study import Study


@pytest.fixture
def viba(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run the command line; returns exit status, stdout and stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        return command.viba(monkeypatch, *arguments), *capsys.readouterr()

    return run


@pytest.fixture
def folders(videos: Path, tmp_path: Path) -> Path:
    """FaceForensics++ with pairs, and a table named kodf with a film that is none."""
    pairs = [("000", "003"), ("003", "000"), ("005", "010"), ("010", "005")]
    names = [f"original_sequences/youtube/c23/videos/{target}.mp4" for target, _ in pairs]
    names += [f"manipulated_sequences/FaceSwap/c23/videos/{a}_{b}.mp4" for a, b in pairs]
    for name in [f"ff/{name}" for name in names] + ["kodf/a.mp4", "kodf/b.mp4"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(videos / "face.mp4", tmp_path / name)
    shutil.copy(videos / "text.mp4", tmp_path / "kodf" / "c.mp4")
    rows = "a.mp4,real\nb.mp4,fake\nc.mp4,fake\n"
    (tmp_path / "kodf" / "list.csv").write_text("path,label\n" + rows)
    return write(tmp_path, "faceforensics: ff\nkodf: kodf/list.csv\n")


def write(folder: Path, text: str) -> Path:
    path = folder / "folders.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def small_profile(folder: Path) -> Path:
    content = load_profile("tiny").model_dump(mode="json")
    content |= {"name": "small", "dataset": {"kind": "catalog"}}
    content["preparation"] |= {"spatial_size": 64, "flow_size": 64, "frames_per_video": 2}
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_each_set_is_read_by_its_reader_and_others_as_tables(folders: Path) -> None:
    found = dict(read_all(read_folders(folders)))
    assert {name: len(rows) for name, rows in found.items()} == {"faceforensics": 8, "kodf": 3}
    assert set(found["kodf"].dataset) == {"kodf"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("celebdf: [unclosed", "is not YAML"),
        ("", "holds a NoneType"),
        ("- a", "holds a list"),
        ("celebdf:", "holds celebdf: ''"),
        ("celebdf: nowhere", "do not exist: celebdf"),
    ],
)
def test_files_that_name_no_folders(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(CatalogError, match=said):
        read_folders(write(tmp_path, text))
    with pytest.raises(CatalogError, match="expected a YAML mapping"):
        read_folders(tmp_path / "none.yaml")


@pytest.mark.slow
def test_one_command_from_folders_to_flow_maps(folders: Path, tmp_path: Path, viba) -> None:
    profile = small_profile(tmp_path)
    options = ["--profile", profile, "--data-root", tmp_path / "data", "--results-root",
               tmp_path / "results"]  # fmt: skip
    status, out, err = viba("data", "build", folders, "--all", *options)
    assert status == 0, err
    assert "11 videos written" in out and "kodf-" not in out and "c: " in out
    catalog = pd.read_parquet(tmp_path / "data" / "catalog.parquet")
    # Pairs that lent each other a face are on one side of the split.
    faces = catalog[catalog.dataset == "faceforensics"]
    pair = faces.identity.isin(["000", "003"])
    assert faces.split[pair].nunique() == faces.split[~pair].nunique() == 1
    study = Study(profile, tmp_path / "data", tmp_path / "results")
    assert len(study.frames()) == 20 and study.problems().video_id.tolist() == ["c"]
    first = study.frames().iloc[0]
    assert load_clip(study.prepared.folder / first.path).flow.shape == (2, 2, 64, 64)
    # A second run has nothing to do, and one with the paper's counts says what it lacks.
    assert viba("data", "build", folders, "--all", *options)[0] == 0
    status, _, err = viba("data", "build", folders, *options)
    assert status == 2 and "50 videos of 'faceforensics' are wanted" in err
    assert "celebdf: not in" in err
    status, _, err = viba("data", "build", folders, "--all", "--profile", "tiny")
    assert status == 2 and "makes its own videos" in err


def test_a_count_of_no_listed_set_takes_no_video(capsys: pytest.CaptureFixture[str]) -> None:
    sets = {"celebdf": pd.DataFrame(), "mine": pd.DataFrame()}
    with pytest.raises(VibaError, match=r"has celebdf, mine, and none .* --count celebdf=N"):
        _sampled(["celeb-df=50"], sets, Path("folders.yaml"))
    assert _sampled(["mine=5"], sets, Path("folders.yaml")) == {"mine": 5}
    assert "celebdf: left out, because it has no count" in capsys.readouterr().err
    with pytest.raises(VibaError, match="none of them has a count"):
        _sampled(None, {"mine": pd.DataFrame()}, Path("folders.yaml"))
