"""DeeperForensics-1.0 (Jiang et al. 2020)."""

from pathlib import Path

import pandas as pd

from viba_lib.data.sources import faceforensics
from viba_lib.data.sources.layout import checked, row, video_files


def catalog(root: Path) -> pd.DataFrame:
    """Fakes `<target>_<source actor>.mp4` of every kind, with the official splits.

    The set's source videos are not its real ones: those are the films of FaceForensics++ that the
    fakes were made from, told by the target. They are listed where FaceForensics++'s
    `original_sequences` lie in the folder or beside it, with their ids there, so that a fake and
    its original stay together when both sets are joined.

    Raises
    ------
    CatalogError
        No fake is there.
    """
    splits: dict[str, str] = {}
    for split in ("train", "val", "test"):
        listed = root / "lists" / "splits" / f"{split}.txt"
        lines = listed.read_text(encoding="utf-8").split() if listed.is_file() else []
        splits |= {Path(line).stem: split for line in lines}
    rows = []
    folder = root / "manipulated_videos"
    for kind in sorted(folder.iterdir()) if folder.is_dir() else []:
        for path in video_files(kind):
            target = path.stem.split("_")[0]
            rows.append(
                row(
                    "deeperforensics", path, "fake", method=kind.name, identity=target,
                    video_id=f"deeperforensics-{kind.name}-{path.stem}",
                    original=f"faceforensics-real-{target}", split=splits.get(path.stem, ""),
                )
            )  # fmt: skip
    found = checked(rows, root, "manipulated_videos/end_to_end/000_M101.mp4")
    by_target = dict(zip(found.identity, found.split, strict=True))
    for place in (root, root.parent, root.parent / "FaceForensics++"):
        if (place / "original_sequences" / "youtube").is_dir():
            real = faceforensics.catalog(place).query("label == 'real'")
            real = real[real.identity.isin(by_target)]
            split = real.split.where(real.split != "", real.identity.map(by_target))
            real = real.assign(dataset="deeperforensics", split=split)
            return pd.concat([found, real], ignore_index=True)
    return found
