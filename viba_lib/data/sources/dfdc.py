"""DFDC and its preview (Dolhansky et al. 2019, 2020)."""

from pathlib import Path
from typing import Any

import pandas as pd

from viba_lib.data.catalog import CatalogError
from viba_lib.data.sources.layout import checked, read_json, row, video_files

EXPECTED = (
    "train/dfdc_train_part_0/metadata.json beside its videos, test/labels.csv, or dataset.json of "
    "the preview"
)
LABELS = {"REAL": "real", "FAKE": "fake", "0": "real", "1": "fake"}


def catalog(root: Path) -> pd.DataFrame:
    """Videos of the training parts, of the test set and of the preview, as far as they are there.

    Parts are read under train/ and directly under the folder. A fake has no method of its own in
    this set; that of the preview is its folder. The person is not given either: the original
    stands for it, so that fakes of one film stay together.

    Raises
    ------
    CatalogError
        No video that the metadata names, or metadata that are none.
    """
    rows: list[dict[str, Any]] = []
    for meta in sorted({*root.glob("metadata.json"), *root.glob("*/metadata.json"),
                        *root.glob("train/*/metadata.json")}):  # fmt: skip
        rows += _part(meta)
    if (root / "test" / "labels.csv").is_file():
        rows += _test(root / "test")
    if (root / "dataset.json").is_file():
        rows += _preview(root)
    return checked(rows, root, EXPECTED)


def _label(value: Any, where: Path) -> str:
    label = LABELS.get(str(value).upper())
    if label is None:
        raise CatalogError(f"{where} gives the label {value!r}; expected one of {list(LABELS)}")
    return label


def _part(meta: Path) -> list[dict[str, Any]]:
    said = 'entries such as {"x.mp4": {"label": "FAKE", "original": "y.mp4"}}'
    content = read_json(meta, dict, said)
    rows = []
    for path in video_files(meta.parent):
        facts = content.get(path.name)
        if not isinstance(facts, dict) or "label" not in facts:
            continue  # a video without metadata has no label
        # The original may be absent or null, and a named one need not be on disk.
        original = Path(str(facts.get("original") or "")).stem
        label = _label(facts["label"], meta)
        rows.append(
            row(
                "dfdc", path, label, method="dfdc" if label == "fake" else "",
                original=f"dfdc-{original}" if original else "",
                identity=original or path.stem,
                split="train" if facts.get("split", "train") == "train" else "",
            )
        )  # fmt: skip
    return rows


def _test(folder: Path) -> list[dict[str, Any]]:
    listed = folder / "labels.csv"
    table = pd.read_csv(listed, dtype=str)
    if not {"filename", "label"} <= set(table):
        raise CatalogError(f"{listed} has the columns {list(table)}; expected filename and label")
    labels = dict(zip(table.filename, table.label, strict=True))
    rows = []
    for path in video_files(folder):
        if path.name in labels:
            label = _label(labels[path.name], listed)
            method = "dfdc" if label == "fake" else ""
            rows.append(row("dfdc", path, label, method=method, identity=path.stem, split="test"))
    return rows


def _preview(root: Path) -> list[dict[str, Any]]:
    content = read_json(root / "dataset.json", dict, "entries with label and set, keyed by path")
    rows = []
    home = root.resolve()
    for name, facts in sorted(content.items()):
        path = (home / name).resolve()
        # Not on disk, or a name or a link that leads out of the folder.
        if not path.is_relative_to(home) or path.suffix.lower() != ".mp4" or not path.is_file():
            continue
        label = _label(facts.get("label"), root / "dataset.json")
        # method_A/<target>/<target>_<source>_..., original_videos/<person>/...
        folders = Path(name).parts
        identity = folders[1] if len(folders) > 2 else path.stem
        rows.append(
            row(
                "dfdc", path, label,
                video_id="dfdc-" + "-".join(Path(name).with_suffix("").parts),
                method=folders[0] if label == "fake" else "", identity=identity,
                split=facts.get("set", "") if facts.get("set") in ("train", "test") else "",
            )
        )  # fmt: skip
    return rows
