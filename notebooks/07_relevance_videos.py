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
# ```{admonition} What you will see
# - maps put back on the frames they came from, for both detectors, real and fake
# - the probability of fake over time, under each video
# ```
#
# A map per frame becomes a video: heat over the face, a bar beside it that gives the colours in bits per pixel of the
# face crop, and a strip under it with the prediction over time. Key frames
# are shown slowly, two a second. Of each kind you see the held-out video that the detector is surest about,
# so these are good cases; [chapter 8](08_detection_performance) counts all of them. The fake and the real video of a
# detector share one colour scale.

# %% tags=["parameters"]
profile = "quick"
data_root = "../data"
results_root = "../results"
device = "cpu"
seed = 0
max_frames = 4  # frames per video

# %% tags=["remove-input"]
from IPython.display import HTML

from viba_lib.study import Study

study = Study(profile, data_root, results_root, device, seed)
HTML(study.banner())

# %%
from viba_lib.films import relevance_videos

films = relevance_videos(study, max_frames)

# %% [markdown]
# ## Xception, a fake
#
# Expect the heat to stay on the planted region (see the label) from frame to frame.

# %% tags=["remove-input"]
HTML(films["xception fake"])

# %% [markdown]
# ## Xception, a real video
#
# For a real face the target is the class "real". What would speak *for* an untouched face? A detector can say "real"
# because it found nothing, and finding nothing takes few bits. Compare the bits below the two videos.

# %% tags=["remove-input"]
HTML(films["xception real"])

# %% [markdown]
# ## Motion, a fake
#
# The flow detector sees motion only; its heat is put on the frame in which the motion starts. The paper finds
# such maps harder to read than those of single frames: the cause lies between two pictures, not in one.

# %% tags=["remove-input"]
HTML(films["flow-vgg11 fake"])

# %% [markdown]
# ## Motion, a real video
#
# Again, an even motion of the whole face is the absence of a disturbance: expect little heat, in no place of its own.

# %% tags=["remove-input"]
HTML(films["flow-vgg11 real"])

# %% [markdown]
# ## Bits and certainty
#
# The total of each map is the information that the prediction was given of that frame. Two things to look for: whether
# a frame called real gets by with fewer bits than one called fake, and, among the fakes, whether plain evidence (far
# right) needs fewer bits than doubtful evidence (middle).

# %% mystnb={"image": {"alt": "Dots for the explained frames of both detectors: total bits of the map over the probability of fake, real and fake frames in two colours."}, "figure": {"caption": "Total bits of each explained frame over its probability of fake.", "name": "fig-bits"}}
from viba_lib import figures
from viba_lib.tables.common import explained

frames = {name: explained(study, name)[0] for name in ("xception", "flow-vgg11")}
figures.bits_plot(frames)

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
# ## Summary
# - Maps come back as videos that play in a browser.
# - `viba explain VIDEO` does the same for a video of yours.

# %% tags=["remove-input"]
HTML(study.provenance_html())
