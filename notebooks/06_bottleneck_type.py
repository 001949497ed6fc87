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
# # Per-sample and readout bottleneck
#
# A bottleneck can be optimised for each frame, or a network can be trained once to predict it. This chapter compares
# the maps of both types and computes after how many frames the training is worth its cost.
#
# ```{admonition} What you will learn
# :class: tip
# - to explain how the readout bottleneck predicts $\lambda$ without an optimisation
# - to compare maps of both types on the same frames by measures
# - to distinguish a trained readout from one that has learned little
# - to compute after how many frames the training saves time
# ```
#
# ```{admonition} What you need first
# :class: note
# | Concept | Why | Where |
# |---|---|---|
# | {term}`Per-sample bottleneck` | one of the two types | {doc}`/notebooks/04_viba_step_by_step` |
# | {term}`Injection layer` | both types use the same layer | {doc}`/notebooks/05_injection_layer` |
# | Training of a network | the readout is a trained network | {doc}`/notebooks/03_detectors` |
# ```
#
# <!-- time -->
#
# The {term}`per-sample bottleneck <Per-sample bottleneck>` optimises $\lambda$ for each frame by {eq}`eq-objective`.
# The {term}`Readout bottleneck` trains a small network once. This network reads later layers and predicts $\lambda$ for
# any frame. The paper trained it for 10 epochs and found its maps less consistent and less clear.

# %% tags=["parameters"]
profile = "quick"
data_root = "../data"
results_root = "../results"
device = "cpu"
seed = 0
frames = 8  # held-out real and fake frames each that both types explain; at least 1

# %% tags=["remove-input"]
from IPython.display import HTML

from viba_lib.book.injected import check_injected
from viba_lib.pipeline.study import Study
from viba_lib.visual.prose import prose

check_injected()
study = Study(profile, data_root, results_root, device, seed)
HTML(study.banner())

# %% [markdown]
# ## Training of the readout
#
# The detector first runs without noise. Three of its later layers give $R_1, R_2, R_3$, which are normalised and scaled
# to the size of the injection layer. A network $f$ with weights $\phi$, three convolutions of 1 by 1, predicts
# $\lambda$ from them,
#
# $$ \lambda_\phi(X) = g * \operatorname{sigmoid} \bigl( f_\phi(R_1, R_2, R_3) \bigr), $$ (eq-readout-share)
#
# smoothed by $g$ as in {eq}`eq-step-share`. The training minimises the mean over frames of the objective that the
# per-sample bottleneck minimises for each frame,
#
# $$ \min_\phi \; \operatorname{mean}_X \bigl[ \mathcal L(\theta, \lambda_\phi(X)) + \beta\, I(R; Z) \bigr]. $$ (eq-readout-objective)
#
# The detector's weights $\theta$ are frozen here too, and no label is used: $\mathcal L$ is the {term}`Cross-entropy`
# of the class that the detector predicted. The reference implementation trains at a learning rate of $10^{-5}$. With
# few frames an epoch has few steps, so the short profiles use a larger learning rate.

# %%
readout = study.readout("xception")
study.profile.readout.model_dump()

# %% [markdown]
# ## Loss of both masks on one frame
#
# Both types minimise the same two terms, and they differ in the origin of $\lambda$. The function below computes both
# terms of {eq}`eq-readout-objective` for one frame and any mask. It mixes the activation with one sample of the noise,
# {eq}`eq-step-channel`, passes the result to the layers downstream, and takes the divergence {eq}`eq-step-bits` in
# nats. The cell before it prepares the frame: the activation upstream, the predicted class and both masks.

# %%
import numpy as np
import pandas as pd
import torch

face = study.inputs("xception", study.evaluation_rows("xception").head(1))
readout.precision = "float32"  # for the comparison with the lines below
by_readout = readout.attribute(face)
optimised = study.bottleneck("xception").attribute(face, with_lam=True)
masks = {"readout": readout.predict_lam(face), "per-sample": optimised.lam}
signal, context = readout.split.head(face.to(device))
units, target = study.statistics("xception"), by_readout.logits_clean.argmax(1)
std = units.std.clamp_min(readout.min_std)
generator = torch.Generator(device).manual_seed(readout.seed)
white = torch.randn(std.shape, generator=generator, device=device).cpu()


# %% tags=["decisive"]
def terms(lam):
    """Cross-entropy, and information as a mean over units, in nats."""
    r, noise = signal.detach().cpu(), units.mean + std * white
    z = (lam * r + (1 - lam) * noise) * units.active
    with torch.no_grad():
        logits = readout.split.tail(z.to(device), context).float().cpu()
    loss = torch.nn.functional.cross_entropy(logits, target)
    score, rest = (r - units.mean) / std, (1 - lam).clamp_min(1e-6)
    nats = ((lam * score) ** 2 + rest**2 - 1) / 2 - rest.log()
    return float(loss), float((nats * units.active).mean())


found = {kind: terms(lam) for kind, lam in masks.items()}

# %%
from viba_lib.bottleneck.information import LN2

loss = float(torch.nn.functional.cross_entropy(by_readout.logits, target))
nats = float(by_readout.capacity.mean()) * LN2
close = {"rtol": 1e-3, "atol": 1e-4}
np.testing.assert_allclose(found["readout"], (loss, nats), **close)
rows = pd.DataFrame(found, index=["cross-entropy", "information"]).T
rows["objective"] = rows["cross-entropy"] + readout.beta * rows.information
rows.round(3)

# %% [markdown]
# For the mask of the readout, the lines and the library's `ReadoutBottleneck` agree. The table has both masks of this
# frame under the same noise. The per-sample mask was optimised for this frame, and the readout has never used it in
# its training, so expect a lower objective for the per-sample mask if its optimisation has converged.

# %% [markdown]
# ## Maps of both types on the same frames
#
# The frames are fakes and real frames that are not part of the training, two of each video, because consistency needs
# pairs of frames. It is open which type gives more similar maps of two frames of a video. Each per-sample map has its own
# optimisation, and one network predicts all maps of the readout. The measure `iou` below compares them.

# %%
from viba_lib.experiments.bottleneck_type import bottleneck_types

both = bottleneck_types(study, "xception", frames)

# %% mystnb={"image": {"alt": "Face crops of fakes and real frames above and per-sample relevance maps below, with planted regions outlined."}, "figure": {"caption": "Per-sample bottleneck: optimised for each frame.", "name": "fig-per-sample"}}
from viba_lib.visual import map_figures, result_figures

some = (
    [*range(3), *range(frames, frames + 3)]
    if len(both.images) >= frames + 3
    else [0]
)
shown = [both.labels[i] for i in some]
map_figures.relevance_grid(
    both.images[some], both.maps["per-sample"][some], both.masks[some], shown
)

# %% mystnb={"image": {"alt": "The same face crops above and the relevance maps of the readout bottleneck below, with planted regions outlined."}, "figure": {"caption": "Readout bottleneck: predicted by a trained network.", "name": "fig-readout"}}
map_figures.relevance_grid(
    both.images[some], both.maps["readout"][some], both.masks[some], shown
)

# %% [markdown]
# ## Quantitative comparison of both types
#
# The measures are computed on the real and the fake frames together:
#
# - `kept` is the fraction of predictions that the bottleneck preserves.
# - `bits` is the total of the map per frame.
# - `entropy` is the map's entropy in bits, as in {eq}`eq-layer-measures`. Lower values mean a clearer map, whether it
#   is correct or not.
# - `ratio` is the relevance inside the mask of the {term}`Planted artefact` over chance (fakes only), as in
#   {eq}`eq-layer-measures`.
# - `deletion` is the area under the prediction while the most relevant pixels are removed first. Lower values mean a
#   more faithful map.
# - `iou` is the {term}`Intersection over union` of the highlighted regions of two frames of one video (consistency).
# - `seconds` is the time per frame.
# - `training` is the time of the training, which is needed once.

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

# %% mystnb={"image": {"alt": "Points with intervals for the per-sample and the readout bottleneck: entropy, relevance on the artefact with a line at chance, and overlap of consecutive frames."}, "figure": {"caption": "Clarity, relevance on the artefact and consistency of both types, with 95 % intervals over people and their source clips.", "name": "fig-kinds"}}
result_figures.intervals(
    both.table, ["entropy", "ratio", "iou"], labels="type", chance={"ratio": 1}
)

# %% tags=["remove-input"]
from viba_lib.experiments.bottleneck_type import types_text
from viba_lib.experiments.common import Bootstrap

prose(types_text(both.measures, both.overlaps, Bootstrap.of(study)))

# %% [markdown]
# Entropy measures how few pixels contain the relevance, and the ratio measures whether they are the correct pixels. A
# map with a low entropy on the wrong pixels looks clear and is misleading. This is why a choice by eye, as in the
# paper, needs an additional measure with a known ground truth.
#
# Has the readout learned anything? It starts near $\lambda = 1$, which transmits everything, and a map near this start
# shows the locations at which the layer is *active*, not the information that the decision needs. The opposite failure
# is a readout that removes nearly all bits everywhere, so that its map highlights no location. Its maps are informative
# only if it keeps predictions with few bits. The result of this run is:

# %% tags=["remove-input"]
from viba_lib.experiments.bottleneck_type import saved_time_text
from viba_lib.experiments.common import no_masks

start, end = study.readout_history("xception").loss.iloc[[0, -1]]
types = both.table.set_index("type")
place = no_masks(types.ratio, "the ratio") or (
    f"Relevance on the artefact is {types.ratio['readout']:.1f} times chance for the readout and "
    f"{types.ratio['per-sample']:.1f} times for the per-sample bottleneck."
)
prose(
    f"From its first to its last epoch the readout's mean loss went from {start:.2f} to {end:.2f} nats. On these "
    f"frames it transmits {types.bits['readout']:,.0f} bits and keeps {types.kept['readout']:.0%} of the predictions; "
    f"the per-sample bottleneck needs {types.bits['per-sample']:,.0f} and keeps {types.kept['per-sample']:.0%}. "
    f"{place} The readout took "
    f"{types.training['readout']:.0f} s of training and takes {types.seconds['readout']:.2f} s per frame; the "
    f"per-sample bottleneck takes {types.seconds['per-sample']:.2f} s. {saved_time_text(types)}"
)

# %% [markdown]
# The paper trained for ten epochs on its whole training split and found the readout's maps less consistent and less
# clear. Ten epochs of the few frames of a short profile are far fewer steps, so such a profile evaluates a readout with
# less training than the paper's.

# %% [markdown]
# ## Exercises
#
# ```{exercise} Break-even point of the training
# :label: ex-break-even
# Training costs $t$ seconds once. A frame then takes $a$ seconds instead of $b$. Write `breakeven(t, a, b)` that
# returns the smallest number of frames $n$ with $t + n a \le n b$, and infinity if there is no such number. How long is
# a video of this number of frames at 25 frames per second, for the two types in `both.table`?
# ```
#
# ```{solution-start} ex-break-even
# :class: dropdown
# ```

# %% tags=["solution"]
import math


def breakeven(t, a, b):
    """Number of frames after which a training of t seconds saves time."""
    return math.ceil(t / (b - a)) if b > a else math.inf


costs = both.table.set_index("type")
frames_needed = breakeven(
    costs.training["readout"],
    costs.seconds["readout"],
    costs.seconds["per-sample"],
)
print(f"{frames_needed} frames, {frames_needed / 25:.1f} s of video")

# %% tags=["check", "remove-cell"]
assert breakeven(10, 1, 2) == 10 and breakeven(10, 0.5, 3) == 4
assert breakeven(10, 2, 2) == breakeven(10, 3, 2) == math.inf

# %% tags=["hidden", "remove-cell"]
assert breakeven(100, 0.25, 0.5) == 400 and breakeven(7, 1, 3) == 4
assert breakeven(1, 0.5, 2.5) == 1
assert breakeven(5, 3, 1) == breakeven(0.1, 0.5, 0.5) == math.inf

# %% [markdown]
# The training saves time only if more frames are explained than this number. It has a further cost: a readout is trained for one
# layer, one $\beta$ and one detector, and each change of these needs a new training.
#
# ```{solution-end}
# ```
#
# ```{exercise} Entropy of a map
# :label: ex-map-entropy
# `entropy` treats a map as a distribution over pixels, {eq}`eq-layer-measures`. Write `map_entropy(relevance)` that returns
# the entropy of one map. What are the smallest and the largest values for a map of $n$ pixels? Apply the function to
# the maps of both types, `both.maps`.
# ```
#
# ```{solution-start} ex-map-entropy
# :class: dropdown
# ```

# %% tags=["solution"]
import numpy as np


def map_entropy(relevance):
    """Entropy of a map over its pixels, in bits."""
    p = np.asarray(relevance, float).ravel()
    p = p[p > 0] / p.sum()
    return float(-(p * np.log2(p)).sum())


{
    kind: round(float(np.mean([map_entropy(m) for m in maps])), 2)
    for kind, maps in both.maps.items()
}

# %% tags=["check", "remove-cell"]
flat, point = np.ones((16, 16)), np.zeros((16, 16))
point[3, 4] = 7.0
assert abs(map_entropy(flat) - 8) < 1e-9 and abs(map_entropy(point)) < 1e-9
from viba_lib.evaluation.faithfulness import entropy

some_map = next(iter(both.maps.values()))[0]
assert abs(map_entropy(some_map) - entropy(some_map)) < 1e-3

# %% tags=["hidden", "remove-cell"]
uneven, half_empty = np.array([[1.0, 1.0], [2.0, 0.0]]), np.eye(8) + 0.0
assert abs(map_entropy(uneven) - 1.5) < 1e-9
assert abs(map_entropy(10 * uneven) - 1.5) < 1e-9
assert abs(map_entropy(half_empty) - 3) < 1e-9

# %% [markdown]
# The entropy lies between 0 for a map with all relevance on one pixel and $\log_2 n$ for a uniform map. A low entropy
# does not mean a correct map: a map with all relevance on one wrong pixel has the lowest entropy. Therefore the table
# also contains `ratio`.
#
# ```{solution-end}
# ```
#
# ## Common misconceptions
#
# - **"The readout explains the frame; the per-sample bottleneck fits noise."** Both add noise and keep the prediction.
#   The readout uses a network that was trained on other frames, and the per-sample bottleneck optimises $\lambda$ for
#   this frame.
# - **"A sharper map is a better map."** Sharpness is low entropy. Whether the relevance lies on the evidence is a
#   different measure.
# - **"A readout that transmits few bits has learned."** It may transmit few bits everywhere. It has learned if it keeps
#   the predictions with few bits.
#
# ## Quiz
#
# **1. What is the input of the readout network?**
#
# - a) later layers of the detector that is explained
# - b) the label of the frame that is explained
# - c) the pixels of the frame that is explained
#
# ```{dropdown} Answer to question 1
# **a.** The detector runs once without noise, and its later layers contain the information that it extracted. With the
# label as input, the map would contain label leakage.
# ```
#
# **2. You change beta. What must be computed again?**
#
# - a) only the training of the readout, but not the per-sample optimisation
# - b) both: the training of the readout, and each per-sample optimisation
# - c) only the per-sample optimisation, but not the training of the readout
#
# ```{dropdown} Answer to question 2
# **b.** Beta is part of both objectives. The per-sample bottleneck has the same cost per frame as before, and the
# readout needs a complete new training.
# ```
#
# **3. A readout keeps all predictions and transmits as many bits as at its start. What has happened?**
#
# - a) its training has changed very little
# - b) its training has reached the optimum
# - c) its beta was too large for this layer
#
# ```{dropdown} Answer to question 3
# **a.** It starts near $\lambda = 1$, which transmits everything and keeps the prediction. Its map shows the locations
# at which the layer is active.
# ```
#
# ## Summary
#
# - The trained readout needs no optimisation, but one pass without noise, which it reads, and one with noise. Its bits
#   and kept predictions show how much it has learned.
# - The per-sample bottleneck needs no training, but an optimisation for each frame.
# - Clarity, localisation and consistency are three measures, and a type can be better in one and worse in another.
#
# ## What next
#
# - Videos of maps: {doc}`/notebooks/07_relevance_videos`.
# - Other ways to reduce the time: {doc}`/notebooks/speed`.
# - The readout for your own network: {doc}`/book/own_model`.
#
# ## References
#
# - {cite:t}`schulz2020`: both types of bottleneck, for images; its Section 3 introduces the readout.
# - {cite:t}`solopova2024`: the comparison for videos in Section 3.3, "Bottleneck type selection", which this chapter
#   repeats with measures.
# - {cite:t}`petsiuk2018rise`: deletion, one of the measures.

# %% tags=["remove-input"]
HTML(study.provenance_html())
