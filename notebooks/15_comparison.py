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
# # Is it true? The bottleneck against the others
#
# The paper argues that the bottleneck suits deepfake detectors better than Grad-CAM and others, and shows pictures.
# Here the artefacts are planted and the truth is known to the pixel, so the question can be measured, also where the
# answer is unflattering.
#
# ```{admonition} What you will learn
# :class: tip
# - to compare every method that the paper names on the same frames with the same budget
# - who finds the planted artefact, in space and in time
# - who marks what the detector needs, and what an attack on the marked places does
# - which maps would look the same for a network that knows nothing
# - what each costs, where the bottleneck fails, and who wins where
# ```
#
# ```{admonition} What you need first
# :class: note
# | Concept | Why | Where |
# |---|---|---|
# | The per-sample bottleneck | one of the methods | {doc}`/notebooks/04_viba_step_by_step` |
# | Chance and controls | every measure is held against them | {doc}`/notebooks/10_human_agreement` |
# | Tests on paired videos | how methods are told apart | {doc}`/notebooks/08_detection_performance` |
# ```
#
# <!-- time -->

# %% tags=["parameters"]
profile = "quick"
data_root = "../data"
results_root = "../results"
device = "cpu"
seed = 0
frames = 0  # held-out fakes that every method explains, 0 for the profile's; at least 0
passes = 0  # forward passes that each method may use for a frame, 0 for the profile's; at least 0
# each method as it comes, or with the setting best on the validation split; one of default, tuned
settings = "default"

# %% tags=["remove-input"]
from IPython.display import HTML

from viba_lib.models.detectors import DETECTORS
from viba_lib.pipeline.study import Study

study = Study(profile, data_root, results_root, device, seed)
HTML(study.banner())

# %%
import pandas as pd

from viba_lib.baselines.explainers import NAMES, VIBA
from viba_lib.experiments.benchmark.maps import Contest, resized
from viba_lib.visual import map_figures, result_figures

study = resized(study, frames=frames, passes=passes)
contests = {name: Contest(study, name, settings) for name in DETECTORS}

# %% [markdown]
# ## The protocol
#
# Frames are fakes of held-out people, one of a video, drawn by the seed; those that the detector gets
# right come first, since a map explains a decision. Every method explains the predicted class. Methods
# that ask the network again and again have the same number of forward passes for a frame; gradients go
# backward once or in steps; the {term}`bottleneck <Per-sample bottleneck>` has the paper's ten steps. All but the bottleneck come from
# well-kept libraries (captum, pytorch-grad-cam, scikit-image, SciPy).
#
# A {term}`method <Attribution>` could win by being tuned. So each has exactly one setting with a default and some
# alternatives, which is looked at further down. Three controls know nothing of the network: noise, a blob
# in the middle of the frame, where the face is, and the edges of the picture.

# %% tags=["remove-input"]
right = {name: int((contest.rows.p_fake > 0.5).sum()) for name, contest in contests.items()}
HTML(
    "<p>Frames that are explained, each of another video: "
    + "; ".join(
        f"{name} {len(contest.rows)}, of which it gets {right[name]} right"
        for name, contest in contests.items()
    )
    + f". Passes for a frame: {study.profile.comparison.passes}.</p>"
)

# %% [markdown]
# ## The same frame, by every method
#
# Before any number, look. The planted region is outlined. Colours go from nothing to each map's own
# maximum, since units differ: only the bottleneck's have one, bits.

# %% mystnb={"image": {"alt": "A fake face with its planted region outlined, and a tile for each method with its relevance map over the face; some maps fill the region, others lie beside it or everywhere."}, "figure": {"caption": "One fake face explained by every method; the planted region is outlined.", "name": "fig-methods-face"}}
map_figures.method_grid(*contests["xception"].picture(0))

# %% mystnb={"image": {"alt": "A flow map of a fake clip with its disturbed region outlined, and a tile for each method with its relevance map."}, "figure": {"caption": "One flow map of a fake clip explained by every method; the disturbed region is outlined.", "name": "fig-methods-flow"}}
map_figures.method_grid(*contests["flow-vgg11"].picture(0))

# %% [markdown]
# ## Who finds the artefact
#
# Four measures, each with the mask of the {term}`Planted artefact` as the truth: `ratio` is the relevance inside the mask over the mask's
# share of the frame, so that chance is 1; `rank` is the share of the strongest pixels, as many as the mask
# has, that lie inside {cite}`arras2022clevr`; `hit` says whether the strongest pixel does (the {term}`Pointing game`);
# `precision_recall` is the area under that curve over all pixels.
# Expect the controls to do better than chance: faces are in the middle.

# %%
from viba_lib.experiments.benchmark.scores import LOCALISATION, localisation_scores, standings

found = {name: localisation_scores(contest) for name, contest in contests.items()}
tables = {name: standings(scores, LOCALISATION, study) for name, scores in found.items()}
study.save_table(
    "comparison_localisation",
    pd.concat([table.assign(detector=name) for name, table in tables.items()]),
    tables["xception"][["method", "frames", *LOCALISATION]].round(2),
)

# %% mystnb={"image": {"alt": "Points with horizontal intervals for each method on Xception, best on top: relevance inside the planted mask over chance with a dotted line at 1, rank accuracy, and hits."}, "figure": {"caption": "Localisation on Xception, best first, with 95 % intervals over videos; dotted is chance.", "name": "fig-contest-xception"}}
result_figures.intervals(tables["xception"], ["ratio", "rank", "hit"], chance={"ratio": 1})

# %% mystnb={"image": {"alt": "Points with horizontal intervals for each method on the detector of motion, best on top: relevance inside the planted mask over chance with a dotted line at 1, rank accuracy, and hits."}, "figure": {"caption": "Localisation on the detector of motion, best first, with 95 % intervals over videos; dotted is chance.", "name": "fig-contest-flow"}}
result_figures.intervals(tables["flow-vgg11"], ["ratio", "rank", "hit"], chance={"ratio": 1})

# %% [markdown]
# Intervals that overlap do not mean that nothing differs: all methods saw the same videos. So each rival is
# compared with the bottleneck video by video, by flipping signs of the differences, and the p-values are
# corrected for the number of methods (Holm). `difference` is positive where the bottleneck is better.

# %%
from viba_lib.experiments.benchmark.scores import paired_tests, place, told

tests = pd.concat(
    [paired_tests(scores, "ratio", seed=seed).assign(detector=d) for d, scores in found.items()]
)
study.save_table("comparison_tests", tests, tests.round(3))

# %% tags=["remove-input"]
HTML(
    "".join(f"<p>{d}: {told(place(scores, 'ratio', seed=seed))}</p>" for d, scores in found.items())
)

# %% [markdown]
# Methods differ by what was planted. A whole face is easy to hit, a mouth or an edge is not, and a large
# mask is hit by chance: its share of the frame bounds the ratio.

# %% mystnb={"image": {"alt": "Table in colours of relevance inside the mask over chance, methods down, planted methods of both detectors across."}, "figure": {"caption": "Relevance inside the mask over chance, by method and by what was planted; white is chance.", "name": "fig-contest-planted"}}
both = pd.concat(found.values())
cells = both.pivot_table(index="method", columns="planted", values="ratio")
result_figures.heat(cells.reindex(NAMES), "over chance", 1.0)

# %%
size = both.pivot_table(index="method", columns=["detector", "size"], values="ratio").reindex(NAMES)
study.save_table("comparison_sizes", both, size.round(2))

# %% [markdown]
# ### With one setting tuned
#
# Each method has one setting that can be chosen: a layer for the bottleneck and for Grad-CAM, the rule of
# LRP, the baseline of integrated gradients, the size of what is taken away for the others. For each the value
# with most relevance inside the mask on the validation split is taken, and the same held-out frames are
# explained again. No method is tuned on what it is judged by.

# %%
from viba_lib.experiments.benchmark.maps import tuning
from viba_lib.experiments.benchmark.scores import tuned_gain

tried = {name: tuning(study, name) for name in DETECTORS}
tuned_scores = {name: localisation_scores(Contest(study, name, "tuned")) for name in DETECTORS}
gains = pd.concat([tuned_gain(found[name], tuned_scores[name], tried[name]) for name in DETECTORS])
study.save_table("comparison_tuning", pd.concat(tried.values()), gains.round(2))

# %% tags=["remove-input"]
better = gains[gains.changed & (gains.tuned > gains.default)]
HTML(
    f"<p>Tuning changed the setting in {int(gains.changed.sum())} of {len(gains)} cases and raised the "
    f"ratio on the held-out frames in {len(better)} of these. Frames of the validation split that it saw, "
    f"for each detector: {study.profile.comparison.tuning}. "
    + " ".join(
        f"{name}: with tuned settings {told(place(part, 'ratio', seed=seed))}"
        for name, part in tuned_scores.items()
    )
    + "</p>"
)

# %% [markdown]
# Few frames of one person choose badly, whoever the method is. Where the gain on the held-out frames is
# negative, tuning has fitted the frames that it saw.
#
# ## When
#
# A video has a time as well. Real held-out clips are disturbed in the middle third of their frames, by a
# region that jitters, lags or freezes, and the detector of motion is asked why each pair of frames could
# be fake. Does the sum of a map rise when there is something to find? 0.5 is chance. The detector's own
# probability stands beside: a sum that tells less than it adds nothing.

# %%
from viba_lib.experiments.benchmark.temporal_localisation import moment_scores, moment_table

moments = moment_scores(study, contests["flow-vgg11"].values)
when = moment_table(moments, study)
study.save_table("comparison_moments", when, when.drop(columns="name").round(2))

# %% mystnb={"image": {"alt": "Points with horizontal intervals for each method and the detector's probability: area under the curve of telling disturbed moments of a clip from others, with a dotted line at one half."}, "figure": {"caption": "Telling the disturbed moments of a clip from the others by the sum of a map, with 95 % intervals over clips; dotted is chance.", "name": "fig-contest-when"}}
result_figures.intervals(when, ["auc"], chance={"auc": 0.5})

# %% [markdown]
# ## Does the detector need what is marked?
#
# The artefact is what *we* know. The detector may look elsewhere, and a faithful map must then lie
# elsewhere. Four measures ask the detector alone: `insertion` of the marked pixels into a blurred frame and
# their `deletion` {cite}`petsiuk2018rise` (less is better); `degradation`, the gap between taking the least
# and the most relevant tiles away {cite}`schulz2020`; `sensitivity`, the correlation between the relevance
# of random sets of tiles and what the decision loses without them {cite}`ancona2018better`.

# %%
from viba_lib.experiments.benchmark.scores import FAITHFULNESS, faithfulness_scores

faithful = {name: faithfulness_scores(contest) for name, contest in contests.items()}
needs = {name: standings(scores, FAITHFULNESS, study) for name, scores in faithful.items()}
study.save_table(
    "comparison_faithfulness",
    pd.concat([table.assign(detector=name) for name, table in needs.items()]),
    needs["xception"][["method", "frames", *FAITHFULNESS]].round(2),
)

# %% mystnb={"image": {"alt": "Points for each method on Xception in four panels: insertion, deletion, degradation and sensitivity."}, "figure": {"caption": "Faithfulness on Xception; deletion is better where it is lower.", "name": "fig-faithful-xception"}}
result_figures.intervals(
    needs["xception"], list(FAITHFULNESS), chance={"degradation": 0, "sensitivity": 0}
)

# %% mystnb={"image": {"alt": "Points for each method on the detector of motion in four panels: insertion, deletion, degradation and sensitivity."}, "figure": {"caption": "Faithfulness on the detector of motion; deletion is better where it is lower.", "name": "fig-faithful-flow"}}
result_figures.intervals(
    needs["flow-vgg11"], list(FAITHFULNESS), chance={"degradation": 0, "sensitivity": 0}
)

# %% [markdown]
# A method that asks the network with parts of the picture removed is tested here by removing parts of the
# picture: Occlusion and its kin are at home in these measures, and the bottleneck is not. Look at how far
# the controls come before reading much into small gaps.
#
# ### Attacked where it hurts
#
# The protocol made for deepfake detectors {cite}`tsigos2024` attacks only the segments that a map ranks
# first, without gradients {cite}`ilyas2018blackbox`. `sufficiency` is what the decision loses; `kept` the
# share of decisions that survive; `stability` the correlation with the map of the same frame under noise that
# hardly moves the decision. It is made for faces: pixels of a flow map are not there to be painted.

# %%
from viba_lib.experiments.benchmark.robustness import attacks, attacks_table

attacked = attacks_table(attacks(contests["xception"]))
study.save_table("comparison_attack", attacked, attacked.round(3))

# %% tags=["remove-input"]
numbers = study.profile.comparison
HTML(
    f"<p>An attack here had {numbers.attack_samples * numbers.attack_steps} queries, on "
    f"{min(numbers.attacked, len(contests['xception'].rows))} of the frames; the protocol's has 2,000. With few "
    "queries the sign of a gradient is mostly guessed, and small numbers mean that nobody could be attacked.</p>"
)

# %% [markdown]
# ## Would it look the same for a network that knows nothing?
#
# The weights are randomised from the output down: the last layer, the later half, all
# {cite}`adebayo2018sanity`. And the last layer is fitted to shuffled labels. A map that stays the same was
# never about what the network has learned. Numbers are rank correlations with the map of the trained
# network: 1 is the same map. The class that is explained stays the trained network's.

# %%
from viba_lib.experiments.benchmark.robustness import sanity, sanity_table

checks = pd.concat([sanity(contest) for contest in contests.values()], ignore_index=True)
marks = sanity_table(checks)
study.save_table("comparison_sanity", marks, marks.round(2))

# %% mystnb={"image": {"alt": "Table in colours of rank correlation between maps of the trained and of randomised networks, methods down, stages of randomisation across; the blob and the edges stay at one."}, "figure": {"caption": "Rank correlation of each method's map with that of a randomised network; 1 means that the map does not depend on what was learned.", "name": "fig-sanity"}}
stages = ["top", "upper half", "all", "random labels"]
likeness = checks.pivot_table(index="method", columns="stage", values="rank")
result_figures.heat(likeness.reindex(NAMES)[stages], "rank correlation", 0.0)

# %% tags=["remove-input"]
same = marks[marks.same].groupby("method").detector.apply(lambda d: " and ".join(sorted(set(d))))
listed = ", ".join(f"{name} ({where})" for name, where in same.items()) or "none"
HTML(f"<p>Marked, because a fully random network gives much the same map: {listed}.</p>")

# %% [markdown]
# Methods that cut the picture into superpixels or blobs give smooth maps of the same face each time; some of
# their likeness is the picture's and not the network's.
#
# ## What it costs
#
# Seconds are of one frame on this machine, measured when the maps were drawn. No method beats a filled point
# in both: towards the left it is cheaper, upwards it finds more of the artefact. Crosses are the controls.

# %%
from viba_lib.experiments.benchmark.scores import costs, pareto

cost = {
    name: pareto(tables[name].merge(costs(contest.maps()), on="method"))
    for name, contest in contests.items()
}
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

# %% [markdown]
# ## Frame by frame, or jointly
#
# The paper explains each frame alone. Coupling lambda along a clip makes maps steadier, but so does smoothing
# the finished maps, and nothing is steadier than one map shown in every frame. So steadiness (`iou` of
# consecutive regions, `step` of their centre) says nothing by itself: the question is whether coupling keeps
# more of the artefact (`ratio`) and of the decision (`insertion`, `deletion`) than smoothing afterwards.

# %%
from viba_lib.experiments.benchmark.temporal_coupling import joint_scores, joint_table

jointly = {name: joint_table(joint_scores(study, name), study) for name in DETECTORS}
shown = ["name", "videos", "iou", "step", "ratio", "insertion", "deletion", "bits"]
study.save_table(
    "comparison_joint",
    pd.concat([table.assign(detector=name) for name, table in jointly.items()]),
    jointly["xception"][shown].round(3),
)

# %% mystnb={"image": {"alt": "Points with intervals for five ways to explain a clip of Xception: overlap of consecutive regions, relevance on the artefact, and insertion."}, "figure": {"caption": "Clips explained frame by frame, jointly, and smoothed afterwards (Xception).", "name": "fig-joint-xception"}}
result_figures.intervals(jointly["xception"], ["iou", "ratio", "insertion"], chance={"ratio": 1})

# %% tags=["remove-input"]
from viba_lib.experiments.benchmark.temporal_coupling import said

HTML("".join(f"<p>{name}: {said(table)}</p>" for name, table in jointly.items()))

# %% [markdown]
# ## Where the bottleneck fails
#
# The frames on which its relevance lies worst, with the others beside it. Where all fail, the detector may
# have looked elsewhere; where others hit, the bottleneck has missed what they found.

# %% mystnb={"image": {"alt": "The fake face on which the bottleneck's relevance lies worst, with the map of every method beside it."}, "figure": {"caption": "The bottleneck's worst frame on Xception, by every method.", "name": "fig-worst-face"}}
map_figures.method_grid(*contests["xception"].worst())

# %% mystnb={"image": {"alt": "The flow map on which the bottleneck's relevance lies worst, with the map of every method beside it."}, "figure": {"caption": "The bottleneck's worst frame on the detector of motion, by every method.", "name": "fig-worst-flow"}}
map_figures.method_grid(*contests["flow-vgg11"].worst())

# %% [markdown]
# ## Who wins where
#
# Every measure with its best method and the bottleneck's place. `tied for first` means that methods with a
# better mean are not better by the corrected test; `least` is the smallest corrected p-value that so many videos
# can give: where it is above 0.05, methods are `not told apart`, whatever the means.

# %%
from viba_lib.experiments.benchmark.scores import places

verdicts = places(found, LOCALISATION, seed) + places(faithful, FAITHFULNESS, seed)
overall = pd.DataFrame(verdicts)
for column in ("behind", "ahead", "even"):
    overall[column] = overall[column].str.join(", ")
columns = ["detector", "measure", "best", "rank", "verdict", "behind", "videos", "least"]
study.save_table("comparison_verdicts", overall, overall[columns].round(3))

# %% tags=["remove-input"]
able = overall[overall.least < 0.05]
counts = able.verdict.value_counts()
HTML(
    f"<p>Of {len(overall)} measures, {len(able)} have enough videos to tell methods apart. In those the "
    f"bottleneck is first in {counts.get('first', 0)}, tied for first in "
    f"{counts.get('tied for first', 0)}, and behind in {counts.get('behind', 0)}.</p>"
)

# %% [markdown]
# Three things stay open on any profile with few people. The videos are of few faces and cameras, and the
# intervals speak of videos, not of people. The planted artefacts are not a forger's. And the truth of a mask is
# not the truth of the detector: a map on the artefact can be a lucky one, which is why the measures of
# faithfulness and the checks of sanity stand beside.

# %% [markdown]
# ## Exercises
#
# ```{exercise} A budget for the bottleneck
# :label: ex-bottleneck-budget
# Ten steps are the paper's choice. Predict what 5 and 40 steps do to relevance on the artefact, on the same
# frames, and whether the bottleneck would have won with them. Collect the mean ratio for each number of steps in a
# dictionary `ratios`.
# ```
#
# ```{solution-start} ex-bottleneck-budget
# :class: dropdown
# ```

# %% tags=["solution"]
contest = contests["xception"]
few = contest.rows.head(3)
masks = study.masks("xception", few)
ratios = {}
for steps in (5, 10, 40):
    maps = study.explain("xception", few, steps=steps).relevance.values
    inside = (maps * masks).sum((1, 2)) / maps.sum((1, 2))
    ratios[steps] = (inside / masks.mean((1, 2))).mean()
pd.Series(ratios, name="over chance").rename_axis("steps").round(2)

# %% tags=["check", "remove-cell"]
assert len(ratios) >= 3 and {5, 40} <= set(ratios)
assert all(ratio >= 0 for ratio in ratios.values())

# %% [markdown]
# Ten steps from $\lambda$ near 1 do not converge: more steps let more noise in where nothing is needed, and what is
# left is sharper. But a setting chosen after seeing the test frames is no fair choice, and the others were
# not asked for theirs.
#
# ```{solution-end}
# ```
#
# ```{exercise} The blob's secret
# :label: ex-blob
# The centred blob knows neither network nor frame. On which planted methods does it beat chance, and what does
# that say about a table with one mean for each method? Put the mean ratios of the blob and the bottleneck by planted method into a
# table `secret`.
# ```
#
# ```{solution-start} ex-blob
# :class: dropdown
# ```

# %% tags=["solution"]
blob = both[both.method.isin(["Centred blob", VIBA])]
secret = blob.pivot_table(index="planted", columns="method", values="ratio")
secret.round(2)

# %% tags=["check", "remove-cell"]
assert {"Centred blob", VIBA} == set(secret.columns) and len(secret)
one_row = both[(both.method == VIBA) & (both.planted == secret.index[0])].ratio.mean()
assert abs(secret[VIBA].iloc[0] - one_row) < 1e-9

# %% [markdown]
# Where the artefact lies in the middle of the face, the blob is hard to beat; at the chin or the brows it falls.
# A mean over easy cases hides that. Compare with a control case by case, not only on average.
#
# ```{solution-end}
# ```
#
# ## Common misconceptions
#
# - **"The method with the best mean has won."** With few videos and many methods the best mean is often luck. The corrected test says what
#   can be told apart.
# - **"A faithful map lies on the artefact."** Faithful means that the detector needs what is marked. It may need something else than what
#   was planted.
# - **"A method that passes the sanity checks is right."** It depends on the network at all. That is the least one can ask.
#
# ## Quiz
#
# **1. Why do all sampling methods get the same number of forward passes?**
#
# - a) because the libraries say so
# - b) so that none wins by being allowed to ask more often
# - c) to save time
#
# ```{dropdown} Answer to question 1
# **b.** More passes make most of them better. A comparison without a budget compares patience.
# ```
#
# **2. A map stays the same when the network's weights are replaced by random ones. What has it explained?**
#
# - a) the picture
# - b) the network
# - c) the label
#
# ```{dropdown} Answer to question 2
# **a.** Nothing of what the network learned is in it. Edges of the picture look the same for any network
# {cite}`adebayo2018sanity`.
# ```
#
# **3. The smallest corrected p-value that so many videos can give is above 0.05. What can the table say?**
#
# - a) the methods are equal
# - b) nothing about who is better, whatever the means are
# - c) the best mean has won
#
# ```{dropdown} Answer to question 3
# **b.** Even the clearest result could not become significant: "not told apart" is then about the number of videos.
# ```
#
# ## Summary
#
# - Where the truth is known, attribution methods can be ranked, and the ranking depends on the measure.
# - A control that knows nothing belongs into every table; some methods hardly beat it.
# - Steadiness and beauty can be had without the network. What is on the artefact and needed by the decision
#   cannot.
#
# ## What next
#
# - On your own video, side by side: `viba compare`, see {ref}`compare-video`.
# - What all this does not prove: {doc}`/book/ethics`.
# - A project for a class: {doc}`/book/teaching`.
#
# ## References
#
# - {cite:t}`solopova2024`: the argument for the bottleneck, and the methods that it names.
# - {cite:t}`adebayo2018sanity`: sanity checks by random weights and random labels.
# - {cite:t}`petsiuk2018rise`: insertion and deletion.
# - {cite:t}`arras2022clevr`: measures of relevance where the truth is known.

# %% tags=["remove-input"]
HTML(study.provenance_html())
