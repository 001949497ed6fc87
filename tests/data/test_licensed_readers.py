"""Layouts of DFDC, DeeperForensics, FakeAVCeleb and AV-Deepfake1M, with the traps they hold."""

import os
import shutil
from pathlib import Path

import pytest

from viba_lib.data.catalog import CatalogError
from viba_lib.data.readers import read_source
from viba_lib.data.readers.layout import all_video_files, video_files
from viba_lib.data.splits import linked_groups
from viba_lib.data.video import read_video


def test_only_films_inside_the_folder_are_seen(place, film: Path, tmp_path: Path) -> None:
    root = place(
        "a b.mp4", "Ünï.MP4", "._a b.mp4", ".part.mp4", "in/c.mp4", ".trash/d.mp4", "e.mp4/f.mp4",
        "notes.txt",
    )  # fmt: skip
    links = {"inside": root / "a b.mp4", "outside": film, "gone": root / "no", "loop": "loop.mp4"}
    for name, target in links.items():
        (root / f"{name}.mp4").symlink_to(target)
    (root / "away").symlink_to(film.parent)
    (root / "in" / "up.mp4").symlink_to(root / "a b.mp4")
    assert [p.name for p in video_files(root)] == ["a b.mp4", "inside.mp4", "Ünï.MP4"]
    assert [p.name for p in all_video_files(root)][3:] == ["f.mp4", "c.mp4", "up.mp4"]
    # A link may lead to another folder of the data set, but not out of the one that is asked for.
    assert [p.name for p in video_files(root / "in")] == ["c.mp4"]
    assert [p.name for p in video_files(root / "in", root)] == ["c.mp4", "up.mp4"]
    assert video_files(root / "away", root) == [] != video_files(root / "away")
    assert len(read_video(video_files(root)[0]).frames) == 3


def test_finding_films_looks_at_no_file_that_is_no_link(place, monkeypatch) -> None:
    """Each look at one of 100,000 files on a network disk is a request."""
    looks = []
    for name in ("stat", "lstat"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, real=real, **k: looks.append(a) or real(*a, **k))
    counts = []
    for number in (1, 30):
        root = place(*(f"{n}.mp4" for n in range(number)))
        looks.clear()
        assert len(video_files(root, root)) == number
        counts.append(len(looks))
    assert counts[0] == counts[1] > 0


@pytest.mark.parametrize("parts", ["train/dfdc_train_part_0", "dfdc_train_part_0", "."])
def test_dfdc_parts(place, parts: str) -> None:
    root = place(*(f"{parts}/{n}.mp4" for n in ("real", "fake", "late", "null", "unknown")))
    place(texts={f"{parts}/metadata.json": {
        "real.mp4": {"label": "REAL", "split": "train"},
        "fake.mp4": {"label": "FAKE", "split": "train", "original": "real.mp4"},
        "late.mp4": {"label": "FAKE", "split": "train", "original": "not_on_disk.mp4"},
        "null.mp4": {"label": "FAKE", "split": "train", "original": None},
        "gone.mp4": {"label": "REAL", "split": "train"},
    }})  # fmt: skip
    found = read_source("dfdc", root).set_index("video_id")
    assert found.label.to_dict() == {
        "dfdc-real": "real", "dfdc-fake": "fake", "dfdc-late": "fake", "dfdc-null": "fake",
    }  # fmt: skip
    assert found.loc["dfdc-fake", "original"] == "dfdc-real"
    assert found.loc["dfdc-late", "original"] == "dfdc-not_on_disk"
    assert found.loc["dfdc-null", "original"] == "" and set(found.split) == {"train"}
    groups = linked_groups(found.reset_index())
    assert groups[found.index.get_loc("dfdc-real")] == groups[found.index.get_loc("dfdc-fake")]


def test_dfdc_test_and_preview(place, film: Path) -> None:
    root = place("test/a.mp4", "test/b.mp4", "test/c.mp4")
    place(texts={"test/labels.csv": "filename,label\na.mp4,1\nb.mp4,0\nz.mp4,0\n"})
    found = read_source("dfdc", root)
    assert found.label.tolist() == ["fake", "real"] and set(found.split) == {"test"}
    root = place("method_A/12/12_3_A.mp4", "original_videos/12/12_a.mp4")
    place(texts={"dataset.json": {
        "method_A/12/12_3_A.mp4": {"label": "fake", "set": "test"},
        "original_videos/12/12_a.mp4": {"label": "real", "set": "train"},
        str(film): {"label": "fake", "set": "test"},
        f"../../{film.parent.name}/film.mp4": {"label": "fake", "set": "test"},
    }})  # fmt: skip
    (root / "test" / "labels.csv").unlink()
    found = read_source("dfdc", root)
    assert found.method.tolist() == ["method_A", ""] and set(found.identity) == {"12"}


@pytest.mark.parametrize(
    ("name", "donor"),
    [("12_3_A_001", "3"), ("12_3", ""), ("12_A_001", ""), ("3_12_A", ""), ("012", "")],
)
def test_donors_of_the_preview_are_told_where_the_name_shows_them(place, name, donor) -> None:
    path = f"method_B/12/{name}.mp4"
    root = place(path, texts={"dataset.json": {path: {"label": "fake", "set": "train"}}})
    assert read_source("dfdc", root).donor.tolist() == [donor]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "cannot be read.*columns such as filename, label"),
        ("filename,label\na.mp4,0,1,2\nb.mp4,0\nb.mp4,0,1,2,3,4\n", "cannot be read"),
        ("file,label\na.mp4,0\n", r"columns \['file', 'label'\]; expected filename, label"),
        ("filename,label\na.mp4,\n", "the label ''"),
    ],
)
def test_dfdc_labels_that_are_none(place, content: str, said: str) -> None:
    root = place("test/a.mp4", texts={"test/labels.csv": content})
    with pytest.raises(CatalogError, match=said):
        read_source("dfdc", root)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{broken", "cannot be read"),
        ("[]", "holds a list"),
        ({"a.mp4": {"label": "MAYBE"}}, "'MAYBE'"),
        ({}, "expected train/dfdc_train_part_0"),
    ],
)
def test_dfdc_metadata_that_are_none(place, content: object, said: str) -> None:
    root = place("a.mp4")
    place(texts={"metadata.json": content})
    with pytest.raises(CatalogError, match=said):
        read_source("dfdc", root)


def test_deeperforensics_takes_its_real_films_from_faceforensics(place, tmp_path: Path) -> None:
    root = place(
        "manipulated_videos/end_to_end/071_M101.mp4",
        "manipulated_videos/end_to_end_level_1/071_M101.mp4",
        "manipulated_videos/reenact_postprocess/054_W009.MP4",
        "source_videos/M101/BlendShape/camera_front.mp4",
    )
    place(texts={"lists/splits/test.txt": "071_M101.mp4\n"})
    alone = read_source("deeperforensics", root)
    (root / "lists/splits/test.txt").write_text("lists\\071_M101.MP4\r\n", encoding="utf-16")
    assert read_source("deeperforensics", root).equals(alone)
    assert alone.label.tolist() == ["fake"] * 3 and alone.split.tolist() == ["test", "test", ""]
    films = tmp_path / "original_sequences" / "youtube" / "c23" / "videos"
    films.mkdir(parents=True)
    for name in ("071", "054", "999"):
        shutil.copy(root / "manipulated_videos/end_to_end/071_M101.mp4", films / f"{name}.mp4")
    both = read_source("deeperforensics", root).set_index("video_id")
    real = both[both.label == "real"]
    assert real.split.to_dict() == {"faceforensics-real-054": "", "faceforensics-real-071": "test"}
    assert set(both.loc[both.label == "fake", "original"]) == set(real.index)
    assert set(real.compression) == {"c23"} and both.compression.notna().all()


def test_splits_of_the_originals_are_those_of_any_fake_that_has_one(place) -> None:
    fakes = [f"manipulated_videos/{name}.mp4" for name in ("a/071_M101", "b/071_M102")]
    root = place(*fakes, "original_sequences/youtube/raw/videos/071.mp4")
    place(texts={"lists/splits/val.txt": "071_M101.mp4"})
    assert read_source("deeperforensics", root).split.tolist() == ["val", "", "val"]


@pytest.mark.parametrize("above", ["", "FakeAVCeleb_v1.2/"])
def test_fakeavceleb_labels_pictures_not_sound(place, above: str) -> None:
    folders = ("RealVideo-RealAudio", "RealVideo-FakeAudio", "FakeVideo-FakeAudio")
    root = place(*(f"{above}{f}/African/men/id00076/00 109.mp4" for f in folders))
    place(texts={f"{above}meta_data.csv":
          "source,target1,target2,method,category,type,race,gender,path,\n"
          "id00076,id1,-,fsgan-wav2lip,D,FakeVideo-FakeAudio,African,men,00 109.mp4,"
          "FakeAVCeleb/FakeVideo-FakeAudio/African/men/id00076\n"})  # fmt: skip
    found = read_source("fakeavceleb", root).set_index("method")
    assert found.label.to_dict() == {"": "real", "fsgan-wav2lip": "fake"}
    assert set(found.identity) == {"id00076"} and found.audio.tolist() == ["real", "fake", "fake"]
    # People called NA are people, and Windows writes backslashes.
    place(texts={f"{above}meta_data.csv":
          "source;target1;target2;method;category;type;race;gender;path;\r\n"
          "id00076;NA;-;faceswap;D;FakeVideo-FakeAudio;African;men;00 109.mp4;"
          "FakeAVCeleb\\FakeVideo-FakeAudio\\African\\men\\id00076\\\r\n"})  # fmt: skip
    found = read_source("fakeavceleb", root).set_index("method")
    assert found.donor.to_dict() == {"": "", "faceswap": "NA"}
    place(texts={f"{above}meta_data.csv": "a,b\n1,2\n"})
    with pytest.raises(CatalogError, match=r"columns \['a', 'b'\]"):
        read_source("fakeavceleb", root)


SEGMENTS = {"modify_type": "both-modified", "visual_fake_segments": [[0.5, 1.25], [2, 3.0]]}


@pytest.mark.parametrize("form", ["one file", "a folder", "beside"])
def test_avdeepfake1m_gives_the_fake_pieces(place, form: str) -> None:
    names = {
        "id1/x/00001/fake_video_fake_audio.mp4": SEGMENTS | {
            "original": "id1/x/00001/real.mp4", "audio_fake_segments": [[0, 1]],
        },
        "id1/x/00001/real.mp4": {"modify_type": "real", "original": None},
        "id2/y/00002/real_video_fake_audio.mp4": {"modify_type": "audio_modified"},
    }  # fmt: skip
    root = place(*(f"train/{name}" for name in names))
    if form == "one file":
        rows = [{"file": name} | facts for name, facts in names.items()]
        place(texts={"train_metadata.json": [*rows, {"file": "../../film.mp4"}, {"file": "gone"}]})
    else:
        folder = "train_metadata" if form == "a folder" else "train"
        for name, facts in names.items():
            place(texts={f"{folder}/{Path(name).with_suffix('.json')}": facts})
    found = read_source("avdeepfake1m", root).sort_values("video_id")
    fake = found[found.label == "fake"]
    assert fake[["start", "end"]].to_numpy().tolist() == [[0.5, 1.25], [2.0, 3.0]]
    assert set(fake.method) == {"both_modified"} and fake.video_id.str.contains("@").all()
    real = found[found.label == "real"].set_index("identity")
    assert real.audio.to_dict() == {"id1": "real", "id2": "fake"}
    assert set(fake.original) == {real.video_id["id1"]}


@pytest.mark.parametrize("content", ["{broken", {"file": "a.mp4"}, ["a.mp4"]])
def test_avdeepfake1m_metadata_that_are_none(place, content: object) -> None:
    root = place("train/a.mp4")
    place(texts={"train_metadata.json": content})
    with pytest.raises(CatalogError, match="expected entries with file"):
        read_source("avdeepfake1m", root)


@pytest.mark.parametrize("kind", ["video_modified", None])
def test_avdeepfake1m_kinds_that_are_none_are_not_real(place, kind: object) -> None:
    root = place("val/a.mp4")
    place(texts={"val_metadata.json": [{"file": "a.mp4", "modify_type": kind}]})
    with pytest.raises(CatalogError, match=f"a.mp4 give the modify_type {kind!r}; expected one of"):
        read_source("avdeepfake1m", root)


def test_avdeepfake1m_segments_that_are_none(place) -> None:
    root = place("val/a.mp4")
    facts = {"file": "a.mp4", "modify_type": "visual_modified", "visual_fake_segments": ["x"]}
    place(texts={"val_metadata.json": [facts]})
    with pytest.raises(CatalogError, match="pairs of seconds"):
        read_source("avdeepfake1m", root)
