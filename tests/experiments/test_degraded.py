"""Localisation of degraded frames: two conditions of the same frames, and a text that counts."""

import cv2
import numpy as np
import pandas as pd
import skimage.data

from viba_lib.experiments.benchmark.degraded import (
    CLEAN,
    DEGRADED,
    degraded_scores,
    degraded_table,
    degraded_text,
    published,
)
from viba_lib.experiments.benchmark.maps import Benchmark
from viba_lib.experiments.common import Bootstrap


def test_a_published_crop_is_coarse_and_keeps_its_shape() -> None:
    image = np.asarray(cv2.resize(skimage.data.coffee(), (99, 99)))
    worse = published(image)
    assert worse.shape == image.shape and worse.dtype == np.uint8
    detail = [np.abs(np.diff(i.astype(float), axis=1)).mean() for i in (image, worse)]
    assert detail[1] < 0.7 * detail[0]
    assert np.abs(worse.astype(float) - image).mean() < 20
    pair = published(np.stack([image, image]))
    assert pair.shape == (2, *image.shape) and np.array_equal(pair[0], worse)
    # A codec repeats what does not move, so no motion appears in the noise of compression.
    assert np.abs(pair[1].astype(float) - pair[0]).mean() < 1


def test_each_frame_is_explained_as_it_is_and_degraded(study) -> None:
    benchmark = Benchmark(study, "xception")
    scores = degraded_scores(benchmark)
    counts = scores.groupby("condition").video_id.agg(list)
    assert counts[CLEAN] == counts[DEGRADED] == benchmark.rows.video_id.tolist()
    clean, worse = (scores[scores.condition == c].ratio.to_numpy() for c in (CLEAN, DEGRADED))
    assert np.isfinite(clean).all() and not np.allclose(clean, worse)
    assert set(scores.correct) <= {0.0, 1.0}


def scores() -> pd.DataFrame:
    rows = [
        (condition, planted, f"v{number}", ratio, 1.5, float(ratio > 1))
        for number, planted in enumerate(("mouth", "whole_face"))
        for condition, ratio in ((CLEAN, 4.0), (DEGRADED, 2.0 if planted == "mouth" else 1.0))
    ]
    columns = ["condition", "planted", "video_id", "ratio", "centre", "correct"]
    return pd.DataFrame(rows, columns=columns).assign(detector="a")


def test_the_text_counts_methods_above_the_centre_prior() -> None:
    table = degraded_table(scores(), Bootstrap(50, 0))
    every = table[table.planted == "all"].set_index("condition")
    assert every.ratio.to_dict() == {CLEAN: 4.0, DEGRADED: 1.5}
    assert len(table) == 6 and set(table.planted) == {"all", "mouth", "whole_face"}
    assert table.condition.to_list() == [CLEAN, DEGRADED] * 3, "beside each other"
    text = degraded_text(table)
    assert text.startswith("a, 2 videos: clean 4.00 times chance (4.00 to 4.00)")
    assert "degraded 1.50 times chance (1.00 to 2.00)" in text and "50% called fake" in text
    assert text.endswith("above that of the centre prior for 1 of 2 planted methods.")


def test_without_masks_the_text_says_so() -> None:
    table = degraded_table(scores().iloc[:0], Bootstrap(50, 0))
    assert (
        degraded_text(table)
        == "No video that is explained here has a mask, so this table is not computed."
    )
