"""Celeb-DF v1 and v2 (Li et al. 2020)."""

import re
from pathlib import Path
from typing import Any

import pandas as pd

from viba_lib.core.files import read_text
from viba_lib.data.readers.layout import Rows, name_key, video_files

FOLDERS = {"Celeb-real": "real", "YouTube-real": "real", "Celeb-synthesis": "fake"}
TEST_LIST = "List_of_testing_videos.txt"


def celebdf(root: Path) -> pd.DataFrame:
    """Catalog of Celeb-DF; labels come from the folders, not from the test list.

    The official test videos have the split "test", the others none.

    Raises
    ------
    CatalogError
        None of the three folders contains an MP4 file.
    """
    rows, test = Rows("celebdf", root), _test_names(root / TEST_LIST)
    for folder, label in FOLDERS.items():
        for path in video_files(root / folder, root):
            rows.add(
                path, label, {"method": folder}, video_id=f"{folder}-{path.stem}",
                split="test" if _key(f"{folder}/{path.name}") in test else "",
                **_people(folder, path.stem),
            )  # fmt: skip
    return rows.catalog(f"{', '.join(FOLDERS)} with .mp4 files")


def _people(folder: str, name: str) -> dict[str, Any]:
    """Identity, and for a fake `<target>_<source>_<number>` also the donor and the original.

    The people of YouTube-real have no names: each video counts as another person.
    """
    if folder == "YouTube-real":
        return {"identity": f"{folder}-{name}"}
    target, *rest = name.split("_")
    if FOLDERS[folder] == "real" or len(rest) != 2:
        return {"identity": target}
    source, number = rest
    return {"identity": target, "donor": source, "original": f"Celeb-real-{target}_{number}"}


def _test_names(path: Path) -> set[str]:
    """Names in the test list, without the number before each, which some copies lack.

    A header row is a name that no video has.
    """
    if not path.is_file():
        return set()
    lines = read_text(path, "replace").splitlines()
    return {_key(re.sub(r"^\d+\s+", "", line.strip())) for line in lines}


def _key(name: str) -> str:
    return name_key(name).casefold()
