"""What copies of data sets hold beside their videos, tried on every reader of a layout."""

import json
import os
import shutil
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest

from viba_lib.data.catalog import CatalogError, validate_catalog
from viba_lib.data.readers import SOURCES, read_source
from viba_lib.data.video import read_video


@dataclass(frozen=True)
class Tree:
    """The smallest valid tree of a data set."""

    source: str
    reals: tuple[str, ...]
    fakes: dict[str, tuple[str, str, str]]  # identity, donor and original of each
    texts: dict[str, object] = field(default_factory=dict)
    masks: tuple[str, ...] = ()
    free: str = ""  # part of a file's name that may be anything in this set

    @property
    def films(self) -> list[str]:
        return [*self.reals, *self.fakes]

    def renamed(self, name: str, on_disk: str) -> "Tree":
        """The free part is called `name` in the metadata and `on_disk` in the files' names."""
        texts = json.loads(json.dumps(self.texts).replace(self.free, name))
        reals = tuple(film.replace(self.free, on_disk) for film in self.reals)
        fakes = {film.replace(self.free, on_disk): facts for film, facts in self.fakes.items()}
        return Tree(self.source, reals, fakes, texts, self.masks)


SEGMENTS = {"modify_type": "visual_modified", "visual_fake_segments": [[0, 0.1]]}
AV_PLACE = "id1/zY9/00001"
AV_FACTS = {
    f"{AV_PLACE}/real.mp4": {"modify_type": "real"},
    f"{AV_PLACE}/fake.mp4": SEGMENTS | {"original": f"{AV_PLACE}/real.mp4"},
}
AV_FILMS = {
    "reals": (f"train/{AV_PLACE}/real.mp4",),
    "fakes": {f"train/{AV_PLACE}/fake.mp4": ("id1", "", "avdeepfake1m-id1-zY9-00001-real")},
}
FF_FAKES = "manipulated_sequences/{}/videos/{}.mp4"
PREVIEW_FAKE = "method_A/12/12_3_A_001.mp4"
SWAP, LIPS = "FakeVideo-RealAudio/African/men/id00076", "FakeVideo-FakeAudio/African/men/id00076"

TREES = {
    "faceforensics": Tree(
        "faceforensics",
        tuple(f"original_sequences/youtube/c23/videos/{n}.mp4" for n in ("054", "071")),
        {
            FF_FAKES.format("Deepfakes/c23", "071_054"): ("071", "054", "faceforensics-real-071"),
            FF_FAKES.format("FaceSwap/c23", "054_071"): ("054", "071", "faceforensics-real-054"),
        },
        {"test.json": [["071", "054"]]},
        masks=(FF_FAKES.format("Deepfakes/masks", "071_054"),),
    ),
    "dfd": Tree(
        "dfd",
        ("original_sequences/actors/c23/videos/01__talking.mp4",),
        {
            FF_FAKES.format("DeepFakeDetection/c23", "01_02__talking__0XUW13RW"): (
                "01", "02", "dfd-real-01__talking",
            ),
        },
        masks=(FF_FAKES.format("DeepFakeDetection/masks", "01_02__talking__0XUW13RW"),),
    ),
    "celebdf": Tree(
        "celebdf",
        ("Celeb-real/id0_0000.mp4", "YouTube-real/freename.mp4"),
        {"Celeb-synthesis/id0_id1_0000.mp4": ("id0", "id1", "Celeb-real-id0_0000")},
        {"List_of_testing_videos.txt": "1 YouTube-real/freename.mp4\n"},
        free="freename",
    ),
    "dfdc": Tree(
        "dfdc",
        ("train/dfdc_train_part_0/aaa.mp4", "test/b.mp4"),
        {"train/dfdc_train_part_0/freename.mp4": ("aaa", "", "dfdc-aaa")},
        {
            "train/dfdc_train_part_0/metadata.json": {
                "aaa.mp4": {"label": "REAL", "split": "train"},
                "freename.mp4": {"label": "FAKE", "split": "train", "original": "aaa.mp4"},
            },
            "test/labels.csv": "filename,label\nb.mp4,0\n",
        },
        free="freename",
    ),
    "dfdc preview": Tree(
        "dfdc",
        ("original_videos/12/freename.mp4",),
        {PREVIEW_FAKE: ("12", "3", "")},
        {
            "dataset.json": {
                "original_videos/12/freename.mp4": {"label": "real", "set": "train"},
                PREVIEW_FAKE: {"label": "fake", "set": "train"},
            }
        },
        free="freename",
    ),
    "deeperforensics": Tree(
        "deeperforensics",
        ("original_sequences/youtube/c23/videos/071.mp4",),
        {
            "manipulated_videos/end_to_end/071_M101.mp4": (
                "071", "M101", "faceforensics-real-071",
            ),
            "manipulated_videos/reenact_postprocess/071_W009.mp4": (
                "071", "W009", "faceforensics-real-071",
            ),
        },
        {"lists/splits/test.txt": "071_M101.mp4\n"},
    ),
    "fakeavceleb": Tree(
        "fakeavceleb",
        ("RealVideo-RealAudio/African/men/id00076/freename.mp4",),
        {f"{SWAP}/freename_a.mp4": ("id00076", "id01", ""), f"{LIPS}/b.mp4": ("id00076", "", "")},
        {
            "meta_data.csv": "source,target1,target2,method,category,type,race,gender,path,\n"
            f"id00076,id01,-,faceswap,B,x,African,men,freename_a.mp4,FakeAVCeleb/{SWAP}\n"
            f"id00076,id02,id03,wav2lip,D,x,African,men,b.mp4,FakeAVCeleb/{LIPS}\n"
        },
        free="freename",
    ),
    "avdeepfake1m": Tree(
        "avdeepfake1m",
        **AV_FILMS,
        texts={"train_metadata.json": [{"file": name} | facts for name, facts in AV_FACTS.items()]},
        free="zY9",
    ),
    "avdeepfake1m++": Tree(
        "avdeepfake1m",
        **AV_FILMS,
        texts={f"train/{n.replace('.mp4', '.json')}": facts for n, facts in AV_FACTS.items()},
    ),
}  # fmt: skip


@pytest.fixture(params=TREES)
def tree(request: pytest.FixtureRequest) -> Tree:
    return TREES[request.param]


@pytest.fixture
def build(place):
    """Write a tree to disk; its root has a name with spaces and accents unless told."""

    def write(tree: Tree, root: str = "Data Sets Ünï") -> Path:
        return place(*tree.films, *tree.masks, texts=tree.texts, root=root)

    return write


def read(tree: Tree, root: Path) -> pd.DataFrame:
    """Catalog with paths from the root, which does not depend on where that lies."""
    found = read_source(tree.source, root)
    for column in ("path", "mask_path"):
        found[column] = [os.path.relpath(p, root.resolve()) if p else "" for p in found[column]]
    return found


def videos(tree: Tree, root: Path) -> set[str]:
    """Videos and masks in the catalog; none where it says that there are none."""
    try:
        found = read(tree, root)
    except CatalogError as error:
        assert "holds no videos of this layout" in str(error)
        return set()
    return set(found.path) | set(found.mask_path) - {""}


def test_each_reader_of_a_layout_is_tried() -> None:
    assert {tree.source for tree in TREES.values()} == set(SOURCES) - {"table"}


def test_each_video_is_listed_and_decodes(tree: Tree, build) -> None:
    root = build(tree)
    found = read_source(tree.source, root)
    assert videos(tree, root) == {*tree.films, *tree.masks} and len(found) == len(tree.films)
    for path in [*found.path, *found.mask_path[found.mask_path != ""]]:
        assert Path(path).is_absolute() and len(read_video(path).frames) == 3
    pd.testing.assert_frame_equal(found, validate_catalog(found))


def test_labels_people_and_originals(tree: Tree, build) -> None:
    found = read(tree, build(tree)).set_index("path")
    assert set(found.index[found.label == "real"]) == set(tree.reals)
    assert (found.loc[[*tree.reals], ["donor", "method"]] == "").all(axis=None)
    fakes = found.loc[[*tree.fakes], ["identity", "donor", "original"]]
    assert list(fakes.itertuples(index=False, name=None)) == [*tree.fakes.values()]


def test_suffixes_in_capitals(tree: Tree, build) -> None:
    root = build(tree)
    before = read(tree, root)
    for path in [p for p in root.rglob("*.mp4") if p.is_file()]:
        path.rename(path.with_suffix(".MP4"))
    after = read(tree, root)
    assert after.path.str.endswith(".MP4").all()
    for column in ("path", "mask_path"):
        after[column] = after[column].str.replace(".MP4", ".mp4")
    pd.testing.assert_frame_equal(after, before)


def test_what_lies_beside_the_videos_is_ignored(tree: Tree, build) -> None:
    root = build(tree)
    before = read(tree, root)
    for file in [p for p in root.rglob("*") if p.is_file()]:
        file.with_name(f"._{file.name}").write_bytes(b"\x00\x05\x16\x07")
        for name in (".DS_Store", "Thumbs.db", "notes.txt", "notes.md", f".~{file.name}"):
            file.with_name(name).write_bytes(b"\xff\x00")
    for folder in [root, *(p for p in root.rglob("*") if p.is_dir())]:
        (folder / "._.DS_Store").touch()
        (folder / "@eaDir").mkdir()
        (folder / "folder.mp4").mkdir()
    pd.testing.assert_frame_equal(read(tree, root), before)


def left(tree: Tree, gone: set[str]) -> set[str]:
    """Videos and masks that are listed where some are gone.

    A mask stands in the row of its fake, and DeeperForensics has no originals without their fakes.
    """
    fakes = set(tree.fakes) - gone
    names = {Path(fake).name for fake in fakes}
    masks = {mask for mask in tree.masks if Path(mask).name in names}
    reals = set(tree.reals) if fakes or tree.source != "deeperforensics" else set()
    return (reals | fakes | masks) - gone


def test_links_to_files_out_of_the_folder_are_not_followed(tree: Tree, build, film: Path) -> None:
    for number, name in enumerate((*tree.films, *tree.masks)):
        root = build(tree, f"{number}")
        (root / name).unlink()
        (root / name).symlink_to(film)
        assert videos(tree, root) == left(tree, {name})


def test_links_to_folders_out_of_the_folder_are_not_followed(
    tree: Tree, build, tmp_path: Path
) -> None:
    everything = {*tree.films, *tree.masks}
    folders = {str(p) for name in everything for p in Path(name).parents} - {"."}
    for number, folder in enumerate(sorted(folders)):
        root = build(tree, f"{number}")
        (root / folder).rename(tmp_path / f"away {number}")
        (root / folder).symlink_to(tmp_path / f"away {number}")
        gone = {name for name in everything if Path(name).is_relative_to(folder)}
        assert videos(tree, root) == left(tree, gone), folder


def test_a_link_to_the_data_set_itself_is_followed(tree: Tree, build, tmp_path: Path) -> None:
    root = build(tree)
    (tmp_path / "link").symlink_to(root)
    pd.testing.assert_frame_equal(read(tree, tmp_path / "link"), read(tree, root))


def test_links_within_the_data_set_are_followed(tree: Tree, build) -> None:
    """Such as `FakeVideo-RealAudio -> disk2/FakeVideo-RealAudio`, in one folder."""
    root = build(tree)
    before = read(tree, root)
    (root / "disk2").mkdir()
    for folder in {Path(name).parts[0] for name in tree.films} - {"method_A", "original_videos"}:
        (root / folder).rename(root / "disk2" / folder)
        (root / folder).symlink_to(root / "disk2" / folder)
    after = read(tree, root)
    after["path"] = after.path.str.removeprefix("disk2/")
    after["mask_path"] = after.mask_path.str.removeprefix("disk2/")
    pd.testing.assert_frame_equal(after, before)


@pytest.mark.parametrize("tree", [tree for tree in TREES.values() if tree.free])
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_spaces_and_accents_in_names(tree: Tree, build, form) -> None:
    """What was copied from a Mac may have accents taken apart, and the metadata have them whole."""
    name = "ein Film 1. Größe 影"
    other = tree.renamed(name, unicodedata.normalize(form, name))
    root = build(other)
    found, before = read(other, root), read(tree, build(tree, "as it was"))
    assert videos(other, root) == {*other.films}
    same = ["label", "method", "donor", "split"]
    assert sorted(found[same].to_numpy().tolist()) == sorted(before[same].to_numpy().tolist())
    real_ids = set(found.video_id[found.label == "real"])
    assert {original for original in found.original if original} <= real_ids


@pytest.mark.parametrize("backwards", [False, True])
def test_rows_do_not_depend_on_the_order_of_the_file_system(
    tree: Tree, build, monkeypatch: pytest.MonkeyPatch, backwards: bool
) -> None:
    root = build(tree)
    before = read(tree, root)
    scan, names = os.scandir, os.listdir

    class Ordered:
        """The entries of a folder by name, as `os.scandir` gives them."""

        def __init__(self, path="."):
            with scan(path) as entries:
                self.entries = iter(sorted(entries, key=lambda e: e.name, reverse=backwards))

        def __iter__(self):
            return self

        def __next__(self):
            return next(self.entries)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

    monkeypatch.setattr(os, "scandir", Ordered)
    monkeypatch.setattr(os, "listdir", lambda path: sorted(names(path), reverse=backwards))
    pd.testing.assert_frame_equal(read(tree, root), before)


def test_fakes_whose_original_is_not_on_disk_name_it(tree: Tree, build) -> None:
    root = build(tree)
    for name in tree.reals:
        (root / name).unlink()
    found = read(tree, root).set_index("path")
    assert found.original.to_dict() == {name: facts[2] for name, facts in tree.fakes.items()}
    assert not set(found.original) & set(found.video_id)


def test_deeperforensics_finds_what_lies_beside_the_current_folder(
    build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = TREES["deeperforensics"]
    root = build(tree)
    shutil.move(root / "original_sequences", tmp_path)
    monkeypatch.chdir(root)
    assert len(read_source("deeperforensics", ".")) == len(tree.films)
