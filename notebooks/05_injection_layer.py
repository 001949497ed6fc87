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
# The bottleneck can be put after any layer. Early layers know *where*, late layers know *what*. Which one gives the map
# that a person can use, and can the paper's choice by eye be checked by number?
#
# ```{admonition} What you will learn
# :class: tip
# - to explain the same real and fake inputs at each of the paper's injection layers (Figures 4 to 11)
# - why maps grow coarser with depth
# - to put numbers beside the pictures, with intervals: bits, spread, relevance on the planted artefact, deletion
# - to recognise differences between two layers that are inconclusive
# - why a layer and its batch norm give the same map
# ```
#
# ```{admonition} What you need first
# :class: note
# | Concept | Why | Where |
# |---|---|---|
# | The five steps of the method | carried out here at eight layers | {doc}`/notebooks/04_viba_step_by_step` |
# | {term}`Injection layer` | what is chosen | {doc}`/book/glossary` |
# | The layers of both networks | their names and sizes | {doc}`/notebooks/03_detectors` |
# ```
#
# <!-- time -->
#
# The paper chose block 4 of Xception and layer 9 of VGG11 by eye (Section 3.3; its Tables 5 to 7 list the layers of both
# networks). Run this chapter with other settings: `viba chapter 05 -p layer block12 -p beta 5`.

# %% tags=["parameters"]
profile = "quick"
data_root = "../data"
results_root = "../results"
device = "cpu"
seed = 0
layer = "all"  # where to inject; one of all, block4, bn3, conv3, block12, bn4, features.9, features.12, features.16
beta = 10.0  # price of a bit; above 0
frames = 2  # real and fake inputs each that are shown; at least 1
measured = 6  # real and fake test videos each that are measured; at least 1
detector = ""  # a further detector to explain at its layers, as module:function; any text

# %% tags=["remove-input"]
from IPython.display import HTML, display

from viba_lib.book.injected import check_injected
from viba_lib.models.detectors import DETECTORS
from viba_lib.pipeline.study import Study

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
# ## Xception
#
# One row per input, one column per {term}`layer <Injection layer>`. The {term}`maps <Attribution>` are in
# {term}`bits per pixel <Bits per pixel>`. Expect fine maps on the left and blobs on the
# right: block 4 has 19 by 19 places at the paper's 299 px and 14 by 14 at the 224 px of the profile `quick`, the last
# layers have 10 by 10 and 7 by 7. Each column has a colour scale of its own, since layers differ in their total of bits.

# %% mystnb={"image": {"alt": "Grid of face crops with relevance maps at the injection layers of Xception; maps are fine at block 4 and coarse at the later layers; planted regions are outlined."}, "figure": {"caption": "Relevance of real and fake faces at the injection layers of Xception (the paper's Figures 4 to 8).", "name": "fig-layers-xception"}}
one = chosen["xception"]
map_figures.layers_grid(one.images, one.maps, one.masks, one.labels)

# %% [markdown]
# Read along a row: is the heat at one place in all columns, or does it move as the layer gets deeper? Then read down a column:
# a layer whose maps look alike for every face shows its own habits more than this face.
#
# ## VGG11 on flow
#
# The same for motion. The input is coloured {term}`optical flow <Optical flow>`: the colour is the direction, its strength the speed. Expect
# less difference between the layers, since all three lie close together in a shallow network.

# %% mystnb={"image": {"alt": "Grid of flow maps with relevance maps at layers 9, 12 and 16 of VGG11; planted regions are outlined."}, "figure": {"caption": "Relevance of real and fake flow maps at the injection layers of VGG11 (the paper's Figures 9 to 11).", "name": "fig-layers-flow"}}
one = chosen["flow-vgg11"]
map_figures.layers_grid(one.images, one.maps, one.masks, one.labels)

# %% [markdown]
# The parameter `detector` adds a detector of your own to this chapter, see {doc}`/book/own_model`. Its maps are shown
# here, and its layers are part of the tables below.

# %%
if detector:
    one = chosen[detector]
    display(map_figures.layers_grid(one.images, one.maps, one.masks, one.labels))

# %% [markdown]
# ## By number
#
# Clarity is a matter of taste until it is measured. A map $B$ over $n$ pixels is read as shares $p_i = B_i / \sum_j B_j$,
# and the mask of the {term}`Planted artefact` as a weight $m_i$ between 0 and 1 of each pixel. Then
#
# $$ \text{entropy} = - \sum_{i=1}^{n} p_i \log_2 p_i, \qquad
#    \text{ratio} = \frac{\sum_i p_i m_i}{\frac1n \sum_i m_i}. $$ (eq-layer-measures)
#
# On one frame of each of some more videos, real and fake. It is the frame of which the detector is surest, because the
# maps of a clear decision show the layers best; {doc}`/notebooks/15_localisation` samples its frames with the seed, because
# a comparison of methods must not depend on the probability.
#
# - `bits`: the total of the map, $\sum_i B_i$, which is the sum of the information estimates of the units;
# - `entropy` of the map over pixels, in bits: lower is more focused;
# - `ratio`: relevance inside the mask over the mask's share of the frame, on fakes; chance is 1;
# - `deletion`: the area under the probability of the prediction while the most relevant pixels are set to
#   zero first {cite}`petsiuk2018rise`; lower is better. It depends on how fragile the detector is, so
#   `over_random` compares it with pixels taken away at random; higher is better, and 0 is no better than
#   random.

# %%
from viba_lib.experiments.common import Bootstrap, no_masks
from viba_lib.experiments.injection_layer import layer_differences, layer_measures, layer_table

measures = layer_measures(study, layer, beta, measured, detectors)
table = layer_table(measures, Bootstrap.of(study))
columns = ["name", "frames", "bits", "entropy", "ratio", "deletion", "over_random"]
study.save_table("injection_layer", table, table[columns].round(2))

# %% mystnb={"image": {"alt": "Points with horizontal intervals for each injection layer of both detectors: relevance on the artefact with a line at chance, entropy, and deletion against random with a line at zero."}, "figure": {"caption": "Relevance on the artefact, spread of the map, and what deletion gains over random order, with 95 % intervals over people and their source clips; dotted is chance.", "name": "fig-layers-measured"}}
result_figures.intervals(
    table, ["ratio", "entropy", "over_random"], chance={"ratio": 1, "over_random": 0}
)

# %% [markdown]
# Is the paper's choice by eye confirmed? The figure shows the measures at each other layer minus those at the paper's
# layer, on the same frames. If an interval contains 0, the test is inconclusive.

# %% mystnb={"image": {"alt": "Points with horizontal intervals of the difference of each other layer to the paper's layer, in relevance on the artefact and in deletion over random, with a line at zero."}, "figure": {"caption": "Each other layer minus the paper's, on the same frames, with 95 % intervals over people and their source clips.", "name": "fig-layers-against"}}
defaults = {name: study.layer(name) for name in detectors}
differences = layer_differences(measures, defaults, Bootstrap.of(study))
study.save_table("injection_layer_differences", differences)
zero = {"ratio": 0, "over_random": 0}
result_figures.intervals(differences, list(zero), chance=zero) if len(differences) else None

# %% tags=["remove-input"]
from viba_lib.experiments.injection_layer import choice_text

text = no_masks(measures.ratio, "the ratio") or choice_text(measures, defaults, Bootstrap.of(study))
HTML(f"<p>{text}</p>")

# %% [markdown]
# A layer can be the best in one measure and not in another, because a map on the artefact need not contain the pixels that the
# detector depends on. `over_random` measures the second: below is whether it is above 0 at any layer.

# %% tags=["remove-input"]
from viba_lib.experiments.injection_layer import deletion_text

HTML(f"<p>{deletion_text(measures, Bootstrap.of(study))}</p>")

# %% [markdown]
# If deletion is not distinguished from a random order, the map does not rank pixels by how much the detector depends on them, or
# the detector reacts to any removed pixel, because an input with black pixels is unlike all training images. This measure cannot
# separate the two. {doc}`/notebooks/16_faithfulness` uses further measures.

# %% [markdown]
# ## Two layers with the same map
#
# The paper (Section 3.3) finds the maps of `bn3` useful and those of `conv3` "highly abstract and diffused". In its Table 5, `bn3`
# is the batch norm of the output of `conv3`. In evaluation mode a batch norm is an affine map of each channel,
#
# $$ y = a x + b, \qquad a = \frac{\gamma}{\sqrt{v + \epsilon}}, \quad b = \beta_{\mathrm{bn}} - a m, $$ (eq-layers-affine)
#
# with the stored mean $m$ and variance $v$ and the trained $\gamma$ and $\beta_{\mathrm{bn}}$. Three steps show that the bottleneck cannot
# distinguish $x$ from $y$ if $a \neq 0$.
#
# 1. **z-scores.** The statistics of a unit of $y$ are $\mu_y = a \mu_x + b$ and $\sigma_y = |a| \sigma_x$. Therefore
#    $(y - \mu_y) / \sigma_y = \operatorname{sign}(a) \, (x - \mu_x) / \sigma_x$. The information of a unit contains the square of this
#    z-score and $\lambda$ only, so it is the same in both layers.
# 2. **Noise.** It is defined by z-scores as well: $\epsilon_x = \mu_x + \sigma_x n$ with $n \sim \mathcal N(0, 1)$. The weights
#    $\lambda$ and $1 - \lambda$ sum to 1, so the batch norm of the noisy signal is
#    $a \, [\lambda x + (1 - \lambda) \epsilon_x] + b = \lambda y + (1 - \lambda) [\mu_y + \operatorname{sign}(a) \, \sigma_y n]$. Because $n$ and
#    $-n$ have the same distribution, it has the distribution of the noisy signal at $y$.
# 3. **Downstream.** If only the batch norm uses $x$, the rest of the network is the same for both layers. The ReLU is downstream of
#    both.
#
# So each $\lambda$ has the same expected loss {eq}`eq-objective` in both layers. Differences can come from the
# samples of the noise, which have the opposite sign in channels with $a < 0$, from rounding, and from units with a
# standard deviation below `min_std` = 0.01 in one of the layers: their noise is not scaled with the unit, and this library leaves
# them out as inactive. Channels with $a = 0$ are in this group.
#
# First, which layer is upstream? The hook looks at the tensors: a pair is a layer and the batch norm that takes its output.

# %%
from viba_lib.experiments.affine_layers import affine_table, forward_order, same_maps
from viba_lib.experiments.injection_layer import layer_difference

explained = injection_maps(study, layer, beta, measured, ["xception"])["xception"]
network, first_input = study.detector("xception"), study.inputs("xception", explained.table.head(1))
order, pairs = forward_order(network, list(explained.maps), first_input)
pairs

# %% [markdown]
# Step 1 on the first frame: the absolute z-scores of both layers, over units that are active in both. Expect a difference of the size
# of rounding.

# %%
from viba_lib.bottleneck.split import SplitModel

for pair in pairs:
    units = [study.statistics("xception", name) for name in pair]
    scores = [
        ((SplitModel(network, name).head(first_input)[0].cpu() - u.mean) / u.std)[0].abs()
        for name, u in zip(pair, units, strict=True)
    ]
    active = units[0].active & units[1].active
    x, y = (one[active] for one in scores)
    print(f"{pair}: |z| up to {x.max():.2f}, largest difference {(x - y).abs().max():.1e}")

# %% [markdown]
# The exceptions, counted in this run's network, and the maps of both layers on the frames that are measured above. `std` is the largest relative
# difference between $\sigma_y$ and $|a| \sigma_x$, `logits` that of the network's output if one signal replaces both layers.
# The second table has medians over frames: Spearman's correlation over pixels, and the largest difference of a pixel, relative to the
# maximum. The other layers are there for comparison.

# %%
statistics = {name: study.statistics("xception", name) for pair in pairs for name in pair}
affine = affine_table(network, pairs, statistics, first_input)
none = "" if len(affine) else "The layers of this run contain no batch norm and its input."
study.save_table("affine_layers", affine, affine, none)

# %%
from viba_lib.experiments.affine_layers import with_others

compared = with_others(pairs, list(explained.maps))
same = same_maps(explained.maps, compared, explained.table)
shown = same.groupby(["first", "second"], sort=False)[["correlation", "difference"]].median()
study.save_table("affine_maps", same, shown.reset_index().round(6), none)

# %% tags=["remove-input"]
from viba_lib.experiments.affine_layers import affine_text, diffuse_text, order_text
from viba_lib.models.xception import XCEPTION_LAYERS

rows = measures[measures.detector == "xception"]
found = [diffuse_text(p, layer_difference(rows, "entropy", p, Bootstrap.of(study))) for p in pairs]
texts = [affine_text(affine, same), *found, order_text(order, XCEPTION_LAYERS)]
HTML("".join(f"<p>{text}</p>" for text in texts if text))

# %% [markdown]
# The proof holds for any weights, inputs and $\beta$. So the difference between the paper's Figures 5 and 7 cannot come from the
# content of these two layers. It can come from how the maps were made: other noise samples, statistics of other frames for each layer, a
# clamp of small standard deviations, or an activation that was overwritten. The last is possible because the ReLU downstream of `bn3` works
# in place (the paper's Table 5), so that a stored reference to the output of `bn3` contains its rectified values later. The
# paper does not describe these details. The same proof holds for `features.8` and `features.9` of VGG11, and for `conv4` and `bn4`.

# %% [markdown]
# ## Exercises
#
# ```{exercise} Beta and depth
# :label: ex-beta-depth
# A larger $\beta$ asks for fewer bits. Predict whether that focuses the map of the paper's layer or only makes it
# weaker. Then collect what `layer_measures` returns for Xception at this layer, `study.layer("xception")`, in a dictionary `betas` with
# the keys 1.0 and 100.0, the two values of $\beta$. Two videos of each class are enough. Look at `entropy` and `ratio`.
# ```
#
# ```{solution-start} ex-beta-depth
# :class: dropdown
# ```

# %% tags=["solution"]
chosen_layer = study.layer("xception")
few = min(measured, 2)
betas = {b: layer_measures(study, chosen_layer, b, few).query("detector == 'xception'")
         for b in (1.0, 100.0)}  # fmt: skip
pd.DataFrame({b: m[["bits", "entropy", "ratio"]].mean() for b, m in betas.items()}).T.round(2)

# %% tags=["check", "remove-cell"]
assert set(betas) == {1.0, 100.0}
for found in betas.values():
    assert len(found) and set(found.detector) == {"xception"}
    assert set(found.layer) == {study.layer("xception")} and (found.bits > -1e-3).all()
assert list(betas[1.0].video_id) == list(betas[100.0].video_id)

# %% [markdown]
# Bits should fall as $\beta$ rises. If entropy falls with them, what is left is more focused; if it stays, the same map has
# only become fainter, since {eq}`eq-layer-measures` knows shares and no totals.
#
# ```{solution-end}
# ```
#
# ```{exercise} Deletion on a real frame
# :label: ex-deletion-real
# What does deletion measure on a *real* frame, where there is no artefact to find? Compare the mean `deletion` of real
# and fake frames, over all layers measured, and call the table `by_class`.
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
assert ((by_class.dropna() >= 0) & (by_class.dropna() <= 1)).all(axis=None) and len(by_class)

# %% [markdown]
# An empty input must be called something. If the detector calls it real, then a real frame stays real whatever is
# taken away: its area is near 1 and tells nothing of the map. Always look at both classes.
#
# ```{solution-end}
# ```
#
# ```{exercise} What a unit can see
# :label: ex-receptive-field
# A unit of a late layer sees more of the input than one of an early layer. Write `receptive_field(layers)` for a chain of (kernel,
# stride) pairs that returns how many input pixels one output unit sees along an axis. How does it grow for three convolutions of 3
# with stride 1, and how if each has stride 2?
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


{stride: [receptive_field([(3, stride)] * n) for n in (1, 2, 3)] for stride in (1, 2)}

# %% tags=["check", "remove-cell"]
assert receptive_field([]) == 1 and receptive_field([(3, 1)] * 3) == 7
assert receptive_field([(3, 2)] * 3) == 15 and receptive_field([(1, 2), (3, 1)]) == 5

# %% [markdown]
# Without strides it grows by a constant, with strides it about doubles. Late layers see the whole face: their map is coarse because they
# have few places, and blurred because each place knows of much.
#
# ```{solution-end}
# ```
#
# ## Common misconceptions
#
# - **"The layer with the prettiest map is the right one."** Pretty is focused. Whether it lies on the evidence is another question, and
#   here it can be measured.
# - **"A layer with fewer bits explains better."** Layers differ in size and in what a bit costs at one $\beta$. Totals of different
#   layers cannot be compared.
# - **"Each layer of a network gives another map."** A layer and its batch norm give the same one.
# - **"Late layers are wrong about the place."** They were never asked for one. What they keep is enough to decide, from wherever.
#
# ## Quiz
#
# **1. Why has each column of the first figure a colour scale of its own?**
#
# - a) to make all maps look strong
# - b) because the total of bits differs from layer to layer
# - c) by mistake
#
# ```{dropdown} Answer to question 1
# **b.** On one scale most layers would be black or white. The price is that strengths cannot be compared along a row.
# ```
#
# **2. A layer has a lower deletion area than another. Which reading is safe?**
#
# - a) its map lies on the artefact
# - b) its order of pixels takes away sooner what the detector needs
# - c) it has fewer bits
#
# ```{dropdown} Answer to question 2
# **b.** Deletion asks the detector. The artefact is asked by `ratio`. The two may disagree.
# ```
#
# **3. The interval of a difference to the paper's layer contains 0. What do you report?**
#
# - a) the layers are equally good
# - b) the comparison is inconclusive, and how wide the interval is
# - c) nothing
#
# ```{dropdown} Answer to question 3
# **b.** The width says how large a difference could still be hidden.
# ```
#
# ## Summary
#
# - Early layers keep the place of the evidence, late layers its kind.
# - The paper's choice by eye can be checked by number, where the truth is known, and the intervals say how
#   far.
# - Focus, place and need are three measures, and no layer need win all.
# - The bottleneck works in units of a layer's mean and standard deviation, so it cannot distinguish a layer from its
#   batch norm.
#
# ## What next
#
# - Another kind of bottleneck at the same layer: {doc}`/notebooks/06_bottleneck_type`.
# - Step through layers and clips: {doc}`/book/viewer`.
# - A layer of your own network: {doc}`/book/own_model`.
#
# ## References
#
# - {cite:t}`solopova2024`: the eight injection points in Tables 5 to 7, their maps in Figures 4 to 11, which this chapter repeats,
#   and the choice by eye in Section 3.3.
# - {cite:t}`petsiuk2018rise`: deletion as a measure of an explanation.
# - {cite:t}`schulz2020`: the choice of a layer for pictures.

# %% tags=["remove-input"]
HTML(study.provenance_html(detectors))
