"""Agreement of maps with annotated regions: Table 4 and Figure 2 of the paper."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import cv2
import numpy as np
import pandas as pd

from viba_lib.core.errors import VibaError
from viba_lib.data.artefacts import region_polygon

REGIONS = {
    "L": "Lips & mouth",
    "E": "Deepfake edges",
    "B": "Brows, eyes & forehead",
    "N": "Nose, cheeks & ears",
    "O": "Outside of face",
    "C": "Chin & neck",
}
_PLANTED: dict[str, set[str]] = {
    "whole_face": {"L", "B", "N", "E"},
    "mouth": {"L"},
    "eyes_brows": {"B"},
    "nose_cheeks": {"N"},
    "chin_neck": {"C"},
    "blending_edge": {"E"},
}


def overlap_coefficient(first: Iterable[str], second: Iterable[str]) -> float:
    """Szymkiewicz-Simpson: common elements over the smaller set; 1 if both are empty, else 0."""
    a, b = set(first), set(second)
    if not a or not b:
        return float(not a and not b)
    return len(a & b) / min(len(a), len(b))


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rank correlation of two maps (H, W) over pixels; NaN if one is constant."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    from scipy.stats import spearmanr  # it takes a second, and few commands need it

    return float(spearmanr(first.ravel(), second.ravel())[0])


def planted_regions(region: str) -> set[str]:
    """Letters of the paper's regions that a planted region covers."""
    if region not in _PLANTED:
        raise VibaError(f"planted region {region!r} is not known; expected one of {list(_PLANTED)}")
    return _PLANTED[region]


def enlarged(points: np.ndarray, scale: float) -> np.ndarray:
    """Points (N, 2) moved away from their mean."""
    middle = points.mean(0)
    return np.asarray(middle + (points - middle) * scale)


def hull_mask(points: np.ndarray, size: int) -> np.ndarray:
    """Convex hull of points in units of the crop as a mask (size, size) bool."""
    mask = np.zeros((size, size), np.uint8)
    hull = cv2.convexHull(np.round(points * size).astype(np.int32))
    cv2.fillConvexPoly(mask, hull, 1)
    return mask.astype(bool)


def region_masks(landmarks: np.ndarray, size: int) -> dict[str, np.ndarray]:
    """The paper's six regions as masks, from 68 landmarks.

    The paper names its regions without their borders. The borders are those of this library.
    "Deepfake edges" is a band along the outline of the face, where a pasted face would be blended.

    Parameters
    ----------
    landmarks : (68, 2) in units of the crop, 0 to 1
    size : side of the masks in pixels

    Returns
    -------
    Masks (size, size) bool by letter; together they cover the crop, and none overlaps another.
    """
    p = np.asarray(landmarks, float)
    face = hull_mask(region_polygon(p, "whole_face"), size)
    width = max(1, round(float(np.ptp(p[:17, 0])) * size * 0.06))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1))
    wide = cv2.dilate(face.astype(np.uint8), kernel).astype(bool)
    core = cv2.erode(face.astype(np.uint8), kernel).astype(bool)
    rows = np.arange(size)[:, None] / size * np.ones((1, size))
    lips = hull_mask(enlarged(p[48:68], 1.25), size)
    found: dict[str, np.ndarray] = {"L": lips}
    below = p[5:12] + (p[8] - p[33]) * 0.6
    found["C"] = hull_mask(np.concatenate([p[4:13], below]), size) & ~lips & (rows > p[57, 1])
    found["E"] = wide & ~core & ~found["C"] & ~lips
    found["B"] = core & (rows < p[[40, 41, 46, 47], 1].mean() + 0.02) & ~lips
    found["N"] = core & ~found["B"] & ~found["C"] & ~lips
    taken = np.logical_or.reduce(list(found.values()))
    found["O"] = ~taken
    return {letter: found[letter] for letter in REGIONS}


def _density(relevance: np.ndarray, mask: np.ndarray) -> float:
    return float(relevance[mask].mean())


def _mass(relevance: np.ndarray, mask: np.ndarray) -> float:
    return float(relevance[mask].sum())


def _peak(relevance: np.ndarray, mask: np.ndarray) -> float:
    return float(relevance[mask].max())


# How a map ranks regions: the paper does not say.
RULES = {
    "density": (_density, "mean relevance per pixel: a large region does not win by its size"),
    "mass": (_mass, "sum of relevance: a large region may win by its size"),
    "peak": (_peak, "strongest pixel"),
}


def regions_of(
    relevance: np.ndarray, masks: Mapping[str, np.ndarray], top: int = 3, rule: str = "density"
) -> list[str]:
    """Letters of the `top` regions that a map (H, W) highlights, strongest first.

    Parameters
    ----------
    masks : (H, W) bool by letter, see `region_masks`; a region without a pixel comes last
    rule : what ranks the regions, one of RULES

    Raises
    ------
    VibaError
        Unknown rule, or a number of regions out of range.
    """
    if rule not in RULES:
        raise VibaError(f"rule {rule!r} is not known; choose one of {', '.join(RULES)}")
    if not 1 <= top <= len(REGIONS):
        raise VibaError(f"top is {top}; expected 1 to {len(REGIONS)} regions")
    score = RULES[rule][0]
    scores = {k: score(relevance, m) if m.any() else -1.0 for k, m in masks.items()}
    return sorted(scores, key=lambda k: scores[k], reverse=True)[:top]


def vote(answers: Iterable[str], top: int = 3) -> str:
    """The `top` most frequent regions of several annotators' answers, most frequent first.

    Parameters
    ----------
    answers : letters per annotator, such as "LB"; ties go to the order of `REGIONS`

    Raises
    ------
    VibaError
        A letter that does not name a region.
    """
    counts = Counter(letter for answer in answers for letter in set(answer))
    unknown = sorted(set(counts) - set(REGIONS))
    if unknown:
        raise VibaError(
            f"annotations hold {''.join(unknown)!r}; expected letters of {''.join(REGIONS)}, such "
            "as LB for lips and brows"
        )
    order = list(REGIONS)
    return "".join(sorted(counts, key=lambda k: (-counts[k], order.index(k)))[:top])


def agreement_table(annotated: Sequence[str], found: Sequence[str]) -> pd.Series:
    """Agreement of regions that maps highlight with annotated ones, each measure 0 to 1.

    Parameters
    ----------
    annotated : letters per video, the one most annotators chose first
    found : letters per video that the map highlights, strongest first

    Returns
    -------
    f1, precision, recall (macro: means over regions, those without a defined value left out),
    overlap (Szymkiewicz-Simpson, mean over videos), top1 (fraction of videos in which the map
    highlights the first annotated region) and videos.

    Raises
    ------
    VibaError
        Lengths that differ.
    """
    if len(annotated) != len(found):
        raise VibaError(f"{len(annotated)} annotations for {len(found)} videos; expected as many")
    names = ["f1", "precision", "recall", "overlap", "top1", "videos"]
    if not len(annotated):
        return pd.Series([np.nan] * 5 + [0], index=names)
    truth = np.array([[k in a for k in REGIONS] for a in annotated])
    guess = np.array([[k in f for k in REGIONS] for f in found])
    hits, wanted, given = (truth & guess).sum(0), truth.sum(0), guess.sum(0)
    macro = [
        float((hits[some] / base[some]).mean()) if (some := base > 0).any() else np.nan
        for base in ((wanted + given) / 2, given, wanted)
    ]
    overlap = np.mean([overlap_coefficient(a, f) for a, f in zip(annotated, found, strict=True)])
    top1 = np.mean([bool(a) and a[0] in f for a, f in zip(annotated, found, strict=True)])
    return pd.Series([*macro, overlap, top1, len(annotated)], index=names)


def agreement_of(videos: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Measures of `agreement_table` for the columns annotated and highlighted."""
    measures = agreement_table(videos["annotated"].tolist(), videos["highlighted"].tolist())
    return measures.drop("videos").to_dict()


def shuffled_agreement(videos: pd.DataFrame, seed: int = 0, samples: int = 200) -> pd.DataFrame:
    """Agreement if each video gets the highlighted regions of another, random video.

    Some regions are often annotated and often highlighted in all videos. This is the agreement
    that follows from that alone.

    Parameters
    ----------
    videos : annotated and highlighted (letters per video)

    Returns
    -------
    One row per sample with the measures of `agreement_table`.
    """
    rng = np.random.default_rng(seed)
    regions = videos.highlighted.to_numpy()
    return pd.DataFrame(
        [agreement_of(videos.assign(highlighted=rng.permutation(regions))) for _ in range(samples)]
    )


def krippendorff_alpha(answers: pd.DataFrame) -> float:
    """Krippendorff's alpha for nominal data: agreement of annotators beyond chance.

    Annotators may have skipped items (Krippendorff 2019, chapter 12).

    Parameters
    ----------
    answers : one row per item, one column per annotator; NaN where an annotator has no answer

    Returns
    -------
    1 for full agreement, 0 for chance, below 0 for less; NaN where no item has two answers, or
    where only one answer was ever given, so that nothing could have differed.
    """
    # An item may have a name of several parts; as a number it is one item.
    answers = answers.reset_index(drop=True)
    given = answers.stack()
    if given.empty:
        return float("nan")
    counts = given.groupby(level=0).value_counts().unstack(fill_value=0).to_numpy(float)
    pairable = counts[counts.sum(1) > 1]
    totals, total = pairable.sum(0), pairable.sum()
    chance = total**2 - (totals**2).sum()
    if total == 0 or chance == 0:
        return float("nan")
    each = pairable.sum(1)
    observed = ((each**2 - (pairable**2).sum(1)) / (each - 1)).sum()
    return float(1 - (total - 1) * observed / chance)


def annotator_agreement(annotations: pd.DataFrame) -> pd.DataFrame:
    """Krippendorff's alpha of each region and of all together; an item is a region of a video.

    Parameters
    ----------
    annotations : annotator, video, regions (letters), one row per annotator and video

    Returns
    -------
    region ("all" in the last row), videos (with two annotators or more), annotators, chosen (share
    of the answers that hold the region), alpha.
    """
    wide = annotations.pivot(index="video", columns="annotator", values="regions")
    shared = int((wide.notna().sum(axis=1) > 1).sum())
    chosen = {k: wide.apply(lambda c, k=k: c.str.contains(k)) for k in REGIONS}
    chosen["all"] = pd.concat(chosen)
    facts = {"videos": shared, "annotators": wide.shape[1]}
    return pd.DataFrame([
        {"region": k, **facts, "chosen": float(np.nanmean(v.to_numpy(float))),
         "alpha": krippendorff_alpha(v)}
        for k, v in chosen.items()
    ])  # fmt: skip
