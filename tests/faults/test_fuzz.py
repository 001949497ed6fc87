"""Anything at all in catalogs, tables, profiles, metadata and records: refused in plain words."""

import json
import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from viba_lib.book.chapters import chapters
from viba_lib.book.parameters import checked
from viba_lib.core.cache import (
    META,
    Cache,
    Stage,
    Work,
    integrity_error,
    read_meta,
    write_meta,
)
from viba_lib.core.checkpoints import read_checkpoint, write_checkpoint
from viba_lib.core.errors import VibaError
from viba_lib.data.catalog import COLUMNS, load_catalog, resolve, validate_catalog
from viba_lib.data.clip_store import load_clip, read_facts
from viba_lib.data.readers import read_source
from viba_lib.models.weights import read_state
from viba_lib.pipeline.profiles import Profile, load_profile
from viba_lib.pipeline.status import changed

TINY = yaml.safe_load((Path("viba_lib/pipeline/profiles/tiny.yaml")).read_text())
many = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
trees = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
cells = st.one_of(
    st.none(), st.text(max_size=12), st.integers(), st.floats(), st.booleans(),
    st.sampled_from(["real", "fake", "train", "a.mp4", "../a", "/etc/passwd", "a/b", "..", "\x00"]),
)  # fmt: skip


@many
@given(data=st.data())
def test_a_catalog_is_valid_or_refused(data):
    columns = data.draw(st.lists(st.sampled_from([*COLUMNS, "more", 3]), min_size=1, max_size=9))
    row = st.lists(cells, min_size=len(columns), max_size=len(columns))
    rows = data.draw(st.lists(row, max_size=4))
    frame = pd.DataFrame(rows, columns=columns, dtype=object)
    try:
        found = validate_catalog(frame)
    except VibaError:
        return
    assert found.video_id.is_unique and found.label.isin(["real", "fake"]).all()
    assert not found.video_id.str.contains("/").any() and not found.video_id.isin([".", ".."]).any()
    pd.testing.assert_frame_equal(validate_catalog(found), found)


@many
@given(path=st.lists(st.sampled_from(["..", ".", "a", "b", "link", "", "~"]), max_size=6))
def test_no_relative_path_leads_out(tmp_path_factory, path):
    base = tmp_path_factory.mktemp("base")
    root = base / "root"
    (root / "a").mkdir(parents=True)
    (root / "link").symlink_to(base)
    text = "/".join(path)
    assume(not text.startswith(("/", "~")))  # the home folder is an absolute path
    try:
        found = resolve(text, root)
    except VibaError:
        return
    assert found.resolve().is_relative_to(root.resolve())


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@many
@given(content=st.binary(max_size=300))
def test_any_bytes_as_a_table(tmp_path, suffix, content):
    path = tmp_path / f"table.{suffix}"
    path.write_bytes(content)
    with pytest.raises(VibaError):
        load_catalog(path)
    with pytest.raises(VibaError):
        read_source("table", path)


@many
@given(seed=st.integers(0, 2**32))
def test_a_good_table_with_some_bytes_changed(tmp_path, seed):
    dice = random.Random(seed)
    frame = pd.DataFrame({"video_id": ["a", "b"], "path": ["a", "b"], "label": ["real", "fake"]})
    path = tmp_path / "table.parquet"
    frame.to_parquet(path)
    data = bytearray(path.read_bytes())
    for _ in range(dice.randint(1, 20)):
        data[dice.randrange(len(data))] = dice.randrange(256)
    path.write_bytes(data)
    try:
        validate_catalog(load_catalog(path))
    except VibaError as error:
        assert str(error)


@many
@given(content=trees)
def test_any_tree_as_a_profile(tmp_path, content):
    path = tmp_path / "p.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(VibaError):
        load_profile(path)


@many
@given(content=st.text(max_size=200) | st.binary(max_size=200))
def test_any_text_as_a_profile(tmp_path, content):
    path = tmp_path / "p.yaml"
    text = isinstance(content, str)
    path.write_bytes(content.encode("utf-8", "surrogatepass") if text else content)
    with pytest.raises(VibaError):
        load_profile(path)


@many
@given(data=st.data())
def test_a_profile_with_one_value_changed_is_valid_or_refused(tmp_path, data):
    content = json.loads(json.dumps(TINY))
    place = content
    while True:
        key = data.draw(st.sampled_from(sorted(place)))
        if not isinstance(place[key], dict) or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(trees)
    path = tmp_path / "p.yaml"
    path.write_text(yaml.safe_dump(content))
    try:
        profile = load_profile(path)
    except VibaError as error:
        assert len(str(error)) < 2000
        return
    assert isinstance(profile, Profile)
    root = Path("/results")
    assert (root / profile.name).resolve().parent == root


@pytest.mark.parametrize("source", ["dfdc", "faceforensics", "fakeavceleb", "avdeepfake1m"])
@many
@given(content=trees | st.binary(max_size=60))
def test_any_metadata_of_a_data_set(tmp_path, source, content):
    names = {
        "dfdc": "metadata.json", "faceforensics": "splits/train.json",
        "fakeavceleb": "meta_data.csv", "avdeepfake1m": "train_metadata.json",
    }  # fmt: skip
    path = tmp_path / names[source]
    path.parent.mkdir(exist_ok=True)
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    path.write_bytes(raw)
    with pytest.raises(VibaError):
        read_source(source, tmp_path)


@many
@given(content=trees | st.binary(max_size=80))
def test_any_record_of_a_stage(tmp_path, content):
    folder = tmp_path / "stage"
    folder.mkdir(exist_ok=True)
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    (folder / META).write_bytes(raw)
    assert read_meta(folder) is None and integrity_error(folder, read_meta(folder))


def once(folder: Path, work: Work, *, key: object) -> None:
    with (folder / "a").open("a") as stream:
        stream.write("computed\n")


@many
@given(key=trees)
def test_any_key_of_a_stage(tmp_path_factory, key):
    root = tmp_path_factory.mktemp("stages")
    stage = Stage("thing", once, {"key": key})
    done = Cache(root).get(stage)
    assert Cache(root).get(Stage("thing", once, {"key": key})) == done
    assert (done / "a").read_text() == "computed\n"
    assert isinstance(changed(key, key), list)


@many
@given(content=st.dictionaries(st.text(max_size=9), trees, max_size=5))
def test_what_is_written_of_a_stage_is_read_again(tmp_path, content):
    assume("files" not in content and "sum" not in content)
    write_meta(tmp_path, content, {})
    found = read_meta(tmp_path)
    assert found is not None and found["files"] == {}


@many
@given(content=st.binary(max_size=400), keep=st.integers(0, 400))
def test_any_bytes_as_clips_weights_and_pieces(tmp_path, content, keep):
    path = tmp_path / "clip.zarr.zip"
    path.write_bytes(content)
    for read in (load_clip, read_facts):
        with pytest.raises(VibaError):
            read(path)
    for name in ("w.safetensors", "w.pth"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(VibaError):
            read_state(tmp_path / name)
    (tmp_path / "000000.npz").write_bytes(content)
    assert read_checkpoint(tmp_path, 0) is None
    write_checkpoint(tmp_path, 1, {"a": np.arange(9)})
    whole = (tmp_path / "000001.npz").read_bytes()
    cut = whole[: keep % len(whole)]
    (tmp_path / "000001.npz").write_bytes(cut)
    assert read_checkpoint(tmp_path, 1) is None


@pytest.mark.slow
@many
@given(name=st.text(max_size=10), value=st.text(max_size=30))
def test_any_parameter_of_a_chapter(name, value):
    source = chapters()[4]
    for given_name in (name, "beta", "steps", "seed"):
        try:
            found = checked(source, [(given_name, value)])
        except VibaError:
            continue
        assert all(isinstance(v, (int, float, str, bool)) for v in found.values())
