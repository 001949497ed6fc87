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
# # Comparison of methods: cost
#
# Which {term}`attribution method <Attribution>` should be used, if a frame may take a second, or a tenth of it? This chapter compares what the methods cost with
# how well they localise the artefact, and lists the results of the whole comparison by criterion. The frames and the maps
# are those of {doc}`/notebooks/11_localisation` and {doc}`/notebooks/12_faithfulness`.
#
# ```{admonition} What you will learn
# :class: tip
# - to weigh localisation against seconds, passes through the network and memory
# - to find the methods for which no other method is both cheaper and better
# - to read a table of verdicts together with the number of clips and people behind it
# ```
#
# ```{admonition} What you need first
# :class: note
# | Concept | Why | Where |
# |---|---|---|
# | Localisation of the artefact | one axis of the comparison of cost | {doc}`/notebooks/11_localisation` |
# | Faithfulness | further criteria of the last table | {doc}`/notebooks/12_faithfulness` |
# | Speed of the bottleneck | what a pass costs | {doc}`/notebooks/speed` |
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

from viba_lib.baselines.names import CONTROLS
from viba_lib.experiments.benchmark.maps import Benchmark, with_comparison
from viba_lib.experiments.common import Bootstrap, no_masks
from viba_lib.visual import result_figures

study = with_comparison(study, frames=frames, passes=passes)
detectors = [*DETECTORS, detector] if detector else [*DETECTORS]
benchmarks = {name: Benchmark(study, name, settings) for name in detectors}
bootstrap = Bootstrap.of(study)

# %% [markdown]
# ## Time, passes and memory
#
# Seconds are measured for one frame on this machine, when the maps are computed, and passes through the network are counted
# at the same time. `equivalents` counts a backward pass as two forward passes; {doc}`/notebooks/11_localisation` has the
# budget. The patch head also needs features of training frames, once for each detector. `memory` is the peak of the tensors
# that exist at the same time while one frame is explained, in MiB, without the weights and the frame. Methods that go
# backward through the whole network keep the activations of all layers, the bottleneck keeps those downstream of its layer,
# and methods that sample keep a batch of frames. The bottleneck and the methods that sample run in the precision that is
# faster on this machine and with folded batch norms, and gradient methods run the plain network in float32. A part of the
# differences in seconds is due to this; the counts of passes are not affected. No method is both cheaper and better
# than a filled point: methods on the left are cheaper, and methods at the top have more relevance on the
# {term}`artefact <Planted artefact>`. Crosses are the controls.

# %%
from viba_lib.experiments.benchmark.memory import memory_of
from viba_lib.experiments.benchmark.ranking import costs, pareto
from viba_lib.experiments.benchmark.scores import (
    LOCALISATION,
    localisation_scores,
    score_table,
)

localised = {
    name: localisation_scores(benchmark)
    for name, benchmark in benchmarks.items()
}
tables = {
    name: score_table(s, ["ratio"], bootstrap) for name, s in localised.items()
}
unmasked = no_masks(
    pd.concat(localised.values()).ratio, "the ratio"
)  # "" if there are masks

# %%
cost = {}
for name, benchmark in benchmarks.items():
    spent = costs(benchmark.maps()).merge(
        memory_of(benchmark), "left", "method"
    )
    cost[name] = pareto(tables[name].merge(spent, "right", "method"))
cost = {
    name: table.sort_values("ratio", ascending=False)
    for name, table in cost.items()
}
columns = [
    "method",
    "seconds",
    "forward",
    "backward",
    "equivalents",
    "memory",
    "ratio",
    "front",
]
study.save_table(
    "comparison_cost",
    pd.concat([table.assign(detector=name) for name, table in cost.items()]),
    cost["xception"][columns].round(2),
)

# %% [markdown]
# Passes are counted with hooks, which PyTorch calls whenever a module runs. The next lines count a small gradient method:
# the mean gradient of the predicted class at two points of a path from zero to a frame. Each input that leaves the network is a
# forward pass, and each gradient that returns to the output is a backward pass. A backward pass counts twice.

# %%
import torch

network = study.detector("xception")
row = benchmarks["xception"].rows.head(1)
face = study.inputs("xception", row).to(device)
path = torch.tensor([0.5, 1.0], device=device)[:, None, None, None]


def mean_gradient():
    """Mean gradient of the predicted class along a path from zero."""
    x = (path * face).requires_grad_()
    score = network(x).max(1).values.sum()
    return torch.autograd.grad(score, x)[0].mean(0)


# %% tags=["decisive"]
forward, backward = [], []


def on_output(module, inputs, output):
    """Count the inputs of a pass, and their gradients if they return."""
    forward.append(len(output))
    if output.requires_grad:
        output.register_hook(lambda gradient: backward.append(len(gradient)))


hook = network.register_forward_hook(on_output)
mean_gradient()
hook.remove()
equivalents = sum(forward) + 2 * sum(backward)

# %%
from viba_lib.baselines.budget import counted

with counted(network) as passes:
    mean_gradient()
assert equivalents == passes.equivalents
print(
    f"{len(path)} points: {sum(forward)} forward, {sum(backward)} backward, "
    f"{equivalents} forward-equivalents"
)

# %% [markdown]
# The hooks and the library's function `counted` agree. The library counts every method of the table in this way, with the
# exception of the bottleneck: its passes go through two parts of the network and follow from its settings.

# %% mystnb={"image": {"alt": "Two scatter plots, one for each detector: seconds per frame on a logarithmic axis across, relevance inside the mask over chance up; the methods that none beats in both are joined by a line, controls are crosses."}, "figure": {"caption": "Cost and localisation; the methods on the line are not beaten in both; dotted is chance.", "name": "fig-pareto"}}
result_figures.worth_and_cost(
    cost,
    "seconds",
    "ratio",
    "seconds per frame",
    "on the artefact, over chance",
    1.0,
)

# %% tags=["remove-input"]
from viba_lib.experiments.benchmark.ranking import front_text

prose(unmasked or front_text(cost))

# %% [markdown]
# ## Results by criterion
#
# The table contains the best methods of every measure, such as the {term}`pointing game <Pointing game>` (`hit`), and the
# rank and verdict of the {term}`bottleneck <Per-sample bottleneck>`. `first` means that its mean is strictly the best and
# that every other method is worse in the corrected test over source clips. `first by the mean` means that some methods
# are not distinguished from it. `not distinguished from the best` means that another method has an equal or better mean, and
# that the test finds no method that is better than the bottleneck. `behind` means that the test finds a better method.
# `not computed` means that no frame has a value. The column `best` names the methods with the best mean, and the column
# `behind` the methods that are better in the test. `min_p` is the smallest corrected p-value that is possible with the source clips that have
# a difference. If it is 0.05 or more, the verdict is `inconclusive` for all means. Fewer than five videos or two people are an
# `illustration`.

# %%
from viba_lib.evaluation.ranks import rank_of, rank_text, verdicts_text
from viba_lib.experiments.benchmark.scores import (
    FAITHFULNESS,
    faithfulness_scores,
)

faithful = {
    name: faithfulness_scores(benchmark)
    for name, benchmark in benchmarks.items()
}
given, verdicts = {"seed": seed, "units": bootstrap.units}, []
for scores_of, measures in (
    (localised, LOCALISATION),
    (faithful, FAITHFULNESS),
):
    for name, scores in scores_of.items():
        verdicts += [
            {"detector": name} | rank_of(scores, m, **given) for m in measures
        ]

# %% tags=["remove-input"]
prose(verdicts_text(verdicts))

# %%
overall = pd.DataFrame(verdicts)
for column in ("best", "behind", "ahead", "even"):
    overall[column] = overall[column].str.join(", ")
columns = [
    "detector",
    "measure",
    "best",
    "rank",
    "verdict",
    "behind",
    "clips",
    "people",
    "min_p",
]
study.save_table("comparison_verdicts", overall, overall[columns].round(3))

# %% tags=["remove-input"]
lines = [
    rank_text(f"{rank['measure']} on {rank['detector']}", rank)
    for rank in verdicts
]
prose(*lines)

# %% [markdown]
# Three limitations remain for every profile with few identities. The videos show few faces and cameras, and a test over
# source clips says nothing about other people. The planted artefacts differ from the artefacts of real
# forgeries. The mask is the ground truth of the artefact, not of the detector: a map can lie on the artefact by chance.
# This is why the faithfulness measures and the randomisation test are part of the comparison.

# %% [markdown]
# ## Exercises
#
# ```{exercise} A limit of time
# :label: ex-time-limit
# A platform can spend half a second on a frame of this machine. Which method has the highest mean ratio on Xception within
# this limit? Write a function `best_within(table, seconds)` that returns its name, or `None` if no method is fast enough. The
# controls do not count.
# ```
#
# ```{solution-start} ex-time-limit
# :class: dropdown
# ```


# %% tags=["solution"]
def best_within(table, seconds):
    possible = table[(table.seconds <= seconds) & ~table.control].dropna(
        subset="ratio"
    )
    return possible.method[possible.ratio.idxmax()] if len(possible) else None


best_within(cost["xception"], 0.5)

# %% tags=["check", "remove-cell"]
made = pd.DataFrame(
    {
        "method": ["a", "b", "c"],
        "seconds": [0.1, 1.0, 0.1],
        "ratio": [2.0, 3.0, 9.0],
    }
)
made = made.assign(control=[False, False, True])
assert [best_within(made, s) for s in (0.01, 0.5, 2.0)] == [None, "a", "b"]

# %% tags=["hidden", "remove-cell"]
other = pd.DataFrame(
    {
        "method": ["x", "y", "z", "w"],
        "seconds": [0.2, 0.4, 0.4, 0.1],
        "ratio": [float("nan"), 1.5, 1.2, 5.0],
        "control": [False, False, False, True],
    },
    index=[3, 5, 7, 9],
)
assert [best_within(other, s) for s in (0.3, 0.4)] == [None, "y"]
assert best_within(other.drop(index=5), 1.0) == "z"

# %% [markdown]
# The answer depends on the limit and on the machine. Methods with many passes can gain more from a GPU than methods that
# build superpixels on the processor.
#
# ```{solution-end}
# ```
#
# ```{exercise} Correlated measures
# :label: ex-correlated-measures
# The table of verdicts has several measures of localisation. How independent are they? Compute Spearman's rank correlation of
# the methods' means of each pair of measures on Xception, without the controls, as a table `related` with a row and a column
# for each measure of `LOCALISATION`.
# ```
#
# ```{solution-start} ex-correlated-measures
# :class: dropdown
# ```

# %% tags=["solution"]
scores = localised["xception"]
methods = (
    scores[~scores.method.isin(CONTROLS)]
    .groupby("method")[list(LOCALISATION)]
    .mean()
)
related = methods.corr("spearman")
related.round(2)

# %% tags=["check", "remove-cell"]
assert list(related.index) == list(related.columns) == list(LOCALISATION)
informed = localised["xception"].query("method not in @CONTROLS")
pair = informed.groupby("method")[["ratio", "rank"]].mean().rank()
wanted = pair["ratio"].corr(pair["rank"])
assert pd.isna(wanted) or abs(related.at["ratio", "rank"] - wanted) < 1e-9

# %% tags=["hidden", "remove-cell"]
import numpy as np

of_methods = localised["xception"].query("method not in @CONTROLS")
of_methods = of_methods.groupby("method")[list(LOCALISATION)].mean()
expected = of_methods.corr("spearman")
assert np.allclose(related, expected, atol=1e-9, equal_nan=True)

# %% [markdown]
# Measures that are highly correlated repeat one result. A method that is first in four of them has not been confirmed four
# times.
#
# ```{solution-end}
# ```
#
# ## Common misconceptions
#
# - **"The cheapest method is the one with the fewest passes."** LIME and SHAP build superpixels on the processor, and a pass
#   through the layers downstream of the bottleneck is cheaper than a pass through the whole network.
# - **"First in most measures means best."** Measures of the same maps on the same frames are correlated, so they are not
#   independent confirmations.
# - **"A tie means that the methods are equal."** A test that finds no difference may have too few clips to find one.
#
# ## Quiz
#
# **1. A method lies below and to the right of the line in the figure of cost. What follows?**
#
# - a) at least one method on the line is slower and worse
# - b) at least one method on the line is faster and better
# - c) the method localises the artefact worse than chance
#
# ```{dropdown} Answer to question 1
# **b.** The line joins the methods for which no other method is both cheaper and better. Every other method is dominated by
# one of them.
# ```
#
# **2. Why does a backward pass count more than a forward pass?**
#
# - a) it needs a second copy of the weights of the network
# - b) it is repeated once for every class of the network
# - c) a layer may have to multiply twice instead of once
#
# ```{dropdown} Answer to question 2
# **c.** A layer multiplies once in the forward pass. Backward it multiplies for the gradient of its input and, if the weights
# are trained, once more for the gradient of its weights. With frozen weights, the count is thus an upper estimate.
# ```
#
# **3. Suppose a method is first in every measure, on frames of one person. What supports the claim that it is the best
# method?**
#
# - a) the number of these measures, with one small p-value
# - b) large differences in the means of all these measures
# - c) distinct measures, tested over clips of several people
#
# ```{dropdown} Answer to question 3
# **c.** The unit of the test is a clip, and clips of one person say nothing about other people.
# ```
#
# ## Summary
#
# - Cost belongs to every comparison: the front of the methods depends on what a pass costs on the machine.
# - A verdict is valid for the measure, the clips and the people on which it rests.
# - With few clips a test decides little, and correlated measures add little evidence.
#
# ## What next
#
# - On your own video, side by side: `viba compare`, see {ref}`compare-video`.
# - Limits of these results: {doc}`/book/ethics`.
# - A project for a class: {doc}`/book/teaching`.
#
# ## References
#
# - {cite:t}`solopova2024`: the argument for the bottleneck, and the methods that it names.
# - {cite:t}`arras2022clevr`: measures of relevance with known ground truth.

# %% tags=["remove-input"]
HTML(study.provenance_html(detectors))
