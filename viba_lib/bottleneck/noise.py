"""The noise that is let into a layer."""

import torch


class Noise:
    """Draws of N(mean, std^2), the same for every frame, so that a frame's map is its own.

    Parameters
    ----------
    mean, std : of the layer's units, without the axis of frames
    seed : the same seed gives the same draws on one kind of device
    antithetic : each second draw is the one before it, mirrored at the mean: the error that a
        draw makes to first order is undone by the next
    """

    def __init__(
        self, mean: torch.Tensor, std: torch.Tensor, seed: int, antithetic: bool = False
    ) -> None:
        self.mean, self.std, self.antithetic = mean, std, antithetic
        self.generator = torch.Generator(mean.device).manual_seed(seed)
        self._last: torch.Tensor | None = None

    def draw(self, count: int) -> torch.Tensor:
        """Next draws (count, ...units)."""
        return torch.stack([self._one() for _ in range(count)])

    def _one(self) -> torch.Tensor:
        if self._last is not None:
            mirrored, self._last = 2 * self.mean - self._last, None
            return mirrored
        # One draw per sample: several at once give other numbers where the size of a sample is
        # not a multiple of 16, and a map would depend on how many go through in one pass.
        white = torch.randn(self.mean.shape, generator=self.generator, device=self.mean.device)
        sample = white * self.std + self.mean
        self._last = sample if self.antithetic else None
        return sample
