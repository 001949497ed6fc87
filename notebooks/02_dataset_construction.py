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
# put on another face. Where a package does not say where a film comes from, the table says so.
# [The page of the data set](../book/dataset.md) tells more.

# %%
import numpy as np
import pandas as pd

from viba_lib.data.sources.packages import default_files

files = default_files(study.profile.dataset.sources)
pd.set_option("display.max_colwidth", 120)
columns = ["name", "package", "version", "identity", "split", "origin", "licence"]
pd.DataFrame([{c: getattr(f, c) for c in columns} for f in files])

# %% [markdown]
# One real face of each person, as the spatial detector sees it. Expect cameras to differ as much as
# faces do: compression, sharpness and light are what a detector must not mistake for an artefact.

# %% mystnb={"image": {"alt": "One unmanipulated face crop of each person in the data set, with the name of the split under it."}, "figure": {"caption": "A real frame of each identity, and the split that the identity belongs to.", "name": "fig-real"}}
from viba_lib import figures

real = study.frames().query("label == 0").groupby("identity").head(1)
names = [f"{r.identity} ({r.split})" for r in real.itertuples()]
figures.frames_grid(study.images("xception", real), names, columns=4)

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
figures.outlined_grid(images, masks, one_each.method.tolist(), columns=3)

# %% [markdown]
# Inside the outlines colour, sharpness, size or place differ from the real frame; outside, every pixel
# is the camera's, up to compression. This is the ground truth that the chapters after this one measure maps by.
#
# Three methods are temporal: a region that **jitters**, **lags** behind or **freezes**. So that there is
# motion to disturb, all clips, real and fake alike, sway slowly, as a camera in a hand does. Each single
# frame of them is real; only the motion is not. The flow map shows what no frame does.

# %% mystnb={"image": {"alt": "Colour-coded optical flow maps of temporal fakes with the disturbed region outlined; inside the outline the flow differs from that of the rest of the face."}, "figure": {"caption": "Flow maps of temporal fakes, of each method the one with most motion in the region: hue for direction, brightness for speed. The disturbed region is outlined.", "name": "fig-temporal"}}
moving = study.frames(detector="flow-vgg11").query("label == 1")
regions = study.masks("flow-vgg11", moving)
lengths = [
    np.linalg.norm(study.scaled_flow(study.clip(r.video_id).flow[r.position]), axis=2)
    for r in moving.itertuples()
]
moving = moving.assign(inside=(np.stack(lengths) * regions).mean((1, 2)))
one_each = moving.sort_values("inside").groupby("method").tail(1).sort_values("method")
flows, masks = study.images("flow-vgg11", one_each), study.masks("flow-vgg11", one_each)
figures.outlined_grid(flows, masks, one_each.method.tolist(), columns=3)

# %% [markdown]
# ## Table 1 and the catalog at hand
#
# The paper's Table 1, and the number of videos of each kind in this run.

# %%
from viba_lib.evaluation.paper import TABLE_1

pd.concat([TABLE_1, pd.DataFrame([{"dataset": "total", "videos": TABLE_1.videos.sum()}])])

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
# ### What a split at random would leak
#
# The paper splits its videos at random. The same catalog, split so: `person` is the share of held-out
# videos whose person is also in training, `original` the share made from a film that is also in
# training, `linked` what hangs together with training by any chain of both.

# %%
from viba_lib.data.splits import leaks, split_catalog

splits = {"at random": split_catalog(catalog, seed=seed), "used here": catalog}
leak = pd.concat([leaks(s).assign(way=way) for way, s in splits.items()])
study.save_table("leaks", leak)
leak.round(3)

# %% tags=["remove-input"]
test = leak[leak.split == "test"].set_index("way")
HTML(
    f"<p>At random, the person of {test.person['at random']:.0%} of the test videos would be known from "
    f"training, and {test.original['at random']:.0%} would have a twin there; in the split that all results "
    f"of this book use, {test.person['used here']:.0%} and {test.original['used here']:.0%}.</p>"
)

# %% [markdown]
# A detector tested after a random split is partly asked whether it remembers. Test figures of such a
# split are an upper bound of what it does on a stranger.
#
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
# Still stretches of the film give no key frame, which is what the method is for: the detectors learn
# nothing from the same picture twice.
#
# ## From a frame to the inputs
#
# dlib {cite}`king2009dlib` finds the face; a square 1.3 times its box is cut out at 299 px for
# Xception. The same square of the key frame *and of its successor* at 256 px gives the flow map
# {cite}`farneback2003`: this is the paper's Figure 3. The pair below is from a temporal fake; try to
# tell from its two frames alone.

# %% mystnb={"image": {"alt": "Four pictures in a row: a face crop, the same crop one frame later, the flow map between them in colours, and the length of the flow."}, "figure": {"caption": "The Appendix D pipeline on one pair: key frame, successor, flow in colour, speed in pixels.", "name": "fig-pipeline"}}
from viba_lib.data.flow import flow_to_rgb

row = one_each.iloc[0]
clip, at = study.clip(row.video_id), row.position
flow = clip.flow[at].astype("float32").transpose(1, 2, 0)
speed = figures.grey_picture((flow**2).sum(2) ** 0.5)
steps = [clip.pairs[at, 0], clip.pairs[at, 1], flow_to_rgb(flow), speed]
figures.frames_grid(steps, ["key frame", "successor", "flow", "speed"])

# %% [markdown]
# Where the two crops look alike, the flow map still shows which part of the face moved, and where to.
# The network gets the vectors themselves, not these colours, less their median: the head's own motion.
#
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
