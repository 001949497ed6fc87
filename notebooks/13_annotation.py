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
# # Annotating clips
#
# ```{admonition} What you will do
# - watch clips, one after another, and mark the regions that look fake to you
# - make the table of annotations that [chapter 10](10_human_agreement) compares maps with
# ```
#
# The paper asked eight people about 27 fake videos. This chapter is the form for it. Open it in JupyterLab, give
# your name, and run all cells:
#
# ```bash
# .venv/bin/pip install jupyterlab
# .venv/bin/jupyter lab notebooks/13_annotation.ipynb
# ```
#
# Nothing in it says what was done to a clip: neither the name of the file nor the order. Each person sees the clips in
# an order of their own. Several people may share one file. Every answer is saved as it is given; who comes back under the same name goes on where they
# stopped.

# %% tags=["parameters"]
profile = "quick"
data_root = "../data"
results_root = "../results"
device = "cpu"
seed = 0
annotator = "ann1"  # your name or number
annotations = ""  # CSV for the answers; "" = annotations.csv in results_root
clips = 27  # how many, as in the paper
with_real = False  # show real clips as well; the paper does not

# %% tags=["remove-input"]
from IPython.display import HTML

from viba_lib.study import Study

study = Study(profile, data_root, results_root, device, seed)
HTML(study.banner())

# %% [markdown]
# ## What the letters mean
#
# Six regions can be marked. The picture shows them on a real face of the test split.

# %% mystnb={"image": {"alt": "A real face tinted in six colours with a key: lips and mouth, edges, brows, eyes and forehead, nose, cheeks and ears, outside of the face, chin and neck."}, "figure": {"caption": "The six regions that can be marked.", "name": "fig-annotation-regions"}}
from viba_lib import figures
from viba_lib.evaluation.agreement import REGIONS, region_masks

real = study.frames("test").query("label == 0").video_id.iloc[0]
clip = study.clip(real)
figures.region_overlay(clip.faces[0], region_masks(clip.landmarks[0], clip.faces.shape[1]), REGIONS)

# %% [markdown]
# ## The form
#
# Play the clip as often as you like, press what looks fake, and save. Nothing pressed means that nothing looks fake to
# you. *Back* shows the clip before with your answer, which can be changed.

# %% tags=["remove-output"]
from viba_lib.annotate import AnnotationSession, annotation_form, clips_to_annotate, film_html

path = annotations or study.root.parent / "annotations.csv"
session = AnnotationSession(path, annotator, clips_to_annotate(study, clips, with_real))
annotation_form(session, lambda video: film_html(study, video))

# %% [markdown]
# In the notebook the form looks like this:
#
# ```{figure} ../book/_static/annotation.jpg
# :name: fig-annotation-form
# :alt: A clip of a talking face with player controls, under it six buttons named after face regions, two of them pressed, a Back button and a button Save and go on, and the line Clip 3 of 24.
#
# The form in JupyterLab, two regions marked.
# ```
#
# ## What has been answered so far
#
# This page was built without anyone at the form, so it may have no answers.

# %%
progress = session.progress()
study.save_table("annotation_progress", progress, progress)

# %% [markdown]
# ## Using the answers
#
# ```bash
# viba chapter 10 -p annotations=../results/annotations.csv --out 10.ipynb
# ```
#
# Chapter 10 then takes the majority of the annotators for each clip, and says how well they agree with each other. The
# table has three columns, `annotator`, `video` and `regions`; a table from elsewhere with these columns works as well.
#
# ## Summary
# - The form writes the table that the comparison with people needs, and shows nobody the answer.
# - Two people at least are needed to know how far people agree, and eight, as in the paper, are not many.

# %% tags=["remove-input"]
HTML(study.provenance_html(detectors=()))  # no detector is needed here
