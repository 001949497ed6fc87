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
# # The information bottleneck for attribution
#
# A detector classifies an image as "fake". Which pixels does the prediction need? {cite:t}`schulz2020` answer this
# question with an experiment: they add as much noise as possible to a layer of the network and keep the prediction
# unchanged. The units that must stay free of noise are necessary for the prediction, and the information in them is
# estimated in bits.
#
# ```{admonition} What you will learn
# :class: tip
# - to describe a unit with noise as a channel, and to compute its capacity in bits
# - to interpret the Kullback-Leibler divergence of two Gaussians in a figure and in numbers
# - to explain in which sense the {term}`information estimate <Information estimate>` is an upper bound of the mutual
#   information, and how large the gap is for correlated units
# - to implement the whole method in about forty lines, and to test it on a case with a known answer
# - to choose the trade-off weight $\beta$ by its effect on map and prediction
# ```
#
# ```{admonition} What you need first
# :class: note
# | Concept | Why | Where |
# |---|---|---|
# | Normal distribution | the noise and the noisy signal are normal | [NIST handbook](https://www.itl.nist.gov/div898/handbook/eda/section3/eda3661.htm) |
# | Logarithms | bits are logarithms to base 2 | school |
# | Gradient descent | the mask is optimised like a network's weights | [PyTorch tutorial](https://docs.pytorch.org/tutorials/beginner/basics/optimization_tutorial.html) |
# | Python and PyTorch | only to run and change the cells | [PyTorch basics](https://docs.pytorch.org/tutorials/beginner/basics/intro.html) |
# ```
#
# <!-- time -->

# %% tags=["parameters"]
profile = "quick"
data_root = "../data"
results_root = "../results"
device = "cpu"
seed = 0
live = False  # sliders that compute as you move them, in a running notebook; one of True, False

# %% tags=["remove-input"]
from IPython.display import HTML

from viba_lib.book.injected import check_injected
from viba_lib.pipeline.study import Study
from viba_lib.visual.prose import prose

check_injected()
study = Study(profile, data_root, results_root, device, seed)
HTML(study.banner())

# %% [markdown]
# (channel)=
# ## A channel with noise
#
# Consider one unit of a layer, which is one number in its output, with activation $r$. Over many images the activation has a mean and a standard
# deviation. We express it in these units, so that $r = 0$ is the mean and $r = 3$ is a rare value. The
# {term}`Bottleneck` mixes the activation with noise of the same mean and standard deviation, Eq. (1) of the paper:
#
# $$ z = \lambda r + (1 - \lambda)\,\varepsilon, \qquad \varepsilon \sim \mathcal N(0, 1). $$ (eq-idea-channel)
#
# With the signal fraction $\lambda = 0$, the output $z$ is noise and contains no information about $r$. With
# $\lambda = 1$, the output is the activation itself. Between the two, $z$ is a noisy version of $r$, and its
# information about $r$ can be measured in bits. One **bit** is the information in the answer
# to a yes-or-no question whose two answers are equally likely.
#
# If $r$ itself is normal, this information is Shannon's capacity of a Gaussian channel {cite}`shannon1948`. The signal
# has the power $\lambda^2$, the noise has the power $(1-\lambda)^2$, and the
# {term}`mutual information <Mutual information>` of $R$ and $Z$ is
#
# $$ I(R; Z) = \tfrac12 \log_2 \Bigl( 1 + \frac{\lambda^2}{(1-\lambda)^2} \Bigr)
#    \quad \text{bits}. $$ (eq-idea-shannon)

# %%
import numpy as np
import pandas as pd
import torch


def shannon(share):
    """Bits of one unit with a normal activation; signal fraction in [0, 1)."""
    return 0.5 * np.log2(1 + share**2 / (1 - share) ** 2)


pd.Series(
    {share: shannon(share) for share in (0.0, 0.25, 0.5, 0.75, 0.9, 0.99)},
    name="bits",
).round(2)

# %% [markdown]
# A signal fraction of one half corresponds to half a bit. The information grows without bound as the noise vanishes, so
# removing the last percent of noise is the most expensive step. The method uses this property: if the prediction
# *needs* a unit, the objective accepts its high information, and if it does not, a small amount of noise already
# reduces the information strongly.
#
# (divergence)=
# ## Divergence of two Gaussians
#
# Activations of a real network are not normal, and their distribution is unknown. The method therefore uses a quantity
# that can be computed for each unit and each image separately. For a given $r$, the output of the channel is normal
# with mean $\lambda r$ and variance $(1-\lambda)^2$. Without the signal it would be $\mathcal N(0, 1)$. The
# {term}`Kullback-Leibler divergence` of these two distributions is the mean information gain in bits of an observer of
# $z$ who knew only the distribution of the noise before:
#
# $$ D_{\mathrm{KL}} = \int p(z) \log_2 \frac{p(z)}{q(z)}\, dz
#    = \frac{1}{2 \ln 2} \Bigl( (\lambda r)^2 + (1-\lambda)^2 - 1 - \ln (1-\lambda)^2 \Bigr). $$ (eq-idea-kl)
#
# Move the sliders. The dashed line is the density $q$ of the noise, and the solid line is the density $p$ of the
# output. The shaded area is the integral. It is blue if a value of $z$ is more probable with the signal, and brown if
# it is more probable without it. Expect the solid line to become narrow as $\lambda$ grows, and to move to the right
# with $r$.

# %%
from viba_lib.bottleneck import gaussian_kl
from viba_lib.bottleneck.information import LN2
from viba_lib.visual import data_figures, map_figures, overlay, result_figures
from viba_lib.visual.slider import SliderFigure


def divergence(share, activation):
    """Bits by the closed form of the library."""
    r, lam = torch.tensor([float(activation)]), torch.tensor([float(share)])
    return (
        gaussian_kl(r, lam, torch.tensor(0.0), torch.tensor(1.0)).item() / LN2
    )


def draw_channel(signal_fraction, activation):
    return data_figures.gaussian_pair(
        signal_fraction * activation, 1 - signal_fraction
    )


# %% tags=["remove-input"]
def say_channel(signal_fraction, activation):
    bits = divergence(signal_fraction, activation)
    return (
        f"With {signal_fraction:.0%} signal and activation {activation:g}, the output has mean "
        f"{signal_fraction * activation:.2f} and standard deviation {1 - signal_fraction:.2f}: {bits:.2f} bits."
    )


channel = SliderFigure(
    "fig-play-channel",
    draw_channel,
    {
        "signal_fraction": [0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9],
        "activation": [0.0, 1.0, 2.0, 3.0],
    },
    say_channel,
    "Density of the output of one unit, and of pure noise. The shaded area is their divergence in bits.",
)
channel.live() if live else channel

# %% [markdown]
# The next table compares three computations of one value: the closed form {eq}`eq-idea-kl`, the integral on a fine
# grid, and the mean of $\log_2 p/q$ over samples of $z$ with its standard error. Expect all three to agree.

# %%
share, activation = 0.7, 2.0
mean, std = share * activation, 1 - share
grid = torch.linspace(-8, 8, 20_001, dtype=torch.float64)
p, q = (torch.distributions.Normal(m, s) for m, s in ((mean, std), (0.0, 1.0)))
ratio = (p.log_prob(grid) - q.log_prob(grid)) / LN2
integral = torch.trapezoid(p.log_prob(grid).exp() * ratio, grid).item()
drawn = mean + std * torch.randn(
    100_000, generator=torch.Generator().manual_seed(seed)
)
ratios = (p.log_prob(drawn) - q.log_prob(drawn)) / LN2
rows = {"closed form": divergence(share, activation), "integral": integral,
        "mean of samples": ratios.mean().item()}  # fmt: skip
error = ratios.std().item() / len(ratios) ** 0.5
pd.DataFrame(
    {"bits": rows, "standard error": {"mean of samples": error}}
).round(4).fillna("none")

# %% [markdown]
# ## The estimate as an upper bound
#
# The bottleneck cannot compute the mutual information, because the distribution $p(z)$ of $z$ over all inputs is
# unknown. Its {term}`Information estimate` for one unit and one input is {eq}`eq-idea-kl`. This divergence compares the
# distribution of $z$ for this input with the noise $q(z) = \mathcal N(0, 1)$. The noise is thus an approximation of
# $p(z)$: a Gaussian with the mean and standard deviation of the unit. For the *mean over inputs*, the error of this
# approximation is known {cite}`schulz2020`:
#
# $$ \mathbb E_R \bigl[ D_{\mathrm{KL}}(R) \bigr]
#    = I(R; Z) + D_{\mathrm{KL}} \bigl[ p(z) \,\|\, q(z) \bigr]. $$ (eq-idea-gap)
#
# The last term is never negative, so the mean is an upper bound of the mutual information. The value of a *single*
# input is not a bound. It can lie above or below the mutual information. Expect the mean to lie above the mutual
# information at every $\lambda$, and the value at $r = 0$ to cross it.

# %% mystnb={"image": {"alt": "Three curves of bits over the signal fraction. The mean estimate lies above the mutual information everywhere, and both meet near one. The estimate at an activation of zero starts between them and lies below the mutual information for large signal fractions."}, "figure": {"caption": "Mutual information of one normal unit, the mean of the estimate over inputs, and the estimate for a single input with an activation of 0, in bits, over the signal fraction.", "name": "fig-one-unit"}}
shares = np.linspace(0, 0.95, 20)
activations = torch.randn(
    20_000, generator=torch.Generator().manual_seed(seed)
)


def mean_estimate(share):
    """Mean of the divergence over normal activations, in bits."""
    lam = torch.full_like(activations, float(share))
    return (
        gaussian_kl(activations, lam, torch.tensor(0.0), torch.tensor(1.0))
        .mean()
        .item()
        / LN2
    )


curves = pd.DataFrame(
    {
        "share": shares,
        "mutual information": shannon(shares),
        "mean estimate": [mean_estimate(s) for s in shares],
        "estimate at r = 0": [divergence(s, 0.0) for s in shares],
    }
)
result_figures.lines(
    curves, "share", list(curves)[1:], "signal fraction, lambda", "bits"
)

# %% tags=["remove-input"]
from viba_lib.experiments.information_gap import (
    gap_table,
    gap_text,
    ratio_text,
    single_text,
)

prose(single_text((0.5, 0.9)))

# %% [markdown]
# An activation at the mean is the most probable one, so for a large $\lambda$ many inputs have a value below the mutual
# information. Activations far from the mean have a value above it, because of the term $(\lambda r)^2$: an unusual
# activation has more bits than an ordinary one at the same $\lambda$. Therefore a map in bits is bright at units that
# are unusual for the layer *and* needed, and not at every bright pixel.
#
# ## Correlated units
#
# A layer has many units, and the map adds their estimates. This sum makes a further assumption: the noise $q$ is
# sampled for each unit independently, so $q$ approximates the units of $Z$ as *independent*. The gap then has two
# parts:
#
# $$ \mathbb E_R \Bigl[ \sum_i D_i(R_i) \Bigr] = I(R; Z)
#    + \underbrace{D_{\mathrm{KL}} \Bigl[ p(z) \,\Big\|\, \prod_i p(z_i) \Bigr]}_{\text{dependence}}
#    + \underbrace{\sum_i D_{\mathrm{KL}} \bigl[ p(z_i) \,\|\, q(z_i) \bigr]}_{\text{distribution}}. $$ (eq-idea-parts)
#
# The first part measures how much the units depend on each other; it is the {term}`Total correlation` of $Z$. The
# second measures how far each unit is from the normal distribution of the noise. To see how large the first can be, we
# use units whose mutual information is known. For normal units with covariance $\Sigma$ and one $\lambda$,
#
# $$ I(R; Z) = \tfrac12 \log_2 \det \Bigl( 1 + \frac{\lambda^2}{(1-\lambda)^2}\, \Sigma \Bigr)
#    \quad \text{bits}. $$ (eq-idea-logdet)
#
# All units below have variance 1, which matches the statistics of the layer, and one correlation between all pairs.
# Expect the mean of the sum to stay constant, because it does not depend on the correlation, and the mutual information
# to fall.

# %%
units, lam = 16, 0.9
rng = np.random.default_rng(seed)
known = {}
for correlation in (0.0, 0.6, 0.9, 0.99):
    covariance = (1 - correlation) * np.eye(units) + correlation * np.ones(
        (units, units)
    )
    r = torch.from_numpy(
        rng.multivariate_normal(np.zeros(units), covariance, 5000)
    )
    single = gaussian_kl(
        r, torch.full_like(r, lam), torch.tensor(0.0), torch.tensor(1.0)
    )
    single = (
        single.sum(1).numpy() / LN2
    )  # the sum over units, one value for each input
    signal = np.eye(units) + (lam / (1 - lam)) ** 2 * covariance
    true = 0.5 * np.linalg.slogdet(signal)[1] / LN2
    known[correlation] = {
        "mutual information": true,
        "mean estimate": single.mean(),
        "inputs below": (single < true).mean(),
    }
pd.DataFrame(known).T.rename_axis("correlation").round(2)

# %% [markdown]
# The library contains the same experiment for more settings, and for a unit that is not normal: a ReLU, which is 0 for
# half of the inputs. Its mutual information is computed by numerical integration over $z$. Expect the ratio of estimate
# and information to be largest for strong correlations, and the ratio of the ReLU not to reach 1.

# %% mystnb={"image": {"alt": "Two panels. Left, over the correlation of 16 units: the mean estimate is a horizontal line, the mutual information falls far below it, and the band of single inputs becomes wider. Right, the ratio of estimate and information over lambda: it falls to one for independent normal units, stays above one for a ReLU unit, and is several times one for strongly correlated units."}, "figure": {"caption": "Left: mutual information of 16 normal units, the mean estimate and the middle 90 % of single inputs, over their correlation. Right: mean estimate over mutual information, over lambda; the dotted line is a tight bound.", "name": "fig-information-gap"}}
gaps = gap_table(units=units, seed=seed)
result_figures.information_gap(gaps, lam)

# %% tags=["remove-input"]
prose(gap_text(gaps, lam), ratio_text(gaps))

# %% [markdown]
# Three conclusions follow for the maps of this book:
#
# - **A total in bits is not a budget.** Units of a convolutional layer are strongly correlated because neighbours see
#   overlapping parts of the input. The same information is counted at each of them, so the sum over a layer can be many
#   times the mutual information. Activations after a ReLU are not normal, which adds to the gap.
# - **The bits of a location are a relative measure.** They say how far the units there must deviate from noise to keep
#   this prediction, at this layer and this $\beta$. Locations of one map can be compared, and maps of one layer and one
#   $\beta$. A map does not state how many yes-or-no questions the location answers.
# - **Zero bits mean "not necessary at this layer".** The prediction stays if the units there are noise. The location
#   can still be relevant: the same evidence may be available elsewhere in the layer, or earlier layers may have carried
#   it to the units of other locations.
#
# (test-case)=
# ## A test case with a known answer
#
# The next example is a complete network. Its images are noise, and half of them contain a bright bar at a random
# location. The network learns to classify whether there is a bar. Only the pixels of the bar can be relevant, so the
# correct map is known.

# %%
from viba_lib.data.toy import bar_images, train_toy

pictures, labels, truth = bar_images(600, size=32, seed=seed)
toy = train_toy(pictures[:500], labels[:500], seed=seed)
with torch.no_grad():
    right = (
        (toy(pictures[500:]).argmax(1) == labels[500:]).float().mean().item()
    )

# %% tags=["remove-input"]
prose(
    f"The network classifies {right:.0%} of {len(labels[500:])} unseen images correctly."
)

# %% [markdown]
# (forty-lines)=
# ## An implementation in forty lines
#
# We split the network after its first layer: `front` computes the activations, and `back` computes the output from
# them. The mean and the standard deviation of each unit come from the training images.

# %%
front, back = toy[:2], toy[2:]
with torch.no_grad():
    activations = front(pictures[:500])
unit_mean, unit_std = activations.mean(0), activations.std(0).clamp_min(0.01)

# %% [markdown]
# The method needs two formulas, the channel {eq}`eq-idea-channel` and its information {eq}`eq-idea-kl`. The information
# is in nats here, as losses are (a nat is $1/\ln 2$ bits).


# %%
def passed(r, lam, noise):
    """Output of the bottleneck; r and noise are z-scores of activations."""
    return lam * r + (1 - lam) * noise


def information(r, lam):
    """Information estimate of each unit, in nats."""
    rest = (1 - lam).clamp_min(1e-6)
    return 0.5 * ((lam * r) ** 2 + rest**2 - 1 - torch.log(rest**2))


# %% [markdown]
# The method also needs one loop, Eq. (2) of the paper. It optimises $\lambda$ so that the prediction stays (low
# cross-entropy) and little information is transmitted,
#
# $$ \min_\lambda \; \mathcal L_{\mathrm{CE}}(\lambda) + \beta\, \overline{D_{\mathrm{KL}}}(\lambda), $$ (eq-idea-objective)
#
# where the bar denotes a mean over units. $\lambda$ must stay between 0 and 1, so it is the sigmoid of an unconstrained
# parameter $\alpha$. The optimisation starts near $\lambda = 1$, which transmits almost all information.


# %%
def explain(pictures, target, beta, steps=20, samples=10):
    """Bits (T, h, w) at each location that the prediction `target` needs."""
    with torch.no_grad():
        r = (front(pictures) - unit_mean) / unit_std
    alpha = torch.full_like(r, 5.0, requires_grad=True)
    optimizer = torch.optim.Adam([alpha], lr=1.0)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        lam = torch.sigmoid(alpha)
        loss = beta * information(r, lam).mean()
        for _ in range(samples):
            noise = torch.randn(r.shape, generator=generator)
            answer = back(passed(r, lam, noise) * unit_std + unit_mean)
            loss = (
                loss
                + torch.nn.functional.cross_entropy(answer, target) / samples
            )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return information(r, torch.sigmoid(alpha.detach())).sum(1) / LN2


shown = torch.nonzero(labels[500:] == 1)[:4, 0] + 500
bits = explain(pictures[shown], labels[shown], beta=10.0)

# %% [markdown]
# This is the whole method. The {term}`Per-sample bottleneck` of the library does the same, faster and for any network.
# It also smooths $\lambda$ slightly in space. Its map is enlarged to the size of the image so that the total of bits of
# each frame stays the same. Expect the map to be dark everywhere except on the bar.

# %%
import warnings

from viba_lib.bottleneck import LayerStatistics, PerSampleBottleneck

warnings.simplefilter("ignore")  # 500 images are enough for a toy
statistics = LayerStatistics.estimate(toy, "1", [pictures[:500]])


def library_map(beta, sigma=1.0):
    """The library's attribution of the images that are shown."""
    bottleneck = PerSampleBottleneck(
        toy, "1", statistics, beta=beta, steps=20, sigma=sigma, seed=seed
    )
    return bottleneck.attribute(pictures[shown])


attribution = library_map(beta=10.0)

# %% mystnb={"image": {"alt": "Four noisy images with a bright bar above, and below the same images with a heat map that is bright on the bar and dark elsewhere; the bar is outlined."}, "figure": {"caption": "Images with a bar (above) and the maps of the bottleneck in bits per pixel (below). The bar, outlined in cyan, is the only relevant region by construction.", "name": "fig-toy-maps"}}
images = np.stack(
    [data_figures.grey_image(p[0].numpy()) for p in pictures[shown]]
)
maps = attribution.bits_per_pixel.numpy()
map_figures.relevance_grid(
    images, maps, truth[shown].numpy(), [f"{m.sum():.0f} bits" for m in maps]
)

# %% tags=["remove-input"]
from viba_lib.evaluation.faithfulness import mass_ratio

concentration = [
    mass_ratio(m, t) for m, t in zip(maps, truth[shown].numpy(), strict=True)
]
unsmoothed = library_map(beta=10.0, sigma=0.0).capacity.sum(1)
same = np.corrcoef(bits.flatten(), unsmoothed.flatten())[0, 1]
prose(
    f"The fraction of the bits on the bar is {np.mean(concentration):.1f} times the bar's "
    "fraction of the image; an input-agnostic map would reach 1.0. The forty lines above and the "
    f"library, with its smoothing switched off, agree with a correlation of {same:.3f}."
)

# %% [markdown]
# (trade-off)=
# ## The trade-off weight beta
#
# $\beta$ is the trade-off weight of the information. With a small $\beta$, information is inexpensive, and the
# bottleneck keeps all units that may help the prediction. With a larger $\beta$, the map contains only the most
# important units, and with a very large $\beta$ the prediction is lost. Move the slider and compare the map with the
# remaining probability of the correct class. The colour scale is the same for all values.

# %% tags=["remove-input"]
betas = [0.1, 0.3, 1.0, 3.0, 10.0, 20.0, 30.0, 50.0, 100.0]
found = {beta: library_map(beta) for beta in betas}
top = overlay.scale_maximum(found[10.0].bits_per_pixel.numpy())


def draw_beta(beta):
    result = found.get(beta) or library_map(beta)
    maps = result.bits_per_pixel.numpy()
    names = [f"{m.sum():.0f} bits" for m in maps]
    return map_figures.relevance_grid(
        images, maps, truth[shown].numpy(), names, top
    )


def say_beta(beta):
    result = found[beta]
    total = result.bits_per_pixel.sum((1, 2)).mean().item()
    left = result.logits.softmax(1)[:, 1].mean().item()
    return (
        f"With beta {beta:g}, the map of an image has {total:.0f} bits on average, and the network "
        f"classifies it as an image with a bar with probability {left:.2f}."
    )


price = SliderFigure(
    "fig-play-beta",
    draw_beta,
    {"beta": betas},
    say_beta,
    "Maps of the four images for different values of beta; one colour scale, bars outlined in cyan.",
    {"beta": betas.index(10.0)},
)
price.live() if live else price

# %% [markdown]
# There is no correct value of $\beta$, because it sets how much information a map shows. Compare maps at one $\beta$
# only, and inspect at least two values of $\beta$.
#
# ## Gradient descent on six units
#
# Six units with activations $r$ are the input of a linear classifier with weights $w$, and the sigmoid of $w \cdot z$ is the
# probability of the class. This is small enough to write the gradient of {eq}`eq-idea-objective` by hand. The noise has
# an adjustable standard deviation here, and its four samples are fixed.

# %% tags=["browser-toy"]
r = np.array([2, 1, -1, 0.5, 3, -2])
weight = np.array([2, 1, 0, 0, 0, 0.5])
samples = np.array([
    [0.13, -0.13, 0.64, 0.1, -0.54, 0.36],
    [1.3, 0.95, -0.7, -1.27, -0.62, 0.04],
    [-2.33, -0.22, -1.25, -0.73, -0.54, -0.32],
    [0.41, 1.04, -0.13, 1.37, -0.67, 0.35],
])  # fmt: skip


def objective(alpha, beta, noise):
    """Loss, its gradient, and the signal fraction and bits of each unit."""
    lam = 1 / (1 + np.exp(-alpha))
    logits = (lam * r + (1 - lam) * noise * samples) @ weight
    spread = (lam * r / noise) ** 2 + (1 - lam) ** 2 - 1
    nats = 0.5 * spread - np.log(1 - lam)
    loss = np.log1p(np.exp(-logits)).mean() + beta * nats.mean()
    wrong = 1 / (1 + np.exp(logits))  # probability of the other class
    fit = -(wrong[:, None] * weight * (r - noise * samples)).mean(0)
    price = (lam * (r / noise) ** 2 - (1 - lam) + 1 / (1 - lam)) / len(r)
    return loss, (fit + beta * price) * lam * (1 - lam), lam, nats / np.log(2)


def descend(beta, noise=1.0, steps=100):
    """The objective after gradient descent from lambda = 0.95."""
    alpha = np.full(len(r), 3.0)
    for _ in range(steps):
        alpha = alpha - 0.5 * objective(alpha, beta, noise)[1]
    return objective(alpha, beta, noise)


_, _, fractions, unit_bits = descend(beta=0.3)
table = {"r": r, "weight": weight, "lambda": fractions, "bits": unit_bits}
pd.DataFrame(table).round(2)

# %% [markdown]
# On the page of this chapter, the sliders below compute `descend` in your browser, in the same way as the cell above; a
# test of the book compares both. Three units have weight 0, so their bits only increase the objective. Of these, the unit
# with the rarest activation, $r = 3$, has the lowest $\lambda$ in the table, because its estimate has the steepest gradient.
# The other two still have bits after 100 steps: the descent has not converged. Raise $\beta$ or the number of steps, and
# watch them fall.
#
# ```{raw} html
# <link rel="stylesheet" href="../_static/toy.css">
# <div id="viba-toy"><noscript><p>The sliders need JavaScript, which is switched off here; the table above shows one setting.</p></noscript></div>
# <script defer src="../_static/toy.js"></script>
# ```
#
# ## Exercises
#
# ```{exercise} One bit
# :label: ex-one-bit
# At which signal fraction does a unit with a normal activation carry exactly one bit, by {eq}`eq-idea-shannon`? Guess
# first. Then write `fraction(bits)`, the signal fraction for any positive number of bits, by algebra or with
# `scipy.optimize.brentq`. Call its value for one bit `one_bit`.
# ```
#
# ```{solution-start} ex-one-bit
# :class: dropdown
# ```


# %% tags=["solution"]
def fraction(bits):
    """Signal fraction at which a normal unit carries a number of bits."""
    ratio = (4**bits - 1) ** 0.5  # standard deviation of signal over noise
    return ratio / (1 + ratio)


one_bit = fraction(1)
one_bit

# %% tags=["check", "remove-cell"]
assert abs(shannon(one_bit) - 1) < 1e-6
assert abs(fraction(1) - one_bit) < 1e-6

# %% tags=["hidden", "remove-cell"]
for number in (0.25, 0.5, 2, 4):
    assert abs(shannon(fraction(number)) - number) < 1e-6

# %% [markdown]
# One bit means that signal and noise together have four times the power of the noise. The signal alone therefore has
# three times this power: $\lambda / (1-\lambda) = \sqrt 3$. The signal fraction must be nearly two thirds to transmit a
# single bit.
#
# ```{solution-end}
# ```
#
# ```{exercise} Gap of the bound for one unit
# :label: ex-bound
# For one normal unit, the mean estimate exceeds the mutual information by the divergence of the true $z$ from
# $\mathcal N(0, 1)$, see {eq}`eq-idea-gap`. The true $z$ is normal with variance $v = \lambda^2 + (1-\lambda)^2$. Write
# `excess(share)` that returns this divergence in bits, and compare it with the difference of the upper two curves of
# {numref}`fig-one-unit`.
# ```
#
# ```{solution-start} ex-bound
# :class: dropdown
# ```


# %% tags=["solution"]
def excess(share):
    """Bits by which the mean estimate is too large, for one normal unit."""
    v = share**2 + (1 - share) ** 2
    return 0.5 * (v - 1 - np.log(v)) / LN2


pd.DataFrame(
    {
        "formula": [excess(s) for s in (0.25, 0.5, 0.75)],
        "curves": [
            counted_normal - shannon(s)
            for s, counted_normal in (
                (s, divergence(s, 0.0) + s**2 / (2 * LN2))
                for s in (0.25, 0.5, 0.75)
            )
        ],
    },
    index=[0.25, 0.5, 0.75],
).round(4)

# %% tags=["check", "remove-cell"]
for s in (0.1, 0.5, 0.9):
    assert (
        abs(excess(s) - (divergence(s, 0.0) + s**2 / (2 * LN2) - shannon(s)))
        < 1e-4
    )

# %% tags=["hidden", "remove-cell"]
for s in (0.03, 0.37, 0.62, 0.97):
    variance = s**2 + (1 - s) ** 2
    assert abs(excess(s) - (variance - 1 - np.log(variance)) / 2 / LN2) < 1e-4

# %% [markdown]
# The gap is largest for intermediate $\lambda$, where it is a considerable part of the estimate. It vanishes at both
# ends, because $z$ then has the standard deviation of the noise again. Near $\lambda = 1$ the bound of one normal unit
# is tight. That does not hold for correlated units or for a ReLU ({numref}`fig-information-gap`).
#
# ```{solution-end}
# ```
#
# ```{exercise} Map for the other class
# :label: ex-other-answer
# The bottleneck can explain any class. Predict the location of the bits if the images with a bar are explained for the
# class "no bar". Then compute the map with `explain` and $\beta = 10$, and call it `against`.
# ```
#
# ```{solution-start} ex-other-answer
# :class: dropdown
# ```

# %% tags=["solution"]
against = explain(
    pictures[shown], torch.zeros(len(shown), dtype=torch.long), beta=10.0
)
pd.DataFrame(
    {"bits for a bar": bits.sum((1, 2)), "bits for none": against.sum((1, 2))}
).round(0)

# %% tags=["check", "remove-cell"]
assert against.shape == bits.shape and bool((against >= 0).all())
assert not torch.allclose(against, bits), "the map of the class 'bar'"
assert bool((against.sum((1, 2)) > 0).all())

# %% tags=["hidden", "remove-cell"]
expected = explain(pictures[shown], 1 - labels[shown], beta=10.0)
assert torch.allclose(against, expected, rtol=1e-3, atol=1e-3)

# %% [markdown]
# For the class "no bar", the bottleneck replaces the bar by noise. A few bits remain, and their location has no
# meaning, because noise alone already leads to "no bar". A dark map is not an error. It says that little information
# was needed.
#
# ```{solution-end}
# ```
#
# ## Common misconceptions
#
# - **"A bright pixel is an important one."** The map measures information that the *prediction needs*, not brightness.
#   A bright lamp behind the face has no bits if the prediction does not depend on it.
# - **"Bits measure how fake a video is."** They measure how much information of the layer the prediction needs. A clear
#   case may need few bits and a difficult one many.
# - **"The map shows the true mutual information."** It shows an estimate that assumes independent, normal units. Only
#   the mean of the estimate over inputs is an upper bound; the map of one input is not a bound.
# - **"Zero bits mean that a location is irrelevant."** They mean that it was not necessary at this layer.
# - **"There is one correct beta."** $\beta$ is a trade-off weight. Maps with different weights answer different
#   questions.
#
# ## Quiz
#
# **1. How many bits does a unit transmit at a signal fraction of 0?**
#
# - a) one, for any activation
# - b) none, for any activation
# - c) more for a rare activation
#
# ```{dropdown} Answer to question 1
# **b.** The output is the noise itself, so $p = q$ and the divergence is 0 for every $r$. Answer c is wrong because the
# activation enters as $\lambda r$, which is 0.
# ```
#
# **2. Two units have the same signal fraction. One has its usual activation, the other a rare one. Which one has more
# bits?**
#
# - a) the unit with the rare activation
# - b) neither, because the fractions are equal
# - c) the unit with the usual activation
#
# ```{dropdown} Answer to question 2
# **a.** The term $(\lambda r)^2$ in {eq}`eq-idea-kl` grows with the distance from the mean. Answer b is wrong because
# only the terms with the variance, $(1-\lambda)^2$, are the same for both units.
# ```
#
# **3. You raise beta and the map loses half of its bits, while the prediction stays. What follows?**
#
# - a) the earlier map overestimated the bits of each unit
# - b) the prediction is less reliable than it was before
# - c) half of the bits were not needed for the prediction
#
# ```{dropdown} Answer to question 3
# **c.** The earlier map kept these bits because the smaller weight made them inexpensive. Answer b is wrong because the
# network has not changed. Answer a is wrong because both maps use the same estimate, with two trade-off weights.
# ```
#
# ## Summary
# - Noise turns each unit into a channel, and the information of this channel is estimated in bits.
# - The estimate is the divergence from pure noise. Its mean over inputs is an upper bound of the mutual information for
#   any units. It is tight only if the units after the noise are independent and normal, and loose if they are correlated.
# - The bottleneck minimises cross-entropy plus $\beta$ times information with two formulas and one loop.
# - In the test case with a known answer, the relevance lies on the bar; $\beta$ sets how much information is kept.
#
# ## What next
# - The method on a face detector: {doc}`/notebooks/04_viba_step_by_step`.
# - The choice of the injection layer: {doc}`/notebooks/05_injection_layer`.
# - Lesson plans and slides for teachers: {doc}`/book/teaching`.
#
# ## References
# - {cite:t}`schulz2020`: the bottleneck for images, its bound and the per-sample optimisation.
# - {cite:t}`tishby2000`: the information bottleneck as a principle: keep the information that predicts, and discard the
#   rest.
# - {cite:t}`shannon1948`: bits, channels and the capacity of a channel with normal noise.
# - {cite:t}`solopova2024`: the method for videos; Eq. (1) and (2) of the paper, in its Section 3.3, are
#   {eq}`eq-idea-channel` and {eq}`eq-idea-objective`.

# %% tags=["remove-input"]
HTML(study.provenance_html())
