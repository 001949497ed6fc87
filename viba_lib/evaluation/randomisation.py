"""Sanity checks: maps of networks with random weights or labels (Adebayo et al. 2018)."""

import copy
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from skimage.metrics import structural_similarity
from sklearn.linear_model import LogisticRegression
from torch import nn

from viba_lib.baselines.common import BATCH, classes_of
from viba_lib.baselines.explainers import Network, explain_with
from viba_lib.baselines.names import VIBA
from viba_lib.baselines.patch_head import PatchHead
from viba_lib.bottleneck import LayerStatistics
from viba_lib.bottleneck.classifier import device_of
from viba_lib.bottleneck.forward import Forward
from viba_lib.core.errors import VibaError
from viba_lib.core.memory import give_back
from viba_lib.evaluation.agreement import rank_correlation
from viba_lib.models.formats import classifier_of

STAGES = ("top", "upper half", "all")
LABELS = "random labels"
SIMILAR = 0.5  # mean rank correlation above which maps count as similar


def _layers(model: nn.Module) -> list[nn.Module]:
    """Layers with weights that can be initialised again, from the input to the output."""
    kinds = (nn.Conv2d, nn.Linear, nn.BatchNorm2d)
    return [m for m in model.modules() if isinstance(m, kinds)]


def _initialised(model: nn.Module, stage: str) -> list[nn.Module]:
    """The layers that a stage initialises again."""
    if stage not in STAGES:
        raise VibaError(f"stage {stage!r} is not known; choose one of {', '.join(STAGES)}")
    layers = _layers(model)
    if not layers:
        raise VibaError("the network has no convolution, linear layer or batch norm to randomise")
    if stage == "top":  # a norm after the last layer is the same after its initialisation
        return [m for m in layers if not isinstance(m, nn.BatchNorm2d)][-1:] or layers[-1:]
    return layers[-((len(layers) + 1) // 2) :] if stage == "upper half" else layers


def randomised(model: nn.Module, stage: str, seed: int = 0) -> nn.Module:
    """A copy with random weights from the output down: cascading randomisation.

    Parameters
    ----------
    stage : "top" (the last layer with weights), "upper half" (of these layers) or "all"

    Raises
    ------
    VibaError
        Another stage, or a network without such layers.
    """
    found = copy.deepcopy(model)
    with torch.random.fork_rng():
        # Not the seed itself, because training may have started from the weights that it gives.
        torch.manual_seed(seed + 7919)
        for layer in _initialised(found, stage):
            layer.reset_parameters()  # type: ignore[operator]
    return found


def revived(model: nn.Module, inputs: torch.Tensor, stage: str) -> nn.Module:
    """The model itself, with statistics of its new batch norms estimated on inputs (N, 3, S, S).

    Otherwise the signal of a deep network with random weights vanishes, and its maps would not test
    the method. Norms upstream of the new layers keep their statistics.
    """
    norms = [m for m in _initialised(model, stage) if isinstance(m, nn.BatchNorm2d)]
    if not norms:
        return model
    before = [m.momentum for m in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a mean over all batches
        norm.train()
    with torch.no_grad():
        # Of similar sizes: each batch has the same weight, and a single input has no variance.
        for part in inputs.tensor_split(-(-len(inputs) // BATCH)):
            model(part.to(device_of(model)))
    for norm, momentum in zip(norms, before, strict=True):
        norm.momentum = momentum
        norm.eval()
    return model


def _shuffled(labels: torch.Tensor, seed: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).permutation(labels.numpy()))


def random_labels(
    model: nn.Module, inputs: torch.Tensor, labels: torch.Tensor, seed: int = 0
) -> nn.Module:
    """A copy whose last layer is fitted to shuffled labels.

    Parameters
    ----------
    inputs : (N, 3, S, S)
    labels : (N,) 0 or 1; both must occur

    Raises
    ------
    VibaError
        A network that does not end in a linear layer of one or two outputs, or labels of one
        class.
    """
    found = copy.deepcopy(model).eval()
    name = classifier_of(found)
    last = found.get_submodule(name) if name is not None else None
    if not isinstance(last, nn.Linear) or last.out_features not in (1, 2):
        raise VibaError("the network does not end in a linear layer of one or two outputs")
    if len(np.unique(labels.numpy())) < 2:
        raise VibaError("the labels are of one class; expected real and fake")
    features: list[torch.Tensor] = []
    handle = last.register_forward_pre_hook(lambda _, x: features.append(x[0].float().cpu()))
    with torch.inference_mode():
        for part in inputs.split(BATCH):
            found(part.to(device_of(found)))
    handle.remove()
    shuffled = _shuffled(labels, seed).numpy()
    fitted = LogisticRegression(max_iter=1000).fit(torch.cat(features).numpy(), shuffled)
    # Only the difference of two logits counts; one logit is this difference.
    parts = torch.tensor([-0.5, 0.5] if last.out_features == 2 else [1.0])
    with torch.no_grad():
        last.weight.copy_(parts[:, None] * torch.from_numpy(fitted.coef_[0]).float())
        if last.bias is not None:
            last.bias.copy_(parts * float(fitted.intercept_[0]))
    return found


def rebuilt(network: Network, model: nn.Module, inputs: torch.Tensor, layer: str) -> Network:
    """The network with another model, and statistics of the layer from inputs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about few frames, which are enough here
        statistics = LayerStatistics.estimate(model, layer, list(inputs.split(BATCH)))
    forward = network.forward and Forward(model, inputs[:1], network.forward.precision)
    return replace(network, model=model, statistics={layer: statistics}, forward=forward)


def map_similarity(first: np.ndarray, second: np.ndarray) -> pd.DataFrame:
    """Similarity of maps (T, S, S), pair by pair.

    Returns
    -------
    item, rank (Spearman's correlation over pixels; 0 if a map is constant) and ssim (structural
    similarity of maps that are scaled to 0 to 1 each).
    """
    rows = []
    for item, (a, b) in enumerate(zip(first, second, strict=True)):
        rank = np.nan_to_num(rank_correlation(a, b))
        scaled = [(m - m.min()) / max(float(np.ptp(m)), 1e-12) for m in (a, b)]
        ssim = float(structural_similarity(*scaled, data_range=1.0))
        rows.append({"item": item, "rank": rank, "ssim": ssim})
    return pd.DataFrame(rows, columns=["item", "rank", "ssim"])


def sanity_checks(
    network: Network,
    values: Mapping[str, Any],
    frames: torch.Tensor,
    training: torch.Tensor,
    labels: torch.Tensor,
    passes: int = 64,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> pd.DataFrame:
    """Similarity of each method's maps to its maps of random networks.

    The class that is explained stays the one that the trained network predicts.

    Parameters
    ----------
    values : of each method's setting, None = its default; for methods see
        `baselines.explainers.NAMES`
    frames : (T, 3, S, S), explained
    training : (N, 3, S, S), for statistics of the random networks; labels : (N,)

    Returns
    -------
    method, stage (one of STAGES or "random labels"), item, rank, ssim.
    """
    target = classes_of(network.model, frames, None)
    layer = str(values.get(VIBA) or network.layers[0])

    def maps_of(given: Network, seed: int) -> dict[str, np.ndarray]:
        return {
            name: explain_with(name, given, frames, target, passes, seed, value)
            for name, value in values.items()
        }

    def random_maps(stage: str) -> dict[str, np.ndarray]:
        if stage == LABELS:
            model = random_labels(network.model, training, labels, seed)
        else:
            model = revived(randomised(network.model, stage, seed), training, stage)
        known = _shuffled(labels, seed) if stage == LABELS else labels
        heads = partial(PatchHead.fit, model, inputs=training, labels=known)
        # With one seed, random masks would be the same for both networks, and maps similar.
        return maps_of(replace(rebuilt(network, model, training, layer), heads=heads), seed + 1)

    # A copy, so that what is cut out of the network for its own maps does not stay.
    own, parts = maps_of(replace(network), seed), []
    for stage in (*STAGES, LABELS):
        progress(f"maps of random networks, {stage}")
        give_back()  # networks of the stage before: VGG11 has 500 MB
        for name, maps in random_maps(stage).items():
            parts.append(map_similarity(own[name], maps).assign(method=name, stage=stage))
    return pd.concat(parts, ignore_index=True)[["method", "stage", "item", "rank", "ssim"]]


def marked(checks: pd.DataFrame, limit: float = SIMILAR) -> pd.DataFrame:
    """Methods whose maps hardly depend on the network's weights.

    Returns
    -------
    method, rank and ssim (means with all weights random), frames, same (whether rank is above
    `limit`).
    """
    last = checks[checks.stage == STAGES[-1]]
    groups = last.groupby("method", sort=False)
    table = groups[["rank", "ssim"]].mean().join(groups.size().rename("frames")).reset_index()
    return table.assign(same=table["rank"] > limit)
