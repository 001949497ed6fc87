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
# The optimisation runs again for each frame, and a video has many. Which part takes the time, what can be saved without a
# change of the map, and are ten steps, the number of the reference implementation, enough?
#
# ```{admonition} What you will learn
# :class: tip
# - to find out where the time of an explanation is spent, counted layer by layer
# - to compare settings by their cost and by their agreement with an accurate map, measured on this machine
# - to read from measurements how the cost of a call grows with its frames
# - to see how many steps it takes until the map marks the artefact, and what a better start changes
# - to judge what coupling along a clip gains, and what it costs
# ```
#
# ```{admonition} What you need first
# :class: note
# | Concept | Why | Where |
# |---|---|---|
# | The five steps of the method | the fourth takes the time | {doc}`/notebooks/04_viba_step_by_step` |
# | {term}`Readout bottleneck` | one of the starts that are compared | {doc}`/notebooks/06_bottleneck_type` |
# | Forward and backward pass | what is counted | [PyTorch on autograd](https://docs.pytorch.org/tutorials/beginner/blitz/autograd_tutorial.html) |
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

check_injected()
study = Study(profile, data_root, results_root, device, seed)
HTML(study.banner())

# %% [markdown]
# ## Cost upstream and downstream of the layer
#
# A plain version of the method sends the frame through the complete network in every step, once for each sample of the noise, and
# computes the gradient of every weight on the way back. But nothing upstream of the {term}`Injection layer` changes from step to
# step, and only $\lambda$ needs a gradient. The library cuts the network at the layer. The part upstream runs once, and the part
# downstream runs in every step, with frozen weights. The saving depends on the position of the layer.

# %% mystnb={"image": {"alt": "Bars for the eight injection layers: share of the network's multiply-accumulates downstream and upstream of the layer."}, "figure": {"caption": "Share of a forward pass downstream and upstream of each of the paper's injection layers, counted in multiply-accumulates.", "name": "fig-cost-shares"}}
from viba_lib.experiments import speed
from viba_lib.models.detectors import DETECTORS
from viba_lib.visual import result_figures

costs = speed.layer_costs({name: study.settings(name).size for name in DETECTORS})
result_figures.cost_shares(costs.sort_values(["detector", "downstream"], ascending=False))

# %% tags=["remove-input"]
chosen = costs[[study.layer(row.detector) == row.layer for row in costs.itertuples()]]
from viba_lib.experiments import speed_readings

HTML(f"<p>{speed_readings.costs_text(chosen)}</p>")

# %% [markdown]
# The count is in passes: a plain step costs three passes of the complete network (forward, backward to the inputs, and backward
# to the weights). A step of the cut network costs two passes of its part downstream of the layer.

# %% [markdown]
# ## Cost and agreement of the settings
#
# `default` computes what the plain version computes, to rounding. Four settings save more time: the precision (`bfloat16`
# downstream of the layer, while the information stays in float32), the samples of the noise per step, the steps, and the passes
# of the first steps. In these, $\lambda$ is near 1, noise replaces almost nothing, and the model loss has almost no gradient:
# `information_steps` of them follow the information alone, without a pass. With `antithetic`, noise is sampled in mirrored pairs,
# so that errors of first order cancel. `auto` is the faster precision on this machine.

# %%
from dataclasses import asdict

import pandas as pd

from viba_lib.bottleneck import BottleneckSettings

settings = {name: asdict(BottleneckSettings(**changes)) for name, changes in speed.CHANGES.items()}
pd.DataFrame(settings).T[["steps", "information_steps", "noise_samples", "antithetic", "precision"]]

# %% [markdown]
# The plain version is measured in the same run. `ratio` is how many times faster a setting is than the plain version.
# `agreement` is the rank correlation of the layer's map ({term}`Capacity`) with the mean map of several default runs with other
# noise; 1 is the same order of all locations. Compare each value with that of the default, which differs from the mean by its own
# noise. A setting that agrees as well has lost nothing. `accurate` is not expected to agree, because it takes more steps than the
# default.

# %%
numbers = study.profile.speed
options = numbers.model_dump(include={"settings", "runs", "precision"})
subjects = speed.subjects(study, frames=frames or numbers.frames)
timed = pd.DataFrame([row for one in subjects for row in speed.measure_subject(one, **options)])
study.save_table("speed", timed, timed.drop(columns=["memory", "ratio_low", "ratio_high"]).round(3))

# %% mystnb={"image": {"alt": "Bars on a logarithmic axis: seconds per frame of the settings plain, default, bfloat16, fast and accurate, for both detectors at the paper's layers."}, "figure": {"caption": "Seconds per frame of each setting at the paper's layers, on a logarithmic axis.", "name": "fig-seconds"}}
result_figures.seconds_bars(timed)

# %% tags=["remove-input"]
HTML(
    f"<p>{speed_readings.settings_text(timed)} Measured on {study.provenance()['device']}; the mean map is of "
    f"{numbers.runs} runs in {numbers.precision}. Of the plain version two steps ran. The time of the others is computed "
    "from them, because all steps do the same work.</p>"
)

# %% [markdown]
# `viba bench` prints this table for your machine, for other layers and, if asked, with the memory of each setting.
#
# ## Cost of a call over its frames
#
# The frames of a call are optimised side by side, each with its own mask. Is the cost proportional to their number? A call
# prepares the part downstream of the layer once, and a processor uses its cores better with more frames. So look at the cost of
# each *further* frame. Equal costs give a straight line, and falling costs a concave curve.

# %% mystnb={"image": {"alt": "Line of the seconds to explain a clip over its number of frames."}, "figure": {"caption": "Total seconds over the number of frames explained in one call, Xception with the preset fast.", "name": "fig-clip-cost"}}
subject = next(speed.subjects(study, ["xception"], frames=max(numbers.counts)))
clip = pd.DataFrame(speed.growth(subject, numbers.counts))[["frames", "seconds"]]
figure = result_figures.lines(clip, "frames", ["seconds"], "frames", "total seconds")
figure.axes[0].set_ylim(bottom=0)
figure

# %% tags=["remove-input"]
HTML(f"<p>{speed_readings.growth_text(clip)}</p>")

# %% [markdown]
# ## Number of steps
#
# The reference implementation takes ten steps of Adam from $\lambda$ near 1. Has the map converged then? With planted artefacts
# the question has an answer: how much {term}`relevance <Attribution>` lies on the artefact, as a multiple of chance, after each
# step. Each line is one optimisation with one sample of the noise per step. The left panel has the cold start and three weights
# $\beta$ of the information. The right panel has other starts at $\beta = 10$: *readout* is the prediction of the readout
# bottleneck of [chapter 6](06_bottleneck_type), *warm* is the result of the frame before, and *gradients* sets the information of
# each unit by its mean gradient along a path from noise to the activation, as in integrated gradients. *Antithetic* starts cold,
# and every second step has the noise of the step before it, mirrored at its mean. The frames are the first ones of the fakes that
# the detector classifies with most confidence, all methods in turn, because a warm start needs consecutive frames.

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

table = convergence(study, "xception", numbers.clips, numbers.clip_frames, steps or numbers.steps)
study.save_table("convergence", table)
means, starts = over_frames(table), over_common_frames(table)
cold = means[means.start == "cold"]

# %% mystnb={"image": {"alt": "Two panels of relevance on the artefact as a multiple of chance over the steps of the optimisation: left for three values of beta from the cold start, right at beta 10 from five starts."}, "figure": {"caption": "Share of relevance inside the planted mask over the mask's share of the frame, over steps; mean over held-out fake frames, chance is 1.", "name": "fig-convergence"}}
panels = {
    "beta": cold.assign(line=cold.beta.map("{:g}".format)),
    "start": starts.assign(line=starts.start),
}
result_figures.over_steps(panels, "ratio", "relevance on the artefact / chance", chance=1.0)

# %% mystnb={"image": {"alt": "Two panels of the bits of a map over the steps of the optimisation: left for three values of beta, right at beta 10 from five starts."}, "figure": {"caption": "Bits of a map over steps, of the same optimisations; both axes are logarithmic.", "name": "fig-bits-steps"}}
result_figures.over_steps(panels, "bits", "bits per frame", log=True)

# %% tags=["remove-input"]
ten, last, best = summary(means).values()
text = no_masks(means.ratio, "the relevance on the artefact")
text = text or speed_readings.convergence_text(ten, last, best)
HTML(f"<p>{text}</p>")

# %% [markdown]
# Are fewer steps enough from a better start? The readout may start far from the optimum. Gradients see one path and not the
# optimum. The result of the frame before is close if little has moved; the first frame of a clip needs the longest optimisation
# for it. `agreement` is the rank correlation with maps of the default settings, ten steps with ten samples.

# %%
few = few_steps(starts)
study.save_table(
    "few_steps", few, few[["start", "steps", "frames", "agreement", "ratio", "bits"]].round(2)
)

# %% tags=["remove-input"]
HTML(f"<p>{few_steps_message(few)}</p>")

# %% [markdown]
# With the few frames of a short profile, similar values give no order. A map of fewer bits is also not a better one by itself: at
# a large $\beta$, an optimisation may lose the prediction to save bits.
#
# ## Coupling along a clip
#
# Frames of a clip show one face, so their maps need not jump. $\lambda$ can be smoothed along time, or its change from frame to
# frame can be penalised. Both raise the overlap of consecutive maps *by construction*, as the same map in every frame would.
# Therefore the table contains two such controls, maps that are smoothed afterwards and one map for all frames, and two further
# measures: relevance on the artefact (`ratio`), and the probability of the prediction as the most relevant pixels are inserted
# first (`insertion`). The clips are those of {doc}`/notebooks/16_faithfulness`.

# %%
from viba_lib.experiments.benchmark.temporal_coupling import joint_scores, joint_table
from viba_lib.experiments.common import Bootstrap

scores, bootstrap = joint_scores(study, "xception"), Bootstrap.of(study)
coupled = joint_table(scores, bootstrap)
columns = ["name", "videos", "iou", "ratio", "insertion", "bits"]
study.save_table("coupling", coupled, coupled[columns].round(3))

# %% mystnb={"image": {"alt": "Three panels of points with intervals: overlap of consecutive highlighted regions, relevance on the artefact with a line at chance, and insertion, for clips explained frame by frame, with two couplings, and for two controls."}, "figure": {"caption": "Held-out fake clips, frame by frame, coupled, and two controls: IoU of consecutive maps, relevance on the artefact (chance is 1) and insertion, with 95 % intervals over people and source clips.", "name": "fig-coupling"}}
result_figures.intervals(coupled, ["iou", "ratio", "insertion"], chance={"ratio": 1.0})

# %% tags=["remove-input"]
text = no_masks(coupled.ratio, "the relevance on the artefact")
text = text or speed_readings.coupling_text(scores, bootstrap)
HTML(f"<p>{text}</p>")

# %% [markdown]

# %% [markdown]
# ## Exercises
#
# ```{exercise} A law for clips
# :label: ex-clip-law
# Fit $\text{seconds} = a + b \cdot \text{frames}$ to the table `clip` by least squares, with `slope` for $b$ and `start` for $a$. How long
# would a minute of video take, 1,500 frames? Call it `a_minute`, in minutes. Compare the line with the costs of further frames
# above: when does it overestimate, and when is it not to be trusted?
# ```
#
# ```{solution-start} ex-clip-law
# :class: dropdown
# ```

# %% tags=["solution"]
import numpy as np

slope, start = np.polyfit(clip.frames, clip.seconds, 1)
a_minute = (start + slope * 1500) / 60
print(f"{start:.2f} s + {slope:.3f} s a frame: {a_minute:.1f} min for a minute of video")

# %% tags=["check", "remove-cell"]
x, y = clip.frames.to_numpy(float), clip.seconds.to_numpy(float)
expected = ((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum()
assert abs(slope - expected) < 1e-9 and abs(start - (y.mean() - expected * x.mean())) < 1e-9
assert abs(a_minute * 60 - (start + 1500 * slope)) < 1e-6

# %% [markdown]
# If the curve is concave, further frames cost less than the slope, and the line overestimates. A line through a few small counts
# also says little about large ones: memory may run out, and a warm machine may slow down. This is why `viba bench --growth`
# measures up to hundreds of frames.
#
# ```{solution-end}
# ```
#
# ```{exercise} The most that can be saved
# :label: ex-amdahl
# If a share $s$ of the work is made $f$ times faster, the whole is $1 / ((1 - s) + s / f)$ times faster (Amdahl's law). Write
# `speedup(s, f)`. For each layer of `costs`, compute the limit for $f \to \infty$ if everything *upstream* of the layer costs
# nothing, as a list or series `limits`. Which layers gain most, and why are they not chosen for that?
# ```
#
# ```{solution-start} ex-amdahl
# :class: dropdown
# ```


# %% tags=["solution"]
def speedup(s, f):
    """How many times faster the whole is if a share s is f times faster."""
    return 1 / ((1 - s) + s / f)


shares = costs.upstream / (costs.upstream + costs.downstream)
limits = shares.map(lambda s: speedup(s, float("inf")))
costs.assign(limit=limits)[["detector", "layer", "limit"]].round(1)

# %% tags=["check", "remove-cell"]
assert (
    speedup(0, 5) == 1 and abs(speedup(0.5, 2) - 4 / 3) < 1e-9 and speedup(0.5, float("inf")) == 2
)
assert len(limits) == len(costs) and all(limit >= 1 for limit in limits)

# %% [markdown]
# The last layers gain most, because almost nothing is downstream of them. But their maps are coarse, see
# {doc}`/notebooks/05_injection_layer`. Speed is no reason for a layer.
#
# ```{solution-end}
# ```
#
# ## Common misconceptions
#
# - **"A faster setting gives a worse map."** Some settings change rounding only. Compare their agreement with that of the default.
# - **"After ten steps it has converged."** Ten steps are a budget. The figure of the bits shows whether they still fall.
# - **"Twice as many frames take twice as long."** Only if each further frame costs the same. The section on calls measures it.
# - **"A more consistent map is a better one."** Any smoothing makes maps more consistent. Check whether they stay on the artefact.
#
# ## Quiz
#
# **1. What must run again in each step of the optimisation?**
#
# - a) the whole network
# - b) the part downstream of the injection layer
# - c) the part upstream of it
#
# ```{dropdown} Answer to question 1
# **b.** Nothing upstream of the layer depends on $\lambda$. Running it once changes no result.
# ```
#
# **2. The agreement of the default with the mean of other default runs is below 1. Why?**
#
# - a) the noise differs
# - b) there is an error
# - c) the mean is wrong
#
# ```{dropdown} Answer to question 2
# **a.** Each run samples other noise. A cheaper setting that agrees as well as the default has lost nothing.
# ```
#
# **3. Each frame starts where the one before it ended. When does that fail?**
#
# - a) in slow videos
# - b) after a cut, or if the evidence jumps
# - c) with few frames
#
# ```{dropdown} Answer to question 3
# **b.** The start is then far from the optimum, and few steps do not reach it.
# ```
#
# ## Summary
#
# - The part downstream of the layer runs in every step and for every sample, the part upstream once.
# - `PerSampleBottleneck` computes the map of the reference implementation, `.fast` approximates it at a lower cost, and `.accurate`
#   takes more steps. The agreement says how good the approximation is.
# - The cost of a call need not be proportional to its frames. Measure it.
# - Temporal consistency has a value only if maps stay on the artefact.
#
# ## What next
#
# - Measure your own machine: {ref}`bench`.
# - Is a longer optimisation also better than other methods? {doc}`/notebooks/15_localisation`.
# - Many videos on many machines: {doc}`/book/cluster`.
#
# ## References
#
# - {cite:t}`schulz2020`: the settings that are the defaults: ten steps, ten samples, a learning rate of 1.
# - {cite:t}`solopova2024`: explains frame by frame; the coupling along a clip is this book's.

# %% tags=["remove-input"]
HTML(study.provenance_html())
