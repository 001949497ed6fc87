"""Every row of the table of bad input is given to the product: see `bad_input.py`."""

import os
import shutil
import struct
import subprocess
import sys
import warnings
import wave
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pandas as pd
import pytest
import skimage.data
import torch
from papermill import PapermillExecutionError, execute_notebook
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import parametrizations, prune
from torch.utils.data import DataLoader, TensorDataset

from tests.command import viba
from tests.faults import bad_input
from tests.faults.bad_input import (
    ANNOTATIONS,
    FOLDERS,
    MODELS,
    PAPERMILL,
    PARAMETERS,
    PROBLEM,
    REFUSED,
    TABLES,
    TAKEN,
    VIDEOS,
    WEIGHTS,
)
from tests.faults.runs import environment
from tests.videos import add_cover, encode, resized, trimmed
from viba_lib.book.chapters import find_chapter, with_bad_input
from viba_lib.book.injected import check_injected
from viba_lib.book.parameters import checked
from viba_lib.bottleneck import Attribution, LayerStatistics, PerSampleBottleneck
from viba_lib.core.cache import Work
from viba_lib.core.errors import VibaError
from viba_lib.data.catalog import CLASSES, TEXT, load_catalog, validate_catalog
from viba_lib.data.prepare import PreparationSettings, account, prepare_catalog
from viba_lib.data.readers.folders import read_all, read_folders
from viba_lib.data.splits import leaks
from viba_lib.data.video import write_video
from viba_lib.experiments.human_agreement import read_annotations
from viba_lib.models import flow_vgg11
from viba_lib.models.detectors import FLOW_VGG11
from viba_lib.pipeline.profiles import load_profile
from viba_lib.pipeline.study import Study

ROOT = Path(__file__).parents[2]


def test_the_book_shows_this_table():
    page = (ROOT / "book" / "bad_input.md").read_text(encoding="utf-8")
    assert bad_input.markdown() in page, "run `make notebooks`"
    assert with_bad_input(page) == page
    names = [row.name for row in bad_input.ALL]
    assert len(names) == len(set(names)) >= 40


def named(rows, happens=None):
    kept = [row for row in rows if happens in (None, row.happens)]
    return pytest.mark.parametrize("row", kept, ids=[row.name for row in kept])


def refused(said: str, words: str) -> None:
    """Plain words without a traceback, however a terminal breaks its lines."""
    plain = " ".join(said.replace("│", " ").split())
    assert words in plain, plain
    assert "Traceback" not in said


# ---- videos --------------------------------------------------------------------------------------


def face(count: int = 6, size: tuple[int, int] = (320, 240)) -> np.ndarray:
    """A photograph that moves two pixels a frame."""
    still = cv2.resize(skimage.data.astronaut()[:384], size)
    moves = [np.float32([[1, 0, 2 * t], [0, 1, 0]]) for t in range(count)]
    edge = cv2.BORDER_REPLICATE
    return np.stack([cv2.warpAffine(still, m, size, borderMode=edge) for m in moves])


def hurt(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def noisy(data: bytes) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, 60, dtype=np.uint8).tobytes()
    middle = len(data) // 2
    return data[:middle] + noise + data[middle + len(noise) :]


def sound(path: Path) -> None:
    with wave.open(str(path.with_suffix(".wav")), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(bytes(16000))
    path.with_suffix(".wav").rename(path)


def turning(lying: np.ndarray) -> list[np.ndarray]:
    """A call: frames of one size, of a smaller one, and of a phone that is held upright."""
    return [*lying[:4], *np.ascontiguousarray(lying[4:, :, 70:250])]


def music(path: Path) -> None:
    with av.open(str(path), "w", format="mp3") as container:
        tone, cover = container.add_stream("libmp3lame", rate=44100), add_cover(container, True)
        image = av.VideoFrame.from_ndarray(face(1)[0][:32, :32].copy(), format="rgb24")
        container.mux([*cover.encode(image), *cover.encode()])
        silence = av.AudioFrame.from_ndarray(np.zeros((2, 44100), np.float32), "fltp", "stereo")
        silence.sample_rate = 44100
        container.mux([*tone.encode(silence), *tone.encode()])


def masked(path: Path) -> None:
    plain(path)
    write_video(path.with_suffix(".mkv"), np.zeros((6, 120, 160), np.uint8), 25, lossless=True)


def renamed(path: Path, name: str) -> None:
    other = write_video(path.with_name(name), face(), 25)
    other.rename(path)


def alpha(frames: np.ndarray) -> np.ndarray:
    return np.concatenate([frames, np.full((*frames.shape[:3], 1), 128, np.uint8)], -1)


def plain(path: Path, frames: np.ndarray | None = None) -> Path:
    return write_video(path, face() if frames is None else frames, 25)


def matroska(path: Path) -> None:
    write_video(path.with_suffix(".mkv"), face(), 25, lossless=True).rename(path)


MAKE: dict[str, Callable[[Path], object]] = {
    "v-empty": lambda p: p.write_bytes(b""),
    "v-text": lambda p: p.write_text("this is no video\n" * 50),
    "v-head": lambda p: hurt(plain(p), lambda data: data[:600]),
    "v-cut": lambda p: hurt(plain(p, face(40)), lambda data: data[: int(len(data) * 0.6)]),
    "v-bytes": lambda p: hurt(plain(p, face(40)), noisy),
    "v-suffix": matroska,
    "v-nosuffix": lambda p: plain(p.with_suffix(".mp4")).rename(p),
    "v-sound": sound,
    "v-one": lambda p: plain(p, face(1)),
    "v-picture": lambda p: p.write_bytes(cv2.imencode(".png", face(1)[0])[1].tobytes()),
    "v-variable": lambda p: encode(p, face(), "libx264", "yuv420p",
                                   stamps=[0, 10, 400, 430, 2000, 2010]),
    "v-rotated": lambda p: encode(p, np.rot90(face(), 1, (1, 2)), shown=(270, False)),
    "v-mirrored": lambda p: encode(p, np.rot90(face()[:, :, ::-1], -1, (1, 2)),
                                   shown=(90, True)),
    "v-aspect": lambda p: encode(p, face()[:, :, ::2], aspect=Fraction(2)),
    "v-cover": lambda p: encode(p, face(), cover="first"),
    "v-music": music,
    "v-late": lambda p: encode(p, face(), start=3_600_000),
    "v-edited": lambda p: trimmed(encode(p, face(40), bf="2"), 1),
    "v-avi": lambda p: encode(p, face(), bf="2"),
    "v-grows": lambda p: resized(p, [*face(4), *face(4, (640, 480))]),
    "v-turns": lambda p: resized(p, turning(face(8))),
    "v-masks": masked,
    "v-grey": lambda p: encode(p, face().mean(-1).astype(np.uint8), "libx264", "gray", "gray"),
    "v-alpha": lambda p: encode(p, alpha(face()), "png", "rgba", "rgba"),
    "v-10bit": lambda p: encode(p, face(), "libx264", "yuv420p10le"),
    "v-odd": lambda p: encode(p, face(size=(241, 181)), "libx264", "yuv444p"),
    "v-1x1": lambda p: encode(p, np.zeros((4, 1, 1, 3), np.uint8), "libx264", "yuv444p"),
    "v-8k": lambda p: plain(p, np.zeros((3, 4320, 7680, 3), np.uint8)),
    "v-noface": lambda p: plain(p, np.full((6, 240, 320, 3), 90, np.uint8)),
    "v-faces": lambda p: plain(p, np.tile(face(size=(640, 480)), (1, 2, 2, 1))),
    "v-cuts": lambda p: plain(p, np.concatenate([face(), face()[:, :, ::-1] // 2])),
    "v-folder": lambda p: p.mkdir(),
    "v-missing": lambda p: None,
    "v-outside": lambda p: None,
    "v-markup": plain,
    "v-colon": plain,
    "v-percent": plain,
    "v-dash": plain,
    "v-range": plain,
}  # fmt: skip
MARKUP = "<img src=x onerror=alert(1)>.mp4"
NAMES = {
    "v-nosuffix": "film.txt", "v-markup": MARKUP, "v-alpha": "a.mov", "v-avi": "a.avi",
    "v-late": "late.mkv", "v-colon": "2024-05-01T10:20:30.mp4", "v-percent": "%03d.mp4",
    "v-dash": "-clip.mp4",
}  # fmt: skip
SPANS = {"v-range": (90, 99), "v-late": (0, 0.2)}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """One run over all bad videos at once, and a good one: what is bad must not stop the rest."""
    root = tmp_path_factory.mktemp("bad")
    rows = []
    for row in VIDEOS:
        path = root / NAMES.get(row.name, f"{row.name}.mp4")
        MAKE[row.name](path)
        where = "/etc/passwd" if row.name == "v-outside" else path.name
        mask = "v-masks.mkv" if row.name == "v-masks" else ""
        rows.append((row.name, where, "fake", *SPANS.get(row.name, (np.nan, np.nan)), mask))
    plain(root / "good.mp4")
    rows.append(("good", "good.mp4", "real", np.nan, np.nan, ""))
    columns = ["video_id", "path", "label", "start", "end", "mask_path"]
    catalog = validate_catalog(pd.DataFrame(rows, columns=columns))
    settings = PreparationSettings(frames_per_video=2)
    found = prepare_catalog(catalog, root, root / "out", settings, 0, Work(workers=2))
    account(catalog, found)
    return root, found


@named(VIDEOS, PROBLEM)
def test_a_bad_video_is_a_row_of_problems(prepared, row):
    _, found = prepared
    problems = found.problems[(found.problems.video_id == row.name) & found.problems.frame.isna()]
    assert len(problems) == 1 and row.name not in set(found.index.video_id)
    refused(problems.reason.iloc[0], row.says)


@named(VIDEOS, TAKEN)
def test_an_odd_video_is_taken(prepared, row):
    root, found = prepared
    kept = found.index[found.index.video_id == row.name]
    assert len(kept) == 1 and kept.frames.iloc[0] >= 1
    assert (root / "out" / kept.path.iloc[0]).is_file()


OF_CATALOGS = ("v-range", "v-outside", "v-masks")


@named([row for row in VIDEOS if row.name not in OF_CATALOGS], PROBLEM)
def test_explain_refuses_a_bad_video(prepared, row, monkeypatch, capsys, tmp_path):
    root, _ = prepared
    video = root / NAMES.get(row.name, f"{row.name}.mp4")
    out = tmp_path / "out"
    roots = ("--data-root", tmp_path / "d", "--results-root", tmp_path / "r")
    status = viba(monkeypatch, "explain", video, "--profile", "tiny", "--out", out, *roots)
    assert status == 2 and not out.exists()
    refused(capsys.readouterr().err, row.says)


def test_a_name_that_starts_with_a_dash_comes_after_two(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    plain(Path("-a:100:.mp4"), face(1))
    roots = ("--data-root", tmp_path / "d", "--results-root", tmp_path / "r")
    assert viba(monkeypatch, "explain", "--profile", "tiny", *roots, "--", "-a:100:.mp4") == 2
    refused(capsys.readouterr().err, "-a:100:.mp4 has one frame")


@pytest.mark.network
@pytest.mark.parametrize("name", ["v-markup", "v-variable", "v-odd", "v-turns"])
def test_explain_takes_an_odd_video(prepared, shared, name, monkeypatch, capsys, tmp_path):
    video = prepared[0] / NAMES.get(name, f"{name}.mp4")
    roots = ("--data-root", shared[0], "--results-root", shared[1])
    options = ("--profile", "tiny", "--out", tmp_path / "a::b", "--max-frames", 2)
    assert viba(monkeypatch, "explain", video, *options, *roots) == 0
    assert {p.name for p in (tmp_path / "a::b").iterdir()} == {
        "overlay.mp4", "relevance.zarr", "summary.json", "poster.png",
    }  # fmt: skip


# ---- tables --------------------------------------------------------------------------------------

PLAIN = pd.DataFrame(
    {
        "video_id": ["a", "b"], "path": ["a.mp4", "b.mp4"], "label": ["real", "fake"],
        "split": ["", ""], "start": ["", ""], "end": ["", ""],
    }
)  # fmt: skip


def changed_table(**cells: object) -> str:
    table = PLAIN.copy()
    for column, value in cells.items():
        table.loc[1, column] = value
    return table.to_csv(index=False)


def parquet(file: Path, **columns: list[str]) -> Path:
    PLAIN.assign(**columns).to_parquet(file)
    return file


def linked(folder: Path) -> Path:
    outside = folder.with_name("outside")
    outside.mkdir()
    (folder / "link").symlink_to(outside)
    path = folder / "table.csv"
    path.write_text(changed_table(path="link/b.mp4"))
    return path


def text(folder: Path, content: str | bytes, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def folder_of(folder: Path, *names: str) -> Path:
    for name in names:
        text(folder, changed_table(), name)
    return folder


TABLE: dict[str, Callable[[Path], Path]] = {
    "t-missing": lambda f: text(f, PLAIN.drop(columns="label").to_csv(index=False)),
    "t-twice": lambda f: _twice(f),
    "t-ids": lambda f: text(f, changed_table(video_id="a")),
    "t-slash": lambda f: text(f, changed_table(video_id="../b")),
    "t-dots": lambda f: text(f, changed_table(video_id="..")),
    "t-label": lambda f: text(f, changed_table(label="maybe")),
    "t-split": lambda f: text(f, changed_table(split="dev")),
    "t-up": lambda f: text(f, changed_table(path="../b.mp4")),
    "t-link": linked,
    "t-span": lambda f: text(f, changed_table(start="5", end="2")),
    "t-number": lambda f: text(f, changed_table(start="soon")),
    "t-rows": lambda f: text(f, PLAIN.head(0).to_csv(index=False)),
    "t-nopath": lambda f: text(f, changed_table(path=None)),
    "t-bytes": lambda f: text(f, bytes(range(256)) * 8, "table.parquet"),
    "t-cut": lambda f: _cut(parquet(f / "table.parquet")),
    "t-latin": lambda f: text(f, changed_table(path="gr\u00fcn.mp4").encode("latin-1")),
    "t-header": lambda f: text(f, "a.mp4,real\nb.mp4,fake\n"),
    "t-doubled": lambda f: text(f, "path,label,LABEL\na.mp4,real,fake\n"),
    "t-wide": lambda f: text(f, "path,label\na.mp4,real\nb.mp4,fake,x\n"),
    "t-infinite": lambda f: text(f, changed_table(start="inf")),
    "t-na-start": lambda f: text(f, changed_table(start="NA")),
    "t-na-split": lambda f: text(f, changed_table(split="NA")),
    "t-back-up": lambda f: text(f, changed_table(path="..\\b.mp4")),
    "t-variable": lambda f: text(f, changed_table(path="$HOME/b.mp4")),
    "t-drive": lambda f: text(f, changed_table(path="C:\\b.mp4")),
    "t-zero": lambda f: parquet(f / "table.parquet", path=["a.mp4", "b\0.mp4"]),
    "t-none": lambda f: folder_of(f),
    "t-two": lambda f: folder_of(f, "one.csv", "two.csv"),
}


def _twice(folder: Path) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = [pa.array(["a"]), pa.array(["a.mp4"]), pa.array(["real"]), pa.array(["fake"])]
    table = pa.Table.from_arrays(columns, names=["video_id", "path", "label", "label"])
    pq.write_table(table, folder / "table.parquet")
    return folder / "table.parquet"


def _cut(path: Path) -> Path:
    hurt(path, lambda data: data[: len(data) // 2])
    return path


@named(TABLES, REFUSED)
def test_a_bad_table_is_refused(row, monkeypatch, capsys, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    given, out = TABLE[row.name](folder), tmp_path / "catalog.parquet"
    status = viba(monkeypatch, "data", "catalog", given, "--source", "table", "--out", out)
    assert status == 2 and not out.exists()
    refused(capsys.readouterr().err, row.says)


# Four people with two videos each.
PEOPLE = pd.DataFrame(
    [(f"v/{i}.mp4", "fake" if i % 2 else "real", f"p{i // 2}") for i in range(8)],
    columns=["path", "label", "identity"],
)
LIST = PEOPLE.to_csv(index=False)
ODD: dict[str, list[str | bytes]] = {
    "t-separator": [LIST.replace(",", s) for s in ";\t|"],
    "t-encoding": [LIST.encode(form) for form in ("utf-8-sig", "utf-16")],
    "t-lines": [LIST.replace("\n", "\r\n") + "\r\n,,\r\n", "\n" + LIST + ",,\n"],
    "t-spaces": [LIST.replace(",", " , ").replace("\n", " \n "), LIST.replace(",", ",\t")],
    "t-capitals": [LIST.replace("path,label,identity", "Path,LABEL,Identity")],
    "t-quotes": [PEOPLE.to_csv(index=False, quoting=1, sep=s) for s in ",;"],
    "t-backslash": [LIST.replace("/", "\\")],
    "t-home": [LIST.replace("v/", "~/v/"), LIST.replace("v/", "~\\v\\")],
}


def listed(monkeypatch, folder: Path, content: str | bytes, name: str = "list.csv") -> pd.DataFrame:
    """Catalog of a table, through the command line."""
    given, out = text(folder, content, name), folder / "catalog.parquet"
    monkeypatch.setenv("HOME", str(folder))
    assert viba(monkeypatch, "data", "catalog", given, "--source", "table", "--out", out) == 0
    return load_catalog(out)


@named([row for row in TABLES if row.name in ODD])
def test_an_odd_table_is_read_as_a_plain_one(row, monkeypatch, tmp_path):
    plain = listed(monkeypatch, tmp_path, LIST)
    assert plain.path.tolist() == [str(tmp_path / path) for path in PEOPLE.path]
    for content in ODD[row.name]:
        for name in ("list.csv", "list.tsv"):
            found = listed(monkeypatch, tmp_path, content, name).assign(source=plain.source)
            pd.testing.assert_frame_equal(found, plain)


NAMES_OF_PEOPLE = ["NA", "null", "None", "nan", "N/A", "007", "1e5", "True", "3.0"]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@named([row for row in TABLES if row.name == "t-na"])
def test_names_are_text(row, suffix, monkeypatch, tmp_path):
    columns = ["path", "label", *TEXT]
    rows = [[f"{n}.mp4", label, *[n] * len(TEXT)] for n in NAMES_OF_PEOPLE for label in CLASSES]
    table = pd.DataFrame(rows, columns=columns).assign(split="", donor="")
    ids = table.identity.str.replace("/", "-")  # an id is the name of a file
    table["video_id"] = ids.where(table.label == "real", ids + " fake")
    content = table.to_csv(index=False) if suffix == "csv" else table.to_parquet()
    assert content is not None
    found = listed(monkeypatch, tmp_path, content, f"list.{suffix}")
    for name in ("video_id", "identity", "method", "original", "source", "licence", "dataset"):
        assert found[name].tolist() == table[name].tolist(), name
    assert found.groupby("identity").split.nunique().max() == 1
    shared = leaks(found.assign(split=["train", "test"] * len(NAMES_OF_PEOPLE))).set_index("split")
    assert shared.person["test"] == 1


@named([row for row in TABLES if row.name in ("t-one", "t-pair")])
def test_few_videos_have_no_split(row, monkeypatch, capsys, tmp_path):
    count = 1 + (row.name == "t-pair")
    found = listed(monkeypatch, tmp_path, "\n".join(LIST.splitlines()[: count + 1]))
    assert found.split.tolist() == [""] * count
    assert f"{count} videos written" in capsys.readouterr().out


YAML = {
    "f-home": "kodf: ~/one/list.csv\n",
    "f-backslash": "kodf: one\\list.csv\n",
    "f-names": "NO: one/list.csv\n007: two/list.csv\n1e5: one/list.csv\n",
    "f-variable": "kodf: $HOME/one/list.csv\n",
}


@named([row for row in FOLDERS if row.name in YAML])
def test_folders_of_data_sets(row, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        text(tmp_path / name, LIST, "list.csv")
    path = text(tmp_path, YAML[row.name], "folders.yaml")
    if row.happens == REFUSED:
        with pytest.raises(VibaError, match=row.says):
            read_folders(path)
        return
    wanted = ["NO", "007", "1e5"] if row.name == "f-names" else ["kodf"]
    assert [(n, set(rows.dataset)) for n, rows in read_all(read_folders(path))] == [
        (name, {name}) for name in wanted
    ]


def test_few_videos_are_refused_when_a_split_is_needed(monkeypatch, capsys, tmp_path):
    listed(monkeypatch, tmp_path, "\n".join(LIST.splitlines()[:3]))
    out = tmp_path / "drawn.parquet"
    status = viba(monkeypatch, "data", "draw", tmp_path / "catalog.parquet", "--out", out)
    (row,) = (row for row in FOLDERS if row.name == "f-few")
    assert status == 2 and not out.exists()
    refused(capsys.readouterr().err, row.says)


ANNOTATED = "annotator;video;regions\nNA;null;L\n007;nan;\nNone;1e5;LB\n"
ANSWERS: dict[str, str | bytes] = {
    "a-names": ANNOTATED,
    "a-home": ANNOTATED,
    "a-columns": ANNOTATED.replace("regions", "region"),
    "a-bytes": bytes(range(256)) * 8,
}


@named(ANNOTATIONS)
def test_annotations(row, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    path = text(tmp_path, ANSWERS[row.name])
    if row.happens == REFUSED:
        with pytest.raises(VibaError, match=row.says):
            read_annotations(path)
        return
    found = read_annotations("~/table.csv" if row.name == "a-home" else path)
    assert found.annotator.tolist() == ["NA", "007", "None"]
    assert found.video.tolist() == ["null", "nan", "1e5"] and found.regions[1] == ""


# ---- weights -------------------------------------------------------------------------------------


class Runs:
    """Makes a folder when it is unpickled: the sign that code was run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def state(**changes: torch.Tensor) -> dict[str, torch.Tensor]:
    found = {k: v.contiguous() for k, v in flow_vgg11(None).state_dict().items()}
    return found | changes


def below(prefix: str, **more: torch.Tensor) -> dict[str, torch.Tensor]:
    return {prefix + name: value for name, value in state().items()} | more


def scripted(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(torch.nn.Sequential(torch.nn.Linear(2, 2))), path)


def cut_state(path: Path) -> None:
    torch.save(state(), path)
    _cut(path)


def head(classes: int) -> dict[str, torch.Tensor]:
    linear = torch.nn.Linear(512, classes).state_dict()
    return {f"last_linear.1.{name}": value for name, value in linear.items()}


BYTES = {
    "w-text": b"weights, or not",
    "w-page": b"<!DOCTYPE html><html>Too many users have viewed this file",
    "w-lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
    "w-onnx": b"\x08\x08\x12\x07pytorch\x1a\x052.6.0",
    "w-hdf5": b"\x89HDF\r\n\x1a\n" + bytes(100),
    "w-empty": b"",
    "w-huge": struct.pack("<Q", 2**60) + b"{}",
}
SAVED = {
    "w-suffix": lambda folder: state(),
    "w-wrapped": lambda folder: {"model": below("module._orig_mod.net.")},
    "w-more": lambda folder: {
        "state_dict": below("net.") | {"criterion.weight": torch.ones(2)}, "epoch": 3,
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(2)}}}, "ema": below("net.") | head(2),
    },
    "w-half": lambda folder: {k: v.half() for k, v in state().items()},
    "w-logit": lambda folder: state() | head(1),
    "w-code": lambda folder: {"a": Runs(folder / "ran")},
    "w-model": lambda folder: torch.nn.Linear(2, 2),
    "w-two": lambda folder: below("teacher.") | below("student.") | {
        "teacher.features.0.weight": torch.zeros(64, 3, 3, 3)},
    "w-keys": lambda folder: {"layer.weight": torch.zeros(2, 2)},
    "w-shapes": lambda folder: state(**{"features.0.weight": torch.zeros(1, 1, 3, 3)}),
    "w-classes": lambda folder: state() | head(1000),
    "w-int": lambda folder: {k: v.to(torch.int8) for k, v in state().items()},
    "w-nan": lambda folder: state(**{"features.0.bias": torch.full((64,), torch.nan)}),
    "w-list": lambda folder: [torch.zeros(2)],
}  # fmt: skip
MADE = {
    "w-script": scripted,
    "w-cut": lambda path: (save_file(state(), path), _cut(path)),
    "w-zip": cut_state,
    "w-npz": lambda path: np.savez(path, a=np.zeros(2)),
    "w-folder": lambda path: path.mkdir(),
    "w-missing": lambda path: None,
}


def weights_file(name: str, folder: Path) -> Path:
    path = folder / ("w.npz" if name == "w-npz" else "w.pth")
    if name in BYTES:
        path.write_bytes(BYTES[name])
    elif name in SAVED:
        torch.save(SAVED[name](folder), path)
    else:
        MADE[name](path)
    return path


@named(WEIGHTS, TAKEN)
def test_other_weights_are_taken(row, tmp_path):
    path = weights_file(row.name, tmp_path)
    paths = [path]
    if row.name == "w-suffix":
        paths = [path.rename(tmp_path / "w.bin"), tmp_path / "safe.pth"]
        save_file(state(), paths[1])
    for each in paths:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            model = FLOW_VGG11.open(each)
        assert all(value.dtype == torch.float32 for value in model.parameters())
        heard = " ".join(str(one.message) for one in said)
        assert heard == "" or row.says in heard
        assert bool(heard) == (row.name in ("w-more", "w-logit"))


@named(WEIGHTS, REFUSED)
def test_bad_weights_are_refused(row, monkeypatch, capsys, tmp_path, noise_video):
    path, out = weights_file(row.name, tmp_path), tmp_path / "out"
    roots = ("--data-root", tmp_path / "d", "--results-root", tmp_path / "r")
    options = ("--profile", "tiny", "--detector", "flow-vgg11", "--weights", path, "--out", out)
    assert viba(monkeypatch, "explain", noise_video, *options, *roots) == 2
    assert not out.exists() and not (tmp_path / "ran").exists()
    refused(capsys.readouterr().err, row.says)


# ---- models -------------------------------------------------------------------------------------


class Model(nn.Module):
    """A network over frames, or one over clips that sees their frames one by one."""

    def __init__(self, end: Callable[[torch.Tensor], torch.Tensor] = lambda z: z) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.cnn, self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)
        self.rnn, self.last, self.end = nn.LSTM(4, 4, batch_first=True), nn.Linear(4, 1), end

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shape = x.shape[:-3] if x.shape[-3] == 3 else (len(x), x.shape[2])
        x = x.flatten(0, -4) if x.shape[-3] == 3 else x.transpose(1, 2).flatten(0, 1)
        z = self.norm(self.conv(self.cnn(x))).mean((2, 3))
        z = self.rnn(z.unflatten(0, shape))[0][:, -1] if len(shape) == 2 else z
        return self.end(20 * self.last(z))


def images(*axes: int) -> torch.Tensor:
    return torch.randn(6, *(axes or (3, 10, 10)), generator=torch.Generator().manual_seed(1))


def map_of(
    model: nn.Module, given: object = None, batches: object = None, **more: object
) -> Attribution:
    given = images() if given is None else given
    usual = [given if torch.is_tensor(given) and given.is_floating_point() else images()]
    statistics = LayerStatistics.estimate(
        model.eval(), "cnn", usual if batches is None else batches
    )
    bottleneck = PerSampleBottleneck(model, "cnn", statistics, steps=2, noise_samples=1)
    return bottleneck.attribute(given, **more)


def changed(change: Callable[[nn.Module], object]) -> nn.Module:
    model = Model()
    change(model.conv)
    return model


def in_state(state: Callable[[], AbstractContextManager]) -> Attribution:
    with state():
        return map_of(Model())


def two(z: torch.Tensor) -> torch.Tensor:
    return torch.cat([0 * z, z], 1)


MODEL: dict[str, list[Callable[[], Attribution]]] = {
    "o-sigmoid": [lambda: map_of(Model()), lambda: map_of(Model(lambda z: z[:, 0]), target=0)],
    "o-probability": [
        lambda: map_of(Model(torch.sigmoid)), lambda: map_of(Model(lambda z: two(z).softmax(1))),
    ],
    "o-output": [lambda: map_of(Model(lambda z: two(z).mean(0, keepdim=True)))],
    "o-computed": [
        lambda: map_of(changed(parametrizations.weight_norm)),
        lambda: map_of(changed(nn.utils.spectral_norm)),
        lambda: map_of(changed(lambda m: prune.l1_unstructured(m, "weight", 0.5))),
        lambda: map_of(changed(lambda m: m.register_forward_hook(lambda _m, _i, y: 2 * y))),
    ],
    "o-state": [
        lambda: in_state(torch.no_grad), lambda: in_state(torch.inference_mode),
        lambda: in_state(lambda: torch.autocast("cpu", torch.bfloat16)),
    ],
    "o-type": [
        lambda: map_of(Model().double(), images().double()), lambda: map_of(Model().half()),
        lambda: map_of(Model(), images().double()),
    ],
    "o-integers": [lambda: map_of(Model(), images().byte()), lambda: map_of(Model(), images() > 0)],
    "o-numpy": [lambda: map_of(Model(), images().numpy())],
    "o-batches": [
        lambda: map_of(Model(), batches=DataLoader(TensorDataset(images(), torch.zeros(6)), 2)),
        lambda: map_of(Model(), batches=[{"image": images(), "path": ["a.png"] * 6}]),
    ],
    "o-batch": [lambda: map_of(Model(), batches=[{"one": images(), "two": images()}])],
    "o-script": [lambda: map_of(torch.jit.script(nn.Sequential(OrderedDict(cnn=nn.ReLU()))))],
    "o-clips": [
        lambda: map_of(Model(), images(3, 4, 10, 10)),
        lambda: map_of(Model(), images(4, 3, 10, 10)),
    ],
    "o-target": [lambda: map_of(Model(), target=2), lambda: map_of(Model(two), target=-1)],
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:statistics of", "ignore:`torch.jit")
@named(MODELS)
def test_a_model_of_ones_own(row):
    for call in MODEL[row.name]:
        if row.happens == TAKEN:
            found = call()
            maps = 24 if row.name == "o-clips" else 6
            assert found.bits_per_pixel.shape == (maps, 10, 10)
            assert found.bits_per_pixel.sum() > 0 and found.logits.shape == (6, 2)
        else:
            with pytest.raises(VibaError, match=row.says) as caught:
                call()
            assert "\n" not in str(caught.value)


# ---- parameters ----------------------------------------------------------------------------------

TINY = (ROOT / "viba_lib" / "pipeline" / "profiles" / "tiny.yaml").read_text()
BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
PROFILE = {
    "p-key": TINY + "\nxcption: {}\n",
    "p-value": TINY.replace("steps: 2, batch_size", "steps: -2, batch_size"),
    "p-object": "!!python/object/apply:os.mkdir ['{ran}']\n",
    "p-bomb": BOMB,
    "p-name": TINY.replace("name: tiny", "name: ../../outside"),
    "p-catalog": TINY.replace("sources: quick", "sources: quick, catalog: ../x.parquet").replace(
        "  sources: quick, catalog: ../x.parquet", "  sources: quick\n  catalog: ../x.parquet"
    ),
    "p-profile-half": TINY.replace("steps: 2, batch_size", "steps: 2.5, batch_size"),
    "p-profile-true": TINY.replace("steps: 2, batch_size", "steps: yes, batch_size"),
    "p-profile-text": TINY.replace("steps: 2, batch_size", "steps: '2', batch_size"),
    "p-profile-infinite": TINY.replace("batch_size: 4", "batch_size: 4, learning_rate: .inf"),
}
EXPLAIN = {
    "p-beta": ("--beta", "nan"),
    "p-steps": ("--steps", "0"),
    "p-device": ("--device", "nodevice"),
    "p-layer": ("--layer", "block44"),
    "p-profile": ("--profile", "nope"),
    "p-option-half": ("--seed", "0.7"),
    "p-option-minus": ("--seed", "-1"),
    "p-option-true": ("--max-frames", "True"),
    "p-variable": ("--data-root", "$HOME/data"),
}
CHAPTER = {
    "p-chapter": ("99",),
    "p-unknown": ("05", "-p", "colour=red"),
    "p-type": ("05", "-p", "beta=much"),
    "p-negative": ("05", "-p", "beta=-1"),
    "p-nan": ("05", "-p", "beta=nan"),
    "p-code": ("05", "-p", "beta=__import__('os').mkdir('ran')"),
    "p-half": ("05", "-p", "seed", "0.7"),
    "p-exponent": ("05", "-p", "seed", "1e3"),
    "p-hex": ("05", "-p", "seed", "0x10"),
    "p-true": ("05", "-p", "seed", "True"),
    "p-infinite": ("05", "-p", "seed", "inf"),
    "p-large": ("05", "-p", "seed", "4294967296"),
}


@named(PARAMETERS)
def test_a_bad_parameter_is_refused(row, monkeypatch, capsys, tmp_path, noise_video):
    monkeypatch.setenv("COLUMNS", "200")
    out, ran = tmp_path / "out", tmp_path / "ran"
    roots = ("--data-root", tmp_path / "d", "--results-root", tmp_path / "r" / "in")
    if row.name in CHAPTER:
        status = viba(monkeypatch, "chapter", *CHAPTER[row.name], "--out", out)
    elif row.name in EXPLAIN:
        first = ("--profile", "tiny") if row.name != "p-profile" else ()
        given = ("explain", noise_video, *first, "--out", out, *roots, *EXPLAIN[row.name])
        status = viba(monkeypatch, *given)
    else:
        path = tmp_path / "profile.yaml"
        path.write_text(PROFILE[row.name].replace("{ran}", str(ran)))
        status = viba(monkeypatch, "status", "--profile", path, "--no-chapters", *roots)
    assert status == 2 and not out.exists() and not ran.exists()
    assert not (tmp_path / "outside").exists()
    refused(capsys.readouterr().err, row.says)


# Given as papermill reads its own command line.
INJECTED: dict[str, dict[str, object]] = {
    "m-unknown": {"laier": "block12"},
    "m-half": {"seed": 0.7},
    "m-exponent": {"seed": 1000.0},
    "m-true": {"seed": True},
    "m-minus": {"seed": -1},
    "m-nan": {"beta": float("nan")},
    "m-number": {"detector": 7},
    "m-right": {"seed": 7, "beta": 5, "detector": "007"},
}


@named(PAPERMILL)
def test_a_chapter_checks_what_papermill_injects(row, monkeypatch):
    notebook = load_notebook_node(str(find_chapter("05").with_suffix(".ipynb")))
    cells = [c.source for c in parameterize_notebook(notebook, INJECTED[row.name]).cells]
    at = next(i for i, source in enumerate(cells) if source.startswith("# Parameters"))
    names: dict[str, object] = {}
    for source in cells[at - 1 : at + 1]:
        exec(source, names)
    monkeypatch.setattr("__main__.In", ["", *cells[at - 1 : at + 2]], raising=False)
    for name, value in names.items():
        if not name.startswith("__"):
            monkeypatch.setattr(f"__main__.{name}", value, raising=False)
    if row.happens == TAKEN:
        check_injected()
        return
    with pytest.raises(VibaError, match=row.says):
        check_injected()


@pytest.mark.slow
@pytest.mark.parametrize("row", [row for row in PAPERMILL if row.name == "m-unknown"])
def test_papermill_stops_at_a_misspelt_parameter(row, tmp_path):
    chapter = find_chapter("05").with_suffix(".ipynb")
    with pytest.raises(PapermillExecutionError, match=row.says) as stopped:
        execute_notebook(
            chapter, tmp_path / "out.ipynb", {"profile": "tiny"} | INJECTED[row.name],
            cwd=tmp_path, kernel_name="python3", progress_bar=False,
        )  # fmt: skip
    assert stopped.value.exec_count == 3 and not list(tmp_path.glob("*/"))


def test_home_is_taken_in_every_parameter(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    given = [("annotations", "~/a.csv"), ("results_root", r"~\r")]
    assert checked(find_chapter("10"), given) == {
        "annotations": str(tmp_path / "a.csv"), "results_root": str(tmp_path / "r"),
    }  # fmt: skip
    (tmp_path / "own.yaml").write_text(TINY.replace("size: 96", "size: 96\n  weights: ~/w.pth"))
    assert load_profile("~/own.yaml").xception.weights == str(tmp_path / "w.pth")
    options = ("--profile", "~/own.yaml", "--no-chapters", "--data-root=~/d", "--results-root=~/r")
    assert viba(monkeypatch, "status", *options) == 0
    assert f"log: {tmp_path}/r/tiny/" in capsys.readouterr().out
    study = Study("tiny", "~/d", "~/r")
    assert (study.data_root, study.root) == (tmp_path / "d", tmp_path / "r" / "tiny")


# ---- surroundings --------------------------------------------------------------------------------


def command(*arguments: object, wrap: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-m", "viba_lib.cli.main", *map(str, arguments)]
    if wrap:
        call = ["unshare", "-rm", "sh", "-c", f'{wrap} && exec "$@"', "sh", *call]
    done = subprocess.run(
        call, cwd=ROOT, env=environment(**more), capture_output=True, text=True, timeout=300
    )
    if wrap and ("unshare:" in done.stderr or "mount:" in done.stderr):
        pytest.skip(f"no file system of one's own here: {done.stderr.strip()}")
    return done


def row_of(name: str) -> bad_input.Row:
    return next(row for row in bad_input.SURROUNDINGS if row.name == name)


@pytest.mark.slow
def test_no_home_folder(tmp_path):
    bare = {"PATH": os.environ["PATH"], "HOME": "/nowhere", "XDG_CACHE_HOME": ""}
    call = [sys.executable, "-m", "viba_lib.cli.main", "status", "--profile", "tiny",
            "--no-chapters", "--results-root", str(tmp_path / "r"),
            "--data-root", str(tmp_path / "d")]  # fmt: skip
    done = subprocess.run(call, cwd=ROOT, env=bare, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert row_of("e-home").happens == TAKEN


def test_no_network(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert viba(monkeypatch, "data", "fetch", "--data-root", tmp_path) == 2
    refused(capsys.readouterr().err, row_of("e-network").says)
    assert not list(tmp_path.rglob("*.m*"))


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize("name", ["e-full", "e-readonly"])
def test_a_disk_that_refuses(shared, tmp_path, name):
    if shutil.which("unshare") is None:
        pytest.skip("no unshare here")
    place = tmp_path / "disk"
    place.mkdir()
    wrap = f"mount -t tmpfs -o size=2m none '{place}'"
    wrap += f" && mount -o remount,ro '{place}'" if name == "e-readonly" else ""
    roots = ("--data-root", shared[0].resolve(), "--results-root", place)
    done = command("data", "prepare", "--profile", "tiny", *roots, wrap=wrap)
    assert done.returncode == 2, done.stdout + done.stderr
    refused(done.stderr, row_of(name).says)


def test_a_file_where_the_results_are_expected(monkeypatch, capsys, tmp_path, shared):
    (tmp_path / "r").write_text("mine")
    roots = ("--data-root", shared[0], "--results-root", tmp_path / "r")
    assert viba(monkeypatch, "data", "prepare", "--profile", "tiny", *roots) == 2
    refused(capsys.readouterr().err, row_of("e-file").says)
    assert (tmp_path / "r").read_text() == "mine"


def _text(folder, work, text):
    (folder / "result.txt").write_text(text)


def test_results_of_an_older_version(tmp_path):
    from viba_lib.core.cache import Cache, Stage
    from viba_lib.pipeline.status import _others_below

    stage, cache = Stage("thing", _text, {"text": "new"}), Cache(tmp_path)
    old = cache.folder(stage)
    old.mkdir(parents=True)
    (old / "meta.json").write_text('{"stage": "thing", "seconds": 1.0, "key": [0]}')
    (old / "result.txt").write_text("old")
    (state,) = _others_below(tmp_path, set())
    assert state.state == "stale" and row_of("e-old").says in state.why
    assert (cache.get(stage) / "result.txt").read_text() == "new"


@pytest.mark.slow
def test_another_locale_and_time_zone(tmp_path):
    roots = ("--results-root", tmp_path / "r", "--data-root", tmp_path / "d")
    given = ("status", "--profile", "tiny", "--no-chapters", "--json", *roots)
    here = command(*given)
    there = command(*given, LC_ALL="C", LANG="C", PYTHONUTF8="0", PYTHONIOENCODING="utf-8",
                    TZ="Pacific/Kiritimati")  # fmt: skip
    assert here.returncode == there.returncode == 0, there.stderr
    assert here.stdout == there.stdout


def test_every_refusal_has_its_case():
    cases = {*MAKE, *TABLE, *MODEL, *PROFILE, *EXPLAIN, *CHAPTER}
    cases |= {*BYTES, *SAVED, *MADE} | {row.name for row in bad_input.SURROUNDINGS}
    cases |= {*ODD, "t-na", "t-one", "t-pair", *YAML, "f-few", *ANSWERS, *INJECTED}
    assert cases == {row.name for row in bad_input.ALL}
    assert sum(row.happens == REFUSED for row in bad_input.ALL) >= 40
