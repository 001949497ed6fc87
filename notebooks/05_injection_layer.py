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
# - numbers beside the pictures, with intervals: bits, spread, relevance on the planted artefact, deletion
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
# "all", or one of block4, bn3, conv3, block12, bn4, features.9, features.12, features.16
layer = "all"
beta = 10.0
frames = 2  # real and fake inputs each that are shown
measured = 6  # real and fake test videos each that are measured

# %% tags=["remove-input"]
from IPython.display import HTML

from viba_lib.study import Study

study = Study(profile, data_root, results_root, device, seed)
HTML(study.banner())

# %%
import pandas as pd

from viba_lib import figures
from viba_lib.injection import injection_maps

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
# Clarity is a matter of taste until it is measured. On one frame of each of some more videos, real and fake:
#
# - `bits`: what passes the bottleneck in all;
# - `entropy` of the map over pixels, in bits: lower is more focused;
# - `ratio`: relevance inside the planted mask over the mask's share of the frame, on fakes; chance is 1;
# - `deletion`: the area under the probability of the prediction while the most relevant pixels are set to
#   zero first {cite}`petsiuk2018rise`; lower is better. It depends on how fragile the detector is, so
#   `over_random` compares it with pixels taken away at random; higher is better, and 0 is no better than
#   random.

# %%
from viba_lib.injection import against_the_papers, layer_measures, layer_table

measures = layer_measures(study, layer, beta, measured)
table = layer_table(measures, study)
columns = ["name", "frames", "bits", "entropy", "ratio", "deletion", "over_random"]
study.save_table("injection_layer", table, table[columns].round(2))

# %% mystnb={"image": {"alt": "Points with horizontal intervals for each injection layer of both detectors: relevance on the artefact with a line at chance, entropy, and deletion against random with a line at zero."}, "figure": {"caption": "Relevance on the artefact, spread of the map, and what deletion gains over random order, with 95 % intervals over videos; dotted is chance.", "name": "fig-layers-measured"}}
figures.intervals(table, ["ratio", "entropy", "over_random"], chance={"ratio": 1, "over_random": 0})

# %% [markdown]
# Was the choice by eye right? The same frames at each other layer, less those at the layer that the paper
# chose. Where an interval holds 0, these frames cannot tell the two apart.

# %% mystnb={"image": {"alt": "Points with horizontal intervals of the difference of each other layer to the paper's layer, in relevance on the artefact and in deletion over random, with a line at zero."}, "figure": {"caption": "Each other layer less the paper's, on the same frames, with 95 % intervals over videos.", "name": "fig-layers-against"}}
differences = against_the_papers(measures, study)
study.save_table("injection_layer_differences", differences)
zero = {"ratio": 0, "over_random": 0}
figures.intervals(differences, list(zero), chance=zero) if len(differences) else None

# %% tags=["remove-input"]
best = table.sort_values("ratio", ascending=False).groupby("detector", sort=False).first()
said = "; ".join(
    f"{name} at {row.layer} ({row.ratio:.1f} times chance, {row.ratio_low:.1f} to {row.ratio_high:.1f})"
    for name, row in best.iterrows()
)
told = (
    0
    if differences.empty
    else int(((differences.ratio_low > 0) | (differences.ratio_high < 0)).sum())
)
HTML(
    f"<p>Most relevance on the artefact: {said}. Of {len(differences)} other layers, {told} differ from the "
    "paper's in this measure by more than these frames leave open.</p>"
)

# %% [markdown]
# A layer can win one measure and lose another: late layers answer *whether*, in few places, and early ones
# *where*. Deletion rewards maps that hit what the detector needs, whether it lies on the artefact or not. On
# a profile with few people the intervals are wide, and the page does not settle what they leave open.
#
# ## Exercises
#
# ```{exercise} Beta and depth
# :label: ex-beta-depth
# A larger beta asks for fewer bits. Predict whether that focuses the map of the paper's layer or only makes it
# weaker, and look at `entropy` and `ratio` for beta 1 and 100.
# ```
#
# ```{solution-start} ex-beta-depth
# :class: dropdown
# ```

# %%
chosen_layer = study.layer("xception")
few = min(measured, 2)
betas = {b: layer_measures(study, chosen_layer, b, few).query("detector == 'xception'")
         for b in (1.0, 100.0)}  # fmt: skip
pd.DataFrame({b: m[["bits", "entropy", "ratio"]].mean() for b, m in betas.items()}).T.round(2)

# %% [markdown]
# Bits fall with beta. If entropy falls with them, what is left is more focused; if it stays, the same map has
# only become fainter.
#
# ```{solution-end}
# ```
#
# ```{exercise} Deletion on a real frame
# :label: ex-deletion-real
# What does deletion measure on a *real* frame, where there is no artefact to find? Compare `deletion` of real
# and fake frames at the paper's layer.
# ```
#
# ```{solution-start} ex-deletion-real
# :class: dropdown
# ```

# %%
at = measures[measures.layer.isin([study.layer(d) for d in ("xception", "flow-vgg11")])]
at.groupby(["detector", at.label.map({0: "real", 1: "fake"})])[["deletion", "random"]].mean().round(
    2
)

# %% [markdown]
# An empty input must be called something. If the detector calls it real, then a real frame stays real whatever is
# taken away: its area is near 1 and tells nothing of the map. Always look at both classes.
#
# ```{solution-end}
# ```
#
# ## Summary
# - Early layers keep the place of the evidence, late layers its kind.
# - The paper's choice by eye can be checked by number, where the truth is known, and the intervals say how
#   far.

# %% tags=["remove-input"]
HTML(study.provenance_html())
