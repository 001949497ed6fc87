# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Consistency of the maps
#
# A map that changes from frame to frame without a reason explains little, even if each single map looks good. How is temporal
# consistency measured, and are maps of real videos more consistent than maps of fakes, as the paper finds?
#
# ```{admonition} What you will learn
# :class: tip
# - to recompute the paper's Table 3: IoU, TCS and RPI, for real and fake videos
# - to explain what each of the three measures describes, and what it ignores
# - to recognise a high score that follows from a flat map
# - to compare two detectors, and real with fake videos, with an interval
# - to see how all measures depend on a threshold that the paper does not give
# ```
#
# ```{admonition} What you need first
# :class: note
# | Concept | Why | Where |
# |---|---|---|
# | Relevance videos | the maps that are measured here | {doc}`/notebooks/07_relevance_videos` |
# | {term}`Intersection over union` | the first of the three measures | {doc}`/book/glossary` |
# | Confidence intervals | most points below have one | {doc}`/notebooks/08_detection_performance` |
# ```
#
# <!-- time -->

# %% tags=["parameters"]
profile = "quick"
data_root = "../data"
results_root = "../results"
device = "cpu"
seed = 0
threshold = 0.5  # fraction of the maximum above which a pixel is highlighted; from 0 to 0.99
rule = "frame"  # reference of the threshold: the maximum of the frame or of the clip, or the area; one of frame, clip, area

# %% tags=["remove-input"]
from IPython.display import HTML

from viba_lib.book.injected import check_injected
from viba_lib.pipeline.study import Study
from viba_lib.visual.prose import prose

check_injected()
study = Study(profile, data_root, results_root, device, seed)
HTML(study.banner())

# %% [markdown]
# ## Measures of temporal consistency
#
# The map of each frame becomes a binary mask $M_i$. With the default rule, a pixel is highlighted if its relevance exceeds
# `threshold` times the frame's maximum. **IoU**, {term}`Intersection over union`, compares the masks of consecutive frames.
# The other two measures, {term}`Temporal Consistency Score` and {term}`Region Persistence Index`, are Eq. (3) and (4) of
# the paper, as printed:
#
# $$ \mathrm{TCS} = \frac1N \sum_{i=1}^N \frac{\sum_{x,y} M_i(x,y)}{W \times H} $$ (eq-consistency-tcs)
#
# $$ \mathrm{RPI} = \frac{\frac1{N-1}\sum_{i=2}^N \lVert C_i - C_{i-1}\rVert}{\sqrt{W^2+H^2}} $$ (eq-consistency-rpi)
#
# with the centroid $C_i$ of the mask. The text of the paper describes TCS as the fraction of frames in which regions stay
# highlighted. The formula is the mean highlighted *area*, so a map that highlights everything has the best score. The column
# `persistence` is a measure of this book for the description in the text. For each pixel that is highlighted at least once,
# it takes the fraction of frames in which the pixel is highlighted, and averages over these pixels. If only two frames of a
# video are explained, `persistence` is (1 + IoU) / 2 and says nothing new. Consecutive frames are those that the profile
# explains, evenly spaced over a clip, so they can lie many frames apart.
#
# Masks have the paper's 924 by 924 pixels. This size changes the results little, because TCS and RPI are relative to the
# frame, and an enlarged mask keeps its IoU.
#
# The formulas leave four cases undefined. This book defines them as follows:
#
# - *Two empty masks* overlap fully.
# - *One empty mask* has no centroid, so RPI does not count the steps from and to this mask.
# - *A single frame* has no step, so it has no IoU, RPI and persistence and does not enter their means.
# - *A cut* separates two scenes: the face of one frame does not touch that of the previous frame. Steps over cuts do not
#   count, because the map must move with the face.
#
# The columns `empty` and `cuts` say how often empty masks and cuts occur.

# %%
from viba_lib.experiments.common import Bootstrap
from viba_lib.experiments.consistency import consistency, table_3

videos, bootstrap = consistency(study, [threshold], rule), Bootstrap.of(study)
table = table_3(videos, bootstrap)
columns = [
    "name",
    "videos",
    "frames",
    "cuts",
    "empty",
    "iou",
    "tcs",
    "rpi",
    "persistence",
]
study.save_table("table_3", table, table[columns].round(3))

# %% mystnb={"image": {"alt": "Points with intervals of IoU, TCS, RPI and persistence for both detectors on fake and real videos."}, "figure": {"caption": "IoU, TCS, RPI and persistence with 95 % intervals over people and source clips.", "name": "fig-table-3"}}
from viba_lib.visual import result_figures

result_figures.intervals(table, ["iou", "tcs", "rpi", "persistence"])

# %% [markdown]
# The next lines write the three measures out for the video of Xception with the most frames. The mask of a frame is an
# array of true and false values. IoU divides the common pixels of two consecutive masks by the pixels in at least one of
# them, {eq}`eq-consistency-tcs` is the mean of the masks, and {eq}`eq-consistency-rpi` is the mean step of their centroids
# over the diagonal. Frames with an empty mask are left out first, and cuts are ignored.

# %%
import numpy as np

from viba_lib.evaluation.consistency import highlight
from viba_lib.experiments.common import explained_videos

videos_of_face = explained_videos(study, "xception")
longest = max(videos_of_face, key=lambda video: len(video.frames))
masks = highlight(longest.relevance, threshold, rule)
masks = masks[masks.any((1, 2))]

# %% tags=["decisive"]
from itertools import pairwise

steps = list(pairwise(masks))  # each frame and the next
overlaps = [(a & b).sum() / (a | b).sum() for a, b in steps]
areas = [mask.sum() / mask.size for mask in masks]
centroids = [np.argwhere(mask).mean(0) for mask in masks]
moves = [np.hypot(*(b - a)) for a, b in pairwise(centroids)]
diagonal = np.hypot(*masks.shape[1:])
per_step = (overlaps, areas, moves / diagonal)
means = [np.mean(values) for values in per_step] if steps else []

# %%
from viba_lib.evaluation import consistency as library

if means:
    by_library = [
        library.mean_iou(masks),
        library.temporal_consistency(masks),
        library.region_persistence(masks),
    ]
    np.testing.assert_allclose(means, by_library, rtol=1e-6, atol=1e-9)
    print("IoU {:.3f}, TCS {:.3f}, RPI {:.3f}".format(*means))
else:
    print("No video has two frames with a mask, so there is no step.")

# %% [markdown]
# The lines and the library agree on all three measures. The table contains the means of such values over videos, with
# masks of 924 by 924 pixels.
#

# %% [markdown]
# ## Effect of flat maps on IoU
#
# If a map is flat, a threshold relative to its own maximum marks nearly the whole frame. The masks then overlap because they
# are large. Two columns show this effect. `iou_chance` is the IoU of independent random masks of the same area $a$,
# $a / (2 - a)$. `effective_area` is the fraction of the frame over which a constant map would have the same entropy; it is 1 for
# a flat map. If IoU is near `iou_chance`, the area explains it.

# %%
columns = ["name", "tcs", "iou", "iou_chance", "effective_area"]
study.save_table("flat_maps", table, table[columns].round(3))

# %% tags=["remove-input"]
from viba_lib.experiments.consistency import flat_text

prose(flat_text(table))

# %% [markdown]
# The same calculation is possible for the numbers that the paper prints:

# %% tags=["remove-input"]
from viba_lib.experiments.paper_numbers import TABLE_3

prose(flat_text(TABLE_3))

# %% [markdown]
# ## Differences between real and fake videos
#
# The paper finds slightly more consistent maps for real videos: higher IoU and lower RPI. The figure shows the differences,
# real minus fake, each with an interval. The dotted line is zero.

# %% mystnb={"image": {"alt": "Points with intervals of the difference between real and fake videos in IoU, TCS, RPI and persistence for both detectors, with a dotted line at zero."}, "figure": {"caption": "Real minus fake: IoU, TCS, RPI and persistence, with 95 % intervals over people and source clips.", "name": "fig-real-minus-fake"}}
from viba_lib.experiments.consistency import CONSISTENCY, real_minus_fake

difference = real_minus_fake(videos, bootstrap)
result_figures.intervals(
    difference,
    list(CONSISTENCY),
    "detector",
    chance=dict.fromkeys(CONSISTENCY, 0.0),
)

# %% tags=["remove-input"]
from viba_lib.experiments.consistency import label_text

prose(label_text(videos, bootstrap))

# %%
study.save_table(
    "real_minus_fake",
    difference,
    difference[["detector", *CONSISTENCY]].round(4),
)

# %% [markdown]
# ## Differences between the detectors
#
# Section 4 of the paper compares the detectors: regions of Xception overlap more from frame to frame, while the TCS of VGG11
# is more than twice as high. The paper interprets both findings as consistency. Expect the two findings to have different
# reasons, because TCS is an area. Each source clip counts once for each detector. Its fakes differ between the detectors,
# because the detectors are evaluated on different methods of manipulation.

# %%
from viba_lib.experiments.consistency import detectors_table, detectors_text

detectors = detectors_table(videos, bootstrap)
study.save_table("detectors_consistency", detectors, detectors.round(3))

# %% tags=["remove-input"]
prose(detectors_text(videos, bootstrap))

# %% [markdown]
# Read the TCS of each detector together with the section on flat maps, because an area says nothing about consistency over
# time.
#
# ## Dependence on the threshold
#
# Expect IoU, TCS and persistence to fall as the threshold rises, because a smaller region covers less of the frame and
# overlaps less with the next region. Results of two studies with different thresholds cannot be compared.

# %% mystnb={"image": {"alt": "Four panels with IoU, TCS, RPI and persistence over the threshold of the mask, for real and fake videos of both detectors."}, "figure": {"caption": "Measures of consistency for each threshold of the mask.", "name": "fig-threshold"}}
from viba_lib.experiments.consistency import THRESHOLDS, threshold_sweep

sweep = threshold_sweep(consistency(study, THRESHOLDS, rule))
result_figures.threshold_curves(sweep, list(CONSISTENCY))

# %% tags=["remove-input"]
from viba_lib.experiments.consistency import sweep_text

prose(sweep_text(sweep))

# %%
study.save_table("threshold_sweep", sweep, sweep.round(3))

# %% [markdown]
# ## Exercises
#
# ```{exercise} Different masks with the same TCS
# :label: ex-tcs-blind
# Create two clips of masks, `still` and `jumping`, each of shape (6, 20, 20). In both, 40 pixels are highlighted in each
# frame. In `still` the region does not move, and in `jumping` it moves from one side to the other in each frame. Predict TCS,
# RPI and mean IoU of both, then compute them with `viba_lib.evaluation`.
# ```
#
# ```{solution-start} ex-tcs-blind
# :class: dropdown
# ```

# %% tags=["solution"]
import numpy as np
import pandas as pd

from viba_lib.evaluation import (
    mean_iou,
    region_persistence,
    temporal_consistency,
)

still, jumping = np.zeros((2, 6, 20, 20), bool)
still[:, :10, :4] = True
jumping[::2, :10, :4] = True
jumping[1::2, 10:, 16:] = True
scores = {
    "TCS": temporal_consistency,
    "RPI": region_persistence,
    "IoU": mean_iou,
}
pd.DataFrame(
    {name: [f(m) for m in (still, jumping)] for name, f in scores.items()},
    index=["still", "jumping"],
).round(3)

# %% tags=["check", "remove-cell"]
assert still.shape == jumping.shape == (6, 20, 20)
assert (still.sum((1, 2)) == 40).all() and (jumping.sum((1, 2)) == 40).all()
assert temporal_consistency(still) == temporal_consistency(jumping)
assert region_persistence(still) == 0 < region_persistence(jumping)
assert mean_iou(still) == 1 > mean_iou(jumping)

# %% tags=["hidden", "remove-cell"]
assert (still == still[0]).all()
assert not (jumping[1:] & jumping[:-1]).any()
centres = np.array([np.argwhere(mask).mean(0) for mask in jumping])
assert (np.hypot(*np.diff(centres, axis=0).T) >= 10).all()

# %% [markdown]
# TCS in {eq}`eq-consistency-tcs` is an area, so it is the same for both clips. RPI and IoU differ.
#
# ```{solution-end}
# ```
#
# ```{exercise} RPI of a single step
# :label: ex-rpi-hand
# A square of 4 by 4 pixels moves by 3 pixels to the right and 4 pixels down, from one frame to the next, in images of 30 by
# 40 (height by width). Compute RPI by {eq}`eq-consistency-rpi` without a computer and call it `by_hand`. Check it on such
# masks, `moving`, of shape (2, 30, 40). Then write `rpi_of_step(right, down, height, width)` for any such step.
# ```
#
# ```{solution-start} ex-rpi-hand
# :class: dropdown
# ```

# %% tags=["solution"]
import numpy as np

by_hand = 5 / 50
moving = np.zeros((2, 30, 40), bool)
moving[0, 5:9, 5:9] = True
moving[1, 9:13, 8:12] = True


def rpi_of_step(right, down, height, width):
    """Length of a step over the diagonal of the image."""
    return np.hypot(right, down) / np.hypot(height, width)


by_hand, region_persistence(moving), rpi_of_step(3, 4, 30, 40)

# %% tags=["check", "remove-cell"]
assert (
    moving.shape == (2, 30, 40)
    and abs(region_persistence(moving) - by_hand) < 1e-9
)
assert abs(by_hand - 0.1) < 1e-9
assert abs(rpi_of_step(3, 4, 30, 40) - by_hand) < 1e-9

# %% tags=["hidden", "remove-cell"]
from viba_lib.evaluation import region_persistence as measured_rpi

for right, down, height, width in ((5, 0, 24, 32), (6, 8, 40, 30)):
    square = np.zeros((2, height, width), bool)
    square[0, 2:6, 2:6] = True
    square[1, 2 + down : 6 + down, 2 + right : 6 + right] = True
    found = rpi_of_step(right, down, height, width)
    assert abs(measured_rpi(square) - found) < 1e-9

# %% [markdown]
# The step is the hypotenuse of a right triangle with the sides 3 and 4, so it is 5. The diagonal of the image is 50, because
# its triangle is ten times as large.
#
# ```{solution-end}
# ```
#
# ## Common misconceptions
#
# - **"A high TCS means that regions persist."** A high TCS means that regions are large. The text of the paper describes
#   persistence, and its formula measures area.
# - **"A consistent map is a correct map."** A map that always marks the centre of the image is perfectly consistent.
#   Consistency is necessary for trust in a map, but not sufficient.
# - **"An IoU of 0.8 shows consistency."** Random masks that cover nine tenths of the frame have this IoU as well. Compare an
#   IoU with `iou_chance`.
# - **"IoU does not depend on the threshold, because both masks have the same threshold."** A lower threshold makes larger
#   masks, and large masks overlap more.
#
# ## Quiz
#
# **1. A map highlights every pixel of every frame. Which measures have their best value?**
#
# - a) IoU and RPI, but not TCS
# - b) TCS and IoU, but not RPI
# - c) all of IoU, RPI and TCS
#
# ```{dropdown} Answer to question 1
# **c.** The area is 1, the overlap is 1, and the centroid does not move. Measures of consistency alone do not distinguish
# this map from a good one.
# ```
#
# **2. The interval of "real minus fake" in IoU contains zero. What follows?**
#
# - a) these videos do not show a difference
# - b) real and fake maps are equally consistent
# - c) the finding of the paper is disproved
#
# ```{dropdown} Answer to question 2
# **a.** The difference may be zero or not. Few videos give wide intervals, and a wide interval contains many other values as
# well.
# ```
#
# **3. Why do steps over cuts not count?**
#
# - a) the map must move if another scene begins
# - b) the detector cannot classify frames near a cut
# - c) the masks are empty in the frames at a cut
#
# ```{dropdown} Answer to question 3
# **a.** A map that stays at the same location after a cut would be wrong. Counting the step would penalise a map that
# follows the face.
# ```
#
# ## Summary
#
# - Table 3 is recomputed at the paper's 924 by 924 pixels, with a definition for each case that the formulas leave open.
# - All measures depend on the threshold, so a result must state it. Run the chapter with `-p threshold 0.3` or
#   `-p rule clip`.
# - TCS as printed is an area, and `persistence` is the measure that the text of the paper describes.
# - The area also determines the IoU of random masks. If a map is flat, its IoU cannot be much higher.
#
# ## What next
#
# - Agreement of maps with annotated regions: {doc}`/notebooks/10_human_agreement`.
# - Effect of coupled frames on consistency: {doc}`/notebooks/speed` and {doc}`/notebooks/12_faithfulness`.
# - Effect of the threshold, beside that of other choices: {doc}`/notebooks/14_open_choices`.
#
# ## References
#
# - {cite:t}`solopova2024`: TCS and RPI, Eq. (3) and (4) of the paper, and the results in Table 3, with masks of 924 pixels.

# %% tags=["remove-input"]
HTML(study.provenance_html())
