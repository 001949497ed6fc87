"""Layouts of FaceForensics++, DFD, Celeb-DF and tables become catalogs."""

from pathlib import Path

import pandas as pd
import pytest

from viba_lib.core.errors import VibaError
from viba_lib.data.catalog import COLUMNS, CatalogError
from viba_lib.data.readers import SOURCES, read_source


@pytest.fixture
def faceforensics(place) -> Path:
    """Two originals, three fakes, one mask, DFD in the same tree, the official splits."""
    fakes = "manipulated_sequences/{}/c23/videos/{}.mp4"
    return place(
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
        texts={"train.json": [], "test.json": [["071", "054"]]},
    )


def test_faceforensics(faceforensics: Path) -> None:
    found = read_source("faceforensics", faceforensics).set_index("video_id")
    assert len(found) == 5
    fake = found.loc["faceforensics-Deepfakes-071_054"]
    assert (fake.label, fake.method, fake.identity) == ("fake", "Deepfakes", "071")
    assert fake.donor == "054" == found.loc["faceforensics-real-054", "identity"]
    assert fake.original == "faceforensics-real-071" and fake.original in found.index
    assert fake.mask_path.endswith("masks/videos/071_054.mp4")
    assert set(found.split) == {"test"} and (found.mask_path != "").sum() == 1
    assert "DeepFakeDetection" not in set(found.method)
    assert all(Path(p).is_file() for p in found.path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_encodings_of_metadata(faceforensics: Path, encoding: str) -> None:
    (faceforensics / "test.json").write_text('[["071", "054"]]', encoding=encoding)
    assert set(read_source("faceforensics", faceforensics).split) == {"test"}


def test_faceforensics_with_broken_splits(faceforensics: Path) -> None:
    for content in ("{broken", "[1, 2]"):
        (faceforensics / "train.json").write_text(content)
        with pytest.raises(CatalogError, match=r"train\.json .*expected pairs such as"):
            read_source("faceforensics", faceforensics)


def test_dfd_pairs_fakes_with_the_real_scene(faceforensics: Path) -> None:
    found = read_source("dfd", faceforensics).set_index("label")
    assert found.loc["fake", "original"] == found.loc["real", "video_id"] == "dfd-real-01__talking"
    assert found.identity.tolist() == ["01", "01"] and set(found.split) == {""}


OF_071 = ["faceforensics-real-071", "faceforensics-Deepfakes-071_054"]


@pytest.fixture
def compressions(place) -> Path:
    """One original as c23 and raw, its fakes as raw and c40, and one of them as c23 as well."""
    fake = "manipulated_sequences/{}/{}/videos/071_054.mp4"
    films = [f"original_sequences/youtube/{c}/videos/071.mp4" for c in ("c23", "raw")]
    films += [fake.format("Deepfakes", c) for c in ("raw", "c40", "c23")]
    films += [fake.format("FaceSwap", c) for c in ("raw", "c40")]
    return place(*films, "manipulated_sequences/Deepfakes/masks/c40/videos/071_054.mp4")


def test_real_and_fake_have_one_compression(compressions: Path) -> None:
    """Else a detector learns the compression: of two folders c23 would come first, of one raw."""
    found = read_source("faceforensics", compressions)
    assert set(found.compression) == {"raw"} and found.path.str.contains("/raw/").all()
    assert found.video_id.tolist() == [*OF_071, "faceforensics-FaceSwap-071_054"]
    for name in ("c23", "c40"):
        assert set(read_source("faceforensics", compressions, name).compression) == {name}
    assert read_source("faceforensics", compressions, "c23").video_id.tolist() == OF_071


def test_a_compression_with_originals_comes_before_one_with_more_fakes(place) -> None:
    fake = "manipulated_sequences/{}/{}/videos/071_054.mp4"
    films = [fake.format("Deepfakes", "raw"), "original_sequences/youtube/raw/videos/071.mp4"]
    films += [fake.format(method, "c23") for method in ("Deepfakes", "FaceSwap", "FaceShifter")]
    found = read_source("faceforensics", place(*films))
    assert found.compression.tolist() == ["raw", "raw"] and set(found.label) == {"real", "fake"}


def test_of_equally_frequent_compressions_the_first_is_taken(place) -> None:
    root = place(*(f"original_sequences/actors/{c}/videos/01__a.mp4" for c in ("c40", "raw")))
    assert read_source("dfd", root).compression.tolist() == ["raw"]


def test_all_compressions_have_ids_and_originals_of_their_own(compressions: Path) -> None:
    found = read_source("faceforensics", compressions, "all").set_index("video_id")
    assert len(found) == 7 and (found.index.str.rpartition("-").get_level_values(2)
                                == found.compression).all()  # fmt: skip
    original = found.original[found.method == "Deepfakes"]
    assert set(original) == {f"faceforensics-real-071-{c}" for c in ("c23", "raw", "c40")}
    assert set(found.identity) == {"071"}
    masked = found[found.mask_path != ""]
    assert masked.compression.tolist() == ["c40"] and "/masks/c40/" in masked.mask_path.iloc[0]


def test_all_compressions_of_dfd(faceforensics: Path, place) -> None:
    place("manipulated_sequences/DeepFakeDetection/c40/videos/01_02__talking__0XUW13RW.mp4")
    found = read_source("dfd", faceforensics, "all").set_index("compression")
    assert found.loc["c40", "original"] == "dfd-real-01__talking-c40"
    assert found.loc["c23", "video_id"].tolist()[0] == "dfd-real-01__talking-c23"


@pytest.mark.parametrize(
    ("source", "compression", "said"),
    [
        ("faceforensics", "c32", "'c32' is unknown; expected one of c23, raw, c40, c0 or all"),
        ("dfd", "C40", "'C40' is unknown"),
        ("dfd", "raw", "no videos with the compression raw, but with c23;"),
        ("faceforensics", "raw", "but with c23, c40;"),
        ("celebdf", "c23", "'celebdf' has one compression only.*leave --compression out"),
    ],
)
def test_compressions_that_are_not_there(
    faceforensics: Path, source: str, compression: str, said: str
) -> None:
    with pytest.raises(VibaError, match=said):
        read_source(source, faceforensics, compression)


def test_celebdf_takes_labels_from_folders(place) -> None:
    root = place(
        "Celeb-real/id0_0000.mp4",
        "YouTube-real/00000.mp4",
        "Celeb-synthesis/id0_id1_0000.mp4",
        # In the list 1 means real, the inverse of what most code does; it must not matter.
        texts={"List_of_testing_videos.txt": "0 Celeb-synthesis/id0_id1_0000.mp4\n\n"},
    )
    found = read_source("celebdf", root).set_index("video_id")
    assert found.label.to_dict() == {
        "Celeb-real-id0_0000": "real",
        "YouTube-real-00000": "real",
        "Celeb-synthesis-id0_id1_0000": "fake",
    }
    fake = found.loc["Celeb-synthesis-id0_id1_0000"]
    assert fake.split == "test" and fake.original in found.index
    assert found.split.tolist().count("test") == 1


@pytest.mark.parametrize(
    "line",
    [
        "1 YouTube-real/my film 1.mp4",
        "\ufeff1 YouTube-real/my film 1.mp4",
        "label video\n  1\tYouTube-real/my film 1.mp4  ",
        "YouTube-real/my film 1.mp4",
        r"1 YouTube-real\my film 1.MP4",
        "1 youtube-real/My Film 1.mp4\r",
    ],
)
def test_lines_of_the_list_of_celebdf(place, line: str) -> None:
    root = place("YouTube-real/my film 1.mp4", "YouTube-real/1.mp4", "YouTube-real/film 1.mp4")
    for encoding in ("utf-8", "utf-16"):
        listed = line if encoding == "utf-8" else line.removeprefix("\ufeff")
        (root / "List_of_testing_videos.txt").write_text(listed + "\n", encoding=encoding)
        found = read_source("celebdf", root)
        assert found.identity[found.split == "test"].tolist() == ["YouTube-real-my film 1"]


def test_a_table_brings_any_set_in(place) -> None:
    root = place("a/1.mp4", "b/1.mp4", "m.mkv", texts={"kodf.csv":
        "path,label,method,donor,mask_path,start,end,source_url\n"
        "a/1.mp4,fake,FSGAN,007,m.mkv,1,2.5,somewhere\n"
        "a/1.mp4,fake,FSGAN,,,3,4,somewhere\n"
        "b/1.mp4,real,,,,,,\n"
    })  # fmt: skip
    found = read_source("table", root)
    assert list(found)[: len(COLUMNS)] == list(COLUMNS)
    assert found.video_id.is_unique and found.method.tolist() == ["FSGAN", "FSGAN", ""]
    assert found.path[0] == str((root / "a/1.mp4").resolve())
    assert found.mask_path.tolist() == [str((root / "m.mkv").resolve()), "", ""]
    assert found.source[0] == "somewhere" and found.end[0] == 2.5
    assert found.donor.tolist() == ["007", "", ""] and set(found.dataset) == {"kodf"}
    assert read_source("table", root / "kodf.csv").equals(found)


def test_rows_that_name_no_data_set_are_of_the_table(place) -> None:
    root = place(texts={"my set.CSV": "path,label,dataset\na.mp4,real,kodf\nb.mp4,fake,\n"})
    place(texts={"._my set.CSV": "\x00\x05", ".~lock.my set.csv": "me", "notes.txt": "path,label"})
    assert read_source("table", root).dataset.tolist() == ["kodf", "my set"]


def test_parquet_tables_in_capitals(place) -> None:
    root = place(texts={"notes.txt": ""})
    pd.DataFrame({"path": ["a.mp4"], "label": ["real"]}).to_parquet(root / "SHOW.PARQUET")
    assert read_source("table", root).dataset.tolist() == ["SHOW"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("file,label\na.mp4,real\n", "expected path and label"),
        ("path,label\n,real\n", "without a path"),
        ("path\na.mp4\n", "no columns"),
        ("path,label\n../a.mp4,real\n", "leads out of"),
        ("path,label\na.mp4,genuine\n", "'genuine'"),
        ("path,label\na.mp4,real\na.mp4,real\n", "lists 1 paths twice .*a.mp4"),
        ("", "cannot be read"),
    ],
)
def test_wrong_tables(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(CatalogError, match=said):
        read_source("table", tmp_path)


def test_a_folder_with_two_tables(place) -> None:
    root = place(texts={"a.csv": "", "b.csv": ""})
    with pytest.raises(CatalogError, match="holds 2 tables"):
        read_source("table", root)


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_an_empty_folder_says_what_was_expected(tmp_path: Path, name: str) -> None:
    with pytest.raises(CatalogError, match="expected"):
        read_source(name, tmp_path)
    with pytest.raises(VibaError, match="does not exist"):
        read_source(name, tmp_path / "none")


def test_unknown_sets_are_sent_to_the_table(tmp_path: Path) -> None:
    with pytest.raises(VibaError, match=r"'kodf' has no reader.*'table'"):
        read_source("kodf", tmp_path)


def test_originals_are_named_by_id_or_path(tmp_path) -> None:
    (tmp_path / "t.csv").write_text(
        "path,label,original,start,end\nreal/a.mp4,real,,,\nfake/b.mp4,fake,real/a.mp4,,\n"
        "fake/c.mp4,fake,a,,\nfake/d.mp4,fake,elsewhere,,\n"
        "e.mp4,real,,0,1\ne.mp4,real,,1,2\nf.mp4,fake,e.mp4,,\n"
    )
    found = read_source("table", tmp_path)
    assert found.video_id[0] == "a" and found.original.tolist() == [
        "", "a", "a", "elsewhere", "", "", "e.mp4"
    ]  # fmt: skip
