"""Small networks that several tests cut."""

import torch
from torch import nn


def with_trained_norm(network):
    """A network with fixed random weights, and a batch norm `norm` that changes its input."""
    torch.manual_seed(0)
    model = network().eval()
    with torch.no_grad():
        model.norm.running_mean.normal_()
        model.norm.running_var.uniform_(0.5, 2)
    return model


class Skip(nn.Module):
    """A small network with a skip connection and in-place ReLUs, as Xception has them."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1, stride=2)
        self.relu = nn.ReLU(inplace=True)
        self.middle = nn.Conv2d(6, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.last = nn.Linear(6, 2)

    def forward(self, x):
        x = self.relu(self.first(x))
        y = self.relu(self.norm(self.middle(x)))
        return self.last((x + y).mean((2, 3)))
