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
frames = 8  # held-out real and fake frames each that both kinds explain

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
from viba_lib.kinds import bottleneck_types

both = bottleneck_types(study, frames)

# %% mystnb={"image": {"alt": "Face crops of fakes and real frames above and per-sample relevance maps below, with planted regions outlined."}, "figure": {"caption": "Per-sample bottleneck: optimised for each frame.", "name": "fig-per-sample"}}
from viba_lib import figures

some = [*range(3), *range(frames, frames + 3)] if len(both.images) >= frames + 3 else [0]
shown = [both.labels[i] for i in some]
figures.relevance_grid(both.images[some], both.maps["per-sample"][some], both.masks[some], shown)

# %% mystnb={"image": {"alt": "The same face crops above and readout relevance maps below; the maps are more spread out."}, "figure": {"caption": "Readout bottleneck: predicted in one pass.", "name": "fig-readout"}}
figures.relevance_grid(both.images[some], both.maps["readout"][some], both.masks[some], shown)

# %% [markdown]
# ## Measured
#
# On the real and the fake frames together: `kept` is the share of predictions that survive the bottleneck,
# `bits` what passes it per frame, `entropy` the map's spread in bits (lower is clearer), `ratio` relevance inside
# the planted mask against chance (fakes only), `deletion` the area under the prediction as the most relevant
# pixels go first (lower is better), `iou` the overlap of the highlighted regions of two frames of one video
# (consistency), `seconds` the cost per frame, and `training` what was spent once beforehand.

# %%
columns = [
    "kind",
    "frames",
    "kept",
    "bits",
    "entropy",
    "ratio",
    "deletion",
    "iou",
    "seconds",
    "training",
]
study.save_table("bottleneck_type", both.table, both.table[columns].round(3))

# %% mystnb={"image": {"alt": "Points with intervals for the per-sample and the readout bottleneck: entropy, relevance on the artefact with a line at chance, and overlap of consecutive frames."}, "figure": {"caption": "Clarity, relevance on the artefact and consistency of both kinds, with 95 % intervals over videos.", "name": "fig-kinds"}}
figures.intervals(both.table, ["entropy", "ratio", "iou"], labels="kind", chance={"ratio": 1})

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
    f"{kinds.ratio['per-sample']:.1f} times for the per-sample bottleneck. The readout took "
    f"{kinds.training['readout']:.0f} s of training and takes {kinds.seconds['readout']:.2f} s per frame; the "
    f"per-sample bottleneck takes {kinds.seconds['per-sample']:.2f} s: the training is repaid after "
    f"{kinds.training['readout'] / max(kinds.seconds['per-sample'] - kinds.seconds['readout'], 1e-9):,.0f} frames.</p>"
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
