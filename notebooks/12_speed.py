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
# # Speed, and what ten steps leave on the table
#
# The optimisation runs anew for each frame, and a video has many. Where does the time go, what can be saved without
# changing the map, and are the customary ten steps enough?
#
# ```{admonition} What you will learn
# :class: tip
# - where the time of an explanation goes, counted layer by layer
# - what each setting costs, and how far its map is from a careful one, measured on this machine
# - how many steps it takes until the map points at the artefact, and what a better start gives
# - what coupling along a clip buys, and at what price
# ```
#
# ```{admonition} What you need first
# :class: note
# | Concept | Why | Where |
# |---|---|---|
# | The five steps of the method | the fourth is what costs | {doc}`/notebooks/04_viba_step_by_step` |
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
# ## Where the time goes
#
# A plain version of the method sends the frame through the whole network in every step, once for each draw of noise,
# and on the way back takes the gradient of every weight. But nothing before the {term}`Injection layer` changes from step to step, and
# nothing but $\lambda$ needs a gradient. The library cuts the network at the layer: what lies before runs once, what
# lies behind in every step, with its weights at rest. How much that saves depends on where the layer is.

# %% mystnb={"image": {"alt": "Bars for the eight injection layers: share of the network's multiply-accumulates behind the layer and before it; at the early layers most lies behind, at the last ones next to nothing."}, "figure": {"caption": "Share of a forward pass behind and before each of the paper's injection layers, counted in multiply-accumulates.", "name": "fig-cost-shares"}}
from viba_lib.experiments import speed
from viba_lib.models.detectors import DETECTORS
from viba_lib.visual import result_figures

costs = speed.layer_costs({name: study.settings(name).size for name in DETECTORS})
result_figures.cost_shares(costs.sort_values(["detector", "downstream"], ascending=False))

# %% tags=["remove-input"]
chosen = costs[[study.layer(row.detector) == row.layer for row in costs.itertuples()]]
HTML(
    "<p>In units of one forward pass, a plain step costs three passes of the whole network: forward, back to the inputs, "
    "and back to the weights. A step of the cut network costs two of its part behind the layer. "
    + " ".join(
        f"At {row.layer} of {row.detector}, {row.downstream:.1f} of {row.upstream + row.downstream:.1f} billion multiply-accumulates "
        f"lie behind; by counting alone, the same steps should take {row.expected:.1f} times less."
        for row in chosen.itertuples()
    )
    + "</p>"
)

# %% [markdown]
# ## What each setting costs
#
# `default` computes what the plain version computes, to rounding. Four things can be traded for more: precision
# (`bfloat16` in the part behind the layer, while the information stays in float32), draws of noise per step, steps, and
# the passes of the first steps. There $\lambda$ is near 1, almost nothing is replaced by noise, and the model loss has
# almost no gradient: `information_steps` of them follow the information alone, without a pass. Noise can also be drawn in
# mirrored pairs (`antithetic`), so that errors of first order cancel. `auto` is the faster precision on this machine.

# %%
from dataclasses import asdict

import pandas as pd

from viba_lib.bottleneck import BottleneckSettings

settings = {name: asdict(BottleneckSettings(**changes)) for name, changes in speed.CHANGES.items()}
pd.DataFrame(settings).T[["steps", "information_steps", "noise_samples", "antithetic", "precision"]]

# %% [markdown]
# Now measured, with the plain version in the same run. `ratio` is how many times faster than plain. `agreement` is the
# rank correlation of the layer's map ({term}`Capacity`) with the mean map of several default runs with other noise; one is the same order
# of all places. Read it from the default: even that one differs from the mean, by its own noise. A cheaper setting that
# agrees as well has lost nothing that the default knew. `accurate` is not made to agree: it goes on where the default
# stops.

# %%
numbers = study.profile.speed
options = numbers.model_dump(include={"settings", "runs", "precision"})
subjects = speed.subjects(study, frames=frames or numbers.frames)
timed = pd.DataFrame([row for one in subjects for row in speed.measure_subject(one, **options)])
study.save_table("speed", timed, timed.drop(columns=["memory", "ratio_low", "ratio_high"]).round(3))

# %% mystnb={"image": {"alt": "Bars on a logarithmic axis: seconds per frame of the settings plain, default, bfloat16, fast and accurate, for both detectors at the paper's layers."}, "figure": {"caption": "Seconds per frame of each setting at the paper's layers, on a logarithmic axis.", "name": "fig-seconds"}}
result_figures.seconds_bars(timed)

# %% tags=["remove-input"]
by_name = timed.set_index(["detector", "settings"])
HTML(
    "<p>"
    + " ".join(
        f"{name}: the default is {by_name.ratio[name, 'default']:.1f} times faster than plain, fast "
        f"{by_name.ratio[name, 'fast']:.0f} times, with an agreement of {by_name.agreement[name, 'fast']:.3f} beside the "
        f"default's {by_name.agreement[name, 'default']:.3f}."
        for name in timed.detector.unique()
    )
    + f" Measured on {study.provenance()['device']}; agreement is with the mean of {numbers.runs} runs in {numbers.precision}. "
    "The plain version ran two of its steps, and the rest is counted in: all its steps are the same work.</p>"
)

# %% [markdown]
# `viba bench` prints this table for your machine, for other layers and, if asked, with the memory that each setting
# takes.
#
# ## A clip costs its frames
#
# Frames are optimised side by side, each as if it were alone. Expect a straight line that begins a little above zero:
# the part behind the layer is made lean once in a call, whatever the number of frames.

# %% mystnb={"image": {"alt": "Line of the seconds to explain a clip over its number of frames; it rises evenly."}, "figure": {"caption": "Seconds in all over the number of frames explained in one call, Xception with the preset fast.", "name": "fig-clip-cost"}}
subject = next(speed.subjects(study, ["xception"], frames=max(numbers.counts)))
clip = pd.DataFrame(speed.growth(subject, numbers.counts))[["frames", "seconds"]]
figure = result_figures.lines(clip, "frames", ["seconds"], "frames", "seconds in all")
figure.axes[0].set_ylim(bottom=0)
figure

# %% tags=["remove-input"]
each = clip.seconds / clip.frames
HTML(
    f"<p>A single frame took {each.iloc[0]:.2f} s; in a call of {clip.frames.iloc[-1]} frames, one took "
    f"{each.iloc[-1]:.2f} s.</p>"
)

# %% [markdown]
# ## How many steps?
#
# Ten steps of Adam from $\lambda$ near 1 are the reference's choice. Is the map then finished? Where the artefact is
# planted, the question has an answer: how much {term}`relevance <Attribution>` lies on it, as a multiple of chance, after so many steps. Each
# line is one single optimisation, looked at along its way, with one draw of noise per step. On the left from the cold
# start, for three weights $\beta$ of the information. On the right at $\beta = 10$ from other starts: *readout* is what
# the readout bottleneck of [chapter 6](06_bottleneck_type) predicts, *warm* is where the frame before ended, and
# *gradients* is where each unit's information costs as much as its mean gradient along a path from noise to the
# activation, as in integrated gradients. *Antithetic* starts cold, and every second step has the noise of the step before
# it, mirrored at its mean. The frames are the first ones of the fakes of which the detector is surest, each method
# first, because a warm start needs frames that follow each other.

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
text = no_masks(means.ratio, "the relevance on the artefact") or (
    f"Over {ten.frames} frames of {table.video_id.nunique()} clips, {ten.steps} steps at beta 10 come down to "
    f"{ten.bits:,.0f} bits a frame, with {ten.ratio:.1f} times the chance share on the artefact and the strongest pixel "
    f"inside in {ten.hit:.0%}. {last.steps} steps come down to {last.bits:,.0f} bits, with {last.ratio:.1f} times chance "
    f"and {last.hit:.0%}: so much is left on the table. The most relevance on the artefact from the cold start is at beta "
    f"{best.beta:g} after {best.steps} steps: {best.ratio:.1f} times chance, with {best.bits:,.0f} bits and the strongest "
    f"pixel inside in {best.hit:.0%}."
)
HTML(f"<p>{text}</p>")

# %% [markdown]
# Are fewer steps enough from a better start? The readout may be near a wrong end. Gradients see one path and not the
# optimum. The frame before is near the right end where little moved; the first frame of a clip pays for that with the
# longest optimisation. `agreement` is the rank correlation with maps of the default settings, ten steps with ten draws.

# %%
few = few_steps(starts)
study.save_table(
    "few_steps", few, few[["start", "steps", "frames", "agreement", "ratio", "bits"]].round(2)
)

# %% tags=["remove-input"]
HTML(f"<p>{few_steps_message(few)}</p>")

# %% [markdown]
# With the few frames of a short profile, near values order nothing for sure. Nor is a map of fewer bits a better one by
# itself: at a large $\beta$ an optimisation may pay for saved bits with the prediction.
#
# ## Coupled along a clip
#
# Frames of a clip show one face, and their maps need not jump. $\lambda$ can be smoothed along time, or its change from
# frame to frame can be penalised. Either raises the overlap of consecutive maps *by construction*, as the same map in
# every frame would. Therefore the table contains two such controls, maps that are smoothed afterwards and one map for
# all frames, and two further measures: relevance on the artefact (`ratio`), and the probability of the prediction as
# the most relevant pixels are inserted first (`insertion`). The clips are those of {doc}`/notebooks/16_faithfulness`.

# %%
from viba_lib.experiments.benchmark.temporal_coupling import joint_scores, joint_table
from viba_lib.experiments.common import Bootstrap

coupled = joint_table(joint_scores(study, "xception"), Bootstrap.of(study))
columns = ["name", "videos", "iou", "ratio", "insertion", "bits"]
study.save_table("coupling", coupled, coupled[columns].round(3))

# %% mystnb={"image": {"alt": "Three panels of points with intervals: overlap of consecutive highlighted regions, relevance on the artefact with a line at chance, and insertion, for clips explained frame by frame, with two couplings, and for two controls."}, "figure": {"caption": "Held-out fake clips, frame by frame, coupled, and two controls: IoU of consecutive maps, relevance on the artefact (chance is 1) and insertion, with 95 % intervals over videos.", "name": "fig-coupling"}}
result_figures.intervals(coupled, ["iou", "ratio", "insertion"], chance={"ratio": 1.0})

# %% tags=["remove-input"]
alone, *others = coupled.itertuples()
text = no_masks(coupled.ratio, "the relevance on the artefact") or " ".join(
    f"{other.name.capitalize()}: IoU {alone.iou:.2f} becomes {other.iou:.2f}, relevance on the artefact "
    f"{alone.ratio:.1f} becomes {other.ratio:.1f} times chance, and insertion {alone.insertion:.2f} becomes "
    f"{other.insertion:.2f}."
    for other in others
)
HTML(f"<p>{text}</p>")

# %% [markdown]

# %% [markdown]
# ## Exercises
#
# ```{exercise} A law for clips
# :label: ex-clip-law
# Fit $\text{seconds} = a + b \cdot \text{frames}$ to the table `clip` by least squares, with `slope` for $b$ and `start` for $a$. How long
# would a minute of film take, 1,500 frames? Call it `a_minute`, in minutes. When should you mistrust it?
# ```
#
# ```{solution-start} ex-clip-law
# :class: dropdown
# ```

# %% tags=["solution"]
import numpy as np

slope, start = np.polyfit(clip.frames, clip.seconds, 1)
a_minute = (start + slope * 1500) / 60
print(f"{start:.2f} s + {slope:.3f} s a frame: {a_minute:.1f} min for a minute of film")

# %% tags=["check", "remove-cell"]
x, y = clip.frames.to_numpy(float), clip.seconds.to_numpy(float)
expected = ((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum()
assert abs(slope - expected) < 1e-9 and abs(start - (y.mean() - expected * x.mean())) < 1e-9
assert abs(a_minute * 60 - (start + 1500 * slope)) < 1e-6

# %% [markdown]
# A line through a few small counts says little about large ones: memory may run out, and a machine that is warm may slow down.
# That is why `viba bench --growth` measures up to hundreds of frames.
#
# ```{solution-end}
# ```
#
# ```{exercise} The most that can be saved
# :label: ex-amdahl
# If a share $s$ of the work is made $f$ times faster, the whole is $1 / ((1 - s) + s / f)$ times faster (Amdahl's law). Write
# `speedup(s, f)`. For each layer of `costs`, compute the limit for $f \to \infty$ when everything *before* the layer costs nothing any
# more, as a list or series `limits`. Which layers gain most, and why are they not chosen for that?
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
# The last layers gain most: next to nothing lies behind them. But their maps are coarse, see
# {doc}`/notebooks/05_injection_layer`. Speed is no reason for a layer.
#
# ```{solution-end}
# ```
#
# ## Common misconceptions
#
# - **"A faster setting gives a worse map."** Some change rounding only. Agreement says which, beside the default's own agreement with its
#   mean.
# - **"After ten steps it has converged."** Ten steps are a budget. The bits go on falling for long after.
# - **"A steadier map is a better one."** Any smoothing makes maps steadier. What counts is whether they stay on the evidence.
#
# ## Quiz
#
# **1. What must run again in each step of the optimisation?**
#
# - a) the whole network
# - b) the part behind the injection layer
# - c) the part before it
#
# ```{dropdown} Answer to question 1
# **b.** Nothing before the layer depends on $\lambda$. Running it once is the largest saving that changes no result.
# ```
#
# **2. The agreement of the default with the mean of other default runs is below 1. Why?**
#
# - a) the noise differs
# - b) there is an error
# - c) the mean is wrong
#
# ```{dropdown} Answer to question 2
# **a.** Each run draws other noise. A cheaper setting that agrees as well as the default has lost nothing that the default knew.
# ```
#
# **3. Each frame starts where the one before it ended. When does that fail?**
#
# - a) in slow films
# - b) after a cut, or where the evidence jumps
# - c) with few frames
#
# ```{dropdown} Answer to question 3
# **b.** The start is then near a wrong end, and few steps do not lead away from it.
# ```
#
# ## Summary
#
# - The cost lies behind the layer, in every step and every draw; before it, once.
# - `PerSampleBottleneck` computes the reference's map, `.fast` nearly that at a fraction of the cost, `.accurate` goes on
#   to more steps.
# - A steady map is worth something only where it stays true.
#
# ## What next
#
# - Measure your own machine: {ref}`bench`.
# - Whether a longer optimisation is also truer than other methods: {doc}`/notebooks/15_localisation`.
# - Many videos on many machines: {doc}`/book/cluster`.
#
# ## References
#
# - {cite:t}`schulz2020`: the settings that are the defaults: ten steps, ten draws, a learning rate of 1.
# - {cite:t}`solopova2024`: explains frame by frame; the coupling along a clip is this book's.

# %% tags=["remove-input"]
HTML(study.provenance_html())
