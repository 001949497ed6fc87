"""AV-Deepfake1M and its "++" release (Cai et al. 2023)."""

from pathlib import Path
from typing import Any

import pandas as pd

from viba_lib.data.catalog import CatalogError
from viba_lib.data.readers.layout import all_video_files, checked, name_key, read_json, row

SPLITS = ("train", "val")
FAKE_PICTURE = ("both_modified", "visual_modified")


def catalog(root: Path) -> pd.DataFrame:
    """One row for each visually fake piece of a video, and one for each video with real pictures.

    Only frames inside `visual_fake_segments` are fake, so a fake video comes as those pieces, with
    start and end in seconds. Changed sound alone is real to a detector of pictures. Metadata are
    read from `<split>_metadata.json`, from `<split>_metadata/`, or from beside each video.

    Raises
    ------
    CatalogError
        No video that the metadata name, or metadata that are none.
    """
    rows: list[dict[str, Any]] = []
    for split in SPLITS:
        folder = (root / split).resolve()
        videos = all_video_files(root / split, root)
        there = {name_key(path.relative_to(folder).as_posix()): path for path in videos}
        for facts in _facts(root, split) if there else []:
            name = name_key(str(facts.get("file", "")))
            # Names of what is not on disk, or not in the folder, are passed over.
            if name in there:
                rows += _rows(there[name], Path(name), split, facts)
    return checked(rows, root, "train_metadata.json and train/<file>.mp4")


def _facts(root: Path, split: str) -> list[dict[str, Any]]:
    said = "entries with file, modify_type and visual_fake_segments"
    whole = root / f"{split}_metadata.json"
    if whole.is_file():
        found = read_json(whole, list, said)
    else:
        folder = root / f"{split}_metadata"
        place = folder if folder.is_dir() else root / split
        files = sorted(p for p in place.rglob("*.json") if not p.name.startswith("."))
        found = [_named(read_json(p, dict, said), p, place) for p in files]
    if not all(isinstance(facts, dict) for facts in found):
        raise CatalogError(f"{whole} holds entries that are no objects; expected {said}")
    return found


def _named(facts: dict[str, Any], path: Path, place: Path) -> dict[str, Any]:
    """Facts of a file of their own, which is named as its video."""
    return {"file": path.relative_to(place).with_suffix(".mp4").as_posix()} | facts


def _rows(path: Path, name: Path, split: str, facts: dict[str, Any]) -> list[dict[str, Any]]:
    # Spelled with a hyphen and with an underscore.
    kind = str(facts.get("modify_type", "real")).replace("-", "_")
    video_id = _id(name)
    original = name_key(str(facts.get("original") or ""))
    # <speaker>/<film>/<piece>/<version>.mp4
    speaker = name.parts[0] if len(name.parts) > 1 else ""
    common: dict[str, Any] = {
        "split": split, "identity": speaker, "audio": "fake" if _heard(facts, kind) else "real",
        "original": _id(Path(original)) if original else "",
    }  # fmt: skip
    if kind not in FAKE_PICTURE:
        return [row("avdeepfake1m", path, "real", video_id=video_id, **common)]
    pieces = facts.get("visual_fake_segments", facts.get("fake_segments")) or []
    try:
        times = [(float(start), float(end)) for start, end in pieces]
    except (TypeError, ValueError) as error:
        raise CatalogError(
            f"the metadata of {path.name} give the segments {pieces!r}; expected pairs of seconds"
        ) from error
    return [
        row(
            "avdeepfake1m", path, "fake", video_id=f"{video_id}@{start:g}", method=kind,
            start=start, end=end, **common,
        )
        for start, end in times if end > start
    ]  # fmt: skip


def _id(name: Path) -> str:
    return "avdeepfake1m-" + "-".join(name.with_suffix("").parts)


def _heard(facts: dict[str, Any], kind: str) -> bool:
    return kind in ("both_modified", "audio_modified") or bool(facts.get("audio_fake_segments"))
