"""FaceForensics++ and DFD, which ships in the same tree (Rössler et al. 2019)."""

import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from viba_lib.data.catalog import CatalogError
from viba_lib.data.readers.layout import Rows, video_files

METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter")
DFD_METHODS = ("DeepFakeDetection",)
COMPRESSIONS = ("c23", "raw", "c40", "c0")
ALL = "all"


class _File(NamedTuple):
    path: Path
    method: str  # "" = an original
    compression: str
    ending: str  # of the ids, if one video is listed in several compressions
    mask: str


def catalog(root: Path, compression: str = "") -> pd.DataFrame:
    """FaceForensics++: originals `000`, fakes `<target>_<source>`, official splits.

    Parameters
    ----------
    compression : "c23", "raw", "c40" or "c0"; "all" = all that exist, with ids and originals that
        end in the compression; "" = a single one, so that compression does not give the label
        away: the one that most folders have, of those with both originals and fakes

    Raises
    ------
    CatalogError
        No videos, none with this compression, or official splits of another form.
    """
    splits = _splits(root)
    rows = _rows("faceforensics", root, "youtube", METHODS, compression)
    for row in rows.rows:
        row["split"] = splits.get(row["identity"], "")
    return rows.catalog(
        "original_sequences/youtube/c23/videos/000.mp4 and "
        "manipulated_sequences/Deepfakes/c23/videos/000_003.mp4"
    )


def dfd(root: Path, compression: str = "") -> pd.DataFrame:
    """DFD: real `<actor>__<scene>`, fake `<target>_<source>__<scene>__<8 characters>`.

    See `catalog` for the compression and errors; there are no official splits.
    """
    rows = _rows("dfd", root, "actors", DFD_METHODS, compression)
    return rows.catalog("original_sequences/actors/c23/videos/01__talking.mp4")


def has_originals(root: Path) -> bool:
    """Whether the originals of FaceForensics++ exist, in any compression."""
    return bool(_files(root, "youtube", (), ""))


def _rows(
    dataset: str, root: Path, originals: str, methods: Sequence[str], compression: str
) -> Rows:
    """Rows of all videos, whose names are `<target>_<source>`, with `__<scene>` in DFD."""
    rows = Rows(dataset, root)
    for file in _files(root, originals, methods, compression):
        people, *scene = file.path.stem.split("__")
        target, _, source = people.partition("_")
        original = "__".join([target, *scene[:1]])
        made_from = {
            "original": f"{dataset}-real-{original}{file.ending}",
            "donor": source,
            "mask_path": file.mask,
        }
        rows.add(
            file.path, "fake" if file.method else "real", method=file.method, identity=target,
            video_id=f"{dataset}-{file.method or 'real'}-{file.path.stem}{file.ending}",
            compression=file.compression, **(made_from if file.method else {}),
        )  # fmt: skip
    return rows


def _files(root: Path, originals: str, methods: Sequence[str], compression: str) -> list[_File]:
    """Videos with the wanted compression: originals, then method by method."""
    folders = {"": f"original_sequences/{originals}"}
    folders |= {method: f"manipulated_sequences/{method}" for method in methods}
    there = {
        c: {m: video_files(root / folder / c / "videos", root) for m, folder in folders.items()}
        for c in COMPRESSIONS
    }
    filled = {c: [m for m, paths in found.items() if paths] for c, found in there.items()}
    # Both originals and fakes count more than the number of methods.
    worth = {c: (len(names) > 1 and "" in names, len(names)) for c, names in filled.items()}
    chosen = _chosen(compression, worth, root)
    files = []
    for method, c in product(folders, chosen):
        masks = _masks(root, method, c) if method else {}
        ending = f"-{c}" if compression == ALL else ""
        for path in there[c][method]:
            files.append(_File(path, method, c, ending, masks.get(path.stem, "")))
    return files


def _chosen(compression: str, worth: dict[str, tuple[bool, int]], root: Path) -> list[str]:
    """Compressions to list, by whether and how many folders have videos of each."""
    have = [c for c in COMPRESSIONS if worth[c][1]]
    if compression not in ("", ALL, *COMPRESSIONS):
        raise CatalogError(
            f"compression {compression!r} is unknown; expected one of {', '.join(COMPRESSIONS)} or "
            f"{ALL}, or none for the one that most folders have"
        )
    if compression == ALL or not have:
        return have
    if compression and compression not in have:
        raise CatalogError(
            f"{root} has no videos with the compression {compression}, but with {', '.join(have)}; "
            "expected one of these: choose it, or fetch the other"
        )
    return [compression or max(have, key=lambda c: worth[c])]  # of equals the first


def _splits(root: Path) -> dict[str, str]:
    """Official split of each video id, from train.json, val.json and test.json if they exist."""
    found = {}
    for split in ("train", "val", "test"):
        for path in (root / f"{split}.json", root / "splits" / f"{split}.json"):
            if path.is_file():
                try:
                    pairs = json.loads(path.read_text(encoding="utf-8"))
                    found.update({str(video): split for pair in pairs for video in pair})
                except (ValueError, TypeError) as error:
                    raise CatalogError(
                        f'{path} is not a list of pairs such as ["071", "054"]; take the official '
                        "file or remove it"
                    ) from error
    return found


def _masks(root: Path, method: str, compression: str) -> dict[str, str]:
    """Mask videos by name, if they were downloaded; those for all compressions take precedence."""
    folder = root / "manipulated_sequences" / method / "masks"
    paths = [p for c in (compression, "") for p in video_files(folder / c / "videos", root)]
    return {path.stem: str(path) for path in paths}
