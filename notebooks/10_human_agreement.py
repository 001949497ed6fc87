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
# Do maps highlight the regions that people mark as fake? The paper asked eight people. This chapter measures the agreement
# and compares each number with the value that is expected by chance. Its last section contains a form that repeats the
# annotation experiment of the paper.
#
# ```{admonition} What you will learn
# :class: tip
# - to turn a map into regions, and to see how much the result depends on the rule
# - to recompute the paper's Table 4 and Figure 2, with planted regions instead of human annotations
# - to measure the agreement that remains if each map is compared with another video
# - to test the paper's findings on single face regions
# - to compare VIBA with Grad-CAM and with input-agnostic controls
# - to let people annotate clips without revealing how the clips were made
# - to create the table of annotations that this chapter compares with maps
# ```
#
# ```{admonition} What you need first
# :class: note
# | Concept | Why | Where |
# |---|---|---|
# | {term}`Deepfake` | what the annotators of the paper saw | {doc}`/book/ethics` |
# | {term}`Planted artefact` | it replaces the answers of people | {doc}`/notebooks/02_dataset_construction` |
# | Precision, recall, F1 | three columns of Table 4 | {doc}`/notebooks/08_detection_performance` |
# ```
#
# <!-- time -->
#
# In the paper, eight people marked the regions of 27 fake videos that they found most indicative. The default data have no
# such annotations. **Planted regions** replace them, so agreement with planted regions is not agreement with people. If a
# table of human annotations (columns annotator, video, regions, such as `ann1,clip7,LB`) is given, it is used instead. The
# {ref}`annotation form <annotation>` at the end of this chapter writes such a table.

# %% tags=["parameters"]
profile = "quick"
data_root = "../data"
results_root = "../results"
device = "cpu"
seed = 0
top = 3  # regions that count as highlighted; from 1 to 6
rule = "density"  # how a map ranks regions; one of density, mass, peak, votes
annotations = ""  # CSV of human annotations, "" for the planted regions; any path
annotator = "ann1"  # your name or number in the form; any text
answers = ""  # CSV for the answers of the form, "" for annotations.csv in results_root; any path
clips = 27  # number of clips to annotate, as in the paper; at least 1
with_real = False  # show real clips as well, which the paper does not; one of True, False

# %% tags=["remove-input"]
from IPython.display import HTML

from viba_lib.book.injected import check_injected
from viba_lib.pipeline.study import Study
from viba_lib.visual.prose import prose

check_injected()
study = Study(profile, data_root, results_root, device, seed)
HTML(study.banner())

# %% [markdown]
# ## Six face regions
#
# The paper names six regions and does not define their borders. This book defines the borders with the 68 landmarks of dlib.
# Every pixel of a crop belongs to one of the regions. The image shows them on a real face of the test split.

# %% mystnb={"image": {"alt": "A real face tinted in six colours with a key: lips and mouth, edges, brows, eyes and forehead, nose, cheeks and ears, outside of the face, chin and neck."}, "figure": {"caption": "The six regions, from 68 landmarks. Annotators mark the same regions.", "name": "fig-regions"}}
from viba_lib.evaluation.agreement import REGIONS, region_masks
from viba_lib.visual import map_figures, result_figures

real = study.frames("test").query("label == 0").video_id.iloc[0]
clip = study.clip(real)
masks = region_masks(clip.landmarks[0], clip.faces.shape[1])
map_figures.region_overlay(clip.faces[0], masks, REGIONS)

# %% [markdown]
# ## Table 4: agreement of regions
#
# The paper takes the three regions that annotators named most often, and does not say how a heat map becomes a set of
# regions. Here, a map ({term}`Attribution`) highlights the `top` regions by mean relevance per pixel, so that a region is not
# preferred because of its size. F1, precision and recall are macro averages: means over regions. *Overlap* is the
# Szymkiewicz-Simpson coefficient ({term}`Overlap coefficient`), as a mean over videos. *Top 1* is the fraction of videos in
# which the map highlights the region that most annotators chose. With planted regions, this is the region that contains the
# largest part of the mask.

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
regions = {
    name: regions_by_video(v, top, human, rule)
    for name, v in explained.items()
}
table = table_4(regions, Bootstrap.of(study)).assign(rule=rule, top=top)
measures = ["f1", "precision", "recall", "overlap", "top1"]
columns = ["detector", "rule", "top", "videos", *measures]
unknown = no_regions(
    table.overlap
)  # "" if the regions of some fakes are known
study.save_table("table_4", table, table[columns].round(3), unknown)

# %% tags=["remove-input"]
from viba_lib.experiments.paper_numbers import TABLE_4

means = (
    2
    * TABLE_4.precision
    * TABLE_4.recall
    / (TABLE_4.precision + TABLE_4.recall)
)
prose(
    f"By chance, {top} of 6 regions contain a given region in {min(top, 6) / 6:.0%} of videos. Top 1 must be "
    "compared with this value. The paper calls its F1 macro, but the printed F1 is the harmonic mean of the printed "
    f"precision and recall to within {(means - TABLE_4.f1).abs().max():.2f} points. A mean of the F1 of each region "
    "need not have this value. This book computes the mean over regions, because the paper calls its F1 macro."
)

# %% mystnb={"image": {"alt": "Points with intervals of F1, precision, recall, overlap and Top 1 for both detectors."}, "figure": {"caption": "Agreement between highlighted and annotated regions, with 95 % intervals over people and source clips.", "name": "fig-table-4"}}
result_figures.intervals(table, measures, "detector")

# %% [markdown]
# The next lines write both steps out. First, the mean map of one video is averaged over the pixels of each region, and the
# `top` regions with the highest means are highlighted. Second, the overlap of each video divides the number of common
# regions by the size of the smaller set. A video without known regions has no overlap.

# %%
some_video = next(iter(explained.values()))[0]
relevance = some_video.relevance.mean(0)
parts = region_masks(some_video.landmarks.mean(0), len(relevance))
known = next(iter(regions.values()))

# %% tags=["decisive"]
import numpy as np

density = dict.fromkeys(parts, -1.0)  # of a region without a pixel
for letter, part in parts.items():
    if part.any():
        density[letter] = relevance[part].mean()
strongest = sorted(density, key=density.get, reverse=True)[:top]

overlaps = []
pairs = zip(known.annotated, known.highlighted, strict=True)
for one, other in (map(set, pair) for pair in pairs):
    overlaps.append(len(one & other) / min(len(one), len(other)))

# %%
from viba_lib.evaluation.agreement import agreement_of, regions_of

assert strongest == regions_of(relevance, parts, top, "density")
print(f"regions of {some_video.video_id} by density: {', '.join(strongest)}")
if overlaps:
    by_library = agreement_of(known)["overlap"]
    np.testing.assert_allclose(np.mean(overlaps), by_library)
    print(f"mean overlap of {len(overlaps)} videos: {np.mean(overlaps):.3f}")

# %% [markdown]
# The lines and the library agree on the regions of the video, and on the mean overlap if regions are known. The overlap
# is that of Table 4 for the same detector.

# %% tags=["remove-input"]
from viba_lib.experiments.human_agreement import recall_text

bootstrap = Bootstrap.of(study)
prose(recall_text(regions, top, bootstrap)) if not unknown else None

# %% [markdown]
# In the paper, recall is above precision. The paper concludes that maps cover the regions that people marked and further
# regions. With a fixed number of highlighted regions, the numbers of regions alone can have this effect.
#
# ## Agreement with shuffled videos
#
# Some regions are annotated often and highlighted often in all videos. This alone leads to some agreement. To measure it, the
# sets are shuffled two hundred times: each video gets the highlighted regions of a random video, which can be its own, and the
# agreement is measured again. The difference between the two agreements is what a map says about *its own* video.

# %%
import pandas as pd

another = table[[f"{m}_chance" for m in measures]].set_axis(measures, axis=1)
beside = pd.concat(
    {"own": table[measures], "a random video's": another}, names=["map", None]
).reset_index("map")
beside.insert(0, "detector", [*table.detector, *table.detector])
study.save_table("agreement_by_chance", beside, beside.round(3), unknown)

# %% tags=["remove-input"]
from viba_lib.experiments.human_agreement import agreement_text

prose(agreement_text(regions, bootstrap)) if not unknown else None

# %% [markdown]
# ## Rules for turning maps into regions
#
# *Density* ranks regions by the mean relevance per pixel, *mass* by the sum of relevance, and *peak* by the strongest pixel.
# With *votes*, each frame selects its regions by density, and the regions that are selected most often count. Expect recall
# to rise with the number of regions. Precision may rise or fall.

# %% mystnb={"image": {"alt": "Panels of F1, precision, recall and overlap over the number of highlighted regions, one line for each of four rules, for both detectors."}, "figure": {"caption": "Agreement for each number of highlighted regions, under four rules.", "name": "fig-region-rules"}}
from viba_lib.experiments.human_agreement import rules_table

rules = rules_table(explained, human)
result_figures.rules(rules, ["f1", "precision", "recall", "overlap"])

# %%
three = rules[rules.top == 3].drop(columns="top")
study.save_table("region_rules", rules, three.round(3), unknown)

# %% tags=["remove-input"]
from viba_lib.experiments.human_agreement import rules_text

prose(rules_text(rules)) if not unknown else None

# %% [markdown]
# ## Agreement between annotators
#
# If people disagree with each other, a map cannot agree with all of them. Krippendorff's alpha measures the agreement between
# people {cite}`krippendorff2019content`. It is 1 if they always agree and 0 if they agree as often as by chance, and it
# allows for annotators who left out videos. The paper does not report such a number for its eight annotators.

# %%
from viba_lib.evaluation.agreement import annotator_agreement

planted = pd.DataFrame(
    {
        "region": ["all"],
        "annotators": [1],
        "alpha": ["planted regions have one source"],
    }
)
between = planted if human is None else annotator_agreement(human)
study.save_table("annotator_agreement", between, between.round(3), unknown)

# %% [markdown]
# ### Krippendorff's alpha in a few lines
#
# For two annotators who both answer every question, alpha needs a few lines. The observed disagreement is the fraction of
# questions with different answers. The expected disagreement is that of two answers that are taken at random from all answers.
# Alpha is 1 minus their ratio. There is a question for each clip and each region: is the region marked? The two annotators
# are simulated. The second one copies every other answer of the first and guesses the rest, so expect an alpha near one half.

# %%
questions = 60 * len(REGIONS)
first, guesses = np.random.default_rng(seed).integers(2, size=(2, questions))
second = np.where(np.arange(questions) % 2, guesses, first)

# %% tags=["decisive"]
observed = (first != second).mean()

marks = np.concatenate([first, second])
count, total = np.bincount(marks), len(marks)
same = (count * (count - 1)).sum() / (total * (total - 1))
chance = 1 - same  # two answers at random, without replacement

alpha = 1 - observed / chance

# %%
from viba_lib.evaluation.agreement import krippendorff_alpha

by_library = krippendorff_alpha(
    pd.DataFrame({"first": first, "second": second})
)
np.testing.assert_allclose(alpha, by_library)
print(f"{questions} questions: alpha {alpha:.2f}, {1 - observed:.0%} equal")

# %% [markdown]
# The lines and the library agree. The fraction of equal answers is higher than alpha, because some guesses agree by chance.

# %% [markdown]
# ## Figure 2: frequency of regions
#
# The figure shows how often each region is annotated and how often it is highlighted. Each map marks three regions, even if
# fewer are annotated. Therefore compare the order of the regions, and not the height of the bars: if the maps of a
# detector highlight the artefacts, the regions that are annotated most often are also marked most often. The paper's
# Figure 2 shows matches of both.

# %% mystnb={"image": {"alt": "Bars per region: fraction of fake videos in which the region is planted and in which each detector's map highlights it."}, "figure": {"caption": "Frequency of regions: planted, and highlighted by VIBA (after the paper's Figure 2). L lips and mouth, E edges, B brows, eyes and forehead, N nose, cheeks and ears, O outside, C chin and neck.", "name": "fig-regions-frequency"}}
from viba_lib.experiments.human_agreement import region_shares

shares = region_shares(regions, "planted" if human is None else "annotated")
result_figures.region_frequencies(shares, list(REGIONS))

# %%
wide = (
    shares.pivot(index="region", columns="who", values="share")
    .loc[list(REGIONS)]
    .reset_index()
)
study.save_table("figure_2", wide, wide.round(3), unknown)

# %% tags=["remove-input"]
from viba_lib.experiments.human_agreement import shares_text

prose(shares_text(shares)) if not unknown else None

# %% [markdown]
# ## The paper's findings by region
#
# Section 4 of the paper describes where maps of fakes and of real videos differ. The description comes from maps that the
# authors inspected, and contains no numbers. Each finding becomes a measure here. `forehead` and `nose_ears` compare the mean
# relevance of parts of a region. `nose` and `chin` are the fractions of frames in which a part has more than the frame's mean
# relevance. A source clip counts if both a real and a fake video of it are explained.

# %%
from viba_lib.experiments.region_claims import (
    findings_table,
    findings_text,
    part_shares,
)

findings = findings_table(
    {name: part_shares(v) for name, v in explained.items()}, bootstrap
)
columns = [
    "detector",
    "measure",
    "fake",
    "real",
    "difference",
    "low",
    "high",
    "people",
    "verdict",
]
study.save_table("region_findings", findings, findings[columns].round(3))

# %% tags=["remove-input"]
prose(findings_text(findings))

# %% [markdown]
# The fakes of this book are made with other methods than the fakes of the paper, and this book defines the borders of the
# parts. A finding that is not confirmed here may therefore hold for the videos of the paper. A difference between classes
# also does not say where an artefact is. The comparison with planted masks below measures whether maps highlight the
# artefact.
#
# ## Regions of single videos
#
# The table shows the regions of the first twelve videos of Xception. The download contains all of its videos.

# %%
videos = regions["xception"]
study.save_table("regions_by_video", videos, videos.head(12), unknown)

# %% [markdown]
# ## Grad-CAM and input-agnostic controls
#
# In the default data, the location of each artefact is known for every pixel. This allows two finer measures: the fraction of
# the relevance inside the planted mask, and whether the strongest pixel is inside (the {term}`Pointing game`). The paper
# argues that Grad-CAM {cite}`selvaraju2019gradcam` is coarse; here both methods use the same layer. Two controls depend
# neither on the network nor on the frame: noise (`Random`), and a centre prior (`Centre prior`), because a face is in the
# centre of the crop. If the measures of a map are not better than those of the centre prior, they do not show more than the
# location of the face. The frames and methods are those of {doc}`/notebooks/11_localisation`: one fake frame of each video,
# and frames that the detector classifies correctly are chosen first.

# %%
from viba_lib.baselines.names import VIBA
from viba_lib.experiments.benchmark.maps import Benchmark
from viba_lib.experiments.benchmark.scores import (
    localisation_scores,
    score_table,
)
from viba_lib.experiments.common import no_masks

methods, parts, scores_of = (
    (VIBA, "Grad-CAM", "Centre prior", "Random"),
    [],
    {},
)
for name in DETECTORS:
    scores_of[name] = localisation_scores(
        Benchmark(study, name, names=methods)
    )
    table = score_table(scores_of[name], ["ratio", "hit", "area"], bootstrap)
    parts.append(table.assign(detector=name))
compared = pd.concat(parts, ignore_index=True)
compared["name"] = compared.detector + ", " + compared.method
unmasked = no_masks(compared.ratio, "the localisation")
columns = ["name", "frames", "area", "ratio", "hit"]
study.save_table("explainers", compared, compared[columns].round(2), unmasked)

# %% mystnb={"image": {"alt": "Points with intervals for VIBA, Grad-CAM, a centre prior and noise, for each detector: relevance inside the planted mask over the mask's fraction of the frame, and fraction of frames whose strongest pixel is inside."}, "figure": {"caption": "Relevance inside the planted mask over its fraction of the frame (chance is 1, dotted), and fraction of frames whose strongest pixel lies inside, with 95 % intervals over people and source clips.", "name": "fig-explainers"}}
result_figures.intervals(compared, ["ratio", "hit"], chance={"ratio": 1.0})

# %% tags=["remove-input"]
from viba_lib.experiments.human_agreement import controls_text

known = scores_of if not unmasked else {}
prose(*(controls_text({d: s}, bootstrap) for d, s in known.items()))

# %% [markdown]
# (annotation)=
# ## Annotation of clips by people
#
# The paper asked eight people about 27 fake videos. To annotate clips yourself, open this chapter in JupyterLab, set the
# parameter `annotator` to your name, and run all cells:
#
# ```bash
# .venv/bin/pip install jupyterlab
# .venv/bin/jupyter lab notebooks/10_human_agreement.ipynb
# ```
#
# The form does not reveal how a clip was made: neither the name of the file nor the order of the clips depends on it. Each
# person sees the clips in a different order. Several people may share one file of answers. Every answer is saved immediately,
# so anyone who returns under the same name continues with the next clip.
#
# ### Annotation form
#
# Play the clip as often as you like, press the buttons of the regions that look fake, and save. If
# you save without a marked region, the answer means that nothing looks fake to you. *Back* shows the previous clip with your
# answer, so that you can change it.

# %% tags=["remove-output"]
from viba_lib.experiments.annotation import (
    AnnotationForm,
    AnnotationSession,
    clip_html,
    clips_to_annotate,
)

rows = pd.concat([study.evaluation_rows(name) for name in DETECTORS])
path = answers or study.root.parent / "annotations.csv"
session = AnnotationSession(
    path, annotator, clips_to_annotate(rows, clips, with_real)
)
catalog = study.catalog().set_index("video_id", drop=False)
root, folder = study.catalog_root(), study.root / "annotation"
AnnotationForm(
    session, lambda video: clip_html(catalog.loc[video], root, folder)
)

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
# ### Answers so far
#
# If nobody used the form before this page was built, there are no answers.

# %%
progress = session.progress()
study.save_table("annotation_progress", progress, progress)

# %% tags=["remove-input"]
from viba_lib.experiments.annotation import progress_text

prose(progress_text(progress, len(session.videos)))

# %% [markdown]
# ### Comparison of the answers with maps
#
# ```bash
# viba chapter 10 -p annotations=results/annotations.csv --out 10.ipynb
# ```
#
# For each clip, this chapter then takes the regions that the annotators marked most often. It also computes how well the
# annotators agree with each other. The table has three columns, `annotator`, `video` and `regions`. A table from another
# source works as well if it has these columns.
#
# ## Exercises
#
# ```{exercise} Agreement by chance
# :label: ex-chance-overlap
# Two annotators recognise nothing and mark three of six regions each, at random. What
# {term}`overlap coefficient <Overlap coefficient>` do they reach on average? Guess first. Then write `chance(n, regions)`,
# the mean coefficient of all pairs of answers with `n` of the given regions, with `itertools.combinations` and
# `viba_lib.evaluation.overlap_coefficient`. Call its value for three regions of `REGIONS` `by_chance`.
# ```
#
# ```{solution-start} ex-chance-overlap
# :class: dropdown
# ```

# %% tags=["solution"]
from itertools import combinations

from viba_lib.evaluation import overlap_coefficient
from viba_lib.evaluation.agreement import REGIONS


def chance(n, regions):
    """Mean overlap of all pairs of answers with n of the regions."""
    marked = list(combinations(regions, n))
    total = sum(overlap_coefficient(a, b) for a in marked for b in marked)
    return total / len(marked) ** 2


by_chance = chance(3, REGIONS)
by_chance

# %% tags=["check", "remove-cell"]
assert abs(by_chance - 0.5) < 1e-9
assert abs(chance(3, REGIONS) - by_chance) < 1e-9

# %% tags=["hidden", "remove-cell"]
for n, letters in ((2, "ABCDE"), (3, "ABCD"), (1, "ABCDEF"), (4, "ABCD")):
    assert abs(chance(n, letters) - n / len(letters)) < 1e-9

# %% [markdown]
# Each of the three regions of one annotator is among the three regions of the other annotator with a probability of one half.
# If a map and a person mark three regions each, an overlap of 0.5 is therefore the chance level.
#
# ```{solution-end}
# ```
#
# ```{exercise} Expected overlap of random answers
# :label: ex-blind-overlap
# A map highlights $a$ of six regions and a person marks $b$ of them, both at random. Derive the expected
# {term}`overlap coefficient <Overlap coefficient>` and write it as `expected_overlap(a, b)`. Then check the formula with all
# pairs of sets.
# ```
#
# ```{solution-start} ex-blind-overlap
# :class: dropdown
# ```


# %% tags=["solution"]
import pandas as pd


def expected_overlap(a, b, regions=6):
    """Mean overlap coefficient of two random sets of a and b regions."""
    common = a * b / regions
    return common / min(a, b)


pd.DataFrame(
    {b: {a: expected_overlap(a, b) for a in (1, 2, 3)} for b in (1, 2, 3)}
).round(2)

# %% tags=["check", "remove-cell"]
from itertools import product

for a, b in ((1, 3), (2, 2), (3, 3)):
    pairs = list(product(combinations(REGIONS, a), combinations(REGIONS, b)))
    assert (
        abs(
            sum(overlap_coefficient(*p) for p in pairs) / len(pairs)
            - expected_overlap(a, b)
        )
        < 1e-9
    )

# %% tags=["hidden", "remove-cell"]
for a, b in ((1, 1), (2, 3), (4, 2), (6, 5)):
    assert abs(expected_overlap(a, b) - max(a, b) / 6) < 1e-9

# %% [markdown]
# The expected overlap is $\max(a, b) / 6$, so an annotator who marks more regions gets a higher value. With three of six
# regions, an overlap of 0.5 in Table 4 is expected by chance. In a real table, the chance level can be even higher, because
# some regions are marked in most videos. The shuffled sets show this effect.
#
# ```{solution-end}
# ```
#
# ```{exercise} The answer with the highest overlap
# :label: ex-superset
# The overlap coefficient divides by the size of the *smaller* set. Find an answer that agrees perfectly with every answer
# that is not empty, and call it `winner`. Write `jaccard(one, other)`, the Jaccard index of two sets: the number of common
# regions divided by the number of regions in at least one set. What is its value for `winner` and a single region?
# ```
#
# ```{solution-start} ex-superset
# :class: dropdown
# ```

# %% tags=["solution"]
winner = set(REGIONS)


def jaccard(one, other):
    """Common regions over regions in at least one set."""
    return len(set(one) & set(other)) / len(set(one) | set(other))


single = jaccard(winner, {"L"})
{"overlap": overlap_coefficient(winner, {"L"}), "Jaccard": round(single, 2)}

# %% tags=["check", "remove-cell"]
assert all(
    overlap_coefficient(winner, answer) == 1
    for n in (1, 2, 3)
    for answer in combinations(REGIONS, n)
)
assert abs(jaccard(winner, {"L"}) - 1 / 6) < 1e-9

# %% tags=["hidden", "remove-cell"]
assert set(winner) == set(REGIONS)
assert abs(jaccard({"A", "B"}, {"B", "C"}) - 1 / 3) < 1e-9
assert jaccard({"A"}, {"B", "C"}) == 0 and jaccard({"A"}, {"A"}) == 1
assert abs(jaccard(set("ABCD"), set("CDE")) - 2 / 5) < 1e-9

# %% [markdown]
# An annotator who marks every region has the highest overlap with every answer that is not empty. Therefore, maps and people
# are compared with the same number of regions, and this chapter reports other measures as well.
#
# ```{solution-end}
# ```
#
# ```{exercise} Two definitions of macro F1
# :label: ex-macro-f1
# A mean over regions can be taken before or after the harmonic mean. Write `f1(p, r)`, the harmonic mean of a precision and
# a recall, which is 0 if both are 0. Then find the precisions and recalls of two regions such that the mean of the two F1
# values is 0, and the F1 of the mean precision and the mean recall is 0.5. Call the pairs `precisions` and `recalls`, and
# the two results `mean_of_f1` and `f1_of_means`.
# ```
#
# ```{solution-start} ex-macro-f1
# :class: dropdown
# ```


# %% tags=["solution"]
def f1(p, r):
    """Harmonic mean, 0 if both are 0."""
    return 2 * p * r / (p + r) if p + r else 0.0


precisions, recalls = (1.0, 0.0), (0.0, 1.0)
mean_of_f1 = (
    sum(f1(p, r) for p, r in zip(precisions, recalls, strict=True)) / 2
)
f1_of_means = f1(sum(precisions) / 2, sum(recalls) / 2)
mean_of_f1, f1_of_means

# %% tags=["check", "remove-cell"]
assert f1(1, 1) == 1 and f1(0, 0) == 0 and abs(f1(0.5, 1) - 2 / 3) < 1e-9
assert mean_of_f1 == 0 and f1_of_means == 0.5
assert all(0 <= v <= 1 for v in (*precisions, *recalls))

# %% tags=["hidden", "remove-cell"]
assert abs(f1(0.2, 0.8) - 0.32) < 1e-9 and f1(1, 0) == f1(0, 0.7) == 0
of_regions = [f1(p, r) for p, r in zip(precisions, recalls, strict=True)]
assert len(of_regions) == 2 and abs(sum(of_regions) / 2 - mean_of_f1) < 1e-9
of_means = f1(sum(precisions) / 2, sum(recalls) / 2)
assert abs(of_means - f1_of_means) < 1e-9

# %% [markdown]
# Both are called macro F1 in the literature, and they can differ as much as in this example. The text after Table 4 compares
# the F1 that the paper printed with the second definition.
#
# ```{solution-end}
# ```
#
# ## Common misconceptions
#
# - **"An overlap of 0.6 means that map and people agree in 60 % of the regions."** The number of common regions is divided by
#   the size of the smaller set. With three regions each, 0.5 is the chance level.
# - **"If maps agree with people, people can trust the detector."** Both may mark the centre of the face in every video. The
#   agreement with shuffled videos measures this effect.
# - **"Grad-CAM is coarse, so VIBA must be better."** At the same layer, both maps have the same resolution. The sentences
#   after the figure report what was measured.
# - **"People are the ground truth."** Annotations say what looks fake to people. For planted artefacts the altered region is
#   known, so missed and wrongly marked regions can be counted.
# - **"Real clips only confuse annotators."** Without real clips, a careful annotator cannot be distinguished from an
#   annotator who marks something in every clip.
# - **"More marked regions mean a more careful annotator."** An annotator who marks more regions tends to have a higher
#   overlap with any answer, as the third exercise shows.
#
# ## Quiz
#
# **1. What does the agreement with the map of another video measure?**
#
# - a) the agreement due to regions common to all videos
# - b) the errors of annotators who disagree with others
# - c) the variation of a map over samples of the noise
#
# ```{dropdown} Answer to question 1
# **a.** The agreement that remains after the shuffle does not depend on the content of the video.
# ```
#
# **2. Why are regions ranked by density and not by mass?**
#
# - a) because the paper ranks regions by their density
# - b) so that a region is not preferred for its large size
# - c) because the mass depends on the strongest pixel alone
#
# ```{dropdown} Answer to question 2
# **b.** The mass of a region grows with its area. The paper does not say how it ranked regions, so the other rules are
# computed as well.
# ```
#
# **3. Suppose a centre prior has the same `ratio` as VIBA. What follows?**
#
# - a) the maps of VIBA highlight only the centre of the face
# - b) the ratio alone does not show that VIBA uses the frame
# - c) the centre prior has localised the artefact in each frame
#
# ```{dropdown} Answer to question 3
# **b.** The centre prior depends on neither the frame nor the network, so an equal ratio is not evidence that VIBA depends on
# them. The ratio is also not evidence that VIBA ignores the frame: different maps can have the same ratio, and other measures
# can distinguish them.
# ```
#
# **4. Why does each annotator see the clips in a different order?**
#
# - a) so that tiredness does not affect the same clips each time
# - b) so that annotators cannot copy answers from each other
# - c) so that each person annotates a different set of clips
#
# ```{dropdown} Answer to question 4
# **a.** Annotators become tired, so their answers to late clips are less careful. With different orders this effect averages
# out. With one order, it would look like a property of the late clips.
# ```
#
# **5. A person saves a clip without marking a region. What is stored?**
#
# - a) an answer that contains no regions
# - b) no row, because nothing was marked
# - c) a missing value for this clip
#
# ```{dropdown} Answer to question 5
# **a.** "Nothing looks fake to me" is an answer. A missing row means that the person has not annotated the clip.
# ```
#
# **6. Eight people agree with each other at 0.5 in this overlap, with three regions each. What do you conclude?**
#
# - a) the people agree moderately, above the chance level
# - b) the agreement does not exceed the chance level
# - c) the people disagree more often than they agree
#
# ```{dropdown} Answer to question 6
# **b.** Random answers reach this value on average. A measure that corrects for chance, such as Krippendorff's alpha,
# would be near 0.
# ```
#
# ## Summary
#
# - Planted regions are known exactly, but people may look at other regions.
# - The number of highlighted regions and the rule affect every number. Run the chapter with `-p top 1` or `-p rule mass`.
# - An agreement must be compared with the agreement by chance, which is 0.5 for two answers with three of six regions, and
#   with that of a centre prior.
# - The form writes the table for the comparison with people, and does not reveal how a clip was made.
# - The agreement between people needs at least two annotators. Eight annotators, as in the paper, are few.
#
# ## What next
#
# - Localisation of the artefact by more methods: {doc}`/notebooks/11_localisation`.
# - Effect of the rule, beside that of other choices: {doc}`/notebooks/14_open_choices`.
# - Annotation with a class: {doc}`/book/teaching` contains a plan for half a day.
# - Rules for asking people to annotate and for showing maps: {doc}`/book/ethics`.
#
# ## References
#
# - {cite:t}`solopova2024`: Table 4, Figure 2 and the experiment with eight annotators and 27 fakes in Section 3.4.
# - {cite:t}`selvaraju2019gradcam`: Grad-CAM.
# - {cite:t}`krippendorff2019content`: agreement beyond chance for several annotators with missing answers.

# %% tags=["remove-input"]
HTML(study.provenance_html())
