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
# # The two detectors
#
# An explanation of a decision depends on the detector that made it. This chapter describes the architecture and the
# training of the two detectors, measures what they detect, and shows when they fail.
#
# ```{admonition} What you will learn
# :class: tip
# - to compare Tables 5 to 7 of the paper with the layers of the loaded networks
# - to describe how both detectors were trained, and to read their learning curves
# - to read how well they detect fakes of unseen identities, and which artefacts they detect
# - to judge how robust their decisions are to degraded frames
# ```
#
# ```{admonition} What you need first
# :class: note
# | Concept | Why | Where |
# |---|---|---|
# | Convolution, batch norm, pooling | the networks consist of them | [Dive into Deep Learning](https://d2l.ai/chapter_convolutional-neural-networks/index.html) |
# | {term}`Planted artefact` | what the detectors are trained to find | {doc}`/notebooks/02_dataset_construction` |
# | {term}`Optical flow` | the input of the second detector | {doc}`/notebooks/02_dataset_construction` |
# ```
#
# <!-- time -->
#
# The face (spatial) detector is Xception {cite}`chollet2017xception`. The motion (flow) detector is VGG11 with batch
# norm {cite}`simonyan2015vgg` on {term}`Farneback flow`.

# %% tags=["parameters"]
profile = "quick"
data_root = "../data"
results_root = "../results"
device = "cpu"
seed = 0

# %% tags=["remove-input"]
from IPython.display import HTML

from viba_lib.book.injected import check_injected
from viba_lib.pipeline.study import Study
from viba_lib.visual.prose import prose

check_injected()
study = Study(profile, data_root, results_root, device, seed)
HTML(study.banner())

# %% [markdown]
# ## Xception: Tables 5 and 6 of the paper
#
# Each row is a top-level layer of the network, with the shape of its output for the input size of the profile.

# %%
from viba_lib.models.describe import layer_table

xception = study.detector("xception")
spatial = study.settings("xception").size
layer_table(xception, spatial)

# %% tags=["remove-input"]
from viba_lib.experiments.detector_readings import (
    compared_texts,
    corruption_losses,
    methods_text,
    robustness_text,
    sizes_text,
    training_text,
)
from viba_lib.models.detectors import DETECTORS

sizes = {
    f"inputs of {n}": (study.settings(n).size, d.size)
    for n, d in DETECTORS.items()
}
prose(sizes_text(sizes))

# %% [markdown]
# The paper's "typical block" corresponds to block 2 of this network. It consists of two sequences of ReLU, separable
# convolution and batch norm, followed by a pooling layer of stride 2.

# %%
layer_table(xception, spatial, inside="block2.rep")

# %% [markdown]
# The next table compares each row with the values in the paper.

# %%
import pandas as pd

from viba_lib.experiments.paper_numbers import TABLE_5, TABLE_6, TABLE_7
from viba_lib.models.describe import beside_paper

five = beside_paper(xception, TABLE_5)
six = beside_paper(xception, TABLE_6, inside="block2.rep")
both = pd.concat(
    {"Table 5": five, "Table 6": six}, names=["table", None]
).reset_index("table")
study.save_table(
    "layers_xception",
    both,
    both[~both.agrees] if not both.agrees.all() else both.tail(3),
)

# %% tags=["remove-input"]
prose(
    f"Of {len(both)} rows {both.agrees.sum()} agree; those that do not are shown."
)

# %% [markdown]
# The rows that differ describe the same function. The first ReLU of a block must not overwrite its input, because the
# skip connection also takes this input. Dropout before the classifier has no effect when the network is evaluated.
# Checkpoints with the paper's name `last_linear` are loaded under the name `fc`.
#
# ## VGG11 with batch norm: Table 7 of the paper
#
# The layer numbers are those of the paper. The paper describes the head as "FC + Dropout" without sizes. Here the head
# is dropout and one linear layer after global average pooling, so that the network accepts inputs of any size.

# %%
flow = study.detector("flow-vgg11")
layer_table(flow, study.settings("flow-vgg11").size, inside="features")

# %%
seven = beside_paper(flow, TABLE_7)
study.save_table(
    "layers_flow", seven, seven.iloc[[8, 9, 10, 11, 12, 13, 15, 16, 17, -1]]
)

# %% tags=["remove-input"]
prose(
    f"Of the {len(seven)} rows of Table 7, {seven.agrees.sum()} agree."
)

# %% [markdown]
# ## Training
#
# The table compares the paper's Appendix A with this run. The paper trains the flow detector for at most 50 epochs and
# stops after 24. Its Xception has public weights {cite}`liu2023deepfake`, which come from a project based on
# FaceForensics++. The list of {ref}`inconsistencies <inconsistencies>` says what this leaves open. The profiles start
# Xception from ImageNet weights. A short run has a budget of steps instead of epochs. `train_from` names the first part
# of the network whose weights change: in the profile `quick`, Xception keeps the ImageNet weights of the parts before
# block 4.

# %%
settings = {
    "xception": study.profile.xception,
    "flow-vgg11": study.profile.flow,
}
paper = {
    "learning_rate": 0.001,
    "batch_size": 16,
    "patience": 7,
    "steps": "24 of 50 epochs",
}
here = {name: s.training.model_dump() for name, s in settings.items()}
training = pd.DataFrame({"paper (Appendix A)": paper} | here).reindex(
    list(here["xception"])
)
training = training.fillna("").astype(str)
study.save_table("training", training.reset_index(), training)

# %% [markdown]
# The training set has few identities, so the training uses augmentation. Part of the fakes (`fresh`) are planted again
# in each batch, and each batch also contains the real frame that such a fake comes from. Both frames get the same
# flips, crops and changes of brightness, so that they differ only in the artefact. For the face detector,
# some real frames are degraded by simulated cameras and codecs *before* an artefact is planted. *After* it, some frames
# are compressed again, as published forgeries are. Their fraction grows until half of the training, to about seven in
# ten. For the flow detector, it grows to four in ten pairs, and the two frames of a pair are compressed as a video. In
# some pairs, the texture of skin is removed, so that flow is estimated at eyes, nose and mouth only, or a camera motion
# is added. If `crop_steps` is above 0, the first batches show only
# half the side of the input, around the artefact, because the artefact is a small fraction of the averaged area in a
# complete map.

# %% mystnb={"image": {"alt": "Learning curves of both detectors: training loss, validation loss and validation AUC over training steps."}, "figure": {"caption": "Loss on training and validation frames, and validation AUC, of both detectors.", "name": "fig-learning"}}
from viba_lib.visual import result_figures

curves = {name: study.training(name) for name in settings}
result_figures.learning_curves(curves)

# %% tags=["remove-input"]
readings = [
    training_text(n, curves[n], s.training.restore)
    for n, s in settings.items()
]
prose(*readings)

# %% tags=["remove-input"]
spent = study.seconds()
seen = {n: study.frames("train", n) for n in settings}
prose(
    "Cost of the training: "
    + "; ".join(
        f"{n} {curves[n].step.max():,} steps of {s.training.batch_size} in {spent[f'train-{n}'] / 60:.0f} min, on "
        f"{len(seen[n]):,} frames of {seen[n].identity.nunique()} people"
        for n, s in settings.items()
    )
    + f". Before that, {spent.get('dataset', 0) / 60:.0f} min for the data set and {spent['prepare'] / 60:.0f} min for "
    f"key frames, crops and flow. All on {study.provenance()['device']}."
)

# %% [markdown]
# In the default data set, one validation person sits in a car and was recorded in images of 176 by 144 stored pixels, the most difficult of the
# sources, and the other validation person is generated. The curves on them show how the training proceeded, but not how
# good a detector is on other people. A gap between both losses has two possible causes: overfitting, or a difference
# between the training and the validation people. The loss depends on confidence as well as on decisions. It can rise
# while the AUC, which depends on the order of the scores only, does not fall. A profile with `restore: last` keeps the
# last weights, because two validation people are too few to select weights with, and sets the decision threshold
# afterwards (`calibrate`). With `restore: best`, as in Appendix A, early stopping keeps the weights before the rise.
#
# ## Performance on unseen identities
#
# Each detector is evaluated on real frames and on the methods that were made for it. {term}`AUC` measures the order of its scores. A
# {term}`source clip <Source clip>` is a real clip together with the fakes made from it. The intervals come from a
# {term}`bootstrap <Bootstrap>` that samples people and then their source clips. With few people the intervals are wide, and they describe
# these people only.

# %%
from viba_lib.experiments.common import Bootstrap, held_out_predictions
from viba_lib.experiments.detection import held_out_table

bootstrap = Bootstrap.of(study)
in_scope = {name: held_out_predictions(study, name) for name in settings}
held_out = held_out_table(in_scope, bootstrap)
columns = [
    "name",
    "frames",
    "videos",
    "accuracy",
    "precision",
    "recall",
    "auc",
    "ece",
]
study.save_table("held_out", held_out, held_out[columns].round(3))

# %% mystnb={"image": {"alt": "Points and horizontal intervals of accuracy and AUC for both detectors."}, "figure": {"caption": "Accuracy and AUC on held-out identities, with 95 % intervals over people and their source clips.", "name": "fig-held-out"}}
result_figures.intervals(held_out, ["accuracy", "auc"])

# %% tags=["remove-input"]
from viba_lib.experiments.detector_readings import held_out_text

prose(held_out_text(held_out))

# %% [markdown]
# `ece` is the mean gap between confidence and accuracy. The figure shows this gap for each bin of confidence. On the
# diagonal, 80 % of the frames with a confidence of 80 % are classified correctly.

# %% mystnb={"image": {"alt": "Two reliability diagrams with bars of accuracy over confidence and a diagonal, one for each detector."}, "figure": {"caption": "Reliability of both detectors on held-out identities: accuracy of the frames in each bin of confidence.", "name": "fig-reliability-held-out"}}
result_figures.reliability(
    {n: (p.p_fake.to_numpy(), p.label.to_numpy()) for n, p in in_scope.items()}
)

# %% [markdown]
# ## Detection by manipulation method
#
# A single frame of a temporal method contains only real content, with at most a faint seam or blur, and spatial artefacts
# that move with the face hardly change the flow. Expect each detector to have high scores only on the methods that were made for it.

# %% mystnb={"image": {"alt": "Dots of the probability of fake for each test frame, one row per method, for both detectors; real frames have low values and detected methods have high values."}, "figure": {"caption": "Probability of fake of every test frame, by planted method; the dotted line is the decision threshold.", "name": "fig-by-method"}}
tested = {n: study.predictions(n).query("split == 'test'") for n in settings}
result_figures.scores_by_method(tested)

# %% [markdown]
# The next table shows the fraction of each method's frames that are called fake. For real frames this is the false
# alarm rate.

# %%
called = pd.DataFrame(
    {
        n: p.assign(fake=p.p_fake >= 0.5).groupby("method").fake.mean()
        for n, p in tested.items()
    }
).rename(index={"": "real (false alarms)"})
called["frames"] = (
    tested["xception"]
    .groupby("method")
    .size()
    .rename({"": "real (false alarms)"})
)
called = called.rename_axis("method").reset_index()
study.save_table("by_method", called, called.round(2))

# %% tags=["remove-input"]
prose(methods_text(in_scope))

# %% [markdown]
# A method without a detected frame limits every later chapter, because the map of such a frame explains the answer
# "real".

# %% [markdown]
# ## Detection by identity
#
# In the default data set, some test people were filmed, and the others are generated portraits that were animated ([the
# page of the data set](../book/dataset.md)). A detector can rank the frames of a person well (the AUC) and still call most real frames
# of that person fake. Its threshold is then wrong for that face or camera. With `calibrate`, the threshold is set on up to two frames
# of each validation video, each as it is, as JPEG, as H.264 and at half the resolution. A false alarm counts as
# `alarm_cost` missed fakes. On average over the validation people, at most a tenth of the real frames are called fake
# (`viba_lib.evaluation.calibration`). In `standard`, the cost is 3 for the face detector, the ratio of 30 % missed
# fakes to 10 % false alarms; otherwise it is 1. Expect false alarms to differ between people.

# %%
from viba_lib.experiments.detection import (
    people_table,
    people_text,
    robustness_table,
)

people = people_table(in_scope, bootstrap)
columns = [
    "detector",
    "origin",
    "identity",
    "frames",
    "clips",
    "auc",
    "false_alarms",
    "recall",
]
study.save_table("people", people, people[columns].round(2))

# %% tags=["remove-input"]
prose(people_text(people))

# %% [markdown]
# Optical flow needs texture: on an even surface, many motions explain the same two frames. The table shows, for each test
# person, the median *texture* of the first frames of the real videos: the smaller eigenvalue of the structure tensor, in
# squares of grey levels per pixel {cite}`shi1994`. `lowest` is the limit of the training domain, which is set on training
# and validation people. Below it, a decision of the motion detector is outside the training domain ({ref}`training-domain`).

# %%
from viba_lib.experiments.flow_texture import texture_table, texture_text

motion = "flow-vgg11"
texture = texture_table(study, motion)
study.save_table("texture", texture, texture.round(2))

# %% tags=["remove-input"]
by_person = people[people.detector == motion].set_index("identity")
prose(texture_text(texture, by_person.auc))

# %% [markdown]
# ## Robustness to degraded frames
#
# A detector that uses traces of blending must fail when these traces are removed. The test frames are compressed as
# images (JPEG) and as videos (H.264), blurred, darkened, brightened and reduced in resolution. Both detectors then
# classify them again. The flow is computed from the degraded frames, whose H.264 encodes both frames of a pair as one
# video. Two effects are possible: the face detector
# loses the fine traces of blending, and the motion detector loses the texture that flow is estimated from. Expect a
# small effect of brightness. The result below the figure says which detector loses more in this run. The dotted line is
# the AUC of the unchanged frames. An AUC of 0.5 corresponds to guessing.

# %% mystnb={"image": {"alt": "Five panels with the AUC of both detectors over levels of JPEG quality, H.264 quality, blur, brightness and resolution, each with a shaded interval and a dotted line for the unchanged frames."}, "figure": {"caption": "AUC on degraded test frames, with 95 % intervals over people and their source clips.", "name": "fig-robustness"}}
worse = robustness_table(
    {name: study.robustness(name) for name in settings}, bootstrap
)
result_figures.robustness(worse)

# %% tags=["remove-input"]
changed = worse[worse.corruption != "unchanged"]
lowest = changed.sort_values("auc").groupby("detector", sort=False).first()
prose(
    "The lowest AUC: "
    + "; ".join(
        f"{name} {row.auc:.2f} ({row.auc_low:.2f} to {row.auc_high:.2f}) at {row.corruption} {row.level:g}"
        for name, row in lowest.iterrows()
    )
    + f". Each point is computed from at least {worse.frames.min()} frames."
)

# %%
shown = (
    changed.sort_values("auc")
    .groupby(["detector", "corruption"], sort=False)
    .head(1)
)
study.save_table(
    "robustness",
    worse,
    shown[["detector", "corruption", "level", "accuracy", "auc"]].round(3),
)

# %% [markdown]
# The table shows the worst level of each corruption, and the download contains all levels. The comparison of the two
# detectors does not select a level: the loss is the AUC of the unchanged frames minus the mean AUC over all levels of a
# corruption. Each video has its part of this loss, and the parts of both detectors are paired by source clip. The
# p-values are corrected by Holm's procedure for the number of corruptions.

# %% tags=["remove-input"]
losses = corruption_losses({name: study.robustness(name) for name in settings})
prose(robustness_text(losses), *compared_texts(losses, bootstrap))

# %% [markdown]
# A map cannot show evidence that its detector can no longer detect. The maps of the following chapters therefore depend
# on the quality of the video.

# %% [markdown]
# ## Exercises
#
# ```{exercise} Weights of a separable convolution
# :label: ex-separable
# A separable convolution filters each channel separately (a kernel of $k$ by $k$) and then mixes the channels by a
# convolution of 1 by 1. Write `plain(k, c_in, c_out)` and `separable(k, c_in, c_out)`, which return the numbers of
# weights without bias. What is the ratio for the first separable convolution of `xception.block4`? Call it `saved`.
# ```
#
# ```{solution-start} ex-separable
# :class: dropdown
# ```


# %% tags=["solution"]
def plain(k, c_in, c_out):
    """Weights of a convolution."""
    return k * k * c_in * c_out


def separable(k, c_in, c_out):
    """Weights of a separable convolution: a filter a channel, then a mix."""
    return k * k * c_in + c_in * c_out


saved = plain(3, 728, 728) / separable(3, 728, 728)
round(saved, 2)

# %% tags=["check", "remove-cell"]
assert plain(3, 2, 5) == 90 and separable(3, 2, 5) == 28
first_one = next(
    m
    for m in xception.block4.modules()
    if type(m).__name__ == "SeparableConv2d"
)
assert separable(3, 728, 728) == sum(w.numel() for w in first_one.parameters())
assert abs(saved - plain(3, 728, 728) / separable(3, 728, 728)) < 1e-9

# %% tags=["hidden", "remove-cell"]
for k, c_in, c_out in ((5, 7, 3), (1, 4, 9), (7, 16, 32)):
    assert plain(k, c_in, c_out) == k * k * c_in * c_out
    assert separable(k, c_in, c_out) == c_in * (k * k + c_out)
assert abs(saved - 9 * 728 / (9 + 728)) < 1e-9

# %% [markdown]
# The ratio is nearly nine, the number of positions in a kernel. With many channels, almost all weights belong to the
# convolution of 1 by 1.
#
# ```{solution-end}
# ```
#
# ```{exercise} Calibration error from its definition
# :label: ex-ece-hand
# The {term}`Expected calibration error` sorts decisions into 15 bins by confidence. It is the mean gap between accuracy
# and mean confidence, weighted by the size of the bins. Write `ece(confidence, right)` for two arrays, and compare its
# value for Xception with the table above. Confidence is the larger of $p$ and $1 - p$.
# ```
#
# ```{solution-start} ex-ece-hand
# :class: dropdown
# ```

# %% tags=["solution"]
import numpy as np


def ece(confidence, right, bins=15):
    """Mean gap of accuracy and confidence over bins, weighted by size."""
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = []
    for b in np.unique(place):
        here = place == b
        gap = abs(right[here].mean() - confidence[here].mean())
        gaps.append(gap * here.mean())
    return float(sum(gaps))


p, label = (
    in_scope["xception"].p_fake.to_numpy(float),
    in_scope["xception"].label.to_numpy(),
)
round(ece(np.maximum(p, 1 - p), (p > 0.5) == label), 3)

# %% tags=["check", "remove-cell"]
from viba_lib.evaluation import expected_calibration_error

assert ece(np.array([0.9] * 10), np.array([True] * 9 + [False])) < 1e-9
expected = expected_calibration_error(np.stack([1 - p, p], 1), label)
assert abs(ece(np.maximum(p, 1 - p), (p > 0.5) == label) - expected) < 0.02

# %% tags=["hidden", "remove-cell"]
sure = np.array([0.55, 0.55, 0.78, 0.95])
correct = np.array([True, False, True, False])
# Three bins: gaps of 0.05, 0.22 and 0.95 with 2, 1 and 1 of 4 decisions.
assert abs(ece(sure, correct) - (0.05 * 2 + 0.22 + 0.95) / 4) < 1e-9
assert abs(ece(sure, ~correct) - (0.05 * 2 + 0.78 + 0.05) / 4) < 1e-9

# %% [markdown]
# The error measures the mean gap, but not its direction. The reliability diagram shows the direction. With few frames,
# many bins contain only a few of them, and the error is then too large by chance alone.
#
# ```{solution-end}
# ```
#
# ## Common misconceptions
#
# - **"An AUC of 0.9 means that 90 % of the decisions are correct."** It means that a random fake gets a higher score
#   than a random real frame in 90 % of pairs. Accuracy also depends on the threshold.
# - **"More frames make a better test."** More *people* make a better test, because frames of one person share the face,
#   the camera and the light.
# - **"A detector that finds all planted artefacts finds deepfakes."** The detector was trained on planted artefacts
#   only, and other forgeries have other artefacts.
#
# ## Quiz
#
# **1. AUC is high and accuracy is near one half. What is a likely reason?**
#
# - a) the detector has not learned to rank the frames
# - b) the threshold does not fit the range of the scores
# - c) the labels of the two classes were exchanged
#
# ```{dropdown} Answer to question 1
# **b.** AUC does not depend on a threshold. A shift of all scores, for example by another camera, does not change the
# AUC but lowers the accuracy. With exchanged labels the AUC would be low.
# ```
#
# **2. Xception receives single frames. Why should it not detect the methods "lag", "freeze" and "jitter"?**
#
# - a) its input is too small to show these artefacts
# - b) it was trained with too few of their frames
# - c) the artefact is the motion, and not a frame
#
# ```{dropdown} Answer to question 2
# **c.** The content of each frame is real. If Xception calls such frames fake, it uses another feature, such as a faint
# seam or the identity.
# ```
#
# **3. The validation loss rises while the training loss falls. What does early stopping do?**
#
# - a) it lowers the learning rate until it falls
# - b) it keeps the weights from before the rise
# - c) it adds more augmentation to the training
#
# ```{dropdown} Answer to question 3
# **b.** After several validations without a lower loss (the patience), training ends, and the best weights are kept. A
# profile with `restore: last` switches early stopping off. The text below the learning curves says which weights this
# run has.
# ```

# %% tags=["remove-input"]
from viba_lib.experiments.quiz_answers import motion_hidden
from viba_lib.visual.quiz import answer_html

HTML(answer_html(2, motion_hidden(tested["xception"], bootstrap)))

# %% [markdown]
# ## Summary
#
# - The networks agree with the paper's tables, except for the rows that the first section names.
# - The tables by method and by identity show which artefacts each detector finds on unseen identities, and which it
#   misses.
# - The last figure and the text below it show the loss of AUC under each corruption, and whether the detectors differ.
#
# ## What next
#
# - Explanation of a single decision: {doc}`/notebooks/04_viba_step_by_step`.
# - Effect of the bottleneck on the decisions: {doc}`/notebooks/08_detection_performance`.
# - Your own weights or your own network: {doc}`/book/running` and {doc}`/book/own_model`.
#
# ## References
#
# - {cite:t}`solopova2024`: Tables 5 to 7 with the layers, and Appendix A with the training.
# - {cite:t}`chollet2017xception`: Xception and separable convolutions.
# - {cite:t}`simonyan2015vgg`: the family of networks of which VGG11 is the smallest.
# - {cite:t}`guo2017calibration`: calibration of networks.
# - {cite:t}`liu2023deepfake`: the weights of the paper's Xception.

# %% tags=["remove-input"]
HTML(study.provenance_html())
