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
# # The idea of an information bottleneck
#
# ```{admonition} What you will see
# - how noise turns a number into a channel with a capacity in bits
# - what the Kullback-Leibler divergence of two Gaussians counts
# - a small network whose relevant pixels are known, and a bottleneck that finds them
# ```
#
# A detector takes a picture and says "fake". Which pixels did it need? The answer of Schulz et al.
# {cite}`schulz2020` is an experiment: let noise into the network, as much as possible, but keep the
# prediction. What must stay free of noise is what was needed, and how much of it must stay can be
# counted in **bits**.

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
# ## A channel with noise
#
# Take one unit of a layer with activation $r$, standardised to mean 0 and variance 1 over many
# pictures. The bottleneck mixes it with noise of the same mean and variance, Eq. (1) of the paper:
#
# $$ z = \lambda r + (1 - \lambda)\,\varepsilon, \qquad \varepsilon \sim \mathcal N(0, 1). $$ (eq-channel)
#
# With $\lambda = 0$ only noise comes out, with $\lambda = 1$ everything passes. Between the two, the
# information that $z$ carries on this $r$ is the divergence of $\mathcal N(\lambda r, (1-\lambda)^2)$
# from the pure noise $\mathcal N(0, 1)$. Expect it to grow without bound as $\lambda$ comes near 1,
# and to be larger for an unusual activation ($r = 3$) than for an ordinary one ($r = 0$).

# %% mystnb={"image": {"alt": "Three rising curves of bits over lambda from 0 to 1; the curve of the unusual activation r = 3 lies highest, all turn steeply upwards near 1."}, "figure": {"caption": "Information that passes one unit, in bits, over the share of signal lambda, for three activations.", "name": "fig-one-unit"}}
import numpy as np
import pandas as pd
import torch

from viba_lib import figures
from viba_lib.bottleneck import gaussian_kl
from viba_lib.bottleneck.information import LN2

lam = torch.linspace(0, 0.99, 100)
curves = pd.DataFrame({"lambda": lam})
for r in (0.0, 1.0, 3.0):
    nats = gaussian_kl(torch.full_like(lam, r), lam, torch.tensor(0.0), torch.tensor(1.0))
    curves[f"r = {r:.0f}"] = nats / LN2
figures.lines(curves, "lambda", ["r = 0", "r = 1", "r = 3"], "share of signal, lambda", "bits")

# %% [markdown]
# An unusual activation costs more bits at every $\lambda$: to tell the rest of the network about it
# is worth more than to repeat what is always the case. That is why a map in bits does not light up
# on what is merely bright.
#
# ## A network whose answer is known
#
# Now a whole network. Its pictures are noise; in half of them a bright bar stands at a random
# place, and the network learns to say whether there is one. Only the pixels of the bar can be
# relevant, so we know what a good map must show.

# %%
from viba_lib.toy import bar_pictures, train_toy

pictures, labels, truth = bar_pictures(600, size=32, seed=seed)
toy = train_toy(pictures[:500], labels[:500], seed=seed)
with torch.no_grad():
    right = (toy(pictures[500:]).argmax(1) == labels[500:]).float().mean().item()

# %% tags=["remove-input"]
HTML(
    f"<p>On {len(labels[500:])} pictures that it never saw, the network is right in {right:.0%}.</p>"
)

# %% [markdown]
# ## The bottleneck finds the bar
#
# We measure mean and spread of the first layer over the training pictures, and let the bottleneck
# optimise $\lambda$ for each unit of that layer, Eq. (2): keep the prediction (cross-entropy), pay
# $\beta$ for each bit. Expect the map to be dark everywhere but on the bar.

# %%
import warnings

from viba_lib.bottleneck import LayerStatistics, PerSampleBottleneck

warnings.simplefilter("ignore")  # 500 pictures are enough for a toy
statistics = LayerStatistics.estimate(toy, "1", [pictures[:500]])
bottleneck = PerSampleBottleneck(toy, "1", statistics, beta=10.0, steps=20, seed=seed)
shown = torch.nonzero(labels[500:] == 1)[:4, 0] + 500
attribution = bottleneck.attribute(pictures[shown])

# %% mystnb={"image": {"alt": "Four noisy pictures with a bright bar above, and below the same pictures with a heat map that is bright on the bar and dark elsewhere; the bar is outlined."}, "figure": {"caption": "Pictures with a bar (above) and what the bottleneck kept (below), in bits per pixel. The bar, outlined in cyan, is the only relevant region by construction.", "name": "fig-toy-maps"}}
images = np.stack([figures.grey_picture(p[0].numpy()) for p in pictures[shown]])
maps = attribution.bits_per_pixel.numpy()
figures.relevance_grid(images, maps, truth[shown].numpy(), [f"{m.sum():.0f} bits" for m in maps])

# %%
from viba_lib.evaluation.faithfulness import mass_ratio

ratios = [mass_ratio(m, t) for m, t in zip(maps, truth[shown].numpy(), strict=True)]

# %% tags=["remove-input"]
HTML(
    f"<p>The share of the bits that lies on the bar is {np.mean(ratios):.1f} times the bar's share "
    "of the picture; a map without knowledge would reach 1.0.</p>"
)

# %% [markdown]
# The map is measured in bits of the layer, spread over pixels: it adds up. The next chapters do
# the same with networks whose answer is *not* known, and with planted artefacts, whose place is.
#
# ## Summary
# - Noise makes a channel of a layer; the KL divergence counts what passes.
# - The bottleneck minimises cross-entropy plus $\beta$ times information.
# - Where the answer is known, the map finds it.

# %% tags=["remove-input"]
HTML(study.provenance_html())
