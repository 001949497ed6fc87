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
# ```{admonition} What you will see
# - every number of the paper's Tables 1 to 7 beside this run's, with its interval
# - whether it was reproduced, differs, or could not be run here, and why
# - a link to the cell that made each
# ```
#
# Nothing on this page is typed: the paper's numbers come from one file of the library, this run's from its results.

# %% tags=["parameters"]
profile = "quick"
data_root = "../data"
results_root = "../results"
device = "cpu"
seed = 0

# %% tags=["remove-input"]
from IPython.display import HTML

from viba_lib.study import Study

study = Study(profile, data_root, results_root, device, seed)
HTML(study.banner())

# %%
from viba_lib.tables.paper import for_page, layers_beside_run, paper_beside_run, status_counts

numbers, layers = paper_beside_run(study), layers_beside_run(study)
counts = status_counts(numbers, layers)
study.save_table("status", counts.drop(columns="made"), counts)

# %% [markdown]
# **Status.** With the licensed data, a number is *reproduced* where the paper's value lies in this run's 95 %
# interval over videos, and *differs* otherwise. With any other data the experiment was *not run here*: the two
# columns are about *other videos*, and a match would mean nothing. Tables 5 to 7 describe the networks; these are the
# same with any data, and each row is compared as printed. The last column leads to the cell that made the numbers.

# %% tags=["remove-input"]
total = counts.drop(columns=["table", "how", "made"]).sum()
HTML("<p>" + ", ".join(f"{n} {status}" for status, n in total.items()) + ".</p>")

# %% [markdown]
# ## Table 1: videos

# %%
first = numbers[numbers.table == "Table 1"]
study.save_table("paper_table_1", first, for_page(first).drop(columns="table"))

# %% [markdown]
# ## Table 2: detection
#
# Accuracy, precision and recall are in per cent, as in the paper; the calibration error is not. Even where numbers
# cannot be compared, the pattern can: does the bottleneck leave accuracy as it is?

# %%
second = numbers[numbers.table == "Table 2"]
study.save_table("paper_table_2", second, for_page(second).drop(columns="table"))

# %% mystnb={"image": {"alt": "Accuracy of both detectors without and with the bottleneck, the paper's values beside this run's with intervals."}, "figure": {"caption": "Accuracy without and with the bottleneck: the paper and this run.", "name": "fig-paper-run"}}
from viba_lib import figures

figures.paper_plot(second[second.measure == "accuracy (%)"])

# %% [markdown]
# ## Table 3: consistency
#
# The pattern to look for: are the maps of real videos steadier than those of fakes?

# %%
third = numbers[numbers.table == "Table 3"]
study.save_table("paper_table_3", third, for_page(third).drop(columns="table"))

# %% mystnb={"image": {"alt": "IoU of consecutive masks for fake and real videos of both detectors, the paper's values beside this run's with intervals."}, "figure": {"caption": "IoU of consecutive masks: the paper and this run.", "name": "fig-paper-run-iou"}}
figures.paper_plot(third[third.measure == "iou"])

# %% [markdown]
# ## Table 4: agreement
#
# In this run planted regions stand in for annotators unless [chapter 10](10_human_agreement) is given a table of theirs.

# %%
fourth = numbers[numbers.table == "Table 4"]
study.save_table("paper_table_4", fourth, for_page(fourth).drop(columns="table"))

# %% mystnb={"image": {"alt": "Overlap of highlighted with annotated regions for both detectors, the paper's values beside this run's with intervals."}, "figure": {"caption": "Overlap (Szymkiewicz-Simpson) of highlighted with annotated regions: the paper and this run.", "name": "fig-paper-run-overlap"}}
figures.paper_plot(fourth[fourth.measure == "overlap (%)"])

# %% [markdown]
# ## Tables 5 to 7: the networks
#
# Each row as the paper prints it, beside the live network. Rows that differ come first.

# %%
order = layers.sort_values("status", kind="stable")
study.save_table("paper_tables_5_to_7", layers, for_page(order))

# %% [markdown]
# ## Summary
# - Every number has a source, a status with its reason, and an interval where a test set gives one.
# - What the paper leaves open, and how much the results depend on it, is in [chapter 14](14_open_choices).
# - To reproduce the paper, run `PROFILE=paper make book` with a catalog of the licensed sets.

# %% tags=["remove-input"]
HTML(study.provenance_html())
