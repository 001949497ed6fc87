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
# # Open choices in the paper
#
# A paper of nine pages cannot describe every decision, but the code of a reproduction contains all of them. Which decisions
# did this book have to make, and how much would other decisions change the results?
#
# ```{admonition} What you will learn
# :class: tip
# - to find the questions that the paper leaves open and a reproduction has to answer
# - to compare the choice of this book with reasonable alternatives
# - to read how much each result depends on an open choice
# - to count the analyses that could have been run, and to report one of them honestly
# ```
#
# ```{admonition} What you need first
# :class: note
# | Concept | Why | Where |
# |---|---|---|
# | {term}`Temporal Consistency Score` and {term}`Region Persistence Index` | most choices change them | {doc}`/notebooks/09_consistency` |
# | {term}`Overlap coefficient` | a measure of agreement that depends on choices | {doc}`/notebooks/10_human_agreement` |
# | Status of each number | which numbers can be compared with the paper | {doc}`/notebooks/15_paper_and_run` |
# ```
#
# <!-- time -->
#
# Other authors could have made each decision below differently. If an alternative was inexpensive, it was computed on the
# same test videos. A separate list, {ref}`inconsistencies of the paper <inconsistencies>`, contains the sentences of the
# paper that contradict each other, and says how this book decides.

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
# ## List of open choices
#
# The column `paper` contains what the paper says about a question, and `here` contains the choice of this book. The column
# `measured` names the measure by which the alternatives are compared below, or the reason why no alternative was computed.

# %%
from viba_lib.experiments.open_choices import (
    all_effects,
    choices_table,
    sensitivity,
    unmeasured,
)

questions = choices_table()
study.save_table("open_choices", questions, questions)

# %% [markdown]
# ## Sensitivity of the results to each choice
#
# Each dot is an alternative. Its position shows the relative change of the measure. If all dots of a choice lie at zero, the
# measure hardly depends on this choice. If dots lie far from zero, the choice must be stated next to each number that depends
# on it. Expect large changes for the threshold of the masks and for the meaning of TCS, because these choices change what is
# measured. Expect small changes for the samples of the noise in the {term}`Bottleneck`.

# %% mystnb={"image": {"alt": "One row for each choice with a dot for each alternative: the change of a measure in per cent of its value, for both detectors, with a dotted line at zero."}, "figure": {"caption": "Relative change of a result under each alternative, in per cent of the value under the choice of this book.", "name": "fig-sensitivity"}}
from viba_lib.visual import result_figures

every = sensitivity(all_effects(study))
effects = every.dropna(subset=["change"])
result_figures.sensitivity(effects)

# %%
from viba_lib.experiments.open_choices import furthest, sensitivity_text

columns = ["choice", "detector", "here", "value_here", "other", "value_other"]
study.save_table("sensitivity", every, furthest(every)[columns].round(3))

# %% [markdown]
# For each choice and detector, the table shows the alternative with the largest change. The download contains all
# alternatives.

# %% tags=["remove-input"]
prose(sensitivity_text(every), unmeasured(every))

# %% [markdown]
# These numbers are differences of means over the same videos, without intervals. They show how much another decision changes
# a number, and not which decision is better. A change of a percentage and a change of an area are not comparable. Compare the
# dots within a row, and not between rows. Beta, the number of steps and the smoothing were varied on a few fakes only.

# %% [markdown]
# ## One choice written out
#
# Each dot above is a relative change. The next lines compute one of them: the accuracy of Xception without the bottleneck,
# counted by frames and counted by videos. A video is classified by the mean probability of its frames. The relative change
# is the difference of the two accuracies over the first one.

# %%
import numpy as np

from viba_lib.experiments.common import explained_frames

decided = explained_frames(study, "xception")
videos, probability = decided.video_id.to_numpy(), decided.p_fake.to_numpy()
label = decided.label.to_numpy()

# %% tags=["decisive"]
by_frame = ((probability > 0.5) == label).mean()

right = []
for video in np.unique(videos):
    of_video = videos == video
    said_fake = probability[of_video].mean() > 0.5
    right.append(said_fake == label[of_video][0])
by_video = np.mean(right)

change = (by_video - by_frame) / by_frame if by_frame else np.nan

# %%
from viba_lib.experiments.open_choices import EFFECTS, Results

name = "unit of Table 2"
effect = EFFECTS[name](Results(study, "xception"))
again = sensitivity([(name, "xception", effect)])
values = again[["value_here", "value_other", "relative"]].to_numpy(float)[0]
np.testing.assert_allclose([by_frame, by_video, change], values, rtol=1e-6)
print(f"by frames {by_frame:.3f}, by videos {by_video:.3f}")

# %% [markdown]
# The lines and the library agree on both accuracies and on the relative change, which is the dot of *unit of Table 2*.

# %% [markdown]
# ## Exercises
#
# ```{exercise} Number of possible analyses
# :label: ex-forking
# Authors who are free to choose may report the analysis that looks best. For each choice of `effects`, count the options of
# one detector (ours and the alternatives), and multiply the counts. How many analyses could have been run for "xception"?
# Call the counts `options` (by choice) and the product `paths`.
# ```
#
# ```{solution-start} ex-forking
# :class: dropdown
# ```

# %% tags=["solution"]
own = effects[effects.detector == "xception"]
options = own.groupby("choice").other.nunique() + 1
paths = int(options.prod())
print(f"{len(options)} choices, {paths:,} analyses")

# %% tags=["check", "remove-cell"]
assert (options >= 2).all() and set(options.index) == set(own.choice)
remaining = paths
for count in options:
    assert remaining % count == 0
    remaining //= count
assert remaining == 1

# %% tags=["hidden", "remove-cell"]
of_xception = effects[effects.detector == "xception"]
for choice, others in of_xception.groupby("choice").other:
    assert options[choice] == others.nunique() + 1

# %% [markdown]
# The numbers of options multiply. If each of these analyses has a chance of 5 % to look significant by accident, the best of
# them is very likely to look significant. For this reason, choices should be written down before the result is known, and
# this page lists the choices of this book.
#
# ```{solution-end}
# ```
#
# ```{exercise} Relative changes of small values
# :label: ex-relative
# The figure shows changes in per cent of our value. Write `relative(here, other)`, the change as a fraction of our value, and
# recompute the changes from `value_here` and `value_other` of `effects` as `recomputed`. For which kind of measure is such a
# percentage misleading? Look at the smallest values of `value_here`.
# ```
#
# ```{solution-start} ex-relative
# :class: dropdown
# ```


# %% tags=["solution"]
def relative(here, other):
    """Change from our value to the other, as a fraction of our value."""
    return (other - here) / here


recomputed = relative(effects.value_here, effects.value_other)
small = effects.assign(recomputed=recomputed).sort_values("value_here")
small[["choice", "detector", "value_here", "value_other", "recomputed"]].head(
    4
).round(3)

# %% tags=["check", "remove-cell"]
known = effects.relative.notna()
assert len(recomputed) == len(effects)
assert ((recomputed - effects.relative)[known].abs() < 1e-6).all()

# %% tags=["hidden", "remove-cell"]
for here, other, expected in ((2.0, 3.0, 0.5), (0.5, 0.1, -0.8), (4, 4, 0)):
    assert abs(relative(here, other) - expected) < 1e-9

# %% [markdown]
# If our value is near zero, a small change is a large percentage. A fraction that changes from 0.01 to 0.02 has doubled,
# although the difference is only 0.01. Look at both columns before you call a choice important.
#
# ```{solution-end}
# ```
#
# ## Common misconceptions
#
# - **"The code decides nothing that the paper does not say."** The code contains a decision for everything that the paper
#   leaves open. Default values of libraries are decisions as well.
# - **"A narrow confidence interval means a safe result."** The interval covers the sampling of the videos. It does not cover
#   the choices on this page, which can have a larger effect.
# - **"An alternative that gives a better number is the better choice."** If the number was the reason for the choice, it is
#   no longer evidence for the choice.
#
# ## Quiz
#
# **1. All dots of a choice lie at zero. What follows?**
#
# - a) the option that this book uses is correct
# - b) the alternatives of this choice were not computed
# - c) the measure hardly depends on it on these videos
#
# ```{dropdown} Answer to question 1
# **c.** The dots do not show which option is correct, only that the choice hardly matters on these videos. A choice whose
# alternatives were not computed has no dots, and the table gives the reason.
# ```
#
# **2. A reproduction differs from the paper by less than the largest change of an open choice. What can be said?**
#
# - a) the difference may be due to that choice alone
# - b) the difference is as small as chance alone would make it
# - c) the paper must have used the other option of that choice
#
# ```{dropdown} Answer to question 2
# **a.** The paper and the reproduction may both have done what they describe. Only the code or the authors of the paper can
# settle the question, so this page lists it as open.
# ```
#
# **3. When should an open choice be made?**
#
# - a) before anyone sees results on the test videos
# - b) after a comparison of options on the test videos
# - c) at any time, if the report describes the choice
#
# ```{dropdown} Answer to question 3
# **a.** Later, the result can influence the choice without anyone noticing. Options can be compared on the validation split.
# ```
#
# ## Summary
#
# - A number can be interpreted only together with the decisions behind it.
# - Some choices change what is measured, and others change almost nothing. The figure shows which choices these are.
# - The intervals of the previous chapters cover the sampling of the videos. They do not cover the choices on this page.
#
# ## What next
#
# - Localisation of the artefact by VIBA and by other methods: {doc}`/notebooks/11_localisation`.
# - Numbers of the paper and of this run: {doc}`/notebooks/15_paper_and_run`.
# - Running a chapter with other parameters: {doc}`/book/running`.
#
# ## References
#
# - {cite:t}`solopova2024`: the paper whose Sections 3.3 and 4 and Appendices leave these questions open.
# - {cite:t}`schulz2020`: the reference for the bottleneck itself, which answers some of them.
# - {cite:t}`gelman2014`: the reasons why choices that are made after seeing the data make a test invalid, even if they are
#   made in good faith.

# %% tags=["remove-input"]
HTML(study.provenance_html())
