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
# Which regions do *people* take for altered? This chapter contains a form to repeat the paper's experiment with annotators, and
# exercises on the value of their answers.
#
# ```{admonition} What you will learn
# :class: tip
# - to let people annotate clips without telling them the answer
# - which six regions the answers consist of
# - how much of an agreement is chance, and how to compute it
# - to make the table of annotations that {doc}`chapter 10 </notebooks/10_human_agreement>` compares maps with
# ```
#
# ```{admonition} What you need first
# :class: note
# | Concept | Why | Where |
# |---|---|---|
# | {term}`Deepfake` | what the paper's annotators were shown | [ethics](../book/ethics.md) |
# | {term}`Planted artefact` | what the clips shown here contain | {doc}`/notebooks/02_dataset_construction` |
# | {term}`Overlap coefficient` | how two sets of regions are compared | {doc}`/notebooks/10_human_agreement` |
# ```
#
# <!-- time -->
#
# The paper asked eight people about 27 fake videos. Open this chapter in JupyterLab, give your name, and run all
# cells:
#
# ```bash
# .venv/bin/pip install jupyterlab
# .venv/bin/jupyter lab notebooks/13_annotation.ipynb
# ```
#
# The form does not reveal how a clip was made: neither the name of the file nor the order does. Each person sees the clips in a
# different order. Several people may share one file. Every answer is saved immediately; anyone who returns under the same name
# continues with the next clip.

# %% tags=["parameters"]
profile = "quick"
data_root = "../data"
results_root = "../results"
device = "cpu"
seed = 0
annotator = "ann1"  # your name or number; any text
annotations = ""  # CSV for the answers, "" for annotations.csv in results_root; any path
clips = 27  # how many, as in the paper; at least 1
with_real = False  # show real clips as well, which the paper does not; one of True, False

# %% tags=["remove-input"]
from IPython.display import HTML

from viba_lib.book.injected import check_injected
from viba_lib.pipeline.study import Study

check_injected()
study = Study(profile, data_root, results_root, device, seed)
HTML(study.banner())

# %% [markdown]
# ## What the letters mean
#
# Six regions can be marked. The image shows them on a real face of the test split.

# %% mystnb={"image": {"alt": "A real face tinted in six colours with a key: lips and mouth, edges, brows, eyes and forehead, nose, cheeks and ears, outside of the face, chin and neck."}, "figure": {"caption": "The six regions that can be marked.", "name": "fig-annotation-regions"}}
from viba_lib.evaluation.agreement import REGIONS, region_masks
from viba_lib.visual import map_figures

real = study.frames("test").query("label == 0").video_id.iloc[0]
clip = study.clip(real)
map_figures.region_overlay(
    clip.faces[0], region_masks(clip.landmarks[0], clip.faces.shape[1]), REGIONS
)

# %% [markdown]
# ## The form
#
# Play the clip as often as you like, press what looks fake, and save. Nothing pressed means that nothing looks fake to
# you. *Back* shows the clip before with your answer, which can be changed.

# %% tags=["remove-output"]
import pandas as pd

from viba_lib.experiments.annotation import (
    AnnotationForm,
    AnnotationSession,
    clip_html,
    clips_to_annotate,
)
from viba_lib.models.detectors import DETECTORS

rows = pd.concat([study.evaluation_rows(name) for name in DETECTORS])
path = annotations or study.root.parent / "annotations.csv"
session = AnnotationSession(path, annotator, clips_to_annotate(rows, clips, with_real))
catalog = study.catalog().set_index("video_id", drop=False)
root, folder = study.catalog_root(), study.root / "annotation"
AnnotationForm(session, lambda video: clip_html(catalog.loc[video], root, folder))

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
# ## Answers so far
#
# A page that was built without anyone at the form has no answers.

# %%
progress = session.progress()
study.save_table("annotation_progress", progress, progress)

# %% tags=["remove-input"]
from viba_lib.experiments.annotation import progress_text

HTML(f"<p>{progress_text(progress, len(session.videos))}</p>")

# %% [markdown]
# ## Using the answers
#
# ```bash
# viba chapter 10 -p annotations=../results/annotations.csv --out 10.ipynb
# ```
#
# Chapter 10 then takes the most frequent regions of the annotators for each clip, and computes how well they agree with each
# other. The table has three columns, `annotator`, `video` and `regions`; a table from elsewhere with these columns works as well.

# %% [markdown]
# ## Exercises
#
# ```{exercise} Agreement by chance
# :label: ex-chance-overlap
# Two annotators who recognise nothing mark three of six regions each, at random. What {term}`overlap coefficient <Overlap
# coefficient>` do they reach on average? Guess first. Then go through all pairs of answers with
# `itertools.combinations` and `viba_lib.evaluation.overlap_coefficient`, and call the mean `by_chance`.
# ```
#
# ```{solution-start} ex-chance-overlap
# :class: dropdown
# ```

# %% tags=["solution"]
from itertools import combinations

from viba_lib.evaluation import overlap_coefficient

answers = list(combinations(REGIONS, 3))
by_chance = sum(overlap_coefficient(a, b) for a in answers for b in answers) / len(answers) ** 2
by_chance

# %% tags=["check", "remove-cell"]
assert abs(by_chance - 0.5) < 1e-9

# %% [markdown]
# Each of the three regions of one is among the three of the other with probability one half. An overlap of 0.5
# between a map and a person is therefore no more than chance.
#
# ```{solution-end}
# ```
#
# ```{exercise} The set that always agrees
# :label: ex-superset
# The overlap coefficient divides by the *smaller* set. Find an answer that agrees perfectly with every answer that is
# not empty, call it `winner`, and compute its Jaccard index (common over either) with a single region as `jaccard`.
# ```
#
# ```{solution-start} ex-superset
# :class: dropdown
# ```

# %% tags=["solution"]
winner = set(REGIONS)
jaccard = len(winner & {"L"}) / len(winner | {"L"})
{"overlap": overlap_coefficient(winner, {"L"}), "Jaccard": round(jaccard, 2)}

# %% tags=["check", "remove-cell"]
assert all(
    overlap_coefficient(winner, answer) == 1
    for n in (1, 2, 3)
    for answer in combinations(REGIONS, n)
)
assert abs(jaccard - 1 / 6) < 1e-9

# %% [markdown]
# An annotator who marks everything is never wrong by this measure. Therefore maps and people are compared with the same
# number of regions, and chapter 10 has other measures beside it.
#
# ```{solution-end}
# ```
#
# ## Common misconceptions
#
# - **"People are the ground truth."** They say what looks fake to them. For planted artefacts the truth is known,
#   so their misses and their false alarms can be counted.
# - **"Real clips only confuse annotators."** Without them, a careful annotator and one who marks something in every clip look the same.
# - **"More regions marked means a more careful annotator."** It means a higher overlap with anything, see the exercise.
#
# ## Quiz
#
# **1. Why does each annotator see the clips in a different order?**
#
# - a) to save time
# - b) so that tiredness does not affect the same clips
# - c) so that nobody can copy
#
# ```{dropdown} Answer to question 1
# **b.** Late clips get hastier answers. In different orders this averages out; in one order it would look like a property
# of the late clips.
# ```
#
# **2. Nobody marks anything in a clip. What is stored?**
#
# - a) nothing
# - b) an answer with no regions
# - c) all regions
#
# ```{dropdown} Answer to question 2
# **b.** "Nothing looks fake to me" is an answer. A missing row would mean that the person was not asked.
# ```
#
# **3. Eight people agree with each other at 0.5 in this overlap, with three regions each. What do you conclude?**
#
# - a) they agree moderately
# - b) nothing beyond chance
# - c) they disagree
#
# ```{dropdown} Answer to question 3
# **b.** It is the value that blind answers reach on average. A measure that takes chance off, such as
# [Krippendorff's alpha](10_human_agreement.ipynb), would be near 0.
# ```
#
# ## Summary
#
# - The form writes the table that the comparison with people needs, and shows nobody the answer.
# - Two people at least are needed to know how far people agree, and eight, as in the paper, are not many.
# - Agreement must be read against chance: with three of six regions, half is chance.
#
# ## What next
#
# - Compare the answers with maps: {doc}`/notebooks/10_human_agreement`.
# - With a class: {doc}`/book/teaching` has a plan for an afternoon.
# - What annotators are owed: {doc}`/book/ethics`.
#
# ## References
#
# - {cite:t}`solopova2024`: the experiment with eight annotators and 27 fakes, and the six regions of Table 4 and Figure 2.
# - {cite:t}`krippendorff2019content`: agreement beyond chance for several annotators with missing answers.

# %% tags=["remove-input"]
HTML(study.provenance_html(detectors=()))  # no detector is needed here
