"""Celeb-DF v1 and v2 (Li et al. 2020)."""

import re
from pathlib import Path
from typing import Any

import pandas as pd

from viba_lib.data.readers.layout import checked, name_key, row, video_files

FOLDERS = {"Celeb-real": "real", "YouTube-real": "real", "Celeb-synthesis": "fake"}
TEST_LIST = "List_of_testing_videos.txt"


def catalog(root: Path) -> pd.DataFrame:
    """Catalog of Celeb-DF; labels come from the folders, not from the test list.

    The official test videos get the split "test"; the others none.

    Raises
    ------
    CatalogError
        None of the three folders holds an MP4 file.
    """
    test = _listed(root / TEST_LIST)
    rows = []
    for folder, label in FOLDERS.items():
        for path in video_files(root / folder, root):
            split = "test" if _key(f"{folder}/{path.name}") in test else ""
            rows.append(
                row(
                    "celebdf", path, label, video_id=f"{folder}-{path.stem}", split=split,
                    method=folder if label == "fake" else "", **_people(folder, path.stem),
                )
            )  # fmt: skip
    return checked(rows, root, f"{', '.join(FOLDERS)} with .mp4 files")


def _people(folder: str, name: str) -> dict[str, Any]:
    """Who is seen, and of a fake `<target>_<source>_<number>` also whose face and which original.

    The people of YouTube-real have no names: each video counts as another person.
    """
    if folder == "YouTube-real":
        return {"identity": f"{folder}-{name}"}
    target, *rest = name.split("_")
    if FOLDERS[folder] == "real" or len(rest) != 2:
        return {"identity": target}
    source, number = rest
    return {"identity": target, "donor": source, "original": f"Celeb-real-{target}_{number}"}


def _listed(path: Path) -> set[str]:
    """Names in the test list, without the number before each, which some copies lack.

    A header row is a name that no video has.
    """
    if not path.is_file():
        return set()
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    return {_key(re.sub(r"^\d+\s+", "", line.strip())) for line in lines}


def _key(name: str) -> str:
    return name_key(name).casefold()
