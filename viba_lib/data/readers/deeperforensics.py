"""DeeperForensics-1.0 (Jiang et al. 2020)."""

import os
from pathlib import Path

import pandas as pd

from viba_lib.data.readers import faceforensics
from viba_lib.data.readers.layout import checked, row, video_files


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
    splits = _splits(root)
    rows = []
    folder = root / "manipulated_videos"
    for kind in sorted(folder.iterdir()) if folder.is_dir() else []:
        for path in video_files(kind, root):
            target, _, actor = path.stem.partition("_")
            rows.append(
                row(
                    "deeperforensics", path, "fake", method=kind.name, identity=target, donor=actor,
                    video_id=f"deeperforensics-{kind.name}-{path.stem}", compression="",
                    original=f"faceforensics-real-{target}", split=splits.get(path.stem, ""),
                )
            )  # fmt: skip
    fakes = checked(rows, root, "manipulated_videos/end_to_end/000_M101.mp4")
    return pd.concat([fakes, *_originals(root, fakes)], ignore_index=True)


def _splits(root: Path) -> dict[str, str]:
    """Official split of each fake, by its name without the suffix."""
    found: dict[str, str] = {}
    for split in ("train", "val", "test"):
        listed = root / "lists" / "splits" / f"{split}.txt"
        lines = listed.read_text(encoding="utf-8-sig").split() if listed.is_file() else []
        found |= {Path(line).stem: split for line in lines}
    return found


def _originals(root: Path, fakes: pd.DataFrame) -> list[pd.DataFrame]:
    """Films of FaceForensics++ that the fakes were made from, with the splits of the fakes."""
    # Not root.parent, which of "." is "." again.
    above = Path(os.path.abspath(root)).parent
    for place in (root, above, above / "FaceForensics++"):
        if faceforensics.has_originals(place):
            # A target may also have fakes that no list names: its split is the one that is given.
            given = fakes.sort_values("split").drop_duplicates("identity", keep="last")
            by_target = dict(zip(given.identity, given.split, strict=True))
            real = faceforensics.catalog(place).query("label == 'real'")
            real = real[real.identity.isin(by_target)]
            split = real.split.where(real.split != "", real.identity.map(by_target))
            return [real.assign(dataset="deeperforensics", split=split)]
    return []
