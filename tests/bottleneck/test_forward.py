"""Lean graphs: the same logits and gradients with fewer operations, and when they are not used."""

import pytest
import torch
from torch import fx, nn
from torch.nn import functional

from tests.bottleneck.networks import with_trained_norm
from viba_lib.bottleneck.fold import Pointwise, lean
from viba_lib.bottleneck.forward import Forward


class Separable(nn.Module):
    """A depthwise and a 1x1 convolution with a batch norm, an activation in place, and a skip."""

    def __init__(self):
        super().__init__()
        self.depthwise = nn.Conv2d(3, 3, 3, padding=1, groups=3, bias=False)
        self.pointwise = nn.Conv2d(3, 8, 1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)
        self.skip = nn.Conv2d(8, 8, 1, stride=2)
        self.last = nn.Linear(8, 2)

    def forward(self, x):
        x = self.relu(self.norm(self.pointwise(self.depthwise(x))))
        return self.last(self.skip(x).mean((2, 3)))


class Branching(Separable):
    """Control flow on values, which cannot be traced."""

    def forward(self, x):
        return super().forward(x if float(x.abs().sum()) >= 0 else -x)


class Counting(Separable):
    """The trace takes the size of the batch for a constant."""

    def forward(self, x):
        return super().forward(x) / len(x)


@pytest.fixture
def images():
    return torch.randn(5, 3, 9, 9, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_a_lean_graph_gives_the_same_logits_and_gradients(images, dtype):
    model = with_trained_norm(Separable)
    small = lean(fx.symbolic_trace(model), dtype)
    assert [type(m) for m in small.modules() if isinstance(m, (Pointwise, nn.BatchNorm2d))] == [
        Pointwise
    ], "folded, and the convolution with a stride stays"
    given = [images.clone().requires_grad_() for _ in range(2)]
    outputs = [model(given[0]), small(given[1].to(dtype or torch.float32)).float()]
    for output in outputs:
        functional.cross_entropy(output, torch.zeros(5, dtype=torch.long)).backward()
    tolerance = {"rtol": 1e-4, "atol": 1e-6} if dtype is None else {"rtol": 0.1, "atol": 0.02}
    torch.testing.assert_close(outputs[1], outputs[0], **tolerance)
    torch.testing.assert_close(given[1].grad, given[0].grad, **tolerance)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_a_product_of_matrices_is_the_convolution(images, bias, order):
    convolution = nn.Conv2d(3, 4, 1, bias=bias).requires_grad_(False)
    found = Pointwise(convolution)(images.contiguous(memory_format=order))
    torch.testing.assert_close(found, convolution(images))
    assert not found._is_view(), "an activation in place must not copy it"


@pytest.mark.parametrize(
    "options", [{"stride": 2}, {"padding": 1}, {"groups": 3}, {"kernel_size": 3}]
)
def test_other_convolutions_stay(options):
    assert not Pointwise.fits(nn.Conv2d(3, 3, **{"kernel_size": 1} | options))


def test_forward_passes_give_the_logits_of_the_model(images):
    model = with_trained_norm(Separable)
    forward = Forward(model, images[:1], "float32")
    assert forward.run is not model and forward.precision == "float32"
    torch.testing.assert_close(forward(images), model(images), rtol=1e-4, atol=1e-5)
    half = Forward(model, images[:1], "bfloat16")(images)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, model(images), rtol=0.1, atol=0.05)


@pytest.mark.parametrize("network", [Branching, Counting])
def test_a_model_whose_trace_differs_runs_as_it_is(images, network):
    model = with_trained_norm(network)
    forward = Forward(model, images[:1], "float32")
    assert forward.run is model
    torch.testing.assert_close(forward(images), model(images))
