"""Layouts of the public data sets, made of empty files, become catalogs."""

import json
from pathlib import Path

import pytest

from viba_lib.data.catalog import COLUMNS, CatalogError
from viba_lib.data.sources import SOURCES, read_source
from viba_lib.errors import VibaError


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


@pytest.fixture
def faceforensics(tmp_path: Path) -> Path:
    """Two originals, three fakes, one mask, DFD in the same tree, the official splits."""
    fakes = "manipulated_sequences/{}/c23/videos/{}.mp4"
    touch(
        tmp_path,
        "original_sequences/youtube/c23/videos/071.mp4",
        "original_sequences/youtube/c23/videos/054.mp4",
        "original_sequences/youtube/c23/videos/._054.mp4",
        "original_sequences/youtube/c40/videos/099.mp4",
        fakes.format("Deepfakes", "071_054"),
        fakes.format("Deepfakes", "054_071"),
        fakes.format("NeuralTextures", "071_054"),
        "manipulated_sequences/Deepfakes/masks/videos/071_054.mp4",
        "original_sequences/actors/c23/videos/01__talking.mp4",
        fakes.format("DeepFakeDetection", "01_02__talking__0XUW13RW"),
    )
    (tmp_path / "train.json").write_text("[]")
    (tmp_path / "test.json").write_text(json.dumps([["071", "054"]]))
    return tmp_path


def test_faceforensics(faceforensics: Path) -> None:
    found = read_source("faceforensics", faceforensics).set_index("video_id")
    assert len(found) == 5
    fake = found.loc["faceforensics-Deepfakes-071_054"]
    assert (fake.label, fake.method, fake.identity) == ("fake", "Deepfakes", "071")
    assert fake.original == "faceforensics-real-071" and fake.original in found.index
    assert fake.mask_path.endswith("masks/videos/071_054.mp4")
    assert set(found.split) == {"test"} and (found.mask_path != "").sum() == 1
    assert "DeepFakeDetection" not in set(found.method)
    assert all(Path(p).is_file() for p in found.path)


def test_faceforensics_with_broken_splits(faceforensics: Path) -> None:
    for content in ("{broken", "[1, 2]"):
        (faceforensics / "train.json").write_text(content)
        with pytest.raises(CatalogError, match=r"train\.json is not a list of pairs"):
            read_source("faceforensics", faceforensics)


def test_dfd_pairs_fakes_with_the_real_scene(faceforensics: Path) -> None:
    found = read_source("dfd", faceforensics).set_index("label")
    assert found.loc["fake", "original"] == found.loc["real", "video_id"] == "dfd-real-01__talking"
    assert found.identity.tolist() == ["01", "01"] and set(found.split) == {""}


def test_celebdf_takes_labels_from_folders(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "Celeb-real/id0_0000.mp4",
        "YouTube-real/00000.mp4",
        "Celeb-synthesis/id0_id1_0000.mp4",
        "Celeb-synthesis/notes.txt",
    )
    # In the list 1 means real, the inverse of what most code does; it must not matter.
    (tmp_path / "List_of_testing_videos.txt").write_text("0 Celeb-synthesis/id0_id1_0000.mp4\n\n")
    found = read_source("celebdf", tmp_path).set_index("video_id")
    assert found.label.to_dict() == {
        "Celeb-real-id0_0000": "real",
        "YouTube-real-00000": "real",
        "Celeb-synthesis-id0_id1_0000": "fake",
    }
    fake = found.loc["Celeb-synthesis-id0_id1_0000"]
    assert fake.split == "test" and fake.original in found.index
    assert found.split.tolist().count("test") == 1


def test_a_table_brings_any_set_in(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.mp4", "b/1.mp4", "m.mkv")
    (tmp_path / "kodf.csv").write_text(
        "path,label,method,mask_path,start,end,source_url\n"
        "a/1.mp4,fake,FSGAN,m.mkv,1,2.5,somewhere\n"
        "a/1.mp4,fake,FSGAN,,3,4,somewhere\n"
        "b/1.mp4,real,,,,,\n"
    )
    found = read_source("table", tmp_path)
    assert list(found)[: len(COLUMNS)] == list(COLUMNS)
    assert found.video_id.is_unique and found.method.tolist() == ["FSGAN", "FSGAN", ""]
    assert found.path[0] == str((tmp_path / "a/1.mp4").resolve())
    assert found.mask_path.tolist() == [str((tmp_path / "m.mkv").resolve()), "", ""]
    assert found.source[0] == "somewhere" and found.end[0] == 2.5
    assert read_source("table", tmp_path / "kodf.csv").equals(found)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("file,label\na.mp4,real\n", "expected path and label"),
        ("path,label\n,real\n", "without a path"),
        ("path\na.mp4\n", "no columns"),
        ("path,label\n../a.mp4,real\n", "leads out of"),
        ("path,label\na.mp4,genuine\n", "'genuine'"),
        ("path,label\na.mp4,real\na.mp4,real\n", "given twice"),
        ("", "cannot be read"),
    ],
)
def test_wrong_tables(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(CatalogError, match=said):
        read_source("table", tmp_path)


def test_a_folder_with_two_tables(tmp_path: Path) -> None:
    touch(tmp_path, "a.csv", "b.csv")
    with pytest.raises(CatalogError, match="holds 2 tables"):
        read_source("table", tmp_path)


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_an_empty_folder_says_what_was_expected(tmp_path: Path, name: str) -> None:
    with pytest.raises(CatalogError, match="expected"):
        read_source(name, tmp_path)
    with pytest.raises(VibaError, match="does not exist"):
        read_source(name, tmp_path / "none")


def test_unknown_sets_are_sent_to_the_table(tmp_path: Path) -> None:
    with pytest.raises(VibaError, match=r"'kodf' has no reader.*'table'"):
        read_source("kodf", tmp_path)
