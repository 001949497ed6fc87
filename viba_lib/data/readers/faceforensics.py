"""FaceForensics++ and DFD, which ships in the same tree (Rössler et al. 2019)."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from viba_lib.data.catalog import CatalogError
from viba_lib.data.readers.layout import checked, row, video_files

METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter")
DFD_METHODS = ("DeepFakeDetection",)
COMPRESSIONS = ("c23", "raw", "c40", "c0")
ALL = "all"


class _Film(NamedTuple):
    path: Path
    method: str  # "" = an original
    compression: str
    ending: str  # of the ids, where one film is there in several compressions


def catalog(root: Path, compression: str = "") -> pd.DataFrame:
    """FaceForensics++: originals `000`, fakes `<target>_<source>`, official splits.

    Parameters
    ----------
    compression : "c23", "raw", "c40" or "c0"; "all" = each that is there, with ids and originals
        that end in it; "" = one, so that compression cannot tell real from fake: the one that most
        folders have, of those with both originals and fakes

    Raises
    ------
    CatalogError
        No videos, none with this compression, or official splits that are none.
    """
    splits, masks = _splits(root), _masks(root, METHODS)
    rows = []
    for film in _films(root, "youtube", METHODS, compression):
        target, _, source = film.path.stem.partition("_")
        made_from = {
            "original": f"faceforensics-real-{target}{film.ending}", "donor": source,
            "mask_path": _mask(film, masks),
        } if film.method else {}  # fmt: skip
        rows.append(_row("faceforensics", film, target, split=splits.get(target, ""), **made_from))
    return checked(rows, root, "original_sequences/youtube/c23/videos/000.mp4 and "
                    "manipulated_sequences/Deepfakes/c23/videos/000_003.mp4")  # fmt: skip


def dfd(root: Path, compression: str = "") -> pd.DataFrame:
    """DFD: real `<actor>__<scene>`, fake `<target>_<source>__<scene>__<8 characters>`.

    See `catalog` for the compression and errors; there are no official splits.
    """
    masks = _masks(root, DFD_METHODS)
    rows = []
    for film in _films(root, "actors", DFD_METHODS, compression):
        people, *rest = film.path.stem.split("__")
        target, _, source = people.partition("_")
        made_from = {
            "original": f"dfd-real-{target}__{rest[0]}{film.ending}" if rest else "",
            "donor": source, "mask_path": _mask(film, masks),
        } if film.method else {}  # fmt: skip
        rows.append(_row("dfd", film, target, **made_from))
    return checked(rows, root, "original_sequences/actors/c23/videos/01__talking.mp4")


def has_originals(root: Path) -> bool:
    """Whether the originals of FaceForensics++ are there, in any compression."""
    return bool(_films(root, "youtube", (), ""))


def _row(dataset: str, film: _Film, identity: str, **more: str) -> dict[str, Any]:
    name = f"{dataset}-{film.method or 'real'}-{film.path.stem}{film.ending}"
    label = "fake" if film.method else "real"
    return row(
        dataset, film.path, label, video_id=name, method=film.method, identity=identity,
        compression=film.compression, **more,
    )  # fmt: skip


def _films(root: Path, originals: str, methods: Sequence[str], compression: str) -> list[_Film]:
    """Videos with the compression that is wanted: originals, then method by method."""
    folders = {"": f"original_sequences/{originals}"}
    folders |= {method: f"manipulated_sequences/{method}" for method in methods}
    there = {
        c: {m: video_files(root / folder / c / "videos", root) for m, folder in folders.items()}
        for c in COMPRESSIONS
    }
    filled = {c: [m for m, paths in found.items() if paths] for c, found in there.items()}
    # Whether reals can be told from fakes at all comes before how many kinds of fakes there are.
    worth = {c: (len(names) > 1 and "" in names, len(names)) for c, names in filled.items()}
    return [
        _Film(path, method, c, f"-{c}" if compression == ALL else "")
        for method in folders
        for c in _chosen(compression, worth, root)
        for path in there[c][method]
    ]


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
    """Official split of each video id, from train.json, val.json and test.json where they are."""
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


def _masks(root: Path, methods: Sequence[str]) -> dict[tuple[str, str, str], str]:
    """Mask videos by method, compression ("" = for all) and name, where they were fetched."""
    return {
        (method, c, path.stem): str(path)
        for method in methods
        for c in ("", *COMPRESSIONS)
        for path in video_files(
            root / "manipulated_sequences" / method / "masks" / c / "videos", root
        )
    }


def _mask(film: _Film, masks: dict[tuple[str, str, str], str]) -> str:
    places = ((film.method, c, film.path.stem) for c in ("", film.compression))
    return next((masks[place] for place in places if place in masks), "")
