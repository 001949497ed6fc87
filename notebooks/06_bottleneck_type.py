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
# - a second kind of bottleneck, which predicts $\lambda$ in one pass
# - maps of both kinds on the same frames, and their measures
# ```
#
# The per-sample bottleneck optimises $\lambda$ for each frame. The readout bottleneck trains a small
# network, once, that reads later layers and predicts $\lambda$ for any frame. The paper trained it for
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
# convolutions of 1 by 1. The reference trains at a learning rate of $10^{-5}$; with few frames an epoch is
# few steps, so the short profiles take a larger one.

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
# `kept` is the share of frames whose prediction survives the bottleneck, `bits` what passes it per frame,
# `ratio` relevance inside the planted mask against chance, `entropy` the map's spread in bits (lower is
# clearer), `iou` the overlap of the highlighted regions of consecutive frames, `seconds` the cost per frame.

# %%
study.save_table("bottleneck_type", both.table)
both.table.round(3)

# %% [markdown]
# Has the readout learned anything? It starts where everything passes, and a map near that start shows where the
# layer is *active*, not what the decision needs. At the other end, a readout that gives up nearly all bits everywhere
# points nowhere. Its maps mean something where it keeps predictions with few bits:

# %% tags=["remove-input"]
start, end = study.readout_history("xception").loss.iloc[[0, -1]]
kinds = both.table.set_index("kind")
HTML(
    f"<p>From its first to its last epoch the readout's mean loss went from {start:.2f} to {end:.2f} nats. On these "
    f"frames it lets {kinds.bits['readout']:,.0f} bits pass and keeps {kinds.kept['readout']:.0%} of the predictions; "
    f"the per-sample bottleneck needs {kinds.bits['per-sample']:,.0f} and keeps {kinds.kept['per-sample']:.0%}. "
    f"Relevance on the artefact is {kinds.ratio['readout']:.1f} times chance for the readout and "
    f"{kinds.ratio['per-sample']:.1f} times for the per-sample bottleneck.</p>"
)

# %% [markdown]
# The paper trained for ten epochs on its whole training split and found the readout's maps less consistent and less
# clear. Ten epochs of the few frames of a short profile are far fewer steps, so this page shows the cost and the
# kind of its maps, and does not settle which is better.
#
# ## Summary
# - The readout costs one pass per frame once it is trained; how far training has brought it, its bits tell.
# - The per-sample bottleneck needs no training, and pays for it frame by frame.

# %% tags=["remove-input"]
HTML(study.provenance_html())
