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
# Do maps highlight the regions that people mark as fake? The paper asked eight people. This chapter measures the agreement and
# compares each number with what chance would give.
#
# ```{admonition} What you will learn
# :class: tip
# - to turn a map into regions, and how much the result depends on the rule
# - to recompute the paper's Table 4 and Figure 2, with planted regions instead of human annotations
# - what agreement remains if each map is compared with another video
# - to test the paper's findings on single face regions
# - to compare VIBA with Grad-CAM and with input-agnostic controls
# ```
#
# ```{admonition} What you need first
# :class: note
# | Concept | Why | Where |
# |---|---|---|
# | {term}`Planted artefact` | it replaces people's answers | {doc}`/notebooks/02_dataset_construction` |
# | Precision, recall, F1 | three columns of Table 4 | {doc}`/notebooks/08_detection_performance` |
# | How people annotate | the form that makes the table | {doc}`/notebooks/13_annotation` |
# ```
#
# <!-- time -->
#
# In the paper, eight people marked the regions of 27 fake videos that they found most indicative. With the default data nobody
# was asked. **Planted regions** replace their answers, and we call them that. A table of human annotations (columns annotator,
# video, regions, such as `ann1,clip7,LB`) is used if it is given; [chapter 13](13_annotation) is a form that writes one.

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
# The paper names six regions and gives no borders. These borders are ours, from the 68 landmarks of dlib; every
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

# %% mystnb={"image": {"alt": "Points with intervals of F1, precision, recall, overlap and Top 1 for both detectors."}, "figure": {"caption": "Agreement of highlighted with annotated regions, with 95 % intervals over people and source clips.", "name": "fig-table-4"}}
result_figures.intervals(table, measures, "detector")

# %% tags=["remove-input"]
from viba_lib.experiments.human_agreement import recall_text

bootstrap = Bootstrap.of(study)
HTML(f"<p>{recall_text(regions, top, bootstrap)}</p>") if not unknown else None

# %% [markdown]
# The paper reads its recall, which is above its precision, as maps that cover what people marked and more. With a fixed number of
# highlighted regions the numbers of regions alone can have this effect.
#
# ## Agreement with the wrong video
#
# Some regions are annotated often and highlighted often in all videos. This alone gives some agreement. So the sets are
# shuffled: each video gets the highlighted regions of another one, two hundred times, and the agreement is measured again. The
# difference is what a map says about *its* video.

# %%
import pandas as pd

another = table[[f"{m}_chance" for m in measures]].set_axis(measures, axis=1)
beside = pd.concat(
    {"own": table[measures], "another video's": another}, names=["map", None]
).reset_index("map")
beside.insert(0, "detector", [*table.detector, *table.detector])
study.save_table("agreement_by_chance", beside, beside.round(3), unknown)

# %% tags=["remove-input"]
from viba_lib.experiments.human_agreement import agreement_text

HTML(f"<p>{agreement_text(regions, bootstrap)}</p>") if not unknown else None

# %% [markdown]
# ## Rules from maps to regions
#
# *Mass* ranks regions by the sum of relevance and *peak* by the strongest pixel. With *votes*, each frame names its regions by
# density, and the most frequent ones count. With more regions recall must rise; precision need not.

# %% mystnb={"image": {"alt": "Panels of F1, precision, recall and overlap over the number of highlighted regions, one line for each of four rules, for both detectors."}, "figure": {"caption": "Agreement over the number of regions that count as highlighted, under four rules.", "name": "fig-region-rules"}}
from viba_lib.experiments.human_agreement import rules_table

rules = rules_table(explained, human)
result_figures.rules(rules, ["f1", "precision", "recall", "overlap"])

# %%
three = rules[rules.top == 3].drop(columns="top")
study.save_table("region_rules", rules, three.round(3), unknown)

# %% tags=["remove-input"]
from viba_lib.experiments.human_agreement import rules_text

HTML(f"<p>{rules_text(rules)}</p>") if not unknown else None

# %% [markdown]
# ## Agreement between annotators
#
# Maps cannot agree with people better than people agree with each other. Krippendorff's alpha is 1 if they always agree and 0 if
# they agree as often as by chance {cite}`krippendorff2019content`; annotators may have left out videos. The paper gives no such
# number for its eight annotators.

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
# How often is a region annotated, and how often highlighted? A detector whose maps highlight the artefacts has bars of similar
# height in each pair.

# %% mystnb={"image": {"alt": "Bars per region: share of fake videos in which the region is planted and in which each detector's map highlights it."}, "figure": {"caption": "Frequency of regions: planted, and highlighted by VIBA (after the paper's Figure 2). L lips and mouth, E edges, B brows, eyes and forehead, N nose, cheeks and ears, O outside, C chin and neck.", "name": "fig-regions-frequency"}}
from viba_lib.experiments.human_agreement import region_shares

shares = region_shares(regions, "planted" if human is None else "annotated")
result_figures.region_frequencies(shares, list(REGIONS))

# %%
wide = shares.pivot(index="region", columns="who", values="share").loc[list(REGIONS)].reset_index()
study.save_table("figure_2", wide, wide.round(3), unknown)

# %% tags=["remove-input"]
from viba_lib.experiments.human_agreement import shares_text

HTML(f"<p>{shares_text(shares)}</p>") if not unknown else None

# %% [markdown]
# ## The paper's findings by region
#
# Section 4 of the paper describes where maps of fakes and of real videos differ. It is a description of maps that the authors
# looked at, without numbers. Each finding becomes a measure here: `forehead` and `nose_ears` compare the mean relevance of parts
# of a region, and `nose` and `chin` are the shares of frames in which a part has more than the frame's mean relevance. A source
# clip counts if it has a real and a fake video that are explained.

# %%
from viba_lib.experiments.region_claims import findings_table, findings_text, part_shares

findings = findings_table({name: part_shares(v) for name, v in explained.items()}, bootstrap)
columns = ["detector", "measure", "fake", "real", "difference", "low", "high", "people", "verdict"]
study.save_table("region_findings", findings, findings[columns].round(3))

# %% tags=["remove-input"]
HTML(f"<p>{findings_text(findings)}</p>")

# %% [markdown]
# Our fakes are made in another way than the paper's, and the borders of the parts are ours. A finding that is not confirmed here
# may hold for its videos. A difference between classes also does not say where an artefact is: the next sections measure that.
#
# ## Regions of single videos
# %%
videos = regions["xception"]
study.save_table("regions_by_video", videos, videos.head(12), unknown)

# %% [markdown]
# ## Grad-CAM and input-agnostic controls
#
# In the default data the location of each artefact is known to the pixel. This allows two finer measures: the share of the
# relevance inside the planted mask, and whether the strongest pixel is inside (the {term}`Pointing game`). The paper argues that
# Grad-CAM {cite}`selvaraju2019gradcam` is coarse; here both methods use the same layer. Two controls depend neither on the
# network nor on the frame: noise, and a centre prior, because a face is in the centre. A map that is not better than the centre
# prior has found a face, and not an artefact. The frames and methods are those of {doc}`/notebooks/15_localisation`: one fake
# frame of each video, those that the detector classifies correctly first.

# %%
from viba_lib.baselines.explainers import VIBA
from viba_lib.experiments.benchmark.maps import Benchmark
from viba_lib.experiments.benchmark.scores import localisation_scores, score_table
from viba_lib.experiments.common import no_masks

methods, parts, scores_of = (VIBA, "Grad-CAM", "Centred blob", "Random"), [], {}
for name in DETECTORS:
    scores_of[name] = localisation_scores(Benchmark(study, name, names=methods))
    table = score_table(scores_of[name], ["ratio", "hit", "area"], bootstrap)
    parts.append(table.assign(detector=name))
compared = pd.concat(parts, ignore_index=True)
compared["name"] = compared.detector + ", " + compared.method
unmasked = no_masks(compared.ratio, "the localisation")
columns = ["name", "frames", "area", "ratio", "hit"]
study.save_table("explainers", compared, compared[columns].round(2), unmasked)

# %% mystnb={"image": {"alt": "Points with intervals for VIBA, Grad-CAM, a centred blob and noise, per detector: relevance inside the planted mask over the mask's share of the frame, and share of frames whose strongest pixel is inside."}, "figure": {"caption": "Relevance inside the planted mask over its share of the frame (chance is 1, dotted), and share of frames whose strongest pixel lies inside, with 95 % intervals over people and source clips.", "name": "fig-explainers"}}
result_figures.intervals(compared, ["ratio", "hit"], chance={"ratio": 1.0})

# %% tags=["remove-input"]
from viba_lib.experiments.human_agreement import controls_text

paragraphs = "".join(f"<p>{controls_text({d: s}, bootstrap)}</p>" for d, s in scores_of.items())
HTML(paragraphs) if not unmasked else None

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
# - **"If maps agree with people, people can trust the detector."** Both may name the centre of the face. Agreement with the wrong
#   video's map measures this.
# - **"Grad-CAM is coarse, so VIBA must be better."** At the same layer both maps have the same resolution. The sentences below the
#   table say what was measured.
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
# **3. A centre prior has the same `ratio` as VIBA. What follows?**
#
# - a) VIBA is right
# - b) these maps have not been shown to find more than a face
# - c) the centre prior has found the artefact
#
# ```{dropdown} Answer to question 3
# **b.** The centre prior depends on neither frame nor network. Relevance on the artefact that is not larger than its own does not
# show that a map depends on them.
# ```
#
# ## Summary
#
# - Planted regions are known without doubt, but they are not what people look at.
# - How many regions count as highlighted, and by which rule, changes every number: run with `-p top 1`, or
#   `-p rule mass`.
# - Compare an agreement with that of chance and of a centre prior.
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
