"""DFDC and its preview (Dolhansky et al. 2019, 2020)."""

from pathlib import Path
from typing import Any

import pandas as pd

from viba_lib.data.catalog import CatalogError
from viba_lib.data.readers.layout import (
    all_video_files,
    checked,
    name_key,
    read_csv,
    read_json,
    row,
    video_files,
)

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
        rows += _part(meta, root)
    if (root / "test" / "labels.csv").is_file():
        rows += _test(root / "test", root)
    if (root / "dataset.json").is_file():
        rows += _preview(root)
    return checked(rows, root, EXPECTED)


def _label(value: Any, where: Path) -> str:
    label = LABELS.get(str(value).upper())
    if label is None:
        raise CatalogError(f"{where} gives the label {value!r}; expected one of {list(LABELS)}")
    return label


def _part(meta: Path, root: Path) -> list[dict[str, Any]]:
    videos = video_files(meta.parent, root)
    if not videos:
        return []  # nor are the metadata of a folder read that is a link out
    said = 'entries such as {"x.mp4": {"label": "FAKE", "original": "y.mp4"}}'
    content = {name_key(name): facts for name, facts in read_json(meta, dict, said).items()}
    rows = []
    for path in videos:
        name = name_key(path.name)
        facts = content.get(name)
        if not isinstance(facts, dict) or "label" not in facts:
            continue  # a video without metadata has no label
        # The original may be absent or null, and a named one need not be on disk.
        original = Path(name_key(str(facts.get("original") or ""))).stem
        label = _label(facts["label"], meta)
        rows.append(
            row(
                "dfdc", path, label, video_id=f"dfdc-{Path(name).stem}",
                method="dfdc" if label == "fake" else "",
                original=f"dfdc-{original}" if original else "",
                identity=original or Path(name).stem,
                split="train" if facts.get("split", "train") == "train" else "",
            )
        )  # fmt: skip
    return rows


def _test(folder: Path, root: Path) -> list[dict[str, Any]]:
    listed = folder / "labels.csv"
    table = read_csv(listed, ("filename", "label"))
    labels = dict(zip(table.filename.map(name_key), table.label, strict=True))
    rows = []
    for path in video_files(folder, root):
        if name_key(path.name) in labels:
            label = _label(labels[name_key(path.name)], listed)
            method = "dfdc" if label == "fake" else ""
            rows.append(row("dfdc", path, label, method=method, identity=path.stem, split="test"))
    return rows


def _preview(root: Path) -> list[dict[str, Any]]:
    listed = root / "dataset.json"
    content = read_json(listed, dict, "entries with label and set, keyed by path")
    facts_of = {name_key(name): facts for name, facts in content.items()}
    rows = []
    for path in all_video_files(root):
        name = name_key(path.relative_to(root.resolve()).as_posix())
        if name in facts_of:
            rows.append(_preview_row(path, Path(name), facts_of[name], listed))
    return rows


def _preview_row(path: Path, name: Path, facts: Any, listed: Path) -> dict[str, Any]:
    """Row of method_A/<target>/<target>_<source>_... or original_videos/<person>/..."""
    if not isinstance(facts, dict):
        raise CatalogError(f"{listed} says {facts!r} of {name}; expected an object with label")
    label = _label(facts.get("label"), listed)
    identity = name.parts[1] if len(name.parts) > 2 else name.stem
    return row(
        "dfdc", path, label, video_id="dfdc-" + "-".join(name.with_suffix("").parts),
        method=name.parts[0] if label == "fake" else "", identity=identity,
        donor=_donor(name.stem, identity) if label == "fake" else "",
        split=facts["set"] if facts.get("set") in ("train", "test") else "",
    )  # fmt: skip


def _donor(name: str, target: str) -> str:
    """The source of `<target>_<source>_...`, as far as the name shows it: people are numbers."""
    first, *rest = name.split("_")
    return rest[0] if first == target and len(rest) > 1 and rest[0].isdecimal() else ""
