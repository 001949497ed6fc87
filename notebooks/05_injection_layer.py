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
# # Choice of the injection layer
#
# The bottleneck can be inserted after any layer. Early layers have many spatial positions, and a unit
# of a late layer depends on a large part of the input. This chapter compares the maps of several layers and tests quantitatively whether the
# paper's choice by eye can be confirmed.
#
# ```{admonition} What you will learn
# :class: tip
# - to explain the same real and fake inputs at each of the paper's injection layers (Figures 4 to 11)
# - to explain why maps become coarser with depth
# - to compare layers by measures with intervals: bits, entropy, relevance on the planted artefact, deletion
# - to recognise inconclusive differences between two layers
# - to show why a layer and its batch norm give the same map
# ```
#
# ```{admonition} What you need first
# :class: note
# | Concept | Why | Where |
# |---|---|---|
# | The five steps of the method | applied here at eight layers | {doc}`/notebooks/04_viba_step_by_step` |
# | {term}`Injection layer` | the setting that is chosen | {doc}`/book/glossary` |
# | The layers of both networks | their names and sizes | {doc}`/notebooks/03_detectors` |
# ```
#
# <!-- time -->
#
# The paper chose block 4 of Xception and layer 9 of VGG11 by eye (Section 3.3; its Tables 5 to 7 list the layers of
# both networks). To run this chapter with other settings, use for example `viba chapter 05 -p layer block12 -p beta 5`.

# %% tags=["parameters"]
profile = "quick"
data_root = "../data"
results_root = "../results"
device = "cpu"
seed = 0
layer = "all"  # injection layer; one of all, block4, bn3, conv3, block12, bn4, features.9, features.12, features.16
beta = 0.0  # trade-off weight of the information, 0 for that of the profile; at least 0
frames = 2  # real and fake inputs each that are shown; at least 1
measured = 6  # real and fake test videos each that are measured; at least 1
detector = ""  # a further detector to explain at its layers, as module:function; any text

# %% tags=["remove-input"]
from IPython.display import HTML, display

from viba_lib.book.injected import check_injected
from viba_lib.models.detectors import DETECTORS
from viba_lib.pipeline.study import Study
from viba_lib.visual.prose import prose

check_injected()
study = Study(profile, data_root, results_root, device, seed)
HTML(study.banner())

# %%
import pandas as pd

from viba_lib.experiments.injection_layer import injection_maps
from viba_lib.visual import map_figures, result_figures

detectors = [*DETECTORS, detector] if detector else [*DETECTORS]
chosen = injection_maps(study, layer, beta, frames, detectors)

# %% [markdown]
# ## Maps of Xception by layer
#
# Each row is an input, and each column is a {term}`layer <Injection layer>`. The {term}`maps <Attribution>` are in
# {term}`bits per pixel <Bits per pixel>`. Expect a high resolution on the left and a low resolution on the right: block
# 4 has 19 by 19 locations at the paper's 299 px and 14 by 14 at the 224 px of the profile `quick`, and the last layers
# have 10 by 10 and 7 by 7. Each column has its own colour scale, because layers differ in their total of bits.

# %% mystnb={"image": {"alt": "Grid of face crops with relevance maps at the injection layers of Xception; maps are fine at block 4 and coarse at the later layers; planted regions are outlined."}, "figure": {"caption": "Relevance of real and fake faces at the injection layers of Xception (the paper's Figures 4 to 8).", "name": "fig-layers-xception"}}
one = chosen["xception"]
map_figures.layers_grid(one.images, one.maps, one.masks, one.labels)

# %% [markdown]
# Read each row first: is the relevance at the same location in all columns, or does the location change with depth?
# Then read each column. If the maps of a layer look similar for every face, they depend more on the layer than on the
# face.
#
# ## Maps of VGG11 by layer
#
# The next figure shows the same comparison for the motion detector. The input is {term}`optical flow <Optical flow>` in
# colour: the hue is the direction, and the brightness is the speed. The paper shows the pairs of frames beside these
# maps; here {numref}`fig-pipeline` shows one such pair. Expect smaller differences between the layers,
# because all three are close together in a shallow network.

# %% mystnb={"image": {"alt": "Grid of flow maps with relevance maps at layers 9, 12 and 16 of VGG11; planted regions are outlined."}, "figure": {"caption": "Relevance of real and fake flow maps at the injection layers of VGG11 (the paper's Figures 9 to 11).", "name": "fig-layers-flow"}}
one = chosen["flow-vgg11"]
map_figures.layers_grid(one.images, one.maps, one.masks, one.labels)

# %% [markdown]
# The parameter `detector` adds your own detector to this chapter, see {doc}`/book/own_model`. Its maps are shown here,
# and its layers are part of the tables below.

# %%
if detector:
    one = chosen[detector]
    display(
        map_figures.layers_grid(one.images, one.maps, one.masks, one.labels)
    )

# %% [markdown]
# ## Quantitative comparison of the layers
#
# A visual impression of clarity is subjective, so this section uses measures. A map $B$ over $n$ pixels is normalised
# to fractions $p_i = B_i / \sum_j B_j$, and the mask of the {term}`Planted artefact` gives each pixel a weight $m_i$
# between 0 and 1. Then
#
# $$ \text{entropy} = - \sum_{i=1}^{n} p_i \log_2 p_i, \qquad
#    \text{ratio} = \frac{\sum_i p_i m_i}{\frac1n \sum_i m_i}. $$ (eq-layer-measures)
#
# The measures are computed on one frame of each of several videos, real and fake, among them those shown above. From
# each video, the frame with the highest probability of its true class is measured, because the maps of a clear decision show the layers best. In contrast,
# {doc}`/notebooks/11_localisation` samples its frames with the seed, because a comparison of methods must not depend on
# the probability.
#
# - `bits` is the total of the map, $\sum_i B_i$, which is the sum of the information estimates of the units.
# - `entropy` is the entropy of the map over pixels, in bits. Lower values mean a more concentrated map.
# - `ratio` is the fraction of relevance inside the mask over the mask's fraction of the frame, on fakes. Chance is 1.
# - `kept` is the fraction of decisions that are the same with the bottleneck. A map explains a decision only if the
#   bottleneck keeps it.
# - `deletion` is the area under the probability of the prediction while the most relevant pixels are set to zero first
#   {cite}`petsiuk2018rise`. Lower values mean a more faithful map. The value depends on how sensitive the detector is
#   to removed pixels.
# - `over_random` therefore compares `deletion` with the removal of pixels in random order. Higher values mean a more
#   faithful map, and 0 corresponds to a random order.

# %%
from viba_lib.experiments.common import Bootstrap, no_masks
from viba_lib.experiments.injection_layer import (
    layer_differences,
    layer_measures,
    layer_table,
)

measures = layer_measures(study, layer, beta, measured, detectors)
table = layer_table(measures, Bootstrap.of(study))
columns = [
    "name",
    "frames",
    "bits",
    "entropy",
    "ratio",
    "kept",
    "deletion",
    "over_random",
]
study.save_table("injection_layer", table, table[columns].round(2))

# %% mystnb={"image": {"alt": "Points with horizontal intervals for each injection layer of both detectors: relevance on the artefact with a line at chance, entropy, and deletion compared with random order with a line at zero."}, "figure": {"caption": "Relevance on the artefact, entropy of the map, and the gain of deletion over a random order, with 95 % intervals over people and their source clips; dotted is chance.", "name": "fig-layers-measured"}}
result_figures.intervals(
    table,
    ["ratio", "entropy", "over_random"],
    chance={"ratio": 1, "over_random": 0},
)

# %% tags=["remove-input"]
from viba_lib.experiments.injection_layer import kept_text

prose(kept_text(measures))

# %% [markdown]
# The figure tests the paper's choice by eye. It shows the measures at each other layer minus those at the paper's
# layer, on the same frames. The text names a difference only if its p-value is below 0.05 and its interval does not
# contain 0; with few source clips, no p-value can be so small. Means in the table are over frames, and those in the text
# are over source clips.

# %% mystnb={"image": {"alt": "Points with horizontal intervals of the difference of each other layer to the paper's layer, in relevance on the artefact and in deletion over random, with a line at zero."}, "figure": {"caption": "Each other layer minus the paper's layer, on the same frames, with 95 % intervals over people and their source clips.", "name": "fig-layers-against"}}
defaults = {name: study.layer(name) for name in detectors}
differences = layer_differences(measures, defaults, Bootstrap.of(study))
study.save_table("injection_layer_differences", differences)
zero = {"ratio": 0, "over_random": 0}
result_figures.intervals(differences, list(zero), chance=zero) if len(
    differences
) else None

# %% tags=["remove-input"]
from viba_lib.experiments.injection_layer import choice_text

text = no_masks(measures.ratio, "the ratio") or choice_text(
    measures, defaults, Bootstrap.of(study)
)
prose(text)

# %% [markdown]
# A layer can be the best in one measure and not in another, because a map on the artefact need not contain the pixels
# that the detector depends on. `over_random` measures this dependence. The result below says whether `over_random` is
# above 0 at any layer.

# %% tags=["remove-input"]
from viba_lib.experiments.injection_layer import deletion_text

prose(deletion_text(measures, Bootstrap.of(study)))

# %% [markdown]
# If deletion is not distinguished from a random order, there are two possible reasons. The map may not rank pixels by
# their effect on the detector. Or the detector reacts to any removed pixel, because an input with black pixels differs
# from all training images. This measure cannot distinguish the two reasons. {doc}`/notebooks/12_faithfulness` uses
# further measures.

# %% [markdown]
# ## Identical maps of a layer and its batch norm
#
# The paper (Section 3.3) finds the maps of `bn3` useful and those of `conv3` "highly abstract and diffused". In its
# Table 5, `bn3` is the batch norm of the output of `conv3`. In evaluation mode a batch norm is an affine map of each
# channel,
#
# $$ y = a x + b, \qquad a = \frac{\gamma}{\sqrt{v + \epsilon}}, \quad b = \beta_{\mathrm{bn}} - a m, $$ (eq-layers-affine)
#
# with the stored mean $m$ and variance $v$ and the trained $\gamma$ and $\beta_{\mathrm{bn}}$. Three steps show that
# the bottleneck cannot distinguish $x$ from $y$ if $a \neq 0$.
#
# 1. **z-scores.** The statistics of a unit of $y$ are $\mu_y = a \mu_x + b$ and $\sigma_y = |a| \sigma_x$. Therefore
#    $(y - \mu_y) / \sigma_y = \operatorname{sign}(a) \, (x - \mu_x) / \sigma_x$. The information of a unit contains the
#    square of this z-score and $\lambda$ only, so it is the same in both layers.
# 2. **Noise.** It is defined by z-scores as well: $\epsilon_x = \mu_x + \sigma_x n$ with $n \sim \mathcal N(0, 1)$. The
#    weights $\lambda$ and $1 - \lambda$ sum to 1, so the batch norm of the noisy signal is
#    $a \, [\lambda x + (1 - \lambda) \epsilon_x] + b = \lambda y + (1 - \lambda) [\mu_y + \operatorname{sign}(a) \, \sigma_y n]$.
#    Because $n$ and $-n$ have the same distribution, it has the distribution of the noisy signal at $y$.
# 3. **Downstream.** If only the batch norm uses $x$, the rest of the network is the same for both layers. The ReLU is
#    downstream of both.
#
# So each $\lambda$ has the same expected loss {eq}`eq-objective` in both layers. Differences can come from the samples
# of the noise, which have the opposite sign in channels with $a < 0$, from rounding, and from units with a standard
# deviation below `min_std` = 0.01 in one of the layers. The noise of these units is not scaled with the unit, and this
# library leaves them out as inactive. Channels with $a = 0$ are in this group.
#
# The next cell determines which layer is upstream. A hook compares the tensors: a pair is a layer and the batch norm
# that takes its output.

# %%
from viba_lib.experiments.affine_layers import (
    affine_table,
    forward_order,
    same_maps,
)
from viba_lib.experiments.injection_layer import layer_difference

explained = injection_maps(study, layer, beta, measured, ["xception"])[
    "xception"
]
network, first_input = (
    study.detector("xception"),
    study.inputs("xception", explained.table.head(1)),
)
order, pairs = forward_order(network, list(explained.maps), first_input)
pairs

# %% [markdown]
# The next cell tests step 1 on the first frame. It compares the absolute z-scores of both layers, over units that are
# active in both. Expect a difference of the size of rounding.

# %%
from viba_lib.bottleneck.split import SplitModel

for pair in pairs:
    units = [study.statistics("xception", name) for name in pair]
    scores = [
        (
            (SplitModel(network, name).head(first_input)[0].cpu() - u.mean)
            / u.std
        )[0].abs()
        for name, u in zip(pair, units, strict=True)
    ]
    active = units[0].active & units[1].active
    x, y = (one[active] for one in scores)
    if len(x):
        print(
            f"{pair}: |z| up to {x.max():.2f}, "
            f"largest difference {(x - y).abs().max():.1e}"
        )
    else:
        print(f"{pair}: no unit is active in both layers")

# %% [markdown]
# The next lines write {eq}`eq-layers-affine` out for the first batch norm of the network. A hook stores its input $x$
# for one frame. The batch norm becomes a scale and an offset of each channel, and the z-scores of $x$ and $y$ follow
# from their own means and standard deviations, here over the locations of this frame. Channels that hardly vary are
# left out.

# %%
import torch

kind = torch.nn.BatchNorm2d
norm = next(m for m in network.modules() if isinstance(m, kind))
seen = []
handle = norm.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
with torch.no_grad():
    network(first_input)
    expected = norm(seen[0])[0].flatten(1).double().cpu()
handle.remove()

# %% tags=["decisive"]
before = seen[0][0].flatten(1).double().cpu()  # channels by locations
gamma, shift, stored, variance = (
    values.detach().double().cpu()[:, None]
    for values in (norm.weight, norm.bias, norm.running_mean, norm.running_var)
)
scale = gamma / (variance + norm.eps).sqrt()
after = scale * before + (shift - scale * stored)
varies = (before.std(1) > 0.01) & (after.std(1) > 0.01)
moments = [(v.mean(1)[:, None], v.std(1)[:, None]) for v in (before, after)]
scores_before, scores_after = (
    ((values - mean) / std)[varies]
    for values, (mean, std) in zip((before, after), moments, strict=True)
)

# %%
import numpy as np

from viba_lib.bottleneck.information import gaussian_kl

np.testing.assert_allclose(after, expected, rtol=1e-4, atol=1e-4)
signed = scale.sign()[varies] * scores_before
np.testing.assert_allclose(scores_after, signed, atol=1e-6)
half = torch.full_like(before, 0.5)
nats_before, nats_after = (
    gaussian_kl(values, half, *moment)[varies]
    for values, moment in zip((before, after), moments, strict=True)
)
np.testing.assert_allclose(nats_before, nats_after, rtol=1e-3, atol=1e-3)
print(f"{int(varies.sum())} of {len(varies)} channels vary and are compared")

# %% [markdown]
# The scale and the offset give the output of PyTorch's batch norm, and the z-scores of both layers agree up to the sign.
# So the library's estimate of the information, computed separately for both layers at $\lambda = 0.5$, agrees as well.

# %% [markdown]
# The first table counts the exceptions in the network of this run. `std` is the largest relative difference between
# $\sigma_y$ and $|a| \sigma_x$, and `logits` is the largest difference of the network's output if one signal replaces
# both layers. The second table compares the maps of both layers on the frames that are measured above. It has medians
# over frames of two values: Spearman's correlation over pixels, and the largest difference of a pixel, relative to the
# maximum. The other layers are included for comparison.

# %%
statistics = {
    name: study.statistics("xception", name) for pair in pairs for name in pair
}
affine = affine_table(network, pairs, statistics, first_input)
none = (
    ""
    if len(affine)
    else "The layers of this run contain no batch norm and its input."
)
study.save_table("affine_layers", affine, affine, none)

# %%
from viba_lib.experiments.affine_layers import with_others

compared = with_others(pairs, list(explained.maps))
same = same_maps(explained.maps, compared, explained.table)
shown = same.groupby(["first", "second"], sort=False)[
    ["correlation", "difference"]
].median()
study.save_table("affine_maps", same, shown.reset_index().round(6), none)

# %% tags=["remove-input"]
from viba_lib.experiments.affine_layers import (
    affine_text,
    diffuse_text,
    order_text,
)
from viba_lib.models.xception import XCEPTION_LAYERS

rows = measures[measures.detector == "xception"]
found = [
    diffuse_text(p, layer_difference(rows, "entropy", p, Bootstrap.of(study)))
    for p in pairs
]
texts = [affine_text(affine, same), *found, order_text(order, XCEPTION_LAYERS)]
prose(*texts)

# %% [markdown]
# The proof holds for any weights, inputs and $\beta$. The difference between the paper's Figures 5 and 7 can therefore
# not come from the content of these two layers. It can come from the computation of the maps: other noise samples,
# statistics of other frames for each layer, a clamp of small standard deviations, or an activation that was
# overwritten. The last is possible because the ReLU downstream of `bn3` works in place (the paper's Table 5), so that a
# stored reference to the output of `bn3` contains its rectified values later. The paper does not describe these
# details. The same proof holds for `features.8` and `features.9` of VGG11, and for `conv4` and `bn4`.

# %% [markdown]
# ## Exercises
#
# ```{exercise} Beta and depth
# :label: ex-beta-depth
# A larger $\beta$ leads to fewer bits. Predict whether it makes the map of the paper's layer more concentrated or only
# weaker. Then collect the results of `layer_measures` for Xception at this layer, `study.layer("xception")`, in a
# dictionary `betas` with the keys 1.0 and 100.0, the two values of $\beta$. Two videos of each class are enough.
# Compare `entropy` and `ratio`.
# ```
#
# ```{solution-start} ex-beta-depth
# :class: dropdown
# ```

# %% tags=["solution"]
chosen_layer = study.layer("xception")
few = min(measured, 2)
betas = {
    b: layer_measures(study, chosen_layer, b, few).query(
        "detector == 'xception'"
    )
    for b in (1.0, 100.0)
}
pd.DataFrame(
    {b: m[["bits", "entropy", "ratio"]].mean() for b, m in betas.items()}
).T.round(2)

# %% tags=["check", "remove-cell"]
assert set(betas) == {1.0, 100.0}
for found in betas.values():
    assert len(found) and set(found.detector) == {"xception"}
    assert (
        set(found.layer) == {study.layer("xception")}
        and (found.bits > -1e-3).all()
    )
assert list(betas[1.0].video_id) == list(betas[100.0].video_id)
assert not betas[1.0].bits.equals(betas[100.0].bits), "two values of beta"

# %% tags=["hidden", "remove-cell"]
import numpy as np

again = study.layer("xception"), 100.0, min(measured, 2), ["xception"]
expected = layer_measures(study, *again).set_index("video_id")
found = betas[100.0].set_index("video_id").reindex(expected.index)
for measure in ("bits", "entropy", "ratio"):
    pair = found[measure], expected[measure]
    assert np.allclose(*pair, rtol=1e-2, atol=1e-2, equal_nan=True), measure

# %% [markdown]
# Bits should fall as $\beta$ rises. If the entropy falls as well, the remaining map is more concentrated. If it stays
# the same, the map has only become weaker, because {eq}`eq-layer-measures` depends on fractions and not on totals.
#
# ```{solution-end}
# ```
#
# ```{exercise} Deletion on a real frame
# :label: ex-deletion-real
# What does deletion measure on a *real* frame, which contains no artefact? Compare the means of `deletion` and `random` of
# real and fake frames, over all layers measured. Call the table `by_class`, with these two columns and a row for each
# detector and class, `"real"` or `"fake"`.
# ```
#
# ```{solution-start} ex-deletion-real
# :class: dropdown
# ```

# %% tags=["solution"]
kind = measures.label.map({0: "real", 1: "fake"})
by_class = measures.groupby(["detector", kind])[["deletion", "random"]].mean()
by_class.round(2)

# %% tags=["check", "remove-cell"]
assert list(by_class.columns) == ["deletion", "random"]
assert by_class.index.isin(["real", "fake"], level=1).all()
assert ((by_class.dropna() >= 0) & (by_class.dropna() <= 1)).all(
    axis=None
) and len(by_class)

# %% tags=["hidden", "remove-cell"]
import numpy as np

assert len(by_class) == len(measures.groupby(["detector", "label"]))
for (name, class_name), found in by_class.iterrows():
    here = measures.detector == name
    here &= measures.label == ["real", "fake"].index(class_name)
    expected = measures[here][["deletion", "random"]].mean()
    assert np.allclose(found, expected, equal_nan=True)

# %% [markdown]
# The detector assigns a class to an empty input as well. If this class is "real", a real frame ends as real for every
# order of removed pixels. Its area can then be high for any map. Always compare `deletion` with `random`, for both classes.
#
# ```{solution-end}
# ```
#
# ```{exercise} Receptive field of a unit
# :label: ex-receptive-field
# A unit of a late layer depends on more of the input than a unit of an early layer. Write `receptive_field(layers)` for
# a chain of (kernel, stride) pairs. It returns the number of input pixels along an axis that one output unit depends
# on. How does it grow for three convolutions of 3 with stride 1, and how if each has stride 2?
# ```
#
# ```{solution-start} ex-receptive-field
# :class: dropdown
# ```


# %% tags=["solution"]
def receptive_field(layers):
    """Input pixels that one output unit sees, along an axis."""
    seen, step = 1, 1
    for kernel, stride in layers:
        seen += (kernel - 1) * step
        step *= stride
    return seen


{
    stride: [receptive_field([(3, stride)] * n) for n in (1, 2, 3)]
    for stride in (1, 2)
}

# %% tags=["check", "remove-cell"]
assert receptive_field([]) == 1 and receptive_field([(3, 1)] * 3) == 7
assert (
    receptive_field([(3, 2)] * 3) == 15
    and receptive_field([(1, 2), (3, 1)]) == 5
)

# %% tags=["hidden", "remove-cell"]
assert receptive_field([(5, 2), (3, 1), (3, 2)]) == 13
assert receptive_field([(7, 2), (1, 1), (3, 3)]) == 11
assert receptive_field([(2, 2)] * 4) == 16

# %% [markdown]
# Without strides the receptive field grows by a constant, and with strides it approximately doubles. The maps of late
# layers are coarse because these layers have few locations. They are blurred because each location depends on a large
# part of the input.
#
# ```{solution-end}
# ```
#
# ## Common misconceptions
#
# - **"The layer with the prettiest map is the right one."** A pretty map is concentrated. Whether the relevance lies on
#   the evidence is a different question, which the measures of this chapter answer.
# - **"A layer with fewer bits explains better."** Layers differ in size, so the same $\beta$ has different effects on
#   them. Totals of different layers cannot be compared.
# - **"Each layer of a network gives another map."** A layer and its batch norm give the same map.
# - **"Maps of late layers show a wrong location."** Units of late layers depend on large parts of the input. Their maps
#   show which units were necessary, and not the exact location of the evidence.
#
# ## Quiz
#
# **1. Why does the column of each layer have its own colour scale in the figures of maps?**
#
# - a) because the total of bits differs from layer to layer
# - b) because the layers of a network have different inputs
# - c) because all maps should have the same total brightness
#
# ```{dropdown} Answer to question 1
# **a.** With one scale, the maps of a layer with few bits would be black. The disadvantage is that strengths cannot be
# compared along a row.
# ```
#
# **2. A layer has a lower deletion area than another. Which conclusion is safe?**
#
# - a) more of its relevance lies inside the mask of the artefact
# - b) its total of bits is lower, so its map is more concentrated
# - c) its order of pixels removes the detector's evidence sooner
#
# ```{dropdown} Answer to question 2
# **c.** Deletion measures the reaction of the detector. Relevance on the artefact is measured by `ratio`. The two
# measures may disagree.
# ```
#
# **3. The interval of a difference to the paper's layer contains 0. What do you report?**
#
# - a) the comparison is inconclusive, with the width of the interval
# - b) the two layers are equally good, with the mean of the difference
# - c) the layer with the higher mean is better, with its mean value
#
# ```{dropdown} Answer to question 3
# **a.** The width says how large a difference could still be hidden.
# ```

# %% tags=["remove-input"]
from viba_lib.experiments.quiz_answers import totals_differ
from viba_lib.visual.quiz import answer_html

result = totals_differ(measures, defaults, Bootstrap.of(study))
HTML(answer_html(1, result))

# %% [markdown]
# ## Summary
#
# - Early layers have many spatial positions, and units of late layers depend on large parts of the input.
# - The paper's choice by eye can be tested quantitatively if the ground truth is known, and the intervals show how
#   certain the result is.
# - Concentration, localisation and faithfulness are three different measures, and no layer has to be the best in all of
#   them.
# - The bottleneck works in units of a layer's mean and standard deviation, so it cannot distinguish a layer from its
#   batch norm.
#
# ## What next
#
# - Another type of bottleneck at the same layer: {doc}`/notebooks/06_bottleneck_type`.
# - A viewer for layers and clips: {doc}`/book/viewer`.
# - A layer of your own network: {doc}`/book/own_model`.
#
# ## References
#
# - {cite:t}`solopova2024`: the eight injection points in Tables 5 to 7, their maps in Figures 4 to 11, which this
#   chapter repeats, and the choice by eye in Section 3.3.
# - {cite:t}`petsiuk2018rise`: deletion as a measure of an explanation.
# - {cite:t}`schulz2020`: the choice of a layer for images.

# %% tags=["remove-input"]
HTML(study.provenance_html(detectors))
