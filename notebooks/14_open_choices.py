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
# ```{admonition} What you will see
# - every question that a reproduction has to answer and the paper does not
# - what is done here, and what else could have been done
# - how much the results depend on it
# ```
#
# A paper of nine pages cannot say everything, and code that runs has decided everything. Each decision below is one
# that somebody else, in good faith, could have made otherwise. Where it was cheap, the alternative was computed on the
# same test videos.

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

# %% [markdown]
# ## Questions and answers
#
# `paper` is what the paper says about it, `here` what this book does, and `measured` is what the alternatives below
# are compared by, or why there are none.

# %%
from viba_lib.choices import choices_table, sensitivity

questions = choices_table()
study.save_table("open_choices", questions, questions)

# %% [markdown]
# ## How much does it matter?
#
# Each dot is an alternative: by what share the measure would change. A choice whose dots lie at zero can be forgotten;
# one whose dots lie far out must be stated next to any number that is quoted. Expect the threshold of the masks and the
# meaning of TCS to lie far out: they change what is measured. Draws of the noise should not matter.

# %% mystnb={"image": {"alt": "One row per choice with dots for each alternative: the change of a measure in per cent of its value, for both detectors, around a dotted line at zero."}, "figure": {"caption": "Change of a result under each alternative, in per cent of the value under our choice.", "name": "fig-sensitivity"}}
from viba_lib import figures

effects = sensitivity(study)
figures.sensitivity(effects)

# %%
furthest = (
    effects.assign(size=effects.relative.abs())
    .sort_values("size")
    .groupby(["choice", "detector"], sort=False)
    .tail(1)
)
columns = ["choice", "detector", "here", "value_here", "other", "value_other"]
study.save_table("sensitivity", effects, furthest.sort_index()[columns].round(3))

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
    + ".</p>"
)

# %% [markdown]
# These are differences of means over the same videos, without intervals: they say how far a number can be moved by
# deciding otherwise, not whether one decision is better. Changes of a percentage and changes of an area are not alike;
# read along a row, not down the page. Beta, steps and smoothing were varied on a few fakes only.
#
# ## Summary
# - No number of this field means anything without the decisions behind it.
# - The intervals of the chapters before cover the choice of videos. They do not cover the choices on this page.

# %% tags=["remove-input"]
HTML(study.provenance_html())
