"""The region found from original and fake, compared with the planted one."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from viba_lib.data.true_masks import changed_regions
from viba_lib.data.video import VideoReader, write_video
from viba_lib.evaluation.consistency import iou
from viba_lib.pipeline.study import Study

ENCODINGS = {"c23": 23, "c40": 40}  # crf of FaceForensics++ by the names of its folders
FRAMES = 8


def compare_regions(study: Study, frames: int = FRAMES) -> pd.DataFrame:
    """Overlap of the region found by `true_masks` with the planted mask, on one fake a method.

    Original and fake are compressed again as FaceForensics++ is. The first fake of each method
    counts, of the test split where it holds the method.

    Parameters
    ----------
    frames : of each fake

    Returns
    -------
    method, video_id, encoding, iou (mean over frames); no rows if no fake has a mask.
    """
    catalog = study.catalog()
    known = catalog[(catalog.mask_path != "") & catalog.original.isin(catalog.video_id)]
    rows = []
    for _, fake in known.sort_values(["split", "video_id"]).groupby("method").head(1).iterrows():
        original, _ = study.prepared.first_frames(fake.original, frames)
        altered, masks = study.prepared.first_frames(fake.video_id, frames)
        assert masks is not None  # it is in the catalog
        for name, crf in ENCODINGS.items():
            found = _found(original, altered, crf)
            height, width = found.shape[1:]
            expected = masks[:, :height, :width] > masks.max() / 2
            overlap = float(np.mean([iou(*pair) for pair in zip(found, expected, strict=True)]))
            rows.append((fake.method, fake.video_id, name, overlap))
    return pd.DataFrame(rows, columns=["method", "video_id", "encoding", "iou"])


def _found(original: np.ndarray, fake: np.ndarray, crf: int) -> np.ndarray:
    """Masks (T, H, W) bool from two clips that were compressed."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [
            write_video(Path(folder) / f"{name}.mp4", clip, 25, crf)
            for name, clip in (("original", original), ("fake", fake))
        ]
        with VideoReader(paths[0]) as before, VideoReader(paths[1]) as after:
            return np.stack(list(changed_regions(before, after))) > 0


def regions_message(compared: pd.DataFrame) -> str:
    """What `compare_regions` found, in words."""
    if compared.empty:
        return "No fake of this run has a mask and an original, so nothing is compared here."
    means = compared.groupby("encoding").iou.agg(["mean", "min", "idxmin"])
    parts = [
        f"at {name} the overlap is {row['mean']:.2f} on average and {row['min']:.2f} at least "
        f"({compared.method[int(row['idxmin'])]})"
        for name, row in means.iterrows()
    ]
    return f"One fake of each of {compared.method.nunique()} methods: {'; '.join(parts)}."
