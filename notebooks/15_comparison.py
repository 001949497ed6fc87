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
# # Comparison with other attribution methods
#
# The paper argues that the bottleneck suits deepfake detectors better than Grad-CAM and other methods, and illustrates
# this with examples. In this chapter the artefacts are planted and their masks are known to the pixel. Therefore the
# claim can be measured, including the cases in which the bottleneck is not the best method.
#
# ```{admonition} What you will learn
# :class: tip
# - to compare every method that the paper names on the same frames with the same budget
# - to measure how well a map localises the planted artefact, in space and in time
# - to measure faithfulness, and the effect of an attack on the marked regions
# - to recognise maps that do not depend on the weights of the network
# - to weigh localisation against cost, and to find the frames on which the bottleneck fails
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
passes = 0  # forward passes of each method for a frame, 0 for the profile's; at least 0
settings = "default"  # each method with its default, or with the setting that is best on the validation split; one of default, tuned
detector = ""  # a further detector to compare, as module:function; any text

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

from viba_lib.baselines.explainers import NAMES, VIBA
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
# decision only. Every method explains the predicted class. Methods that sample have the same number of forward passes
# for each frame. Gradient methods have one or several backward passes. The {term}`bottleneck <Per-sample bottleneck>`
# has ten steps unless the profile says otherwise; ten is the number of the reference implementation {cite}`schulz2020`,
# because the paper states none. Implementations of this project are the bottleneck, RISE and the masks of Sobol, whose
# indices SciPy computes. Grad-CAM, LRP, integrated gradients, Occlusion, LIME and Kernel SHAP come from captum, with
# superpixels of scikit-image; Grad-CAM++ comes from pytorch-grad-cam.
#
# A {term}`method <Attribution>` could be better only because it is tuned. Therefore each method has exactly one setting with a
# default and a few alternatives, which a later section tunes. Three controls do not depend on the network: random
# maps, a centred blob at the position of the face, and the edges of the image.

# %% tags=["remove-input"]
counts = [
    f"{name} {len(b.rows)}, of which {int((b.rows.p_fake > 0.5).sum())} are classified correctly"
    for name, b in benchmarks.items()
]
HTML(
    f"<p>Number of explained frames, each from another video: {'; '.join(counts)}. Forward passes "
    f"for a frame: {study.profile.comparison.passes}.</p>"
)

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
# Four measures use the mask of the {term}`Planted artefact` as the ground truth:
#
# - `ratio` is the share of relevance inside the mask over the mask's share of the frame; chance is 1;
# - `rank` is the relevance rank accuracy: the share of the n strongest pixels that lie inside the mask, where n is the
#   number of pixels of the mask {cite}`arras2022clevr`;
# - `hit` is the {term}`Pointing game`: whether the strongest pixel lies inside the mask;
# - `precision_recall` is the area under the precision-recall curve of all pixels.
#
# Expect the controls to be better than chance, because faces lie in the middle of the crop.

# %%
from viba_lib.experiments.benchmark.scores import LOCALISATION, localisation_scores, score_table

localised = {name: localisation_scores(benchmark) for name, benchmark in benchmarks.items()}
tables = {name: score_table(s, LOCALISATION, bootstrap) for name, s in localised.items()}
both = pd.concat(localised.values())
unmasked = no_masks(both.ratio, "the localisation")  # "" if there are masks
study.save_table(
    "comparison_localisation",
    pd.concat([table.assign(detector=name) for name, table in tables.items()]),
    tables["xception"][["method", "frames", *LOCALISATION]].round(2),
    unmasked,
)

# %% mystnb={"image": {"alt": "Points with horizontal intervals for each method on Xception, best on top: relevance inside the planted mask over chance with a dotted line at 1, rank accuracy, and hits."}, "figure": {"caption": "Localisation on Xception, best first, with 95 % intervals over videos; dotted is chance.", "name": "fig-benchmark-xception"}}
result_figures.intervals(tables["xception"], ["ratio", "rank", "hit"], chance={"ratio": 1})

# %% mystnb={"image": {"alt": "Points with horizontal intervals for each method on the motion detector, best on top: relevance inside the planted mask over chance with a dotted line at 1, rank accuracy, and hits."}, "figure": {"caption": "Localisation on the motion detector, best first, with 95 % intervals over videos; dotted is chance.", "name": "fig-benchmark-flow"}}
result_figures.intervals(tables["flow-vgg11"], ["ratio", "rank", "hit"], chance={"ratio": 1})

# %% [markdown]
# Intervals that overlap do not mean that the methods are equal, because all methods explain the same videos. Each
# method is therefore compared with the bottleneck video by video. The test flips the signs of the differences, and
# its p-values are corrected for the number of methods (Holm). `difference` is positive if the bottleneck is better.

# %%
from viba_lib.evaluation.significance import paired_tests, rank_of
from viba_lib.experiments.benchmark.ranking import rank_message

tests = pd.concat(
    [paired_tests(s, "ratio", seed=seed).assign(detector=name) for name, s in localised.items()]
)
study.save_table("comparison_tests", tests, tests.round(3), unmasked)

# %% tags=["remove-input"]
messages = [
    f"<p>{name}: {rank_message(rank_of(scores, 'ratio', seed=seed))}</p>"
    for name, scores in localised.items()
]
HTML("".join(messages))

# %% [markdown]
# The result depends on the planted method. A whole face is easy to localise, and a mouth or a blending edge is
# difficult. The area of the mask limits the ratio: the larger the mask, the smaller the largest possible ratio.

# %% mystnb={"image": {"alt": "Table in colours of relevance inside the mask over chance, methods down, planted methods of both detectors across."}, "figure": {"caption": "Relevance inside the mask over chance, by method and by what was planted; white is chance.", "name": "fig-benchmark-planted"}}
cells = both.pivot_table(index="method", columns="planted", values="ratio")
result_figures.heat(cells.reindex(NAMES), "over chance", 1.0)

# %%
size = both.pivot_table(
    index="method", columns=["detector", "size"], values="ratio", observed=True
).reindex(NAMES)
study.save_table("comparison_sizes", both, size.round(2), unmasked)

# %% [markdown]
# ### Degraded frames
#
# Videos from outside are smaller and more strongly compressed than the test videos. The same frames are explained by
# the bottleneck once more, as they come out of H.264 (crf 32) at half the side; flow is computed from the degraded frames.
# `centre` is the ratio of a centre prior, which knows nothing of the frame. Expect fewer correct decisions, and a smaller
# lead over the centre prior.

# %%
from viba_lib.experiments.benchmark.degraded import degraded_scores, degraded_table, degraded_text

degraded = degraded_table(pd.concat(map(degraded_scores, benchmarks.values())), bootstrap)
columns = ["detector", "planted", "condition", "videos", "ratio", "centre", "correct"]
study.save_table("comparison_degraded", degraded, degraded[columns].round(2))

# %% tags=["remove-input"]
HTML(f"<p>{degraded_text(degraded)}</p>")

# %% [markdown]
# ### Tuned settings
#
# Each method has one setting to choose: the layer of the bottleneck and of Grad-CAM, the rule of LRP, the baseline of
# integrated gradients, and the size of the removed regions of the other methods. The value with the highest ratio on
# the validation split is chosen, and the same test frames are explained again. The test frames are not used for
# tuning.

# %%
from viba_lib.experiments.benchmark.scores import tuned_gain

tuned = {name: Benchmark(study, name, "tuned") for name in detectors}
tuned_scores = {name: localisation_scores(benchmark) for name, benchmark in tuned.items()}
gains = pd.concat([tuned_gain(localised[n], tuned_scores[n], tuned[n].tuning) for n in detectors])
tried = pd.concat(b.tuning for b in tuned.values())
study.save_table("comparison_tuning", tried, gains.round(2), unmasked)

# %% tags=["remove-input"]
better = gains[gains.changed & (gains.tuned > gains.default)]
messages = [
    f"With tuned settings on {name}, {rank_message(rank_of(scores, 'ratio', seed=seed))}"
    for name, scores in tuned_scores.items()
]
HTML(
    f"<p>Tuning changed the setting in {int(gains.changed.sum())} of {len(gains)} cases and raised "
    f"the ratio on the test frames in {len(better)} of these. Number of validation frames for each "
    f"detector: {study.profile.comparison.tuning}. {' '.join(messages)}</p>"
) if not unmasked else None

# %% [markdown]
# A choice from few frames of one identity is unreliable for every method. If the gain on the test frames is
# negative, the tuned setting is overfitted to the validation frames.
#
# ## Temporal localisation
#
# An artefact also has a position in time. The middle third of real test clips is altered by a region that jitters, lags
# or freezes. A motion detector is explained for each pair of frames. The area under the ROC curve (`auc`) says how
# well the sum of a map distinguishes altered pairs of frames from the others; chance is 0.5. The detector's own
# probability is the reference: the sum of a map is useful only if its `auc` is higher.

# %%
from viba_lib.experiments.benchmark.temporal_localisation import temporal_scores

motion = [name for name in detectors if study.registered(name).temporal]
in_time = {name: temporal_scores(study, name, benchmarks[name].values) for name in motion}
when = {name: score_table(s, ["auc"], bootstrap, count="clips") for name, s in in_time.items()}
study.save_table(
    "comparison_temporal",
    pd.concat([table.assign(detector=name) for name, table in when.items()]),
    when[motion[0]][["method", "clips", "auc", "auc_low", "auc_high"]].round(2),
)

# %% mystnb={"image": {"alt": "Points with horizontal intervals for each method and the detector's probability: area under the ROC curve for disturbed pairs of frames against the others of a clip, with a dotted line at one half."}, "figure": {"caption": "Area under the ROC curve for disturbed pairs of frames by the sum of a map, with 95 % intervals over clips; dotted is chance.", "name": "fig-benchmark-temporal"}}
result_figures.intervals(when[motion[0]], ["auc"], chance={"auc": 0.5})

# %% [markdown]
# ## Faithfulness
#
# The detector may use evidence outside the planted artefact. A faithful map then lies outside the mask as well. Four
# measures depend on the detector alone: `insertion` of the marked pixels into a blurred frame and their `deletion`
# {cite}`petsiuk2018rise` (lower is better); `degradation`, the area between the curves for removing the least and the
# most relevant tiles first {cite}`schulz2020`; `sensitivity` (Sensitivity-n), the correlation between the relevance of
# random sets of tiles and the drop of the probability without them {cite}`ancona2018better`.

# %%
from viba_lib.experiments.benchmark.scores import FAITHFULNESS, faithfulness_scores

faithful = {name: faithfulness_scores(benchmark) for name, benchmark in benchmarks.items()}
needs = {name: score_table(s, FAITHFULNESS, bootstrap) for name, s in faithful.items()}
study.save_table(
    "comparison_faithfulness",
    pd.concat([table.assign(detector=name) for name, table in needs.items()]),
    needs["xception"][["method", "frames", *FAITHFULNESS]].round(2),
)

# %% mystnb={"image": {"alt": "Points for each method on Xception in four panels: insertion, deletion, degradation and sensitivity."}, "figure": {"caption": "Faithfulness on Xception; deletion is better where it is lower.", "name": "fig-faithful-xception"}}
result_figures.intervals(
    needs["xception"], list(FAITHFULNESS), chance={"degradation": 0, "sensitivity": 0}
)

# %% mystnb={"image": {"alt": "Points for each method on the motion detector in four panels: insertion, deletion, degradation and sensitivity."}, "figure": {"caption": "Faithfulness on the motion detector; deletion is better where it is lower.", "name": "fig-faithful-flow"}}
result_figures.intervals(
    needs["flow-vgg11"], list(FAITHFULNESS), chance={"degradation": 0, "sensitivity": 0}
)

# %% [markdown]
# These measures remove parts of the image, and so do Occlusion, LIME, Kernel SHAP, Sobol and RISE. This gives these
# methods an advantage over the bottleneck. Compare small differences with the scores of the controls.
#
# ### Adversarial evaluation
#
# The protocol for deepfake detectors {cite}`tsigos2024` attacks only the segments that a map ranks first, without
# gradients {cite}`ilyas2018blackbox`. `sufficiency` is the drop of the probability of the predicted class. `kept` is
# the share of decisions that do not change. `stability` is the rank correlation with the map of the same frame under
# noise that hardly changes the probability. The protocol is made for face images, so it is applied to the first
# detector only: pixels of an optical-flow field cannot be changed directly.

# %%
from viba_lib.experiments.benchmark.robustness import attack_table, attacks

attacked = attack_table(attacks(benchmarks["xception"]))
study.save_table("comparison_attack", attacked, attacked.round(3))

# %% tags=["remove-input"]
numbers = study.profile.comparison
HTML(
    f"<p>An attack in this run has {numbers.attack_samples * numbers.attack_steps} queries, for "
    f"{min(numbers.attacked, len(benchmarks['xception'].rows))} of the frames. The protocol has 2,000 "
    "queries. With few queries the estimated sign of the gradient is unreliable, and small values mean "
    "that the attacks failed for all methods.</p>"
)

# %% [markdown]
# ## Parameter randomisation test
#
# The weights are randomised from the output to the input: the last layer, the later half, all layers
# {cite}`adebayo2018sanity`. In addition, the last layer is fitted to shuffled labels. A map that stays the same does not
# depend on the learned weights. The numbers are rank correlations with the map of the trained network: 1 means that
# the order of the pixels is the same. The explained class stays the class that the trained network predicts.

# %%
from viba_lib.experiments.benchmark.robustness import sanity, sanity_table

checks = pd.concat([sanity(benchmark) for benchmark in benchmarks.values()], ignore_index=True)
marks = sanity_table(checks)
study.save_table("comparison_sanity", marks, marks.round(2))

# %% mystnb={"image": {"alt": "Table in colours of rank correlation between maps of the trained and of randomised networks, methods down, stages of randomisation across; the blob and the edges stay at one."}, "figure": {"caption": "Rank correlation of each method's map with that of a randomised network; 1 means that the map does not depend on what was learned.", "name": "fig-sanity"}}
stages = ["top", "upper half", "all", "random labels"]
similarity = checks.pivot_table(index="method", columns="stage", values="rank")
result_figures.heat(similarity.reindex(NAMES)[stages], "rank correlation", 0.0)

# %% tags=["remove-input"]
same = marks[marks.same].groupby("method").detector.apply(lambda d: " and ".join(sorted(set(d))))
listed = ", ".join(f"{name} ({where})" for name, where in same.items()) or "none"
HTML(f"<p>Methods with similar maps for a fully randomised network: {listed}.</p>")

# %% [markdown]
# Methods that divide the image into superpixels or blobs give similar smooth maps of the same face for every network.
# A part of this similarity comes from the image.
#
# ## Cost
#
# Seconds are measured for one frame on this machine, when the maps are computed. No method is both cheaper and better
# than a filled point: methods on the left are cheaper, and methods at the top have more relevance on the artefact.
# Crosses are the controls.

# %%
from viba_lib.experiments.benchmark.ranking import costs, pareto

cost = {
    name: pareto(tables[name].merge(costs(benchmark.maps()), "right", "method"))
    for name, benchmark in benchmarks.items()
}
cost = {name: table.sort_values("ratio", ascending=False) for name, table in cost.items()}
columns = ["method", "seconds", "forward", "ratio", "front"]
study.save_table(
    "comparison_cost",
    pd.concat([table.assign(detector=name) for name, table in cost.items()]),
    cost["xception"][columns].round(2),
)

# %% mystnb={"image": {"alt": "Two scatter plots, one for each detector: seconds per frame on a logarithmic axis across, relevance inside the mask over chance up; the methods that none beats in both are joined by a line, controls are crosses."}, "figure": {"caption": "Cost and localisation; the methods on the line are not beaten in both; dotted is chance.", "name": "fig-pareto"}}
result_figures.worth_and_cost(
    cost, "seconds", "ratio", "seconds per frame", "on the artefact, over chance", 1.0
)

# %% tags=["remove-input"]
HTML(f"<p>{no_masks(both.ratio, 'the ratio')}</p>") if unmasked else None

# %% [markdown]
# ## Temporal coupling
#
# The paper explains each frame alone. Coupling lambda along a clip makes the maps more temporally consistent. Smoothing
# the finished maps has the same effect, and one mean map for all frames is perfectly consistent. Therefore temporal
# consistency alone (`iou` of consecutive regions, `step` of their centroid) does not show that coupling helps. The
# question is whether coupling preserves more relevance on the artefact (`ratio`) and more of the decision (`insertion`,
# `deletion`) than smoothing afterwards.

# %%
from viba_lib.experiments.benchmark.temporal_coupling import joint_scores, joint_table

jointly = {name: joint_table(joint_scores(study, name), bootstrap) for name in detectors}
shown = ["name", "videos", "iou", "step", "ratio", "insertion", "deletion", "bits"]
study.save_table(
    "comparison_joint",
    pd.concat([table.assign(detector=name) for name, table in jointly.items()]),
    jointly["xception"][shown].round(3),
)

# %% mystnb={"image": {"alt": "Points with intervals for five ways to explain a clip of Xception: overlap of consecutive regions, relevance on the artefact, and insertion."}, "figure": {"caption": "Clips explained frame by frame, jointly, and smoothed afterwards (Xception).", "name": "fig-joint-xception"}}
result_figures.intervals(jointly["xception"], ["iou", "ratio", "insertion"], chance={"ratio": 1})


# %% tags=["remove-input"]
def described(row):
    place = f"relevance on the artefact {row.ratio:.2f} times chance, " if row.ratio >= 0 else ""
    return f"{row.name}: overlap {row.iou:.2f}, {place}insertion {row.insertion:.2f}"


ways = {name: [described(r) for r in table.itertuples()] for name, table in jointly.items()}
HTML("".join(f"<p>{name}. {'; '.join(lines)}.</p>" for name, lines in ways.items()))

# %% [markdown]
# ## Failures of the bottleneck
#
# These are the frames on which the bottleneck has the lowest ratio, with the maps of the other methods. If all methods
# fail, the detector may use other evidence. If other methods localise the artefact, the bottleneck misses it.

# %% mystnb={"image": {"alt": "The fake face on which the bottleneck's relevance lies worst, with the map of every method beside it."}, "figure": {"caption": "The bottleneck's worst frame on Xception, by every method.", "name": "fig-worst-face"}}
map_figures.method_grid(*benchmarks["xception"].worst()) if len(localised["xception"]) else None

# %% mystnb={"image": {"alt": "The flow map on which the bottleneck's relevance lies worst, with the map of every method beside it."}, "figure": {"caption": "The bottleneck's worst frame on the motion detector, by every method.", "name": "fig-worst-flow"}}
map_figures.method_grid(*benchmarks["flow-vgg11"].worst()) if len(localised["flow-vgg11"]) else None

# %% tags=["remove-input"]
HTML(f"<p>{no_masks(both.ratio, 'the worst frame')}</p>") if unmasked else None

# %% [markdown]
# ## A further detector
#
# The parameter `detector` adds a detector of your own to every table of this chapter, see {doc}`/book/own_model`. Its
# maps of one frame and its localisation scores are shown here.

# %%
if detector:
    display(map_figures.method_grid(*benchmarks[detector].example(0)))
    display(result_figures.intervals(tables[detector], ["ratio", "rank"], chance={"ratio": 1}))

# %% [markdown]
# ## Results by criterion
#
# The table contains the best method of every measure and the rank of the bottleneck. `tied for first` means that
# methods with a better mean are not significantly better by the corrected test. `min_p` is the smallest corrected
# p-value that is possible with this number of videos. If it is 0.05 or more, the verdict is `inconclusive` for all
# means.

# %%
verdicts = []
for scores_of, measures in ((localised, LOCALISATION), (faithful, FAITHFULNESS)):
    for name, scores in scores_of.items():
        known = measures if len(scores) else ()  # without masks there is no localisation
        verdicts += [{"detector": name} | rank_of(scores, m, seed=seed) for m in known]
overall = pd.DataFrame(verdicts)
for column in ("behind", "ahead", "even"):
    overall[column] = overall[column].str.join(", ")
columns = ["detector", "measure", "best", "rank", "verdict", "behind", "videos", "min_p"]
study.save_table("comparison_verdicts", overall, overall[columns].round(3))

# %% tags=["remove-input"]
conclusive = overall[overall.min_p < 0.05]
counts = conclusive.verdict.value_counts()
HTML(
    f"<p>Of {len(overall)} measures, {len(conclusive)} have enough videos for the test. In these the "
    f"bottleneck is first in {counts.get('first', 0)}, tied for first in "
    f"{counts.get('tied for first', 0)}, and behind in {counts.get('behind', 0)}.</p>"
)

# %% [markdown]
# Three limitations remain for every profile with few identities. The videos show few faces and cameras, and the
# intervals are intervals over videos, not over identities. The planted artefacts differ from the artefacts of real
# forgeries. The mask is the ground truth of the artefact, not of the detector: a map can lie on the artefact by chance.
# This is why the faithfulness measures and the randomisation test are part of the comparison.

# %% [markdown]
# ## Exercises
#
# ```{exercise} A budget for the bottleneck
# :label: ex-bottleneck-budget
# The reference implementation uses ten steps. Predict how 5 and 40 steps change the relevance on the artefact of the same frames, and
# whether the bottleneck would be the best method with them. Collect the mean ratio for each number of steps in a
# dictionary `ratios`.
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

# %% [markdown]
# Ten steps from $\lambda$ near 1 do not converge. More steps add more noise to units that the prediction does not need, so
# the map becomes more concentrated. However, a setting that is chosen on the test frames gives an optimistic bias, and
# the settings of the other methods were not chosen in this way.
#
# ```{solution-end}
# ```
#
# ```{exercise} The centre prior
# :label: ex-blob
# The centred blob depends neither on the network nor on the frame. For which planted methods is it better than chance, and
# what does this mean for a table with one mean for each method? Put the mean ratios of the blob and the bottleneck by planted
# method into a table `prior`.
# ```
#
# ```{solution-start} ex-blob
# :class: dropdown
# ```

# %% tags=["solution"]
blob = both[both.method.isin(["Centred blob", VIBA])]
prior = blob.pivot_table(index="planted", columns="method", values="ratio")
prior.round(2)

# %% tags=["check", "remove-cell"]
assert {"Centred blob", VIBA} & set(both.method) == set(prior.columns)
assert list(prior.index) == sorted(set(both.planted))
means = both[both.method == VIBA].groupby("planted").ratio.mean()
assert all(abs(prior[VIBA] - means) < 1e-9) if len(both) else prior.empty

# %% [markdown]
# If the artefact lies in the middle of the face, few methods are better than the blob. At the chin or the brows the
# blob is worse. A mean over easy cases hides this difference. Compare a method with the controls for each planted
# method, not only on average.
#
# ```{solution-end}
# ```
#
# ## Common misconceptions
#
# - **"The method with the best mean is the best method."** With few videos and many methods the best mean is often due to
#   chance. The corrected test says which differences are significant.
# - **"A faithful map lies on the artefact."** A map is faithful if the detector needs the marked pixels. The detector may need
#   evidence outside the planted region.
# - **"A method that passes the randomisation test is right."** The test shows only that its maps depend on the network.
#
# ## Quiz
#
# **1. Why do all sampling methods get the same number of forward passes?**
#
# - a) because the libraries say so
# - b) so that no method is better only because it has a larger budget
# - c) to save time
#
# ```{dropdown} Answer to question 1
# **b.** Most of these methods improve with more passes. Without a common budget, the comparison would measure run time.
# ```
#
# **2. A map stays the same when the weights of the network are replaced by random ones. What does it explain?**
#
# - a) the image
# - b) the network
# - c) the label
#
# ```{dropdown} Answer to question 2
# **a.** The map does not depend on what the network has learned. Edges of the image look the same for any network
# {cite}`adebayo2018sanity`.
# ```
#
# **3. The smallest corrected p-value that is possible with this number of videos is above 0.05. What follows?**
#
# - a) the methods are equal
# - b) the test cannot show that one method is better, for any means
# - c) the method with the best mean is the best method
#
# ```{dropdown} Answer to question 3
# **b.** Even the largest difference could not become significant. The verdict "inconclusive" is then due to the number of videos.
# ```
#
# ## Summary
#
# - If the ground truth is known, attribution methods can be ranked, and the ranking depends on the measure.
# - Every table needs an input-agnostic control, because some methods are hardly better than it.
# - Temporal consistency and smooth maps can be obtained without the network. Relevance on the artefact that the decision
#   needs cannot.
#
# ## What next
#
# - On your own video, side by side: `viba compare`, see {ref}`compare-video`.
# - Limits of these results: {doc}`/book/ethics`.
# - Your own detector in this comparison: {doc}`/book/own_model`.
# - A project for a class: {doc}`/book/teaching`.
#
# ## References
#
# - {cite:t}`solopova2024`: the argument for the bottleneck, and the methods that it names.
# - {cite:t}`adebayo2018sanity`: sanity checks with random weights and random labels.
# - {cite:t}`petsiuk2018rise`: insertion and deletion.
# - {cite:t}`arras2022clevr`: measures of relevance where the truth is known.

# %% tags=["remove-input"]
HTML(study.provenance_html(detectors))
