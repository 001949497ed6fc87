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
# # Per-sample or readout
#
# ```{admonition} What you will see
# - a second kind of bottleneck, which predicts $\\lambda$ in one pass
# - maps of both kinds on the same frames, and their measures
# ```
#
# The per-sample bottleneck optimises $\\lambda$ for each frame. The readout bottleneck trains a small
# network, once, that reads later layers and predicts $\\lambda$ for any frame. The paper trained it for
# 10 epochs and found its maps less consistent and less clear.

# %% tags=["parameters"]
profile = "quick"
data_root = "../data"
results_root = "../results"
device = "cpu"
seed = 0
frames = 6  # held-out fake frames that both kinds explain

# %% tags=["remove-input"]
from IPython.display import HTML

from viba_lib.study import Study

study = Study(profile, data_root, results_root, device, seed)
HTML(study.banner())

# %% [markdown]
# ## Train the readout
#
# It reads three later layers, normalised and scaled to the size of the injection layer, through three
# convolutions of 1 by 1.

# %%
readout = study.readout("xception")
study.profile.readout.model_dump()

# %% [markdown]
# ## The same frames, both ways

# %%
from viba_lib.tables import bottleneck_types

both = bottleneck_types(study, frames)

# %% mystnb={"image": {"alt": "Face crops above and per-sample relevance maps below, with planted regions outlined."}, "figure": {"caption": "Per-sample bottleneck: optimised for each frame.", "name": "fig-per-sample"}}
from viba_lib import figures

figures.relevance_grid(both.images, both.maps["per-sample"], both.masks, both.labels)

# %% mystnb={"image": {"alt": "The same face crops above and readout relevance maps below; the maps are more spread out."}, "figure": {"caption": "Readout bottleneck: predicted in one pass.", "name": "fig-readout"}}
figures.relevance_grid(both.images, both.maps["readout"], both.masks, both.labels)

# %% [markdown]
# ## Measured
#
# `ratio` is relevance inside the planted mask against chance, `entropy` the map's spread in bits (lower is
# clearer), `iou` the overlap of the highlighted regions of consecutive frames, `seconds` the cost per frame.

# %%
study.save_table("bottleneck_type", both.table)
both.table.round(3)

# %% [markdown]
# With a short training the readout has hardly left its start, where nearly everything passes: its map
# shows where the layer is active, not what the decision needs. That is the paper's finding, with a reason.
#
# ## Summary
# - The readout is cheap per frame once it is trained; it needs far more training than ten epochs of few frames.
# - The per-sample bottleneck needs no training, and pays for it frame by frame.

# %% tags=["remove-input"]
HTML(study.provenance_html())
