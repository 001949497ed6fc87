"""FakeAVCeleb (Khalid et al. 2021)."""

from pathlib import Path
from typing import Any

import pandas as pd

from viba_lib.data.catalog import CatalogError
from viba_lib.data.sources.layout import all_video_files, checked, row

# Fake sound alone is real to a detector of pictures.
LABELS = {
    "RealVideo-RealAudio": "real",
    "RealVideo-FakeAudio": "real",
    "FakeVideo-RealAudio": "fake",
    "FakeVideo-FakeAudio": "fake",
}


def catalog(root: Path) -> pd.DataFrame:
    """Videos in the four folders, with method and identity from meta_data.csv where it is there.

    Raises
    ------
    CatalogError
        None of the four folders has a video, or the table has other columns.
    """
    home = next((p for p in (root, *sorted(root.glob("FakeAVCeleb*"))) if _has_folders(p)), root)
    methods = _methods(home / "meta_data.csv")
    rows: list[dict[str, Any]] = []
    for folder, label in LABELS.items():
        for path in all_video_files(home / folder):
            parts = path.relative_to(home.resolve()).with_suffix("").parts
            place = "/".join(parts[:-1])
            rows.append(
                row(
                    "fakeavceleb", path, label, video_id="fakeavceleb-" + "-".join(parts),
                    method=methods.get((place, path.name), folder) if label == "fake" else "",
                    identity=path.parent.name, audio="fake" if "FakeAudio" in folder else "real",
                )
            )  # fmt: skip
    return checked(rows, root, "RealVideo-RealAudio/African/men/id00076/00109.mp4")


def _has_folders(place: Path) -> bool:
    return any((place / name).is_dir() for name in LABELS)


def _methods(path: Path) -> dict[tuple[str, str], str]:
    """Method by folder and file name; the folder stands in the unnamed last column."""
    if not path.is_file():
        return {}
    table = pd.read_csv(path, dtype=str).fillna("")
    if not {"path", "method"} <= set(table) or len(table.columns) < 3:
        raise CatalogError(
            f"{path} has the columns {list(table)}; expected path, method and a last one with the "
            "folder: take the file that comes with the set, or remove it"
        )
    folders = table.iloc[:, -1].str.removeprefix("FakeAVCeleb/").str.strip("/")
    return dict(zip(zip(folders, table.path, strict=True), table.method, strict=True))
