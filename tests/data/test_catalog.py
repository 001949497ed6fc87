"""Catalogs: what is filled in, what is refused, and splits that share no identity."""

from pathlib import Path

import pandas as pd
import pytest

from viba_lib.data.catalog import (
    COLUMNS,
    CatalogError,
    elsewhere,
    load_catalog,
    resolve,
    save_catalog,
    segment,
    validate_catalog,
)
from viba_lib.data.readers import read_source


def test_left_out_columns_are_filled_and_others_kept(catalog: pd.DataFrame) -> None:
    found = validate_catalog(catalog.assign(note="x"))
    assert list(found) == [*COLUMNS, "note"]
    assert (found.method == "").all() and found.start.isna().all()


def test_categories_become_text(catalog: pd.DataFrame) -> None:
    given = catalog.astype(dict.fromkeys(catalog.select_dtypes("object"), "category"))
    pd.testing.assert_frame_equal(validate_catalog(given), validate_catalog(catalog))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"video_id": "same"}, "given twice.*'same'"),
        ({"video_id": [f"a/{i}" for i in range(20)]}, "file name"),
        ({"video_id": [".a", *map(str, range(19))]}, r"a dot first.*'\.a'"),
        ({"video_id": ["a\nb", *map(str, range(19))]}, "file name"),
        ({"video_id": ["A", "a", *map(str, range(18))]}, "given twice.*'a'"),
        ({"video_id": ["\u00e9", "e\u0301", *map(str, range(18))]}, "given twice"),
        ({"path": "name\udce9.mp4"}, r"not Unicode; rename these files .'name.udce9\.mp4'"),
        ({"video_id": ["..", *map(str, range(19))]}, r"file name.*'\.\.'"),
        ({"video_id": [None, *map(str, range(19))]}, "empty"),
        ({"path": ""}, "empty"),
        ({"label": "FAKE"}, "labels.*'FAKE'"),
        ({"split": "training"}, "splits.*'training'"),
        ({"path": "a/../../b.mp4"}, r"leave the folder"),
        ({"start": "soon"}, "not a number of seconds"),
        ({"end": float("inf")}, "not a number of seconds"),
        ({"video_id": ["", *map(str, range(19))]}, "empty"),
        ({"start": 3.0, "end": 2.0}, "not before end"),
        ({"start": -5.0, "end": 1.0}, "not a number of seconds from 0"),
        ({"start": pd.Timestamp("2020-01-01")}, "not a number of seconds"),
        ({"end": pd.Timedelta("1s")}, "not a number of seconds"),
        ({"end": True}, "not a number of seconds"),
    ],
)
def test_wrong_rows_are_named(catalog: pd.DataFrame, change: dict, said: str) -> None:
    with pytest.raises(CatalogError, match=said):
        validate_catalog(catalog.assign(**change))


@pytest.mark.parametrize("kind", ["category", "string", "Int64", "int64", "Float64", "boolean"])
def test_columns_of_any_type_become_text(tmp_path: Path, catalog: pd.DataFrame, kind: str) -> None:
    names = ["NA", None] if kind in ("category", "string") else [1, 0 if kind == "int64" else None]
    column = pd.Series(names * 10).astype(kind)
    given = catalog.assign(video_id=catalog.video_id.astype("category"), identity=column)
    path = save_catalog(
        given.assign(start=pd.array([1, None] * 10, "Int64")), tmp_path / "c.parquet"
    )
    first = {"category": "NA", "string": "NA", "Float64": "1.0", "boolean": "True"}.get(kind, "1")
    second = "0" if kind == "int64" else ""
    assert load_catalog(path).identity.tolist() == [first, second] * 10


def test_wrong_tables_are_refused(catalog: pd.DataFrame) -> None:
    with pytest.raises(CatalogError, match=r"no columns.*label"):
        validate_catalog(catalog.drop(columns="label"))
    with pytest.raises(CatalogError, match="no rows"):
        validate_catalog(catalog.head(0))
    with pytest.raises(CatalogError, match=r"twice: \['path'\]"):
        validate_catalog(pd.concat([catalog, catalog.path], axis=1))


def test_saved_and_read_back(tmp_path: Path, catalog: pd.DataFrame) -> None:
    path = save_catalog(catalog, tmp_path / "new" / "catalog.parquet")
    pd.testing.assert_frame_equal(load_catalog(path), validate_catalog(catalog))
    assert [p.name for p in path.parent.iterdir()] == ["catalog.parquet"]


def test_a_wrong_catalog_is_not_written(tmp_path: Path, catalog: pd.DataFrame) -> None:
    with pytest.raises(CatalogError):
        save_catalog(catalog.assign(label="?"), tmp_path / "catalog.parquet")
    assert list(tmp_path.iterdir()) == []


def test_csv_keeps_ids_as_text(tmp_path: Path, catalog: pd.DataFrame) -> None:
    ids = [f"{i:03d}" for i in range(20)]
    catalog.assign(video_id=ids, identity=ids).to_csv(tmp_path / "c.csv", index=False)
    found = load_catalog(tmp_path / "c.csv")
    assert found.video_id.tolist() == ids and found.identity.tolist() == ids


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="does not exist"):
        load_catalog(tmp_path / "none.parquet")
    for name, content in (("c.parquet", b"no parquet"), ("c.csv", b""), ("d.csv", b"\xff\xfe\x00")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CatalogError, match=name):
            load_catalog(tmp_path / name)


def test_the_suffix_says_how_a_catalog_is_written(tmp_path: Path, catalog: pd.DataFrame) -> None:
    saved = save_catalog(catalog, tmp_path / "c.csv")
    assert saved.read_bytes().startswith(b"dataset,video_id,path,label,")
    pd.testing.assert_frame_equal(load_catalog(saved), load_catalog(
        save_catalog(catalog, tmp_path / "c.parquet")))  # fmt: skip
    with pytest.raises(CatalogError, match=r"c\.xlsx is no name of a catalog; expected"):
        save_catalog(catalog, tmp_path / "c.xlsx")
    assert not (tmp_path / "c.xlsx").exists()


def test_links_in_a_circle_are_videos_that_do_not_exist(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").symlink_to(tmp_path / "b.mp4")
    (tmp_path / "b.mp4").symlink_to(tmp_path / "a.mp4")
    assert not resolve("a.mp4", tmp_path).is_file()
    (tmp_path / "table.csv").write_text("path,label\na.mp4,real\nc.mp4,fake\n")
    assert len(read_source("table", tmp_path / "table.csv")) == 2


def test_a_table_without_ids_is_told_how_to_become_a_catalog(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path,label\na.mp4,real\n")
    with pytest.raises(CatalogError, match=r"no video_id; `viba data catalog .*t\.csv --source"):
        load_catalog(tmp_path / "t.csv")


def test_paths_stay_inside_the_folder(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    assert resolve("a/b.mp4", inside) == (inside / "a/b.mp4").resolve()
    assert resolve("/else/b.mp4", inside) == Path("/else/b.mp4")
    (inside / "link").symlink_to(outside)
    for path in ("../out/b.mp4", "link/b.mp4"):
        with pytest.raises(CatalogError, match="leads out of"):
            resolve(path, inside)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (None, None)),
        ({"start": None, "end": float("nan")}, (None, None)),
        ({"start": 0, "end": "2.5"}, (0.0, 2.5)),
    ],
)
def test_the_part_of_a_video_is_given_in_seconds(tmp_path: Path, given, expected) -> None:
    row = {"path": "a.mp4", **given}
    for form in (row, pd.Series(row)):
        assert segment(form, tmp_path) == ((tmp_path / "a.mp4").resolve(), *expected)


@pytest.mark.parametrize("folder", ["real/", "./real/", "real\\\\"])
def test_originals_are_found_as_the_table_writes_their_paths(tmp_path: Path, folder: str) -> None:
    real = f"{folder}a.mp4"
    rows = f"{real},real,\n{folder.replace('real', 'fake')}a.mp4,fake,{real}\n"
    (tmp_path / "table.csv").write_text(f"path,label,original\n{rows}")
    found = read_source("table", tmp_path / "table.csv")
    assert found.original[1] == found.video_id[0] != ""


def test_an_original_may_be_an_address_or_any_other_name(tmp_path: Path) -> None:
    names = ["https://videos.example/watch?v=1", "$HOME/a", "C:/a.mp4", "~/a.mp4"]
    rows = [f"{number}.mp4,fake,{name}" for number, name in enumerate(names)]
    (tmp_path / "table.csv").write_text("\n".join(["path,label,original", *rows]))
    assert read_source("table", tmp_path / "table.csv").original.tolist() == names


def test_a_catalog_keeps_naming_its_files_in_another_folder(tmp_path: Path) -> None:
    catalog = validate_catalog(pd.DataFrame(
        {"video_id": ["a", "b"], "path": ["a.mp4", "/videos/b.mp4"], "label": ["real", "fake"],
         "mask_path": ["", "masks/b.mkv"]})
    )  # fmt: skip
    assert elsewhere(catalog, tmp_path, tmp_path) is catalog
    moved = elsewhere(catalog, tmp_path, tmp_path / "new")
    assert moved.path.tolist() == [str(tmp_path / "a.mp4"), "/videos/b.mp4"]
    assert moved.mask_path.tolist() == ["", str(tmp_path / "masks" / "b.mkv")]
