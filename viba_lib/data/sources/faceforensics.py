"""FaceForensics++ and DFD, which ships in the same tree (Rössler et al. 2019)."""

import json
from pathlib import Path

import pandas as pd

from viba_lib.data.catalog import CatalogError
from viba_lib.data.sources.layout import checked, row, video_files

METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter")
COMPRESSIONS = ("c23", "raw", "c40", "c0")


def _videos(folder: Path) -> list[Path]:
    """MP4 files of the first compression that is there."""
    for compression in COMPRESSIONS:
        found = folder / compression / "videos"
        if found.is_dir():
            return video_files(found)
    return []


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


def _mask(path: Path) -> str:
    """Mask video of a fake, where the set was fetched with masks."""
    folder = path.parents[2] / "masks"
    places = (folder / "videos" / path.name, folder / path.parents[1].name / "videos" / path.name)
    return next((str(p.resolve()) for p in places if p.is_file()), "")


def _row(path: Path, dataset: str, label: str, method: str, identity: str, original: str) -> dict:
    name = f"{dataset}-{method or 'real'}-{path.stem}"
    return row(
        dataset, path, label, video_id=name, method=method, identity=identity, original=original
    )


def catalog(root: Path) -> pd.DataFrame:
    """FaceForensics++: originals `000`, fakes `<target>_<source>`, official splits."""
    splits = _splits(root)
    rows = [
        _row(p, "faceforensics", "real", "", p.stem, "") | {"split": splits.get(p.stem, "")}
        for p in _videos(root / "original_sequences" / "youtube")
    ]
    for method in METHODS:
        for path in _videos(root / "manipulated_sequences" / method):
            target = path.stem.split("_")[0]
            found = _row(
                path, "faceforensics", "fake", method, target, f"faceforensics-real-{target}"
            )
            rows.append(found | {"split": splits.get(target, ""), "mask_path": _mask(path)})
    return checked(rows, root, "original_sequences/youtube/c23/videos/000.mp4 and "
                    "manipulated_sequences/Deepfakes/c23/videos/000_003.mp4")  # fmt: skip


def dfd(root: Path) -> pd.DataFrame:
    """DFD: real `<actor>__<scene>`, fake `<target>_<source>__<scene>__<8 characters>`."""
    rows = []
    for path in _videos(root / "original_sequences" / "actors"):
        rows.append(_row(path, "dfd", "real", "", path.stem.split("__")[0], ""))
    for path in _videos(root / "manipulated_sequences" / "DeepFakeDetection"):
        parts = path.stem.split("__")
        target = parts[0].split("_")[0]
        original = f"dfd-real-{target}__{parts[1]}" if len(parts) > 1 else ""
        rows.append(_row(path, "dfd", "fake", "DeepFakeDetection", target, original))
    return checked(rows, root, "original_sequences/actors/c23/videos/01__talking.mp4")
