"""The forged region of a fake, from its difference to the original it was made of."""

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import chain, repeat, zip_longest
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from viba_lib.core.cache import Work, digest
from viba_lib.core.code import code_key
from viba_lib.core.errors import VibaError
from viba_lib.core.parallel import map_counted
from viba_lib.data.catalog import segment
from viba_lib.data.video import VideoError, VideoReader, write_video

# Grey levels after the blur: two encodings of one frame differ by less than the first in most
# pixels, and by less than the second in all.
SMALLEST, LARGEST = 3.0, 20.0
ABOVE_NOISE = 6.0  # deviations of the differences outside, above which a pixel is changed
WHOLE_FRAME = 0.5  # fraction of changed pixels from which two videos do not show the same recording
SPECK = 0.1  # components with a smaller fraction of the largest one's area are left out


def changed_region(original: np.ndarray, fake: np.ndarray) -> np.ndarray:
    """Region of a frame (H, W, 3) that a manipulation changed.

    Compression changes all pixels a little, a manipulation some of them more. The absolute
    difference is blurred, since noise of compression has no large structures. A pixel is changed
    if it lies clearly above the median over the frame, most of which is taken for unchanged. Holes
    are filled, and small components are left out.

    Returns
    -------
    (H, W) uint8, 0 or 255.
    """
    difference = cv2.absdiff(original, fake).mean(2, dtype=np.float32)
    unit = max(original.shape[:2]) / 640  # sizes below are for frames 640 px wide
    blurred = cv2.GaussianBlur(difference, (0, 0), max(1.0, 2.5 * unit))
    middle = float(np.median(blurred))
    deviation = 1.4826 * float(np.median(np.abs(blurred - middle)))
    changed = blurred > np.clip(middle + ABOVE_NOISE * deviation, SMALLEST, LARGEST)
    side = 2 * round(4 * unit) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    closed = cv2.morphologyEx(changed.astype(np.uint8), cv2.MORPH_CLOSE, kernel)
    outlines, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    areas = [cv2.contourArea(outline) for outline in outlines]
    kept = [o for o, area in zip(outlines, areas, strict=True) if area >= SPECK * max(areas)]
    mask: np.ndarray = np.zeros(changed.shape, np.uint8)
    cv2.drawContours(mask, kept, -1, 255, cv2.FILLED)
    return mask


def changed_regions(original: VideoReader, fake: VideoReader) -> Iterator[np.ndarray]:
    """`changed_region` of one frame after another.

    Raises
    ------
    VideoError
        Sizes differ, the original is shorter, or most of the frames differ: another recording.
    """
    if original.shape != fake.shape:
        (h, w), (rows, columns) = original.shape, fake.shape
        raise VideoError(
            f"{original.path} is {w}x{h} and {fake.path} is {columns}x{rows}; expected one size: "
            "take both in the same version of the data set"
        )
    shares = list[float]()
    for first, second in zip_longest(original.frames(), fake.frames()):
        if second is None:  # the fake ends earlier
            break
        if first is None:
            raise VideoError(
                f"{original.path} ends after {len(shares)} frames, before {fake.path}; expected "
                "the video that the fake was made of, frame by frame"
            )
        mask = changed_region(first, second)
        shares.append(float((mask > 0).mean()))
        yield mask
    if np.median(shares) > WHOLE_FRAME:
        raise VideoError(
            f"{fake.path} differs from {original.path} in {np.median(shares):.0%} of the frame; "
            "expected the video that it was made of: check the column original"
        )


def write_masks(
    pair: tuple[Mapping[str, Any], Mapping[str, Any]], root: Path, folder: Path
) -> str | VibaError:
    """Write the masks of a fake as lossless video; its path, or why there is none.

    The part of the file that a row names is also a part of its masks. So the masks of a fake that
    is a part begin with empty ones.

    Parameters
    ----------
    pair : catalog rows of the original and of the fake; of an original that is a complete file, the
        part of the fake is taken
    root : folder of their paths
    """
    cv2.setNumThreads(1)
    (source, first, last), (forged, start, end) = (segment(row, root) for row in pair)
    if first is None and last is None:
        first, last = start, end
    try:
        with VideoReader(source, first, last) as before, VideoReader(forged, start, end) as after:
            files, parts = [before.sha256, after.sha256], [first, last, start, end]
            key = digest([files, parts, code_key(changed_regions)])
            path = folder / f"{pair[1]['video_id']}-{key[:8]}.mkv"
            if not path.is_file():
                masks = chain(_empty(after), changed_regions(before, after))
                write_video(path, masks, after.rate, lossless=True)
    except VibaError as error:
        return error
    return str(path)


def _empty(video: VideoReader) -> Iterator[np.ndarray]:
    """An empty mask (H, W) for each frame before the part that a reader shows."""
    if video.start:
        with VideoReader(video.path, None, video.start) as before:
            yield from repeat(np.zeros(before.shape, np.uint8), before.length)


def with_true_masks(
    catalog: pd.DataFrame, root: Path, folder: Path, work: Work
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A catalog with masks of its fakes, from the difference to their originals.

    Fakes that have masks keep them; those whose original is not in the catalog get none. Masks that
    were written before are not made again.

    Parameters
    ----------
    root : folder of the catalog's paths
    folder : receives the masks

    Returns
    -------
    The catalog, and video_id and reason of the fakes that got none.
    """
    out, root, folder = catalog.copy(), Path(root).absolute(), Path(folder).absolute()
    rows = {row["video_id"]: row for row in catalog.to_dict("records")}
    wanted = [r for r in rows.values() if r["label"] == "fake" and not r["mask_path"]]
    pairs = [(rows[row["original"]], row) for row in wanted if row["original"] in rows]
    problems = {
        row["video_id"]: f"its original {row['original'] or '(not named)'} is not in the catalog"
        for row in wanted
        if row["original"] not in rows
    }
    folder.mkdir(parents=True, exist_ok=True)
    write = partial(write_masks, root=root, folder=folder)
    for number, found in map_counted(write, pairs, work, "masks").items():
        name = pairs[number][1]["video_id"]
        if isinstance(found, VibaError):
            problems[name] = str(found)
        else:
            path = Path(found)
            inside = path.is_relative_to(root)
            out.loc[out.video_id == name, "mask_path"] = (
                path.relative_to(root).as_posix() if inside else found
            )
    return out, pd.DataFrame(list(problems.items()), columns=["video_id", "reason"])
