"""Tables of detection: Table 2, held-out people, methods, corruptions."""

import pandas as pd

from viba_lib.evaluation.significance import mcnemar
from viba_lib.study import DETECTORS, Study
from viba_lib.tables.common import detection, explained, with_intervals


def held_out_table(study: Study) -> pd.DataFrame:
    """Detection on identities never trained on, over all prepared test frames."""
    rows = []
    for detector in DETECTORS:
        found = study.predictions(detector)
        found = found[(found.split == "test") & found.judged]
        row = with_intervals(found, detection("p_fake"), study)
        rows.append(
            {"name": detector, "frames": len(found), "videos": found.video_id.nunique()} | row
        )
    return pd.DataFrame(rows)


def decisions(study: Study) -> pd.DataFrame:
    """How the test frames of each person and method are decided.

    Returns
    -------
    detector, identity, method ("real" for real frames), frames, called_fake (number), share (of
    frames called fake: found fakes, or false alarms).
    """
    parts = []
    for detector in DETECTORS:
        found = study.predictions(detector)
        found = found[(found.split == "test") & found.judged].replace({"method": {"": "real"}})
        by = found.assign(fake=found.p_fake > 0.5).groupby(["identity", "method"]).fake
        table = by.agg(frames="size", called_fake="sum", share="mean").reset_index()
        parts.append(table.assign(detector=detector))
    columns = ["detector", "identity", "method", "frames", "called_fake", "share"]
    return pd.concat(parts, ignore_index=True)[columns]


def robustness_table(study: Study) -> pd.DataFrame:
    """Accuracy and AUC on test frames that were made worse, with intervals over videos.

    Returns
    -------
    detector, corruption, level, frames, accuracy and auc with _low and _high.
    """
    rows = []
    for detector in DETECTORS:
        found = study.robustness(detector)
        for (corruption, level), part in found.groupby(
            ["corruption", "level"], sort=False, dropna=False
        ):
            row = {"detector": detector, "corruption": corruption, "level": level}
            values = with_intervals(part, detection("p_fake"), study)
            kept = {k: v for k, v in values.items() if k.startswith(("accuracy", "auc"))}
            rows.append(row | {"frames": len(part)} | kept)
    return pd.DataFrame(rows)


def table_2(study: Study) -> pd.DataFrame:
    """Detection with and without the bottleneck on the explained test frames (paper's Table 2)."""
    rows = []
    for detector in DETECTORS:
        frame, _ = explained(study, detector)
        for injected, column in ((False, "p_fake"), (True, "p_fake_bottleneck")):
            row = with_intervals(frame, detection(column), study)
            name = f"{detector} {'+' if injected else '-'}"
            rows.append({"name": name, "detector": detector, "bottleneck": injected} | row)
    return pd.DataFrame(rows)


def detection_by_method(study: Study, detector: str) -> pd.DataFrame:
    """Share of right decisions per method, without and with the bottleneck.

    Returns
    -------
    method ("real" for real frames), frames, videos, without, with_bottleneck; shares 0 to 1.
    """
    frame, _ = explained(study, detector)
    frame = frame.assign(
        method=frame.method.where(frame.label == 1, "real"),
        without=(frame.p_fake > 0.5) == frame.label,
        with_bottleneck=(frame.p_fake_bottleneck > 0.5) == frame.label,
    )
    groups = frame.groupby("method", sort=True)
    found = groups[["without", "with_bottleneck"]].mean()
    found.insert(0, "frames", groups.size())
    found.insert(1, "videos", groups.video_id.nunique())
    return found.reset_index().sort_values("method", key=lambda m: m != "real", kind="stable")


def mcnemar_tests(study: Study) -> pd.DataFrame:
    """McNemar's test of decisions without against with the bottleneck, per detector.

    Returns
    -------
    detector, only_without and only_with (frames that only this one got right), p_value.
    """
    rows = []
    for detector in DETECTORS:
        frame, _ = explained(study, detector)
        test = mcnemar(frame.label.to_numpy(), frame.p_fake > 0.5, frame.p_fake_bottleneck > 0.5)
        row = {"only_without": test["only_first"], "only_with": test["only_second"]}
        rows.append({"detector": detector, **row, "p_value": test["p_value"]})
    return pd.DataFrame(rows)
