"""DFDC and its preview (Dolhansky et al. 2019, 2020)."""

from pathlib import Path
from typing import Any

import pandas as pd

from viba_lib.data.catalog import CatalogError
from viba_lib.data.readers import layout
from viba_lib.data.readers.layout import Rows, name_key, video_files

EXPECTED = (
    "train/dfdc_train_part_0/metadata.json beside its videos, test/labels.csv, or dataset.json of "
    "the preview"
)
LABELS = {"REAL": "real", "FAKE": "fake", "0": "real", "1": "fake"}
OF_FAKE = {"method": "dfdc"}


def dfdc(root: Path) -> pd.DataFrame:
    """Videos of the training parts, of the test set and of the preview, as far as they exist.

    Parts are read under train/ and directly under the folder. The set does not name the methods of
    its fakes, except for the folders of the preview. It does not name the people either: the
    original counts as the identity, so that fakes of one video stay together.

    Raises
    ------
    CatalogError
        No video that the metadata name, or metadata of another form.
    """
    rows = Rows("dfdc", root)
    for meta in sorted({*root.glob("metadata.json"), *root.glob("*/metadata.json"),
                        *root.glob("train/*/metadata.json")}):  # fmt: skip
        _add_part(rows, meta)
    if (root / "test" / "labels.csv").is_file():
        _add_test(rows, root / "test")
    if (root / "dataset.json").is_file():
        _add_preview(rows)
    return rows.catalog(EXPECTED)


def _label(value: Any, where: Path) -> str:
    label = LABELS.get(str(value).upper())
    if label is None:
        raise CatalogError(f"{where} gives the label {value!r}; expected one of {list(LABELS)}")
    return label


def _add_part(rows: Rows, meta: Path) -> None:
    videos = video_files(meta.parent, rows.root)
    if not videos:
        return  # the metadata of a folder that is a link out are not read either
    expected = 'entries such as {"x.mp4": {"label": "FAKE", "original": "y.mp4"}}'
    listed = layout.read_json(meta, dict, expected)
    content = {name_key(name): facts for name, facts in listed.items()}
    for path in videos:
        name = name_key(path.name)
        facts = content.get(name)
        if not isinstance(facts, dict) or "label" not in facts:
            continue  # a video without metadata has no label
        label = _label(facts["label"], meta)
        # The original may be absent or null, and a named one need not be on disk.
        original = Path(name_key(str(facts.get("original") or ""))).stem
        rows.add(
            path, label, OF_FAKE, video_id=rows.id_of(name),
            original=original and rows.id_of(original), identity=original or Path(name).stem,
            split="train" if facts.get("split", "train") == "train" else "",
        )  # fmt: skip


def _add_test(rows: Rows, folder: Path) -> None:
    listed = folder / "labels.csv"
    table = layout.read_csv(listed, ("filename", "label"))
    labels = dict(zip(table.filename.map(name_key), table.label, strict=True))
    for path in video_files(folder, rows.root):
        if name_key(path.name) in labels:
            label = _label(labels[name_key(path.name)], listed)
            rows.add(path, label, OF_FAKE, identity=path.stem, split="test")


def _add_preview(rows: Rows) -> None:
    """Videos method_A/<target>/<target>_<source>_... and original_videos/<person>/..."""
    listed = rows.root / "dataset.json"
    content = layout.read_json(listed, dict, "entries with label and set, keyed by path")
    facts_of = {name_key(name): facts for name, facts in content.items()}
    for path in layout.all_video_files(rows.root):
        name = Path(name_key(path.relative_to(rows.root.resolve()).as_posix()))
        if name.as_posix() not in facts_of:
            continue
        facts = facts_of[name.as_posix()]
        if not isinstance(facts, dict):
            raise CatalogError(f"{listed} says {facts!r} of {name}; expected an object with label")
        label = _label(facts.get("label"), listed)
        identity = name.parts[1] if len(name.parts) > 2 else name.stem
        made_from = {"method": name.parts[0], "donor": _donor(name.stem, identity)}
        rows.add(
            path, label, made_from, video_id=rows.id_of(name), identity=identity,
            split=facts["set"] if facts.get("set") in ("train", "test") else "",
        )  # fmt: skip


def _donor(name: str, target: str) -> str:
    """The source of `<target>_<source>_...`, as far as the name shows it: people are numbers."""
    first, *rest = name.split("_")
    return rest[0] if first == target and len(rest) > 1 and rest[0].isdecimal() else ""
