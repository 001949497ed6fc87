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
# A relevance video shows the explanation of a moving face. This chapter overlays the maps on the frames that they
# explain, for both detectors, for a fake and for a real video.
#
# ```{admonition} What you will learn
# :class: tip
# - to read a relevance video: heat map, colour scale and the curve of the prediction
# - to explain why a real and a fake video must share one colour scale
# - to interpret the total bits of a map, and to distinguish them from confidence
# - to create such a video of your own
# ```
#
# ```{admonition} What you need first
# :class: note
# | Concept | Why | Where |
# |---|---|---|
# | {term}`Bits per pixel` | the unit of the heat map | {doc}`/notebooks/04_viba_step_by_step` |
# | {term}`Key frame` | the frames that are explained | {doc}`/notebooks/02_dataset_construction` |
# | The two detectors | one uses faces, the other uses motion | {doc}`/notebooks/03_detectors` |
# ```
#
# <!-- time -->
#
# The maps ({term}`Attribution`) of the explained frames of a clip form a video. It shows a heat map over the face, a colour bar
# in bits per pixel of the face crop, and a strip above with the prediction over time. The video shows two of these frames
# per second. Each example is the held-out video of its class with the highest mean probability of this class, so these
# are good cases. {doc}`/notebooks/08_detection_performance` evaluates all videos, and the {doc}`viewer </book/viewer>` also
# contains a bad case. The fake and the real video of a detector share one colour scale.

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
from viba_lib.visual.prose import prose

check_injected()
study = Study(profile, data_root, results_root, device, seed)
HTML(study.banner())

# %%
from viba_lib.experiments.relevance_videos import relevance_videos

videos = relevance_videos(study, max_frames)

# %% [markdown]
# ## Face detector: fake video
#
# Expect the relevance to stay on the planted region, which the label names, from frame to frame.

# %% tags=["remove-input"]
HTML(videos["xception fake"])

# %% [markdown]
# ## Face detector: real video
#
# For a real face the target is the class "real". Which information supports the decision that a face is not altered? A
# detector can decide "real" because it found no artefact, and this decision needs few bits. Compare the bits below the
# two videos.

# %% tags=["remove-input"]
HTML(videos["xception real"])

# %% [markdown]
# ## Motion detector: fake video
#
# The motion detector uses motion only ({term}`Optical flow`). Its heat map is shown on the frame in which the motion
# starts. The paper calls such maps less intuitive than those of single frames. The cause of the decision lies between
# two frames, which no single frame shows.

# %% tags=["remove-input"]
HTML(videos["flow-vgg11 fake"])

# %% [markdown]
# ## Motion detector: real video
#
# A real video has no disturbed motion, so the decision can again rest on the absence of an artefact. Expect little
# relevance without a preferred location.

# %% tags=["remove-input"]
HTML(videos["flow-vgg11 real"])

# %% [markdown]
# ## Bits and confidence
#
# The total of each map is the estimate of the information about that frame that the prediction uses. Check two
# properties in the figure. First, do frames called real need fewer bits than frames called fake? Second, do fakes with
# clear evidence (far right) need fewer bits than fakes with uncertain evidence (middle)?

# %% mystnb={"image": {"alt": "Dots for the explained frames of both detectors: total bits of the map over the probability of fake, real and fake frames in two colours."}, "figure": {"caption": "Total bits of each explained frame over its probability of fake.", "name": "fig-bits"}}
from viba_lib.experiments.common import explained_frames
from viba_lib.models.detectors import DETECTORS
from viba_lib.visual import overlay, result_figures

frames = {name: explained_frames(study, name) for name in DETECTORS}
result_figures.bits_plot(frames)

# %% tags=["remove-input"]
from viba_lib.experiments.common import Bootstrap
from viba_lib.experiments.relevance_videos import bits_text

prose(bits_text(frames, Bootstrap.of(study)))

# %% [markdown]
# ## From capacity to colours
#
# A video needs two computations after the optimisation. First, the bits of all channels are added at each location of
# the layer, enlarged to the pixels, and scaled so that each frame keeps its total, {eq}`eq-step-map`. Second, one
# number of bits per pixel gets full colour in both videos. It is the 99.5th percentile of the fake, and at least four times
# the mean of its pixels, so that an even map has a quarter of full colour at most. The lines optimise the bottleneck for
# the fake frame with the median relevance on the artefact, and use the stored map of one real frame.

# %%
import numpy as np
import torch

from viba_lib.experiments.localisation import example_frame, localisation

one_fake = example_frame(
    study.predictions("xception"), localisation(study, "xception")
)
faces = study.inputs("xception", one_fake)
capacity = study.bottleneck("xception").attribute(faces).capacity
stored = study.explanations("xception")
of_real = stored.relevance.values[stored.label.values == 0][:1]

# %% tags=["decisive"]
bits = capacity.sum(1, keepdim=True)  # all channels of a location
linear = {"mode": "bilinear", "align_corners": False}
wide = torch.nn.functional.interpolate(bits, faces.shape[2:], **linear)
total, enlarged = (x.sum((2, 3), keepdim=True) for x in (bits, wide))
per_pixel = (wide * total / enlarged.clamp_min(1e-12))[:, 0].numpy()
even = 4 * per_pixel.sum() / max((per_pixel > 0).sum(), 1)  # 4 x mean
full = max(np.quantile(per_pixel, 0.995), even, 1e-9)  # for both
levels = [np.clip(maps / full, 0, 1) for maps in (per_pixel, of_real)]

# %%
from viba_lib.bottleneck.information import bits_per_pixel

by_library = bits_per_pixel(capacity, faces.shape[2:]).numpy()
np.testing.assert_allclose(per_pixel, by_library, rtol=1e-4, atol=1e-9)
np.testing.assert_allclose(full, overlay.scale_maximum(by_library), rtol=1e-4)
for kind, level in zip(("fake", "real"), levels, strict=True):
    if level.size:
        print(f"{kind}: mean level {level.mean():.2f} of full colour")

# %% [markdown]
# The lines and the library agree: the maps are those of `bits_per_pixel`, and full colour is that of `scale_maximum`.
# For a video, the library uses the maps of all its frames, each in its place in the complete image, and these lines use the
# face crop of one frame. For the fake, a mean level of 0.25 belongs to an even map, and a lower level to a map with its
# relevance in few pixels. For the real frame, a low level can also mean fewer bits, because the scale is that of the fake.

# %% [markdown]
# ## Exercises
#
# ```{exercise} Separate colour scales
# :label: ex-own-scale
# Suppose that each video had its own colour scale. By what factor would the map of the real frames be brightened,
# compared with the scale of the fakes? `overlay.scale_maximum` gives the upper end of a scale for maps. Call the ends
# `tops` (a dictionary by label, 0 for real and 1 for fake) and the factor `stretch`.
# ```
#
# ```{solution-start} ex-own-scale
# :class: dropdown
# ```

# %% tags=["solution"]
frame, maps = frames["xception"], study.explanations("xception")
by_label = {
    label: maps.relevance.values[(frame.label == label).to_numpy()]
    for label in (0, 1)
}
tops = {label: overlay.scale_maximum(m) for label, m in by_label.items()}
stretch = tops[1] / max(tops[0], 1e-12)
print(
    f"real {tops[0]:.2f}, fake {tops[1]:.2f} bits per pixel: "
    f"a factor of {stretch:.2f}"
)

# %% tags=["check", "remove-cell"]
assert set(tops) == {0, 1} and all(top >= 0 for top in tops.values())
assert abs(stretch * max(tops[0], 1e-12) - tops[1]) < 1e-6 * max(tops[1], 1)

# %% tags=["hidden", "remove-cell"]
every = study.explanations("xception").relevance.values
for label, top in tops.items():
    of_label = every[(frames["xception"].label == label).to_numpy()]
    expected = overlay.scale_maximum(of_label)
    assert abs(top - expected) <= 1e-6 * max(expected, 1)

# %% [markdown]
# If the factor is far from 1, separate scales hide a large difference, because two maps of different strength then look
# similar. Separate colour scales are a common reason why figures of explanations are misleading.
#
# ```{solution-end}
# ```
#
# ```{exercise} Raw bits and map bits
# :label: ex-raw-bits
# A pixel of a face crop has three colours with 8 bits each, and `study.settings("xception").size` is the side of a
# crop. Which fraction of the bits of a crop is the total of the median map of the frames that are called fake? Call the
# raw number `raw_bits` and the fraction `share_needed`.
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
print(
    f"{raw_bits:,} bits raw; the total of the median map is "
    f"{share_needed:.2%} of this number"
)

# %% tags=["check", "remove-cell"]
import math

assert raw_bits == 24 * study.settings("xception").size ** 2

assert math.isnan(share_needed) or 0 <= share_needed < 1

# %% tags=["hidden", "remove-cell"]
import numpy as np

found = frames["xception"]
median = found.total_bits[found.p_fake >= 0.5].median()
assert np.isclose(share_needed * raw_bits, median, equal_nan=True)

# %% [markdown]
# The number compares two different quantities. Raw bits are storage. The total of a map is the sum of the information
# estimates of the layer's units for one frame, which assumes independent units and is not a bound of the mutual
# information ({doc}`/notebooks/01_information_bottleneck`). The decision itself is at most one bit. A total can only be
# compared with another total of the same layer and the same $\beta$.
#
# ```{solution-end}
# ```
#
# ## Common misconceptions
#
# - **"A heat map on a real video shows an altered region."** For a video that is called real, the map explains the
#   class "real". It shows the evidence for this class.
# - **"Bits are confidence."** They estimate how much information of the layer was necessary. Clear evidence may need
#   few bits.
# - **"The maps of the two detectors can be compared."** They belong to different layers of different networks, so their
#   totals are on different scales. Compare their locations, not their strengths.
#
# ## Quiz
#
# **1. Two maps are shown with different colour scales. What can be compared?**
#
# - a) the strengths of the two maps
# - b) the locations of their maxima
# - c) the total bits of the two maps
#
# ```{dropdown} Answer to question 1
# **b.** A separate scale brings every map to full brightness, so the strengths cannot be compared. The locations are
# still visible.
# ```
#
# **2. The videos above were chosen by a high probability of their true class. Which conclusion is not valid?**
#
# - a) these maps highlight the locations that are shown
# - b) maps of this kind occur for this detector
# - c) most maps of this detector look similar to these
#
# ```{dropdown} Answer to question 2
# **c.** The videos were chosen because they are good cases. {doc}`/notebooks/08_detection_performance`
# evaluates all videos, and {doc}`/book/viewer` has the clip with the largest error of its detector.
# ```
#
# **3. Why is the heat map of the motion detector shown on the first of two frames?**
#
# - a) because the second frame only serves as a reference
# - b) because the cause of the motion is in the first frame
# - c) because flow is defined at the pixels of the first frame
#
# ```{dropdown} Answer to question 3
# **c.** Flow is the displacement of each pixel of the first frame. A map on one frame can only show the location at
# which a motion starts. Its cause lies between both frames.
# ```
#
# ## Summary
#
# - Maps are saved as videos that a browser can play, with a scale in bits per pixel.
# - A real and a fake video share one scale, so their strengths can be compared.
# - `viba explain VIDEO` creates the same video from your own file.
#
# ## What next
#
# - A viewer for more clips, layers and methods: {doc}`/book/viewer`.
# - A quantitative evaluation of all videos: {doc}`/notebooks/08_detection_performance`.
# - Rules for showing a map to others: {doc}`/book/ethics`.
#
# ## References
#
# - {cite:t}`solopova2024`: relevance videos of both detectors in Section 3.3, and the remark that maps of motion are
#   less intuitive in Section 5.

# %% tags=["remove-input"]
HTML(study.provenance_html())
