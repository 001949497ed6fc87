"""Grids, and the orders of axes in which networks keep them."""

import pytest
import torch

from viba_lib.bottleneck.information import bits_per_pixel
from viba_lib.bottleneck.layout import Layout
from viba_lib.bottleneck.smoothing import smooth
from viba_lib.core.errors import VibaError

# name, shape of the activation, size of the input, the layout that it is
KINDS = [
    ("auto", (2, 5, 4, 6), (16, 24), Layout("channels_first", (4, 6))),
    ("auto", (2, 5, 2, 4, 6), (4, 16, 24), Layout("channels_first", (2, 4, 6))),
    ("channels_last", (2, 4, 6, 5), (16, 24), Layout("channels_last", (4, 6))),
    ("channels_last", (2, 2, 4, 6, 5), (4, 16, 24), Layout("channels_last", (2, 4, 6))),
    ("auto", (2, 24, 5), (16, 24), Layout("tokens", (4, 6))),
    ("tokens", (2, 25, 5), (16, 24), Layout("tokens", (4, 6), 1)),
    ("tokens", (2, 49, 5), (4, 16, 24), Layout("tokens", (2, 4, 6), 1)),
]
each_kind = pytest.mark.parametrize(("name", "shape", "size", "layout"), KINDS)


def units(shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@each_kind
def test_layouts_are_told_from_shapes(name, shape, size, layout):
    assert Layout.infer(name, units(shape), size) == layout
    assert Layout.infer(layout, units(shape), size) == layout


@each_kind
def test_there_and_back(name, shape, size, layout):
    x = units(shape)
    grid = layout.to_grid(x)
    assert grid.shape == (2, 5, *layout.cells)
    assert torch.equal(layout.from_grid(grid, x), x)


@each_kind
def test_totals_are_kept(name, shape, size, layout):
    capacity = units(shape)
    maps = layout.bits_per_pixel(capacity, size)
    clip = size[:-2]
    assert maps.shape == (2 * (clip[0] if clip else 1), *size[-2:])
    placed = maps.unflatten(0, (2, -1)).sum((1, 2, 3))
    assert layout.prefix_bits(capacity).shape == (2,)
    assert bool((layout.prefix_bits(capacity) > 0).all()) == (layout.prefix > 0)
    torch.testing.assert_close(placed + layout.prefix_bits(capacity), capacity.flatten(1).sum(1))


@each_kind
def test_bits_stay_in_their_place(name, shape, size, layout):
    """One unit's bits, in the first row and last column, are brightest there."""
    grid = torch.zeros(2, 5, *layout.cells)
    grid[1, 3, ..., 0, -1] = 1
    capacity = layout.from_grid(grid, torch.zeros(shape))
    maps = layout.bits_per_pixel(capacity, size).unflatten(0, (2, -1))
    assert maps[0].abs().sum() == 0
    assert (maps[1][:, 0, -1] == maps[1].flatten(1).amax(1)).all()
    assert maps[1][:, 0, -1].min() > 0
    assert maps[1][:, size[-2] // 2 :].sum() == maps[1][:, :, : size[-1] // 2].sum() == 0


@each_kind
@pytest.mark.parametrize("sigma", [0.0, 0.5, 1.0])
def test_each_time_is_smoothed_as_an_image(name, shape, size, layout, sigma):
    lam = units(shape).requires_grad_()
    found = layout.smooth(lam, sigma)
    assert found.shape == lam.shape
    grid, smoothed = layout.to_grid(lam), layout.to_grid(found)
    if grid.dim() == 4:
        assert torch.equal(smoothed, smooth(grid, sigma))
    else:
        for t in range(grid.shape[2]):
            torch.testing.assert_close(smoothed[:, :, t], smooth(grid[:, :, t], sigma))
    assert torch.equal(found[:, : layout.prefix], lam[:, : layout.prefix])
    found.square().sum().backward()
    assert lam.grad.isfinite().all()
    assert (lam.grad != 0).all()


def test_maps_of_images_are_those_of_information():
    capacity = units((3, 5, 4, 6))
    layout = Layout.infer("auto", capacity, (16, 24))
    wanted = bits_per_pixel(capacity, (16, 24))
    assert torch.equal(layout.bits_per_pixel(capacity, (16, 24)), wanted)
    last = Layout("channels_last", (4, 6))
    torch.testing.assert_close(last.bits_per_pixel(capacity.permute(0, 2, 3, 1), (16, 24)), wanted)
    tokens = Layout("tokens", (4, 6), 2)
    cells = torch.cat([units((3, 2, 5), 1), capacity.flatten(2).transpose(1, 2)], 1)
    torch.testing.assert_close(tokens.bits_per_pixel(cells, (16, 24)), wanted)
    torch.testing.assert_close(
        tokens.smooth(cells, 1.0)[:, 2:], smooth(capacity, 1.0).flatten(2).transpose(1, 2)
    )


def test_a_grid_without_time_says_the_same_of_each_frame():
    capacity = units((2, 5, 4, 6))
    maps = Layout("channels_first", (4, 6)).bits_per_pixel(capacity, (3, 16, 24)).view(2, 3, 16, 24)
    torch.testing.assert_close(maps[:, 0], maps[:, 2])
    torch.testing.assert_close(3 * maps[:, 1], bits_per_pixel(capacity, (16, 24)))


@pytest.mark.parametrize(
    ("tokens", "size", "prefix", "cells", "skipped"),
    [
        (197, (224, 224), None, (14, 14), 1),  # ViT
        (198, (224, 224), None, (14, 14), 2),  # DeiT, distilled
        (196, (224, 224), None, (14, 14), 0),
        (201, (224, 224), None, (14, 14), 5),  # a class token and four registers
        (1568, (16, 224, 224), None, (8, 14, 14), 0),  # VideoMAE
        (1569, (8, 224, 224), None, (8, 14, 14), 1),  # TimeSformer
        (5, (32, 32), 1, (2, 2), 1),
        (3, (16, 32), 1, (1, 2), 1),
    ],
)
def test_tokens_of_known_transformers(tokens, size, prefix, cells, skipped):
    found = Layout.infer("auto", torch.empty(1, tokens, 2), size, prefix)
    assert found == Layout("tokens", cells, skipped)


@pytest.mark.parametrize(
    ("name", "shape", "size", "prefix", "says"),
    [
        ("grid", (1, 5, 4, 4), (16, 16), None, "choose of"),
        ("tokens", (1, 5, 4, 4), (16, 16), None, "expects"),
        ("channels_first", (1, 17, 5), (16, 16), None, "layout='tokens'"),
        ("auto", (1, 5), (16, 16), None, "choose another layer"),
        ("auto", (1, 5, 2, 4, 4), (16, 16), None, "in time"),
        ("auto", (1, 4, 4, 96), (16, 16), None, "layout='channels_last'"),
        ("auto", (1, 2, 4, 4, 96), (4, 16, 16), None, "layout='channels_last'"),
        ("auto", (1, 35, 5), (32, 32), None, "no grid of square patches"),
        ("auto", (1, 17, 5), (32, 32), 2, "with 2 tokens before it"),
        (Layout("tokens", (4, 4), 1), (1, 16, 5), (32, 32), None, "does not fit"),
    ],
)
def test_what_does_not_fit_is_refused(name, shape, size, prefix, says):
    with pytest.raises(VibaError, match=says):
        Layout.infer(name, torch.empty(shape), size, prefix)
