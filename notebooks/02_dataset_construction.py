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
# # Data and preprocessing
#
# A map can be evaluated only if the correct answer is known. This chapter creates such data: faces with artefacts whose
# location is known for each pixel. It then follows one video through the preprocessing, from the file to the input of a
# detector.
#
# ```{admonition} What you will learn
# :class: tip
# - to plant nine kinds of artefact in a real face, each with its mask
# - to turn the folders of a data set into a catalog, to compare the paper's Table 1 with the catalog of this run, and
#   to measure the leakage of a random split
# - to follow one video through the preparation (the paper's Appendix D): frame differences, key frames, face detection
#   and tracking, crops, optical flow
# - to check that every video and every frame is either prepared or logged as excluded
# ```
#
# ```{admonition} What you need first
# :class: note
# | Concept | Why | Where |
# |---|---|---|
# | Training, validation, test | they must share no person | [scikit-learn's guide](https://scikit-learn.org/stable/modules/cross_validation.html) |
# | pandas | catalogs are tables | [ten minutes to pandas](https://pandas.pydata.org/docs/user_guide/10min.html) |
# | {term}`Deepfake` | the content of the licensed data sets | {doc}`/book/ethics` |
# ```
#
# <!-- time -->
#
# The text of the paper names the sources of its videos: FaceForensics++ {cite}`rossler2019`, Celeb-DF {cite}`li2019celebdf`, DFDC
# {cite}`dolhansky2020dfdc`, DFD {cite}`dufour2019dfd`, FakeAVCeleb {cite}`khalid2021fakeavceleb`, AV-Deepfake1M
# {cite}`cai2023avdeepfake1m`, KoDF {cite}`kwon2021kodf` and DeeperForensics {cite}`jiang2020deeperforensics`. Its Table 1 lists
# the first seven, YouTube videos and a TV show. These data sets are
# licensed and cannot be distributed with this book. The default data set takes filmed and generated faces from
# published packages and plants artefacts in them: a {term}`Planted artefact` is a {term}`Self-blended image` or a
# disturbed motion. With the profile `paper` and a catalog of the licensed sets, every step below is the same.

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
from viba_lib.visual.prose import prose

check_injected()
study = Study(profile, data_root, results_root, device, seed)
HTML(study.banner())

# %% [markdown]
# (run-pipeline)=
# ## Pipeline of a run
#
# The paper's Figure 1 shows two paths from a video to a map: one through single faces, one through motion. The
# *face detector* (Xception) classifies crops of faces as real or fake, and the *motion detector* (VGG11) classifies optical
# flow. Neither finds faces; dlib does this. The figure
# below is the same overview of this run. It is generated from the declarations of the stages: each stage names the
# stages that it is computed from and the function that computes it, and the text in a box is the first sentence of the
# documentation of this function. Expect the data to be shared by both detectors, and the same stages for each detector
# after them.

# %% mystnb={"image": {"alt": "Boxes from top to bottom for the stages of a run, joined by lines. The upper boxes are shared. Below them, labels name the two detectors and their inputs; lines of one colour on each side lead to the stages of each detector. The sentence below the figure names all stages."}, "figure": {"caption": "Pipeline of this run (after the paper's Figure 1). Each box is a stage, and its arrows come from the stages that it is computed from. Green: the face detector. Pink: the motion detector.", "name": "fig-viba-pipeline"}}
from viba_lib.models.detectors import DETECTORS
from viba_lib.visual import pipeline_figure

rows = {name: study.evaluation_rows(name) for name in DETECTORS}
maps = [
    study.stages.explained(
        study.registered(name), study.layer(name), rows[name]
    )
    for name in DETECTORS
]
stages = [*study.stages.shared(), *maps]
pipeline_figure.pipeline_diagram(stages)

# %% tags=["remove-input"]
prose(pipeline_figure.pipeline_sentence(stages))

# %% [markdown]
# The chapters start from these stages. They add the measures, the figures and the stages that only one chapter needs,
# such as the maps of other methods. The readout bottleneck is computed for the face detector only, as in the paper, and
# {doc}`/notebooks/06_bottleneck_type` compares it. This chapter explains the data set and its preparation,
# {doc}`/notebooks/03_detectors` the training and the predictions, and {doc}`/notebooks/04_viba_step_by_step` the
# statistics and the maps.
#
# ## Data
#
# A data set is a catalog of videos with labels. This section describes the source videos, the artefacts that are planted
# in them, and the way from the folders of any data set to a catalog whose splits share no person.
#
# ### Sources
#
# Each source is pinned by version and hash. Public figures are not manipulated, and no identity is put on another face.
# If a package does not state the origin of a video, the table says so. [The page of the data set](../book/dataset.md)
# has more details.

# %%
import numpy as np
import pandas as pd

from viba_lib.data.source_videos import default_files

files = default_files(study.profile.dataset.sources)
pd.set_option("display.max_colwidth", 120)
columns = [
    "name",
    "package",
    "version",
    "identity",
    "split",
    "origin",
    "licence",
]
pd.DataFrame([{c: getattr(f, c) for c in columns} for f in files])

# %% [markdown]
# The figure shows one real face of each person, as the input of the face detector. People named `synthetic` are
# generated portraits that were animated. "Real" means that no artefact was planted. Expect cameras to differ as much as
# faces do, because a detector must not confuse compression, sharpness and light with an artefact. Training and
# validation videos are therefore compressed in many ways, before and after an artefact is planted. Test videos keep
# their quality.

# %% mystnb={"image": {"alt": "One unmanipulated face crop of each person in the data set, with the name of the split under it."}, "figure": {"caption": "A real frame of each identity, and the split that the identity belongs to.", "name": "fig-real"}}
from viba_lib.models.detectors import flow_fields
from viba_lib.visual import data_figures, map_figures

real = study.frames().query("label == 0").groupby("identity").head(1)
names = [f"{r.identity} ({r.split})" for r in real.itertuples()]
map_figures.frames_grid(study.images("xception", real), names, columns=4)

# %% [markdown]
# ### Planted artefacts
#
# A fake is *self-blended* {cite}`shiohara2022sbi`: a region of a face is changed in colour, sharpness, size and
# position, and then blended back onto the same face under a soft mask. Expect some artefacts to be obvious. Others,
# such as a thin blending edge, are difficult to see.

# %% mystnb={"image": {"alt": "Face crops, one per planted method, each with the planted region outlined in cyan: whole face, mouth, eyes and brows, nose and cheeks, chin and neck, and a ring along the edge of the face."}, "figure": {"caption": "One frame per spatial method, from the test split if it contains the method. The mask of the artefact is outlined in cyan.", "name": "fig-planted"}}
fakes = study.frames(detector="xception").query("label == 1")
one_each = (
    fakes.sort_values("split")
    .groupby("method")
    .head(1)
    .sort_values("method")
    .head(6)
)
images, masks = (
    study.images("xception", one_each),
    study.masks("xception", one_each),
)
map_figures.frames_grid(images, one_each.method.tolist(), 3, masks)

# %% [markdown]
# Inside the outlines colour, sharpness, size or position differ from the real frame. Outside, every pixel is that of
# the unaltered clip, up to compression. The following chapters evaluate maps with this ground truth.
#
# Three methods are temporal: a region **jitters**, **lags** or **freezes**. All clips, real and fake, contain a slow
# camera motion like that of a hand-held camera, so that there is motion to disturb. A single frame of a temporal fake
# contains only real content, with at most a faint seam if the motion is large. Only the motion is wrong, and the flow
# map shows it.

# %% mystnb={"image": {"alt": "Colour-coded optical flow maps of temporal fakes with the disturbed region outlined; inside the outline the flow differs from that of the rest of the face."}, "figure": {"caption": "Flow maps of temporal fakes, for each method the one with the most motion in the region: hue for direction, brightness for speed. The disturbed region is outlined.", "name": "fig-temporal"}}
moving = study.frames(detector="flow-vgg11").query("label == 1")
regions = study.masks("flow-vgg11", moving)
size = study.settings("flow-vgg11").size
lengths = [
    np.linalg.norm(
        flow_fields(study.clip(r.video_id), [r.position], size)[0], axis=2
    )
    for r in moving.itertuples()
]
moving = moving.assign(inside=(np.stack(lengths) * regions).mean((1, 2)))
one_each = (
    moving.sort_values("inside")
    .groupby("method")
    .tail(1)
    .sort_values("method")
)
flows, masks = (
    study.images("flow-vgg11", one_each),
    study.masks("flow-vgg11", one_each),
)
map_figures.frames_grid(flows, one_each.method.tolist(), 3, masks)

# %% [markdown]
# ### From folders to a catalog
#
# Every run begins with a catalog. It has one row per video with its data set, its label, its method, the person in the
# video (`identity`), the person whose face was inserted (`donor`), the video that a fake was made from (`original`) and
# the split. If only a part of a video is fake, the row also has the start and end of this part. The next table shows
# some rows of the catalog of this run.

# %%
catalog = study.catalog()
columns = [
    "dataset",
    "video_id",
    "label",
    "method",
    "identity",
    "donor",
    "original",
    "split",
]
catalog.groupby("label").head(2)[columns]

# %% [markdown]
# Each licensed set has its own folder structure, with metadata in JSON, CSV, lists of pairs, or only in the names of
# files. A reader for each set converts it to the same rows. The readers also apply three rules, so that the labels are
# correct for detectors of images. A video in which only the sound is fake is real. If only some seconds of a video are
# fake, only these seconds are used. One compression level is used for a complete set, because otherwise the compression
# would reveal the label. Users with access to the sets write the folders into a file and run one command:
#
# ```yaml
# # folders.yaml: entries without a reader's name are tables (CSV or Parquet)
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
# viba data build folders.yaml --data-root data   # lists, samples, splits, prepares; can be interrupted
# ```
#
# The command samples the numbers of videos of the paper's Table 1, balanced over real and fake and over the methods.
# The readers of the licensed sets, and all chapters that follow, are tested on small folder trees of the same form. The
# next table compares the paper's table with the catalog of this run.

# %%
from viba_lib.experiments.paper_and_run import table_1, table_1_text

beside = table_1(catalog)
study.save_table(
    "table_1",
    beside,
    beside.assign(paper=beside.paper.astype("string").fillna("")),
)

# %% tags=["remove-input"]
prose(table_1_text(beside))

# %% [markdown]
# The next table shows the methods and splits of this run. Fakes outnumber real videos, because several fakes are made from
# each real clip. If the training has a budget in steps, as in `quick` and `standard`, a batch has as many frames of one
# class as of the other. With a budget in epochs, as in `paper`, batches have the classes as the data set has them.

# %%
catalog.groupby(["label", "method", "split"]).size().unstack(
    "split", fill_value=0
)

# %% tags=["remove-input"]
from viba_lib.experiments.paper_and_run import splits_text

prose(splits_text(catalog))

# %% [markdown]
# #### The region of a real forgery
#
# A real deepfake has no mask, but some data sets contain the original of each fake, frame by frame. The forged region
# is the region in which the two differ by more than compression does: the difference is blurred, and a pixel counts if
# its difference lies far above the median of the frame. `viba data masks` computes these regions for a catalog
# ({doc}`/book/real_deepfakes`). Here the masks are known, so the method can be tested: original and fake are compressed
# like the folders `c23` and `c40` of FaceForensics++, and `iou` is the overlap of the detected region with the planted
# one.

# %%
from viba_lib.experiments.true_regions import compare_regions, regions_message

regions = compare_regions(study)
wide = regions.pivot_table(
    index="method", columns="encoding", values="iou"
).reset_index()
study.save_table("true_regions", regions, wide.round(2)) if len(
    regions
) else None

# %% tags=["remove-input"]
prose(regions_message(regions))

# %% [markdown]
# A region whose content hardly differs, such as a frozen region of a face at rest, cannot be detected from the
# difference. Strong compression blurs the edge of a region and hides a small region.
#
# #### Split by identity
#
# A person must not appear on both sides of the split, because a detector could then recognise the person. With few
# people the fractions cannot be exactly the paper's 70/15/15. The line below the table says whether an identity is in more
# than one split.

# %%
known = catalog[catalog.identity != ""]
identities = known.groupby("identity").split.agg(["nunique", "first"])
shares = catalog.split.value_counts(normalize=True)
identities.assign(videos=known.identity.value_counts())

# %% tags=["remove-input"]
prose(
    f"Identities that are in more than one split: {(identities['nunique'] > 1).sum()} of "
    f"{len(identities)}. Fractions of the videos: " + ", ".join(f"{k} {v:.0%}" for k, v in shares.items()) + "."
)

# %% [markdown]
# #### Leakage of a random split
#
# The paper splits its videos at random. The next table applies such a split to the same catalog. `person` is the
# fraction of held-out videos whose person is also in training. `donor` is the fraction whose person lends or takes a
# face in a training video. `original` is the fraction whose original, or another fake of it, is also in training.
# `linked` is the fraction that is connected with training by any chain of persons and originals.

# %%
from viba_lib.data.splits import leaks, split_catalog

splits = {"at random": split_catalog(catalog, seed=seed), "used here": catalog}
leak = pd.concat([leaks(s).assign(way=way) for way, s in splits.items()])
study.save_table("leaks", leak, leak.round(3))

# %% tags=["remove-input"]
test = leak[leak.split == "test"].set_index("way")
prose(
    f"In the random split, {test.person['at random']:.0%} of the test videos show a person who is also in "
    f"training, and for {test.original['at random']:.0%} the original, or another fake of it, is in training. In "
    f"the split that all results of this book use, the fractions are {test.person['used here']:.0%} and "
    f"{test.original['used here']:.0%}."
)

# %% [markdown]
# The test result of a detector after a random split partly measures how well it remembers people and videos. As an
# estimate of the performance on unseen identities, it has an optimistic bias. `viba data build` keeps linked videos in one split, and splits at
# random only with the option `--at-random`.
#
# ## Preprocessing
#
# The preprocessing turns each video of the catalog into the input of a detector. It selects frames, finds and crops the
# face, computes the optical flow, stores the result, and logs every video and every frame that is excluded.
#
# ### Key frames
#
# A talking face changes little from one frame to the next. The paper keeps only *key frames*
# {cite}`ibaceta2023keyframes`, the frames that differ strongly from the previous frame. Both frames are converted to
# greyscale and blurred before the comparison, so that the noise of the camera does not count. The figure shows the
# largest change in the video: two consecutive frames, and the difference of their blurred versions, which is bright at
# large differences.

# %% mystnb={"image": {"alt": "Two consecutive frames of a video of one person, and a third image, dark except for bright outlines at the differences: along the head, the mouth and the shoulders."}, "figure": {"caption": "The largest difference between two consecutive frames of the video: before, after, and the difference of the blurred greyscale frames.", "name": "fig-difference"}}
from viba_lib.core.download import source_path
from viba_lib.data.keyframes import blurred, frame_differences, key_frames
from viba_lib.data.video import VideoReader

first = (
    source_path(files[0], study.data_root)
    if study.profile.dataset.kind == "planted"
    else None
)
video = VideoReader(first or study.catalog_root() / catalog.path.iloc[0])
differences = frame_differences(video.frames(format="gray"))
peak = int(differences.argmax())
before, after = video.frames([peak - 1, peak])
change = data_figures.grey_image(abs(blurred(after) - blurred(before)))
map_figures.frames_grid(
    [before, after, change], ["before", "after", "difference"], columns=3
)

# %% [markdown]
# The mean of the third image is one point of a curve. Slow changes, such as a head that turns for seconds, raise the
# whole curve. This *baseline* is subtracted, and the peaks above a threshold are the key frames.

# %% mystnb={"image": {"alt": "Two curves over the frames of the video. Above, the differences with a dashed baseline under their peaks. Below, the differences minus the baseline, with dots on the peaks above a dotted threshold."}, "figure": {"caption": "Above, the differences and their baseline; below, the differences minus the baseline, with the threshold (dotted) and the key frames (dots).", "name": "fig-key-frames"}}
threshold = study.profile.preparation.keyframe_threshold
found = key_frames(differences, threshold)
data_figures.key_frame_plot(differences, found, threshold)

# %% mystnb={"image": {"alt": "A row of five key frames of the video, in the order of time, most with the head or the face in another position."}, "figure": {"caption": "Five key frames, sampled at random as in the preparation.", "name": "fig-strip"}}
from viba_lib.data.prepare import choose_frames

five = study.profile.preparation.model_copy(update={"frames_per_video": 5})
strip, _ = choose_frames(differences, five, video.path.name, seed)
map_figures.frames_grid(
    list(video.frames(strip)), [f"frame {i}" for i in strip], columns=5
)

# %% tags=["remove-input"]
share = len(found) / len(differences)
prose(
    f"{len(found)} of {len(differences)} frames are key frames ({share:.0%}). If a video has more than "
    f"the {study.profile.preparation.frames_per_video} that this profile takes, they are sampled at random. "
    "If it has fewer, evenly spaced frames are added."
)

# %% [markdown]
# A part of the video without motion gives no key frame. This is intended, because the detectors learn nothing from the
# same image twice.
#
# ### Face detection and cropping
#
# dlib {cite}`king2009dlib` detects the face in a key frame and 68 landmarks on it. The crop is a square of 1.3 times
# the size of the box, so that it includes hair, chin and the edge of a blend.

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
# Two problems can occur between key frames. The first problem is a frame with several faces. The largest face is chosen
# first, and in later frames the face that overlaps the last one most, so that a clip does not jump from person to person.
# The second problem is a frame in which no face is detected. A correlation tracker then follows the face from the last
# key frame that has one, in every third frame. If its match is reliable, the tracked face is used. If not, for example behind a hand or after a cut,
# the frame is excluded and logged.
#
# The next figure shows both cases. The video is degraded on purpose: in its second part it is out of focus, and in its
# third part a bar covers the eyes. Predict for each of the five frames whether the face will be detected, tracked or
# lost.

# %% mystnb={"image": {"alt": "Five frames of the video. Sharp ones have a solid box around the face. If the image is blurred, the box is dashed. If a black bar covers the eyes, there is no box."}, "figure": {"caption": "Solid: detected. Dashed: not detected, but tracked. No box: lost, and reported.", "name": "fig-followed"}}
from functools import partial

import cv2

worse = list(video.frames(range(60)))
left, top, right, bottom = FaceTrack().find(worse[0]).box
worse[15:30] = [
    cv2.GaussianBlur(f, (0, 0), (right - left) / 12) for f in worse[15:30]
]
for frame in worse[30:50]:
    frame[top : (top + bottom) // 2, left:right] = 0
track, seen, last = FaceTrack(), {}, 0
for n in (0, 20, 28, 40, 55):
    between = worse[last : n + 1]  # the frames since the face was last seen
    seen[n] = track.find(worse[n], partial(iter, between))
    last = n if seen[n] else last
data_figures.followed_faces([worse[n] for n in seen], list(seen.values()))

# %% tags=["remove-input"]
how = {True: "tracked", False: "detected"}
states = [how[bool(s.tracked)] if s else "not found" for s in seen.values()]
prose(
    f"The face is {states[0]} in the first frame, {states[1]} and {states[2]} in the two blurred frames, "
    f"{states[3]} under the bar, and {states[4]} after it."
)

# %% [markdown]
# A blurred face still moves as a whole, so it can be tracked. Under the bar there is no face to follow.
#
# ### Optical flow
#
# The optical flow map is computed from the same square of the key frame *and of its successor*, at the profile's
# `flow_size`. It contains the motion of each pixel, its distance and its direction, by Farnebäck's method
# {cite}`farneback2003`. The paper's Figure 3 shows this step. The pair below is from a temporal fake with a median
# amount of motion. Compare its two frames first, and predict which region is altered.

# %% mystnb={"image": {"alt": "Four images in a row: a face crop, the same crop one frame later, the flow map between them in colours, and the length of the flow."}, "figure": {"caption": "The preparation of Appendix D on one pair: key frame, successor, flow in colour, speed in pixels.", "name": "fig-pipeline"}}
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
prose(sizes_text(sizes))

# %% [markdown]
# If the two crops look similar, the flow map still shows which part of the face moved, and in which direction. The
# colours are for display only: hue is direction, and brightness is speed.

# %% mystnb={"image": {"alt": "A face crop with small arrows over it, the same flow in colours, and a disc whose hue goes around the circle and whose brightness grows from the middle."}, "figure": {"caption": "The same flow as vectors and as colours, and the key to the colours: the hue at a position on the disc stands for a motion from its centre to this position.", "name": "fig-vectors"}}
data_figures.flow_vectors(clip.pairs[at, 0], flow)

# %% [markdown]
# The detector receives three channels: the two components of the vectors minus their median, which is the motion of the
# whole head, and the length of the result. Farnebäck's parameters are those of OpenCV's own example:

# %%
from viba_lib.data.flow import FARNEBACK

pd.Series(FARNEBACK, name="value").to_frame().T

# %% [markdown]
# ### File format of prepared clips
#
# Each prepared clip is one file, a zipped Zarr store with named dimensions, so that any tool that supports Zarr can
# read it. Catalog and tables are Parquet files. The next cell opens the clip above with xarray.

# %%
clip.dataset()

# %% [markdown]
# ### Log of excluded videos and frames
#
# A video that cannot be decoded, or a frame without a face, does not stop a run. It becomes a row of the table of
# problems. The log is checked each time it is written: every video of the catalog is either prepared or a problem, and
# every chosen frame is either kept or a problem.

# %%
study.account()

# %%
study.problems()

# %% tags=["remove-input"]
frames = study.frames()
log = study.account().set_index("what").number
chosen, found = log["frames chosen"], log["key frames found in them"]
prose(
    f"{len(frames)} frames of {frames.video_id.nunique()} videos were prepared; "
    f"{len(study.problems())} problems. At most {min(found, chosen)} of the {chosen} chosen frames are key "
    "frames; the others were added because their videos have too few. The paper takes key frames only."
)

# %% [markdown]
# The [data card](../book/data_card.md) of this run is made from the same tables.
#
# ## Exercises
#
# ```{exercise} Number of key frames
# :label: ex-threshold
# The threshold is {math}`0.3` of the highest peak. Predict how the number of key frames changes at 0.1 and at 0.6. Then
# write `number_of_peaks(signal, threshold)`, which counts the key frames of `signal` with `key_frames`, and apply it to
# `differences` for a list `thresholds` of at least three values, as a list `counts`. Why does the number not fall in
# proportion?
# ```
#
# ```{solution-start} ex-threshold
# :class: dropdown
# ```


# %% tags=["solution"]
def number_of_peaks(signal, threshold):
    """Number of key frames of a signal of differences."""
    return len(key_frames(signal, threshold))


thresholds = [0.1, 0.2, 0.3, 0.45, 0.6, 0.9]
counts = [number_of_peaks(differences, t) for t in thresholds]
pd.DataFrame({"threshold": thresholds, "key frames": counts}).set_index(
    "threshold"
).T

# %% tags=["check", "remove-cell"]
assert len(counts) == len(thresholds) > 2
assert counts == [len(key_frames(differences, t)) for t in thresholds]
assert number_of_peaks(differences, 0.3) == len(key_frames(differences, 0.3))

# %% tags=["hidden", "remove-cell"]
peaks = np.tile([0.0, 1, 0, 2, 0, 4, 0, 8, 0, 10, 0], 3)
for level in (0.05, 0.15, 0.5, 0.95):
    assert number_of_peaks(peaks, level) == len(key_frames(peaks, level))
assert number_of_peaks(peaks, 0.15) > number_of_peaks(peaks, 0.95)

# %% [markdown]
# The heights of the peaks are not distributed evenly, because most peaks are small movements and a few are large. At
# low thresholds, a small increase removes many peaks. At high thresholds, few peaks are left to remove.
#
# ```{solution-end}
# ```
#
# ```{exercise} Leakage over many random splits
# :label: ex-leak
# The random split above uses one seed. Is there another seed without leakage? Split the catalog with the seeds 0 to 49,
# join the tables of `leaks` in this order as `random_splits`, and inspect the fraction of test videos whose person is
# also in training.
# ```
#
# ```{solution-start} ex-leak
# :class: dropdown
# ```

# %% tags=["solution"]
random_splits = pd.concat(
    [leaks(split_catalog(catalog, seed=s)) for s in range(50)]
)
random_splits.query("split == 'test'")[["person", "original"]].agg(
    ["min", "median", "max"]
).round(3)

# %% tags=["check", "remove-cell"]
of_test = random_splits.query("split == 'test'")
assert len(of_test) == 50 and of_test.person.between(0, 1).all()
assert len(random_splits) == 50 * len(leaks(split_catalog(catalog, seed=0)))

# %% tags=["hidden", "remove-cell"]
for number in (0, 7, 49):
    expected = leaks(split_catalog(catalog, seed=number)).set_index("split")
    one_of_them = random_splits.query("split == 'test'").iloc[number]
    for column in ("person", "original"):
        wanted = expected.at["test", column]
        assert abs(one_of_them[column] - wanted) < 1e-9

# %% [markdown]
# If a set has many videos of few people, no seed avoids leakage: a person is in the test split alone only if all of their
# videos are sampled into it. The same holds for sets with thousands of people and tens of videos of each. Leakage is rare
# only if most people have one video.
#
# ```{solution-end}
# ```
#
# ```{exercise} One square for both frames
# :label: ex-square
# Suppose that the second crop used its own face box, which trembles by a few pixels. What would the flow map show?
# Which part of it would the subtraction of the median remove, and which part not? Write `mean_lengths(key, moved)`. It
# returns two numbers in pixels: the mean length of the flow `farneback(key, moved)`, and this mean after the median of
# each component was subtracted. The cell below defines two crops, `key` and `after`. Test `after` as it is, `after`
# shifted by 4 pixels, and `after` 3 % larger. Keep the results in a dictionary `means` with the keys `"as it is"`,
# `"shifted"` and `"larger"`.
# ```

# %%
from viba_lib.data.flow import farneback

calm = study.frames().query("label == 0").iloc[0]
key, after = study.clip(calm.video_id).pairs[calm.position]

# %% [markdown]
# ```{solution-start} ex-square
# :class: dropdown
# ```


# %% tags=["solution"]
def mean_lengths(key, moved):
    """Mean length of the flow in pixels, as it is and minus the median."""
    raw = farneback(key, moved)
    local = raw - np.median(raw, axis=(0, 1))
    return [np.linalg.norm(field, axis=2).mean() for field in (raw, local)]


side = after.shape[0]
moves = {
    "as it is": [[1, 0, 0], [0, 1, 0]],
    "shifted": [[1, 0, 4], [0, 1, 0]],
    "larger": [[1.03, 0, -0.015 * side], [0, 1.03, -0.015 * side]],
}
means = {}
for name, matrix in moves.items():
    moved = cv2.warpAffine(
        after,
        np.float32(matrix),
        (side, side),
        borderMode=cv2.BORDER_REPLICATE,
    )
    means[name] = mean_lengths(key, moved)
pd.DataFrame(means, ["mean length, px", "minus the median, px"]).T.round(2)

# %% tags=["check", "remove-cell"]
assert set(means) == {"as it is", "shifted", "larger"}
assert all(len(two) == 2 and min(two) >= 0 for two in means.values())
assert np.allclose(means["as it is"], mean_lengths(key, after), rtol=1e-3)
assert mean_lengths(key, key)[0] < 0.01

# %% tags=["hidden", "remove-cell"]
for distance in (2, 6):
    rolled = np.roll(key, distance, axis=1)
    field = farneback(key, rolled)
    local_field = field - np.median(field, axis=(0, 1))
    expected = [np.hypot(*f.T).mean() for f in (field, local_field)]
    assert np.allclose(mean_lengths(key, rolled), expected, rtol=1e-3)

# %% [markdown]
# A shift moves every pixel by the same vector, and the median removes most of it. A change of size moves pixels more if
# they are further from the centre. No single vector describes this motion, and the remaining flow looks like a motion
# that does not exist in the video. Therefore both frames are cropped with one square.
#
# ```{solution-end}
# ```
#
# ## Common misconceptions
#
# - **"A random split is the fair one."** It is fair for videos and unfair for people, because the test then contains
#   people from training.
# - **"A mask is where the image differs."** It is the region in which an artefact was planted. Compression and blending
#   spread the difference slightly beyond it.
# - **"All frames should be used."** Neighbouring frames are nearly the same image. {term}`Key frames <Key frame>` are
#   fewer and differ more.
# - **"Frames without a face can be skipped without a message."** The results are then valid for an unknown part of the
#   data. Each excluded frame is therefore a row of the log.
#
# ## Quiz
#
# **1. Why do the temporal methods not change the content of single frames?**
#
# - a) because changed frames would be harder to compress
# - b) because only the motion should reveal these fakes
# - c) because a face detector would need more of them
#
# ```{dropdown} Answer to question 1
# **b.** If single frames revealed these fakes, they would not test a motion detector. A large motion can leave a faint
# seam, so {doc}`/notebooks/03_detectors` counts the frames that the face detector finds.
# ```
#
# **2. A test video shows a person who also appears in another video of the training split. What is the problem?**
#
# - a) the same video is counted twice in the average of the test
# - b) the detector may recognise the person and not the artefact
# - c) none, because the two videos have different frames in them
#
# ```{dropdown} Answer to question 2
# **b.** The detector may then be right for a reason that does not hold for unseen people, which gives its results an
# optimistic bias. The table of leakage counts such videos.
# ```
#
# **3. Both crops of a pair use one square. Why?**
#
# - a) because a moving square would look like a motion of the face
# - b) because face detection in the second frame would take too long
# - c) because the detector accepts only square inputs of equal size
#
# ```{dropdown} Answer to question 3
# **a.** The detected box of a face trembles from frame to frame, and the {term}`flow <Optical flow>` would
# contain this trembling.
# ```
#
# ## Summary
# - The default data set has filmed and generated faces, nine kinds of planted artefacts, and a mask for every fake frame.
# - Readers convert the folders of any set to one catalog. A random split of it can have leakage. A split that keeps
#   linked videos together shares no person and no original, but can share donors.
# - Key frames, faces, crops and flow maps are computed as the paper describes. Short videos get further frames beside
#   their key frames. A face that is not detected is tracked or reported, and the log of videos and frames is complete.
#
# ## What next
#
# - The detectors that are trained on these data: {doc}`/notebooks/03_detectors`.
# - Your own folders of licensed data: {ref}`licensed-data`.
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
