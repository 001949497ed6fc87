"""Small networks that several tests cut."""

from torch import nn


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
