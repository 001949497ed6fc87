"""Tables of detection: Table 2, held-out people, methods, corruptions."""

import pandas as pd

from viba_lib.evaluation.significance import mcnemar
from viba_lib.experiments.common import Bootstrap, detection, explained, with_intervals
from viba_lib.pipeline.study import DETECTORS, Study

UNITS = ("frame", "video")


def held_out_table(study: Study) -> pd.DataFrame:
    """Detection on identities never trained on, over all prepared test frames."""
    rows = []
    for detector in DETECTORS:
        found = study.predictions(detector)
        found = found[(found.split == "test") & found.in_scope]
        row = with_intervals(found, detection("p_fake"), Bootstrap.of(study))
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
        found = found[(found.split == "test") & found.in_scope].replace({"method": {"": "real"}})
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
            values = with_intervals(part, detection("p_fake"), Bootstrap.of(study))
            kept = {k: v for k, v in values.items() if k.startswith(("accuracy", "auc"))}
            rows.append(row | {"frames": len(part)} | kept)
    return pd.DataFrame(rows)


def per_video(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per video: the mean over its frames of each probability of fake."""
    columns = [c for c in frame if str(c).startswith("p_fake")]
    return frame.groupby(["video_id", "label"], as_index=False)[columns].mean()


def _drawn(study: Study, detector: str) -> tuple[pd.DataFrame, list[str]]:
    """Explained frames with the probability of fake under each draw of the noise, p_fake_0 ..."""
    frame, maps = explained(study, detector)
    draws = maps.p_fake_draws.values
    names = [f"p_fake_{i}" for i in range(len(draws))]
    return frame.assign(**dict(zip(names, draws, strict=True))), names


def table_2(study: Study) -> pd.DataFrame:
    """Detection with and without the bottleneck on the explained test frames (paper's Table 2).

    With the bottleneck the probability is a mean over draws of the noise.

    Returns
    -------
    name, unit ("frame", or "video": the mean over its frames decides), detector, bottleneck,
    count, each measure with _low and _high (95 % over videos) and with _spread (standard deviation
    over single draws of the noise, 0 without the bottleneck).
    """
    rows = []
    for unit in UNITS:
        for detector in DETECTORS:
            frame, names = _drawn(study, detector)
            frame = per_video(frame) if unit == "video" else frame
            single = pd.DataFrame([detection(name)(frame) for name in names])
            for injected, column in ((False, "p_fake"), (True, "p_fake_bottleneck")):
                name = f"{detector} {'+' if injected else '-'}"
                facts = {"name": name, "unit": unit, "detector": detector, "bottleneck": injected}
                row = with_intervals(frame, detection(column), Bootstrap.of(study))
                spread = single.std() if injected else 0 * single.iloc[0]
                row |= {f"{measure}_spread": value for measure, value in spread.items()}
                rows.append(facts | {"count": len(frame)} | row)
    return pd.DataFrame(rows)


def leak_table(study: Study) -> pd.DataFrame:
    """How much a bottleneck that is told the true class flatters the detector.

    Where a frame is decided rightly the two targets are the same; only the others are explained
    anew.

    Returns
    -------
    detector, frames, wrong (frames that the plain network gets wrong), and accuracies with _low and
    _high: without (the bottleneck), predicted and true (its target), and flattery, true less
    predicted.
    """

    def accuracies(rows: pd.DataFrame) -> dict[str, float]:
        right = {k: float(((rows[k] > 0.5) == rows.label).mean()) for k in columns}
        return right | {"flattery": right["true"] - right["predicted"]}

    columns = ("without", "predicted", "true")
    found = []
    for detector in DETECTORS:
        frame, _ = explained(study, detector)
        wrong = ((frame.p_fake > 0.5) != frame.label).to_numpy()
        told = frame.p_fake_bottleneck.to_numpy(copy=True)
        if wrong.any():
            which = frame.loc[wrong, ["video_id", "position"]]
            rows = which.merge(study.evaluation_rows(detector), validate="one_to_one")
            told[wrong] = study.explain(detector, rows, target="true").p_fake_bottleneck.values
        frame = frame.assign(without=frame.p_fake, predicted=frame.p_fake_bottleneck, true=told)
        row = {"detector": detector, "frames": len(frame), "wrong": int(wrong.sum())}
        found.append(row | with_intervals(frame, accuracies, Bootstrap.of(study)))
    return pd.DataFrame(found)


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
    """McNemar's test of decisions without against with the bottleneck.

    Returns
    -------
    detector, unit ("frame" or "video"), count, only_without and only_with (of them, those that only
    this one got right), p_value.
    """
    rows = []
    for detector in DETECTORS:
        frame, _ = explained(study, detector)
        for unit, part in (("frame", frame), ("video", per_video(frame))):
            test = mcnemar(part.label.to_numpy(), part.p_fake > 0.5, part.p_fake_bottleneck > 0.5)
            row = {"detector": detector, "unit": unit, "count": len(part)}
            row |= {"only_without": test["only_first"], "only_with": test["only_second"]}
            rows.append(row | {"p_value": test["p_value"]})
    return pd.DataFrame(rows)
