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
# A detector calls a face fake. Which part of the frame made it say so? This chapter answers for one face and for one
# picture of motion, in the five steps of the method, and checks the answer against the artefact that was planted.
#
# ```{admonition} What you will learn
# :class: tip
# - to carry out the five steps: prediction, statistics, noise, optimisation, map
# - what each symbol of the paper's Eq. (1) and (2) stands for, and where to see it
# - how the prediction is kept while information is given up
# - to judge a map against a place that is known
# ```
#
# ```{admonition} What you need first
# :class: note
# | Concept | Why | Where |
# |---|---|---|
# | A channel with noise, bits | the idea behind every step | {doc}`/notebooks/01_information_bottleneck` |
# | {term}`Planted artefact` | the answer that we check against | {doc}`/notebooks/02_dataset_construction` |
# | The two detectors | they are what is explained | {doc}`/notebooks/03_detectors` |
# | Symbols | all in one table | {doc}`/book/notation` |
# ```
#
# <!-- time -->
#
# The network stays as it is. Between two of its layers a noisy {term}`channel <Channel>`, the {term}`Bottleneck`, is put in, after the
# {term}`Injection layer`. What can become noise there without changing the answer was not needed; what cannot is the
# explanation. No label is used: the bottleneck keeps what the detector *said*, right or wrong.

# %% tags=["parameters"]
profile = "quick"
data_root = "../data"
results_root = "../results"
device = "cpu"
seed = 0
clip = 0  # which of the held-out fake videos; at least 0

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
# The noise must look like the layer's own activations, so we measure mean $\mu_R$ and standard deviation $\sigma_R$ of each unit
# over training frames. Expect the mean to look like an average face, if the layer still knows places, and this frame to
# differ from it where this face does.

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
# The paper's Eq. (1) mixes the layer's activation $R$ with noise $\varepsilon$ of those statistics,
#
# $$ Z = \lambda R + (1-\lambda)\,\varepsilon, \qquad \varepsilon \sim \mathcal N(\mu_R, \sigma_R^2). $$ (eq-step-channel)
#
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
# Eq. (2) of the paper: $\mathcal L$ is the cross-entropy of the class that the detector predicted, $\theta$ its weights, which
# stay, and $I(R; Z)$ the information that passes, counted as in {eq}`eq-idea-kl`. Expect the information to fall steeply and the cross-entropy to end low: most of the layer is
# not needed for this prediction. A peak on the way is a step in which too much had become noise; the next takes it back.

# %%
bottleneck = study.bottleneck("xception", layer)
attribution = bottleneck.attribute(inputs)

# %% mystnb={"image": {"alt": "Two curves over the steps of the optimisation: cross-entropy, and information, which falls steeply."}, "figure": {"caption": "Cross-entropy of the predicted class and information per unit over the steps.", "name": "fig-history"}}
figures.history_plot(attribution.history)

# %% [markdown]
# ## Step 5: the map
#
# What was kept is a number of bits for each unit, its {term}`Capacity`. Summed over channels and spread over the pixels it is
# the map, in {term}`bits per pixel <Bits per pixel>`. Expect the heat on the outlined region, coarser than the region itself: a
# unit of the layer sees a patch of many pixels.

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

# %% [markdown]
# Look at the outline and the heat. Here the cause lies between two frames: the outlined region moved otherwise than the face
# around it, and no single frame shows it. What the detector needs is the *contrast* of two motions, so heat may lie at the
# border of the region, on either side of it, and not in its middle.
#
# ## Exercises
#
# ```{exercise} The channel by hand
# :label: ex-mix-by-hand
# Write `mixed(r, lam, noise, mean, std)`, Eq. {eq}`eq-step-channel` for an activation `r` with the layer's `mean` and `std` and
# standard normal `noise`. What should come out for $\lambda = 1$ and for $\lambda = 0$? Try it on `activation`.
# ```
#
# ```{solution-start} ex-mix-by-hand
# :class: dropdown
# ```

# %% tags=["solution"]
import torch


def mixed(r, lam, noise, mean, std):
    """What leaves the bottleneck."""
    return lam * r + (1 - lam) * (mean + std * noise)


noise = torch.randn(activation.shape, generator=torch.Generator().manual_seed(seed))
kept = {
    lam: mixed(activation, lam, noise, statistics.mean, statistics.std) for lam in (1.0, 0.5, 0.0)
}
{lam: round(float((z - activation).abs().mean()), 3) for lam, z in kept.items()}

# %% tags=["check", "remove-cell"]
still = torch.zeros_like(activation)
assert torch.equal(mixed(activation, 1.0, noise, statistics.mean, statistics.std), activation)
assert torch.allclose(
    mixed(activation, 0.0, still, statistics.mean, statistics.std),
    statistics.mean.expand_as(activation),
)

# %% [markdown]
# At 1 nothing changes; at 0 the activation is gone, and what stands in its place looks like the layer on some other picture. That
# is why the noise has the layer's own mean and spread: the layers after it have seen such things.
#
# ```{solution-end}
# ```
#
# ```{exercise} Do the bits add up?
# :label: ex-bits-add-up
# The map of the flow frame is in bits per pixel, `attribution.capacity` in bits per unit of the layer. Compute the total of both, `of_map` and
# `of_layer`. Then find the share of channels, `busiest`, that hold half of all bits: the least number of channels whose capacity adds up to
# one half, over their number.
# ```
#
# ```{solution-start} ex-bits-add-up
# :class: dropdown
# ```

# %% tags=["solution"]
of_map = attribution.bits_per_pixel.sum().item()
of_layer = attribution.capacity.sum().item()
channels = attribution.capacity[0].sum((1, 2)).sort(descending=True).values
reached = (channels.cumsum(0) < channels.sum() / 2).sum().item() + 1
busiest = min(reached, len(channels)) / len(channels)
print(
    f"{of_map:.1f} bits in the map, {of_layer:.1f} in the layer; half of them in {busiest:.0%} of the channels"
)

# %% tags=["check", "remove-cell"]
assert abs(of_map - of_layer) <= 1e-3 * max(of_layer, 1)
assert 0 < busiest <= 1 and float(
    channels[: round(busiest * len(channels))].sum()
) >= 0.499 * float(channels.sum())

# %% [markdown]
# The totals agree: enlarging a map to the size of the frame must not make bits. If few channels hold half of the bits, the decision
# rests on few of the layer's features, wherever these are in the frame.
#
# ```{solution-end}
# ```
#
# ## Common misconceptions
#
# - **"The bottleneck changes the detector."** Its weights stay as they are. Noise is put between two layers, and only $\lambda$ is
#   optimised, anew for every frame.
# - **"The map shows where the frame was altered."** It shows what this detector needed. The two coincide where the detector is
#   good, and the outline is there to tell.
# - **"Dark means that nothing is there."** It means that nothing there was needed. If the artefact is seen twice, one half may do.
# - **"The map has the resolution of the picture."** It has that of the layer, and is only drawn larger.
#
# ## Quiz
#
# **1. Which of these is optimised?**
#
# - a) the weights of the detector
# - b) one $\lambda$ for each unit of the layer, for this frame
# - c) one $\lambda$ for each channel, for all frames
#
# ```{dropdown} Answer to question 1
# **b.** The detector is frozen, and the next frame starts anew. A network that predicts $\lambda$ for all frames is the
# {term}`Readout bottleneck` of {doc}`/notebooks/06_bottleneck_type`.
# ```
#
# **2. Why does the noise have the mean and spread of the layer?**
#
# - a) so that the layers after it get what they are used to
# - b) so that the map is brighter
# - c) because normal noise needs no parameters
#
# ```{dropdown} Answer to question 2
# **a.** Other noise would change the answer by being strange, and not because information is missing.
# ```
#
# **3. The probability of fake with the bottleneck is lower than without, but still above one half. What has happened?**
#
# - a) the map is useless
# - b) some evidence was given up, since it cost more bits than it was worth at this $\beta$
# - c) the detector was wrong
#
# ```{dropdown} Answer to question 3
# **b.** The objective {eq}`eq-objective` weighs both. A smaller $\beta$ keeps more of the probability and more bits.
# ```
#
# ## Summary
#
# - Statistics, noise, optimisation, capacity, map: five steps, one class, `PerSampleBottleneck`.
# - The noise looks like the layer; $\lambda$ says how much of the layer is let through; $\beta$ is the price of a bit.
# - The map adds up to the bits that the layer had to keep.
# - One frame proves little; over many, relevance is compared with chance.
#
# ## What next
#
# - Why this layer and not another: {doc}`/notebooks/05_injection_layer`.
# - What all this does to the detector's decisions: {doc}`/notebooks/08_detection_performance`.
# - Your own network in ten lines: {doc}`/book/own_model`.
#
# ## References
#
# - {cite:t}`solopova2024`: Section 3.3, Eq. (1) and (2), and the injection layers of both detectors.
# - {cite:t}`schulz2020`: the per-sample bottleneck, with the settings that are the defaults here.
# - {cite:t}`shiohara2022sbi`: {term}`self-blended images <Self-blended image>`, from which the planted artefacts are made.

# %% tags=["remove-input"]
HTML(study.provenance_html())
