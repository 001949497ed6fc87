"""FaceForensics++ and DFD, which ships in the same tree (Rössler et al. 2019)."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from viba_lib.data.catalog import SPLITS, CatalogError
from viba_lib.data.readers.layout import Rows, read_json, video_files

METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter")
DFD_METHODS = ("DeepFakeDetection",)
COMPRESSIONS = ("c23", "raw", "c40", "c0")
ALL = "all"
REAL = "real"  # instead of a method
PAIRS = 'pairs such as ["071", "054"]: take the official file or remove it'


def faceforensics(root: Path, compression: str = "") -> pd.DataFrame:
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

    See `faceforensics` for the compression and errors; there are no official splits.
    """
    rows = _rows("dfd", root, "actors", DFD_METHODS, compression)
    return rows.catalog("original_sequences/actors/c23/videos/01__talking.mp4")


def has_originals(root: Path) -> bool:
    """Whether the originals of FaceForensics++ exist, in any compression."""
    folder = root / "original_sequences" / "youtube"
    return any(video_files(folder / c / "videos", root) for c in COMPRESSIONS)


def _rows(
    dataset: str, root: Path, originals: str, methods: Sequence[str], compression: str
) -> Rows:
    """Originals, then the fakes of each method, with the wanted compression."""
    folders = {REAL: root / "original_sequences" / originals}
    folders |= {method: root / "manipulated_sequences" / method for method in methods}
    videos = {
        c: {method: video_files(folder / c / "videos", root) for method, folder in folders.items()}
        for c in COMPRESSIONS
    }
    rows, chosen = Rows(dataset, root), _chosen(compression, videos, root)
    for method, folder in folders.items():
        for c in chosen:
            masks = video_files(folder / "masks" / c / "videos", root)
            masks += video_files(folder / "masks" / "videos", root)  # these take precedence
            _add(rows, method, c, f"-{c}" if compression == ALL else "", videos[c][method], masks)
    return rows


def _add(
    rows: Rows, method: str, compression: str, ending: str, videos: list[Path], masks: list[Path]
) -> None:
    """Add videos, whose names are `<target>_<source>`, in DFD with `__<scene>`."""
    mask_of = {path.stem: str(path) for path in masks}
    for path in videos:
        people, *scene = path.stem.split("__")
        target, _, source = people.partition("_")
        original = "__".join([target, *scene[:1]])
        of_fake = {
            "method": method,
            "original": f"{rows.dataset}-real-{original}{ending}",
            "donor": source,
            "mask_path": mask_of.get(path.stem, ""),
        }
        rows.add(
            path, "real" if method == REAL else "fake", of_fake, identity=target,
            video_id=f"{rows.dataset}-{method}-{path.stem}{ending}", compression=compression,
        )  # fmt: skip


def _chosen(compression: str, videos: dict[str, dict[str, list[Path]]], root: Path) -> list[str]:
    """Compressions to list, by whether and how many folders have videos of each."""
    filled = {c: [name for name, paths in found.items() if paths] for c, found in videos.items()}
    have = [c for c in COMPRESSIONS if filled[c]]
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
    # Both originals and fakes count more than the number of methods. Of equals, the first.
    best = max(have, key=lambda c: (REAL in filled[c] and len(filled[c]) > 1, len(filled[c])))
    return [compression or best]


def _splits(root: Path) -> dict[str, str]:
    """Official split of each video id, from train.json, val.json and test.json if they exist."""
    found: dict[str, str] = {}
    for split in SPLITS:
        for path in (root / f"{split}.json", root / "splits" / f"{split}.json"):
            pairs = read_json(path, list, PAIRS) if path.is_file() else []
            if not all(isinstance(pair, list) for pair in pairs):
                raise CatalogError(f"{path} holds {pairs[:2]}; expected {PAIRS}")
            found |= {str(video): split for pair in pairs for video in pair}
    return found
