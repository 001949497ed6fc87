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
# ```{admonition} What you will see
# - real faces, and nine ways of planting an artefact in them whose place is known to the pixel
# - key frames, face crops and optical flow maps, step by step (the paper's Appendix D)
# - what the paper's Table 1 holds, beside the catalog at hand
# ```
#
# The paper's videos come from FaceForensics++ {cite}`rossler2019`, Celeb-DF {cite}`li2019celebdf`,
# DFDC {cite}`dolhansky2020dfdc`, DFD {cite}`dufour2019dfd`, FakeAVCeleb
# {cite}`khalid2021fakeavceleb`, AV-Deepfake1M {cite}`cai2023avdeepfake1m`, KoDF
# {cite}`kwon2021kodf` and DeeperForensics {cite}`jiang2020deeperforensics`. They are licensed and
# cannot be shipped. The default data set takes real faces from published packages and plants
# artefacts in them; with the profile `paper` and a catalog of the licensed sets, every step below is the same.

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
# ## Sources
#
# Each source is pinned by version and hash. Public figures are not manipulated, and no identity is
# put on another face. See [the page of the data set](../book/dataset.md) for origins.

# %%
import pandas as pd

from viba_lib.data.sources.packages import default_files

files = default_files(study.profile.dataset.sources)
pd.DataFrame(
    [(f.name, f.package, f.identity, f.split, f.licence) for f in files],
    columns=["file", "package", "identity", "split", "licence"],
)

# %% [markdown]
# ## Planted artefacts
#
# A fake is *self-blended* {cite}`shiohara2022sbi`: a region of a face is changed in colour,
# sharpness, size and place and blended back onto the same face under a soft mask. Expect some to be
# plain to see and others, like a thin blending edge, to need a second look.

# %% mystnb={"image": {"alt": "Face crops, one per planted method, each with the planted region outlined in cyan: whole face, mouth, eyes and brows, nose and cheeks, chin and neck, and a ring along the edge of the face."}, "figure": {"caption": "One held-out frame per spatial method. The mask of the artefact is outlined in cyan.", "name": "fig-planted"}}
from viba_lib import figures

fakes = study.frames(detector="xception").query("label == 1")
one_each = fakes.sort_values("split").groupby("method").head(1).sort_values("method").head(6)
images, masks = study.images("xception", one_each), study.masks("xception", one_each)
figures.outlined_grid(images, masks, one_each.method.tolist(), columns=3)

# %% [markdown]
# Three methods are temporal: a region that **jitters**, **lags** behind or **freezes**. Each single
# frame of them is real; only the motion is not. The flow map shows what no frame does.

# %% mystnb={"image": {"alt": "Colour-coded optical flow maps of temporal fakes with the disturbed region outlined; inside the outline the flow differs from that of the rest of the face."}, "figure": {"caption": "Flow maps of temporal fakes, hue for direction and brightness for speed. The disturbed region is outlined.", "name": "fig-temporal"}}
moving = study.frames(detector="flow-vgg11").query("label == 1")
one_each = moving.groupby("method").head(1).sort_values("method")
flows, masks = study.images("flow-vgg11", one_each), study.masks("flow-vgg11", one_each)
figures.outlined_grid(flows, masks, one_each.method.tolist(), columns=3)

# %% [markdown]
# ## Table 1 and the catalog at hand
#
# The paper's Table 1, and the number of videos of each kind in this run.

# %%
from viba_lib.evaluation.paper import TABLE_1

TABLE_1

# %%
catalog = study.catalog()
counts = catalog.groupby(["split", "label", "method"]).size().unstack("split", fill_value=0)
study.save_table("table_1", counts.reset_index())
counts

# %% [markdown]
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
# ## Key frames
#
# The paper keeps key frames only {cite}`ibaceta2023keyframes`: peaks of the difference between
# blurred, consecutive frames, after the slow part of the curve is removed. A dot marks a key frame;
# where there are fewer peaks than wanted, evenly spaced frames fill up.

# %% mystnb={"image": {"alt": "Curve of frame differences over the frames of one source video, with dots on its peaks above a dotted threshold."}, "figure": {"caption": "Frame differences of a source video without their baseline, and the key frames found.", "name": "fig-key-frames"}}
from viba_lib.data.keyframes import frame_differences, key_frames, without_baseline
from viba_lib.data.sources.packages import source_path
from viba_lib.video import iter_frames

first = source_path(files[0], study.data_root) if study.profile.dataset.kind == "planted" else None
video = first or study.catalog_root() / catalog.path.iloc[0]
differences = frame_differences(iter_frames(video, form="gray"))
threshold = study.profile.preparation.keyframe_threshold
found = key_frames(differences, threshold)
figures.key_frame_plot(without_baseline(differences), found, threshold)

# %% [markdown]
# ## From a frame to the inputs
#
# dlib {cite}`king2009dlib` finds the face; a square 1.3 times its box is cut out at 299 px for
# Xception. The same square of the key frame *and of its successor* at 256 px gives the flow map
# {cite}`farneback2003`: this is the paper's Figure 3.

# %% mystnb={"image": {"alt": "Four pictures in a row: a face crop, the same crop one frame later, the flow map between them in colours, and the length of the flow."}, "figure": {"caption": "The Appendix D pipeline on one pair: key frame, successor, flow in colour, speed in pixels.", "name": "fig-pipeline"}}
from viba_lib.data.flow import flow_to_rgb

clip = study.clip(moving.video_id.iloc[0])
flow = clip.flow[0].astype("float32").transpose(1, 2, 0)
speed = figures.grey_picture((flow**2).sum(2) ** 0.5)
steps = [clip.pairs[0, 0], clip.pairs[0, 1], flow_to_rgb(flow), speed]
figures.frames_grid(steps, ["key frame", "successor", "flow", "speed"])

# %% [markdown]
# ## What was left out
#
# A video that cannot be decoded, or a frame without a face, does not stop a run: it becomes a row of
# this table.

# %%
study.problems()

# %% tags=["remove-input"]
frames = study.frames()
HTML(
    f"<p>{len(frames)} frames of {frames.video_id.nunique()} videos were prepared; "
    f"{len(study.problems())} problems.</p>"
)

# %% [markdown]
# ## Summary
# - Real faces, artefacts of nine kinds, a mask for every fake frame.
# - Key frames, crops and flow maps are made as the paper describes.
# - No person is in two splits.

# %% tags=["remove-input"]
HTML(study.provenance_html())
