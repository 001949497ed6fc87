"""Frame selection for chapters: one function, so that equal rules give equal frames.

The steps are always the same: filter the rows, put the videos in an order, let the methods take
turns, cut to a number of videos, and take some frames of each.
"""

from typing import Literal

import numpy as np
import pandas as pd

from viba_lib.core.errors import VibaError
from viba_lib.evaluation.clusters import PERSON, units_of

Order = Literal["name", "person", "random", "surest frame", "surest video"]
FAKE = 1


def select(
    frames: pd.DataFrame,
    *,
    split: str | None = None,
    label: int | None = None,
    in_scope: bool = False,
    order: Order = "name",
    correct_first: bool = False,
    in_turn: bool = False,
    balanced: bool = False,
    videos: int | None = None,
    per_video: int | None = None,
    take: Literal["even", "first", "chosen"] = "even",
    seed: int = 0,
) -> pd.DataFrame:
    """Rows of a table of frames, chosen by rules that do not depend on what a map shows.

    Parameters
    ----------
    frames : rows of `Study.frames` or `Study.predictions`, with video_id, position, label, method;
        p_fake where the order or `correct_first` needs it
    split, label : keep rows of this split and this label (0 real, 1 fake)
    in_scope : keep real frames and the methods that the detector is trained for
    order : of the videos. "name": by video_id; "person": people in turn, and with `in_turn` or
        `balanced` each method from another person on, because names begin with the person's;
        "random": shuffled by the seed; "surest frame" and "surest video": by the highest
        probability of the true class, of a frame or on average
    correct_first : frames that the detector gets right come first, because a map explains the
        decision, and the mask is the truth of a right one only
    in_turn : one video of each method, then the second of each, and so on
    balanced : the same turns, with as many real videos as fakes of all methods together
    videos : at most this many videos
    per_video : at most this many frames of each video
    take : "even": frames spread evenly over each video; "first": its first frames in time;
        "chosen": the frames that put the video where it stands in the order
    seed : of the random order

    Returns
    -------
    The chosen rows, video after video in the chosen order, with a new index. With `take="chosen"`
    and no `per_video`, one row per video.

    Raises
    ------
    VibaError
        The order needs p_fake and the table does not have it.
    """
    rows = frames
    if split is not None:
        rows = rows[rows.split == split]
    if label is not None:
        rows = rows[rows.label == label]
    if in_scope:
        rows = rows[rows.in_scope]
    if (order.startswith("surest") or correct_first) and "p_fake" not in rows:
        raise VibaError(
            f"order {order!r}, correct_first {correct_first} needs the column p_fake; give rows of "
            "study.predictions(detector)"
        )
    ranked = _ordered(rows, order, seed)
    if correct_first:
        ranked = ranked.loc[_wrong(ranked).sort_values(kind="stable").index]
    first = ranked.drop_duplicates("video_id")
    first, by = first.assign(wrong=_wrong(first) if correct_first else False), ["wrong"]
    if in_turn or balanced:
        first["turn"] = first.groupby(["wrong", "label", "method"], sort=False).cumcount()
        by += ["turn"] if order.startswith("surest") else ["turn", "method"]
    if balanced:
        methods = max(1, first.method[first.label == FAKE].nunique())
        first["turn"] = np.where(first.label == FAKE, first.turn, first.turn / methods)
        by = ["wrong", "turn", "label", "method"]
    first = first.sort_values(by, kind="stable")
    chosen = first.video_id.head(len(first) if videos is None else videos)
    if take == "chosen":
        rows = ranked
        per_video = per_video or 1
    return _frames_of(rows, chosen, per_video, take)


def _ordered(rows: pd.DataFrame, order: Order, seed: int) -> pd.DataFrame:
    if order == "random":
        return rows.sample(frac=1, random_state=seed)
    if order == "name":
        return rows.sort_values("video_id", kind="stable")
    if order == "person":
        return _people_in_turn(rows)
    sure = rows.p_fake.where(rows.label == FAKE, 1 - rows.p_fake)
    if order == "surest video":
        sure = sure.groupby(rows.video_id).transform("mean")
    at = sure.sort_values(ascending=False, kind="stable").index
    return rows.loc[at]


def _people_in_turn(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows ordered by their videos: the first of each person, then the second, and so on."""
    videos = rows.drop_duplicates("video_id").sort_values("video_id", kind="stable")
    person = pd.Categorical(units_of(videos)[PERSON])
    method = pd.Categorical(videos.method.fillna(""))
    shifted = (person.codes - method.codes) % max(1, len(person.categories))
    videos = videos.assign(shifted=shifted)
    turn = videos.groupby(["label", "method", "shifted"], sort=False, dropna=False).cumcount()
    ordered = videos.assign(turn=turn).sort_values(["turn", "shifted"], kind="stable").video_id
    place = dict(zip(ordered, range(len(ordered)), strict=True))
    return rows.loc[rows.video_id.map(place).sort_values(kind="stable").index]


def _wrong(rows: pd.DataFrame) -> pd.Series:
    return (rows.p_fake > 0.5) != (rows.label == FAKE)


def _frames_of(
    rows: pd.DataFrame, videos: pd.Series, per_video: int | None, take: str
) -> pd.DataFrame:
    """Up to `per_video` rows of each video, in the order of the videos."""
    groups = dict(iter(rows.groupby("video_id", sort=False)))
    parts = []
    for video in videos:
        group = groups[video] if take == "chosen" else groups[video].sort_values("position")
        count = len(group) if per_video is None else min(per_video, len(group))
        at = np.arange(count)
        if take == "even":
            at = np.linspace(0, len(group) - 1, count).round().astype(int)
        parts.append(group.iloc[at])
    found = pd.concat(parts) if parts else rows.iloc[:0]
    return found.reset_index(drop=True)
