"""Tables of agreement with annotated regions: Table 4 and Figure 2."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from viba_lib.baselines.names import VIBA
from viba_lib.core.errors import VibaError
from viba_lib.core.files import user_path
from viba_lib.core.tables import read_csv
from viba_lib.evaluation import agreement
from viba_lib.evaluation.sentences import claim_text, claim_verdict, difference_text
from viba_lib.evaluation.significance import holm, with_intervals
from viba_lib.experiments.common import Bootstrap, ExplainedVideo, compared

# Besides the rules for the mean map of a video: each frame has a vote.
VOTES = "votes"
TOPS = (1, 2, 3, 4)
ANNOTATION = ("annotator", "video", "regions")


def read_annotations(path: str | Path) -> pd.DataFrame:
    """Human annotations from a text table: annotator, video, regions (letters such as LB).

    An annotator who marked nothing has "" for regions.

    Raises
    ------
    VibaError
        No such file, not a table, missing columns, letters that are no region, or two answers of
        one annotator to one video.
    """
    path = user_path(path)
    if not path.is_file():
        raise VibaError(f'annotations {path} do not exist; expected a CSV, or "" for none')
    frame = read_csv(path, ANNOTATION)
    missing = set(ANNOTATION) - set(frame)
    if missing:
        raise VibaError(
            f"{path} has columns {list(frame)}; expected annotator, video, regions: "
            f"{', '.join(sorted(missing))} missing"
        )
    frame["regions"] = frame.regions.str.upper()
    wrong = frame[frame.regions.map(lambda r: not set(r) <= set(agreement.REGIONS))]
    if len(wrong):
        raise VibaError(
            f"{path}, line {wrong.index[0] + 2}: regions are {wrong.regions.iloc[0]!r}; expected "
            f"letters of {''.join(agreement.REGIONS)}, such as LB for lips and brows"
        )
    twice = frame[frame.duplicated(["annotator", "video"])]
    if len(twice):
        raise VibaError(
            f"{path}, line {twice.index[0] + 2}: annotator {twice.annotator.iloc[0]!r} has a "
            f"second answer to video {twice.video.iloc[0]!r}; expected one"
        )
    return frame


def _highlighted(relevance: np.ndarray, landmarks: np.ndarray, top: int, rule: str) -> str:
    """Regions that the maps (T, S, S) of a video highlight, strongest first."""
    size = relevance.shape[-1]
    if rule != VOTES:
        masks = agreement.region_masks(landmarks.mean(0), size)
        return "".join(agreement.regions_of(relevance.mean(0), masks, top, rule))
    answers = [
        "".join(agreement.regions_of(one, agreement.region_masks(points, size), top))
        for one, points in zip(relevance, landmarks, strict=True)
    ]
    return agreement.vote(answers, top)


def regions_by_video(
    videos: Iterable[ExplainedVideo],
    top: int = 3,
    annotations: pd.DataFrame | None = None,
    rule: str = "density",
) -> pd.DataFrame:
    """Annotated and highlighted regions of the fakes among explained videos.

    Parameters
    ----------
    top : number of regions that a map highlights
    annotations : see `read_annotations`; videos without any are left out. With None the planted
        regions replace annotations.
    rule : how maps rank regions: one of `evaluation.agreement.RULES` for the mean map, or "votes"
        for the most frequent ones of its frames

    Returns
    -------
    video_id, method, annotated (letters, the three most frequent first), highlighted (letters,
    strongest first).
    """
    votes: dict[str, str] = {}
    if annotations is not None:
        groups = annotations.groupby(annotations.video.astype(str))
        votes = {str(video): agreement.vote(group.regions) for video, group in groups}
    rows = []
    for video in videos:
        known = video.planted if annotations is None else votes.get(video.video_id)
        if video.fake and known:
            regions = _highlighted(video.relevance, video.landmarks, top, rule)
            rows.append((video.video_id, video.frames.method.iloc[0], known, regions))
    return pd.DataFrame(rows, columns=["video_id", "method", "annotated", "highlighted"])


def no_regions(values: pd.Series) -> str:
    """Sentence that replaces the agreement if no fake has known regions; "" if one has.

    Parameters
    ----------
    values : of a measure of agreement; NaN without known regions
    """
    if values.notna().any():
        return ""
    return (
        "No fake that is explained here has planted or annotated regions, so the agreement is not "
        "computed."
    )


def table_4(regions: Mapping[str, pd.DataFrame], bootstrap: Bootstrap) -> pd.DataFrame:
    """Agreement of highlighted with annotated regions, with intervals (paper's Table 4).

    Parameters
    ----------
    regions : `regions_by_video` of each detector

    Returns
    -------
    detector, videos, each measure with _low and _high, and with _chance: its mean if maps are
    shuffled among the videos.
    """
    rows = []
    for detector, videos in regions.items():
        row = {"detector": detector, "videos": len(videos)}
        chance = agreement.shuffled_agreement(videos, bootstrap.seed).mean().add_suffix("_chance")
        rows.append(
            row | with_intervals(videos, agreement.agreement_of, *bootstrap) | chance.to_dict()
        )
    return pd.DataFrame(rows)


def rules_table(
    videos: Mapping[str, Sequence[ExplainedVideo]],
    annotations: pd.DataFrame | None = None,
    tops: Sequence[int] = TOPS,
    rules: Sequence[str] = (*agreement.RULES, VOTES),
) -> pd.DataFrame:
    """Table 4 for each rule and each number of regions, without intervals.

    Parameters
    ----------
    videos : `explained_videos` of each detector
    annotations : see `regions_by_video`

    Returns
    -------
    detector, rule, top, videos, f1, precision, recall, overlap, top1.
    """
    rows = []
    for (detector, explained), rule, top in product(videos.items(), rules, tops):
        regions = regions_by_video(explained, top, annotations, rule)
        facts = {"detector": detector, "rule": rule, "top": top, "videos": len(regions)}
        rows.append(facts | agreement.agreement_of(regions))
    return pd.DataFrame(rows)


def region_shares(regions: Mapping[str, pd.DataFrame], source: str = "planted") -> pd.DataFrame:
    """Fraction of fake test videos in which each region is annotated or highlighted (Figure 2).

    Parameters
    ----------
    regions : `regions_by_video` of each detector
    source : of the annotated regions, as a legend names it
    """
    rows = []
    for detector, videos in regions.items():
        names = {"annotated": f"{source} for {detector}", "highlighted": f"VIBA, {detector}"}
        for (column, who), region in product(names.items(), agreement.REGIONS):
            share = float(videos[column].str.contains(region).mean()) if len(videos) else 0.0
            rows.append({"region": region, "who": who, "share": share})
    return pd.DataFrame(rows)


def agreement_text(regions: Mapping[str, pd.DataFrame], bootstrap: Bootstrap) -> str:
    """Overlap with the own video's regions beside that with those of other videos.

    Parameters
    ----------
    regions : `regions_by_video` of each detector
    """
    sentences = []
    for name, videos in regions.items():
        if len(videos) < 2:
            sentences.append(f"{name}: with fewer than two videos there is nothing to shuffle.")
            continue
        own = list(map(agreement.overlap_coefficient, videos.annotated, videos.highlighted))
        # The expected overlap if a video gets the regions of any video, this one included.
        other = [
            float(np.mean([agreement.overlap_coefficient(a, h) for h in videos.highlighted]))
            for a in videos.annotated
        ]
        rows = pd.concat([
            pd.DataFrame({"video_id": videos.video_id, "map": label, "overlap": values})
            for label, values in (("own", own), ("another", other))
        ])  # fmt: skip
        found = compared(rows, "overlap", "map", "own", "another", bootstrap)
        what = f"Overlap of {name}"
        sentences.append(difference_text(what, "the map of the video", "a map of any video", found))
    return " ".join(sentences)


def recall_text(regions: Mapping[str, pd.DataFrame], top: int, bootstrap: Bootstrap) -> str:
    """Whether recall is above precision, as the paper finds, and how much of it is arithmetic.

    Parameters
    ----------
    regions : `regions_by_video` of each detector, with `top` highlighted regions
    """
    sentences = []
    for name, videos in regions.items():
        rows = pd.DataFrame([
            {"video_id": row.video_id, "measure": measure,
             "value": len(set(row.annotated) & set(row.highlighted)) / len(set(base))}
            for row in videos.itertuples()
            for measure, base in (("recall", row.annotated), ("precision", row.highlighted))
        ], columns=["video_id", "measure", "value"])  # fmt: skip
        found = compared(rows, "value", "measure", "recall", "precision", bootstrap)
        known = videos.annotated.map(len).mean()
        sentences.append(
            f"{name}: a map highlights {top} regions, and {known:.1f} are known on average. "
            + difference_text("Value per video", "recall", "precision", found)
            + " "
            + claim_text(f"recall of {name} is above precision", claim_verdict(found, "higher"))
        )
        if known < top:
            sentences.append(
                "This follows from the numbers of regions: a right region counts "
                f"1 / {known:.1f} in the recall and 1 / {top} in the precision. It says nothing "
                "about the maps."
            )
    return " ".join(sentences)


def shares_text(shares: pd.DataFrame) -> str:
    """Which regions `region_shares` finds annotated, and highlighted, most often and never."""
    sentences = []
    for who, part in shares.groupby("who", sort=False):
        ranked = part.sort_values("share", ascending=False, kind="stable")
        top = ranked.iloc[0]
        never = "".join(ranked.region[ranked.share == 0])
        text = f"{who}: most often {top.region} ({top.share:.0%} of the videos)"
        sentences.append(f"{text}, never {', '.join(never)}." if never else f"{text}.")
    return " ".join(sentences)


def rules_text(rules: pd.DataFrame, top: int = 3) -> str:
    """How far the rule alone moves the F1 of `rules_table`, and where precision is largest."""
    sentences = []
    for name, part in rules.groupby("detector", sort=False):
        f1 = part[part.top == top].set_index("rule").f1
        sentences.append(
            f"{name}: with {top} regions, F1 is from {f1.min():.2f} ({f1.idxmin()}) to "
            f"{f1.max():.2f} ({f1.idxmax()}), by the rule alone."
        )
    return " ".join(sentences)


def controls_text(scores: Mapping[str, pd.DataFrame], bootstrap: Bootstrap) -> str:
    """Relevance on the artefact of VIBA beside that of the other methods.

    The p-values of a detector are corrected for the number of methods (Holm).

    Parameters
    ----------
    scores : rows with method, video_id and ratio (relevance inside the mask over chance) of each
        detector
    """
    sentences = []
    for detector, rows in scores.items():
        others = [name for name in rows.method.unique() if name != VIBA]
        found = [compared(rows, "ratio", "method", VIBA, name, bootstrap) for name in others]
        corrected = holm([one.p for one in found])
        what = f"Relevance on the artefact / chance, {detector}"
        sentences += [
            difference_text(what, VIBA, name, one._replace(p=float(p)))
            for name, one, p in zip(others, found, corrected, strict=True)
        ]
    return " ".join(sentences)
