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
# # Detection performance, with and without the bottleneck
#
# A {term}`bottleneck <Bottleneck>` removes information. Does the detector decide as before? The paper answers yes, and
# takes this result as evidence that the method is robust. This chapter recomputes the result and
# shows what it depends on.
#
# ```{admonition} What you will learn
# :class: tip
# - to recompute the paper's Table 2: accuracy, precision, recall and calibration, without and with VIBA
# - to explain why the target class of a bottleneck determines what its accuracy means
# - to measure how much of a difference is due to a single sample of the noise
# - to find which artefacts are detected, method by method
# - to judge a claim such as "no significant drop", and to name the evidence behind it
# ```
#
# ```{admonition} What you need first
# :class: note
# | Concept | Why | Where |
# |---|---|---|
# | {term}`Per-sample bottleneck` | the layer that is inserted into the network | {doc}`/notebooks/04_viba_step_by_step` |
# | Precision and recall | two columns of Table 2 | [scikit-learn's guide](https://scikit-learn.org/stable/modules/model_evaluation.html) |
# | {term}`Calibration` | another column | {doc}`/notebooks/03_detectors` |
# | Planted artefacts and their methods | the fakes that are classified | {doc}`/notebooks/02_dataset_construction` |
# ```
#
# <!-- time -->
#
# With the bottleneck, the network decides on noisy activations. The bottleneck is optimised for the class that the network
# *predicts*, and never for the true class, to avoid label leakage. All results below are about unseen identities.

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

# %%
from viba_lib.experiments.common import Bootstrap, explained_frames
from viba_lib.experiments.detection import table_2
from viba_lib.models.detectors import DETECTORS

explained, bootstrap = (
    {d: explained_frames(study, d) for d in DETECTORS},
    Bootstrap.of(study),
)
table = table_2(explained, bootstrap)
columns = [
    "name",
    "unit",
    "count",
    "accuracy",
    "precision",
    "recall",
    "auc",
    "ece",
]
study.save_table("table_2", table, table[columns].round(3))

# %% [markdown]
# In the names, a minus stands for the network without the bottleneck, and a plus for the network with it. Precision and
# recall refer to the class *fake*. The paper does not say whether it counts frames or videos, so the table contains both. A
# video is classified by the mean over its frames. The intervals come from a bootstrap over people and their source clips,
# because frames of one video are similar, and a real clip and the fakes that were made from it are similar as well.

# %% mystnb={"image": {"alt": "Points with horizontal intervals for accuracy, recall, AUC and calibration error of both detectors without and with the bottleneck."}, "figure": {"caption": "Accuracy, recall, AUC and expected calibration error with 95 % intervals over people and source clips.", "name": "fig-table-2"}}
from viba_lib.visual import result_figures

frames = table[table.unit == "frame"]
result_figures.intervals(frames, ["accuracy", "recall", "auc", "ece"])

# %% tags=["remove-input"]
from viba_lib.experiments.detection_readings import cost_text

prose(cost_text(explained, bootstrap))

# %% [markdown]
# The paper reports differences of accuracy of at most 0.1 points and calls them not significant. An accuracy that stays the
# same says only that the decisions are on the same side of 0.5. The AUC uses the order of all probabilities, so it shows
# what the bottleneck does to them.
#
# ## Samples of the noise
#
# A bottleneck adds noise, so a decision depends on the sample of the noise. Above, the probability is a mean over samples
# that were taken after the optimisation. Samples that were used in the optimisation would give an optimistic bias. The
# columns `_std` of the table contain the standard deviation of each measure over single samples:

# %%
measures = ["accuracy", "precision", "recall", "auc", "ece"]
injected = table[table.bottleneck].set_index(["name", "unit"])
std = injected[[f"{m}_std" for m in measures]].set_axis(measures, axis=1)
study.save_table("noise_std", std.reset_index(), std.reset_index().round(4))

# %% tags=["remove-input"]
from viba_lib.experiments.detection_readings import noise_text

prose(noise_text(table, study.profile.evaluation.noise_draws))

# %% [markdown]
# ## Class of the noise alone
#
# What does the network decide if the layer contains noise only, so that $\lambda = 0$ everywhere? The bottleneck gets this class
# without any information. For the other class it has to let information through, and information costs $\beta$. Expect
# therefore that more decisions for the other class are lost.
#
# A profile can set $\beta$ for a detector. Its rule: of 1, 3 and 10, the largest value at which the bottleneck keeps nine of
# ten decisions for each class on validation frames; {ref}`viba bench beta <bench-beta>` applies it. The paper gives no
# value.

# %%
from viba_lib.experiments.noise_class import (
    noise_class_text,
    noise_probabilities,
)

alone = {d: noise_probabilities(study, d) for d in DETECTORS}

# %% tags=["remove-input"]
betas = {d: study.bottleneck(d).settings.beta for d in DETECTORS}
readings = [
    noise_class_text(d, p, explained[d], betas[d]) for d, p in alone.items()
]
prose(*readings)

# %% [markdown]
# ## Target class of the bottleneck
#
# A bottleneck is optimised for a class, and its accuracy depends on this class. The table compares three targets:
#
# - the **predicted** class, which is the target in the tables above; the paper names none,
# - the **true** class, which leaks the label,
# - a **random** class, which depends neither on the frame nor on the network.
#
# If the bottleneck only removed information that the decision does not need, the target would hardly matter. Expect instead
# that decisions follow the target: mostly correct decisions for the true class, and many wrong decisions for a random class.
# In that case, an accuracy that does not drop for the predicted class is weak evidence, because the target itself preserves
# the decision.

# %%
from viba_lib.experiments.target_class import (
    explained_for_targets,
    target_table,
    targets_text,
)

targets = {d: explained_for_targets(study, d) for d in DETECTORS}
by_target = target_table(targets, bootstrap)
columns = [
    "name",
    "frames",
    "accuracy",
    "precision",
    "recall",
    "ece",
    "confidence",
    "gain",
]
study.save_table("target_classes", by_target, by_target[columns].round(3))

# %% [markdown]
# `confidence` is the mean probability of the class that the network decides for. `gain` is the mean change of the probability
# of the target class.

# %% mystnb={"image": {"alt": "Points with intervals of accuracy, calibration error, confidence and gain for both detectors, without a bottleneck and with one for the predicted, the true and a random class."}, "figure": {"caption": "Accuracy, expected calibration error, mean confidence and gain in the probability of the target class, without a bottleneck and for three targets, with 95 % intervals over people and source clips.", "name": "fig-target-classes"}}
result_figures.intervals(by_target, ["accuracy", "ece", "confidence", "gain"])

# %% tags=["remove-input"]
prose(*(targets_text({d: targets[d]}, bootstrap) for d in DETECTORS))

# %% [markdown]
# ## Detection by method
#
# An accuracy is a mean over methods of manipulation. Expect artefacts in large regions to be detected more often than a thin
# blending edge. If the dot and the diamond of a method coincide, the bottleneck did not change its fraction of correct
# decisions.

# %% mystnb={"image": {"alt": "For each detector, the fraction of correct decisions on real frames and on each method, with a dot for the network without the bottleneck and a diamond for the network with it."}, "figure": {"caption": "Fraction of correct decisions on real frames and for each method, without and with the bottleneck; the number of frames is in brackets.", "name": "fig-decisions-by-method"}}
import pandas as pd

from viba_lib.experiments.detection import detection_by_method

methods = {
    name: detection_by_method(frame) for name, frame in explained.items()
}
result_figures.by_method(methods)

# %%
by_method = pd.concat(methods, names=["detector", None]).reset_index(
    "detector"
)
study.save_table("decisions_by_method", by_method, by_method.round(3))

# %% tags=["remove-input"]
from viba_lib.experiments.detection_readings import methods_text

prose(*(methods_text({d: explained[d]}, bootstrap) for d in DETECTORS))

# %% [markdown]
# ## Significance of the difference
#
# The paper says that the drop is not significant and does not name a test. McNemar's test compares the numbers of cases that
# only one of two networks classifies correctly. A large p-value means that chance alone could give such a difference.

# %%
from viba_lib.experiments.detection import mcnemar_tests

tests = mcnemar_tests(explained)
study.save_table("mcnemar", tests, tests.round(4))

# %% tags=["remove-input"]
from viba_lib.experiments.detection_readings import mcnemar_text

prose(mcnemar_text(tests))

# %% [markdown]
# "Not significant" is not "equal", because a few videos can show only a large drop. For the predicted class, even equal
# accuracies can be weak evidence; see the section on the target class.

# %% [markdown]
# ## Calibration without and with the bottleneck
#
# Of the decisions made with 80 % confidence, 80 % should be correct {cite}`guo2017calibration`. Points below the diagonal are
# overconfident, and points above it are underconfident. The bins are those of the ECE. With few frames, most bins contain
# only a handful of frames.

# %% mystnb={"image": {"alt": "Reliability diagram: fraction of correct decisions over confidence for both detectors, without and with the bottleneck, against the diagonal."}, "figure": {"caption": "Reliability diagram of both detectors, without and with the bottleneck.", "name": "fig-reliability"}}
groups = {}
for name, frame in explained.items():
    groups[f"{name} -"] = (frame.p_fake.to_numpy(), frame.label.to_numpy())
    groups[f"{name} +"] = (
        frame.p_fake_bottleneck.to_numpy(),
        frame.label.to_numpy(),
    )
result_figures.reliability(groups)

# %% tags=["remove-input"]
from viba_lib.experiments.detection_readings import calibration_text

prose(calibration_text(explained))

# %% [markdown]
# The paper finds a slightly lower ECE for Xception and suggests less overconfidence as the reason. The sentences above report
# how the confidence changed in this run.

# %% [markdown]
# ## AUC and calibration error written out
#
# Both measures need a few lines. The {term}`AUC` is the fraction of pairs of a fake and a real frame in which the fake has
# the higher probability of fake. A tie counts one half. The expected calibration error sorts the frames into 15 bins by
# confidence, takes the gap between accuracy and mean confidence in each bin, and weights it by the fraction of frames in
# the bin. The lines use the frames of one detector without the bottleneck.

# %%
import numpy as np

some = next(iter(explained.values()))
p, is_fake = some.p_fake.to_numpy(float), some.label.to_numpy() == 1

# %% tags=["decisive"]
gap = p[is_fake][:, None] - p[~is_fake][None]  # every fake, every real frame
auc = ((gap > 0) + (gap == 0) / 2).mean() if gap.size else np.nan

confidence, right = np.maximum(p, 1 - p), (p > 0.5) == is_fake
bin_of = np.ceil(15 * confidence).clip(1, 15)
ece = 0.0
for number in np.unique(bin_of):
    inside = bin_of == number
    difference = right[inside].mean() - confidence[inside].mean()
    ece += inside.mean() * abs(difference)

# %%
from viba_lib.evaluation.detection import detection_metrics

metrics = detection_metrics(some.label, some.p_fake)
by_library = [metrics["auc"], metrics["ece"]]
np.testing.assert_allclose([auc, ece], by_library, atol=1e-6)
print(f"{gap.size} pairs of frames, {len(np.unique(bin_of))} occupied bins")

# %% [markdown]
# The lines and the library agree on both measures. The AUC depends only on the order of the probabilities. The
# calibration error depends on their values, and it can change although no decision changes.

# %% [markdown]
# ## Exercises
#
# ```{exercise} Exact p-value of McNemar's test
# :label: ex-mcnemar
# Of the cases that only one of two networks classifies correctly, $b$ are correct for the first network and $c$ for the
# second. If neither network is better, each such case is like the toss of a fair coin. Write `exact_p(b, c)`, the two-sided
# probability of a split that is at least as uneven:
#
# $$ p = \min\Bigl(1,\; 2 \sum_{i=0}^{\min(b, c)} \binom{b + c}{i} \, 2^{-(b + c)} \Bigr). $$ (eq-detection-mcnemar)
#
# How small must $c$ be for $p < 0.05$ if $b = 10$?
# ```
#
# ```{solution-start} ex-mcnemar
# :class: dropdown
# ```

# %% tags=["solution"]
from math import comb

import pandas as pd


def exact_p(b, c):
    """Two-sided exact p-value of McNemar's test."""
    n = b + c
    return min(1.0, 2 * sum(comb(n, i) for i in range(min(b, c) + 1)) / 2**n)


pd.Series({c: exact_p(10, c) for c in range(6)}, name="p").round(3)

# %% tags=["check", "remove-cell"]
import numpy as np

from viba_lib.evaluation.significance import mcnemar

for b, c in ((10, 2), (3, 3), (0, 6), (7, 1)):
    truth = np.ones(b + c + 5, int)
    one, two = truth.copy(), truth.copy()
    one[b : b + c], two[:b] = 0, 0
    assert abs(exact_p(b, c) - mcnemar(truth, one, two)["p_value"]) < 1e-9

# %% tags=["hidden", "remove-cell"]
from scipy.stats import binomtest

for b, c in ((1, 5), (12, 4), (20, 9), (15, 15)):
    assert abs(exact_p(b, c) - binomtest(b, b + c).pvalue) < 1e-9
assert exact_p(0, 0) == 1

# %% [markdown]
# Cases that both networks classify correctly, or both wrongly, do not enter the test, because they do not show a difference.
# For ten against two cases, the p-value is just below 0.05. For ten against three cases, it is above.
#
# ```{solution-end}
# ```
#
# ```{exercise} Accuracy of a constant decision
# :label: ex-always-fake
# A network calls every frame fake. The table `frame` has the explained frames of the motion detector, with the true class
# in `frame.label`. Which accuracy, precision and recall does this network have on them? Write
# `always_fake(label)`, which returns these three numbers for an array of labels (1 for fake, 0 for real). Call the values
# for `frame.label` `accuracy`, `precision` and `recall`, and compare them with the row *flow-vgg11 -*, unit *frame*, of
# Table 2. Which summary would be fairer?
# ```
#
# ```{solution-start} ex-always-fake
# :class: dropdown
# ```


# %% tags=["solution"]
def always_fake(label):
    """Accuracy, precision and recall of a network that says fake."""
    return label.mean(), label.mean(), 1.0


accuracy, precision, recall = always_fake(frame.label.to_numpy())
balanced = (recall + 0.0) / 2
print(
    f"accuracy {accuracy:.2f}, precision {precision:.2f}, "
    f"recall {recall:.2f}, balanced {balanced:.2f}"
)

# %% tags=["check", "remove-cell"]
import numpy as np
from sklearn.metrics import accuracy_score, precision_score, recall_score

said = np.ones_like(frame.label)
for value, score in (
    (accuracy, accuracy_score),
    (precision, precision_score),
    (recall, recall_score),
):
    assert abs(value - score(frame.label, said)) < 1e-9

# %% tags=["hidden", "remove-cell"]
import numpy as np

for made in ([1, 0, 0, 0], [1, 1, 1, 0, 0], [1, 1]):
    found, share = always_fake(np.array(made)), np.mean(made)
    assert np.allclose(found, (share, share, 1))

# %% [markdown]
# If most frames are fake, this network has a high accuracy although it uses no information. The mean of the recalls of both
# classes is one half for such a network, and so is {term}`AUC`. Therefore, both should be reported beside an accuracy.
#
# ```{solution-end}
# ```
#
# ## Common misconceptions
#
# - **"Not significant means no difference."** It means that these cases do not show a difference. A few videos can show only
#   a large difference.
# - **"The accuracy did not drop, so the map contains what the decision needs."** A bottleneck for the predicted class raises
#   the probability of that class. A bottleneck for another class would raise the probability of the other class.
# - **"The bottleneck improved the detector."** Calibration can improve, and a wrong decision can become correct. Both depend
#   on the target class, so neither shows that the network has become better.
# - **"Thousands of frames make the result certain."** Frames of one video are similar. The source clips and the people must
#   be counted.
#
# ## Quiz
#
# **1. A bottleneck for the predicted class does not change the accuracy. What does this show?**
#
# - a) little, if a bottleneck for another class can change it
# - b) the map contains the information that the decision needs
# - c) the detector has become more robust against added noise
#
# ```{dropdown} Answer to question 1
# **a.** The target itself can preserve the decision. Only a comparison with other targets shows how strong this effect is.
# ```
#
# **2. Which cases decide McNemar's test?**
#
# - a) those that both networks classify correctly
# - b) those that only one classifies correctly
# - c) those that both networks classify wrongly
#
# ```{dropdown} Answer to question 2
# **b.** Only $b$ and $c$ occur in {eq}`eq-detection-mcnemar`: the cases that exactly one of the two networks classifies
# correctly.
# ```
#
# **3. A detector decides with 90 % confidence and is right in seven of ten cases. What is the detector?**
#
# - a) well calibrated
# - b) underconfident
# - c) overconfident
#
# ```{dropdown} Answer to question 3
# **c.** Of decisions made with 90 % confidence, nine in ten should be correct. The point of this detector lies below the
# diagonal.
# ```

# %% tags=["remove-input"]
from viba_lib.experiments.quiz_answers import target_preserves
from viba_lib.visual.quiz import answer_html

HTML(answer_html(1, target_preserves(targets, bootstrap)))

# %% [markdown]
# ## Summary
#
# - Table 2 is recomputed with intervals, for frames and for videos, method by method, and with a paired test.
# - The target is the predicted class. The tables for the true and a random class show how far decisions follow the target,
#   and thus what "no drop" can mean.
# - The verdicts depend on source clips and people, and there are fewer of them than frames.
#
# ## What next
#
# - Consistency of the maps from frame to frame: {doc}`/notebooks/09_consistency`.
# - Comparison of these numbers with those of the paper: {doc}`/notebooks/15_paper_and_run`.
# - Dependence of the detector on the highlighted regions: {doc}`/notebooks/12_faithfulness` removes them and measures the
#   effect.
#
# ## References
#
# - {cite:t}`solopova2024`: Table 2, and the claim that the drop is not significant in Section 5.
# - {cite:t}`guo2017calibration`: calibration, the {term}`Expected calibration error` and the reliability diagram.
# - {cite:t}`mcnemar1947`: the paired test.

# %% tags=["remove-input"]
HTML(study.provenance_html())
