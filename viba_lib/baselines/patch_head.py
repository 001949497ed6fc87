"""A linear classifier of the locations of a layer, after Tantaru et al. (2024)."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from viba_lib.baselines.common import BATCH, Target, map_frames
from viba_lib.bottleneck.classifier import as_inputs, device_of
from viba_lib.bottleneck.split import find_layer, hooked
from viba_lib.core.errors import VibaError

FRAMES = 64  # training frames that the product fits a head to
MISSING = (
    "the patch head has no labelled frames to be fitted to; give `head=PatchHead.fit(model, layer, "
    "inputs, labels)`, or leave it out of the methods"
)


class _Reached(Exception):
    """A pass has come to the layer, and the layers downstream are not needed."""


def _features(
    model: nn.Module,
    layer: str,
    inputs: torch.Tensor,
    reduce: Callable[[torch.Tensor], torch.Tensor],
    whole: bool = True,
) -> torch.Tensor:
    """Reduced outputs of a layer for inputs (N, 3, H, W); they are (N, C, h, w) before.

    Parameters
    ----------
    whole : whether a pass goes to the end of the network, where it can be counted
    """
    parts: list[torch.Tensor] = []

    def keep(_module: nn.Module, _given: object, output: torch.Tensor) -> None:
        if output.dim() != 4:
            raise VibaError(
                f"the output of {layer!r} has shape {tuple(output.shape)}; the patch head expects "
                "(N, C, h, w)"
            )
        # Reduced now, because a layer that follows may change the output in place.
        parts.append(reduce(output.detach().float()).cpu())
        if not whole:
            raise _Reached

    with hooked(find_layer(model, layer), keep), torch.no_grad():
        for part in as_inputs(model, inputs).split(BATCH):
            with suppress(_Reached):
                model(part.to(device_of(model)))
    return torch.cat(parts)


@dataclass(frozen=True)
class PatchHead:
    """A 1x1 linear head on the features of a layer: a score of "fake" for each location.

    Parameters
    ----------
    weight : (C,)
    bias : of the score, in logits
    """

    weight: torch.Tensor
    bias: float

    @classmethod
    def fit(
        cls, model: nn.Module, layer: str, inputs: torch.Tensor, labels: torch.Tensor
    ) -> "PatchHead":
        """Logistic regression on the mean features of inputs; the network stays as it is.

        Parameters
        ----------
        inputs : (N, 3, H, W), of training videos
        labels : (N,) 0 = real, 1 = fake; both must occur

        Raises
        ------
        VibaError
            Labels of one class, or a layer whose output is not (N, C, h, w).
        """
        known = np.asarray(labels)
        if len(np.unique(known)) < 2:
            raise VibaError("the labels of the patch head are of one class; expected real and fake")
        means = _features(model, layer, inputs, lambda x: x.mean((2, 3)), whole=False)
        fitted = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        scaler, linear = (step for _, step in fitted.fit(means.numpy(), known).steps)
        weight = linear.coef_[0] / scaler.scale_
        bias = linear.intercept_[0] - weight @ scaler.mean_
        return cls(torch.from_numpy(weight).float(), float(bias))


def patch_scores(
    model: nn.Module,
    layer: str,
    frames: torch.Tensor,
    target: Target = None,
    head: PatchHead | None = None,
) -> np.ndarray:
    """Scores of the locations of a layer by a linear head (Tantaru et al. 2024).

    The head is a classifier of its own on the features of the network. It does not explain the
    decision of the network, because it does not use the layers downstream.

    Parameters
    ----------
    layer : dotted name; its output is (T, C, h, w)
    target : class 1 has the head's score in logits, class 0 its negative
    head : fitted at this layer

    Returns
    -------
    (T, H, W), the positive part of the score, enlarged to the frame.

    Raises
    ------
    VibaError
        No head.
    """
    if head is None:
        raise VibaError(MISSING)

    def map_of(frame: torch.Tensor, wanted: int) -> np.ndarray:
        score = _features(
            model, layer, frame, lambda x: torch.einsum("nchw,c->nhw", x.cpu(), head.weight)
        )
        signed = (score[0].numpy() + head.bias) * (1 if wanted else -1)
        return cv2.resize(signed.clip(0), (frame.shape[-1], frame.shape[-2]))

    return map_frames(model, frames, target, map_of)
