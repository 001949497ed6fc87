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
# # Data set construction
#
# A map can only be tested where the right answer is known. This chapter makes such data: faces with artefacts at
# places known to the pixel, and it follows one film, step by step, from the folder to what a detector sees.
#
# ```{admonition} What you will learn
# :class: tip
# - nine ways of planting an artefact in a real face, each with its mask
# - how the folders of a data set become a catalog, the paper's Table 1 beside the catalog at hand, and what a
#   random split gives away
# - one film on its way to the detectors (the paper's Appendix D): frame differences, key frames, the face and what
#   happens where it is lost, crops, optical flow
# - to account for every video and every frame
# ```
#
# ```{admonition} What you need first
# :class: note
# | Concept | Why | Where |
# |---|---|---|
# | Training, validation, test | they must share no person | [scikit-learn's guide](https://scikit-learn.org/stable/modules/cross_validation.html) |
# | pandas | catalogs are tables | [ten minutes to pandas](https://pandas.pydata.org/docs/user_guide/10min.html) |
# | {term}`Deepfake` | what the licensed sets contain | {doc}`/book/ethics` |
# ```
#
# <!-- time -->
#
# The paper's videos come from FaceForensics++ {cite}`rossler2019`, Celeb-DF {cite}`li2019celebdf`,
# DFDC {cite}`dolhansky2020dfdc`, DFD {cite}`dufour2019dfd`, FakeAVCeleb {cite}`khalid2021fakeavceleb`, AV-Deepfake1M
# {cite}`cai2023avdeepfake1m`, KoDF {cite}`kwon2021kodf` and DeeperForensics {cite}`jiang2020deeperforensics`. They are
# licensed and cannot be shipped. The default data set takes filmed and generated faces from published packages and plants artefacts in
# them: a {term}`Planted artefact` is a {term}`Self-blended image` or a disturbed motion. With the profile `paper` and a
# catalog of the licensed sets, every step below is the same.

# %% tags=["parameters"]
profile = "quick"
data_root = "../data"
results_root = "../results"
device = "cpu"
seed = 0

# %% tags=["remove-input"]
from IPython.display import HTML

from viba_lib.book.injected import check_injected
from viba_lib.pipeline.study import Study

check_injected()
study = Study(profile, data_root, results_root, device, seed)
HTML(study.banner())

# %% [markdown]
# (run-pipeline)=
# ## Pipeline of a run
#
# The paper's Figure 1 shows two paths from a video to a map: one through single faces, one through motion. The figure
# below is the same overview of this run. It is drawn from the declarations of the stages: each stage names the stages
# that it is computed from and the function that computes it, and the text in a box is the first sentence of the
# documentation of this function. Expect the data to be shared by both detectors, and the same stages for each detector
# after them.

# %% mystnb={"image": {"alt": "Boxes from top to bottom for the stages of a run, joined by lines. The upper boxes are shared. Below them, labels name the two detectors and their inputs; lines of one colour on each side lead to the stages of each detector. The sentence below the figure names all stages."}, "figure": {"caption": "Pipeline of this run (after the paper's Figure 1). Each box is a stage, and its arrows come from the stages that it is computed from. Green: the face detector. Pink: the motion detector.", "name": "fig-viba-pipeline"}}
from viba_lib.models.detectors import DETECTORS
from viba_lib.visual import pipeline_figure

rows = {name: study.evaluation_rows(name) for name in DETECTORS}
maps = [
    study.stages.explained(study.registered(name), study.layer(name), rows[name])
    for name in DETECTORS
]
stages = [*study.stages.shared(), *maps]
pipeline_figure.pipeline_diagram(stages)

# %% tags=["remove-input"]
HTML(f"<p>{pipeline_figure.pipeline_sentence(stages)}</p>")

# %% [markdown]
# The chapters start from these stages. They add the measures, the figures and the stages that one chapter alone needs,
# such as the maps of other methods. The readout bottleneck is computed for the face detector only, as in the paper, and
# {doc}`/notebooks/06_bottleneck_type` compares it. This chapter explains the data set and its preparation,
# {doc}`/notebooks/03_detectors` the training and the predictions, and {doc}`/notebooks/04_viba_step_by_step` the
# statistics and the maps.
#
# ## Sources
#
# Each source is pinned by version and hash. Public figures are not manipulated, and no identity is
# put on another face. Where a package does not say where a film comes from, the table says so.
# [The page of the data set](../book/dataset.md) tells more.

# %%
import numpy as np
import pandas as pd

from viba_lib.data.source_videos import default_files

files = default_files(study.profile.dataset.sources)
pd.set_option("display.max_colwidth", 120)
columns = ["name", "package", "version", "identity", "split", "origin", "licence"]
pd.DataFrame([{c: getattr(f, c) for c in columns} for f in files])

# %% [markdown]
# One real face of each person, as the spatial detector sees it. People named `synthetic` are generated portraits that
# were made to move; "real" means that nothing was planted. Expect cameras to differ as much as faces do:
# compression, sharpness and light are what a detector must not mistake for an artefact. Training and validation
# videos are therefore compressed in many ways, before and after an artefact is planted; test videos keep their quality.

# %% mystnb={"image": {"alt": "One unmanipulated face crop of each person in the data set, with the name of the split under it."}, "figure": {"caption": "A real frame of each identity, and the split that the identity belongs to.", "name": "fig-real"}}
from viba_lib.models.detectors import flow_fields
from viba_lib.visual import data_figures, map_figures

real = study.frames().query("label == 0").groupby("identity").head(1)
names = [f"{r.identity} ({r.split})" for r in real.itertuples()]
map_figures.frames_grid(study.images("xception", real), names, columns=4)

# %% [markdown]
# ## Planted artefacts
#
# A fake is *self-blended* {cite}`shiohara2022sbi`: a region of a face is changed in colour,
# sharpness, size and place and blended back onto the same face under a soft mask. Expect some to be
# plain to see and others, like a thin blending edge, to need a second look.

# %% mystnb={"image": {"alt": "Face crops, one per planted method, each with the planted region outlined in cyan: whole face, mouth, eyes and brows, nose and cheeks, chin and neck, and a ring along the edge of the face."}, "figure": {"caption": "One frame per spatial method, from the test split where it holds the method. The mask of the artefact is outlined in cyan.", "name": "fig-planted"}}
fakes = study.frames(detector="xception").query("label == 1")
one_each = fakes.sort_values("split").groupby("method").head(1).sort_values("method").head(6)
images, masks = study.images("xception", one_each), study.masks("xception", one_each)
map_figures.frames_grid(images, one_each.method.tolist(), 3, masks)

# %% [markdown]
# Inside the outlines colour, sharpness, size or place differ from the real frame; outside, every pixel
# is the camera's, up to compression. This is the ground truth that the chapters after this one measure maps by.
#
# Three methods are temporal: a region that **jitters**, **lags** behind or **freezes**. So that there is
# motion to disturb, all clips, real and fake alike, sway slowly, as a camera in a hand does. A single
# frame of them holds real content only, with at most a faint seam where the motion is large; what is
# wrong is the motion. The flow map shows what no frame does.

# %% mystnb={"image": {"alt": "Colour-coded optical flow maps of temporal fakes with the disturbed region outlined; inside the outline the flow differs from that of the rest of the face."}, "figure": {"caption": "Flow maps of temporal fakes, of each method the one with most motion in the region: hue for direction, brightness for speed. The disturbed region is outlined.", "name": "fig-temporal"}}
moving = study.frames(detector="flow-vgg11").query("label == 1")
regions = study.masks("flow-vgg11", moving)
size = study.settings("flow-vgg11").size
lengths = [
    np.linalg.norm(flow_fields(study.clip(r.video_id), [r.position], size)[0], axis=2)
    for r in moving.itertuples()
]
moving = moving.assign(inside=(np.stack(lengths) * regions).mean((1, 2)))
one_each = moving.sort_values("inside").groupby("method").tail(1).sort_values("method")
flows, masks = study.images("flow-vgg11", one_each), study.masks("flow-vgg11", one_each)
map_figures.frames_grid(flows, one_each.method.tolist(), 3, masks)

# %% [markdown]
# ## From folders to a catalog
#
# Every run begins with a catalog: one row per video with its data set, label, method, the person who is
# seen (`identity`), the person whose face was put on (`donor`), the film that a fake was made from
# (`original`), the split, and, where only a piece of a film is fake, its start and end. Three rows of
# the catalog at hand:

# %%
catalog = study.catalog()
columns = ["dataset", "video_id", "label", "method", "identity", "donor", "original", "split"]
catalog.groupby("label").head(2)[columns]

# %% [markdown]
# Each licensed set lies on disk in its own way, with metadata in JSON, CSV, lists of pairs, or only in
# the names of files. A reader for each makes the same rows of it. What detectors of pictures must not
# mistake is decided there: a film whose sound alone is fake is real; of a film of which seconds are
# fake, only those are; and one compression is taken for a whole set, since else it would betray the
# label. Who has the sets writes down where they lie, and needs one command:
#
# ```yaml
# # folders.yaml: what is not listed by a reader's name is a table (CSV or Parquet)
# faceforensics: /data/FaceForensics++
# dfd: /data/FaceForensics++
# celebdf: /data/Celeb-DF-v2
# dfdc: /data/DFDC
# fakeavceleb: /data/FakeAVCeleb_v1.2
# avdeepfake1m: /data/AV-Deepfake1M
# kodf: /data/kodf.csv
# youtube: /data/youtube.csv
# neighbour-wars: /data/neighbour-wars.csv
# ```
#
# ```bash
# viba data build folders.yaml --data-root data   # lists, draws, splits, prepares; can be interrupted
# ```
#
# It draws the numbers of the paper's Table 1, balanced over real and fake and over the methods. The readers
# of the licensed sets, and all chapters after them, are tested on small trees of the same form.
# The paper's table beside the catalog of this run:

# %%
from viba_lib.experiments.paper_and_run import table_1, table_1_text

beside = table_1(catalog)
study.save_table("table_1", beside, beside.assign(paper=beside.paper.astype("string").fillna("")))

# %% tags=["remove-input"]
HTML(f"<p>{table_1_text(beside)}</p>")

# %% [markdown]
# In this run the methods and splits are:

# %%
catalog.groupby(["label", "method", "split"]).size().unstack("split", fill_value=0)

# %% [markdown]
# ### The region of a real forgery
#
# Nobody plants a mask in a real deepfake, but some data sets hold the original of each fake, frame by frame. The
# forged region is where the two differ by more than compression does: the difference is blurred, and a pixel counts
# if it lies far above the median of the frame. `viba data masks` does this for a catalog
# ({doc}`/book/real_deepfakes`). Here the masks are known, so the method can be tested: original and fake are
# compressed as the folders `c23` and `c40` of FaceForensics++ are, and `iou` is the overlap of the region that is
# found with the planted one.

# %%
from viba_lib.experiments.true_regions import compare_regions, regions_message

regions = compare_regions(study)
wide = regions.pivot_table(index="method", columns="encoding", values="iou").reset_index()
study.save_table("true_regions", regions, wide.round(2)) if len(regions) else None

# %% tags=["remove-input"]
HTML(f"<p>{regions_message(regions)}</p>")

# %% [markdown]
# A region whose content hardly differs, as behind a frozen face that rests, cannot be found from the difference.
# Strong compression blurs the edge of a region and hides a small one.
#
# A video of one person must not be on both sides of the split, or a detector could recognise the
# person. With few people the shares cannot be the paper's 70/15/15 to the letter; no identity is
# in two splits:

# %%
identities = catalog.groupby("identity").split.agg(["nunique", "first"])
shares = catalog.split.value_counts(normalize=True)
identities.assign(videos=catalog.identity.value_counts())

# %% tags=["remove-input"]
HTML(
    f"<p>Largest number of splits that one identity is in: {identities['nunique'].max()}. Shares of "
    "videos: " + ", ".join(f"{k} {v:.0%}" for k, v in shares.items()) + ".</p>"
)

# %% [markdown]
# ### What a split at random would leak
#
# The paper splits its videos at random. The same catalog, split so: `person` is the share of held-out
# videos whose person is also in training, `donor` the share whose person lends or takes a face there,
# `original` the share made from a film that is also in training, `linked` what hangs together with
# training by any chain of persons and originals.

# %%
from viba_lib.data.splits import leaks, split_catalog

splits = {"at random": split_catalog(catalog, seed=seed), "used here": catalog}
leak = pd.concat([leaks(s).assign(way=way) for way, s in splits.items()])
study.save_table("leaks", leak, leak.round(3))

# %% tags=["remove-input"]
test = leak[leak.split == "test"].set_index("way")
HTML(
    f"<p>At random, the person of {test.person['at random']:.0%} of the test videos would be known from "
    f"training, and {test.original['at random']:.0%} would have a twin there; in the split that all results "
    f"of this book use, {test.person['used here']:.0%} and {test.original['used here']:.0%}.</p>"
)

# %% [markdown]
# A detector tested after a random split is partly asked whether it remembers. Test figures of such a
# split are an upper bound of what it does on a stranger. `viba data build` keeps together what is
# linked, and splits at random only when told so (`--at-random`).
#
# ## Key frames
#
# A talking face changes little from one frame to the next. The paper keeps *key frames* only
# {cite}`ibaceta2023keyframes`: where a frame differs much from the one before. Both are made grey and
# blurred first, so that noise of the camera does not count. Below, the film's greatest change: two
# frames in a row, and the difference of their blurred versions, bright where it is large.

# %% mystnb={"image": {"alt": "Two consecutive frames of a film of one person, and a third picture, dark but for bright outlines where the two differ: along the head, the mouth and the shoulders."}, "figure": {"caption": "The largest difference between two consecutive frames of the film: before, after, and the difference of the blurred grey frames.", "name": "fig-difference"}}
from viba_lib.core.download import source_path
from viba_lib.data.keyframes import blurred, frame_differences, key_frames
from viba_lib.data.video import VideoReader

first = source_path(files[0], study.data_root) if study.profile.dataset.kind == "planted" else None
video = VideoReader(first or study.catalog_root() / catalog.path.iloc[0])
differences = frame_differences(video.frames(format="gray"))
peak = int(differences.argmax())
before, after = video.frames([peak - 1, peak])
change = data_figures.grey_image(abs(blurred(after) - blurred(before)))
map_figures.frames_grid([before, after, change], ["before", "after", "difference"], columns=3)

# %% [markdown]
# The mean of the third picture is one point of a curve. Slow changes, such as a head that turns for
# seconds, lift the whole curve: its *baseline* is taken off, and peaks over a threshold remain.

# %% mystnb={"image": {"alt": "Two curves over the frames of the film. Above, the differences with a dashed baseline under their peaks. Below, the differences less the baseline, with dots on the peaks above a dotted threshold."}, "figure": {"caption": "Above, the differences and their baseline; below, what is left, with the threshold (dotted) and the key frames (dots).", "name": "fig-key-frames"}}
threshold = study.profile.preparation.keyframe_threshold
found = key_frames(differences, threshold)
data_figures.key_frame_plot(differences, found, threshold)

# %% mystnb={"image": {"alt": "A row of five key frames of the film, in the order of time, most with the head or the face in another position."}, "figure": {"caption": "Five key frames, drawn at random as preparation does it.", "name": "fig-strip"}}
from viba_lib.data.prepare import choose_frames

five = study.profile.preparation.model_copy(update={"frames_per_video": 5})
strip, _ = choose_frames(differences, five, video.path.name, seed)
map_figures.frames_grid(list(video.frames(strip)), [f"frame {i}" for i in strip], columns=5)

# %% tags=["remove-input"]
share = len(found) / len(differences)
HTML(
    f"<p>{len(found)} of {len(differences)} frames are key frames ({share:.0%}). Where a film has more than "
    f"the {study.profile.preparation.frames_per_video} that this profile takes, they are drawn at random; "
    "where it has fewer, evenly spaced frames fill up.</p>"
)

# %% [markdown]
# Still stretches of the film give no key frame, which is what the method is for: the detectors learn
# nothing from the same picture twice.
#
# ## The face
#
# dlib {cite}`king2009dlib` finds the face in a key frame and 68 landmarks on it. The crop is a square
# 1.3 times the size of the box, so that hair, chin and the edge of a blend are inside.

# %% mystnb={"image": {"alt": "A frame with a solid box around the face, dots along brows, eyes, nose, mouth and jaw, and a larger dashed square; beside it the crop that the square cuts out, with the same dots."}, "figure": {"caption": "The detected face (solid), its landmarks, the crop (dashed), and the crop at the size of Xception's input.", "name": "fig-face"}}
from viba_lib.data.faces import square_box
from viba_lib.data.tracking import FaceTrack

track = FaceTrack()
face = track.find(after)
points = track.detector.landmarks(after, face.box)
square = square_box(face.box, study.profile.preparation.face_scale)
size = study.settings("xception").size
data_figures.face_steps(after, face.box, points, square, size)

# %% [markdown]
# Two things can go wrong between key frames. There may be several faces: the largest is taken first,
# and from then on the one that overlaps it most, so that a clip does not jump from person to person. Or
# the detector sees none: then a correlation tracker goes through the frames between, from the last one
# in which the face was seen. Where the tracker is sure of its match, the face counts as followed; where
# it is not, as behind a hand or a cut, the frame is left out and named.
#
# To see both, the film is made worse on purpose: in its second part it is out of focus, in its third a
# bar covers the eyes. Predict in which of the five frames the face will be detected, followed or lost.

# %% mystnb={"image": {"alt": "Five frames of the film. Sharp ones have a solid box around the face. Where the picture is blurred the box is dashed. Where a black bar covers the eyes there is no box."}, "figure": {"caption": "Solid: detected. Dashed: not detected, but followed by the tracker. No box: lost, and reported.", "name": "fig-followed"}}
from functools import partial

import cv2

worse = list(video.frames(range(60)))
left, top, right, bottom = FaceTrack().find(worse[0]).box
worse[15:30] = [cv2.GaussianBlur(f, (0, 0), (right - left) / 12) for f in worse[15:30]]
for frame in worse[30:50]:
    frame[top : (top + bottom) // 2, left:right] = 0
track, seen, last = FaceTrack(), {}, 0
for n in (0, 20, 28, 40, 55):
    between = worse[last : n + 1]  # the frames since the face was last seen
    seen[n] = track.find(worse[n], partial(iter, between))
    last = n if seen[n] else last
data_figures.followed_faces([worse[n] for n in seen], list(seen.values()))

# %% [markdown]
# A blurred face still moves as one, and is followed; behind the bar there is nothing to follow. After
# the bar the detector finds the face by itself.
#
# ## Motion
#
# The same square of the key frame *and of its successor*, at the profile's `flow_size`, gives
# the optical flow map: for each pixel, how far and where to it moved, by Farnebäck's method {cite}`farneback2003`.
# The paper's Figure 3 shows this step. The pair below is from a temporal fake with a median amount of motion. Try to
# tell from its two frames alone which region is altered.

# %% mystnb={"image": {"alt": "Four pictures in a row: a face crop, the same crop one frame later, the flow map between them in colours, and the length of the flow."}, "figure": {"caption": "The Appendix D pipeline on one pair: key frame, successor, flow in colour, speed in pixels.", "name": "fig-pipeline"}}
from viba_lib.data.flow import flow_to_rgb

row = moving.sort_values("inside").iloc[len(moving) // 2]
clip, at = study.clip(row.video_id), row.position
flow = clip.flow[at].astype("float32").transpose(1, 2, 0)
speed = data_figures.grey_image((flow**2).sum(2) ** 0.5)
steps = [clip.pairs[at, 0], clip.pairs[at, 1], flow_to_rgb(flow), speed]
map_figures.frames_grid(steps, ["key frame", "successor", "flow", "speed"])

# %% tags=["remove-input"]
from viba_lib.data.prepare import PreparationSettings
from viba_lib.experiments.detector_readings import sizes_text

stored, paper = study.profile.preparation, PreparationSettings()
sizes = {
    "Stored face crops": (stored.spatial_size, paper.spatial_size),
    "stored pairs and flow maps": (stored.flow_size, paper.flow_size),
}
HTML(f"<p>{sizes_text(sizes)}</p>")

# %% [markdown]
# Where the two crops look alike, the flow map still shows which part of the face moved, and where to.
# The colours are for our eyes: hue is direction, brightness is speed.

# %% mystnb={"image": {"alt": "A face crop with small arrows over it, the same flow in colours, and a disc whose hue goes around the circle and whose brightness grows from the middle."}, "figure": {"caption": "The same flow as vectors and as colours, and the key to the colours: the hue at a place of the disc is that of a motion from its middle to there.", "name": "fig-vectors"}}
data_figures.flow_vectors(clip.pairs[at, 0], flow)

# %% [markdown]
# The detector gets the vectors themselves, less their median, which is the head's own motion, and with
# their length as a third channel. Farnebäck's parameters are those of OpenCV's own example:

# %%
from viba_lib.data.flow import FARNEBACK

pd.Series(FARNEBACK, name="value").to_frame().T

# %% [markdown]
# ## On disk
#
# What was made of a video is one file, a zipped Zarr store with named dimensions, so that any tool that
# knows Zarr can read it; catalog and tables are Parquet. With xarray, the clip above is:

# %%
clip.dataset()

# %% [markdown]
# ## What was left out
#
# A video that cannot be decoded, or a frame without a face, does not stop a run: it becomes a row of the
# table of problems. The account is checked whenever it is made: every video of the catalog is either
# prepared or a problem, and every chosen frame is either kept or a problem.

# %%
study.account()

# %%
study.problems()

# %% tags=["remove-input"]
frames = study.frames()
HTML(
    f"<p>{len(frames)} frames of {frames.video_id.nunique()} videos were prepared; "
    f"{len(study.problems())} problems.</p>"
)

# %% [markdown]
# The [data card](../book/data_card.md) of this run is made from the same tables.
#
# ## Exercises
#
# ```{exercise} How many key frames?
# :label: ex-threshold
# The threshold is {math}`0.3` of the highest peak. Predict how the number of key frames changes at 0.1 and at
# 0.6, then count them for several thresholds, as a list `counts`. Why does
# the number not fall in proportion?
# ```
#
# ```{solution-start} ex-threshold
# :class: dropdown
# ```

# %% tags=["solution"]
thresholds = [0.1, 0.2, 0.3, 0.45, 0.6, 0.9]
counts = [len(key_frames(differences, t)) for t in thresholds]
pd.DataFrame({"threshold": thresholds, "key frames": counts}).set_index("threshold").T

# %% tags=["check", "remove-cell"]
assert len(counts) > 2 and all(isinstance(n, int) for n in counts)
assert len(key_frames(differences, 0.1)) >= len(key_frames(differences, 0.6)) and max(counts) > 0

# %% [markdown]
# Peaks are not spread evenly over heights: most are small movements, a few are large. At the low end a
# step of the threshold takes many away, at the high end there are few left to take.
#
# ```{solution-end}
# ```
#
# ```{exercise} A lucky split?
# :label: ex-leak
# Above, the random split was drawn once. Could another seed have been harmless? Draw it 50 times, join the tables of `leaks` as `draws`, and look
# at the share of test videos whose person is known from training.
# ```
#
# ```{solution-start} ex-leak
# :class: dropdown
# ```

# %% tags=["solution"]
draws = pd.concat([leaks(split_catalog(catalog, seed=s)) for s in range(50)])
draws.query("split == 'test'")[["person", "original"]].agg(["min", "median", "max"]).round(3)

# %% tags=["check", "remove-cell"]
assert draws.query("split == 'test'").person.between(0, 1).all()
assert len(draws.query("split == 'test'")) == 50

# %% [markdown]
# With many videos of few people no seed helps: for a person to be in the test split only, all of their
# videos would have to fall there. The same holds, more weakly, for sets with thousands of people and tens
# of videos of each.
#
# ```{solution-end}
# ```
#
# ```{exercise} One square for both frames
# :label: ex-square
# Suppose the second crop were cut around its own face box, which trembles by a few pixels. What would the
# flow map show? Which part of it would taking off the median mend, and which not? Try a second crop that is
# shifted by 4 pixels, and one that is 3 % larger, and keep the mean lengths in a dictionary `means`.
# ```
#
# ```{solution-start} ex-square
# :class: dropdown
# ```

# %% tags=["solution"]
from viba_lib.data.flow import farneback

calm = study.frames().query("label == 0").iloc[0]
key, after = study.clip(calm.video_id).pairs[calm.position]
side = after.shape[0]
moves = {"as it is": [[1, 0, 0], [0, 1, 0]], "shifted": [[1, 0, 4], [0, 1, 0]],
         "larger": [[1.03, 0, -0.015 * side], [0, 1.03, -0.015 * side]]}  # fmt: skip
means = {}
for name, matrix in moves.items():
    moved = cv2.warpAffine(after, np.float32(matrix), (side, side), borderMode=cv2.BORDER_REPLICATE)
    raw = farneback(key, moved)
    local = raw - np.median(raw, axis=(0, 1))
    lengths = [np.linalg.norm(field, axis=2).mean() for field in (raw, local)]
    means[name] = dict(zip(["mean length, px", "less the median, px"], lengths, strict=True))
pd.DataFrame(means).T.round(2)

# %% tags=["check", "remove-cell"]
table_of_means = pd.DataFrame(means)
assert table_of_means.shape[1] >= 3 and (table_of_means >= 0).all(axis=None)

# %% [markdown]
# A shift moves every pixel alike, and the median takes most of it off. A change of size moves pixels the
# more the further they are from the middle: no single vector describes that, and what is left looks like
# motion that was never there. So both frames are cut under one square.
#
# ```{solution-end}
# ```
#
# ## Common misconceptions
#
# - **"A random split is the fair one."** It is fair for videos and unfair for people: who is in training is known in the test.
# - **"A mask is where the picture differs."** It is where something was planted. Compression and blending spread the difference a little
#   beyond it.
# - **"All frames should be used."** Neighbouring frames are nearly the same picture. {term}`Key frames <Key frame>` are fewer and say more.
# - **"Frames without a face can be skipped silently."** Then nobody knows what the result is about. Each one is a row in the account.
#
# ## Quiz
#
# **1. Why do the temporal methods leave each single frame clean?**
#
# - a) so that they are harder to compress
# - b) so that only motion can give them away, and the second detector has work of its own
# - c) by mistake
#
# ```{dropdown} Answer to question 1
# **b.** A detector of frames can't see them, which is checked in {doc}`/notebooks/03_detectors`. A test of a motion
# detector on fakes that frames betray would prove nothing.
# ```
#
# **2. A test video shows a person who is in training as well, in another film. What is wrong?**
#
# - a) nothing, the films differ
# - b) the detector may know the person in place of the artefact
# - c) the film is counted twice
#
# ```{dropdown} Answer to question 2
# **b.** That is what the table of leaks counts. It flatters every number that is measured afterwards.
# ```
#
# **3. Both crops of a pair are cut under one square. Why?**
#
# - a) it is faster
# - b) a square that moves between the frames would look like motion of the whole face
# - c) the detector needs squares
#
# ```{dropdown} Answer to question 3
# **b.** The box of a face trembles by a few pixels from frame to frame, and {term}`flow <Optical flow>` would show the trembling.
# ```
#
# ## Summary
# - Real faces, artefacts of nine kinds, a mask for every fake frame.
# - Readers make one catalog of the folders of any set; a random split of it is leaky, and the split used
#   here is not.
# - Key frames, faces, crops and flow maps are made as the paper describes; a face that is not seen is
#   followed or reported, and the account of videos and frames adds up.
#
# ## What next
#
# - The networks that are trained on this: {doc}`/notebooks/03_detectors`.
# - With your own folders: {ref}`licensed-data`.
# - Thousands of videos: {doc}`/book/cluster`.
#
# ## References
#
# - {cite:t}`solopova2024`: Table 1 with the videos, and Appendix D with their preparation.
# - {cite:t}`shiohara2022sbi`: self-blended images.
# - {cite:t}`ibaceta2023keyframes`: the key frames.
# - {cite:t}`king2009dlib`: faces and landmarks.
# - {cite:t}`farneback2003`: optical flow.

# %% tags=["remove-input"]
HTML(study.provenance_html())
