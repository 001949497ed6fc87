"""The per-sample bottleneck: one optimisation of lambda for each frame."""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from viba_lib.bottleneck.attribution import Attribution
from viba_lib.bottleneck.classifier import as_inputs, device_of, with_gradients
from viba_lib.bottleneck.layout import Layout
from viba_lib.bottleneck.optimiser import OnStep, Optimiser, Units, channels_last, noisy_logits
from viba_lib.bottleneck.settings import PRESETS, BottleneckSettings
from viba_lib.bottleneck.split import SplitModel, Tail, frozen
from viba_lib.bottleneck.statistics import LayerStatistics
from viba_lib.bottleneck.validate import check_frames, check_lam, spread_target
from viba_lib.core.errors import VibaError

# Above this size glibc uses mmap, so every operation pays page faults.
TENSOR_BYTES = 10 * 2**20
MAX_FRAMES = 32


class PerSampleBottleneck:
    """Optimise lambda for each frame: which part of a layer does the prediction need?

    The defaults compute what the reference implementation of Schulz et al. (2020) computes. All
    frames of a call are optimised side by side, each independently of the others.

    Parameters
    ----------
    model : any module whose input is frames (T, 3, H, W) or clips (N, 3, T, H, W) or
        (N, T, 3, H, W), and whose output is logits (N, classes), or one logit (N, 1) or (N,) to
        which a sigmoid belongs: with z it is explained as two classes with logits [0, z]
    layer : dotted name of a layer whose output is one tensor: (T, C, h, w), (N, C, t, h, w), tokens
        (N, L, C), or (N * T, C, h, w) of the frames of clips, whose units are (N, C, T, h, w)
    statistics : of that layer
    seed : of the noise, which is the same for each frame, so that results do not depend on batches
    layout : order of the layer's axes: "auto", "channels_first", "channels_last", "tokens", or a
        `Layout` with the grid and the number of tokens that belong to no location
    frames_per_batch, items_per_pass : frames optimised side by side; frames times samples that
        go through the tail at once. They bound the memory and change results by rounding only.
        None = as many as keep a tensor of the layer's size under 10 MiB.
    settings : fields of `BottleneckSettings`, such as beta=5.0; the default of each is the
        reference's

    Raises
    ------
    VibaError
        Unknown layer, statistics of another layer, settings that are unknown, out of range or
        exclude each other.
    """

    def __init__(
        self,
        model: nn.Module,
        layer: str,
        statistics: LayerStatistics,
        *,
        seed: int = 0,
        layout: str | Layout = "auto",
        frames_per_batch: int | None = None,
        items_per_pass: int | None = None,
        **settings: Any,
    ) -> None:
        model = with_gradients(model)
        self.split = SplitModel(model, layer)
        if statistics.layer != layer:
            raise VibaError(f"statistics are of {statistics.layer!r}, not of {layer!r}")
        self.model, self.layer, self.statistics = model, layer, statistics
        self._set(seed, layout, frames_per_batch, items_per_pass, **settings)

    def _set(
        self,
        seed: int = 0,
        layout: str | Layout = "auto",
        frames_per_batch: int | None = None,
        items_per_pass: int | None = None,
        **settings: Any,
    ) -> None:
        self.settings = BottleneckSettings.checked(**settings)
        fit = max(1, min(MAX_FRAMES, TENSOR_BYTES // (4 * self.statistics.mean.numel())))
        sizes = {"frames_per_batch": frames_per_batch, "items_per_pass": items_per_pass}
        for name, size in sizes.items():
            if size is not None and not size > 0:
                raise VibaError(f"{name} is {size}; expected a number above 0")
        self.frames_per_batch, self.items_per_pass = frames_per_batch or fit, items_per_pass or fit
        self.seed, self.layout = seed, layout

    def varied(self, **options: Any) -> "PerSampleBottleneck":
        """The same bottleneck with other options, all others at their defaults.

        It shares the cut through the network, which takes as long as some steps.
        """
        found = copy.copy(self)
        found._set(**options)
        return found

    @classmethod
    def fast(
        cls, model: nn.Module, layer: str, statistics: LayerStatistics, **settings: Any
    ) -> "PerSampleBottleneck":
        """Preset: one noise sample, mirrored in every second step, and three steps without a pass.

        The tail is in the faster precision. Maps are nearly those of the defaults.
        """
        return cls(model, layer, statistics, **(PRESETS["fast"] | settings))

    @classmethod
    def accurate(
        cls, model: nn.Module, layer: str, statistics: LayerStatistics, **settings: Any
    ) -> "PerSampleBottleneck":
        """Preset: 40 steps with fewer noise samples; more accurate maps than the defaults.

        Ten steps from alpha = 5 do not converge (see the chapter on speed).
        """
        return cls(model, layer, statistics, **(PRESETS["accurate"] | settings))

    def attribute(
        self,
        frames: torch.Tensor,
        target: torch.Tensor | Sequence[int] | int | None = None,
        progress: Callable[[int], None] | None = None,
        start: torch.Tensor | None = None,
        on_step: OnStep | None = None,
        with_lam: bool = False,
        draws: int = 0,
    ) -> Attribution:
        """Maps of frames.

        Parameters
        ----------
        frames : (T, 3, H, W), or clips (N, 3, T, H, W) or (N, T, 3, H, W), each of which counts as
            one frame
        target : (T,) class indices, one for all, or None = predicted class of each frame
        progress : called with the number of finished frames
        start : lambda (T, C, h, w) to start from, such as a readout's; None = initial_alpha
        on_step : called in each step with its number, from 1, and the capacity (T', C, h, w) of
            the frames of the batch before that step's update
        with_lam : return lambda as well, which takes as much memory as the capacity
        draws : fresh samples of the noise under which the finished bottleneck decides again, as in
            `predict_under_noise`, without a further pass through the layers before it

        Returns
        -------
        Attribution with T frames; of clips, the maps of all frames, clip after clip. As in the
        reference, the map is that of the forward pass before the last Adam step.
        """
        frames = check_frames(frames, self.statistics, self.model)
        if self.settings.coupled and frames.dim() == 5:
            raise VibaError(
                "temporal_sigma and temporal_weight couple frames (T, 3, H, W); the model takes "
                "clips, whose layers span time already: leave both at 0"
            )
        targets = None if target is None else spread_target(target, len(frames))
        if start is not None:
            check_lam(start, len(frames), self.statistics, "start")
        with frozen(self.model):
            optimiser = Optimiser(
                split=self.split,
                head=self.split.prepare_head(),
                tail=self._tail(frames),
                units=self._units(),
                settings=self.settings,
                frames_per_window=self.frames_per_batch,
                items_per_pass=self.items_per_pass,
                layout=self.layout,
                seed=self.seed,
                with_lam=with_lam or draws > 0 or self.settings.warm_start,
                draws=draws,
                on_step=on_step,
            )
            parts = self._batches(optimiser, frames, targets, start, progress, with_lam)
            return Attribution.join(parts, len(frames))

    def predict_under_noise(
        self, frames: torch.Tensor, lam: torch.Tensor, samples: int, seed: int | None = None
    ) -> torch.Tensor:
        """Predictions of the network with a finished bottleneck, under new samples of the noise.

        The logits of `attribute` are biased: lambda was optimised for the noise of its last step.

        Parameters
        ----------
        frames : (T, 3, H, W)
        lam : lambda (T, C, h, w) of these frames, see `attribute(..., with_lam=True)`
        samples : of the noise; all frames get the same ones
        seed : of the noise; None = one more than that of the optimisation

        Returns
        -------
        Logits (samples, T, classes).

        Raises
        ------
        VibaError
            Frames or lambda of another shape.
        """
        frames = check_frames(frames, self.statistics, self.model)
        check_lam(lam, len(frames), self.statistics, "lam")
        parts = []
        with frozen(self.model), torch.no_grad():
            head, tail, units = self.split.prepare_head(), self._tail(frames), self._units()
            device, size = units.mean.device, self.frames_per_batch
            for batch, lams in zip(frames.split(size), lam.split(size), strict=True):
                noise = units.noise(
                    self.seed + 1 if seed is None else seed, self.settings.antithetic
                )
                activation, context = head(batch.to(device))
                r = channels_last(activation.float()) * units.active
                lam_of = channels_last(lams.to(device))
                parts.append(noisy_logits(tail, context, r, lam_of, noise, samples).cpu())
        return torch.cat(parts, 1)

    def choose_precision(self, frames: torch.Tensor) -> str:
        """The precision of the settings; for "auto", the one that is faster on this machine."""
        inputs = as_inputs(self.model, frames)
        return self.split.choose_precision(self.settings.precision, inputs)

    def _tail(self, frames: torch.Tensor) -> Tail:
        return self.split.prepare(self.choose_precision(frames))

    def _units(self) -> Units:
        return Units.of(self.statistics, self.settings.min_std, device_of(self.model))

    def _batches(
        self,
        optimiser: Optimiser,
        frames: torch.Tensor,
        targets: torch.Tensor | None,
        start: torch.Tensor | None,
        progress: Callable[[int], None] | None,
        with_lam: bool,
    ) -> Iterator[Attribution]:
        """Attributions of batch after batch."""
        device, warm = device_of(self.model), self.settings.warm_start
        size = len(frames) if self.settings.coupled else 1 if warm else self.frames_per_batch
        lam = None
        for begin in range(0, len(frames), size):
            part = slice(begin, begin + size)
            if not warm or begin == 0:
                lam = None if start is None else start[part]
            result = optimiser.run(
                frames[part].to(device),
                None if targets is None else targets[part],
                None if lam is None else torch.logit(lam.float().clamp(0.0, 1.0), eps=1e-6),
            )
            lam = result.lam
            if progress is not None:
                progress(min(begin + size, len(frames)))
            yield result if with_lam else replace(result, lam=torch.zeros(0))
