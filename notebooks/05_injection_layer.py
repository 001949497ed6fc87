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
# # Where to inject
#
# ```{admonition} What you will see
# - the same real and fake inputs explained at each of the paper's injection layers (Figures 4 to 11)
# - how the map grows coarser with depth
# - a number beside the picture: how much of the relevance lies on the planted artefact
# ```
#
# The paper chose block 4 of Xception and layer 9 of VGG11 by eye. Run this chapter with other settings:
# `papermill 05_injection_layer.ipynb out.ipynb -p layer block12 -p beta 5`.

# %% tags=["parameters"]
profile = "quick"
data_root = "../data"
results_root = "../results"
device = "cpu"
seed = 0
layer = (
    "all"  # "all", or one of block4, bn3, conv3, block12, bn4, features.9, features.12, features.16
)
beta = 10.0
frames = 2  # real and fake inputs each

# %% tags=["remove-input"]
from IPython.display import HTML

from viba_lib.study import Study

study = Study(profile, data_root, results_root, device, seed)
HTML(study.banner())

# %%
from viba_lib import figures
from viba_lib.tables import injection_maps

chosen = injection_maps(study, layer, beta, frames)

# %% [markdown]
# ## Xception
#
# One row per input, one column per layer. Expect fine maps on the left and blobs on the right: block 4
# has 19 by 19 places at 299 px, the last layers 10 by 10. Each column has a colour scale of its own,
# since layers differ in their total of bits.

# %% mystnb={"image": {"alt": "Grid of face crops with relevance maps at the injection layers of Xception; maps are fine at block 4 and coarse at the later layers; planted regions are outlined."}, "figure": {"caption": "Relevance of real and fake faces at the injection layers of Xception (the paper's Figures 4 to 8).", "name": "fig-layers-xception"}}
one = chosen["xception"]
figures.layers_grid(one.images, one.maps, one.masks, one.labels)

# %% [markdown]
# ## VGG11 on flow

# %% mystnb={"image": {"alt": "Grid of flow maps with relevance maps at layers 9, 12 and 16 of VGG11; planted regions are outlined."}, "figure": {"caption": "Relevance of real and fake flow maps at the injection layers of VGG11 (the paper's Figures 9 to 11).", "name": "fig-layers-flow"}}
one = chosen["flow-vgg11"]
figures.layers_grid(one.images, one.maps, one.masks, one.labels)

# %% [markdown]
# ## By number
#
# On the fake inputs above the artefact's place is known. `ratio` is the share of relevance inside the
# mask over the mask's share of the frame; chance is 1. `entropy` is that of the map over pixels, in
# bits: lower is more focused. With so few inputs these numbers order nothing for sure; they show how
# the choice by eye can be checked.

# %%
import pandas as pd

table = pd.concat([c.table for c in chosen.values()], ignore_index=True)
study.save_table("injection_layer", table)
table.round(2)

# %% tags=["remove-input"]
best = table.sort_values("ratio", ascending=False).groupby("detector").first()
HTML(
    "<p>Most relevance on the artefact here: "
    + "; ".join(
        f"{name} at {row.layer} ({row.ratio:.1f} times chance)" for name, row in best.iterrows()
    )
    + ".</p>"
)

# %% [markdown]
# ## Summary
# - Early layers keep the place of the evidence, late layers its kind.
# - The paper's choice by eye can be checked by number, where the truth is known.

# %% tags=["remove-input"]
HTML(study.provenance_html())
