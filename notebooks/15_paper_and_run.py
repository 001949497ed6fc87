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
# # Comparison of the paper with this run
#
# Which of the paper's numbers does this run reproduce, which differ, and which could not be computed with its data? Does this
# run agree with the reference run of its profile? The numbers on this page are not typed by hand: the numbers of the paper
# and of the reference run come from tables of the library, and the numbers of this run come from its results.
#
# ```{admonition} What you will learn
# :class: tip
# - to decide whether a number is reproduced, and to recognise a match that is not evidence
# - to find every number of the paper's Tables 1 to 7 beside that of this run, with its interval
# - to find the reason for each status, and the cell that computed the number
# - to compare your own run with a stored reference run
# - to compute how many videos a claim about accuracy needs
# ```
#
# ```{admonition} What you need first
# :class: note
# | Concept | Why | Where |
# |---|---|---|
# | {term}`Planted artefact` | most pages use these fakes, and not the videos of the paper | {doc}`/book/dataset` |
# | Table 2 and its intervals | the numbers of detection | {doc}`/notebooks/08_detection_performance` |
# | Table 3 | the numbers of consistency | {doc}`/notebooks/09_consistency` |
# | Table 4 | the numbers of agreement | {doc}`/notebooks/10_human_agreement` |
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
from viba_lib.visual.prose import prose

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

licensed = study.is_paper_run()
numbers = paper_beside_run(study.catalog(), run_tables(study), licensed)
reference = stored_reference(study.profile.name)
numbers = beside_reference(numbers, reference)
layers = layers_beside_run(study)

# %% [markdown]
# **Status.** With the licensed data, a number *differs* if the paper's value lies outside the 95 % interval of this run. If
# the value lies inside, the number is *reproduced*, but only if the interval is narrow: half of its width is at most 5
# percentage points, or 0.05 for measures from 0 to 1. A wider interval contains almost any value, so the number is
# *undecided*. A number is also undecided if its interval has no width because all bootstrap samples agree, as for a precision
# of 100 %. Such an interval says nothing about other videos. With any other data, the experiment was *not run here*. The two
# columns are then about *different videos*, and a match is not evidence of a reproduction.
#
# Tables 5 to 7 describe the networks, which are the same with any data. Each row is compared with the printed row and
# *agrees* or *differs*. A row that agrees shows that this layer of the network agrees with its description in the paper. It does not show that a result was
# reproduced. Therefore, the rows of these tables are counted separately.

# %% tags=["remove-input"]
prose(headline(numbers, layers))

# %% [markdown]
# The table below contains the same counts for each table of the paper. The last column links to the cell that computed the
# numbers.

# %%
counts = status_counts(numbers, layers)
study.save_table("status", counts.drop(columns="made"), counts)

# %% [markdown]
# The rule needs a few lines. They apply it to the numbers of Table 2 as if the videos were those of the paper, so that they
# show the rule and not a result. Each condition is tested in order, and the first one that is true decides.

# %%
import numpy as np

from viba_lib.experiments import paper_and_run as library

sample = numbers[numbers.table == "Table 2"]
undecided, met = library.UNDECIDED, library.REPRODUCED
names = (library.NOT_RUN, undecided, library.DIFFERS, undecided)
columns = sample[["paper", "low", "high"]].to_numpy(float).T

# %% tags=["decisive"]
printed, low, high = columns
per_cent = sample.measure.str.endswith("(%)").to_numpy()
margin = np.where(per_cent, 5, 0.05)
conditions = [
    ~np.isfinite(low),  # too few videos for an interval
    low == high,  # all bootstrap samples agree
    (printed < low) | (printed > high),
    (high - low) / 2 > margin,  # wide: it excludes hardly any value
]
decided = np.select(conditions, names, default=met)

# %%
rows = sample[["measure", "paper", "low", "high"]].itertuples(index=False)
by_library = [library.status_of(True, *row)[0] for row in rows]
assert decided.tolist() == by_library
print(f"the status of {len(decided)} numbers agrees with the library")

# %% [markdown]
# The lines and the library's function `status_of` agree on each number. For the tables below, the library tests one
# more condition before these: with other videos than those of the paper, every number is *not run here*.

# %% [markdown]
# ## Table 1: videos

# %%
first = numbers[numbers.table == "Table 1"]
study.save_table("paper_table_1", first, for_page(first).drop(columns="table"))

# %% [markdown]
# ## Table 2: detection
#
# Accuracy, precision and recall are in per cent, as in the paper; the calibration error is not. The interval of the
# calibration error can lie above the error itself, because a bootstrap sample contains fewer different videos than the test
# split. Even if the numbers cannot be compared, their pattern can: does the bottleneck leave the accuracy unchanged?

# %%
second = numbers[numbers.table == "Table 2"]
study.save_table(
    "paper_table_2", second, for_page(second).drop(columns="table")
)

# %% mystnb={"image": {"alt": "Accuracy of both detectors without and with the bottleneck, the paper's values beside this run's with intervals and the reference run's if there is one."}, "figure": {"caption": "Accuracy without and with the bottleneck: the paper, this run and the reference run of its profile, if one is stored.", "name": "fig-paper-run"}}
from viba_lib.visual import result_figures

result_figures.paper_plot(second[second.measure == "accuracy (%)"])

# %% [markdown]
# ## Table 3: consistency
#
# The pattern can be compared here as well: are the maps of real videos more consistent than those of fakes?

# %%
third = numbers[numbers.table == "Table 3"]
study.save_table("paper_table_3", third, for_page(third).drop(columns="table"))

# %% mystnb={"image": {"alt": "IoU of consecutive masks for fake and real videos of both detectors, the paper's values beside this run's with intervals and the reference run's if there is one."}, "figure": {"caption": "IoU of consecutive masks: the paper, this run and the reference run of its profile, if one is stored.", "name": "fig-paper-run-iou"}}
result_figures.paper_plot(third[third.measure == "iou"])

# %% [markdown]
# ## Table 4: agreement
#
# Table 4 on this page uses planted regions instead of the paper's human annotations. Agreement with people is computed in
# {doc}`/notebooks/10_human_agreement` only.

# %%
fourth = numbers[numbers.table == "Table 4"]
study.save_table(
    "paper_table_4", fourth, for_page(fourth).drop(columns="table")
)

# %% mystnb={"image": {"alt": "Overlap between highlighted and annotated regions for both detectors, the paper's values beside this run's with intervals and the reference run's if there is one."}, "figure": {"caption": "Overlap (Szymkiewicz-Simpson) between highlighted and annotated regions: the paper, this run and the reference run of its profile, if one is stored.", "name": "fig-paper-run-overlap"}}
result_figures.paper_plot(fourth[fourth.measure == "overlap (%)"])

# %% tags=["remove-input"]
from viba_lib.experiments.human_agreement import no_regions

unknown = no_regions(fourth.run)
prose(unknown) if unknown else None

# %% [markdown]
# ## Claims of the paper
#
# In addition to its numbers, the paper makes claims in words. The table below contains all claims that we found, in our words
# and in the order of the paper's sections. Each row says how the claim is tested, and has the result and a verdict. A result
# that is measured on videos has a 95 % interval over people and their source clips. The verdict is *supports*,
# *contradicts* or *undecided*; *illustration* if there are too few people or videos for a verdict; *not computed* if there
# are no values; or *not tested here*, with the reason.
#
# The column `evidence` is as important as the verdict. **This run's videos** are not those of the paper, so such a verdict
# says whether a claim also holds here. A verdict by **definition** follows from an equation, from the construction of the
# method or from the numbers that the paper prints, and is valid for any videos. **A toy network** is so small that its
# relevant units are known.

# %%
from viba_lib.experiments.claims_measured import claim_tables

claim_inputs = claim_tables(study)

# %%
from viba_lib.experiments.claims import (
    claims_for_page,
    claims_table,
    claims_text,
)

claims = claims_table(claim_inputs)
study.save_table("claims", claims, claims_for_page(claims))

# %% tags=["remove-input"]
prose(claims_text(claims))

# %% [markdown]
# Three of these claims need an explanation, because they hold or fail by construction:
#
# - The paper distinguishes `bn3` from `conv3`, although both layers pose the same problem to the bottleneck
#   ({doc}`/notebooks/05_injection_layer`).
# - The paper interprets the {term}`Temporal Consistency Score` as stability, although its equation is an area. With the large
#   areas of VGG11, even unrelated masks have nearly the {term}`IoU <Intersection over union>` that the paper prints.
# - The paper reports the overlap coefficient beside recall, although both are equal for a video if a map marks at least as
#   many regions as are annotated.

# %% [markdown]
# ## Tables 5 to 7: architectures of the networks
#
# The table shows each row as the paper prints it, beside the value of the network in this book. Rows that differ come first.

# %%
order = layers.sort_values(
    "status", key=lambda status: status != DIFFERS, kind="stable"
)
study.save_table("paper_tables_5_to_7", layers, for_page(order))

# %% [markdown]
# ## Comparison with the reference run
#
# The paper's numbers need the licensed data. To check an installation without the licensed data, the library stores the
# numbers of one finished run of a profile, with their intervals and a record of the settings, versions and weights behind
# them. Tables 2 to 4 above show this reference run beside this run. The table below contains two more results of this run:
# the detection of unseen identities, and how much relevance lies on the planted artefact. The intervals are over the people
# and clips of the test videos. With the same settings and seed, both runs have the same test videos, and a number outside
# means that training on another processor changed it more than other videos would: such weights can differ as much as those
# of another random seed. With another seed, the planted artefacts differ as well. The text below names what differs.

# %%
from viba_lib.experiments.paper_and_run import RESULTS
from viba_lib.experiments.reference_run import (
    Reference,
    about_run,
    reference_of,
)
from viba_lib.experiments.reproduction import reference_text

run = Reference(about_run(study), reference_of(study, numbers))
others = run.numbers[~run.numbers.table.isin(RESULTS)].round(3)
study.save_table("this_run", run.numbers, others.reset_index(drop=True))

# %% tags=["remove-input"]
from html import escape

prose(escape(reference_text(run, reference)))

# %% [markdown]
# `viba reproduce` makes the same comparison on the command line, and `viba reproduce --write FILE` writes the numbers of
# a run as a reference for others.

# %% [markdown]
# ## Exercises
#
# ```{exercise} The sum of Table 1
# :label: ex-table-1-sum
# The paper lists its videos by data set in Table 1 and does not state a total. Add up the column `paper` of `first` and call
# the sum `paper_total`. Write `shares_of(table)`, which returns the fraction of each row in the sum of the column `paper`, as a
# series with the names in `row` as its index. Call the fractions of `first` `shares`. Which single data set could change the
# results most?
# ```
#
# ```{solution-start} ex-table-1-sum
# :class: dropdown
# ```

# %% tags=["solution"]
paper_total = int(first.paper.sum())


def shares_of(table):
    """Fraction of each row in the paper's total, the largest first."""
    counts = table.set_index("row").paper
    return (counts / counts.sum()).sort_values(ascending=False)


shares = shares_of(first)
print(paper_total)
shares.round(3)

# %% tags=["check", "remove-cell"]
assert paper_total == 378
assert abs(shares.sum() - 1) < 1e-9 and len(shares) == len(first)
assert set(shares.index) == set(first.row)

# %% tags=["hidden", "remove-cell"]
import pandas as pd

made = pd.DataFrame({"row": ["a", "b", "c"], "paper": [1, 5, 2]})
assert shares_of(made).to_dict() == {"a": 0.125, "b": 0.625, "c": 0.25}
for given in first.itertuples():
    assert abs(shares[given.row] * 378 - given.paper) < 1e-6

# %% [markdown]
# No data set has more than about one in seven of the videos, so no single data set decides the result. The data sets differ
# in difficulty, and a mean over all videos depends on their mixture.
#
# ```{solution-end}
# ```
#
# ```{exercise} Interval of an accuracy
# :label: ex-wilson
# Of $n$ videos, $k$ were classified correctly. Write `wilson(k, n)` that returns the 95 % interval of Wilson,
#
# $$ \frac{\hat p + \frac{z^2}{2n} \pm z \sqrt{\frac{\hat p (1 - \hat p)}{n} + \frac{z^2}{4 n^2}}}{1 + \frac{z^2}{n}},
#    \qquad \hat p = \frac kn, \; z = 1.96, $$ (eq-paper-wilson)
#
# and find the smallest number of videos, `needed`, for which the interval at an accuracy of 0.9 is at most 0.05 wide.
# ```
#
# ```{solution-start} ex-wilson
# :class: dropdown
# ```


# %% tags=["solution"]
def wilson(k, n, z=1.959964):
    """95 % interval of a fraction of k in n."""
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
    assert all(
        abs(a - b) < 1e-4 for a, b in zip(wilson(k, n), expected, strict=True)
    )
low, high = wilson(0.9 * needed, needed)
assert high - low <= 0.05

# %% tags=["hidden", "remove-cell"]
from statsmodels.stats.proportion import proportion_confint

for k, n in ((1, 3), (40, 40), (3, 100), (700, 1400)):
    expected = proportion_confint(k, n, method="wilson")
    assert abs(wilson(k, n)[0] - expected[0]) < 1e-4
    assert abs(wilson(k, n)[1] - expected[1]) < 1e-4
low, high = wilson(0.9 * (needed - 1), needed - 1)
assert high - low > 0.05

# %% [markdown]
# Several hundred videos are needed. A test split of 15 % of 378 videos is much smaller. With separate intervals, it cannot
# distinguish differences of a few per cent between two rows of Table 2 from chance. Paired tests can find smaller
# differences, because both rows classify the same videos.
#
# ```{solution-end}
# ```
#
# ## Common misconceptions
#
# - **"The two numbers agree, so the result is reproduced."** This conclusion needs the same videos. With other data, a match
#   is a coincidence, and the table says "not run here".
# - **"The two numbers differ, so one of them is wrong."** Two samples of videos give different numbers, even without any
#   error. The question is whether the paper's value lies in the interval, and whether the interval is narrow enough to
#   exclude other values.
# - **"Tables 5 to 7 are only technicalities."** They are the only tables that can be compared exactly, with any data.
#
# ## Quiz
#
# **1. This page was built on planted artefacts, and its accuracy equals the paper's. What is the status?**
#
# - a) undecided
# - b) reproduced
# - c) not run here
#
# ```{dropdown} Answer to question 1
# **c.** The videos are not those of the paper, so a match is not evidence of a reproduction. The columns show the pattern
# side by side, and their numbers cannot be compared.
# ```
#
# **2. The paper's value lies outside the interval, with the licensed data. What are the possible reasons?**
#
# - a) an open choice, another sample of videos, an error on either side, or chance
# - b) an open choice or another sample of videos, but never an error in the paper
# - c) an error in the paper or in this book, because an interval excludes chance
#
# ```{dropdown} Answer to question 2
# **a.** {doc}`/notebooks/14_open_choices` lists the open choices. A 95 % interval misses about one true value in twenty, and
# there are many numbers on this page.
# ```
#
# **3. Why are intervals computed over videos and not over frames?**
#
# - a) because a video contains more information than a frame
# - b) because frames of one video are not independent samples
# - c) because the detector decides once for each whole video
#
# ```{dropdown} Answer to question 3
# **b.** Frames of one video are so similar that together they count little more than one observation. Intervals over frames
# would be far too narrow.
# ```
#
# ## Summary
#
# - Every number has a source, a status with its reason, and an interval if it is measured on a test set.
# - The networks are compared with the paper row by row, and each row that differs contains the reason.
# - {doc}`/notebooks/14_open_choices` lists what the paper leaves open, and how much the results depend on it.
# - A reproduction of the paper needs a catalog of the licensed data sets and the command `PROFILE=paper make book`.
#
# ## What next
#
# - Decisions behind the numbers: {doc}`/notebooks/14_open_choices`.
# - Preparation of the licensed data: {ref}`licensed-data`.
# - Localisation of the artefact, which does not depend on the paper's numbers: {doc}`/notebooks/11_localisation`.
#
# ## References
#
# - {cite:t}`solopova2024`: Tables 1 to 7, with every number shown on this page.
# - {cite:t}`wilson1927`: the interval of the second exercise.
# - {cite:t}`guo2017calibration`: the {term}`calibration error <Expected calibration error>` of Table 2. A low error means
#   that {term}`confidence and frequency agree <Calibration>`; {term}`AUC` says nothing about it.

# %% tags=["remove-input"]
HTML(study.provenance_html())
