"""FakeAVCeleb (Khalid et al. 2021)."""

from pathlib import Path

import pandas as pd

from viba_lib.data.readers.layout import Rows, all_video_files, name_key, read_csv

# A video with fake audio alone is real to a detector that only sees images.
LABELS = {
    "RealVideo-RealAudio": "real",
    "RealVideo-FakeAudio": "real",
    "FakeVideo-RealAudio": "fake",
    "FakeVideo-FakeAudio": "fake",
}
# wav2lip moves the lips and does not swap the face.
FACE_SWAPS = ("faceswap", "fsgan")


def fakeavceleb(root: Path) -> pd.DataFrame:
    """Videos in the four folders, with method and donor from meta_data.csv if it exists.

    Raises
    ------
    CatalogError
        None of the four folders has a video, or the table has other columns.
    """
    home = next((p for p in (root, *sorted(root.glob("FakeAVCeleb*"))) if _has_folders(p)), root)
    rows, facts = Rows("fakeavceleb", root), _facts(home / "meta_data.csv")
    for folder, label in LABELS.items():
        for path in all_video_files(home / folder, root):
            name = Path(folder, path.relative_to((home / folder).resolve()))
            known = facts.get(name_key(name.as_posix()), {"method": folder})
            rows.add(
                path, label, known, identity=path.parent.name, video_id=rows.id_of(name),
                audio="fake" if "FakeAudio" in folder else "real",
            )  # fmt: skip
    return rows.catalog("RealVideo-RealAudio/African/men/id00076/00109.mp4")


def _has_folders(folder: Path) -> bool:
    return any((folder / name).is_dir() for name in LABELS)


def _facts(path: Path) -> dict[str, dict[str, str]]:
    """Method and donor by file, whose folder is in the unnamed last column."""
    if not path.is_file():
        return {}
    table = read_csv(path, ("path", "method"))
    folders = (
        table.iloc[:, -1].str.replace("\\", "/").str.removeprefix("FakeAVCeleb/").str.strip("/")
    )
    donors = table.get("target1", pd.Series("", index=table.index)).replace("-", "")
    swapped = table.method.str.contains("|".join(FACE_SWAPS))
    facts = table[["method"]].assign(donor=donors.where(swapped, ""))
    names = (folders + "/" + table.path).map(name_key)
    return dict(zip(names, facts.to_dict("records"), strict=True))
