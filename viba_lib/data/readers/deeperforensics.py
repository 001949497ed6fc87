"""DeeperForensics-1.0 (Jiang et al. 2020)."""

import os
from pathlib import Path

import pandas as pd

from viba_lib.core.files import read_text
from viba_lib.data.readers.faceforensics import faceforensics, has_originals
from viba_lib.data.readers.layout import Rows, name_key, video_files


def deeperforensics(root: Path) -> pd.DataFrame:
    """Fakes `<target>_<source actor>.mp4` of all methods, with the official splits.

    The real videos are not the set's source videos but the videos of FaceForensics++ that the fakes
    were made from, known by the target. They are listed if FaceForensics++'s `original_sequences`
    are in the folder or beside it. They keep their ids, so that a fake and its original stay
    together when both sets are joined.

    Raises
    ------
    CatalogError
        There are no fakes.
    """
    rows, splits = Rows("deeperforensics", root), _splits(root)
    folder = root / "manipulated_videos"
    for method in sorted(folder.iterdir()) if folder.is_dir() else []:
        for path in video_files(method, root):
            target, _, actor = path.stem.partition("_")
            rows.add(
                path, "fake", method=method.name, identity=target, donor=actor, compression="",
                video_id=rows.id_of(f"{method.name}/{path.name}"),
                original=f"faceforensics-real-{target}", split=splits.get(path.stem, ""),
            )  # fmt: skip
    fakes = rows.catalog("manipulated_videos/end_to_end/000_M101.mp4")
    return pd.concat([fakes, *_originals(root, fakes)], ignore_index=True)


def _splits(root: Path) -> dict[str, str]:
    """Official split of each fake, by its name without the suffix."""
    found: dict[str, str] = {}
    for split in ("train", "val", "test"):
        listed = root / "lists" / "splits" / f"{split}.txt"
        lines = read_text(listed).split() if listed.is_file() else []
        found |= {Path(name_key(line)).stem: split for line in lines}
    return found


def _originals(root: Path, fakes: pd.DataFrame) -> list[pd.DataFrame]:
    """Videos of FaceForensics++ that the fakes were made from, with the splits of the fakes."""
    # Not root.parent, which of "." is "." again.
    above = Path(os.path.abspath(root)).parent
    for folder in (root, above, above / "FaceForensics++"):
        if has_originals(folder):
            # A target may also have fakes that are in no list: the split of the others counts.
            given = fakes.sort_values("split").drop_duplicates("identity", keep="last")
            by_target = dict(zip(given.identity, given.split, strict=True))
            real = faceforensics(folder).query("label == 'real'")
            real = real[real.identity.isin(by_target)]
            split = real.split.where(real.split != "", real.identity.map(by_target))
            return [real.assign(dataset="deeperforensics", split=split)]
    return []
