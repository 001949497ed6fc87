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
# # Relevance videos
#
# What does an explanation look like when the face moves? Here the maps are put back on the frames that they came from,
# for both detectors, for a fake and for a real video.
#
# ```{admonition} What you will learn
# :class: tip
# - to read a relevance video: heat, scale and the curve of the prediction
# - why real and fake must share one colour scale
# - what bits say about certainty, and what they do not
# - to make such a video of your own clip
# ```
#
# ```{admonition} What you need first
# :class: note
# | Concept | Why | Where |
# |---|---|---|
# | {term}`Bits per pixel` | the unit of the heat | {doc}`/notebooks/04_viba_step_by_step` |
# | {term}`Key frame` | the frames that are explained | {doc}`/notebooks/02_dataset_construction` |
# | The two detectors | one sees faces, one sees motion | {doc}`/notebooks/03_detectors` |
# ```
#
# <!-- time -->
#
# A map ({term}`Attribution`) per frame becomes a video: heat over the face, a bar beside it that gives the colours in bits per pixel of the
# face crop, and a strip under it with the prediction over time. Key frames are shown slowly, two a second. Of each kind
# you see the held-out video that the detector is surest about, so these are good cases;
# [chapter 8](08_detection_performance) counts all of them, and the {doc}`viewer </book/viewer>` has a bad one as well. The
# fake and the real video of a detector share one colour scale.

# %% tags=["parameters"]
profile = "quick"
data_root = "../data"
results_root = "../results"
device = "cpu"
seed = 0
max_frames = 4  # frames per video; at least 1

# %% tags=["remove-input"]
from IPython.display import HTML

from viba_lib.book.injected import check_injected
from viba_lib.pipeline.study import Study

check_injected()
study = Study(profile, data_root, results_root, device, seed)
HTML(study.banner())

# %%
from viba_lib.experiments.relevance_videos import relevance_videos

videos = relevance_videos(study, max_frames)

# %% [markdown]
# ## Xception, a fake
#
# Expect the heat to stay on the planted region (see the label) from frame to frame.

# %% tags=["remove-input"]
HTML(videos["xception fake"])

# %% [markdown]
# ## Xception, a real video
#
# For a real face the target is the class "real". What would speak *for* an untouched face? A detector can say "real"
# because it found nothing, and finding nothing takes few bits. Compare the bits below the two videos.

# %% tags=["remove-input"]
HTML(videos["xception real"])

# %% [markdown]
# ## Motion, a fake
#
# The flow detector sees motion only ({term}`Optical flow`); its heat is put on the frame in which the motion starts. The paper finds
# such maps harder to read than those of single frames: the cause lies between two pictures, not in one.

# %% tags=["remove-input"]
HTML(videos["flow-vgg11 fake"])

# %% [markdown]
# ## Motion, a real video
#
# Again, an even motion of the whole face is the absence of a disturbance: expect little heat, in no place of its own.

# %% tags=["remove-input"]
HTML(videos["flow-vgg11 real"])

# %% [markdown]
# ## Bits and certainty
#
# The total of each map is the information that the prediction was given of that frame. Two things to look for: whether
# a frame called real gets by with fewer bits than one called fake, and, among the fakes, whether plain evidence (far
# right) needs fewer bits than doubtful evidence (middle).

# %% mystnb={"image": {"alt": "Dots for the explained frames of both detectors: total bits of the map over the probability of fake, real and fake frames in two colours."}, "figure": {"caption": "Total bits of each explained frame over its probability of fake.", "name": "fig-bits"}}
from viba_lib.experiments.common import explained_frames
from viba_lib.models.detectors import DETECTORS
from viba_lib.visual import overlay, result_figures

frames = {name: explained_frames(study, name) for name in DETECTORS}
result_figures.bits_plot(frames)

# %% tags=["remove-input"]
HTML(
    "<p>"
    + " ".join(
        f"{name}: the median frame called real has {f[f.p_fake < 0.5].total_bits.median():,.0f} bits, the median "
        f"frame called fake {f[f.p_fake >= 0.5].total_bits.median():,.0f}; among the latter, the rank correlation of bits "
        f"with the probability of fake is "
        f"{f[f.p_fake >= 0.5].p_fake.corr(f[f.p_fake >= 0.5].total_bits, method='spearman'):.2f}."
        for name, f in frames.items()
    )
    + "</p>"
)

# %% [markdown]

# %% [markdown]
# ## Exercises
#
# ```{exercise} A scale of its own
# :label: ex-own-scale
# Suppose each video got a colour scale of its own. By what factor would the map of the real frames be brightened, compared with
# the scale of the fakes? The upper end of a scale is the 99.5th percentile of the maps. Call the ends `tops` (a dictionary by label,
# 0 for real and 1 for fake) and the factor `stretch`.
# ```
#
# ```{solution-start} ex-own-scale
# :class: dropdown
# ```

# %% tags=["solution"]
frame, maps = frames["xception"], study.explanations("xception")
by_label = {label: maps.relevance.values[(frame.label == label).to_numpy()] for label in (0, 1)}
tops = {label: overlay.scale_maximum(m) for label, m in by_label.items()}
stretch = tops[1] / max(tops[0], 1e-12)
print(f"real {tops[0]:.2f}, fake {tops[1]:.2f} bits per pixel: a factor of {stretch:.2f}")

# %% tags=["check", "remove-cell"]
assert set(tops) == {0, 1} and all(top >= 0 for top in tops.values())
assert abs(stretch * max(tops[0], 1e-12) - tops[1]) < 1e-6 * max(tops[1], 1)

# %% [markdown]
# A factor far from 1 would have been hidden: two maps of different strength would look alike. It is the commonest way in which
# pictures of explanations mislead.
#
# ```{solution-end}
# ```
#
# ```{exercise} How little is needed?
# :label: ex-raw-bits
# A pixel of a face crop has three colours with 8 bits each, and `study.settings("xception").size` is the side of a crop.
# Which share of a crop's bits is the median map of a frame that is called fake? Call the raw number `raw_bits` and the
# share `share_needed`.
# ```
#
# ```{solution-start} ex-raw-bits
# :class: dropdown
# ```

# %% tags=["solution"]
side = study.settings("xception").size
raw_bits = side * side * 3 * 8
called_fake = frames["xception"].query("p_fake >= 0.5")
share_needed = called_fake.total_bits.median() / raw_bits
print(f"{raw_bits:,} bits raw; the total of the median map is {share_needed:.2%} of this number")

# %% tags=["check", "remove-cell"]
import math

assert raw_bits == 24 * study.settings("xception").size ** 2

assert math.isnan(share_needed) or 0 <= share_needed < 1

# %% [markdown]
# The number compares two different quantities. Raw bits are storage. The total of a map is the sum of the information estimates of
# the layer's units for one frame, which assumes independent units and is not a bound of the mutual information
# ({doc}`/notebooks/01_information_bottleneck`). The decision itself is at most one bit. A total is useful only beside another
# total of the same layer and the same $\beta$.
#
# ```{solution-end}
# ```
#
# ## Common misconceptions
#
# - **"Heat on a real video shows where it was altered."** For a video that is called real the map explains "real". It shows what
#   speaks for it.
# - **"Bits are confidence."** They estimate how much of the layer was needed. Plain evidence may need few bits.
# - **"The maps of the two detectors can be compared."** They are of different layers of different networks; their totals differ by
#   construction. Compare places, not strengths.
#
# ## Quiz
#
# **1. Two maps are shown with different colour scales. What can be compared?**
#
# - a) where they are brightest
# - b) how strong they are
# - c) both
#
# ```{dropdown} Answer to question 1
# **a.** A scale of its own brings every map to full brightness. Only the place survives.
# ```
#
# **2. The videos above are those that a detector is surest about. What may you not conclude from them?**
#
# - a) that such maps exist
# - b) that maps are usually like this
# - c) where these videos are hot
#
# ```{dropdown} Answer to question 2
# **b.** They were chosen because they are good cases. Chapter 8 counts all, and the viewer shows one that goes wrong.
# ```
#
# **3. Why is the motion detector's heat drawn on the first of two frames?**
#
# - a) because the flow starts there, though its cause lies between both
# - b) because the second frame is not decoded
# - c) by accident
#
# ```{dropdown} Answer to question 3
# **a.** Flow says where each pixel of the first frame went. A picture of one frame can only show where a motion began.
# ```
#
# ## Summary
#
# - Maps come back as videos that play in a browser, with a scale in bits per pixel.
# - A real and a fake video share one scale, so their strengths can be compared.
# - `viba explain VIDEO` does the same for a video of yours.
#
# ## What next
#
# - Step through more clips, layers and methods: {doc}`/book/viewer`.
# - Count instead of looking: {doc}`/notebooks/08_detection_performance`.
# - Before you show a map to anybody: {doc}`/book/ethics`.
#
# ## References
#
# - {cite:t}`solopova2024`: relevance videos of both detectors in Section 4, and the remark that maps of motion are harder to read.

# %% tags=["remove-input"]
HTML(study.provenance_html())
