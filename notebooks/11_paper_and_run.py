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
# - each number of the paper's results tables beside this run's, with its interval
# - what can be compared, and what cannot
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
from viba_lib.tables.paper import paper_beside_run

table = paper_beside_run(study)
study.save_table("paper_beside_run", table)
table.drop(columns="chapter").round(3).fillna("")

# %% [markdown]
# **Status.** With the licensed data, a number is *reproduced* where the paper's value lies in this run's 95 %
# interval over videos, and *differs* otherwise. With any other data the experiment was *not run*: the two
# columns are not about the same videos, and a match would mean nothing.

# %% tags=["remove-input"]
counts = table.status.value_counts()
HTML("<p>" + ", ".join(f"{n} numbers: {status}" for status, n in counts.items()) + ".</p>")

# %% [markdown]
# ## The pattern, not the numbers
#
# Even where numbers cannot be compared, the pattern can: does the bottleneck leave accuracy as it is, and are the
# maps of real videos steadier than those of fakes?

# %% mystnb={"image": {"alt": "Accuracy of both detectors without and with the bottleneck, the paper's values beside this run's with intervals."}, "figure": {"caption": "Accuracy without and with the bottleneck: the paper and this run.", "name": "fig-paper-run"}}
from viba_lib import figures

figures.paper_plot(table.query("table == 'Table 2' and measure == 'accuracy (%)'"))

# %% mystnb={"image": {"alt": "IoU of consecutive masks for fake and real videos of both detectors, the paper's values beside this run's with intervals."}, "figure": {"caption": "IoU of consecutive masks: the paper and this run.", "name": "fig-paper-run-iou"}}
figures.paper_plot(table.query("table == 'Table 3' and measure == 'iou'"))

# %% [markdown]
# ## Tables 5 to 7
#
# These describe the networks, not results; they are read off the live ones in [chapter 3](03_detectors).
#
# ## Summary
# - Every number has a source and a status, and an interval where a test set gives one.
# - To reproduce the paper, run `PROFILE=paper make book` with a catalog of the licensed sets.

# %% tags=["remove-input"]
HTML(study.provenance_html())
