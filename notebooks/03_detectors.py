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
# Before a decision is explained, one should know who decides. What are the two networks made of, how were they trained,
# what do they find, and when do they fail?
#
# ```{admonition} What you will learn
# :class: tip
# - to read Tables 5 to 7 of the paper off the live networks, row by row
# - how both detectors were trained, and how their learning curves are read
# - how well they do on people they never saw, and on which artefacts
# - how their decisions hold when the picture gets worse
# ```
#
# ```{admonition} What you need first
# :class: note
# | Concept | Why | Where |
# |---|---|---|
# | Convolution, batch norm, pooling | the networks consist of them | [Dive into Deep Learning](https://d2l.ai/chapter_convolutional-neural-networks/index.html) |
# | {term}`Planted artefact` | what the detectors are trained to find | {doc}`/notebooks/02_dataset_construction` |
# | {term}`Optical flow` | what the second detector sees | {doc}`/notebooks/02_dataset_construction` |
# ```
#
# <!-- time -->
#
# One detector looks at faces: Xception {cite}`chollet2017xception`. One looks at motion: VGG11 with
# batch norm {cite}`simonyan2015vgg` on {term}`Farneback flow`.

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

check_injected()
study = Study(profile, data_root, results_root, device, seed)
HTML(study.banner())

# %% [markdown]
# ## Tables 5 and 6: Xception
#
# Each row is a top-level layer of the network as it runs here, with the shape of its output for an input of the size
# that the profile sets.

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

sizes = {f"Inputs of {n}": (study.settings(n).size, d.size) for n, d in DETECTORS.items()}
HTML(f"<p>{sizes_text(sizes)}</p>")

# %% [markdown]
# The paper's "typical block" is block 2 here: ReLU, separable convolution, batch norm, twice, and a
# pooling of stride 2.

# %%
layer_table(xception, spatial, inside="block2.rep")

# %% [markdown]
# Row by row beside what the paper prints:

# %%
import pandas as pd

from viba_lib.experiments.paper_numbers import TABLE_5, TABLE_6, TABLE_7
from viba_lib.models.describe import beside_paper

five = beside_paper(xception, TABLE_5)
six = beside_paper(xception, TABLE_6, inside="block2.rep")
both = pd.concat({"Table 5": five, "Table 6": six}, names=["table", None]).reset_index("table")
study.save_table(
    "layers_xception", both, both[~both.agrees] if not both.agrees.all() else both.tail(3)
)

# %% tags=["remove-input"]
HTML(f"<p>Of {len(both)} rows {both.agrees.sum()} agree; those that do not are shown.</p>")

# %% [markdown]
# Where the rows differ, the function is the same: the first ReLU of a block must not write over its input,
# since the skip connection takes that input, too; and dropout in front of the classifier does nothing in a
# network that explains. Checkpoints with the paper's `last_linear` are loaded under the name `fc`.
#
# ## Table 7: VGG11 with batch norm
#
# Layer numbers are the paper's. The head is "FC + Dropout" without sizes there; here it is dropout and one
# linear layer after global average pooling, which lets maps of any size in.

# %%
flow = study.detector("flow-vgg11")
layer_table(flow, study.settings("flow-vgg11").size, inside="features")

# %%
seven = beside_paper(flow, TABLE_7)
study.save_table("layers_flow", seven, seven.iloc[[8, 9, 10, 11, 12, 13, 15, 16, 17, -1]])

# %% tags=["remove-input"]
HTML(f"<p>Of the {len(seven)} rows of Table 7, {seven.agrees.sum()} agree.</p>")

# %% [markdown]
# ## Training
#
# The paper's Appendix A beside this run. The paper trains the flow detector for at most 50 epochs and
# stops after 24. Its Xception has public weights {cite}`liu2023deepfake`, which come from a project based on
# FaceForensics++. The list of {ref}`inconsistencies <inconsistencies>` says what this leaves open. The profiles start Xception
# from ImageNet. A short run has a budget of steps instead of epochs, and `train_from` names the first part of the network whose weights change: at `quick`,
# Xception keeps those of ImageNet before block 4.

# %%
settings = {"xception": study.profile.xception, "flow-vgg11": study.profile.flow}
paper = {"learning_rate": 0.001, "batch_size": 16, "patience": 7, "steps": "24 of 50 epochs"}
here = {name: s.training.model_dump() for name, s in settings.items()}
training = pd.DataFrame({"paper (Appendix A)": paper} | here).reindex(list(here["xception"]))
training = training.fillna("").astype(str)
study.save_table("training", training.reset_index(), training)

# %% [markdown]
# A few people are not many. What the budget of steps lacks in faces it makes up in variety: part of the fakes (`fresh`) are
# planted anew in each batch, beside the real frame that they come from, and both are flipped, cut and lit alike, so that nothing but the
# artefact tells them apart. Real frames pass through worse cameras and codecs *before* an artefact is planted, and both
# frames of a pair are compressed again *after* it, as forgeries are when they are published. Pairs of frames lose the
# texture of skin, so that flow is found at eyes, nose and mouth alone, and pass through a camera that moves. The first
# `crop_steps` batches show only half the side of the input, around the artefact: in a whole map it is a small share of what
# is averaged.

# %% mystnb={"image": {"alt": "Learning curves of both detectors: training loss falls, validation loss and validation AUC over training steps."}, "figure": {"caption": "Loss on training and validation frames, and validation AUC, of both detectors.", "name": "fig-learning"}}
from viba_lib.visual import result_figures

curves = {name: study.training(name) for name in settings}
result_figures.learning_curves(curves)

# %% tags=["remove-input"]
readings = [training_text(n, curves[n], s.training.restore) for n, s in settings.items()]
HTML("".join(f"<p>{reading}</p>" for reading in readings))

# %% tags=["remove-input"]
spent = study.seconds()
seen = {n: study.frames("train", n) for n in settings}
HTML(
    "<p>What it took: "
    + "; ".join(
        f"{n} {curves[n].step.max():,} steps of {s.training.batch_size} in {spent[f'train-{n}'] / 60:.0f} min, on "
        f"{len(seen[n]):,} frames of {seen[n].identity.nunique()} people"
        for n, s in settings.items()
    )
    + f". Before that, {spent.get('dataset', 0) / 60:.0f} min for the data set and {spent['prepare'] / 60:.0f} min for "
    f"key frames, crops and flow. All on {study.provenance()['device']}.</p>"
)

# %% [markdown]
# One validation person sits in a car, in images of 176 by 144 stored pixels, the hardest of the sources; the other is
# generated. The curves on them show how training went, and not how good a detector is on other people. A gap between both losses
# has two possible causes: overfitting, or a difference between the training and the validation people. The loss depends on
# confidence as well as on decisions. It can rise while the AUC, which depends on the order of the scores only, does not fall.
# A profile with `restore: last` keeps the last weights because two validation people are too few to choose weights by, and sets
# the decision afterwards (`calibrate`). With `restore: best`, as in Appendix A, early stopping keeps the weights
# before the rise.
#
# ## On people never trained on
#
# Each detector is judged on real frames and on the methods made for it. The intervals come from a
# bootstrap that samples people and then their source clips. With few people they are wide, and they describe these people.

# %%
from viba_lib.experiments.common import Bootstrap, held_out_predictions
from viba_lib.experiments.detection import held_out_table

bootstrap = Bootstrap.of(study)
in_scope = {name: held_out_predictions(study, name) for name in settings}
held_out = held_out_table(in_scope, bootstrap)
columns = ["name", "frames", "videos", "accuracy", "precision", "recall", "auc", "ece"]
study.save_table("held_out", held_out, held_out[columns].round(3))

# %% mystnb={"image": {"alt": "Points and horizontal intervals of accuracy and AUC for both detectors."}, "figure": {"caption": "Accuracy and AUC on held-out identities, with 95 % intervals over people and their source clips.", "name": "fig-held-out"}}
result_figures.intervals(held_out, ["accuracy", "auc"])

# %% [markdown]
# `ece` is how far confidence is from being right, on average; the picture shows where. On the diagonal, of
# the frames that get 80 % four in five are right.

# %% mystnb={"image": {"alt": "Two reliability diagrams with bars of accuracy over confidence and a diagonal, one for each detector."}, "figure": {"caption": "Reliability of both detectors on held-out identities: accuracy of the frames in each bin of confidence.", "name": "fig-reliability-held-out"}}
result_figures.reliability(
    {n: (p.p_fake.to_numpy(), p.label.to_numpy()) for n, p in in_scope.items()}
)

# %% [markdown]
# ## By method
#
# Frames of the temporal methods look real to Xception, by construction, and spatial artefacts that move
# with the face hardly disturb the flow. Expect each detector to be strong on its own rows only.

# %% mystnb={"image": {"alt": "Dots of the probability of fake for each test frame, one row per method, for both detectors; real frames lie low and found methods high."}, "figure": {"caption": "Probability of fake of every test frame, by planted method; the dotted line is the decision.", "name": "fig-by-method"}}
tested = {n: study.predictions(n).query("split == 'test'") for n in settings}
result_figures.scores_by_method(tested)

# %% [markdown]
# The same as numbers: the share of a method's frames that are called fake. For real frames this is
# the share of false alarms.

# %%
called = pd.DataFrame(
    {n: p.assign(fake=p.p_fake >= 0.5).groupby("method").fake.mean() for n, p in tested.items()}
).rename(index={"": "real (false alarms)"})
called["frames"] = tested["xception"].groupby("method").size().rename({"": "real (false alarms)"})
called = called.rename_axis("method").reset_index()
study.save_table("by_method", called, called.round(2))

# %% tags=["remove-input"]
HTML(f"<p>{methods_text(in_scope)}</p>")

# %% [markdown]
# A method without a single find limits every later chapter: a map of such a frame explains the answer "real".

# %% [markdown]
# ## By person
#
# Some test people were filmed; others are generated portraits that were made to move ([the page of the data
# set](../book/dataset.md)). A detector can rank the frames of a person well (the AUC) and still call most real
# frames of that person fake: its decision then lies in the wrong place for that face or camera. Where it lies was set
# on degraded frames of the validation people, so that few of their real frames are called fake
# (`viba_lib.evaluation.calibration`). Expect false alarms to differ between people.

# %%
from viba_lib.experiments.detection import people_table, people_text, robustness_table

people = people_table(in_scope, bootstrap)
columns = ["detector", "origin", "identity", "frames", "clips", "auc", "false_alarms", "recall"]
study.save_table("people", people, people[columns].round(2))

# %% tags=["remove-input"]
HTML(f"<p>{people_text(people)}</p>")

# %% [markdown]
# ## When the picture gets worse
#
# A detector that reads traces of blending must fail when the traces are gone. The test frames are
# compressed as images (JPEG) and as videos (H.264), blurred, darkened, brightened and made coarse, and decided again; flow is found in the
# worse frames. Two effects are possible: the face detector loses the fine traces of blending, and the
# motion detector loses the texture by which flow is found. Expect brightness to cost little. Which detector loses more is
# read from this run's result below. Dotted: the unchanged frames. An AUC of 0.5 is guessing.

# %% mystnb={"image": {"alt": "Five panels with the AUC of both detectors over levels of JPEG quality, H.264 quality, blur, brightness and resolution, each with a shaded interval and a dotted line for the unchanged frames."}, "figure": {"caption": "AUC on test frames that were made worse, with 95 % intervals over people and their source clips.", "name": "fig-robustness"}}
worse = robustness_table({name: study.robustness(name) for name in settings}, bootstrap)
result_figures.robustness(worse)

# %% tags=["remove-input"]
changed = worse[worse.corruption != "unchanged"]
lowest = changed.sort_values("auc").groupby("detector", sort=False).first()
HTML(
    "<p>The lowest AUC: "
    + "; ".join(
        f"{name} {row.auc:.2f} ({row.auc_low:.2f} to {row.auc_high:.2f}) at {row.corruption} {row.level:g}"
        for name, row in lowest.iterrows()
    )
    + f". Each point is of {worse.frames.min()} frames or more.</p>"
)

# %%
shown = changed.sort_values("auc").groupby(["detector", "corruption"], sort=False).head(1)
study.save_table(
    "robustness", worse, shown[["detector", "corruption", "level", "accuracy", "auc"]].round(3)
)

# %% [markdown]
# The table shows the worst level of each corruption; the download holds all. For a comparison of the two detectors, no level is
# selected: the loss is the AUC of the unchanged frames minus the mean AUC over all levels of a corruption. Each video has its part of
# this loss, and the parts of both detectors are paired by source clip. The p-values are corrected by Holm's procedure for the
# number of corruptions.

# %% tags=["remove-input"]
losses = corruption_losses({name: study.robustness(name) for name in settings})
compared = "".join(f"<li>{text}</li>" for text in compared_texts(losses, bootstrap))
HTML(f"<p>{robustness_text(losses)}</p><ul>{compared}</ul>")

# %% [markdown]
# What a detector cannot see any more, no map of it can show. Read the maps of the chapters that follow with
# the quality of the film in mind.

# %% [markdown]
# ## Exercises
#
# ```{exercise} What "separable" saves
# :label: ex-separable
# A separable convolution filters each channel on its own (a kernel of $k$ by $k$) and then mixes channels by a convolution of 1 by 1.
# Write `plain(k, c_in, c_out)` and `separable(k, c_in, c_out)`, the numbers of weights without bias. What is the ratio for the
# first separable convolution of `xception.block4`? Call it `saved`.
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
    """Weights of a separable convolution: one filter a channel, then a mixture."""
    return k * k * c_in + c_in * c_out


saved = plain(3, 728, 728) / separable(3, 728, 728)
round(saved, 2)

# %% tags=["check", "remove-cell"]
assert plain(3, 2, 5) == 90 and separable(3, 2, 5) == 28
first_one = next(m for m in xception.block4.modules() if type(m).__name__ == "SeparableConv2d")
assert separable(3, 728, 728) == sum(w.numel() for w in first_one.parameters())
assert abs(saved - plain(3, 728, 728) / separable(3, 728, 728)) < 1e-9

# %% [markdown]
# Nearly nine, the number of places in a kernel: with many channels the mixing is all that counts.
#
# ```{solution-end}
# ```
#
# ```{exercise} Calibration error by hand
# :label: ex-ece-hand
# The {term}`Expected calibration error` sorts decisions into 15 bins by confidence, and is the mean gap between
# accuracy and mean confidence, weighted by the size of the bins. Write `ece(confidence, right)` for two arrays, and
# compare it for Xception with the table above. Confidence is the larger of $p$ and $1 - p$.
# ```
#
# ```{solution-start} ex-ece-hand
# :class: dropdown
# ```

# %% tags=["solution"]
import numpy as np


def ece(confidence, right, bins=15):
    """Mean gap of accuracy and confidence over equal bins, weighted by their size."""
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = [abs(right[place == b].mean() - confidence[place == b].mean()) * (place == b).mean()
            for b in np.unique(place)]  # fmt: skip
    return float(sum(gaps))


p, label = in_scope["xception"].p_fake.to_numpy(float), in_scope["xception"].label.to_numpy()
round(ece(np.maximum(p, 1 - p), (p > 0.5) == label), 3)

# %% tags=["check", "remove-cell"]
from viba_lib.evaluation import expected_calibration_error

assert ece(np.array([0.9] * 10), np.array([True] * 9 + [False])) < 1e-9
expected = expected_calibration_error(np.stack([1 - p, p], 1), label)
assert abs(ece(np.maximum(p, 1 - p), (p > 0.5) == label) - expected) < 0.02

# %% [markdown]
# It says how far confidence is off on average, and not in which direction: the reliability diagram does. With few frames many bins
# hold a handful, and the error is too large by chance alone.
#
# ```{solution-end}
# ```
#
# ## Common misconceptions
#
# - **"An AUC of 0.9 means that 90 % are right."** It means that a random fake gets a higher score than a random real frame in 90 % of
#   pairs. Where the threshold lies is another matter, and accuracy depends on it.
# - **"More frames make a better test."** More *people* do. Frames of one person share the face, the camera and the light.
# - **"A detector that finds all planted artefacts finds deepfakes."** It has learned what it was shown.
#
# ## Quiz
#
# **1. AUC is high and accuracy is near one half. What is likely?**
#
# - a) the detector has learned nothing
# - b) it ranks well, but its threshold is in the wrong place
# - c) the labels are swapped
#
# ```{dropdown} Answer to question 1
# **b.** AUC does not know a threshold. A shift of all scores, such as another camera brings, leaves it as it is and spoils the accuracy.
# With swapped labels the AUC would be low.
# ```
#
# **2. Why should Xception call frames of the methods "lag" and "freeze" real?**
#
# - a) it is badly trained
# - b) each single frame of them is untouched
# - c) they are too short
#
# ```{dropdown} Answer to question 2
# **b.** What is wrong with them lies between frames. Only the detector of motion can see it; where Xception does call them fake, it has
# learned something else, such as the person.
# ```
#
# **3. The validation loss rises while the training loss falls. What does early stopping do?**
#
# - a) it keeps the weights from before the rise
# - b) it lowers the learning rate
# - c) it adds data
#
# ```{dropdown} Answer to question 3
# **a.** After a patience of several validations without a lower loss, training ends, and the best weights are kept. A profile
# with `restore: last` switches early stopping off; the text below the learning curves says which weights this run has.
# ```
#
# ## Summary
#
# - The live networks agree with the paper's tables but for rows that change no result.
# - The tables by method and by person show which artefacts each detector finds on unseen identities, and which it misses.
# - The last figure and the text below it show which corruption costs each detector most.
#
# ## What next
#
# - How a decision of theirs is explained: {doc}`/notebooks/04_viba_step_by_step`.
# - What the bottleneck does to the decisions: {doc}`/notebooks/08_detection_performance`.
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
