"""Prepared clips on disk: labelled, the same bytes for the same clip, and safe to open."""

import dataclasses
import pickle
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import xarray as xr
import zarr
from zarr.storage import ZipStore

from viba_lib.core.errors import VibaError
from viba_lib.data.clip_store import (
    DIMENSIONS,
    ClipStore,
    PreparedClip,
    load_clip,
    read_facts,
    save_clip,
)


@pytest.fixture
def clip() -> PreparedClip:
    rng = np.random.default_rng(0)
    sizes = {"frame": 2, "y": 5, "x": 5, "rgb": 3, "time": 2, "flow_y": 4, "flow_x": 4,
             "component": 2, "point": 68, "axis": 2, "square": 3}  # fmt: skip
    kinds = {"frame": "int64", "flow": "float16", "landmarks": "float32",
             "next_landmarks": "float32", "squares": "float32"}  # fmt: skip
    arrays = {
        name: rng.integers(0, 255, [sizes[d] for d in dims]).astype(kinds.get(name, "uint8"))
        for name, dims in DIMENSIONS.items()
    }
    return PreparedClip(**arrays | {"frame": np.array([3, 9])})


def test_what_is_read_is_what_was_written(clip: PreparedClip, tmp_path: Path) -> None:
    save_clip(clip, tmp_path / "x.zarr.zip", {"lost": [4], "decoded": 10})
    found = load_clip(tmp_path / "x.zarr.zip")
    for field in dataclasses.fields(clip):
        np.testing.assert_array_equal(getattr(found, field.name), getattr(clip, field.name))
        assert getattr(found, field.name).dtype == getattr(clip, field.name).dtype
    facts = read_facts(tmp_path / "x.zarr.zip")
    assert facts["lost"] == [4] and facts["decoded"] == 10 and facts["frame"] == [3, 9]
    assert [p.name for p in tmp_path.iterdir()] == ["x.zarr.zip"]


def test_other_tools_read_labels(clip: PreparedClip, tmp_path: Path) -> None:
    save_clip(clip, tmp_path / "x.zarr.zip", {"video_id": "x"})
    with ZipStore(tmp_path / "x.zarr.zip", mode="r") as store:
        found = xr.open_zarr(store, consolidated=False).load()
    assert found.flow.dims == ("frame", "component", "flow_y", "flow_x")
    assert found.faces.sel(frame=9).shape == (5, 5, 3) and found.attrs["video_id"] == "x"
    assert all(v.attrs["description"] for v in found.data_vars.values())


def test_the_same_clip_is_the_same_file(clip: PreparedClip, tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_clip(clip, tmp_path / name / "x.zarr.zip", {"lost": []})
    one, other = ((tmp_path / name / "x.zarr.zip").read_bytes() for name in ("a", "b"))
    assert one == other


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_files_that_are_no_clips(clip: PreparedClip, tmp_path: Path, content) -> None:
    path = tmp_path / "x.zarr.zip"
    save_clip(clip, path, {})
    path.write_bytes(path.read_bytes()[:2000] if content is None else content)
    for read in (load_clip, read_facts):
        with pytest.raises(VibaError, match=r"x\.zarr\.zip.*prepare again"):
            read(path)


def test_an_array_that_is_missing_is_named(tmp_path: Path) -> None:
    with ZipStore(tmp_path / "x.zarr.zip", mode="w") as store:
        zarr.create_group(store)
    with pytest.raises(VibaError, match=r"not a complete prepared clip.*frame"):
        load_clip(tmp_path / "x.zarr.zip")


def test_a_clip_with_a_changed_bit_is_refused(clip: PreparedClip, tmp_path: Path) -> None:
    path = tmp_path / "x.zarr.zip"
    save_clip(clip, path, {})
    with ZipFile(path) as archive:
        entry = max(archive.infolist(), key=lambda info: info.file_size)
    content = bytearray(path.read_bytes())
    content[entry.header_offset + 30 + len(entry.filename) + entry.file_size // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(VibaError, match="not a complete prepared clip"):
        load_clip(path)


def test_formats_that_may_hold_pickles_are_refused(tmp_path: Path) -> None:
    with ZipStore(tmp_path / "x.zarr.zip", mode="w") as store:
        zarr.create_group(store, zarr_format=2)
    with pytest.raises(VibaError, match="not a complete prepared clip"):
        load_clip(tmp_path / "x.zarr.zip")


def test_a_store_keeps_what_fits_and_travels_empty(clip: PreparedClip, tmp_path: Path) -> None:
    for name in "abcd":
        save_clip(clip, tmp_path / name, {})
    store = ClipStore(tmp_path, limit=2 * clip.faces.nbytes)
    assert store["a"] is store["a"]
    first = store["a"]
    for name in "bacd":
        assert np.array_equal(store[name].faces, clip.faces)
    # What was read counts when the next clip is opened.
    assert store["a"] is first and list(store._clips) == ["c", "d", "a"]
    store["b"]
    assert list(store._clips) == ["d", "a", "b"]
    assert not pickle.loads(pickle.dumps(store))._clips


def test_a_stored_clip_reads_what_is_used(clip: PreparedClip, tmp_path: Path) -> None:
    save_clip(clip, tmp_path / "a", {})
    found = ClipStore(tmp_path)["a"]
    assert found.nbytes == 0
    assert found.faces is found.faces and found.nbytes == clip.faces.nbytes
    (tmp_path / "a").unlink()
    assert np.array_equal(found.faces, clip.faces)
    with pytest.raises(VibaError, match="not a complete prepared clip"):
        found.flow  # noqa: B018
    with pytest.raises(AttributeError):
        found.colour  # noqa: B018
    for name in DIMENSIONS:
        save_clip(clip, tmp_path / "a", {})
        assert np.array_equal(getattr(ClipStore(tmp_path)["a"], name), getattr(clip, name))
