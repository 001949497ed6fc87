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
# A bottleneck can be optimised for each frame, or a network can be trained once that predicts it. Which gives the
# better maps, and when does the training pay?
#
# ```{admonition} What you will learn
# :class: tip
# - how the readout bottleneck predicts $\lambda$ in one pass
# - to compare maps of both kinds on the same frames, by measures and not by looks
# - to tell a readout that has learned from one that has not
# - to compute after how many frames its training is repaid
# ```
#
# ```{admonition} What you need first
# :class: note
# | Concept | Why | Where |
# |---|---|---|
# | {term}`Per-sample bottleneck` | one of the two kinds | {doc}`/notebooks/04_viba_step_by_step` |
# | {term}`Injection layer` | both kinds sit at the same one | {doc}`/notebooks/05_injection_layer` |
# | Training of a network | the readout is one | {doc}`/notebooks/03_detectors` |
# ```
#
# <!-- time -->
#
# The {term}`per-sample bottleneck <Per-sample bottleneck>` optimises $\lambda$ for each frame by {eq}`eq-objective`. The
# {term}`Readout bottleneck` trains a small network, once, that reads later layers and predicts $\lambda$ for any
# frame. The paper trained it for 10 epochs and found its maps less consistent and less clear.

# %% tags=["parameters"]
profile = "quick"
data_root = "../data"
results_root = "../results"
device = "cpu"
seed = 0
frames = 8  # held-out real and fake frames each that both kinds explain; at least 1

# %% tags=["remove-input"]
from IPython.display import HTML

from viba_lib.book.injected import check_injected
from viba_lib.pipeline.study import Study

check_injected()
study = Study(profile, data_root, results_root, device, seed)
HTML(study.banner())

# %% [markdown]
# ## Train the readout
#
# The detector first runs without noise. Three of its later layers give $R_1, R_2, R_3$, normalised and scaled to the size of
# the injection layer. A network $f$ with weights $\phi$, three convolutions of 1 by 1, makes $\lambda$ of them,
#
# $$ \lambda_\phi(X) = g * \operatorname{sigmoid} \bigl( f_\phi(R_1, R_2, R_3) \bigr), $$ (eq-readout-share)
#
# smoothed by $g$ as in {eq}`eq-step-share`. The training asks of all frames together what the per-sample bottleneck asks of each,
#
# $$ \min_\phi \; \operatorname{mean}_X \bigl[ \mathcal L(\theta, \lambda_\phi(X)) + \beta\, I(R; Z) \bigr]. $$ (eq-readout-objective)
#
# The detector's weights $\theta$ stay here too, and no label is read: $\mathcal L$ is the {term}`Cross-entropy` of the class that it
# predicted. The reference trains at a learning rate of $10^{-5}$; with few frames an epoch is
# few steps, so the short profiles take a larger one.

# %%
readout = study.readout("xception")
study.profile.readout.model_dump()

# %% [markdown]
# ## The same frames, both ways
#
# Fakes and real frames, all held out from the training, two of each video, because consistency needs pairs of frames. Expect the per-sample maps to differ from frame to frame, each as
# sharp as its own optimisation left it. Expect the readout's to be more alike: one network serves all faces, and a face has
# much in common with the next.

# %%
from viba_lib.experiments.bottleneck_type import bottleneck_types

both = bottleneck_types(study, "xception", frames)

# %% mystnb={"image": {"alt": "Face crops of fakes and real frames above and per-sample relevance maps below, with planted regions outlined."}, "figure": {"caption": "Per-sample bottleneck: optimised for each frame.", "name": "fig-per-sample"}}
from viba_lib.visual import map_figures, result_figures

some = [*range(3), *range(frames, frames + 3)] if len(both.images) >= frames + 3 else [0]
shown = [both.labels[i] for i in some]
map_figures.relevance_grid(
    both.images[some], both.maps["per-sample"][some], both.masks[some], shown
)

# %% mystnb={"image": {"alt": "The same face crops above and the relevance maps of the readout bottleneck below, with planted regions outlined."}, "figure": {"caption": "Readout bottleneck: predicted in one pass.", "name": "fig-readout"}}
map_figures.relevance_grid(both.images[some], both.maps["readout"][some], both.masks[some], shown)

# %% [markdown]
# ## Measured
#
# Looks deceive, so we count. On the real and the fake frames together: `kept` is the share of predictions that survive the
# bottleneck, `bits` the total of the map per frame, `entropy` the map's entropy in bits (lower is clearer, whether the map is right
# or not), `ratio` relevance inside
# the mask of the {term}`Planted artefact` against chance (fakes only), both as in {eq}`eq-layer-measures`, `deletion` the area
# under the prediction as the most relevant pixels go first (lower is better), `iou` the {term}`Intersection over union` of the
# highlighted regions of two frames of one video (consistency), `seconds` the cost per frame, and `training` what was spent
# once beforehand.

# %%
columns = [
    "type",
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

# %% mystnb={"image": {"alt": "Points with intervals for the per-sample and the readout bottleneck: entropy, relevance on the artefact with a line at chance, and overlap of consecutive frames."}, "figure": {"caption": "Clarity, relevance on the artefact and consistency of both kinds, with 95 % intervals over people and their source clips.", "name": "fig-kinds"}}
result_figures.intervals(
    both.table, ["entropy", "ratio", "iou"], labels="type", chance={"ratio": 1}
)

# %% tags=["remove-input"]
from viba_lib.experiments.bottleneck_type import types_text
from viba_lib.experiments.common import Bootstrap

HTML(f"<p>{types_text(both.measures, Bootstrap.of(study))}</p>")

# %% [markdown]
# Entropy measures how few pixels hold the relevance, and the ratio measures whether they are the right pixels. A map with a low entropy on
# the wrong pixels looks clear and misleads. This is why a choice by eye, as in the paper, needs a measure with a known truth
# beside it.
#
# Has the readout learned anything? It starts where everything passes, and a map near that start shows where the
# layer is *active*, not what the decision needs. At the other end, a readout that gives up nearly all bits everywhere
# points nowhere. Its maps mean something where it keeps predictions with few bits:

# %% tags=["remove-input"]
from viba_lib.experiments.common import no_masks

start, end = study.readout_history("xception").loss.iloc[[0, -1]]
types = both.table.set_index("type")
place = no_masks(types.ratio, "the ratio") or (
    f"Relevance on the artefact is {types.ratio['readout']:.1f} times chance for the readout and "
    f"{types.ratio['per-sample']:.1f} times for the per-sample bottleneck."
)
HTML(
    f"<p>From its first to its last epoch the readout's mean loss went from {start:.2f} to {end:.2f} nats. On these "
    f"frames it lets {types.bits['readout']:,.0f} bits pass and keeps {types.kept['readout']:.0%} of the predictions; "
    f"the per-sample bottleneck needs {types.bits['per-sample']:,.0f} and keeps {types.kept['per-sample']:.0%}. "
    f"{place} The readout took "
    f"{types.training['readout']:.0f} s of training and takes {types.seconds['readout']:.2f} s per frame; the "
    f"per-sample bottleneck takes {types.seconds['per-sample']:.2f} s: the training is repaid after "
    f"{types.training['readout'] / max(types.seconds['per-sample'] - types.seconds['readout'], 1e-9):,.0f} frames.</p>"
)

# %% [markdown]
# The paper trained for ten epochs on its whole training split and found the readout's maps less consistent and less
# clear. Ten epochs of the few frames of a short profile are far fewer steps, so this page is about a readout with less
# training than the paper's.

# %% [markdown]
# ## Exercises
#
# ```{exercise} When is the training repaid?
# :label: ex-break-even
# Training costs $t$ seconds once; a frame then takes $a$ seconds instead of $b$. Write `breakeven(t, a, b)` that returns the
# number of frames $n$ from which $t + n a \le n b$, and infinity where that is never so. How long a film at 25 frames per
# second is that for the two kinds in `both.table`?
# ```
#
# ```{solution-start} ex-break-even
# :class: dropdown
# ```

# %% tags=["solution"]
import math


def breakeven(t, a, b):
    """Frames after which a training of t seconds is repaid."""
    return math.ceil(t / (b - a)) if b > a else math.inf


costs = both.table.set_index("type")
frames_needed = breakeven(
    costs.training["readout"], costs.seconds["readout"], costs.seconds["per-sample"]
)
print(f"{frames_needed} frames, {frames_needed / 25:.1f} s of film")

# %% tags=["check", "remove-cell"]
assert breakeven(10, 1, 2) == 10 and breakeven(10, 0.5, 3) == 4
assert breakeven(10, 2, 2) == breakeven(10, 3, 2) == math.inf

# %% [markdown]
# It pays for films, not for one picture. The price is another one: a readout is trained for one layer, one $\beta$ and one
# detector, and each change of these costs the training again.
#
# ```{solution-end}
# ```
#
# ```{exercise} How spread out is a map?
# :label: ex-spread
# `entropy` treats a map as a distribution over pixels, {eq}`eq-layer-measures`. Write `spread(relevance)` that returns it for one
# map. What are the least and the largest values for a map of $n$ pixels? Apply it to the maps of both kinds, `both.maps`.
# ```
#
# ```{solution-start} ex-spread
# :class: dropdown
# ```

# %% tags=["solution"]
import numpy as np


def spread(relevance):
    """Entropy of a map over its pixels, in bits."""
    p = np.asarray(relevance, float).ravel()
    p = p[p > 0] / p.sum()
    return float(-(p * np.log2(p)).sum())


{kind: round(float(np.mean([spread(m) for m in maps])), 2) for kind, maps in both.maps.items()}

# %% tags=["check", "remove-cell"]
flat, point = np.ones((16, 16)), np.zeros((16, 16))
point[3, 4] = 7.0
assert abs(spread(flat) - 8) < 1e-9 and abs(spread(point)) < 1e-9
from viba_lib.evaluation.faithfulness import entropy

some_map = next(iter(both.maps.values()))[0]
assert abs(spread(some_map) - entropy(some_map)) < 1e-3

# %% [markdown]
# From 0, all on one pixel, to $\log_2 n$, the same everywhere. Clear is not right: a map that puts all on one wrong pixel
# has the best entropy of all. That is why `ratio` stands beside it.
#
# ```{solution-end}
# ```
#
# ## Common misconceptions
#
# - **"The readout explains the frame; the per-sample bottleneck fits noise."** Both let noise in and keep the prediction. One does so
#   by a network that has seen other frames, the other by optimising this one.
# - **"A sharper map is a better map."** Sharpness is low entropy. Whether it lies on the evidence is another measure.
# - **"A readout that lets few bits pass has learned."** It may let few pass everywhere. It has learned where it keeps the
#   predictions with few bits.
#
# ## Quiz
#
# **1. What does the readout network read?**
#
# - a) the pixels
# - b) later layers of the same detector
# - c) the label
#
# ```{dropdown} Answer to question 1
# **b.** The detector runs once without noise, and its later layers know what it has seen. Reading the label would leak the
# answer into the map.
# ```
#
# **2. You change beta. What must be done anew?**
#
# - a) nothing
# - b) only the readout's training
# - c) both: the readout's training, and each per-sample optimisation
#
# ```{dropdown} Answer to question 2
# **c.** Beta is part of both objectives. The per-sample bottleneck pays for it at every frame anyway; the readout pays at
# once.
# ```
#
# **3. A readout keeps all predictions and lets as many bits pass as at its start. What has happened?**
#
# - a) it works perfectly
# - b) it has hardly been trained
# - c) the detector is broken
#
# ```{dropdown} Answer to question 3
# **b.** It starts where everything passes, and everything keeps the prediction. Its map shows where the layer is active.
# ```
#
# ## Summary
#
# - The readout costs one pass per frame once it is trained; how far training has brought it, its bits tell.
# - The per-sample bottleneck needs no training, and pays for it frame by frame.
# - Clarity, place and consistency are three measures, and a kind can win one and lose another.
#
# ## What next
#
# - Films of maps: {doc}`/notebooks/07_relevance_videos`.
# - What other ways there are to be fast: {doc}`/notebooks/12_speed`.
# - The readout for your own network: {doc}`/book/own_model`.
#
# ## References
#
# - {cite:t}`schulz2020`: both kinds of bottleneck, for pictures; its Section 3 introduces the readout.
# - {cite:t}`solopova2024`: the comparison for videos in Section 3.3, "Bottleneck type selection", which this chapter repeats with
#   measures.
# - {cite:t}`petsiuk2018rise`: deletion, one of the measures.

# %% tags=["remove-input"]
HTML(study.provenance_html())
