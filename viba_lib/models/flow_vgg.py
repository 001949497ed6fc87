"""The motion detector: VGG11 with batch norm on optical flow, as in the paper's Table 7."""

from pathlib import Path

import torch
from torch import nn

from viba_lib.models.weights import starting_from

FLOW_LAYERS = ("features.9", "features.12", "features.16")


class FlowVGG11(nn.Module):
    """VGG11-BN features with the paper's head: fully connected and dropout.

    The paper gives the head as "FC + Dropout" without sizes. Global average pooling before it
    keeps the head small (512 inputs) and accepts inputs of any size.
    """

    def __init__(self, num_classes: int = 2, dropout: float = 0.5) -> None:
        # Here: it takes seconds, and most chapters open no network.
        from torchvision.models import vgg11_bn

        super().__init__()
        self.features = vgg11_bn(weights=None).features
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.last_linear = nn.Sequential(nn.Dropout(dropout), nn.Linear(512, num_classes))

    def forward(self, flow: torch.Tensor) -> torch.Tensor:
        """Flow input (T, 3, S, S) to logits (T, num_classes)."""
        return self.last_linear(self.avgpool(self.features(flow)).flatten(1))


def flow_vgg11(
    weights: str | Path | None = None, num_classes: int = 2, adapt_classifier: bool = False
) -> nn.Module:
    """VGG11-BN on flow fields; layers have the paper's numbers (`features.9`, ...).

    Input (T, 3, S, S) float32 as `viba_lib.data.flow.flow_to_input` makes it; 256 px in the paper.

    Parameters
    ----------
    weights
        None for random weights, or a file, see `viba_lib.models.load_weights`.
    adapt_classifier
        If the file has a classifier for other classes, or none, keep the random one for training.

    Returns
    -------
    Module in evaluation mode.

    Raises
    ------
    WeightsError
        A file that is missing, unreadable or of another network.
    """
    return starting_from(FlowVGG11(num_classes), weights, adapt_classifier)
