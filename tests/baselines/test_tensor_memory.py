"""Memory of tensors, against sums that are known."""

import torch
from torch import nn

from viba_lib.baselines.tensor_memory import TensorMemory

MB = 2**20


def test_tensors_that_exist_together_are_added_up():
    with TensorMemory() as memory:
        first = torch.zeros(MB // 4)
        second = first + 1
        del first
        third = second * 2
        del second, third
        torch.ones(MB // 4)
    assert memory.peak == 2 * MB


def test_inputs_views_and_changes_in_place_do_not_count():
    given = torch.zeros(MB // 4)
    with TensorMemory() as memory:
        given.view(2, -1).add_(1)
        given[:4].relu_()
    assert memory.peak == 0
    with TensorMemory() as memory:
        made = torch.zeros(MB // 4)
        made.view(2, -1).t()
    assert memory.peak == MB


def test_a_backward_pass_needs_the_activations_of_the_layers():
    layers = [nn.Sequential(nn.Conv2d(4, 4, 1), nn.Sigmoid()) for _ in range(6)]
    network, frame = nn.Sequential(*layers).eval(), torch.rand(1, 4, 256, 256)  # 1 MB an activation
    with torch.no_grad(), TensorMemory() as forward:
        network(frame)
    with TensorMemory() as both:
        network(frame.requires_grad_()).sum().backward()
    assert forward.peak <= 3 * MB
    assert both.peak >= 7 * MB, "a convolution keeps its input, and a sigmoid its output"
