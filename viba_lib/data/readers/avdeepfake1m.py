"""AV-Deepfake1M and its "++" release (Cai et al. 2023)."""

from pathlib import Path
from typing import Any

import pandas as pd

from viba_lib.data.catalog import CatalogError
from viba_lib.data.readers.layout import Rows, all_video_files, name_key, read_json

SPLITS = ("train", "val")
FAKE_IMAGES = ("both_modified", "visual_modified")
FAKE_AUDIO = ("both_modified", "audio_modified")
TYPES = ("real", "audio_modified", "visual_modified", "both_modified")


def avdeepfake1m(root: Path) -> pd.DataFrame:
    """One row for each visually fake part of a video, and one for each video with real images.

    Only frames inside `visual_fake_segments` are fake, so a fake video is listed as these parts,
    with start and end in seconds. A video with fake audio alone is real to a detector that only
    sees images. Metadata are read from `<split>_metadata.json`, from `<split>_metadata/`, or from
    a file beside each video.

    Raises
    ------
    CatalogError
        No video that the metadata name, or metadata of another form.
    """
    rows = Rows("avdeepfake1m", root)
    for split in SPLITS:
        folder = (root / split).resolve()
        videos = all_video_files(root / split, root)
        by_name = {name_key(path.relative_to(folder).as_posix()): path for path in videos}
        for facts in _facts(root, split) if by_name else []:
            name = name_key(str(facts.get("file", "")))
            # Names of files that do not exist, or are not in the folder, are left out.
            if name in by_name:
                _add(rows, by_name[name], Path(name), split, facts)
    return rows.catalog("train_metadata.json and train/<file>.mp4")


def _facts(root: Path, split: str) -> list[dict[str, Any]]:
    expected = "entries with file, modify_type and visual_fake_segments"
    single = root / f"{split}_metadata.json"
    if single.is_file():
        entries = read_json(single, list, expected)
    else:
        folder = root / f"{split}_metadata"
        folder = folder if folder.is_dir() else root / split
        files = sorted(p for p in folder.rglob("*.json") if not p.name.startswith("."))
        # A file of its own is named like its video.
        entries = [
            {"file": path.relative_to(folder).with_suffix(".mp4").as_posix()}
            | read_json(path, dict, expected)
            for path in files
        ]
    if not all(isinstance(facts, dict) for facts in entries):
        raise CatalogError(f"{single} has entries that are not objects; expected {expected}")
    return entries


def _add(rows: Rows, path: Path, name: Path, split: str, facts: dict[str, Any]) -> None:
    # The type is spelled with a hyphen and with an underscore.
    modified = str(facts.get("modify_type", "real")).replace("-", "_")
    if modified not in TYPES:
        raise CatalogError(
            f"the metadata of {path.name} give the modify_type {facts['modify_type']!r}; expected "
            f"one of {', '.join(TYPES)}"
        )
    fake_audio = modified in FAKE_AUDIO or bool(facts.get("audio_fake_segments"))
    original = name_key(str(facts.get("original") or ""))
    common: dict[str, Any] = {
        "split": split,
        # <speaker>/<video>/<clip>/<version>.mp4
        "identity": name.parts[0] if len(name.parts) > 1 else "",
        "audio": "fake" if fake_audio else "real",
        "original": rows.id_of(original) if original else "",
    }
    if modified not in FAKE_IMAGES:
        rows.add(path, "real", video_id=rows.id_of(name), **common)
        return
    segments = facts.get("visual_fake_segments", facts.get("fake_segments")) or []
    try:
        times = [(float(start), float(end)) for start, end in segments]
    except (TypeError, ValueError) as error:
        raise CatalogError(
            f"the metadata of {path.name} give the segments {segments!r}; expected pairs of seconds"
        ) from error
    for start, end in times:
        if end > start:
            common |= {"video_id": f"{rows.id_of(name)}@{start:g}", "start": start, "end": end}
            rows.add(path, "fake", method=modified, **common)
