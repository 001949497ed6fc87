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
# # The paper beside this run
#
# Which of the paper's numbers does this run reproduce, which differ, and which could not be run here? Does it agree with
# the reference run of its profile? Nothing on this page is typed: the numbers of the paper and of the reference run come
# from tables of the library, and this run's from its results.
#
# ```{admonition} What you will learn
# :class: tip
# - what "reproduced" can mean, and when a match means nothing
# - to find every number of the paper's Tables 1 to 7 beside this run's, with its interval
# - to see for each why it has its status, and which cell made it
# - to compare your own run with a stored reference run
# - how many videos a claim about accuracy needs
# ```
#
# ```{admonition} What you need first
# :class: note
# | Concept | Why | Where |
# |---|---|---|
# | {term}`Planted artefact` | most pages are built on them, and not on the paper's videos | {doc}`/book/dataset` |
# | Table 2 and its intervals | compared here | {doc}`/notebooks/08_detection_performance` |
# | Table 3 | compared here | {doc}`/notebooks/09_consistency` |
# | Table 4 | compared here | {doc}`/notebooks/10_human_agreement` |
# ```
#
# <!-- time -->

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
from viba_lib.experiments.paper_and_run import (
    DIFFERS,
    for_page,
    headline,
    layers_beside_run,
    paper_beside_run,
    run_tables,
    status_counts,
)
from viba_lib.experiments.reference_run import stored_reference
from viba_lib.experiments.reproduction import beside_reference

licensed = study.profile.name == "paper"
numbers = paper_beside_run(study.catalog(), run_tables(study), licensed)
reference = stored_reference(study.profile.name)
numbers = beside_reference(numbers, reference)
layers = layers_beside_run(study)

# %% [markdown]
# **Status.** With the licensed data, a number *differs* if the paper's value lies outside this run's 95 % interval.
# If it lies inside, the number is *reproduced*, but only if the interval is narrow: half of its width is at most 5
# percentage points, or 0.05 for measures from 0 to 1. A wider interval contains almost any value, so the number is
# *undecided*. So is a number whose interval has no width, because all bootstrap samples agree, as for a precision of
# 100 %: such an interval says nothing about other videos. With any other data the experiment was *not run here*: the two columns are about *other videos*, and a
# match would mean nothing.
#
# Tables 5 to 7 describe the networks, which are the same with any data. Each row is compared as printed and *agrees* or
# *differs*. A row that agrees shows that the same network was built. It does not show that a result was reproduced.
# Therefore the two are counted apart.

# %% tags=["remove-input"]
HTML(f"<p>{headline(numbers, layers)}</p>")

# %% [markdown]
# The same counts for each table; the last column leads to the cell that made the numbers.

# %%
counts = status_counts(numbers, layers)
study.save_table("status", counts.drop(columns="made"), counts)

# %% [markdown]
# ## Table 1: videos

# %%
first = numbers[numbers.table == "Table 1"]
study.save_table("paper_table_1", first, for_page(first).drop(columns="table"))

# %% [markdown]
# ## Table 2: detection
#
# Accuracy, precision and recall are in per cent, as in the paper; the calibration error is not. Its interval can lie
# above the error itself, because a sample of the bootstrap holds fewer different videos than the test split. Even where numbers
# cannot be compared, the pattern can: does the bottleneck leave accuracy as it is?

# %%
second = numbers[numbers.table == "Table 2"]
study.save_table("paper_table_2", second, for_page(second).drop(columns="table"))

# %% mystnb={"image": {"alt": "Accuracy of both detectors without and with the bottleneck, the paper's values beside this run's with intervals and the reference run's if there is one."}, "figure": {"caption": "Accuracy without and with the bottleneck: the paper, this run and the reference run of its profile, if one is stored.", "name": "fig-paper-run"}}
from viba_lib.visual import result_figures

result_figures.paper_plot(second[second.measure == "accuracy (%)"])

# %% [markdown]
# ## Table 3: consistency
#
# The pattern to look for: are the maps of real videos more consistent than those of fakes?

# %%
third = numbers[numbers.table == "Table 3"]
study.save_table("paper_table_3", third, for_page(third).drop(columns="table"))

# %% mystnb={"image": {"alt": "IoU of consecutive masks for fake and real videos of both detectors, the paper's values beside this run's with intervals and the reference run's if there is one."}, "figure": {"caption": "IoU of consecutive masks: the paper, this run and the reference run of its profile, if one is stored.", "name": "fig-paper-run-iou"}}
result_figures.paper_plot(third[third.measure == "iou"])

# %% [markdown]
# ## Table 4: agreement
#
# In this run planted regions stand in for annotators unless [chapter 10](10_human_agreement) is given a table of theirs.

# %%
fourth = numbers[numbers.table == "Table 4"]
study.save_table("paper_table_4", fourth, for_page(fourth).drop(columns="table"))

# %% mystnb={"image": {"alt": "Overlap of highlighted with annotated regions for both detectors, the paper's values beside this run's with intervals and the reference run's if there is one."}, "figure": {"caption": "Overlap (Szymkiewicz-Simpson) of highlighted with annotated regions: the paper, this run and the reference run of its profile, if one is stored.", "name": "fig-paper-run-overlap"}}
result_figures.paper_plot(fourth[fourth.measure == "overlap (%)"])

# %% tags=["remove-input"]
from viba_lib.experiments.human_agreement import no_regions

unknown = no_regions(fourth.run)
HTML(f"<p>{unknown}</p>") if unknown else None

# %% [markdown]
# ## Claims of the paper
#
# Beside its numbers, the paper makes claims in words. The table below has all that we found, in our words and in the order of
# its sections. Each has the test that is made here, the result with its 95 % interval over people and their source clips, and a verdict:
# *supports*, *contradicts* or *undecided*; *illustration* if there are too few people or videos for a verdict.
#
# The column `evidence` is as important as the verdict. **This run's videos** are not the paper's, so such a verdict says whether a claim
# also holds here. A verdict by **definition** follows from an equation, from how the method is built or from the numbers that the paper
# prints, and holds for any videos. **A toy network** is small enough for its relevant units to be known.

# %%
from viba_lib.experiments.claims_measured import claim_tables

claim_inputs = claim_tables(study)

# %%
from viba_lib.experiments.claims import claims_for_page, claims_table, claims_text

claims = claims_table(claim_inputs)
study.save_table("claims", claims, claims_for_page(claims))

# %% tags=["remove-input"]
HTML(f"<p>{claims_text(claims)}</p>")

# %% [markdown]
# Three of these deserve a second look, because they hold or fail by construction. The paper distinguishes `bn3` from `conv3`, which
# pose the same problem to the bottleneck ([chapter 5](05_injection_layer)). It reads the {term}`Temporal Consistency Score` as stability, and its equation is
# an area; with the large areas of VGG11, even unrelated masks have nearly the {term}`IoU <Intersection over union>` that it prints. And the overlap
# coefficient is the recall of a video whenever a map marks at least as many regions as are annotated.

# %% [markdown]
# ## Tables 5 to 7: the networks
#
# Each row as the paper prints it, beside the live network. Rows that differ come first.

# %%
order = layers.sort_values("status", key=lambda status: status != DIFFERS, kind="stable")
study.save_table("paper_tables_5_to_7", layers, for_page(order))

# %% [markdown]
# ## The reference run
#
# The paper's numbers need the licensed data. To check an installation without them, the library stores the numbers of
# one finished run of a profile, with their intervals and with what made them. Tables 2 to 4 above show it beside this
# run. The table below holds two more results of this run: detection of unseen people, and how much relevance lies on the
# planted artefact. Expect a run with the same weights to lie inside every interval. Weights that were trained on another
# processor differ as those of another seed do, so a few numbers can lie outside.

# %%
from viba_lib.experiments.paper_and_run import RESULTS
from viba_lib.experiments.reference_run import Reference, about_run, reference_of
from viba_lib.experiments.reproduction import reference_text

run = Reference(about_run(study), reference_of(study, numbers))
others = run.numbers[~run.numbers.table.isin(RESULTS)].round(3)
study.save_table("this_run", run.numbers, others.reset_index(drop=True))

# %% tags=["remove-input"]
from html import escape

HTML(f"<p>{escape(reference_text(run, reference))}</p>")

# %% [markdown]
# `viba reproduce` makes the same comparison on the command line, and `viba reproduce --write FILE` writes the numbers of
# a run as a reference for others.

# %% [markdown]
# ## Exercises
#
# ```{exercise} The sum of Table 1
# :label: ex-table-1-sum
# The paper lists its videos by data set in Table 1 and states no total. Add up the table from `first`, call the sum
# `paper_total`, and find the share of each data set as `shares`. Which single set could change the results most?
# ```
#
# ```{solution-start} ex-table-1-sum
# :class: dropdown
# ```

# %% tags=["solution"]
paper_total = int(first.paper.sum())
shares = (first.set_index("row").paper / paper_total).sort_values(ascending=False)
print(paper_total)
shares.round(3)

# %% tags=["check", "remove-cell"]
assert paper_total == 378
assert abs(shares.sum() - 1) < 1e-9 and len(shares) == len(first)

# %% [markdown]
# No set has more than about one in seven of the videos, so no single set decides the result. The sets differ in how hard
# they are, and a mean over them depends on this mixture.
#
# ```{solution-end}
# ```
#
# ```{exercise} How sure is an accuracy?
# :label: ex-wilson
# Of $n$ videos, $k$ were judged right. Write `wilson(k, n)` that returns the 95 % interval of Wilson,
#
# $$ \frac{\hat p + \frac{z^2}{2n} \pm z \sqrt{\frac{\hat p (1 - \hat p)}{n} + \frac{z^2}{4 n^2}}}{1 + \frac{z^2}{n}},
#    \qquad \hat p = \frac kn, \; z = 1.96, $$ (eq-paper-wilson)
#
# and find the least number of videos, `needed`, for which the interval at an accuracy of 0.9 is at most 0.05 wide.
# ```
#
# ```{solution-start} ex-wilson
# :class: dropdown
# ```


# %% tags=["solution"]
def wilson(k, n, z=1.959964):
    """95 % interval of a share of k in n."""
    p, spread = k / n, z**2 / n
    middle = (p + spread / 2) / (1 + spread)
    half = z * (p * (1 - p) / n + spread / (4 * n)) ** 0.5 / (1 + spread)
    return middle - half, middle + half


def width(n):
    low, high = wilson(0.9 * n, n)
    return high - low


needed = next(n for n in range(1, 5000) if width(n) <= 0.05)
needed

# %% tags=["check", "remove-cell"]
from statsmodels.stats.proportion import proportion_confint

for k, n in ((9, 10), (50, 57), (0, 8)):
    expected = proportion_confint(k, n, method="wilson")
    assert all(abs(a - b) < 1e-5 for a, b in zip(wilson(k, n), expected, strict=True))
assert width(needed) <= 0.05 < width(needed - 1)

# %% [markdown]
# Hundreds. A test split of 15 % of 378 videos is far from that: differences of a few per cent between two rows of Table 2 cannot
# be told from luck by counting alone. Paired tests do better, since both rows judge the same videos.
#
# ```{solution-end}
# ```
#
# ## Common misconceptions
#
# - **"The two numbers agree, so the result is reproduced."** Only if they are about the same videos. A match with other data is a
#   coincidence, and the table says "not run here".
# - **"The two numbers differ, so one of them is wrong."** Two honest samples differ. The question is whether the paper's value lies in
#   the interval, and whether the interval is narrow enough to exclude other values.
# - **"Tables 5 to 7 are only technicalities."** They are the only tables that can be checked exactly, with any data.
#
# ## Quiz
#
# **1. This page was built on planted artefacts, and its accuracy equals the paper's. What is the status?**
#
# - a) reproduced
# - b) differs
# - c) not run here
#
# ```{dropdown} Answer to question 1
# **c.** Other videos, another question. The columns stand side by side to show the pattern, not to be compared.
# ```
#
# **2. The paper's value lies outside the interval, with the licensed data. What are the possible reasons?**
#
# - a) only an error in the paper
# - b) another draw of videos, an open choice, an error on either side, or chance in one case of twenty
# - c) only an error here
#
# ```{dropdown} Answer to question 2
# **b.** {doc}`/notebooks/14_open_choices` lists the open choices. An interval of 95 % misses one true value in twenty, and there are
# many numbers on this page.
# ```
#
# **3. Why are intervals made over videos and not over frames?**
#
# - a) there are more frames
# - b) frames of one video are alike, so they are not so many independent trials
# - c) it is faster
#
# ```{dropdown} Answer to question 3
# **b.** Thirteen frames of one video are nearly one observation. Intervals over frames would be far too narrow.
# ```
#
# ## Summary
#
# - Every number has a source, a status with its reason, and an interval where a test set gives one.
# - The networks are those of the paper, row by row; the rows that differ say why.
# - What the paper leaves open, and how much the results depend on it, is in [chapter 14](14_open_choices).
# - To reproduce the paper, run `PROFILE=paper make book` with a catalog of the licensed sets.
#
# ## What next
#
# - The decisions behind the numbers: {doc}`/notebooks/14_open_choices`.
# - Bring in the licensed data: {ref}`licensed-data`.
# - Whether maps are right, and not only like the paper's: {doc}`/notebooks/15_localisation`.
#
# ## References
#
# - {cite:t}`solopova2024`: Tables 1 to 7, of which every number stands on this page.
# - {cite:t}`wilson1927`: the interval of the second exercise.
# - {cite:t}`guo2017calibration`: the {term}`calibration error <Expected calibration error>` of Table 2. Better calibrated means that
#   {term}`confidence and frequency agree <Calibration>`; {term}`AUC` says nothing about it.

# %% tags=["remove-input"]
HTML(study.provenance_html())
