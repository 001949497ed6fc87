"""Tables of detection performance: Table 2, unseen identities, methods, corruptions."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from viba_lib.data.source_videos import GENERATED
from viba_lib.evaluation.detection import detection_metrics
from viba_lib.evaluation.significance import (
    Columns,
    interval_table,
    mcnemar,
    mean_of,
    with_intervals,
)
from viba_lib.experiments import common

ByDetector = Mapping[str, pd.DataFrame]


def held_out_table(predictions: ByDetector, bootstrap: common.Bootstrap) -> pd.DataFrame:
    """Detection on unseen identities, from `held_out_predictions` of each detector."""
    return interval_table(
        common.stacked(predictions), ["detector"], common.detection_of("p_fake"), bootstrap
    )


def people_table(predictions: ByDetector, bootstrap: common.Bootstrap) -> pd.DataFrame:
    """Detection for each test person, and for filmed and for generated people together.

    Parameters
    ----------
    predictions : `held_out_predictions` of each detector

    Returns
    -------
    detector, origin ("filmed" or "generated"), identity ("all" for all of one origin), frames,
    videos, clips, people, and with _low and _high (95 %): auc, false_alarms (proportion of real
    frames called fake) and recall (of fake ones).
    """
    frames = common.stacked(predictions)
    frames["origin"] = np.where(frames.identity.isin(GENERATED), "generated", "filmed")
    by = ["detector", "origin", "identity"]
    parts = [
        interval_table(rows, by, _decisions, bootstrap)
        for rows in (frames, frames.assign(identity="all"))
    ]
    table = pd.concat(parts).sort_values(by, kind="stable", ignore_index=True)
    return table.drop(columns="name")


def _decisions(rows: Columns) -> dict[str, float]:
    found = detection_metrics(rows["label"], rows["p_fake"])
    called, fake = rows["p_fake"] > 0.5, np.asarray(rows["label"]) == 1
    return {
        "auc": found["auc"],
        "false_alarms": mean_of(called[~fake]),
        "recall": mean_of(called[fake]),
    }


def people_text(table: pd.DataFrame) -> str:
    """What a `people_table` shows of each detector: its ranges over people."""
    single = table[table.identity != "all"]
    sentences = []
    for name, part in single.groupby("detector", sort=False):
        text = f"{name}: AUC {span(part.auc)}, recall {span(part.recall)} over {len(part)} people"
        if part.false_alarms.notna().any():
            text += f"; {_most_false_alarms(part)}"
        sentences.append(text)
    return "; ".join(sentences) + "."


def _most_false_alarms(part: pd.DataFrame) -> str:
    most = part.false_alarms.max()
    names = part.identity[part.false_alarms == most].astype(str)
    if most == 0:
        return f"no false alarm on any of {len(names)} people"
    if len(names) > 1:
        return f"most false alarms {most:.2f}, {', '.join(names)}"
    row = part.loc[names.index[0]]
    ends = row.false_alarms_low, row.false_alarms_high
    interval = "no interval" if np.isnan(ends).any() else f"{ends[0]:.2f} to {ends[1]:.2f}"
    return f"most false alarms {most:.2f} ({interval}), {names.iloc[0]}"


def span(values: pd.Series) -> str:
    """Range of the known values, in words."""
    known = values.dropna()
    return f"{known.min():.2f} to {known.max():.2f}" if len(known) else "unknown"


def robustness_table(predictions: ByDetector, bootstrap: common.Bootstrap) -> pd.DataFrame:
    """Accuracy and AUC on corrupted test frames, with intervals over videos.

    Parameters
    ----------
    predictions : `Study.robustness` of each detector

    Returns
    -------
    detector, corruption, level, frames, accuracy and auc with _low and _high.
    """
    by = ["detector", "corruption", "level"]
    table = interval_table(
        common.stacked(predictions), by, common.detection_of("p_fake"), bootstrap
    )
    return table[[*by, "frames", *table.filter(regex="^(accuracy|auc)")]]


def per_video(frames: pd.DataFrame) -> pd.DataFrame:
    """One row per video: the mean over its frames of each probability of fake."""
    columns = [c for c in frames if str(c).startswith("p_fake")]
    return frames.groupby(["video_id", "label"], as_index=False)[columns].mean()


UNITS: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "frame": lambda frames: frames,
    "video": per_video,
}


def table_2(explained: ByDetector, bootstrap: common.Bootstrap) -> pd.DataFrame:
    """Detection with and without the bottleneck on the explained test frames (paper's Table 2).

    With the bottleneck, the probability is a mean over samples of the noise.

    Parameters
    ----------
    explained : `explained_frames` of each detector

    Returns
    -------
    name, unit ("frame", or "video": the mean over its frames decides), detector, bottleneck,
    count, each measure with _low and _high (95 % over videos) and with _std (standard deviation
    over single samples of the noise, 0 without the bottleneck).
    """
    rows = []
    for unit, grouped in UNITS.items():
        for detector, frames in explained.items():
            table = grouped(frames)
            samples = table.filter(regex=r"^p_fake_\d+$")
            std = pd.DataFrame([common.detection_of(name)(table) for name in samples]).std()
            for injected, column in ((False, "p_fake"), (True, "p_fake_bottleneck")):
                name = f"{detector} {'+' if injected else '-'}"
                facts = {"name": name, "unit": unit, "detector": detector, "bottleneck": injected}
                row = with_intervals(table, common.detection_of(column), *bootstrap)
                row |= {f"{m}_std": value if injected else 0.0 for m, value in std.items()}
                rows.append(facts | {"count": len(table)} | row)
    return pd.DataFrame(rows)


def detection_by_method(frames: pd.DataFrame) -> pd.DataFrame:
    """Fraction of correct decisions per method, without and with the bottleneck.

    Parameters
    ----------
    frames : `explained_frames` of a detector

    Returns
    -------
    method ("real" for real frames), frames, videos, without, with_bottleneck; shares 0 to 1.
    """
    groups = frames.assign(
        method=frames.method.where(frames.label == 1, "real"),
        without=(frames.p_fake > 0.5) == frames.label,
        with_bottleneck=(frames.p_fake_bottleneck > 0.5) == frames.label,
    ).groupby("method", sort=True)
    shares = groups[["without", "with_bottleneck"]].mean()
    shares.insert(0, "frames", groups.size())
    shares.insert(1, "videos", groups.video_id.nunique())
    return shares.reset_index().sort_values("method", key=lambda m: m != "real", kind="stable")


def mcnemar_tests(explained: ByDetector) -> pd.DataFrame:
    """McNemar's test of decisions without against decisions with the bottleneck.

    Parameters
    ----------
    explained : `explained_frames` of each detector

    Returns
    -------
    detector, unit ("frame" or "video"), count, only_without and only_with (cases that only this
    network classifies correctly), p_value.
    """
    rows = []
    for detector, frames in explained.items():
        for unit, grouped in UNITS.items():
            part = grouped(frames)
            test = mcnemar(part.label.to_numpy(), part.p_fake > 0.5, part.p_fake_bottleneck > 0.5)
            rows.append((detector, unit, len(part), *test.values()))
    columns = ["detector", "unit", "count", "only_without", "only_with", "p_value"]
    return pd.DataFrame(rows, columns=columns)
