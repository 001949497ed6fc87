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
# A map per frame becomes a video: heat over the face, and a strip under it with the prediction. Key frames
# are shown slowly, two a second.

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
from viba_lib.tables import relevance_videos

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
# For a real face the target is the class "real": the heat is on what speaks *for* an untouched face.

# %% tags=["remove-input"]
HTML(films["xception real"])

# %% [markdown]
# ## Motion, a fake
#
# The flow detector sees motion only; its heat is put on the frame in which the motion starts.

# %% tags=["remove-input"]
HTML(films["flow-vgg11 fake"])

# %% [markdown]
# ## Motion, a real video

# %% tags=["remove-input"]
HTML(films["flow-vgg11 real"])

# %% [markdown]
# ## Bits over time
#
# The total of each map is the information that the prediction needed of that frame. Frames whose evidence is
# plain need few bits.

# %% mystnb={"image": {"alt": "Line of the total bits per frame against the probability of fake, for the explained frames of both detectors."}, "figure": {"caption": "Total bits of each explained frame over its probability of fake.", "name": "fig-bits"}}
from viba_lib import figures
from viba_lib.tables import explained

figures.bits_plot({name: explained(study, name)[0] for name in ("xception", "flow-vgg11")})

# %% [markdown]
# ## Summary
# - Maps come back as videos that play in a browser.
# - `viba explain VIDEO` does the same for a video of yours.

# %% tags=["remove-input"]
HTML(study.provenance_html())
