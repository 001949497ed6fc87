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
# # Comparison of methods: localisation
#
# The paper argues that the bottleneck suits deepfake detectors better than Grad-CAM and other methods, but it does not
# compare their maps. In this chapter the artefacts are planted and their masks are known to the pixel. Therefore it can be
# measured which method localises an artefact, in space and in time, including the frames on which the bottleneck fails.
# Two chapters continue the comparison: {doc}`/notebooks/12_faithfulness` and {doc}`/notebooks/13_cost`.
#
# ```{admonition} What you will learn
# :class: tip
# - to compare every attribution method for images that the paper names, on the same frames with the same budget
# - to measure how well a map localises the planted artefact, in space and in time
# - to compare a map with controls that do not depend on the network
# - to find the frames on which a method fails, and what tuning changes
# ```
#
# ```{admonition} What you need first
# :class: note
# | Concept | Why | Where |
# |---|---|---|
# | The per-sample bottleneck | one of the methods | {doc}`/notebooks/04_viba_step_by_step` |
# | Chance and controls | every measure is compared with them | {doc}`/notebooks/10_human_agreement` |
# | Tests on paired videos | the test that compares two methods | {doc}`/notebooks/08_detection_performance` |
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

from viba_lib.baselines.explainers import NAMES
from viba_lib.baselines.names import VIBA
from viba_lib.experiments.benchmark.maps import Benchmark, with_comparison
from viba_lib.experiments.common import Bootstrap, no_masks
from viba_lib.visual import map_figures, result_figures

study = with_comparison(study, frames=frames, passes=passes)
detectors = [*DETECTORS, detector] if detector else [*DETECTORS]
benchmarks = {name: Benchmark(study, name, settings) for name in detectors}
bootstrap = Bootstrap.of(study)

# %% [markdown]
# ## The protocol
#
# The frames are fakes of unseen identities, one frame of each video, sampled with the seed. Frames that the detector
# classifies correctly come first, because a map explains a decision and the mask is the ground truth of a correct
# decision only. Every method explains the predicted class, except in the
# section on temporal localisation.
#
# A {term}`method <Attribution>` could be better only because it is tuned. Therefore each method has exactly one setting with a
# default and a few alternatives, which a later section tunes.

# %% tags=["remove-input"]
from viba_lib.evaluation.ranks import sample_text

everything = pd.concat(b.rows for b in benchmarks.values())
counts = [
    f"{name} {len(b.rows)}, of which {int((b.rows.p_fake > 0.5).sum())} are classified correctly"
    for name, b in benchmarks.items()
]
prose(
    f"Number of explained frames, each from another video: {'; '.join(counts)}. "
    f"{sample_text('Together', everything, bootstrap.units)}"
)

# %% [markdown]
# ## The methods
#
# The table says how each method finds relevance. Gradient methods go backward through the network, and perturbation
# methods change the frame and observe the probability of the class.
#
# | Method | What it computes | Source |
# |---|---|---|
# | VIBA | Noise replaces as much of a layer's activation as the prediction tolerates. The map is the information that is still transmitted, in bits. | {cite:t}`solopova2024`, {cite:t}`schulz2020` |
# | Grad-CAM | The channels of a layer are weighted by the mean gradient of the class. The map is the positive part of their sum, at the resolution of the layer. | {cite:t}`selvaraju2019gradcam` |
# | Grad-CAM++ | As Grad-CAM, but the gradients at the locations of a channel have weights of their own. This helps if the evidence for a class occurs at several locations. | {cite:t}`chattopadhay2018gradcampp` |
# | LRP | The score of the class is redistributed from layer to layer to the units that contributed to it, until the pixels are reached. A rule for each kind of layer conserves the sum. | {cite:t}`binder2016lrp` |
# | Integrated gradients | Gradients are averaged along a straight path from a baseline frame to the frame. Multiplied by the difference of the two, they sum to the difference of the scores. | {cite:t}`sundararajan2017axiomatic` |
# | Layer integrated gradients | As integrated gradients, but along the path of a layer's activation. The map is the sum over the channels, at the resolution of the layer. | {cite:t}`sundararajan2017axiomatic`, {cite:t}`kokhlikyan2020captum` |
# | Patch head | A linear classifier is fitted to the mean features of a layer, with a frozen network. Its score at each location of the layer is the map. | {cite:t}`tantaru2024` |
# | Occlusion | A square slides over the frame and sets its pixels to zero. The map is the drop of the probability at each location. | {cite:t}`zeiler2013visualizing` |
# | LIME | Random sets of superpixels are removed. A linear model is fitted to the probabilities, and its coefficients are the map. | {cite:t}`ribeiro2016lime` |
# | Kernel SHAP | As LIME, but the sets are weighted such that the coefficients estimate Shapley values. These share the probability fairly among the superpixels. | {cite:t}`lundberg2017shap` |
# | Sobol | A grid of masks darkens parts of the frame, with values from a low-discrepancy sequence. The map is the fraction of the variance of the probability that involves a cell. | {cite:t}`fel2021sobol` |
# | RISE | Random smooth masks cover the frame. The map is their mean, weighted by the probability under each mask. | {cite:t}`petsiuk2018rise` |
# | Random | Uniform noise that depends on nothing. It is the level of chance. | control |
# | Centre prior | A Gaussian in the middle of the crop. It shows what the position of the face alone achieves. | control |
# | Edges | The edges of the image by the Sobel filter. They show what the image alone achieves, without the network. | control |
#
# The three controls do not depend on the network. The {term}`bottleneck <Per-sample bottleneck>`, the patch head, RISE and the masks of Sobol are
# implementations of this project, and the other methods come from maintained libraries (captum, pytorch-grad-cam,
# scikit-image, SciPy). Layer integrated gradients is the closest relative of the bottleneck without its optimisation: it
# explains the same layer, and it has neither noise nor a weight beta. The beta of the bottleneck is a setting of the profile,
# not chosen by localisation: `quick` and `standard` choose it for the motion detector on validation frames, by the decisions
# that it keeps, and otherwise it has the default 10. The patch head is the only method that is trained
# with labels. It is a second classifier on the features of the layer, so it does not explain the decision of the detector.
#
# ### Equal budgets
#
# Most methods improve with more passes through the network. Therefore every method that has a budget gets the same one,
# counted in forward-equivalents: a forward pass counts as 1 and a backward pass as 2, because each layer multiplies once
# forward and up to twice backward. A pass through a part of the network counts as a whole pass. The number of steps of
# the bottleneck, and if necessary its number of noise samples, follow from the budget. The prediction of the class and
# the training of the patch head are not counted.

# %%
from viba_lib.experiments.benchmark.budgets import budget_table, budget_text

spent = budget_table(benchmarks["xception"])
study.save_table("comparison_budget", spent)

# %% tags=["remove-input"]
prose(budget_text(spent, study.profile.comparison.passes))

# %% [markdown]
# ## Maps of one frame
#
# The planted region is outlined. Each map has its own colour scale from zero to its maximum, because the units
# differ: only the maps of the bottleneck have a unit, bits.

# %% mystnb={"image": {"alt": "A fake face with its planted region outlined, and a tile for each method with its relevance map over the face; some maps fill the region, others lie beside it or everywhere."}, "figure": {"caption": "One fake face explained by every method; the planted region is outlined.", "name": "fig-methods-face"}}
map_figures.method_grid(*benchmarks["xception"].example(0))

# %% mystnb={"image": {"alt": "A flow map of a fake clip with its disturbed region outlined, and a tile for each method with its relevance map."}, "figure": {"caption": "One flow map of a fake clip explained by every method; the disturbed region is outlined.", "name": "fig-methods-flow"}}
map_figures.method_grid(*benchmarks["flow-vgg11"].example(0))

# %% [markdown]
# ## Localisation of the artefact
#
# Five measures use the mask of the {term}`Planted artefact` as the ground truth:
#
# - `ratio` is the fraction of relevance inside the mask over the mask's fraction of the frame; chance is 1;
# - `inside` is the fraction of relevance inside the mask;
# - `rank` is the relevance rank accuracy: the fraction of the n strongest pixels that lie inside the mask, where n is the
#   number of pixels of the mask {cite}`arras2022clevr`;
# - `hit` is the {term}`Pointing game`: whether the strongest pixel lies inside the mask;
# - `precision_recall` is the area under the precision-recall curve of all pixels.
#
# Expect the centre prior to be better than chance, because faces lie in the middle of the crop, and `Random` to be at chance.

# %%
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
    name: score_table(s, LOCALISATION, bootstrap)
    for name, s in localised.items()
}
both = pd.concat(localised.values())
unmasked = no_masks(both.ratio, "the localisation")  # "" if there are masks
study.save_table(
    "comparison_localisation",
    pd.concat([table.assign(detector=name) for name, table in tables.items()]),
    tables["xception"][["method", "frames", *LOCALISATION]].round(2),
    unmasked,
)

# %% mystnb={"image": {"alt": "Points with horizontal intervals for each method on Xception, best on top: relevance inside the planted mask over chance with a dotted line at 1, rank accuracy, and hits."}, "figure": {"caption": "Localisation on Xception, best first, with 95 % intervals over people and clips; dotted is chance.", "name": "fig-benchmark-xception"}}
result_figures.intervals(
    tables["xception"], ["ratio", "rank", "hit"], chance={"ratio": 1}
)

# %% mystnb={"image": {"alt": "Points with horizontal intervals for each method on the motion detector, best on top: relevance inside the planted mask over chance with a dotted line at 1, rank accuracy, and hits."}, "figure": {"caption": "Localisation on the motion detector, best first, with 95 % intervals over people and clips; dotted is chance.", "name": "fig-benchmark-flow"}}
result_figures.intervals(
    tables["flow-vgg11"], ["ratio", "rank", "hit"], chance={"ratio": 1}
)

# %% [markdown]
# Intervals that overlap do not mean that the methods are equal, because all methods explain the same videos. Each
# method is therefore compared with the bottleneck, source clip by source clip: a real clip and its fakes count once. The
# test flips the signs of the differences, and its p-values are corrected for the number of methods (Holm). It holds only
# for the people of these clips. `difference`
# is positive if the bottleneck is better. A method is called first only if its mean is strictly the best and every other
# method is worse in this test.

# %%
from viba_lib.evaluation.ranks import rank_of, rank_text
from viba_lib.evaluation.significance import paired_tests

given = {"seed": seed, "units": bootstrap.units}
tests = pd.concat(
    [
        paired_tests(s, "ratio", **given).assign(detector=name)
        for name, s in localised.items()
    ]
)
study.save_table("comparison_tests", tests, tests.round(3), unmasked)

# %% tags=["remove-input"]
ranks = {n: rank_of(s, "ratio", **given) for n, s in localised.items()}
prose(*(rank_text(f"Ratio on {name}", rank) for name, rank in ranks.items()))

# %% [markdown]
# ### Ratio and interval written out
#
# The ratio of one frame needs a few lines: the fraction of the relevance inside the mask, over the mask's fraction of the frame.
# The lines use the frame of the figure above and the map of every method.

# %%
import numpy as np

_, planted, relevances = benchmarks["xception"].example(0)

# %% tags=["decisive"]
area = planted.mean()  # fraction of the frame inside the mask
ratio_of = {}
for method, relevance in relevances.items():
    total = relevance.sum()
    if area > 0 and total > 0:  # no ratio without a mask or relevance
        inside = (relevance * planted).sum() / total
        ratio_of[method] = inside / area

# %%
from viba_lib.evaluation.faithfulness import mass_ratio

for method, ratio in ratio_of.items():
    by_library = mass_ratio(relevances[method], planted)
    np.testing.assert_allclose(ratio, by_library, rtol=1e-4)
shown = ", ".join(f"{k} {v:.2f}" for k, v in ratio_of.items())
print(shown or "This frame has no mask, so no method has a ratio.")

# %% [markdown]
# The lines and the library agree on each method. The interval of a mean ratio comes from a bootstrap that samples people
# with replacement, and then the source clips of each sampled person with replacement. All frames of a clip stay together,
# so that similar frames do not count as independent. The interval contains the middle 95 % of the means.

# %%
ours = localised["xception"].query("method == @VIBA")
ours = ours.join(bootstrap.units, on="video_id")
people = [
    [clip.ratio.to_numpy() for _, clip in person.groupby("clip")]
    for _, person in ours.groupby("person")
]
several = sum(map(len, people)) > 1  # one clip has no interval

# %% tags=["decisive"]
generator = np.random.default_rng(bootstrap.seed)
means = []
for _ in range(bootstrap.samples if several else 0):
    sample = []
    for number in generator.integers(len(people), size=len(people)):
        clips = people[number]
        picks = [0]  # a person with one clip needs no second choice
        if len(clips) > 1:
            picks = generator.integers(len(clips), size=len(clips))
        sample += [clips[pick] for pick in picks]
    means.append(np.concatenate(sample).mean())
ends = np.quantile(means, [0.025, 0.975]) if means else []

# %%
from viba_lib.evaluation.significance import means_of, with_intervals

if means:
    row = with_intervals(ours, means_of(["ratio"]), *bootstrap)
    by_library = [row["ratio_low"], row["ratio_high"]]
    np.testing.assert_allclose(ends, by_library, rtol=1e-6)
    print(f"95 % interval of the mean: {ends[0]:.2f} to {ends[1]:.2f}")
else:
    print("Fewer than two source clips have a mask, so there is no interval.")

# %% [markdown]
# The lines and the library agree on the interval, because both use the same random seed.

# %% [markdown]
# ### Localisation over the budget
#
# One budget shows one point of each method. The first frames are explained again with smaller and larger budgets by the
# methods that have one. A rising line means that the method has not converged at the budget of the comparison. Expect
# the sampling methods to gain most, because few samples are noisy.

# %%
from viba_lib.experiments.benchmark.budgets import (
    budget_means,
    budget_scores,
    curves_text,
)

curves = pd.concat(
    budget_scores(benchmarks[name], localised[name]) for name in detectors
)
over_budget = budget_means(curves)
study.save_table(
    "comparison_budgets", over_budget, over_budget.round(2), unmasked
)

# %% mystnb={"image": {"alt": "Small panels, one for each method with a budget: forward-equivalents spent on a frame on a logarithmic axis across, relevance inside the mask over chance up, a line for each detector, with a dotted line at 1."}, "figure": {"caption": "Localisation over the budget in forward-equivalents; dotted is chance.", "name": "fig-benchmark-budget"}}
result_figures.over_budget(over_budget, 1.0)

# %% tags=["remove-input"]
text = f"{curves_text(over_budget)} {sample_text('These curves', curves, bootstrap.units)}"
prose(text) if len(curves) else None

# %% [markdown]
# The result depends on the planted method and on the size of its region. The area of the mask limits the ratio: the
# larger the mask, the smaller the largest possible ratio.

# %% mystnb={"image": {"alt": "Table in colours of relevance inside the mask over chance, methods down, planted methods of both detectors across."}, "figure": {"caption": "Relevance inside the mask over chance, by method and by what was planted; white is chance.", "name": "fig-benchmark-planted"}}
cells = both.pivot_table(index="method", columns="planted", values="ratio")
result_figures.heat(cells.reindex(NAMES), "over chance", 1.0)

# %%
size = both.pivot_table(
    index="method", columns=["detector", "size"], values="ratio", observed=True
).reindex(NAMES)
study.save_table("comparison_sizes", both, size.round(2), unmasked)

# %% tags=["remove-input"]
from viba_lib.experiments.benchmark.scores import groups_text

groups = (("planted", "planted method"), ("size", "size of the mask"))
prose(*(groups_text(both, *group) for group in groups))

# %% [markdown]
# ### Degraded frames
#
# Videos from outside are smaller and more strongly compressed than the test videos. The same frames are explained by
# the bottleneck once more, as they come out of H.264 (crf 32) at half the side. Flow is computed from pairs of frames that are
# encoded as one video.
# `centre` is the ratio of a centre prior, which does not depend on the frame. Expect fewer correct decisions, and a smaller
# lead over the centre prior.

# %%
from viba_lib.experiments.benchmark.degraded import (
    degraded_scores,
    degraded_table,
    degraded_text,
)

degraded = degraded_table(
    pd.concat(map(degraded_scores, benchmarks.values())), bootstrap
)
columns = [
    "detector",
    "planted",
    "condition",
    "videos",
    "ratio",
    "centre",
    "correct",
]
study.save_table("comparison_degraded", degraded, degraded[columns].round(2))

# %% tags=["remove-input"]
prose(degraded_text(degraded))

# %% [markdown]
# ### Tuned settings
#
# Each method has one setting to choose: the layer of the bottleneck, of Grad-CAM, of Grad-CAM++, of layer integrated gradients and
# of the patch head, the rule of LRP, the baseline of integrated gradients, and the size of the removed regions of the others. The value with the highest ratio on
# the validation split is chosen, and the same test frames are explained again. The test frames are not used for
# tuning.

# %%
from viba_lib.experiments.benchmark.scores import tuned_gain

tuned = {name: Benchmark(study, name, "tuned") for name in detectors}
tuned_scores = {
    name: localisation_scores(benchmark) for name, benchmark in tuned.items()
}
gains = pd.concat(
    [
        tuned_gain(localised[n], tuned_scores[n], tuned[n].tuning)
        for n in detectors
    ]
)
tried = pd.concat(b.tuning for b in tuned.values())
study.save_table("comparison_tuning", tried, gains.round(2), unmasked)

# %% tags=["remove-input"]
better = gains[gains.changed & (gains.tuned > gains.default)]
messages = [
    rank_text(
        f"With tuned settings, ratio on {name}",
        rank_of(scores, "ratio", **given),
    )
    for name, scores in tuned_scores.items()
]
prose(
    f"Tuning changed the setting in {int(gains.changed.sum())} of {len(gains)} cases and raised "
    f"the ratio on the test frames in {len(better)} of these. Number of validation frames for each "
    f"detector: {study.profile.comparison.tuning}. {' '.join(messages)}"
) if not unmasked else None

# %% [markdown]
# A choice from few frames of one or two identities is unreliable for every method. If the gain on the test frames is
# negative, the tuned setting is overfitted to the validation frames.
#
# ## Temporal localisation
#
# An artefact also has a position in time. The middle third of real test clips is altered by a region that jitters, lags
# or freezes. A motion detector is explained for each pair of frames, for the class fake. The area under the ROC curve (`auc`) says how
# well the sum of a map distinguishes altered pairs of frames from the others; chance is 0.5. The detector's own
# probability is the reference: the sum of a map is useful only if its `auc` is higher.

# %%
from viba_lib.experiments.benchmark.temporal_localisation import (
    temporal_scores,
)

motion = [name for name in detectors if study.registered(name).temporal]
in_time = {
    name: temporal_scores(study, name, benchmarks[name].values)
    for name in motion
}
when = {
    name: score_table(s, ["auc"], bootstrap, count="clips")
    for name, s in in_time.items()
}
study.save_table(
    "comparison_temporal",
    pd.concat([table.assign(detector=name) for name, table in when.items()]),
    when[motion[0]][["method", "clips", "auc", "auc_low", "auc_high"]].round(
        2
    ),
)

# %% mystnb={"image": {"alt": "Points with horizontal intervals for each method and the detector's probability: area under the ROC curve for disturbed pairs of frames against the others of a clip, with a dotted line at one half."}, "figure": {"caption": "Area under the ROC curve for disturbed pairs of frames by the sum of a map, with 95 % intervals over people and their clips; dotted is chance.", "name": "fig-benchmark-temporal"}}
result_figures.intervals(when[motion[0]], ["auc"], chance={"auc": 0.5})

# %% tags=["remove-input"]
from viba_lib.evaluation.sentences import level_text
from viba_lib.experiments.benchmark.temporal_localisation import PROBABILITY
from viba_lib.experiments.common import level

lines = []
for name, scores in in_time.items():
    lines.append(sample_text(f"Disturbed clips, {name}", scores, bootstrap.units))
    for method in (VIBA, PROBABILITY):
        rows = scores[scores.method == method]
        what = f"AUC of {method} for disturbed pairs"
        lines.append(level_text(what, level(rows, rows.auc, bootstrap, at=0.5)))
prose(*lines)

# %% [markdown]
# ## Failures of the bottleneck
#
# These are the frames on which the bottleneck has the lowest ratio, with the maps of the other methods. If all methods
# fail, the detector may use other evidence. If other methods localise the artefact, the bottleneck misses it.

# %% mystnb={"image": {"alt": "The fake face on which the bottleneck's relevance lies worst, with the map of every method beside it."}, "figure": {"caption": "The bottleneck's worst frame on Xception, by every method.", "name": "fig-worst-face"}}
map_figures.method_grid(*benchmarks["xception"].worst()) if len(
    localised["xception"]
) else None

# %% mystnb={"image": {"alt": "The flow map on which the bottleneck's relevance lies worst, with the map of every method beside it."}, "figure": {"caption": "The bottleneck's worst frame on the motion detector, by every method.", "name": "fig-worst-flow"}}
map_figures.method_grid(*benchmarks["flow-vgg11"].worst()) if len(
    localised["flow-vgg11"]
) else None

# %% tags=["remove-input"]
prose(no_masks(both.ratio, 'the worst frame')) if unmasked else None

# %% [markdown]
# ## A further detector
#
# The parameter `detector` of this chapter, and the same parameter of {doc}`/notebooks/12_faithfulness` and {doc}`/notebooks/13_cost`,
# adds a detector of your own to the measures of that chapter, except the tables of the budget and of the attack, which are for
# Xception; see {doc}`/book/own_model`. Its maps of one frame and its localisation scores are shown here.

# %%
if detector:
    display(map_figures.method_grid(*benchmarks[detector].example(0)))
    display(
        result_figures.intervals(
            tables[detector], ["ratio", "rank"], chance={"ratio": 1}
        )
    )

# %% [markdown]
# ## Exercises
#
# ```{exercise} A budget for the bottleneck
# :label: ex-bottleneck-budget
# The reference implementation has ten steps. Predict how 5 and 40 steps change the relevance on the artefact of the same frames, and
# whether the bottleneck would be the best method with them. Collect the mean `ratio` of `map_measures` on the first three
# frames, `benchmarks["xception"].rows.head(3)`, for each number of steps in a dictionary `ratios`.
# ```
#
# ```{solution-start} ex-bottleneck-budget
# :class: dropdown
# ```

# %% tags=["solution"]
from viba_lib.evaluation.faithfulness import map_measures

few = benchmarks["xception"].rows.head(3)
masks = study.masks("xception", few)
ratios = {}
for steps in (5, 10, 40):
    maps = study.explain("xception", few, steps=steps).relevance.values
    ratios[steps] = map_measures(maps, masks).ratio.mean()
pd.Series(ratios, name="over chance").rename_axis("steps").round(2)

# %% tags=["check", "remove-cell"]
assert len(ratios) >= 3 and {5, 40} <= set(ratios)
assert all(ratio >= 0 for ratio in ratios.values() if not unmasked)

# %% tags=["hidden", "remove-cell"]
import numpy as np

first_three = benchmarks["xception"].rows.head(3)
again = study.explain("xception", first_three, steps=5).relevance.values
measures = map_measures(again, study.masks("xception", first_three))
expected = measures.ratio.mean()
assert np.isclose(ratios[5], expected, rtol=1e-2, equal_nan=True)

# %% [markdown]
# If the ratio still changes from 10 to 40 steps, ten steps have not converged for these frames. If it does not change,
# further steps cost time without a gain in this measure. However, a setting that is chosen on the test frames gives an
# optimistic bias, and the settings of the other methods were not chosen in this way.
#
# ```{solution-end}
# ```
#
# ```{exercise} The centre prior
# :label: ex-prior
# The centre prior depends neither on the network nor on the frame. For which planted methods is it better than chance, and
# what does this mean for a table with one mean for each method? Put the mean ratios of the centre prior and the bottleneck by
# planted method into a table `prior`.
# ```
#
# ```{solution-start} ex-prior
# :class: dropdown
# ```

# %% tags=["solution"]
compared = both[both.method.isin(["Centre prior", VIBA])]
prior = compared.pivot_table(index="planted", columns="method", values="ratio")
prior.round(2)

# %% tags=["check", "remove-cell"]
assert {"Centre prior", VIBA} & set(both.method) == set(prior.columns)
assert list(prior.index) == sorted(set(both.planted))
means = both[both.method == VIBA].groupby("planted").ratio.mean()
assert all(abs(prior[VIBA] - means) < 1e-9) if len(both) else prior.empty

# %% tags=["hidden", "remove-cell"]
for name in prior.columns:
    of_method = both[both.method == name].groupby("planted").ratio.mean()
    assert all(abs(prior[name] - of_method) < 1e-9)

# %% [markdown]
# If the centre prior has a high ratio, any map of the middle of the face has one too. If its ratio is below 1, it is
# worse than chance, and a method that is better there has found more than the middle. A mean over planted methods hides this
# difference. Compare a method with the controls for each planted method, not only on average.
#
# ```{solution-end}
# ```
#
# ## Common misconceptions
#
# - **"The method with the best mean is the best method."** With few videos and many methods the best mean is often due to
#   chance. The corrected test says which differences are significant.
# - **"A map on the artefact is faithful."** The mask is the ground truth of the artefact, not of the detector: a map can lie
#   on the artefact by chance. {doc}`/notebooks/12_faithfulness` measures what the detector uses.
# - **"A method above chance localises the artefact."** Faces lie in the middle of the crop, so a centre prior is above chance
#   as well. Compare a method with the controls.
#
# ## Quiz
#
# **1. Why does every method that has a budget get the same one?**
#
# - a) so that each library receives the number of passes it expects
# - b) so that each method needs the same number of seconds per frame
# - c) so that no method is better only because it has a larger budget
#
# ```{dropdown} Answer to question 1
# **c.** A method that samples or optimises can improve with more passes. Without a common budget, the comparison would
# measure run time.
# ```
#
# **2. The centre prior is the same map for every frame. Why can its ratio differ between planted methods?**
#
# - a) the masks of some methods lie nearer to the middle of the crop
# - b) the detector needs other evidence for each of the methods
# - c) some of the methods were planted in more videos than others
#
# ```{dropdown} Answer to question 2
# **a.** The centre prior depends neither on the frame nor on the network, which excludes answer b. Its ratio says how easy
# a planted method is for any map in the middle of the crop. A mean over planted methods mixes easy and difficult cases.
# ```
#
# **3. The smallest corrected p-value that is possible with this number of source clips is above 0.05. What follows?**
#
# - a) all methods localise the artefact equally well here
# - b) the method with the best mean is the best one here
# - c) the test cannot show a difference, whatever the means
#
# ```{dropdown} Answer to question 3
# **c.** Even the largest difference could not become significant. The verdict "inconclusive" is then due to the number of clips.
# ```
#
# ## Summary
#
# - If the ground truth is known, attribution methods can be ranked, and the ranking depends on the measure.
# - Every table needs an input-agnostic control. A method that is not better than a centre prior shows no more than the
#   location of the face.
# - A setting that is tuned on few frames of one or two identities can be worse on the test frames.
#
# ## What next
#
# - Faithfulness of the maps to the detector: {doc}`/notebooks/12_faithfulness`.
# - Cost of the methods, and all results by criterion: {doc}`/notebooks/13_cost`.
# - On your own video, side by side: `viba compare`, see {ref}`compare-video`.
# - Your own detector in this comparison: {doc}`/book/own_model`.
#
# ## References
#
# - {cite:t}`solopova2024`: the argument for the bottleneck, and the methods that it names.
# - {cite:t}`arras2022clevr`: measures of relevance with known ground truth.

# %% tags=["remove-input"]
HTML(study.provenance_html(detectors))
