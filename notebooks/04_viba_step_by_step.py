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
# # VIBA step by step
#
# ```{admonition} What you will see
# - one face and one flow map, explained in the five steps of the method
# - the optimisation: how the prediction is kept while information is given up
# - whether the map finds the planted artefact
# ```

# %% tags=["parameters"]
profile = "quick"
data_root = "../data"
results_root = "../results"
device = "cpu"
seed = 0
clip = 0  # which of the held-out fake videos

# %% tags=["remove-input"]
from IPython.display import HTML

from viba_lib.study import Study

study = Study(profile, data_root, results_root, device, seed)
HTML(study.banner())

# %% [markdown]
# ## Step 1: a frame and its prediction
#
# We take a held-out fake that the detector finds, so that there is something to explain.

# %%
from viba_lib import figures

found = study.predictions("xception").query("split == 'test' and label == 1 and judged")
best = found.sort_values("p_fake", ascending=False).drop_duplicates("video_id")
row = best.iloc[[clip % len(best)]]
picture, mask = study.images("xception", row), study.masks("xception", row)

# %% tags=["remove-input"]
HTML(
    f"<p>The method is <i>{row.method.iloc[0]}</i>, and the detector gives "
    f"{row.p_fake.iloc[0]:.2f} as the probability of fake.</p>"
)

# %% [markdown]
# ## Step 2: statistics of the layer
#
# The noise must look like the layer's own activations: mean and standard deviation of each unit over
# training frames.

# %%
layer = study.layer("xception")
statistics = study.statistics("xception", layer)

# %% mystnb={"image": {"alt": "Three heat maps side by side: mean activation of the layer, its standard deviation, and the activation of this frame, each averaged over channels."}, "figure": {"caption": "Mean and standard deviation of the layer over training frames, and this frame's activation; averages over channels.", "name": "fig-statistics"}}
from viba_lib.bottleneck.tail import CutModel

inputs = study.inputs("xception", row)
activation = CutModel(study.detector("xception"), layer).head(inputs)[0]
shown = {"mean": statistics.mean, "standard deviation": statistics.std, "this frame": activation}
figures.maps_row({k: v.float().mean(0).numpy() for k, v in shown.items()})

# %% [markdown]
# ## Step 3: inject noise
#
# Eq. (1) mixes the layer's activation with noise of those statistics, $Z = \lambda R + (1-\lambda)\,\varepsilon$.
# First with one $\lambda$ for the whole layer. At $\lambda = 1$ the detector says what it said above; at 0 it
# sees noise alone, and its answer knows nothing of the frame. Where in between does it let go?

# %% mystnb={"image": {"alt": "Probability of fake over the share of signal lambda: dots of single draws of noise, and their mean; at lambda 1 all draws meet at the prediction without noise."}, "figure": {"caption": "Probability of fake of this frame when the whole layer is mixed with noise, over the share of signal lambda: eight draws of noise each, and their mean.", "name": "fig-noise"}}
from viba_lib.injection import noise_response

response = noise_response(study, "xception", row)
figures.draws(response, "lambda", "p_fake", "share of signal, lambda", "probability of fake")

# %% [markdown]
# One $\lambda$ for all units treats the artefact like the wall behind it. The bottleneck asks the finer
# question: which units may be noise, so that the answer stays?
#
# ## Step 4: optimise
#
# Each unit of the layer gets its own $\lambda$, which starts near 1. Adam lowers
#
# $$ \mathcal L(\theta, \lambda(X)) + \beta\, I(R; Z), $$ (eq-objective)
#
# Eq. (2) of the paper. Expect the information to fall steeply and the cross-entropy to end low: most of the layer is
# not needed for this prediction. A peak on the way is a step in which too much had become noise; the next takes it back.

# %%
bottleneck = study.bottleneck("xception", layer)
attribution = bottleneck.attribute(inputs)

# %% mystnb={"image": {"alt": "Two curves over the steps of the optimisation: cross-entropy, and information, which falls steeply."}, "figure": {"caption": "Cross-entropy of the predicted class and information per unit over the steps.", "name": "fig-history"}}
figures.history_plot(attribution.history)

# %% [markdown]
# ## Step 5: the map
#
# What was kept, summed over channels and spread over the pixels, in bits per pixel.

# %% mystnb={"image": {"alt": "The face crop with the planted region outlined, and below it the relevance map over the crop."}, "figure": {"caption": "The frame and its map; the planted region is outlined.", "name": "fig-face-map"}}
maps = attribution.bits_per_pixel.numpy()
figures.relevance_grid(picture, maps, mask, [f"{maps.sum():.0f} bits"])

# %%
from viba_lib.evaluation.faithfulness import mass_inside, mass_ratio

inside, ratio = mass_inside(maps[0], mask[0]), mass_ratio(maps[0], mask[0])
after = attribution.logits.softmax(1)[0, 1].item()

# %% tags=["remove-input"]
HTML(
    f"<p>{inside:.0%} of the bits lie inside the planted mask, {ratio:.1f} times the mask's share of the "
    f"frame (chance is 1). With the bottleneck in place the probability of fake is {after:.2f}.</p>"
)

# %% [markdown]
# One frame proves little. Over all explained held-out fake frames:

# %%
from viba_lib.tables.localisation import localisation

places = localisation(study, "xception")
means = places.groupby("method")[["inside", "area", "ratio", "hit"]].mean()
study.save_table("localisation", places, means.round(2))

# %% tags=["remove-input"]
HTML(
    f"<p>Over {len(places)} frames of {places.video_id.nunique()} videos, relevance inside the mask is "
    f"{places.ratio.mean():.1f} times the mask's share, and the strongest pixel lies inside in "
    f"{places.hit.mean():.0%}; a pixel at random would in {places.area.mean():.0%}.</p>"
)

# %% [markdown]
# ## The same for motion
#
# The flow detector is explained in the same five steps; only the input differs.

# %%
found = study.predictions("flow-vgg11").query("split == 'test' and label == 1 and judged")
best = found.sort_values("p_fake", ascending=False).drop_duplicates("video_id")
row = best.iloc[[clip % len(best)]]
attribution = study.bottleneck("flow-vgg11").attribute(study.inputs("flow-vgg11", row))

# %% mystnb={"image": {"alt": "A colour-coded flow map with the disturbed region outlined, and below it the relevance map."}, "figure": {"caption": "A flow map and what the flow detector needed of it; the disturbed region is outlined.", "name": "fig-flow-map"}}
picture, mask = study.images("flow-vgg11", row), study.masks("flow-vgg11", row)
maps = attribution.bits_per_pixel.numpy()
figures.relevance_grid(picture, maps, mask, [f"{row.method.iloc[0]}, {maps.sum():.0f} bits"])

# %% [markdown]
# ## Summary
# - Statistics, noise, optimisation, capacity, map: five steps, one class, `PerSampleBottleneck`.
# - The map adds up to the bits that the layer had to keep.

# %% tags=["remove-input"]
HTML(study.provenance_html())
