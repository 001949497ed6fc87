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
# # Speed and convergence
#
# The optimisation runs again for each frame, and a video has many frames. This chapter measures which part of the
# optimisation takes most of the time and which time can be saved without a change of the map. It also tests whether ten
# steps, the number of the reference implementation, are enough.
#
# ```{admonition} What you will learn
# :class: tip
# - to count the cost of an explanation layer by layer
# - to compare settings by their measured cost and by their agreement with an accurate map
# - to read from measurements how the cost of a call grows with its frames
# - to read how many steps the map needs to mark the artefact, and how the start of the optimisation changes this number
# - to judge the gain and the cost of temporal coupling along a clip
# ```
#
# ```{admonition} What you need first
# :class: note
# | Concept | Why | Where |
# |---|---|---|
# | The five steps of the method | the fourth step takes most of the time | {doc}`/notebooks/04_viba_step_by_step` |
# | {term}`Readout bottleneck` | one of the starts that are compared | {doc}`/notebooks/06_bottleneck_type` |
# | Forward and backward pass | the unit of the cost | [PyTorch on autograd](https://docs.pytorch.org/tutorials/beginner/blitz/autograd_tutorial.html) |
# ```
#
# <!-- time -->

# %% tags=["parameters"]
profile = "quick"
data_root = "../data"
results_root = "../results"
device = "cpu"
seed = 0
frames = 0  # frames timed in one call, 0 for as many as the profile says; at least 0
steps = 0  # of the longest optimisation, 0 for as many as the profile says; at least 0

# %% tags=["remove-input"]
from IPython.display import HTML

from viba_lib.book.injected import check_injected
from viba_lib.pipeline.study import Study
from viba_lib.visual.prose import prose

check_injected()
study = Study(profile, data_root, results_root, device, seed)
HTML(study.banner())

# %% [markdown]
# ## Cost upstream and downstream of the layer
#
# A plain version of the method sends the frame through the complete network in every step, once for each sample of the
# noise, and computes the gradient of every weight in the backward pass. But nothing upstream of the
# {term}`Injection layer` changes from step to step, and only $\lambda$ needs a gradient. The library splits the network
# at the layer. The part upstream runs once, and the part downstream runs in every step, with frozen weights. The saving
# depends on the position of the layer.

# %% mystnb={"image": {"alt": "Bars for the eight injection layers: fraction of the network's multiply-accumulates downstream and upstream of the layer."}, "figure": {"caption": "Fraction of a forward pass downstream and upstream of each of the paper's injection layers, counted in multiply-accumulates.", "name": "fig-cost-shares"}}
from viba_lib.experiments import speed
from viba_lib.models.detectors import DETECTORS
from viba_lib.visual import result_figures

costs = speed.layer_costs(
    {name: study.settings(name).size for name in DETECTORS}
)
result_figures.cost_shares(
    costs.sort_values(["detector", "downstream"], ascending=False)
)

# %% tags=["remove-input"]
chosen = costs[
    [study.layer(row.detector) == row.layer for row in costs.itertuples()]
]
from viba_lib.experiments import speed_readings

prose(speed_readings.costs_text(chosen))

# %% [markdown]
# The cost is counted in passes. A plain step costs three passes of the complete network (forward, backward to the
# inputs, and backward to the weights). A step of the split network costs two passes of its part downstream of the
# layer.

# %% [markdown]
# One saving does not change the result at all. In evaluation mode, a batch norm multiplies each channel by a constant
# and adds another, {eq}`eq-layers-affine`. A convolution is linear, so the constants can be multiplied into its weights
# once. Then the batch norm needs no operation in any step. The next lines do this for the first convolution of Xception,
# on a frame of this run.

# %%
import numpy as np
import torch

network = study.detector("xception")
convolution, norm = network.conv1, network.bn1
one = study.evaluation_rows("xception").head(1)
x = study.inputs("xception", one).to(device)

# %% tags=["decisive"]
with torch.no_grad():
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    offset = norm.bias - scale * norm.running_mean
    weight = convolution.weight * scale[:, None, None, None]
    if convolution.bias is not None:
        offset = offset + scale * convolution.bias
    geometry = (convolution.stride, convolution.padding)
    once = torch.nn.functional.conv2d(x, weight, offset, *geometry)
    twice = norm(convolution(x))  # two operations in each pass

# %%
from viba_lib.bottleneck.fold import lean

both = torch.fx.symbolic_trace(torch.nn.Sequential(convolution, norm))
with torch.no_grad():
    by_library = lean(both)(x)
np.testing.assert_allclose(once.cpu(), twice.cpu(), rtol=1e-3, atol=1e-4)
np.testing.assert_allclose(once.cpu(), by_library.cpu(), rtol=1e-3, atol=1e-4)
print(f"largest difference {float((once - twice).abs().max()):.1e}")

# %% [markdown]
# The folded convolution agrees with the two layers, and with the library's function `lean`, up to rounding. The library
# folds every batch norm downstream of the layer in this way.

# %% [markdown]
# ## Cost and agreement of the settings
#
# `default` computes the same result as the plain version, except for rounding. Four settings save more time: the
# precision (`bfloat16` downstream of the layer, while the information stays in float32), the samples of the noise per
# step, the steps, and the passes of the first steps. In the first steps $\lambda$ is near 1, noise replaces almost
# nothing, and the model loss has almost no gradient. Therefore the first `information_steps` steps use the gradient of
# the information alone, without a pass. With `antithetic`, noise is sampled in mirrored pairs, so that errors of first
# order cancel. `auto` is the faster precision on this machine.

# %%
from dataclasses import asdict

import pandas as pd

from viba_lib.bottleneck import BottleneckSettings

settings = {
    name: asdict(BottleneckSettings(**changes))
    for name, changes in speed.CHANGES.items()
}
pd.DataFrame(settings).T[
    ["steps", "information_steps", "noise_samples", "antithetic", "precision"]
]

# %% [markdown]
# The plain version is measured in the same run. `ratio` is how many times faster a setting is than the plain version.
# `agreement` is the rank correlation of the layer's map ({term}`Capacity`) with the mean map of several default runs
# with other noise; 1 is the same order of all locations. Compare each value with that of the default, which differs
# from the mean because of its own noise. A setting with the agreement of the default approximates the mean map equally
# well. `accurate` is not expected to agree, because it takes more steps than the default.

# %%
numbers = study.profile.speed
options = numbers.model_dump(
    include={"settings", "runs", "precision", "plain_items"}
)
subjects = speed.subjects(study, frames=frames or numbers.frames)
timed = pd.DataFrame(
    [row for one in subjects for row in speed.measure_subject(one, **options)]
)
study.save_table(
    "speed",
    timed,
    timed.drop(columns=["memory", "ratio_low", "ratio_high"]).round(3),
)

# %% mystnb={"image": {"alt": "Bars on a logarithmic axis: seconds per frame of the settings plain, default, bfloat16, fast and accurate, for both detectors at the paper's layers."}, "figure": {"caption": "Seconds per frame of each setting at the paper's layers, on a logarithmic axis.", "name": "fig-seconds"}}
result_figures.seconds_bars(timed)

# %% tags=["remove-input"]
prose(
    f"{speed_readings.settings_text(timed)} Measured on {study.provenance()['device']}; the mean map is of "
    f"{numbers.runs} runs in {numbers.precision}. Two steps of the plain version were timed. The time of the others is "
    "computed from them, because all steps do the same work. It ran "
    f"{numbers.plain_items} of its {BottleneckSettings().noise_samples} samples of the noise at a time. The reference "
    "implementation runs all at once, which needs more memory."
)

# %% [markdown]
# `viba bench` prints this table for your machine and for other layers, with a plain version that runs all samples in
# one pass. An option adds the memory of each setting.
#
# ## Cost of a call over its frames
#
# The frames of a call are optimised side by side, each with its own mask. Is the cost proportional to their number? A
# call prepares the part downstream of the layer once, and a processor uses its cores better with more frames. The
# relevant number is therefore the cost of each *further* frame. Equal costs give a straight line, and falling costs a
# concave curve.

# %% mystnb={"image": {"alt": "Line of the seconds to explain a clip over its number of frames."}, "figure": {"caption": "Total seconds over the number of frames explained in one call, Xception with the preset fast.", "name": "fig-clip-cost"}}
subject = next(speed.subjects(study, ["xception"], frames=max(numbers.counts)))
clip = pd.DataFrame(speed.growth(subject, numbers.counts))[
    ["frames", "seconds"]
]
figure = result_figures.lines(
    clip, "frames", ["seconds"], "frames", "total seconds"
)
figure.axes[0].set_ylim(bottom=0)
figure

# %% tags=["remove-input"]
prose(speed_readings.growth_text(clip))

# %% [markdown]
# ## Number of steps
#
# The reference implementation takes ten steps of Adam from $\lambda$ near 1. Has the map converged then? Planted
# artefacts make the question measurable: how much {term}`relevance <Attribution>` lies on the artefact, as a multiple
# of chance, after each step? Each line is one optimisation with one sample of the noise per step. The left panel has
# the cold start and three weights $\beta$ of the information. The right panel compares five starts at $\beta = 10$:
#
# - *cold* starts near $\lambda = 1$.
# - *readout* starts from the prediction of the readout bottleneck of {doc}`/notebooks/06_bottleneck_type`.
# - *warm* starts from the result of the previous frame.
# - *gradients* sets the information of each unit by its mean gradient along a path from noise to the activation, as in
#   integrated gradients.
# - *antithetic* starts cold, and every second step uses the noise of the previous step, mirrored at its mean.
#
# For each planted method in turn, the fake with the highest mean probability of fake is taken, and its first prepared key frames are explained
# in the order of time. There are gaps between them, so a warm start from the previous one can be farther from the optimum
# than with consecutive frames.

# %%
from viba_lib.experiments.common import no_masks
from viba_lib.experiments.convergence import (
    convergence,
    few_steps,
    few_steps_message,
    over_common_frames,
    over_frames,
    summary,
)

table = convergence(
    study,
    "xception",
    numbers.clips,
    numbers.clip_frames,
    steps or numbers.steps,
)
study.save_table("convergence", table)
means, starts = over_frames(table), over_common_frames(table)
cold = means[means.start == "cold"]

# %% mystnb={"image": {"alt": "Two panels of relevance on the artefact as a multiple of chance over the steps of the optimisation: left for three values of beta from the cold start, right at beta 10 from five starts."}, "figure": {"caption": "Fraction of relevance inside the planted mask over the mask's fraction of the frame, over steps; mean over held-out fake frames, chance is 1.", "name": "fig-convergence"}}
panels = {
    "beta": cold.assign(line=cold.beta.map("{:g}".format)),
    "start": starts.assign(line=starts.start),
}
result_figures.over_steps(
    panels, "ratio", "relevance on the artefact / chance", chance=1.0
)

# %% mystnb={"image": {"alt": "Two panels of the bits of a map over the steps of the optimisation: left for three values of beta, right at beta 10 from five starts."}, "figure": {"caption": "Bits of a map over steps, of the same optimisations; both axes are logarithmic.", "name": "fig-bits-steps"}}
result_figures.over_steps(panels, "bits", "bits per frame", log=True)

# %% tags=["remove-input"]
ten, last, best = summary(means).values()
text = no_masks(means.ratio, "the relevance on the artefact")
text = text or speed_readings.convergence_text(ten, last, best)
prose(text)

# %% [markdown]
# Are fewer steps enough from a better start? The readout may start far from the optimum. The gradients are computed
# along one path, which need not end near the optimum. The result of the previous frame is a good start if there is
# little motion, but then the first frame of a clip needs the longest optimisation. `agreement` is the rank correlation
# with maps of the default settings, ten steps with ten samples.

# %%
few = few_steps(starts)
study.save_table(
    "few_steps",
    few,
    few[["start", "steps", "frames", "agreement", "ratio", "bits"]].round(2),
)

# %% tags=["remove-input"]
prose(few_steps_message(few))

# %% [markdown]
# With the few frames of a short profile, similar values do not give a ranking. A map with fewer bits is also not
# necessarily a better map: at a large $\beta$, an optimisation may lose the prediction to save bits.
#
# ## Temporal coupling along a clip
#
# Frames of a clip show one face, so their maps should change little. $\lambda$ can be smoothed along time, or its
# change from frame to frame can be penalised. Both increase the overlap of consecutive maps *by construction*, as the
# same map in every frame would. Therefore the table contains two such controls, maps that are smoothed afterwards and
# one map for all frames. It also contains two further measures: relevance on the artefact (`ratio`), and the
# probability of the prediction as the most relevant pixels are inserted first (`insertion`). The clips are those of
# {doc}`/notebooks/12_faithfulness`.

# %%
from viba_lib.experiments.benchmark.temporal_coupling import (
    joint_scores,
    joint_table,
)
from viba_lib.experiments.common import Bootstrap

scores, bootstrap = joint_scores(study, "xception"), Bootstrap.of(study)
coupled = joint_table(scores, bootstrap)
columns = ["name", "videos", "iou", "ratio", "insertion", "bits"]
study.save_table("coupling", coupled, coupled[columns].round(3))

# %% mystnb={"image": {"alt": "Three panels of points with intervals: overlap of consecutive highlighted regions, relevance on the artefact with a line at chance, and insertion, for clips explained frame by frame, with two couplings, and for two controls."}, "figure": {"caption": "Held-out fake clips, frame by frame, coupled, and two controls: IoU of consecutive maps, relevance on the artefact (chance is 1) and insertion, with 95 % intervals over people and source clips.", "name": "fig-coupling"}}
result_figures.intervals(
    coupled, ["iou", "ratio", "insertion"], chance={"ratio": 1.0}
)

# %% tags=["remove-input"]
text = no_masks(coupled.ratio, "the relevance on the artefact")
text = text or speed_readings.coupling_text(scores, bootstrap)
prose(text)

# %% [markdown]

# %% [markdown]
# ## Exercises
#
# ```{exercise} Linear cost model for clips
# :label: ex-clip-law
# Write `line(frames, seconds)`, which fits $\text{seconds} = a + b \cdot \text{frames}$ by least squares and returns $b$ and
# $a$. Apply it to the table `clip` and call the results `slope` and `start`. How long would a minute of video take, 1,500
# frames? Call it `a_minute`, in minutes. Compare the line with the costs of further frames above. When does it overestimate,
# and when is it unreliable?
# ```
#
# ```{solution-start} ex-clip-law
# :class: dropdown
# ```

# %% tags=["solution"]
import numpy as np


def line(frames, seconds):
    """Slope and intercept by least squares."""
    return np.polyfit(frames, seconds, 1)


slope, start = line(clip.frames, clip.seconds)
a_minute = (start + slope * 1500) / 60
print(
    f"{start:.2f} s + {slope:.3f} s a frame: "
    f"{a_minute:.1f} min for a minute of video"
)

# %% tags=["check", "remove-cell"]
x, y = clip.frames.to_numpy(float), clip.seconds.to_numpy(float)
expected = ((x - x.mean()) * (y - y.mean())).sum() / (
    (x - x.mean()) ** 2
).sum()
assert (
    abs(slope - expected) < 1e-9
    and abs(start - (y.mean() - expected * x.mean())) < 1e-9
)
assert abs(a_minute * 60 - (start + 1500 * slope)) < 1e-6

# %% tags=["hidden", "remove-cell"]
made = np.array([0.0, 1, 2]), np.array([0.0, 1, 5])
assert np.allclose(line(*made), (2.5, -0.5))
assert np.allclose(line(np.array([1.0, 2, 4]), np.array([3.0, 5, 9])), (2, 1))

# %% [markdown]
# If the curve is concave, further frames cost less than the slope, and the line overestimates. A line through a few
# small counts also says little about large ones, because memory may run out and a warm machine may slow down. This is
# why `viba bench --growth` measures up to hundreds of frames.
#
# ```{solution-end}
# ```
#
# ```{exercise} Upper limit of the speed-up
# :label: ex-amdahl
# If a fraction $s$ of the work is made $f$ times faster, the whole is $1 / ((1 - s) + s / f)$ times faster (Amdahl's
# law). Write `speedup(s, f)`. For each layer of `costs`, compute the limit for $f \to \infty$ if everything *upstream*
# of the layer costs nothing, as a list or series `limits`. Which layers gain most, and why are they not chosen for this
# reason?
# ```
#
# ```{solution-start} ex-amdahl
# :class: dropdown
# ```


# %% tags=["solution"]
def speedup(s, f):
    """How many times faster the whole is if a fraction s is f times faster."""
    return 1 / ((1 - s) + s / f)


shares = costs.upstream / (costs.upstream + costs.downstream)
limits = shares.map(lambda s: speedup(s, float("inf")))
costs.assign(limit=limits)[["detector", "layer", "limit"]].round(1)

# %% tags=["check", "remove-cell"]
assert (
    speedup(0, 5) == 1
    and abs(speedup(0.5, 2) - 4 / 3) < 1e-9
    and speedup(0.5, float("inf")) == 2
)
assert len(limits) == len(costs) and all(limit >= 1 for limit in limits)

# %% tags=["hidden", "remove-cell"]
assert abs(speedup(0.25, 5) - 1.25) < 1e-9
assert abs(speedup(0.9, 10) - 1 / 0.19) < 1e-9 and speedup(1, 8) == 8
of_layers = zip(limits, costs.upstream, costs.downstream, strict=True)
for limit, upstream, downstream in of_layers:
    assert abs(limit - (upstream + downstream) / downstream) <= 1e-6 * limit

# %% [markdown]
# The last layers gain most, because almost nothing is downstream of them. But their maps are coarse, see
# {doc}`/notebooks/05_injection_layer`. Speed alone is not a reason to choose a layer.
#
# ```{solution-end}
# ```
#
# ## Common misconceptions
#
# - **"A faster setting gives a worse map."** Some settings change rounding only. Compare their agreement with that of
#   the default.
# - **"After ten steps it has converged."** Ten steps are a budget. The figure of the bits shows whether they still
#   fall.
# - **"Twice as many frames take twice as long."** This is true only if each further frame costs the same. The section
#   on calls measures it.
# - **"A more consistent map is a better one."** Any smoothing makes maps more consistent. Check whether the relevance
#   stays on the artefact.
#
# ## Quiz
#
# **1. What must run again in each step of the optimisation?**
#
# - a) the part downstream of the injection layer
# - b) the complete network, with its input
# - c) the part upstream of the injection layer
#
# ```{dropdown} Answer to question 1
# **a.** Nothing upstream of the layer depends on $\lambda$. Running this part only once does not change the result.
# ```
#
# **2. Why can the agreement of a run with the mean of other runs of the same setting be below one?**
#
# - a) because the runs use different frames of the same video
# - b) because the runs use different weights of the detector
# - c) because the runs use different samples of the noise
#
# ```{dropdown} Answer to question 2
# **c.** Each run samples other noise. A cheaper setting with the same agreement approximates the mean map equally well.
# ```
#
# **3. Each frame starts from the result of the previous frame. When does this fail?**
#
# - a) after a cut, with different evidence
# - b) in short clips, with only few frames
# - c) in slow videos, with small changes
#
# ```{dropdown} Answer to question 3
# **a.** The start is then far from the optimum, and few steps do not reach it.
# ```
#
# ## Summary
#
# - The part downstream of the layer runs in every step and for every sample, and the part upstream runs once.
# - `PerSampleBottleneck` computes the map of the reference implementation, `.fast` approximates it at a lower cost, and
#   `.accurate` takes more steps. The agreement says how good the approximation is.
# - The cost of a call need not be proportional to its frames, so it must be measured.
# - Temporal consistency has a value only if the relevance stays on the artefact.
#
# ## What next
#
# - Measurements on your own machine: {ref}`bench`.
# - Comparison of longer optimisations with other methods: {doc}`/notebooks/11_localisation`.
# - Many videos on many machines: {doc}`/book/cluster`.
#
# ## References
#
# - {cite:t}`schulz2020`: the settings that are the defaults: ten steps, ten samples, a learning rate of 1.
# - {cite:t}`solopova2024`: explains frame by frame; the coupling along a clip is an addition of this book.

# %% tags=["remove-input"]
HTML(study.provenance_html())
