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
# Which part of a frame does a detector need to call it fake? This chapter explains the decision for one face and one
# optical-flow field, in the five steps of the method, and compares the map with the planted artefact.
#
# ```{admonition} What you will learn
# :class: tip
# - to carry out the five steps: prediction, statistics, noise, optimisation, map
# - to find each symbol of Eq. (1) and (2) of the paper in the code and in a figure
# - to explain how the optimisation keeps the prediction and reduces the information, and how the information is
#   estimated in bits
# - to evaluate a map with a known artefact, and to check whether the prediction was preserved
# ```
#
# ```{admonition} What you need first
# :class: note
# | Concept | Why | Where |
# |---|---|---|
# | A channel with noise, bits | the idea of every step | {doc}`/notebooks/01_information_bottleneck` |
# | {term}`Planted artefact` | the ground truth of the map | {doc}`/notebooks/02_dataset_construction` |
# | The two detectors | their decisions are explained | {doc}`/notebooks/03_detectors` |
# | Symbols | all in one table | {doc}`/book/notation` |
# ```
#
# <!-- time -->
#
# The network itself does not change. A noisy {term}`channel <Channel>`, the {term}`Bottleneck`, is inserted after the
# {term}`Injection layer`. Units that can be replaced by noise without a change of the prediction are not necessary. The
# other units are the explanation. The method uses no label: the bottleneck preserves the *prediction* of the detector,
# whether it is correct or not.
#
# The text describes the method, and the code can be skipped. The symbols are:
#
# | Symbol | Meaning | Step |
# |---|---|---|
# | $X$ | the input: a face crop, or an optical-flow field | 1 |
# | $\theta$ | the weights of the detector, which never change | 1 |
# | $R$ | the output of the injection layer for $X$: $C$ channels of $h \times w$ locations; each number is a *unit* | 2 |
# | $\mu_R$, $\sigma_R$ | mean and standard deviation of each unit over training frames | 2 |
# | $\varepsilon$ | noise of that mean and standard deviation | 3 |
# | $\lambda$ | signal fraction, between 0 and 1, one for each unit | 3 |
# | $Z$ | the output of the bottleneck, which is the input of the rest of the network | 3 |
# | $\alpha$ | the unconstrained parameter of each $\lambda$, which is optimised | 4 |
# | $\mathcal L$ | {term}`Cross-entropy` of the class that the detector predicted | 4 |
# | $I(R; Z)$, $D$ | {term}`Mutual information` of $R$ and $Z$, and its {term}`estimate <Information estimate>` per unit | 4 |
# | $\beta$ | trade-off weight of the information | 4 |
# | $B$ | the map, in bits per pixel | 5 |

# %% tags=["parameters"]
profile = "quick"
data_root = "../data"
results_root = "../results"
device = "cpu"
seed = 0
clip = 0  # which example: 0 the median frame, 1 and up its neighbours; at least 0

# %% tags=["remove-input"]
from IPython.display import HTML

from viba_lib.book.injected import check_injected
from viba_lib.pipeline.study import Study
from viba_lib.visual.prose import prose

check_injected()
study = Study(profile, data_root, results_root, device, seed)
HTML(study.banner())

# %% [markdown]
# (step-frame)=
# ## Step 1: a frame and its prediction
#
# The detector computes a probability of each class for the input $X$ as usual. The more probable class is the target of
# the explanation.
#
# The example is chosen by a rule that does not favour good maps. All explained test fakes that the detector classifies
# as fake are sorted by their relevance mass ratio (the fraction of relevance inside the planted mask over the mask's
# fraction of the frame). The example is the frame in the middle of this order: the *median*. Without masks, the order
# is that of the probability of fake. `clip` = 1, 2, ... shows the neighbours of the median.

# %%
from viba_lib.experiments.localisation import (
    example_frame,
    example_text,
    localisation,
    localisation_text,
    settings_text,
)
from viba_lib.visual import map_figures, result_figures

places = localisation(study, "xception")
row = example_frame(study.predictions("xception"), places, clip)
picture, mask = study.images("xception", row), study.masks("xception", row)

# %% tags=["remove-input"]
prose(example_text(row.iloc[0]))

# %% [markdown]
# (step-statistics)=
# ## Step 2: statistics of the layer
#
# The layer maps the frame to $R$, which consists of $C$ channels of $h \times w$ locations. The noise must have the
# statistics of such activations. Otherwise the layers downstream would react to values that no training frame has
# caused. Therefore the mean $\mu_R$ and the standard deviation $\sigma_R$ of each unit are measured over training frames,
# and the activations of this frame are expressed as z-scores,
#
# $$ r' = \frac{r - \mu_R}{\sigma_R}: $$ (eq-step-unit)
#
# 0 is the mean of the unit over training frames, and 3 is a rare value. A unit that hardly varies is left out. It is
# zero from here on.
#
# The figure shows averages over channels. If the layer preserves spatial positions, expect the mean to look like an
# average face, and this frame to differ from it at the locations at which this face differs.

# %%
layer = study.layer("xception")
statistics = study.statistics("xception", layer)

# %% mystnb={"image": {"alt": "Three heat maps side by side: mean activation of the layer, its standard deviation, and the activation of this frame, each averaged over channels."}, "figure": {"caption": "Mean and standard deviation of the layer over training frames, and this frame's activation; averages over channels.", "name": "fig-statistics"}}
from viba_lib.bottleneck.split import SplitModel

inputs = study.inputs("xception", row)
split = SplitModel(study.detector("xception"), layer)
activation, context = split.head(inputs.to(device))
activation = activation[0].cpu()
shown = {
    "mean": statistics.mean,
    "standard deviation": statistics.std,
    "this frame": activation,
}
map_figures.maps_row({k: v.float().mean(0).numpy() for k, v in shown.items()})

# %% tags=["remove-input"]
usual = ((activation - statistics.mean) / statistics.std)[
    statistics.active
].abs()
prose(
    f"The layer has {activation.shape[0]} channels of {activation.shape[1]} by {activation.shape[2]} locations, "
    f"{activation.numel():,} units in all; {statistics.active.float().mean():.0%} of them vary. In this frame "
    f"{(usual < 1).float().mean():.0%} of those lie within one standard deviation of their mean, and "
    f"{(usual > 3).float().mean():.1%} lie more than three away from it."
)

# %% [markdown]
# A bright location in the right image is active, but not necessarily relevant, because no prediction has been used yet.
#
# (step-noise)=
# ## Step 3: noise injection
#
# Eq. (1) of the paper mixes the layer's activation $R$ with noise $\varepsilon$ of those statistics,
#
# $$ Z = \lambda R + (1-\lambda)\,\varepsilon, \qquad \varepsilon \sim \mathcal N(\mu_R, \sigma_R^2). $$ (eq-step-channel)
#
# The product is taken for each unit, and the rest of the network receives $Z$ instead of $R$. The first experiment uses
# one $\lambda$ for the whole layer. At $\lambda = 1$ the prediction should be that of step 1. At $\lambda = 0$ the
# network receives noise only, and its output does not depend on the frame. At which $\lambda$ does the prediction
# change? Each dot in the figure is one sample of the noise. Expect the dots to coincide at $\lambda = 1$, and to differ
# if the noise determines the prediction.

# %% mystnb={"image": {"alt": "Probability of fake over the signal fraction lambda: dots of single samples of the noise, and their mean; at lambda 1 all samples coincide at the prediction without noise."}, "figure": {"caption": "Probability of fake of this frame when the whole layer is mixed with noise, over the signal fraction lambda: eight samples of the noise each, and their mean.", "name": "fig-noise"}}
import numpy as np
import pandas as pd
import torch

generator = torch.Generator().manual_seed(seed)
noise = torch.randn(8, *activation.shape, generator=generator)
noise = noise * statistics.std + statistics.mean
response = {}
for lam in np.linspace(0, 1, 11):
    z = (lam * activation + (1 - lam) * noise) * statistics.active
    with torch.inference_mode():
        logits = split.tail(z.to(device), context, len(noise)).float().cpu()
    response[lam] = logits.softmax(1)[:, 1].numpy()
response = pd.DataFrame(response).melt(var_name="lambda", value_name="p_fake")
result_figures.draws(
    response,
    "lambda",
    "p_fake",
    "signal fraction, lambda",
    "probability of fake",
)

# %% tags=["remove-input"]
over = response.groupby("lambda").p_fake.agg(["mean", "std"])
prose(
    f"At λ = 1 the probability of fake is {over['mean'].iloc[-1]:.2f}. On noise alone it is "
    f"{over['mean'].iloc[0]:.2f}, the mean of the samples. The samples differ most at λ = {over['std'].idxmax():.1f}, with a "
    f"standard deviation of {over['std'].max():.2f}."
)

# %% [markdown]
# At $\lambda = 0$ the output shows how the detector classifies noise with the statistics of this layer. Each unit has its
# own mean and standard deviation, but the units are not correlated as those of a frame are. One $\lambda$ for all units
# treats the artefact and the background in the same way. The bottleneck therefore optimises one $\lambda$ for
# each unit.
#
# (step-optimisation)=
# ## Step 4: optimisation
#
# Each unit of the layer gets its own $\lambda$. The optimisation has two conflicting aims. The detector should still
# predict its class, so $\lambda$ must stay high for necessary units. The transmitted information should be small, so
# $\lambda$ must fall for all other units. Eq. (2) of the paper weighs these aims,
#
# $$ \min_{\lambda(X)} \; \mathcal L(\theta, \lambda(X)) + \beta\, I(R; Z). $$ (eq-objective)
#
# **The loss** $\mathcal L$ is the {term}`Cross-entropy` of the class that the detector predicted in step 1, computed
# with $Z$ instead of $R$ and averaged over samples of the noise. The weights $\theta$ are frozen, and only $\lambda(X)$
# of this one frame changes.
#
# **The information** $I(R; Z)$ cannot be computed, because the distribution of $Z$ over all inputs is unknown. It is
# replaced by an estimate, the {term}`divergence <Kullback-Leibler divergence>` of the transmitted signal from pure
# noise. For a unit with activation $r'$, see {eq}`eq-step-unit`, the transmitted signal is normal with mean
# $\lambda r'$ and standard deviation $1 - \lambda$, so that, as in {eq}`eq-idea-kl`,
#
# $$ D = \frac{1}{2 \ln 2} \Bigl( (\lambda r')^2 + (1-\lambda)^2 - 1 - \ln (1-\lambda)^2 \Bigr) \quad \text{bits}. $$ (eq-step-bits)
#
# At $\lambda = 0$ the estimate is 0, and near 1 it grows without limit. A rare activation, far from 0, has more bits
# than an ordinary one.
#
# The estimate takes the noise as the distribution of $Z$: a Gaussian for each unit, and all units independent. Only its
# mean over inputs is an upper bound of the mutual information; the value of one frame is not a bound
# ({doc}`/notebooks/01_information_bottleneck`). In the method $\lambda(X)$ depends on the input as well. The mean is
# then a bound of $I(X; Z)$, which is at least $I(R; Z)$.
#
# **The signal fraction** $\lambda$ must stay between 0 and 1. It is the sigmoid of an unconstrained parameter,
#
# $$ \lambda = g * \frac{1}{1 + e^{-\alpha}}, $$ (eq-step-share)
#
# smoothed over neighbouring locations by a small Gaussian $g$, so that the map does not consist of isolated units. The
# optimisation starts at $\alpha = 5$, which transmits almost the complete signal.
#
# ```{admonition} One β, two scales
# :class: note
# The paper writes $I(R; Z)$ for the complete layer and does not say how it is estimated. The estimate of a layer is a sum over its units.
# The library, like the implementation of {cite:t}`schulz2020`, takes the mean, so that one $\beta$ has the same effect on each unit for every size of the layer; see
# {doc}`/book/notation`. Losses are in {term}`nats <Nat>`, and so is the information in the next figure.
# ```
#
# Near $\lambda = 1$ the cross-entropy has almost no gradient. To save time, the profiles `quick` and `standard` follow the
# information alone in the first steps, without noise. Each further step uses one sample of the noise, and every second step
# uses the sample of the previous step with the opposite sign. The profile `paper` and the defaults of the library use ten
# samples in each step, as the reference does. {doc}`/notebooks/speed` compares
# the maps of both.
#
# Adam optimises $\alpha$ for a few steps. Expect the information to fall steeply and the cross-entropy to end at a low
# value, because most of the layer is not necessary for this prediction. A peak of the cross-entropy is a step in which
# too many units became noise. The next step corrects it.

# %%
bottleneck = study.bottleneck("xception", layer)
attribution = bottleneck.attribute(inputs, with_lam=True)

# %% mystnb={"image": {"alt": "Two curves over the steps of the optimisation: cross-entropy, and information, which falls steeply."}, "figure": {"caption": "Cross-entropy of the predicted class and information per unit over the steps.", "name": "fig-history"}}
map_figures.history_plot(attribution.history)

# %% tags=["remove-input"]
from viba_lib.core.words import plural

settings = bottleneck.settings
lost, said = (
    attribution.history[k][:, 0].tolist()
    for k in ("information_loss", "model_loss")
)
prose(
    f"With β = {settings.beta:g} and {settings.steps} steps, of which the first {settings.information_steps} follow the "
    f"information alone and each further one uses {plural(settings.noise_samples, 'sample')} of the noise, the "
    f"information went from {lost[0]:.2f} to {lost[-1]:.2f} nats per unit, and the cross-entropy from {said[0]:.2f} to "
    f"{said[-1]:.2f} nats."
)

# %% [markdown]
# The curve of the cross-entropy shows whether the prediction was preserved. A value of $\ln 2$, about 0.69, is that of
# a random guess. The curve of the information shows how much information this needed. A low information is useful only
# if the cross-entropy is low as well.
#
# (step-map)=
# ## Step 5: the map
#
# The optimised $\lambda$ gives a number of bits $D$ for each unit, its {term}`Capacity`. The map $B$ is the sum over
# the $C$ channels, enlarged to the $H \times W$ pixels of the input,
#
# $$ B = s \cdot \operatorname{enlarge}_{H \times W} \Bigl( \sum_{c=1}^{C} D_c \Bigr), \qquad
#    \sum_{x, y} B_{xy} = \sum_{c, i, j} D_{cij}. $$ (eq-step-map)
#
# The number $s$ is chosen such that the second equation holds, because enlarging must not change the total. The map is
# therefore in {term}`bits per pixel <Bits per pixel>`, and its total is the sum of the estimates of all units.
#
# The figure shows the optimised $\lambda$ and the estimate that follows from it. Expect the two to be similar but not
# equal: by {eq}`eq-step-bits` the same $\lambda$ has more bits if the activation is rare.

# %% mystnb={"image": {"alt": "Two heat maps of the layer's locations side by side: the signal fraction lambda, averaged over channels, and the capacity in bits, summed over channels."}, "figure": {"caption": "Result of the optimisation by location: the signal fraction, mean over channels, and the capacity in bits, sum over channels.", "name": "fig-share-and-bits"}}
share, bits = attribution.lam[0].mean(0), attribution.capacity[0].sum(0)
map_figures.maps_row(
    {"signal fraction, lambda": share.numpy(), "capacity (bits)": bits.numpy()}
)

# %% tags=["remove-input"]
from viba_lib.experiments.information_gap import total_text

prose(total_text(attribution.capacity[0].numpy()))

# %% [markdown]
# The map is the enlarged right image. Expect high relevance on the outlined region, with a lower resolution than the
# region itself, because a unit of the layer depends on a patch of many pixels.

# %% mystnb={"image": {"alt": "The face crop with the planted region outlined, and below it the relevance map over the crop."}, "figure": {"caption": "The frame and its map; the planted region is outlined.", "name": "fig-face-map"}}
maps = attribution.bits_per_pixel.numpy()
map_figures.relevance_grid(picture, maps, mask, [f"{maps.sum():.0f} bits"])

# %%
from viba_lib.evaluation.faithfulness import mass_inside, mass_ratio
from viba_lib.experiments.common import no_masks

inside, ratio = mass_inside(maps[0], mask[0]), mass_ratio(maps[0], mask[0])
after = attribution.logits.softmax(1)[0, 1].item()

# %% tags=["remove-input"]
place = no_masks(ratio, "the fraction of bits inside it") or (
    f"{inside:.0%} of the bits lie inside the planted mask, {ratio:.1f} times the mask's fraction of the "
    "frame (chance is 1)."
)
prose(
    f"{place} With the bottleneck in place the probability of fake is {after:.2f}."
)

# %% [markdown]
# Check three properties of the map: whether the highest relevance is inside the outline, how much relevance lies
# outside it, and the total under the map. Relevance outside the outline does not prove that a map is wrong. The
# detector may use the seam, or another part of the face for comparison. The map shows the information that *this
# detector* needed.
#
# The example is typical by the rule of step 1, but it is one frame. The table has the means over all explained test
# fakes, for each method: `inside` (the fraction of relevance inside the mask), `area` (the mask's fraction of the
# frame), `ratio` (`inside` over `area`; chance is 1), `hit` (the strongest pixel lies inside the mask), and `called fake`,
# the fraction of frames that the detector calls fake. The map of a frame that it calls real explains the answer "real",
# so the text below reports the two groups separately. Expect large differences between methods: a map can be far above chance for one
# artefact and below it for another.

# %%
places["called fake"] = places.p_fake > 0.5
shown = ["inside", "area", "ratio", "hit", "called fake"]
means = places.groupby("method")[shown].mean()
unknown = no_masks(places.ratio, "the localisation")
study.save_table("localisation", places, means.round(2), unknown)

# %% tags=["remove-input"]
from viba_lib.experiments.common import Bootstrap

prose(localisation_text(places, Bootstrap.of(study))) if not unknown else None

# %% [markdown]
# A ratio below 1 says that the map has less relevance on the artefact than an input-agnostic map would have. This can
# have two causes. The detector may use another feature, such as the seam around the region. The map is then correct,
# and the mask is not the region that the detector uses. The other possible cause is an incorrect map. The mask alone
# cannot distinguish the two causes; {doc}`/notebooks/12_faithfulness` tests whether the decision depends on the marked
# pixels.

# %% [markdown]
# ## Explanation of the motion detector
#
# The motion detector is explained in the same five steps with a different input, and with the β of the profile for motion.
# In `quick` and `standard` it is the largest of a few that keeps nine of ten decisions on validation frames
# ({ref}`viba bench beta <bench-beta>`). Totals in bits of the two detectors cannot be compared, because their layers differ. The input is the
# {term}`optical flow <Optical flow>` from one frame to the next, shown in colour: the hue is the direction, and the
# brightness is the speed. One map therefore explains a pair of frames. The example is the median frame by the same
# rule. Expect high relevance on the outlined region with the disturbed motion, and lower relevance on motion that all
# faces share.

# %%
moved = localisation(study, "flow-vgg11")
row = example_frame(study.predictions("flow-vgg11"), moved, clip)
motion = study.bottleneck("flow-vgg11").attribute(
    study.inputs("flow-vgg11", row)
)

# %% mystnb={"image": {"alt": "A colour-coded flow map with the disturbed region outlined, and below it the relevance map."}, "figure": {"caption": "A flow map and its relevance map for the motion detector; the disturbed region is outlined.", "name": "fig-flow-map"}}
picture, mask = study.images("flow-vgg11", row), study.masks("flow-vgg11", row)
maps = motion.bits_per_pixel.numpy()
map_figures.relevance_grid(
    picture, maps, mask, [f"{row.method.iloc[0]}, {maps.sum():.0f} bits"]
)

# %% tags=["remove-input"]
known = not no_masks(moved.ratio, "the localisation")
of_motion = localisation_text(moved, Bootstrap.of(study)) if known else ""
beta = study.bottleneck("flow-vgg11").settings.beta
prose(
    f"{example_text(row.iloc[0])} β is {beta:g}. {of_motion}"
)

# %% [markdown]
# The artefact of this example lies between two frames. The outlined region moved differently from the face around it,
# which a single frame does not show. Relevance in the middle of the region says that its own motion was necessary.
# Relevance along its border says that the *contrast* of two motions was necessary.
#
# ## Preservation of the prediction
#
# A map explains a prediction only if the bottleneck preserves it. The last check is therefore the probability of fake
# with the bottleneck in place. The reference implementation uses ten steps. They may end shortly after a peak like that
# of step 4, when too many units are noise and no step is left to correct this. There are two remedies, more steps and a
# lower $\beta$. The bottleneck is optimised for the predicted class, so its probability can also be higher than without
# a bottleneck. A lower $\beta$ should give more bits; the last row has a tenth of the $\beta$ of the map above. The
# fraction inside the mask shows whether the relevance stays at its location.

# %%
tried = {"as above": motion}
for name, setting in {
    "40 steps": {"steps": 40},
    f"beta {beta / 10:g}": {"beta": beta / 10},
}.items():
    other = study.bottleneck("flow-vgg11", **setting)
    tried[name] = other.attribute(study.inputs("flow-vgg11", row))

# %% tags=["remove-input"]
import pandas as pd

survived = pd.DataFrame(
    {
        "probability of fake": {
            k: a.logits.softmax(1)[0, 1].item() for k, a in tried.items()
        },
        "bits": {k: a.capacity.sum().item() for k, a in tried.items()},
        "fraction inside the mask": {
            k: mass_inside(a.bits_per_pixel[0].numpy(), mask[0])
            for k, a in tried.items()
        },
    }
)
survived.dropna(axis=1).round(2)

# %% tags=["remove-input"]
before, after = (
    x.softmax(1)[0, 1].item() for x in (motion.logits_clean, motion.logits)
)
kept = (before > 0.5) == (after > 0.5)
inside = f" {mask.mean():.0%} of the image lies inside it." if mask.any() else ""
prose(
    f"{settings_text(survived.dropna(axis=1), before)}{inside} The prediction of the map above was "
    f"{'preserved' if kept else 'lost'} at the last step."
)

# %% [markdown]
# If the prediction was lost, a map shows only a part of the information that was necessary. If the fraction inside the
# mask differs between the rows, the location of the relevance depends on the settings as well, and not only its strength.
# Check the probability before you interpret a map. {doc}`/notebooks/08_detection_performance` counts how often decisions change,
# and {doc}`/notebooks/speed` measures how the map changes with the number of steps.
#
# ## Exercises
#
# ```{exercise} The channel by hand
# :label: ex-mix-by-hand
# Write `mixed(r, lam, noise, mean, std)`, the channel {eq}`eq-step-channel` for an activation `r` with the layer's `mean` and
# `std` and standard normal `noise`. Then write `by_hand(lam)`: the logits (2 numbers) of the detector when one `lam`
# holds for the whole layer of this face. The cell below defines the noise `white`, and `by_bottleneck(lam)`, the logits
# of the library's bottleneck with this noise. Use `split.tail(z[None].to(device), context)[0]` for the layers after the
# bottleneck. Multiply `z` by `statistics.active` before, because units that hardly vary are left out.
#
# Which result do you expect at $\lambda = 1$, and which at $\lambda = 0$? Which logits does the bottleneck give at 0
# for this face *mirrored*? Call its logits for the face and for the mirrored face `at_zero` (2 rows).
# ```

# %%
import torch

white = torch.randn(
    activation.shape, generator=torch.Generator().manual_seed(seed)
)
mean, std = (
    statistics.mean,
    statistics.std.clamp_min(bottleneck.settings.min_std),
)
exact = study.bottleneck("xception", layer, precision="float32")


def by_bottleneck(lam, frames=inputs):
    """Logits with the library's bottleneck, one lambda for all its units."""
    lams = torch.full((len(frames), *activation.shape), float(lam))
    return exact.predict_under_noise(frames, lams, samples=1, seed=seed)[0]


# %% [markdown]
# ```{solution-start} ex-mix-by-hand
# :class: dropdown
# ```


# %% tags=["solution"]
def mixed(r, lam, noise, mean, std):
    """Output of the bottleneck."""
    return lam * r + (1 - lam) * (mean + std * noise)


def by_hand(lam):
    """Logits of the detector with one lambda for the whole layer."""
    z = mixed(activation, lam, white, mean, std) * statistics.active
    with torch.no_grad():
        return split.tail(z[None].to(device), context)[0].cpu()


at_zero = by_bottleneck(0.0, torch.cat([inputs, inputs.flip(-1)]))
rows = {
    lam: [*by_hand(lam).tolist(), *by_bottleneck(lam)[0].tolist()]
    for lam in (1.0, 0.5, 0.0)
}
pd.DataFrame(
    rows,
    ["real, by hand", "fake, by hand", "real, bottleneck", "fake, bottleneck"],
).T.round(3)

# %% tags=["check", "remove-cell"]
assert torch.equal(mixed(activation, 1.0, white, mean, std), activation)
assert torch.allclose(
    mixed(activation, 0.0, white, mean, std), mean + std * white
)
# An accelerator samples other noise, which has no effect at lambda 1.
for lam in (1.0, 0.5, 0.0) if device == "cpu" else (1.0,):
    assert torch.allclose(
        by_hand(lam), by_bottleneck(lam)[0], rtol=1e-2, atol=1e-2
    ), lam
assert at_zero.shape == (2, 2) and torch.allclose(
    at_zero[0], at_zero[1], rtol=1e-2, atol=1e-2
)

# %% tags=["hidden", "remove-cell"]
given, drawn = torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0])
two, four = torch.tensor(2.0), torch.tensor(4.0)
expected = torch.tensor([0.25 * 1 + 0.75 * 4, 0.25 * -2 + 0.75 * 14])
assert torch.allclose(mixed(given, 0.25, drawn, two, four), expected)
if device == "cpu":
    assert torch.allclose(
        by_hand(0.8), by_bottleneck(0.8)[0], rtol=1e-2, atol=1e-2
    )

# %% [markdown]
# Your channel and that of the library are the same. At 1 nothing changes. At 0 the face and its mirror image get the
# same logits, because the downstream layers receive only noise. This noise has the mean and standard deviation of the
# layer, so that each of its values is one that occurs there.
#
# ```{solution-end}
# ```
#
# ```{exercise} The bits of a unit
# :label: ex-bits-by-hand
# Write `unit_bits(r, lam, mean, std)`, the bits of each unit by {eq}`eq-step-unit` and {eq}`eq-step-bits`. Let
# $1 - \lambda$ be at least $10^{-6}$, because $\ln 0$ is infinite. Consider two units with $\lambda = 0.5$: one at its
# mean, the other three standard deviations away. Predict which one has more bits. Then compute the total `in_all` from
# `activation` and the optimised $\lambda$, `attribution.lam[0]`, without the units that hardly vary, and compare it
# with `attribution.capacity`.
# ```
#
# ```{solution-start} ex-bits-by-hand
# :class: dropdown
# ```

# %% tags=["solution"]
import math


def unit_bits(r, lam, mean, std):
    """Bits of each unit."""
    r, rest = (r - mean) / std, (1 - lam).clamp_min(1e-6)
    return ((lam * r) ** 2 + rest**2 - 1 - (rest**2).log()) / (2 * math.log(2))


in_all = (
    (unit_bits(activation, attribution.lam[0], mean, std) * statistics.active)
    .sum()
    .item()
)
half, one = torch.tensor(0.5), torch.tensor(1.0)
pd.Series(
    {
        "at the mean": unit_bits(0 * one, half, 0, 1).item(),
        "three away": unit_bits(3 * one, half, 0, 1).item(),
        "layer, by hand": in_all,
        "layer, by the library": attribution.capacity.sum().item(),
    }
).round(2)

# %% tags=["check", "remove-cell"]
from viba_lib.bottleneck import gaussian_kl

found = attribution.lam[0].clamp(max=0.999)
wanted = gaussian_kl(activation, found, mean, std) / math.log(2)
assert torch.allclose(
    unit_bits(activation, found, mean, std), wanted, rtol=1e-3, atol=1e-3
)
wanted = (
    gaussian_kl(activation, attribution.lam[0], mean, std)[statistics.active]
    .sum()
    .item()
)
assert abs(in_all - wanted / math.log(2)) <= 0.01 * abs(in_all) + 1e-3

# %% tags=["hidden", "remove-cell"]
from math import log

given, fraction = torch.tensor([5.0, -1.0]), torch.tensor([0.25, 0.9])
two, rest = torch.tensor(2.0), 1 - fraction
expected = (fraction * (given - 1) / 2) ** 2 + rest**2 - 1 - 2 * rest.log()
found = unit_bits(given, fraction, two / 2, two)
assert torch.allclose(found, expected / (2 * log(2)), rtol=1e-4)
assert unit_bits(given, torch.ones(2), two / 2, two).isfinite().all()

# %% [markdown]
# The rare activation has more bits at the same $\lambda$. A bright spot of a map therefore does not only mean a large
# $\lambda$. It can also mean that the bottleneck transmitted an unusual activation.
#
# ```{solution-end}
# ```
#
# ```{exercise} Totals of the map and of the layer
# :label: ex-bits-add-up
# Write `totals(found)`, which returns two tensors with one number per frame: the bits in the map,
# `found.bits_per_pixel` (frames, height, width), and those in the layer, `found.capacity` (frames, channels, height,
# width). Then write `busiest(found)`: the smallest fraction of the channels of the first frame that contains half of
# its bits. Apply both to the face, `attribution`, and to the motion, `motion`.
# ```
#
# ```{solution-start} ex-bits-add-up
# :class: dropdown
# ```


# %% tags=["solution"]
def totals(found):
    """Bits of each frame, in the map and in the layer."""
    return found.bits_per_pixel.sum((1, 2)), found.capacity.sum((1, 2, 3))


def busiest(found):
    """Smallest fraction of channels with half of the first frame's bits."""
    each = found.capacity[0].sum((1, 2)).double().sort(descending=True).values
    return ((each.cumsum(0) < each.sum() / 2).sum().item() + 1) / len(each)


sums = {"face": totals(attribution), "motion": totals(motion)}
table = pd.DataFrame(
    {k: [x[0].item() for x in v] for k, v in sums.items()}, ["map", "layer"]
).T
table.assign(busiest=[busiest(attribution), busiest(motion)]).round(3)

# %% tags=["check", "remove-cell"]
for given in (attribution, motion):
    of_map, of_layer = totals(given)
    assert of_map.shape == of_layer.shape == (len(given.target),)
    assert torch.allclose(of_map, of_layer, rtol=1e-3, atol=1e-3)
    each = given.capacity[0].sum((1, 2)).double().sort(descending=True).values
    count = round(busiest(given) * len(each))
    assert (
        1 <= count <= len(each) and each[:count].sum() >= 0.4999 * each.sum()
    )
    assert each[: count - 1].sum() <= 0.5001 * each.sum()

# %% tags=["hidden", "remove-cell"]
from types import SimpleNamespace

channels = torch.tensor([[6.0, 3, 1, 0, 0], [3, 3, 2, 2, 0]])[..., None, None]
for first, half_of_bits in ((0, 1 / 5), (1, 2 / 5)):
    capacity = channels[[first, 1 - first]]
    given = SimpleNamespace(capacity=capacity, bits_per_pixel=capacity[:, 0])
    of_map, of_layer = totals(given)
    assert torch.equal(of_map, capacity[:, 0, 0, 0])
    assert torch.equal(of_layer, torch.tensor([10.0, 10.0]))
    assert abs(busiest(given) - half_of_bits) < 1e-9

# %% [markdown]
# The totals agree for each frame, as {eq}`eq-step-map` requires. The last column says how the bits are distributed over
# the channels of the layer. Near one half, all channels contribute equally. Near 0, a few channels contain most of the
# bits.
#
# ```{solution-end}
# ```
#
# ## Common misconceptions
#
# - **"The bottleneck changes the detector."** The weights are frozen. Noise is added between two layers, and only
#   $\lambda$ is optimised, again for every frame.
# - **"The map shows the altered region of the frame."** It shows the information that this detector needed. The outline
#   shows whether the two coincide.
# - **"Dark means that the location is irrelevant."** It means that the units there were not necessary for the
#   prediction at this layer. If the same evidence is available at two locations, one of them can be noise.
# - **"The bits are the mutual information."** They are an estimate for one frame, which is not a bound. Their mean over
#   frames is an upper bound, and a loose one: the units of a layer are correlated, and the sum counts shared
#   information many times.
# - **"Every map is an explanation."** Ten steps always give a map. The probability of fake with the bottleneck says
#   whether the prediction was preserved.
# - **"The map has the resolution of the image."** It has the resolution of the layer and is only enlarged.
#
# ## Quiz
#
# **1. Which parameters does the method optimise?**
#
# - a) the weights of the detector, for all frames together
# - b) one $\lambda$ for each unit of the layer, for this frame
# - c) one $\lambda$ for each channel of the layer, for all frames
#
# ```{dropdown} Answer to question 1
# **b.** The weights of the detector are frozen, and each frame has its own optimisation. A network that predicts
# $\lambda$ for all frames is the {term}`Readout bottleneck` of {doc}`/notebooks/06_bottleneck_type`.
# ```
#
# **2. Why does the noise have the mean and standard deviation of the layer?**
#
# - a) so that the optimisation needs fewer steps per frame
# - b) so that the map has a larger total number of bits
# - c) so that the downstream layers receive typical values
#
# ```{dropdown} Answer to question 2
# **c.** Other noise could change the output because its values are unusual, and not because information is missing. The
# noise is still not a typical activation as a whole, because its units are independent.
# ```
#
# **3. The bottleneck reduces the probability of fake, which stays above one half. What has happened?**
#
# - a) the optimisation failed, and the map has no use
# - b) the detector was wrong, and the label corrected it
# - c) some evidence was removed at this $\beta$ and step count
#
# ```{dropdown} Answer to question 3
# **c.** The objective {eq}`eq-objective` weighs both terms, and a smaller $\beta$ gives the prediction more weight and
# keeps more bits. The decision is unchanged, so the map is useful. Answer b is wrong because the method uses no label.
# ```
#
# ## Summary
#
# - The method has five steps (prediction, statistics, noise, optimisation, map) in one class, `PerSampleBottleneck`.
# - The noise has the statistics of the layer, {eq}`eq-step-channel`; $\lambda$ is the signal fraction of each unit.
# - The objective {eq}`eq-objective` keeps the prediction and transmits little information, estimated by
#   {eq}`eq-step-bits`; $\beta$ is the trade-off weight.
# - The total of the map is the sum of the estimates of all units. The map is an explanation only if the prediction was
#   preserved.
# - The example is the median frame, not the best one; over many frames, relevance is compared with chance for each
#   method.
#
# ## What next
#
# - Choice of the layer: {doc}`/notebooks/05_injection_layer`.
# - Effect of the bottleneck on the detector's decisions: {doc}`/notebooks/08_detection_performance`.
# - Your own network in ten lines: {doc}`/book/own_model`.
#
# ## References
#
# - {cite:t}`solopova2024`: Section 3.3 with Eq. (1) and (2) of the paper, and the injection layers of both detectors.
# - {cite:t}`schulz2020`: the per-sample bottleneck, with the settings that are the defaults here.
# - {cite:t}`shiohara2022sbi`: {term}`self-blended images <Self-blended image>`, from which the planted artefacts are
#   made.

# %% tags=["remove-input"]
HTML(study.provenance_html())
