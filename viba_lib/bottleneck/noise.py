"""The noise that is injected into a layer."""

import torch


class Noise:
    """Samples of N(mean, std^2), the same for every frame, so that maps of frames are independent.

    Parameters
    ----------
    mean, std : of the layer's units, without the axis of frames
    seed : the same seed gives the same samples on one type of device
    antithetic : every second sample is the previous one mirrored at the mean, so that errors of
        first order cancel
    """

    def __init__(
        self, mean: torch.Tensor, std: torch.Tensor, seed: int, antithetic: bool = False
    ) -> None:
        self.mean, self.std, self.antithetic = mean, std, antithetic
        self.generator = torch.Generator(mean.device).manual_seed(seed)
        self._last: torch.Tensor | None = None

    def sample(self, count: int) -> torch.Tensor:
        """Next samples (count, ...units)."""
        return torch.stack([self._one() for _ in range(count)])

    def _one(self) -> torch.Tensor:
        if self._last is not None:
            mirrored, self._last = 2 * self.mean - self._last, None
            return mirrored
        # One call per sample: torch gives other numbers for several at once if the size of a
        # sample is not a multiple of 16, and a map would depend on the samples per pass.
        white = torch.randn(self.mean.shape, generator=self.generator, device=self.mean.device)
        sample = white * self.std + self.mean
        self._last = sample if self.antithetic else None
        return sample
