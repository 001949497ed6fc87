"""Celeb-DF v1 and v2 (Li et al. 2020)."""

from pathlib import Path

import pandas as pd

from viba_lib.data.catalog import CatalogError, validate_catalog
from viba_lib.data.sources.layout import video_files

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
    listed = root / TEST_LIST
    lines = listed.read_text(encoding="utf-8").splitlines() if listed.is_file() else []
    test = {line.split()[-1] for line in lines if line.strip()}
    rows = []
    for folder, label in FOLDERS.items():
        for path in video_files(root / folder):
            parts = path.stem.split("_")
            fake = label == "fake" and len(parts) == 3
            identity = f"{folder}-{path.stem}" if folder == "YouTube-real" else parts[0]
            rows.append(
                {
                    "dataset": "celebdf",
                    "video_id": f"{folder}-{path.stem}",
                    "path": str(path),
                    "label": label,
                    "method": "Celeb-synthesis" if label == "fake" else "",
                    "identity": identity,
                    "original": f"Celeb-real-{parts[0]}_{parts[2]}" if fake else "",
                    "split": "test" if f"{folder}/{path.name}" in test else "",
                    "source": "celebdf",
                }
            )
    if not rows:
        raise CatalogError(
            f"{root} holds no Celeb-DF; expected {', '.join(FOLDERS)} with .mp4 files"
        )
    return validate_catalog(pd.DataFrame(rows))
