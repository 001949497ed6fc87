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
# A bottleneck throws information away. Does the detector still decide as it did? If it does, the map shows what the
# decision needs; if it does not, the map explains another decision.
#
# ```{admonition} What you will learn
# :class: tip
# - to recompute the paper's Table 2: accuracy, precision, recall and calibration, without and with VIBA
# - how much the answer depends on a draw of the noise, and how much a leak of the label would flatter
# - which artefacts are found, method by method
# - to test the claim that nothing significant is lost, and to say what such a test settles
# ```
#
# ```{admonition} What you need first
# :class: note
# | Concept | Why | Where |
# |---|---|---|
# | {term}`Per-sample bottleneck` | what is put into the network | {doc}`/notebooks/04_viba_step_by_step` |
# | Precision and recall | two columns of Table 2 | [scikit-learn's guide](https://scikit-learn.org/stable/modules/model_evaluation.html) |
# | {term}`Calibration` | another column | {doc}`/notebooks/03_detectors` |
# | Planted artefacts and their kinds | the fakes that are judged | {doc}`/notebooks/02_dataset_construction` |
# ```
#
# <!-- time -->
#
# With the {term}`bottleneck <Bottleneck>` in place the network decides on noisy activations. If the maps keep what the
# decision needs, decisions stay. The bottleneck is optimised for the class that the network *predicts*, never for the
# true one: no label leaks. Everything below is about held-out people, whom neither detector has seen.

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

# %%
from viba_lib.experiments.common import Bootstrap, explained_frames
from viba_lib.experiments.detection import table_2
from viba_lib.models.detectors import DETECTORS

explained, bootstrap = {d: explained_frames(study, d) for d in DETECTORS}, Bootstrap.of(study)
table = table_2(explained, bootstrap)
columns = ["name", "unit", "count", "accuracy", "precision", "recall", "auc", "ece"]
study.save_table("table_2", table, table[columns].round(3))

# %% [markdown]
# A minus is the plain network, a plus the network with the bottleneck; precision and recall are of the class
# *fake*. The paper does not say whether it counts frames or videos: both are here, a video being decided by the
# mean over its frames. The intervals say how far to trust the numbers. They come from a bootstrap over videos, not frames,
# because the frames of one video are alike.

# %% mystnb={"image": {"alt": "Points with horizontal intervals for accuracy, recall, AUC and calibration error of both detectors without and with the bottleneck."}, "figure": {"caption": "Accuracy, recall, AUC and expected calibration error with 95 % intervals over videos.", "name": "fig-table-2"}}
from viba_lib.visual import result_figures

frames = table[table.unit == "frame"]
result_figures.intervals(frames, ["accuracy", "recall", "auc", "ece"])

# %% [markdown]
# ## One draw of the noise, or many?
#
# The bottleneck is noise, so a decision with it depends on the draw. Above, the probability is a mean over
# draws made after the optimisation was done; the draws that it was optimised for would be kinder. The columns
# `_std` of the table contain the standard deviation of each measure over single samples:

# %%
measures = ["accuracy", "precision", "recall", "auc", "ece"]
injected = table[table.bottleneck].set_index(["name", "unit"])
std = injected[[f"{m}_std" for m in measures]].set_axis(measures, axis=1)
study.save_table("noise_std", std.reset_index(), std.reset_index().round(4))

# %% tags=["remove-input"]
samples = study.profile.evaluation.noise_draws
widest = (frames[frames.bottleneck].accuracy_high - frames[frames.bottleneck].accuracy_low).max()
HTML(
    f"<p>Over {samples} samples of the noise, the accuracy per frame has a standard deviation of "
    f"{std.xs('frame', level='unit').accuracy.max():.4f} at most; the interval over videos is up to {widest:.3f} wide. If "
    "the first is much smaller than the second, more samples would gain nothing, because the uncertainty is that of the "
    "videos.</p>"
)

# %% [markdown]
# ## What a leak would do
#
# A bottleneck must be optimised for some class. Told the *true* one, it would keep what speaks for the truth and
# throw out what misled the network, and wrong decisions would turn into right ones: not because the network is better,
# but because it was told. Expect the last accuracy below to lie above the one for the predicted class, and, where the
# noise costs little, above that of the plain network as well. This is why a claim such as "the bottleneck improves the
# detector" means nothing until the target is known.

# %%
from viba_lib.experiments.detection import explained_for_true_class, label_leakage

leak = label_leakage({d: explained_for_true_class(study, d) for d in DETECTORS}, bootstrap)
columns = [
    "detector",
    "frames",
    "wrong",
    "without",
    "predicted",
    "true",
    "bias",
    "bias_low",
    "bias_high",
]
study.save_table("target_leak", leak, leak[columns].round(3))

# %% [markdown]
# `without` is the plain network's accuracy, `predicted` and `true` are those with a bottleneck for that class;
# `bias` is the difference of the last two, the optimistic bias.


# %% tags=["remove-input"]
def leaked(row):
    turned = row.bias * row.frames / row.wrong if row.wrong else 0
    return (
        f"{row.detector}: the leak turns {turned:.0%} of {row.wrong} wrong frames into right ones and lifts the accuracy "
        f"by {row.bias:.3f}, to {'more' if row.true > row.without else 'no more'} than that of the plain network"
    )


HTML(f"<p>{'; '.join(leaked(row) for row in leak.itertuples())}.</p>")

# %% [markdown]
# ## Which artefacts are found?
#
# An accuracy hides what it is made of. Expect large regions to be found more often than a thin blending edge;
# where dot and diamond coincide, the bottleneck changed nothing.

# %% mystnb={"image": {"alt": "For each detector, the share of right decisions on real frames and on each planted method, a dot without and a diamond with the bottleneck."}, "figure": {"caption": "Share of right decisions on real frames and per method, without and with the bottleneck; the number of frames in brackets.", "name": "fig-decisions-by-method"}}
import pandas as pd

from viba_lib.experiments.detection import detection_by_method

methods = {name: detection_by_method(frame) for name, frame in explained.items()}
result_figures.by_method(methods)

# %%
by_method = pd.concat(methods, names=["detector", None]).reset_index("detector")
study.save_table("decisions_by_method", by_method, by_method.round(3))

# %% tags=["remove-input"]
HTML(
    "<p>"
    + " ".join(
        f"{name}: hardest is {worst.method} ({worst.without:.0%} of {worst.frames} frames of "
        f"{worst.videos} videos without the bottleneck)."
        for name, m in methods.items()
        for worst in [m.sort_values("without").iloc[0]]
    )
    + "</p>"
)

# %% [markdown]
# ## Is the difference significant?
#
# The paper says that the drop is not significant and does not name a test. McNemar's test looks at the frames
# that only one of the two gets right. A large p-value means that their numbers differ no more than chance would
# make them.

# %%
from viba_lib.experiments.detection import mcnemar_tests

tests = mcnemar_tests(explained)
study.save_table("mcnemar", tests, tests.round(4))

# %% tags=["remove-input"]
HTML(
    "<p>"
    + " ".join(
        f"{r.detector}, {r.unit}s: p {'< 0.001' if r.p_value < 0.001 else f'= {r.p_value:.3f}'}, so the difference is "
        f"{'significant' if r.p_value < 0.05 else 'not significant'} at 5 %."
        for r in tests.itertuples()
    )
    + "</p>"
)

# %% [markdown]
# Not significant is not the same as equal: with few videos only a large drop could be shown. The test takes its
# cases as independent. Frames of one video are not, so the p-values of frames are on the small side; those of videos
# are the ones to trust.

# %% [markdown]
# ## Calibration
#
# Of the decisions made with 80 % confidence, 80 % should be right {cite}`guo2017calibration`. Points under the
# diagonal are overconfident. The bins are those of the ECE; with few frames most hold only a handful.

# %% mystnb={"image": {"alt": "Reliability diagram: share of right decisions over confidence for both detectors, without and with the bottleneck, against the diagonal."}, "figure": {"caption": "Reliability of both detectors, without and with the bottleneck.", "name": "fig-reliability"}}
groups = {}
for name, frame in explained.items():
    groups[f"{name} -"] = (frame.p_fake.to_numpy(), frame.label.to_numpy())
    groups[f"{name} +"] = (frame.p_fake_bottleneck.to_numpy(), frame.label.to_numpy())
result_figures.reliability(groups)

# %% [markdown]

# %% [markdown]
# ## Exercises
#
# ```{exercise} McNemar by hand
# :label: ex-mcnemar
# Of the cases that only one of two networks gets right, $b$ go to the first and $c$ to the second. If neither is better, each such case is a
# fair coin. Write `exact_p(b, c)`, the two-sided probability of a split at least as uneven:
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

# %% [markdown]
# Cases that both get right, or both get wrong, do not enter at all: they say nothing about the difference. With ten against two the
# test just calls it significant, with ten against three it does not.
#
# ```{solution-end}
# ```
#
# ```{exercise} The network that says "fake" to everything
# :label: ex-always-fake
# What accuracy, precision and recall has a network that calls every frame of `frame` fake? Call them `accuracy`, `precision` and
# `recall`, and compare with the table above. What would be a fairer summary?
# ```
#
# ```{solution-start} ex-always-fake
# :class: dropdown
# ```

# %% tags=["solution"]
label = frame.label.to_numpy()
accuracy, precision, recall = label.mean(), label.mean(), 1.0
balanced = (recall + 0.0) / 2
print(
    f"accuracy {accuracy:.2f}, precision {precision:.2f}, recall {recall:.2f}, balanced {balanced:.2f}"
)

# %% tags=["check", "remove-cell"]
from sklearn.metrics import accuracy_score, precision_score, recall_score

said = np.ones_like(frame.label)
for value, score in (
    (accuracy, accuracy_score),
    (precision, precision_score),
    (recall, recall_score),
):
    assert abs(value - score(frame.label, said)) < 1e-9

# %% [markdown]
# Where most frames are fake, saying so is cheap. The mean of the recalls of both classes is one half for such a network, and
# {term}`AUC` is as well: that is why both belong beside an accuracy.
#
# ```{solution-end}
# ```
#
# ## Common misconceptions
#
# - **"Not significant means no difference."** It means that these cases cannot show one. Few videos can show only large ones.
# - **"The bottleneck improved the detector."** It can look so where it was told the true class. Told the predicted one, it can at best
#   keep what was there.
# - **"Thousands of frames make the result certain."** Frames of one video are alike. What counts are the videos, and the people in
#   them.
#
# ## Quiz
#
# **1. For which class must the bottleneck be optimised if its decisions are to be judged?**
#
# - a) the true one
# - b) the predicted one
# - c) always "fake"
#
# ```{dropdown} Answer to question 1
# **b.** The true one leaks the label. Always "fake" would explain what speaks for fake, also where the network said
# real, and its decisions would lean that way.
# ```
#
# **2. Which cases decide McNemar's test?**
#
# - a) all
# - b) those that both get wrong
# - c) those that exactly one gets right
#
# ```{dropdown} Answer to question 2
# **c.** See {eq}`eq-detection-mcnemar`: only $b$ and $c$ occur in it.
# ```
#
# **3. A detector says 0.9 and is right in seven cases of ten. What is it?**
#
# - a) overconfident
# - b) underconfident
# - c) well calibrated
#
# ```{dropdown} Answer to question 3
# **a.** Of decisions made with 90 % confidence, nine in ten should be right. Its point lies under the diagonal.
# ```
#
# ## Summary
#
# - Table 2 is recomputed with intervals, per frame and per video, method by method, and with a paired test.
# - The target is the predicted class; a bottleneck that is told the truth flatters the network, by how much the
#   table above says.
# - One draw of the noise more or less matters less than one video more or less.
#
# ## What next
#
# - Are the maps steady from frame to frame? {doc}`/notebooks/09_consistency`.
# - These numbers beside the paper's: {doc}`/notebooks/11_paper_and_run`.
# - Does the detector need what is marked? {doc}`/notebooks/16_faithfulness` takes it away and looks.
#
# ## References
#
# - {cite:t}`solopova2024`: Table 2 and the claim in Section 4 that the drop is not significant.
# - {cite:t}`guo2017calibration`: calibration, the {term}`Expected calibration error` and the reliability diagram.
# - {cite:t}`mcnemar1947`: the paired test.

# %% tags=["remove-input"]
HTML(study.provenance_html())
