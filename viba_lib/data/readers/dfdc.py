"""DFDC (Dolhansky et al. 2020)."""

from pathlib import Path
from typing import Any

import pandas as pd

from viba_lib.data.catalog import CatalogError
from viba_lib.data.readers import layout
from viba_lib.data.readers.layout import Rows, name_key, video_files

EXPECTED = "train/dfdc_train_part_0/metadata.json beside its videos, or test/labels.csv"
LABELS = {"REAL": "real", "FAKE": "fake", "0": "real", "1": "fake"}
OF_FAKE = {"method": "dfdc"}


def dfdc(root: Path) -> pd.DataFrame:
    """Videos of the training parts and of the test set, as far as they exist.

    Parts are read under train/ and directly under the folder. The set names neither the methods of
    its fakes nor the people: the original counts as the identity, so that fakes of one video stay
    together.

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
