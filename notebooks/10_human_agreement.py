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
# # Agreement with annotated regions
#
# ```{admonition} What you will see
# - the six face regions of the paper, drawn on a face
# - the paper's Table 4 and Figure 2, with planted regions in the place of human annotations
# ```
#
# Eight people marked, in 27 fake videos, the regions that gave them away. With the default data no person
# was asked: the **planted regions** stand in their place, and we call them that. A table of human annotations
# (columns annotator, video, regions) is used when it is given.

# %% tags=["parameters"]
profile = "quick"
data_root = "../data"
results_root = "../results"
device = "cpu"
seed = 0
top = 3  # regions that count as highlighted
annotations = ""  # CSV of human annotations; "" = the planted regions

# %% tags=["remove-input"]
from IPython.display import HTML

from viba_lib.study import Study

study = Study(profile, data_root, results_root, device, seed)
HTML(study.banner())

# %% [markdown]
# ## Six regions

# %% mystnb={"image": {"alt": "A face crop tinted in six colours: lips and mouth, edges of the face, brows, eyes and forehead, nose, cheeks and ears, outside of the face, chin and neck."}, "figure": {"caption": "The six regions, from 68 landmarks.", "name": "fig-regions"}}
from viba_lib import figures
from viba_lib.evaluation.agreement import REGIONS, region_masks

first = study.clip(study.frames("test").video_id.iloc[0])
masks = region_masks(first.landmarks[0], first.faces.shape[1])
figures.region_overlay(first.faces[0], masks, REGIONS)

# %% [markdown]
# ## Table 4
#
# A map highlights the `top` regions by mean relevance per pixel, so that a large region does not win by its
# size. F1, precision and recall are means over regions; *overlap* is the Szymkiewicz-Simpson coefficient; *Top 1*
# is the share of videos whose strongest region is an annotated one.

# %%
import pandas as pd

from viba_lib.tables import table_4

human = pd.read_csv(annotations) if annotations else None
table = table_4(study, top, human)
study.save_table("table_4", table)
table.round(3)

# %% [markdown]
# ## Figure 2
#
# How often a region is annotated, and how often it is highlighted.

# %% mystnb={"image": {"alt": "Bars per region: share of fake videos in which the region is planted and in which each detector's map highlights it."}, "figure": {"caption": "Frequency of regions: planted, and highlighted by VIBA (after the paper's Figure 2). L lips and mouth, E edges, B brows, eyes and forehead, N nose, cheeks and ears, O outside, C chin and neck.", "name": "fig-regions-frequency"}}
from viba_lib.tables import region_shares

figures.region_frequencies(region_shares(study, top), list(REGIONS))

# %% [markdown]
# ## Video by video

# %%
from viba_lib.tables import regions_by_video

regions_by_video(study, "xception", top).head(12)

# %% [markdown]
# ## Summary
# - Planted regions are known without doubt, but they are not what people look at.
# - How many regions count as highlighted changes precision and recall: run with `-p top 1`.

# %% tags=["remove-input"]
HTML(study.provenance_html())
