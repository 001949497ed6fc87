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
# Which regions of a face look altered to *people*? This chapter contains a form that repeats the annotation experiment of the
# paper, and exercises on the interpretation of the answers.
#
# ```{admonition} What you will learn
# :class: tip
# - to let people annotate clips without revealing how the clips were made
# - to use the six regions that the answers consist of
# - to compute how much agreement is expected by chance
# - to create the table of annotations that {doc}`chapter 10 </notebooks/10_human_agreement>` compares with maps
# ```
#
# ```{admonition} What you need first
# :class: note
# | Concept | Why | Where |
# |---|---|---|
# | {term}`Deepfake` | what the annotators of the paper saw | [ethics](../book/ethics.md) |
# | {term}`Planted artefact` | what the clips of this chapter contain | {doc}`/notebooks/02_dataset_construction` |
# | {term}`Overlap coefficient` | how two sets of regions are compared | {doc}`/notebooks/10_human_agreement` |
# ```
#
# <!-- time -->
#
# The paper asked eight people about 27 fake videos. To annotate clips yourself, open this chapter in JupyterLab, set the
# parameter `annotator` to your name, and run all cells:
#
# ```bash
# .venv/bin/pip install jupyterlab
# .venv/bin/jupyter lab notebooks/13_annotation.ipynb
# ```
#
# The form does not reveal how a clip was made: neither the name of the file nor the order of the clips depends on it. Each
# person sees the clips in a different order. Several people may share one file of answers. Every answer is saved immediately,
# so anyone who returns under the same name continues with the next clip.

# %% tags=["parameters"]
profile = "quick"
data_root = "../data"
results_root = "../results"
device = "cpu"
seed = 0
annotator = "ann1"  # your name or number; any text
annotations = ""  # CSV for the answers, "" for annotations.csv in results_root; any path
clips = 27  # number of clips, as in the paper; at least 1
with_real = False  # show real clips as well, which the paper does not; one of True, False

# %% tags=["remove-input"]
from IPython.display import HTML

from viba_lib.book.injected import check_injected
from viba_lib.pipeline.study import Study

check_injected()
study = Study(profile, data_root, results_root, device, seed)
HTML(study.banner())

# %% [markdown]
# ## Six regions for annotation
#
# A person can mark six regions. The image shows them on a real face of the test split.

# %% mystnb={"image": {"alt": "A real face tinted in six colours with a key: lips and mouth, edges, brows, eyes and forehead, nose, cheeks and ears, outside of the face, chin and neck."}, "figure": {"caption": "The six regions that can be marked.", "name": "fig-annotation-regions"}}
from viba_lib.evaluation.agreement import REGIONS, region_masks
from viba_lib.visual import map_figures

real = study.frames("test").query("label == 0").video_id.iloc[0]
clip = study.clip(real)
map_figures.region_overlay(
    clip.faces[0], region_masks(clip.landmarks[0], clip.faces.shape[1]), REGIONS
)

# %% [markdown]
# ## Annotation form
#
# Play the clip as often as you like, press the buttons of the regions that look fake, and save. If you save without a marked
# region, the answer means that nothing looks fake to you. *Back* shows the previous clip with your answer, so that you can
# change it.

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
# :alt: A clip of a talking face with player controls. Below it are six buttons named after face regions, two of them pressed, a button Back, a button Save and go on, and the line Clip 3 of 24.
#
# The form in JupyterLab, with two marked regions.
# ```
#
# ## Answers so far
#
# If nobody used the form before this page was built, there are no answers.

# %%
progress = session.progress()
study.save_table("annotation_progress", progress, progress)

# %% tags=["remove-input"]
from viba_lib.experiments.annotation import progress_text

HTML(f"<p>{progress_text(progress, len(session.videos))}</p>")

# %% [markdown]
# ## Use of the answers in chapter 10
#
# ```bash
# viba chapter 10 -p annotations=../results/annotations.csv --out 10.ipynb
# ```
#
# For each clip, chapter 10 then takes the regions that the annotators marked most often. It also computes how well the
# annotators agree with each other. The table has three columns, `annotator`, `video` and `regions`. A table from another
# source works as well if it has these columns.

# %% [markdown]
# ## Agreement beyond chance written out
#
# Chapter 10 measures the agreement of annotators with Krippendorff's alpha. For two annotators who both answer every
# question it needs a few lines. The observed disagreement is the share of questions with different answers. The expected
# disagreement is that of two answers which are taken at random from all answers. Alpha is 1 minus their ratio. There is
# a question for each clip and each region: is the region marked? The two annotators are simulated. The second one copies
# every other answer of the first and guesses the rest, so expect an alpha near one half for many clips.

# %%
import numpy as np

questions = len(session.videos) * len(REGIONS)
first, guesses = np.random.default_rng(seed).integers(2, size=(2, questions))
second = np.where(np.arange(questions) % 2, guesses, first)

# %% tags=["decisive"]
observed = (first != second).mean()

answers = np.concatenate([first, second])
count, total = np.bincount(answers), len(answers)
same = (count * (count - 1)).sum() / (total * (total - 1))
chance = 1 - same  # two answers at random, without replacement

alpha = 1 - observed / chance if chance else np.nan

# %%
from viba_lib.evaluation.agreement import krippendorff_alpha

both = pd.DataFrame({"first": first, "second": second})
by_library = krippendorff_alpha(both)
np.testing.assert_allclose(alpha, by_library)
print(f"{questions} questions: alpha {alpha:.2f}, {1 - observed:.0%} equal")

# %% [markdown]
# The lines and the library agree. The share of equal answers is higher than alpha, because some guesses agree by chance.

# %% [markdown]
# ## Exercises
#
# ```{exercise} Agreement by chance
# :label: ex-chance-overlap
# Two annotators recognise nothing and mark three of six regions each, at random. What
# {term}`overlap coefficient <Overlap coefficient>` do they reach on average? Guess first. Then compute the coefficient for
# all pairs of answers with `itertools.combinations` and `viba_lib.evaluation.overlap_coefficient`, and call the mean
# `by_chance`.
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
# Each of the three regions of one annotator is among the three regions of the other annotator with a probability of one half.
# If a map and a person mark three regions each, an overlap of 0.5 is therefore the chance level.
#
# ```{solution-end}
# ```
#
# ```{exercise} The answer with the highest overlap
# :label: ex-superset
# The overlap coefficient divides by the size of the *smaller* set. Find an answer that agrees perfectly with every answer
# that is not empty, and call it `winner`. Compute its Jaccard index (the number of common regions divided by the number of
# regions in at least one set) with a single region as `jaccard`.
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
# An annotator who marks every region has the highest overlap with every answer that is not empty. Therefore, maps and people
# are compared with the same number of regions, and chapter 10 reports other measures as well.
#
# ```{solution-end}
# ```
#
# ## Common misconceptions
#
# - **"People are the ground truth."** Annotations say what looks fake to people. For planted artefacts the altered region is
#   known, so missed and wrongly marked regions can be counted.
# - **"Real clips only confuse annotators."** Without real clips, a careful annotator cannot be distinguished from an
#   annotator who marks something in every clip.
# - **"More marked regions mean a more careful annotator."** An annotator who marks more regions tends to have a higher
#   overlap with any answer, as the second exercise shows.
#
# ## Quiz
#
# **1. Why does each annotator see the clips in a different order?**
#
# - a) so that annotators cannot copy answers from each other
# - b) so that tiredness does not affect the same clips each time
# - c) so that each person annotates a different set of clips
#
# ```{dropdown} Answer to question 1
# **b.** Annotators become tired, so their answers to late clips are less careful. With different orders this effect averages
# out. With one order, it would look like a property of the late clips.
# ```
#
# **2. A person saves a clip without marking a region. What is stored?**
#
# - a) an answer that contains no regions
# - b) no row, because nothing was marked
# - c) a missing value for this clip
#
# ```{dropdown} Answer to question 2
# **a.** "Nothing looks fake to me" is an answer. A missing row means that the person has not annotated the clip.
# ```
#
# **3. Eight people agree with each other at 0.5 in this overlap, with three regions each. What do you conclude?**
#
# - a) the people agree moderately, above the chance level
# - b) the people disagree more often than they agree
# - c) the agreement does not exceed the chance level
#
# ```{dropdown} Answer to question 3
# **c.** Random answers reach this value on average. A measure that corrects for chance, such as [Krippendorff's
# alpha](10_human_agreement.ipynb), would be near 0.
# ```
#
# ## Summary
#
# - The form writes the table for the comparison with people, and does not reveal how a clip was made.
# - The agreement between people needs at least two annotators. Eight annotators, as in the paper, are few.
# - An agreement must be compared with the chance level, which is 0.5 for two answers with three of six regions.
#
# ## What next
#
# - Comparison of the answers with maps: {doc}`/notebooks/10_human_agreement`.
# - Annotation with a class: {doc}`/book/teaching` contains a plan for an afternoon.
# - Rules for asking people to annotate and for showing maps: {doc}`/book/ethics`.
#
# ## References
#
# - {cite:t}`solopova2024`: the experiment with eight annotators and 27 fakes, and the six regions of Table 4 and Figure 2.
# - {cite:t}`krippendorff2019content`: agreement beyond chance for several annotators with missing answers.

# %% tags=["remove-input"]
HTML(study.provenance_html(detectors=()))  # no detector is needed here
