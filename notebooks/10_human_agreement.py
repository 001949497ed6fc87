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
# Do the maps light up where people see the forgery? The paper asked eight people; this chapter measures agreement, and
# asks of every number what would have come out by chance.
#
# ```{admonition} What you will learn
# :class: tip
# - to turn a map into regions, and how much depends on the way
# - to recompute the paper's Table 4 and Figure 2, with planted regions in the place of human annotations
# - what agreement remains when each map is dealt to another video
# - to hold VIBA against Grad-CAM and against maps that know nothing
# ```
#
# ```{admonition} What you need first
# :class: note
# | Concept | Why | Where |
# |---|---|---|
# | {term}`Planted artefact` | it stands in the place of people's answers | {doc}`/notebooks/02_dataset_construction` |
# | Precision, recall, F1 | three columns of Table 4 | {doc}`/notebooks/08_detection_performance` |
# | How people annotate | the form that makes the table | {doc}`/notebooks/13_annotation` |
# ```
#
# <!-- time -->
#
# In the paper, eight people marked, in 27 fake videos, the regions that gave them away. With the default data no person
# was asked: the **planted regions** stand in their place, and we call them that. A table of human annotations
# (columns annotator, video, regions, such as `ann1,clip7,LB`) is used when it is given;
# [chapter 13](13_annotation) is a form that writes one.

# %% tags=["parameters"]
profile = "quick"
data_root = "../data"
results_root = "../results"
device = "cpu"
seed = 0
top = 3  # regions that count as highlighted; from 1 to 6
rule = "density"  # how a map ranks regions; one of density, mass, peak, votes
annotations = ""  # CSV of human annotations, "" for the planted regions; any path

# %% tags=["remove-input"]
from IPython.display import HTML

from viba_lib.book.injected import check_injected
from viba_lib.pipeline.study import Study

check_injected()
study = Study(profile, data_root, results_root, device, seed)
HTML(study.banner())

# %% [markdown]
# ## Six regions
#
# The paper names six regions and draws no borders. These borders are ours, from the 68 landmarks of dlib; every
# pixel of a crop belongs to one of them.

# %% mystnb={"image": {"alt": "A face crop tinted in six colours: lips and mouth, edges of the face, brows, eyes and forehead, nose, cheeks and ears, outside of the face, chin and neck."}, "figure": {"caption": "The six regions, from 68 landmarks.", "name": "fig-regions"}}
from viba_lib.evaluation.agreement import REGIONS, region_masks
from viba_lib.visual import map_figures, result_figures

first = study.clip(study.frames("test").video_id.iloc[0])
masks = region_masks(first.landmarks[0], first.faces.shape[1])
map_figures.region_overlay(first.faces[0], masks, REGIONS)

# %% [markdown]
# ## Table 4
#
# The paper takes the three regions that annotators named most often and does not say how a heat map becomes a set
# of regions. Here a map ({term}`Attribution`) highlights the `top` regions by mean relevance per pixel, so that a large region does not win
# by its size. F1, precision and recall are macro: means over regions. *Overlap* is the Szymkiewicz-Simpson coefficient ({term}`Overlap coefficient`),
# a mean over videos. *Top 1* is the share of videos in which the region that most annotators chose is among
# those that the map highlights; with planted regions it is the one that most of the mask lies in.

# %%
from viba_lib.experiments.common import Bootstrap, explained_videos
from viba_lib.experiments.human_agreement import (
    no_regions,
    read_annotations,
    regions_by_video,
    table_4,
)
from viba_lib.models.detectors import DETECTORS

human = read_annotations(annotations) if annotations else None
explained = {name: list(explained_videos(study, name)) for name in DETECTORS}
regions = {name: regions_by_video(v, top, human, rule) for name, v in explained.items()}
table = table_4(regions, Bootstrap.of(study)).assign(rule=rule, top=top)
measures = ["f1", "precision", "recall", "overlap", "top1"]
columns = ["detector", "rule", "top", "videos", *measures]
unknown = no_regions(table.overlap)  # "" if the regions of some fakes are known
study.save_table("table_4", table, table[columns].round(3), unknown)

# %% tags=["remove-input"]
from viba_lib.experiments.paper_numbers import TABLE_4

means = 2 * TABLE_4.precision * TABLE_4.recall / (TABLE_4.precision + TABLE_4.recall)
HTML(
    f"<p>By chance, {top} of 6 regions hold a given one in {min(top, 6) / 6:.0%} of videos: Top 1 must be held "
    "against that. The paper calls its F1 macro, yet it is the harmonic mean of its printed precision and recall "
    f"to within {(means - TABLE_4.f1).abs().max():.2f} points, which a mean of each region's F1 need not be. "
    "We take the word, not the number.</p>"
)

# %% mystnb={"image": {"alt": "Points with intervals of F1, precision, recall, overlap and Top 1 for both detectors."}, "figure": {"caption": "Agreement of highlighted with annotated regions, with 95 % intervals over videos.", "name": "fig-table-4"}}
result_figures.intervals(table, measures, "detector")

# %% [markdown]
# ## Agreement with the wrong video
#
# Some regions are annotated often and highlighted often, whatever the video; that alone makes for agreement. So the
# sets are shuffled: each video gets the highlighted regions of another one, two hundred times, and the agreement is
# measured again. What a map says about *its* video is the difference.

# %%
import pandas as pd

another = table[[f"{m}_chance" for m in measures]].set_axis(measures, axis=1)
beside = pd.concat(
    {"own": table[measures], "another video's": another}, names=["map", None]
).reset_index("map")
beside.insert(0, "detector", [*table.detector, *table.detector])
study.save_table("agreement_by_chance", beside, beside.round(3), unknown)


# %% tags=["remove-input"]
def told_apart(row):
    does = "do" if row.overlap_low > row.overlap_chance else "do not clearly"
    return (
        f"{row.detector}: the overlap is {row.overlap:.2f} ({row.overlap_low:.2f} to {row.overlap_high:.2f}), and "
        f"{row.overlap_chance:.2f} with another video's map, so the maps {does} tell videos apart."
    )


few = "With fewer than two videos there is nothing to shuffle."
text = " ".join(map(told_apart, table.itertuples())) if table.videos.min() > 1 else few
HTML(f"<p>{text}</p>") if not unknown else None

# %% [markdown]
# ## From a map to regions: other ways
#
# *Mass* ranks regions by the sum of relevance, *peak* by the strongest pixel, and *votes* lets each frame name its
# regions by density and counts. With more regions recall must rise; precision need not.

# %% mystnb={"image": {"alt": "Panels of F1, precision, recall and overlap over the number of highlighted regions, one line for each of four rules, for both detectors."}, "figure": {"caption": "Agreement over the number of regions that count as highlighted, under four rules.", "name": "fig-region-rules"}}
from viba_lib.experiments.human_agreement import rules_table

rules = rules_table(explained, human)
result_figures.rules(rules, ["f1", "precision", "recall", "overlap"])

# %%
three = rules[rules.top == 3].drop(columns="top")
study.save_table("region_rules", rules, three.round(3), unknown)

# %% tags=["remove-input"]
HTML(
    "<p>With three regions, "
    + "; ".join(
        f"the F1 of {name} lies between {part.f1.min():.2f} and {part.f1.max():.2f}, by the rule alone"
        for name, part in three.groupby("detector", sort=False)
    )
    + ". The table shows three regions; the download holds all.</p>"
) if not unknown else None

# %% [markdown]
# ## Do annotators agree with each other?
#
# Maps cannot agree with people better than people do among themselves. Krippendorff's alpha is 1 where they
# always agree and 0 where they agree as often as chance would have it {cite}`krippendorff2019content`; annotators may have left out videos. The paper
# gives no such number for its eight.

# %%
from viba_lib.evaluation.agreement import annotator_agreement

planted = pd.DataFrame(
    {"region": ["all"], "annotators": [1], "alpha": ["planted regions have one source"]}
)
between = planted if human is None else annotator_agreement(human)
study.save_table("annotator_agreement", between, between.round(3), unknown)

# %% [markdown]
# ## Figure 2
#
# How often a region is annotated, and how often it is highlighted. A detector that looks where the artefacts
# are would have bars of like height in each pair.

# %% mystnb={"image": {"alt": "Bars per region: share of fake videos in which the region is planted and in which each detector's map highlights it."}, "figure": {"caption": "Frequency of regions: planted, and highlighted by VIBA (after the paper's Figure 2). L lips and mouth, E edges, B brows, eyes and forehead, N nose, cheeks and ears, O outside, C chin and neck.", "name": "fig-regions-frequency"}}
from viba_lib.experiments.human_agreement import region_shares

shares = region_shares(regions, "planted" if human is None else "annotated")
result_figures.region_frequencies(shares, list(REGIONS))

# %%
wide = shares.pivot(index="region", columns="who", values="share").loc[list(REGIONS)].reset_index()
study.save_table("figure_2", wide, wide.round(3), unknown)

# %% [markdown]
# ## Video by video
#
# `annotated` has the region first that most of the mask lies in, `highlighted` the one with the densest relevance.

# %%
videos = regions["xception"]
study.save_table("regions_by_video", videos, videos.head(12), unknown)

# %% [markdown]
# ## Against Grad-CAM, and against nothing at all
#
# The default data know the place of each artefact to the pixel, so a finer question can be asked: how much of
# the relevance lies inside the planted mask, and is the strongest pixel inside (the {term}`Pointing game`)? The paper argues that Grad-CAM
# {cite}`selvaraju2019gradcam` is coarse; here both are taken at the same layer. Two controls know neither the
# network nor the frame: noise, and a blob in the middle, where a face is. A map that does not beat the blob has
# found a face, not an artefact. The frames and methods are those of {doc}`/notebooks/15_localisation`: one fake frame of
# each video, those that the detector classifies correctly first.

# %%
from viba_lib.baselines.explainers import VIBA
from viba_lib.experiments.benchmark.maps import Benchmark
from viba_lib.experiments.benchmark.scores import localisation_scores, score_table
from viba_lib.experiments.common import no_masks

methods, parts = (VIBA, "Grad-CAM", "Centred blob", "Random"), []
for name in DETECTORS:
    scores = localisation_scores(Benchmark(study, name, names=methods))
    table = score_table(scores, ["ratio", "hit", "area"], Bootstrap.of(study))
    parts.append(table.assign(detector=name))
compared = pd.concat(parts, ignore_index=True)
compared["name"] = compared.detector + ", " + compared.method
unmasked = no_masks(compared.ratio, "the localisation")
columns = ["name", "frames", "area", "ratio", "hit"]
study.save_table("explainers", compared, compared[columns].round(2), unmasked)

# %% mystnb={"image": {"alt": "Points with intervals for VIBA, Grad-CAM, a centred blob and noise, per detector: relevance inside the planted mask over the mask's share of the frame, and share of frames whose strongest pixel is inside."}, "figure": {"caption": "Relevance inside the planted mask over its share of the frame (chance is 1, dotted), and share of frames whose strongest pixel lies inside, with 95 % intervals over videos.", "name": "fig-explainers"}}
result_figures.intervals(compared, ["ratio", "hit"], chance={"ratio": 1.0})

# %% tags=["remove-input"]
best = compared.dropna(subset=["ratio"]).sort_values("ratio").groupby("detector").tail(1)
HTML(
    "<p>"
    + " ".join(
        f"{r.detector}: most relevance inside the mask has {r.method} ({r.ratio:.1f} times its share)."
        for r in best.itertuples()
    )
    + "</p>"
) if not unmasked else None

# %% [markdown]

# %% [markdown]
# ## Exercises
#
# ```{exercise} Overlap of blind answers
# :label: ex-blind-overlap
# A map highlights $a$ of six regions and a person marks $b$, both at random. Derive the expected
# {term}`overlap coefficient <Overlap coefficient>` and write it as `expected_overlap(a, b)`. Then check it by going through all pairs of sets.
# ```
#
# ```{solution-start} ex-blind-overlap
# :class: dropdown
# ```


# %% tags=["solution"]
def expected_overlap(a, b, regions=6):
    """Mean overlap coefficient of two random sets of a and b regions."""
    common = a * b / regions
    return common / min(a, b)


pd.DataFrame({b: {a: expected_overlap(a, b) for a in (1, 2, 3)} for b in (1, 2, 3)}).round(2)

# %% tags=["check", "remove-cell"]
from itertools import combinations, product

from viba_lib.evaluation import overlap_coefficient

for a, b in ((1, 3), (2, 2), (3, 3)):
    pairs = list(product(combinations(REGIONS, a), combinations(REGIONS, b)))
    assert (
        abs(sum(overlap_coefficient(*p) for p in pairs) / len(pairs) - expected_overlap(a, b))
        < 1e-9
    )

# %% [markdown]
# It is $\max(a, b) / 6$: whoever marks more is "right" more often. With three of six regions, half of the overlap in Table 4 costs
# nothing. In a real table it is even more, since some regions are marked by everybody: that is what shuffling shows.
#
# ```{solution-end}
# ```
#
# ```{exercise} Two kinds of macro F1
# :label: ex-macro-f1
# A mean over regions can be taken before or after the harmonic mean. Find two regions with precisions and recalls such that the mean of the
# two F1 values is 0, and the F1 of the mean precision and mean recall is 0.5. Call the pairs `precisions` and `recalls`, and the two results
# `mean_of_f1` and `f1_of_means`.
# ```
#
# ```{solution-start} ex-macro-f1
# :class: dropdown
# ```


# %% tags=["solution"]
def f1(p, r):
    """Harmonic mean, 0 where both are 0."""
    return 2 * p * r / (p + r) if p + r else 0.0


precisions, recalls = (1.0, 0.0), (0.0, 1.0)
mean_of_f1 = sum(f1(p, r) for p, r in zip(precisions, recalls, strict=True)) / 2
f1_of_means = f1(sum(precisions) / 2, sum(recalls) / 2)
mean_of_f1, f1_of_means

# %% tags=["check", "remove-cell"]
assert f1(1, 1) == 1 and f1(0, 0) == 0 and abs(f1(0.5, 1) - 2 / 3) < 1e-9
assert mean_of_f1 == 0 and f1_of_means == 0.5
assert all(0 <= v <= 1 for v in (*precisions, *recalls))

# %% [markdown]
# Both are called macro F1 in the literature, and they can be as far apart as this. The page above finds which of them the paper
# printed.
#
# ```{solution-end}
# ```
#
# ## Common misconceptions
#
# - **"An overlap of 0.6 means that map and people agree in 60 % of the regions."** It is divided by the smaller set. With three regions each,
#   0.5 is chance.
# - **"If maps agree with people, people can trust the detector."** Both may look at the middle of the face. Agreement with the wrong
#   video's map measures that.
# - **"Grad-CAM is coarse, so it must lose."** At the same layer both have the same number of places. The table shows what is left.
#
# ## Quiz
#
# **1. What does "agreement with another video's map" measure?**
#
# - a) noise of the bottleneck
# - b) the agreement that comes from regions which are common everywhere
# - c) errors of annotators
#
# ```{dropdown} Answer to question 1
# **b.** Whatever survives the shuffle does not depend on the video.
# ```
#
# **2. Why is relevance ranked by density and not by mass?**
#
# - a) so that a large region does not win by its size
# - b) because it is faster
# - c) the paper says so
#
# ```{dropdown} Answer to question 2
# **a.** The paper does not say how it ranked; the other rules are computed above.
# ```
#
# **3. A map in the form of a blob in the middle reaches the same `ratio` as VIBA. What follows?**
#
# - a) VIBA is right
# - b) these maps show no more than where a face is
# - c) the blob knows the artefact
#
# ```{dropdown} Answer to question 3
# **b.** The blob knows neither frame nor network. What does not beat it has not been shown to know more.
# ```
#
# ## Summary
#
# - Planted regions are known without doubt, but they are not what people look at.
# - How many regions count as highlighted, and by which rule, changes every number: run with `-p top 1`, or
#   `-p rule mass`.
# - An agreement means something only beside what chance and a centred blob reach.
#
# ## What next
#
# - Ask people yourself: {doc}`/notebooks/13_annotation`.
# - More methods and harder questions: {doc}`/notebooks/15_localisation`.
# - How much the rule matters beside other choices: {doc}`/notebooks/14_open_choices`.
#
# ## References
#
# - {cite:t}`solopova2024`: Table 4, Figure 2 and the experiment with annotators in Section 4.
# - {cite:t}`selvaraju2019gradcam`: Grad-CAM.
# - {cite:t}`krippendorff2019content`: agreement between annotators beyond chance.

# %% tags=["remove-input"]
HTML(study.provenance_html())
