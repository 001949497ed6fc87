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
# # What the paper leaves open
#
# A paper of nine pages cannot say everything, and code that runs has decided everything. Which decisions had to be taken
# here, and how much would the results change with others?
#
# ```{admonition} What you will learn
# :class: tip
# - every question that a reproduction has to answer and the paper does not
# - what is done here, and what else could have been done in good faith
# - how much each result depends on it
# - to count the analyses that could have been run, and to report one of them honestly
# ```
#
# ```{admonition} What you need first
# :class: note
# | Concept | Why | Where |
# |---|---|---|
# | {term}`Temporal Consistency Score` and {term}`Region Persistence Index` | most choices change them | {doc}`/notebooks/09_consistency` |
# | {term}`Overlap coefficient` | the measure of agreement that choices move | {doc}`/notebooks/10_human_agreement` |
# | Status of each number | what is compared at all | {doc}`/notebooks/11_paper_and_run` |
# ```
#
# <!-- time -->
#
# Each decision below is one that somebody else could have made otherwise. Where it was cheap, the alternative was
# computed on the same test videos. Another list, {ref}`inconsistencies of the paper <inconsistencies>`, has
# the sentences that exclude each other, and how this book decides.

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
# ## Questions and answers
#
# `paper` is what the paper says about it, `here` what this book does, and `measured` is what the alternatives below
# are compared by, or why there are none.

# %%
from viba_lib.experiments.open_choices import all_effects, choices_table, sensitivity, unmeasured

questions = choices_table()
study.save_table("open_choices", questions, questions)

# %% [markdown]
# ## How much does it matter?
#
# Each dot is an alternative: by what share the measure would change. A choice whose dots lie at zero can be forgotten;
# one whose dots lie far out must be stated next to any number that is quoted. Expect the threshold of the masks and the
# meaning of TCS to lie far out: they change what is measured. Draws of the noise in the
# {term}`Bottleneck` should not matter.

# %% mystnb={"image": {"alt": "One row per choice with dots for each alternative: the change of a measure in per cent of its value, for both detectors, around a dotted line at zero."}, "figure": {"caption": "Change of a result under each alternative, in per cent of the value under our choice.", "name": "fig-sensitivity"}}
from viba_lib.visual import result_figures

every = sensitivity(all_effects(study))
effects = every.dropna(subset=["change"])
result_figures.sensitivity(effects)

# %%
furthest = (
    effects.assign(size=effects.relative.abs())
    .sort_values("size")
    .groupby(["choice", "detector"], sort=False)
    .tail(1)
)
columns = ["choice", "detector", "here", "value_here", "other", "value_other"]
study.save_table("sensitivity", every, furthest.sort_index()[columns].round(3))

# %% [markdown]
# The table shows, for each choice and detector, the alternative that changes most; the download holds all of them.

# %% tags=["remove-input"]
most = furthest.sort_values("size").groupby("choice").tail(1).sort_values("size", ascending=False)
HTML(
    "<p>Most depends on "
    + ", ".join(
        f"<i>{r.choice}</i> ({r.relative:+.0%} with {r.other} in place of {r.here})"
        for r in most.head(3).itertuples()
    )
    + "; least on "
    + ", ".join(f"<i>{r.choice}</i> ({r.relative:+.1%} at most)" for r in most.tail(3).itertuples())
    + f".</p><p>{unmeasured(every)}</p>"
)

# %% [markdown]
# These are differences of means over the same videos, without intervals: they say how far a number can be moved by
# deciding otherwise, not whether one decision is better. Changes of a percentage and changes of an area are not alike;
# read along a row, not down the page. Beta, steps and smoothing were varied on a few fakes only.

# %% [markdown]
# ## Exercises
#
# ```{exercise} How many papers?
# :label: ex-forking
# Somebody who may choose freely reports the analysis that looks best. For each choice of `effects`, count the options of
# one detector (ours and the alternatives), and multiply: how many analyses could have been run for "xception"? Call the
# counts `options` (by choice) and the product `paths`.
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

# %% [markdown]
# Choices multiply. Had each of these analyses a chance of 5 % to look significant by accident, the best of them would
# look so almost surely. That is why choices are written down before the result is known, and why this page exists.
#
# ```{solution-end}
# ```
#
# ```{exercise} Per cent of what?
# :label: ex-relative
# The figure shows changes in per cent of our value. Recompute them from `value_here` and `value_other` as `recomputed`.
# For which kind of measure does such a percentage mislead? Look at the smallest values of `value_here`.
# ```
#
# ```{solution-start} ex-relative
# :class: dropdown
# ```

# %% tags=["solution"]
recomputed = (effects.value_other - effects.value_here) / effects.value_here
small = effects.assign(recomputed=recomputed).sort_values("value_here")
small[["choice", "detector", "value_here", "value_other", "recomputed"]].head(4).round(3)

# %% tags=["check", "remove-cell"]
known = effects.relative.notna()
assert len(recomputed) == len(effects)
assert ((recomputed - effects.relative)[known].abs() < 1e-6).all()

# %% [markdown]
# Where our value is near zero, a small change is a large percentage. A share that goes from 0.01 to 0.02 has doubled, and
# hardly moved. Look at both columns before you call a choice important.
#
# ```{solution-end}
# ```
#
# ## Common misconceptions
#
# - **"The code decides nothing that the paper does not say."** It decides everything that the paper leaves open. Default values
#   of libraries are decisions as well.
# - **"A narrow confidence interval means a safe result."** It covers the draw of the videos. It does not cover the choices on this
#   page, which can be larger.
# - **"An alternative that gives a better number is the better choice."** Then the number was part of the choice, and is no
#   longer evidence.
#
# ## Quiz
#
# **1. All dots of a choice lie at zero. What follows?**
#
# - a) the choice is right
# - b) the result does not depend on it, on these videos
# - c) it was not computed
#
# ```{dropdown} Answer to question 1
# **b.** Nothing is said about which option is right, only that it hardly matters here. What was not computed has no dots and a
# reason in the table.
# ```
#
# **2. A reproduction differs from the paper by less than the furthest dot of an open choice. What can be said?**
#
# - a) the paper is wrong
# - b) the reproduction is wrong
# - c) the difference may come from that choice alone
#
# ```{dropdown} Answer to question 2
# **c.** Both may have done what they say. Only the paper's code or authors can settle it, so the page says what is open.
# ```
#
# **3. When should an open choice be made?**
#
# - a) before the test videos are looked at
# - b) after, with the best result
# - c) it does not matter
#
# ```{dropdown} Answer to question 3
# **a.** Afterwards the result can guide the choice without anybody noticing. The validation split is there for what must be
# tried out.
# ```
#
# ## Summary
#
# - No number of this field means anything without the decisions behind it.
# - Some choices change what is measured, others change nothing; the figure tells them apart.
# - The intervals of the chapters before cover the choice of videos. They do not cover the choices on this page.
#
# ## What next
#
# - Whether maps are right at all, beside other methods: {doc}`/notebooks/15_localisation`.
# - Where the numbers of the paper stand: {doc}`/notebooks/11_paper_and_run`.
# - Change a choice yourself: {doc}`/book/running` says how a chapter is run with other parameters.
#
# ## References
#
# - {cite:t}`solopova2024`: the paper whose Sections 3.3 and 4 and Appendices leave these questions open.
# - {cite:t}`schulz2020`: the reference for the bottleneck itself, which answers some of them.
# - {cite:t}`gelman2014`: why choices that were made in good faith, but after seeing the data, spoil a test.

# %% tags=["remove-input"]
HTML(study.provenance_html())
