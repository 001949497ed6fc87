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
# # Comparison of methods: faithfulness and sanity checks
#
# A map that lies on a planted artefact is convincing. Is it also faithful, which means that it marks what the detector uses?
# The measures of this chapter need no mask: they change the frame or the network, and observe the decision or the map. The
# frames and the maps are those of {doc}`/notebooks/11_localisation`.
#
# ```{admonition} What you will learn
# :class: tip
# - to measure the {term}`faithfulness <Faithfulness>` of a map by deletion, insertion and Sensitivity-n
# - to recognise maps that do not depend on the weights of the network
# - to attack the regions that a map marks, and to judge how stable a map is
# - to distinguish temporal consistency from relevance
# ```
#
# ```{admonition} What you need first
# :class: note
# | Concept | Why | Where |
# |---|---|---|
# | Localisation of the artefact | the same methods, frames and maps | {doc}`/notebooks/11_localisation` |
# | Intervals over videos | most measures have one | {doc}`/notebooks/08_detection_performance` |
# | Measures of consistency | temporal coupling changes them | {doc}`/notebooks/09_consistency` |
# ```
#
# <!-- time -->

# %% tags=["parameters"]
profile = "quick"
data_root = "../data"
results_root = "../results"
device = "cpu"
seed = 0
frames = 0  # test fakes that every method explains, 0 for the profile's; at least 0
passes = 0  # budget of a frame in forward-equivalents, 0 for the profile's; at least 0
settings = "default"  # each method with its default, or with the setting that is best on the validation split; one of default, tuned
detector = ""  # a further detector to compare, as module:function; any text

# %% tags=["remove-input"]
from IPython.display import HTML

from viba_lib.book.injected import check_injected
from viba_lib.models.detectors import DETECTORS
from viba_lib.pipeline.study import Study
from viba_lib.visual.prose import prose

check_injected()
study = Study(profile, data_root, results_root, device, seed)
HTML(study.banner())

# %%
import pandas as pd

from viba_lib.baselines.explainers import NAMES
from viba_lib.experiments.benchmark.maps import Benchmark, with_comparison
from viba_lib.experiments.common import Bootstrap, no_masks
from viba_lib.visual import result_figures

study = with_comparison(study, frames=frames, passes=passes)
detectors = [*DETECTORS, detector] if detector else [*DETECTORS]
benchmarks = {name: Benchmark(study, name, settings) for name in detectors}
bootstrap = Bootstrap.of(study)

# %% [markdown]
# ## Faithfulness
#
# The detector may use evidence outside the {term}`planted artefact <Planted artefact>`. If it does,
# a faithful map lies partly outside the mask. The following four measures do not use the mask, but the reaction of the detector:
#
# - `insertion`: the marked pixels are inserted into a blurred frame, the most relevant first. The area under the probability
#   of the class is measured; higher is better {cite}`petsiuk2018rise`.
# - `deletion`: the marked pixels are removed, the most relevant first; a lower area is better {cite}`petsiuk2018rise`.
# - `degradation`: tiles, squares of 14 by 14 pixels, are replaced by the mean colour. It is the area between the curves for
#   the least and for the most relevant tiles first, divided by the drop of the probability from the complete frame to the
#   empty one; it is not defined for a drop of at most 0.1. Higher is better {cite}`schulz2020`.
# - `sensitivity` (Sensitivity-n): random sets of n tiles, a tenth of all, are set to zero. It is the correlation between the relevance
#   of a set and the drop of the probability without it; higher is better {cite}`ancona2018better`.
#
# The next line says on how many videos they rest.

# %% tags=["remove-input"]
from viba_lib.evaluation.ranks import sample_text

numbers, units = study.profile.comparison, bootstrap.units
explained = {
    name: b.rows.head(numbers.faithful) for name, b in benchmarks.items()
}
lines = [
    sample_text(f"Faithfulness on {name}", r, units)
    for name, r in explained.items()
]
prose(*lines)

# %%
from viba_lib.experiments.benchmark.scores import (
    FAITHFULNESS,
    faithfulness_scores,
    score_table,
)

faithful = {
    name: faithfulness_scores(benchmark)
    for name, benchmark in benchmarks.items()
}
needs = {
    name: score_table(s, FAITHFULNESS, bootstrap)
    for name, s in faithful.items()
}
study.save_table(
    "comparison_faithfulness",
    pd.concat([table.assign(detector=name) for name, table in needs.items()]),
    needs["xception"][["method", "frames", *FAITHFULNESS]].round(2),
)

# %% mystnb={"image": {"alt": "Points for each method on Xception in four panels: insertion, deletion, degradation and sensitivity."}, "figure": {"caption": "Faithfulness on Xception. A lower deletion is better.", "name": "fig-faithful-xception"}}
result_figures.intervals(
    needs["xception"],
    list(FAITHFULNESS),
    chance={"degradation": 0, "sensitivity": 0},
)

# %% mystnb={"image": {"alt": "Points for each method on the motion detector in four panels: insertion, deletion, degradation and sensitivity."}, "figure": {"caption": "Faithfulness on the motion detector. A lower deletion is better.", "name": "fig-faithful-flow"}}
result_figures.intervals(
    needs["flow-vgg11"],
    list(FAITHFULNESS),
    chance={"degradation": 0, "sensitivity": 0},
)

# %% tags=["remove-input"]
from viba_lib.evaluation.ranks import rank_of, rank_text

given = {"seed": seed, "units": units}
lines = [
    rank_text(f"{measure} on {name}", rank_of(scores, measure, **given))
    for name, scores in faithful.items()
    for measure in FAITHFULNESS
]
prose(*lines)

# %% [markdown]
# The next lines write deletion out for the bottleneck's map of one frame. The pixels are sorted by relevance. In each step,
# the same number of pixels is set to zero, the most relevant ones first, and the detector gives the probability of the class
# that it predicted for the original frame. The area under this curve is the mean of its trapezoids.

# %%
import numpy as np
import torch

from viba_lib.baselines.names import VIBA
from viba_lib.experiments.common import probabilities_of

probabilities = probabilities_of(study, "xception")
image = study.inputs("xception", benchmarks["xception"].rows.head(1))[0]
relevance = benchmarks["xception"].maps()[VIBA].maps.values[0]
steps = study.profile.comparison.steps

# %% tags=["decisive"]
order = np.argsort(-relevance.ravel(), kind="stable")  # strongest first
removed = []
for step in range(steps + 1):
    kept = np.ones(order.size, bool)
    kept[order[: -(-order.size * step // steps)]] = False
    removed.append(image * torch.from_numpy(kept.reshape(relevance.shape)))
found = probabilities(torch.stack(removed))
curve = found[:, found[0].argmax()]  # class predicted for the frame
area = ((curve[1:] + curve[:-1]) / 2).mean()

# %%
from viba_lib.evaluation.faithfulness import deletion_areas

by_library = deletion_areas(probabilities, image[None], relevance[None], steps)
np.testing.assert_allclose([area], by_library, rtol=1e-3, atol=1e-4)
print("probability after each step:", ", ".join(f"{p:.2f}" for p in curve))
print(f"area under the curve {area:.3f}")

# %% [markdown]
# The lines and the library agree on the area. A map is faithful by this measure if the curve falls early, which gives a
# small area.

# %% [markdown]
# These measures remove parts of the image, and so do Occlusion, LIME, Kernel SHAP, Sobol and RISE. This gives these
# methods an advantage over the {term}`bottleneck <Per-sample bottleneck>`. Compare small differences with the scores of the controls.
#
# ### Adversarial evaluation
#
# The protocol for deepfake detectors {cite}`tsigos2024` attacks only the segments that a map ranks first, without
# gradients {cite}`ilyas2018blackbox`. `sufficiency` is the drop of the probability of the predicted class. `kept` is
# the fraction of decisions that do not change. `stability` is the rank correlation with the map of the same frame under
# noise that hardly changes the probability. The protocol is made for face images, so it is applied to the first
# detector only: pixels of an optical-flow field cannot be changed directly.

# %% tags=["remove-input"]
rows = benchmarks["xception"].rows.head(numbers.attacked)
prose(
    f"{sample_text('Attack', rows, units)} An attack in this run has "
    f"{numbers.attack_samples * numbers.attack_steps} queries, and the protocol has 2,000. With few "
    "queries the estimated sign of the gradient is unreliable, and a small `sufficiency` can mean that "
    "the attack failed."
)

# %%
from viba_lib.experiments.benchmark.robustness import attack_table, attacks

attacked = attack_table(attacks(benchmarks["xception"]))
study.save_table("comparison_attack", attacked, attacked.round(3))

# %% tags=["remove-input"]
from viba_lib.experiments.benchmark.robustness import attack_text

prose(attack_text(attacked))

# %% [markdown]
# ## Parameter randomisation test
#
# The weights are randomised from the output to the input: the last layer (`top`), the later half of the
# layers (`upper half`), all layers (`all`) {cite}`adebayo2018sanity`. In addition, the last layer is fitted to shuffled labels
# (`random labels`). An {term}`attribution <Attribution>` that stays the same does not
# depend on the learned weights. The numbers are rank correlations with the map of the trained network: 1 means that
# the order of the pixels is the same. The explained class stays the class that the trained network predicts.

# %%
from viba_lib.experiments.benchmark.robustness import (
    sanity,
    sanity_table,
    sanity_text,
)

checks = pd.concat(
    [sanity(benchmark) for benchmark in benchmarks.values()], ignore_index=True
)
marks = sanity_table(checks)
study.save_table("comparison_sanity", marks, marks.round(2))

# %% tags=["remove-input"]
rows = pd.concat(b.rows.head(numbers.sanity) for b in benchmarks.values())
prose(
    f"{sanity_text(marks)} {sample_text('Both detectors', rows, units)}"
)

# %% mystnb={"image": {"alt": "Table in colours of rank correlation between maps of the trained and of randomised networks, methods down, stages of randomisation across; the centre prior and the edges stay at one."}, "figure": {"caption": "Rank correlation of each method's map with that of a randomised network, mean over both detectors; 1 means that the map does not depend on what was learned.", "name": "fig-sanity"}}
stages = ["top", "upper half", "all", "random labels"]
similarity = checks.pivot_table(index="method", columns="stage", values="rank")
result_figures.heat(similarity.reindex(NAMES)[stages], "rank correlation", 0.0)

# %% [markdown]
# Methods that divide the image into superpixels or cells can give similar smooth maps of the same face for every network,
# because a part of the similarity comes from the image. The sentences above name the methods with a high correlation.

# %% [markdown]
# ## Temporal coupling
#
# The paper explains each frame alone. Coupling lambda along a clip makes the maps more temporally consistent. Smoothing
# the finished maps has the same effect, and one mean map for all frames is perfectly consistent. Therefore temporal
# consistency alone (`iou` of consecutive regions, `step` of their centroid) does not show that coupling helps. The
# question is whether coupling preserves more relevance on the artefact (`ratio`) and more of the decision (`insertion`,
# `deletion`) than smoothing afterwards.

# %%
from viba_lib.experiments.benchmark.temporal_coupling import (
    joint_scores,
    joint_table,
)

jointly = {
    name: joint_table(joint_scores(study, name), bootstrap)
    for name in detectors
}
shown = [
    "name",
    "videos",
    "iou",
    "step",
    "ratio",
    "insertion",
    "deletion",
    "bits",
]
study.save_table(
    "comparison_joint",
    pd.concat(
        [table.assign(detector=name) for name, table in jointly.items()]
    ),
    jointly["xception"][shown].round(3),
)

# %% mystnb={"image": {"alt": "Points with intervals for five ways to explain a clip of Xception: overlap of consecutive regions, relevance on the artefact, and insertion."}, "figure": {"caption": "Clips explained frame by frame, jointly, and smoothed afterwards (Xception).", "name": "fig-joint-xception"}}
result_figures.intervals(
    jointly["xception"], ["iou", "ratio", "insertion"], chance={"ratio": 1}
)


# %% tags=["remove-input"]
def described(row):
    place = (
        f"relevance on the artefact {row.ratio:.2f} times chance, "
        if row.ratio >= 0
        else ""
    )
    return f"{row.name}: overlap {row.iou:.2f}, {place}insertion {row.insertion:.2f}"


ways = {
    name: [described(r) for r in table.itertuples()]
    for name, table in jointly.items()
}
unmasked = no_masks(
    pd.concat(jointly.values()).ratio, "the relevance on the artefact"
)
prose(
    *(f"{name}. {'; '.join(lines)}." for name, lines in ways.items()), unmasked
)

# %% [markdown]
# ## Exercises
#
# ```{exercise} Deletion against insertion
# :label: ex-deletion-insertion
# Deletion replaces the strongest pixels by zero, and insertion puts them into a blurred frame. Predict whether both rank the
# methods alike on Xception. Write `agreement(scores)` for a table with the columns `method`, `deletion` and `insertion`. It
# returns Spearman's rank correlation of the methods' means of the two measures, with the sign of deletion changed. Apply it
# to `faithful["xception"]`.
# ```
#
# ```{solution-start} ex-deletion-insertion
# :class: dropdown
# ```


# %% tags=["solution"]
def agreement(scores):
    """Rank correlation of two measures of the methods' means."""
    means = scores.groupby("method")[["deletion", "insertion"]].mean()
    return float((-means.deletion).corr(means.insertion, method="spearman"))


round(agreement(faithful["xception"]), 2)

# %% tags=["check", "remove-cell"]
found = agreement(faithful["xception"])
scores = (
    faithful["xception"].groupby("method")[["deletion", "insertion"]].mean()
)
ranks = scores.rank()
constant = ranks.nunique().min() < 2
assert constant or abs(found + ranks.deletion.corr(ranks.insertion)) < 1e-9

# %% tags=["hidden", "remove-cell"]
made = pd.DataFrame(
    {
        "method": list("abcabc"),
        "deletion": [0.1, 0.4, 0.7, 0.3, 0.6, 0.9],
        "insertion": [0.9, 0.2, 0.5, 0.7, 0.4, 0.7],
    }
)
assert abs(agreement(made) - 0.5) < 1e-9
assert abs(agreement(made.assign(insertion=-made.deletion)) - 1) < 1e-9

# %% [markdown]
# A correlation of 1 would mean that one of the two measures is enough. A low correlation means that the ranking depends on
# how pixels are removed: zero is a value that the detector rarely sees during training, and a blurred frame is closer to
# its training data.
#
# ```{solution-end}
# ```
#
# ```{exercise} Maps of a randomised network
# :label: ex-first-change
# A method that explains the network should give another map as soon as the last layer is randomised. For which methods is the
# mean rank correlation on Xception above 0.5 after the stage `top`? Write `unchanged(stage)`, which returns their names for
# any stage of `checks`, and compare `top` with `all`.
# ```
#
# ```{solution-start} ex-first-change
# :class: dropdown
# ```

# %% tags=["solution"]
of_face = checks[checks.detector == "xception"]
after = of_face.pivot_table(index="method", columns="stage", values="rank")


def unchanged(stage):
    """Methods whose map hardly changes after a stage."""
    return [name for name in after.index if after[stage][name] > 0.5]


{stage: unchanged(stage) for stage in ("top", "all")}

# %% tags=["check", "remove-cell"]
top = (
    checks[(checks.detector == "xception") & (checks.stage == "top")]
    .groupby("method")["rank"]
    .mean()
)
assert sorted(unchanged("top")) == sorted(top.index[top > 0.5])
assert {"Centre prior", "Edges"} <= set(unchanged("top"))

# %% tags=["hidden", "remove-cell"]
for stage, rows in checks[checks.detector == "xception"].groupby("stage"):
    ranks = rows.groupby("method")["rank"].mean()
    assert sorted(unchanged(stage)) == sorted(ranks.index[ranks > 0.5])

# %% [markdown]
# The centre prior and the edges do not depend on the network, so they are always in the list. A method that is in the list
# after `top` and not after `all` depends on the early layers, which are still trained after the first stage.
#
# ```{solution-end}
# ```
#
# ## Common misconceptions
#
# - **"A faithful map lies on the artefact."** A map is faithful if the detector needs the marked pixels. The detector may need
#   evidence outside the planted region.
# - **"A method that passes the randomisation test is right."** The test shows only that its maps depend on the network.
# - **"A temporally consistent map is a better map."** One mean map for all frames is perfectly consistent and shows nothing of
#   a single frame.
#
# ## Quiz
#
# **1. A map stays the same when the weights of the network are replaced by random ones. What does it describe?**
#
# - a) structure of the image
# - b) evidence of the network
# - c) errors of the labels
#
# ```{dropdown} Answer to question 1
# **a.** The map does not depend on what the network has learned. Edges of the image look the same for any network
# {cite}`adebayo2018sanity`.
# ```
#
# **2. Why is a good deletion score of Occlusion weak evidence that its maps are faithful?**
#
# - a) Occlusion removes pixels, which is also what deletion does
# - b) the deletion score of a map does not depend on the detector
# - c) deletion needs a mask of the artefact, as real videos have none
#
# ```{dropdown} Answer to question 2
# **a.** A method that is built on the same operation as a measure has an advantage in this measure.
# ```
#
# **3. An attack with very few queries changes no decision, whichever region is attacked. What follows?**
#
# - a) the regions that the maps mark do not matter for the decision
# - b) nothing, because few queries give no direction of an attack
# - c) all compared methods mark the same regions of these frames
#
# ```{dropdown} Answer to question 3
# **b.** With few queries the estimated sign of the gradient is unreliable, and the attacks fail for all methods.
# ```
#
# ## Summary
#
# - Faithfulness and localisation are different questions, because a detector may use evidence outside the artefact.
# - A measure that removes pixels favours methods that remove pixels.
# - The randomisation test is necessary and not sufficient: it excludes maps that do not depend on the weights.
# - Temporal consistency and smooth maps can be obtained without the network.
#
# ## What next
#
# - The cost of each method, and all results by criterion: {doc}`/notebooks/13_cost`.
# - Limits of these results: {doc}`/book/ethics`.
#
# ## References
#
# - {cite:t}`adebayo2018sanity`: sanity checks with random weights and random labels.
# - {cite:t}`petsiuk2018rise`: insertion and deletion.
# - {cite:t}`ancona2018better`: Sensitivity-n.
# - {cite:t}`tsigos2024`: the attack on the marked segments.

# %% tags=["remove-input"]
HTML(study.provenance_html(detectors))
