"""The order of a layer's axes: grids of channels in space, in time, or as tokens."""

from dataclasses import dataclass
from math import prod

import torch

from viba_lib.bottleneck.information import bits_per_pixel
from viba_lib.bottleneck.smoothing import smooth
from viba_lib.core.errors import VibaError

LAYOUTS = ("auto", "channels_first", "channels_last", "tokens")
MAX_PREFIX = 8


@dataclass(frozen=True)
class Layout:
    """Order of a layer's axes, and the conversion to a grid and back.

    A grid is (N, C, h, w) for images and (N, C, t, h, w) for clips. Everything that has the shape
    of the activation is ordered in the same way: lambda, capacity, noise.

    order : "channels_first" (N, C, h, w) or (N, C, t, h, w); "channels_last" (N, h, w, C) or
        (N, t, h, w, C); "tokens" (N, prefix + cells, C), cells row by row
    cells : (h, w) or (t, h, w)
    prefix : number of tokens before those of the grid that belong to no location: class, registers
    """

    order: str
    cells: tuple[int, ...]
    prefix: int = 0

    @classmethod
    def infer(
        cls,
        name: "str | Layout",
        activation: torch.Tensor,
        input_size: tuple[int, ...],
        prefix: int | None = None,
    ) -> "Layout":
        """Layout of an activation.

        Parameters
        ----------
        name : "auto", "channels_first", "channels_last", "tokens" or a Layout, which is checked;
            auto takes three axes for tokens and more for channels first
        activation : the layer's output (N, ...)
        input_size : (H, W) or (T, H, W) of the inputs
        prefix : number of tokens that belong to no location; None = the smallest that leaves a
            grid of square patches. Of several lengths in time the longest is taken.

        Raises
        ------
        VibaError
            Unknown name, axes that do not fit it, or tokens that form no grid.
        """
        shape = tuple(activation.shape)
        if isinstance(name, Layout):
            return name._checked(shape)
        if name not in LAYOUTS:
            raise VibaError(f"layout {name!r} is not known; choose of {list(LAYOUTS)}")
        if name == "tokens" or (name == "auto" and len(shape) == 3):
            if len(shape) != 3:
                raise VibaError(f"layout 'tokens' expects (N, L, C); the layer gives {shape}")
            return _of_tokens(shape[1], input_size, prefix)
        if len(shape) not in (4, 5):
            raise VibaError(
                f"layout {name!r} expects (N, C, h, w) or (N, C, t, h, w) in some order; the layer "
                f"gives {shape}: set layout='tokens' for (N, L, C), or choose another layer"
            )
        if len(shape) == 5 and len(input_size) != 3:
            raise VibaError(
                f"the layer gives {shape}, a grid in time, for inputs of {input_size}; expected "
                "inputs (N, 3, T, H, W)"
            )
        first, last = shape[2:], shape[1:-1]
        if name == "auto" and not _alike(first, input_size) and _alike(last, input_size):
            raise VibaError(
                f"the layer gives {shape} for inputs of {input_size}, which looks as if channels "
                "came last; set layout='channels_last', or 'channels_first' if they do not"
            )
        return (
            cls("channels_last", last) if name == "channels_last" else cls("channels_first", first)
        )

    def to_grid(self, units: torch.Tensor) -> torch.Tensor:
        """(N, ...) as the layer orders it -> (N, C, h, w) or (N, C, t, h, w), without prefix."""
        if self.order == "channels_first":
            return units
        if self.order == "channels_last":
            return units.movedim(-1, 1)
        return units[:, self.prefix :].transpose(1, 2).unflatten(2, self.cells)

    def from_grid(self, grid: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """The inverse; `like` (N, ...), in the layer's order, provides the prefix tokens."""
        if self.order == "channels_first":
            return grid
        if self.order == "channels_last":
            return grid.movedim(1, -1)
        return torch.cat([like[:, : self.prefix], grid.flatten(2).transpose(1, 2)], 1)

    def smooth(self, lam: torch.Tensor, sigma: float) -> torch.Tensor:
        """Gaussian smoothing of lambda (N, ...) in space, at each time; not of prefix tokens.

        Parameters
        ----------
        lam : lambda as the layer orders it
        sigma : in cells of the grid; 0 = none
        """
        if sigma <= 0:
            return lam
        grid = self.to_grid(lam)
        if grid.dim() == 4:
            return self.from_grid(smooth(grid, sigma), lam)
        images = smooth(grid.transpose(1, 2).flatten(0, 1), sigma)
        return self.from_grid(images.unflatten(0, (len(grid), -1)).transpose(1, 2), lam)

    def bits_per_pixel(self, capacity: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
        """Maps over the inputs from the capacity of a layer.

        Parameters
        ----------
        capacity : (N, ...) bits per unit, as the layer orders it
        size : (H, W) or (T, H, W) of the inputs

        Returns
        -------
        (N, H, W), or (N * T, H, W) with clips one after another: bits per pixel, summed over
        channels, (tri)linear, scaled so that the total of each input is that of the grid.
        """
        return bits_per_pixel(self.to_grid(capacity), size)

    def prefix_bits(self, capacity: torch.Tensor) -> torch.Tensor:
        """Bits (N,) of the prefix tokens, which belong to no location and are not in the map."""
        if self.order != "tokens":
            return capacity.new_zeros(len(capacity))
        return capacity[:, : self.prefix].sum((1, 2))

    def _checked(self, shape: tuple[int, ...]) -> "Layout":
        fits = {
            "channels_first": shape[2:] == self.cells,
            "channels_last": shape[1:-1] == self.cells,
            "tokens": len(shape) == 3 and shape[1] == self.prefix + prod(self.cells),
        }
        if not fits.get(self.order, False):
            raise VibaError(f"{self} does not fit the layer, which gives {shape}")
        return self


def _alike(cells: tuple[int, ...], size: tuple[int, ...]) -> bool:
    """Whether a grid has the sides of the input, up to one cell."""
    (h, w), (height, width) = cells[-2:], size[-2:]
    return abs(h * width - w * height) <= max(height, width)


def _of_tokens(length: int, size: tuple[int, ...], prefix: int | None) -> Layout:
    """Layout of `length` tokens: the first number of prefix tokens that leaves a grid."""
    *clip, height, width = size
    times = [t for t in range(clip[0], 0, -1) if clip[0] % t == 0] if clip else [1]
    patches = [p for p in range(1, min(height, width) + 1) if height % p == 0 == width % p]
    for skipped in range(MAX_PREFIX + 1) if prefix is None else [prefix]:
        for t in times:
            for p in patches:
                h, w = height // p, width // p
                if t * h * w == length - skipped:
                    return Layout("tokens", (t, h, w) if clip else (h, w), skipped)
    tried = f"0 to {MAX_PREFIX}" if prefix is None else str(prefix)
    raise VibaError(
        f"{length} tokens form no grid of square patches over inputs of {size}, with {tried} tokens"
        " before it; give their number with prefix=, give a Layout, or choose another layer"
    )
