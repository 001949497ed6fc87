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
# consistency measured? And are maps of real videos more consistent than maps of fakes, as the paper finds?
#
# ```{admonition} What you will learn
# :class: tip
# - to recompute the paper's Table 3: IoU, TCS and RPI, for real and fake videos
# - what each of the three measures, and what it ignores
# - to recognise a high score that follows from a flat map
# - to compare two detectors, and real with fake videos, with an interval
# - how all measures depend on a threshold that the paper does not give
# ```
#
# ```{admonition} What you need first
# :class: note
# | Concept | Why | Where |
# |---|---|---|
# | Relevance videos | what is measured here | {doc}`/notebooks/07_relevance_videos` |
# | {term}`Intersection over union` | the first of the three measures | {doc}`/book/glossary` |
# | Confidence intervals | every point below has one | {doc}`/notebooks/08_detection_performance` |
# ```
#
# <!-- time -->

# %% tags=["parameters"]
profile = "quick"
data_root = "../data"
results_root = "../results"
device = "cpu"
seed = 0
threshold = 0.5  # share of the maximum above which a pixel is highlighted; from 0 to 0.99
rule = "frame"  # what it is a share of: the maximum of the frame or of the clip, or the area; one of frame, clip, area

# %% tags=["remove-input"]
from IPython.display import HTML

from viba_lib.book.injected import check_injected
from viba_lib.pipeline.study import Study

check_injected()
study = Study(profile, data_root, results_root, device, seed)
HTML(study.banner())

# %% [markdown]
# ## Three measures
#
# A map becomes a binary mask $M_i$ per frame. Here a pixel is highlighted if its relevance exceeds `threshold` times the
# frame's maximum. **IoU**, {term}`Intersection over union`, compares the masks of consecutive frames. The other two measures,
# {term}`Temporal Consistency Score` and {term}`Region Persistence Index`, are the paper's Eq. (3) and (4), as printed:
#
# $$ \mathrm{TCS} = \frac1N \sum_{i=1}^N \frac{\sum_{x,y} M_i(x,y)}{W \times H} $$ (eq-consistency-tcs)
#
# $$ \mathrm{RPI} = \frac{\frac1{N-1}\sum_{i=2}^N \lVert C_i - C_{i-1}\rVert}{\sqrt{W^2+H^2}} $$ (eq-consistency-rpi)
#
# with the centroid $C_i$ of the mask. The text calls TCS the share of frames in which regions stay highlighted. The formula is
# the mean highlighted *area*, so a map that highlights everything has the best score. `persistence` is our measure of what the
# text describes: over pixels that are ever highlighted, the share of frames in which they are.
#
# Masks have the paper's 924 by 924 pixels. This changes little, because TCS and RPI are relative to the frame, and an enlarged
# mask keeps its IoU.
#
# The formulas leave four cases open. Two *empty masks* overlap fully. An empty mask has no centroid, so steps from and to it do
# not count. A *single frame* has no step, so it has no IoU, RPI and persistence and does not enter their means. After a *cut*
# (the face of one frame does not touch that of the frame before) another scene begins. A map that moves with the face has not
# jumped, so steps over cuts do not count. The columns `empty` and `cuts` say how often this happened.

# %%
from viba_lib.experiments.common import Bootstrap
from viba_lib.experiments.consistency import consistency, table_3

videos, bootstrap = consistency(study, [threshold], rule), Bootstrap.of(study)
table = table_3(videos, bootstrap)
columns = ["name", "videos", "frames", "cuts", "empty", "iou", "tcs", "rpi", "persistence"]
study.save_table("table_3", table, table[columns].round(3))

# %% mystnb={"image": {"alt": "Points with intervals of IoU, TCS, RPI and persistence for both detectors on fake and real videos."}, "figure": {"caption": "IoU, TCS, RPI and persistence with 95 % intervals over people and source clips.", "name": "fig-table-3"}}
from viba_lib.visual import result_figures

result_figures.intervals(table, ["iou", "tcs", "rpi", "persistence"])

# %% [markdown]
# ## Flat maps
#
# A threshold relative to the map's own maximum marks nearly the whole frame if the map is flat. Then masks overlap because they
# are large. Two columns show this: `iou_chance` is the IoU of independent random masks of the same area $a$, $a / (2 - a)$, and
# `effective_area` is the share of the frame over which a constant map would have the same entropy; it is 1 for a flat map. If IoU
# is near `iou_chance`, the area explains it.

# %%
columns = ["name", "tcs", "iou", "iou_chance", "effective_area"]
study.save_table("flat_maps", table, table[columns].round(3))

# %% tags=["remove-input"]
from viba_lib.experiments.consistency import flat_text

HTML(f"<p>{flat_text(table)}</p>")

# %% [markdown]
# The same arithmetic applies to the numbers that the paper prints:

# %% tags=["remove-input"]
from viba_lib.experiments.paper_numbers import TABLE_3

HTML(f"<p>{flat_text(TABLE_3)}</p>")

# %% [markdown]
# ## Real and fake videos
#
# The paper finds maps of real videos slightly more consistent: higher IoU, lower RPI. Below are differences, real minus fake,
# each with an interval. The dotted line is zero.

# %% mystnb={"image": {"alt": "Points with intervals of the difference between real and fake videos in IoU, TCS, RPI and persistence for both detectors, with a dotted line at zero."}, "figure": {"caption": "Real minus fake: IoU, TCS, RPI and persistence, with 95 % intervals over people and source clips.", "name": "fig-real-minus-fake"}}
from viba_lib.experiments.consistency import CONSISTENCY, real_minus_fake

difference = real_minus_fake(videos, bootstrap)
result_figures.intervals(
    difference, list(CONSISTENCY), "detector", chance=dict.fromkeys(CONSISTENCY, 0.0)
)

# %% tags=["remove-input"]
from viba_lib.experiments.consistency import label_text

HTML(f"<p>{label_text(videos, bootstrap)}</p>")

# %%
study.save_table("real_minus_fake", difference, difference[["detector", *CONSISTENCY]].round(4))

# %% [markdown]
# ## The two detectors
#
# Section 4 of the paper compares the detectors: regions of Xception overlap more from frame to frame, while the TCS of VGG11 is
# more than twice as high. The paper takes both as consistency. Expect the two findings to have different reasons, because TCS is
# an area. Each source clip counts once for each detector; its fakes differ, because the detectors see different methods.

# %%
from viba_lib.experiments.consistency import detectors_table, detectors_text

detectors = detectors_table(videos, bootstrap)
study.save_table("detectors_consistency", detectors, detectors.round(3))

# %% tags=["remove-input"]
HTML(f"<p>{detectors_text(videos, bootstrap)}</p>")

# %% [markdown]
# Read the TCS of either detector together with the section on flat maps: an area says nothing about consistency over time.
#
# ## Dependence on the threshold
#
# Expect IoU, TCS and persistence to fall as the threshold rises, because a smaller region covers less and overlaps less. Two
# studies with different thresholds cannot be compared.

# %% mystnb={"image": {"alt": "Four panels: IoU, TCS and persistence fall and RPI changes as the threshold of the mask rises, for real and fake videos of both detectors."}, "figure": {"caption": "The measures over the threshold of the mask.", "name": "fig-threshold"}}
from viba_lib.experiments.consistency import THRESHOLDS, threshold_sweep

sweep = threshold_sweep(consistency(study, THRESHOLDS, rule))
result_figures.threshold_curves(sweep, list(CONSISTENCY))

# %% tags=["remove-input"]
from viba_lib.experiments.consistency import sweep_text

HTML(f"<p>{sweep_text(sweep)}</p>")

# %%
study.save_table("threshold_sweep", sweep, sweep.round(3))

# %% [markdown]

# %% [markdown]
# ## Exercises
#
# ```{exercise} Two masks, one score
# :label: ex-tcs-blind
# Make two clips of masks, `still` and `jumping`, each (6, 20, 20): in both, 40 pixels are highlighted in each frame, but in one
# the region stays and in the other it jumps from one side to the other. Predict TCS, RPI and mean IoU of both, then compute
# them with `viba_lib.evaluation`.
# ```
#
# ```{solution-start} ex-tcs-blind
# :class: dropdown
# ```

# %% tags=["solution"]
import numpy as np
import pandas as pd

from viba_lib.evaluation import mean_iou, region_persistence, temporal_consistency

still, jumping = np.zeros((2, 6, 20, 20), bool)
still[:, :10, :4] = True
jumping[::2, :10, :4] = True
jumping[1::2, 10:, 16:] = True
scores = {"TCS": temporal_consistency, "RPI": region_persistence, "IoU": mean_iou}
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

# %% [markdown]
# TCS, as {eq}`eq-consistency-tcs` prints it, is an area and therefore the same for both. RPI and IoU differ.
#
# ```{solution-end}
# ```
#
# ```{exercise} A step by hand
# :label: ex-rpi-hand
# A square of 4 by 4 pixels moves by 3 pixels to the right and 4 down, from one frame to the next, in images of 30 by 40
# (height by width). Compute RPI by {eq}`eq-consistency-rpi` in your head, call it `by_hand`, and check it on such masks,
# `moving`, of shape (2, 30, 40).
# ```
#
# ```{solution-start} ex-rpi-hand
# :class: dropdown
# ```

# %% tags=["solution"]
by_hand = 5 / 50
moving = np.zeros((2, 30, 40), bool)
moving[0, 5:9, 5:9] = True
moving[1, 9:13, 8:12] = True
by_hand, region_persistence(moving)

# %% tags=["check", "remove-cell"]
assert moving.shape == (2, 30, 40) and abs(region_persistence(moving) - by_hand) < 1e-9
assert abs(by_hand - 0.1) < 1e-9

# %% [markdown]
# The step is the hypotenuse of 3 and 4, and the diagonal that of 30 and 40. Both triangles are 3-4-5, one ten times the other.
#
# ```{solution-end}
# ```
#
# ## Common misconceptions
#
# - **"A high TCS means that regions persist."** It means that they are large. The text of the paper describes persistence, its
#   formula measures area.
# - **"A consistent map is a right map."** A map that always marks the centre of the image is perfectly consistent. Consistency
#   is needed for trust, but is no reason for it.
# - **"An IoU of 0.8 shows consistency."** Random masks that cover nine tenths of the frame have it as well. Compare with
#   `iou_chance`.
# - **"IoU does not depend on the threshold, since both masks have the same."** A lower threshold makes larger masks, and large masks
#   overlap more.
#
# ## Quiz
#
# **1. A map highlights every pixel of every frame. Which measures call it perfect?**
#
# - a) TCS only
# - b) TCS, IoU and RPI
# - c) none
#
# ```{dropdown} Answer to question 1
# **b.** Area 1, overlap 1, and a centroid that never moves. No measure of consistency alone distinguishes it from a good map.
# ```
#
# **2. The interval of "real minus fake" in IoU contains zero. What follows?**
#
# - a) real and fake maps are equally consistent
# - b) these videos do not show a difference
# - c) the paper is wrong
#
# ```{dropdown} Answer to question 2
# **b.** The difference may be zero or not. Few videos give wide intervals, and a wide interval contains many other values.
# ```
#
# **3. Why do steps over cuts not count?**
#
# - a) after a cut there is another scene, so the map must move
# - b) cuts are rare
# - c) the frames are missing
#
# ```{dropdown} Answer to question 3
# **a.** A map that stayed behind would be wrong. Counting the step would punish the map for following the face.
# ```
#
# ## Summary
#
# - Table 3 is recomputed at the paper's 924 by 924 pixels, with every undefined case defined.
# - All measures depend on a threshold; state it, or they mean nothing. Run with `-p threshold 0.3`, or `-p rule clip`.
# - TCS as printed is an area; `persistence` is what its text describes.
# - The area also sets the IoU of random masks, which a flat map cannot exceed by much.
#
# ## What next
#
# - Do maps agree with annotated regions? {doc}`/notebooks/10_human_agreement`.
# - The effect of coupled frames on consistency: {doc}`/notebooks/12_speed` and {doc}`/notebooks/16_faithfulness`.
# - How far the threshold moves a number beside other choices: {doc}`/notebooks/14_open_choices`.
#
# ## References
#
# - {cite:t}`solopova2024`: TCS and RPI are its Eq. (3) and (4); the results are its Table 3, with the masks at 924 pixels.

# %% tags=["remove-input"]
HTML(study.provenance_html())
