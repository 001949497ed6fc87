"""The optimisation of lambda for one batch of frames, Eq. (1) and (2) of the paper."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional

from viba_lib.bottleneck.attribution import Attribution
from viba_lib.bottleneck.classifier import input_size
from viba_lib.bottleneck.information import LN2, unit_kl, unit_kl_slope
from viba_lib.bottleneck.layout import Layout
from viba_lib.bottleneck.noise import Noise
from viba_lib.bottleneck.settings import BottleneckSettings
from viba_lib.bottleneck.smoothing import reach, roughness, smooth_time
from viba_lib.bottleneck.split import Head, SplitModel, Tail, TailContext
from viba_lib.bottleneck.statistics import LayerStatistics, mean_of_channels
from viba_lib.bottleneck.validate import target_classes
from viba_lib.core.errors import VibaError

OnStep = Callable[[int, torch.Tensor], None]


def channels_last(units: torch.Tensor) -> torch.Tensor:
    """Activations (T, C, h, w) in the memory format in which convolutions are fastest."""
    if units.dim() != 4:
        return units
    return units.contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True)
class Units:
    """Statistics of the layer's units (1, ...), on the device and in the format of activations.

    (r - mean) / std is r scale + shift, one pass over the memory.
    """

    mean: torch.Tensor
    std: torch.Tensor
    active: torch.Tensor
    scale: torch.Tensor
    shift: torch.Tensor

    @classmethod
    def of(cls, statistics: LayerStatistics, min_std: float, device: torch.device) -> "Units":
        """Statistics as the steps need them."""
        mean = statistics.mean.float()
        std = statistics.std.float().clamp_min(min_std)
        units = (mean, std, statistics.active.float(), 1 / std, -mean / std)
        return cls(*(channels_last(x.to(device)[None]) for x in units))

    def noise(self, seed: int, antithetic: bool) -> Noise:
        """Noise of these statistics; zero at inactive units."""
        active = self.active[0]
        return Noise(self.mean[0] * active, self.std[0] * active, seed, antithetic)


def noisy_logits(
    tail: Tail, context: TailContext, r: torch.Tensor, lam: torch.Tensor, noise: Noise, samples: int
) -> torch.Tensor:
    """Logits (samples, T, classes) with a finished bottleneck; all frames get the same noise.

    Parameters
    ----------
    r, lam : activations, zero at inactive units, and lambda (T, ...)
    """
    with torch.no_grad():
        logits = []
        for _ in range(samples):
            z = torch.lerp(channels_last(noise.sample(1)).expand_as(r), r, lam)
            logits.append(tail(z, context, 1))
        return torch.stack(logits).float()


@dataclass(frozen=True)
class _Window:
    """Frames of a batch that share a pass, with what is the same in each step.

    rows : these frames in the batch
    source : the frames whose alpha their lambda depends on: the same or, if coupled, neighbours too
    means : of the channels of the layer's output, for each frame
    """

    rows: slice
    source: slice
    layout: Layout
    r: torch.Tensor
    target: torch.Tensor
    clean: torch.Tensor
    means: torch.Tensor
    context: TailContext
    noise: Noise


@dataclass
class _State:
    """Alpha of a batch (T, ...), and information and lambda of each frame's last forward pass.

    information_steps : of the settings; 0 for a given start, where lambda need not be near 1
    """

    alpha: torch.Tensor
    nats: torch.Tensor
    lam: torch.Tensor
    information_steps: int


@dataclass(frozen=True)
class Optimiser:
    """Optimises alpha of one batch after another.

    head, tail : of `split`; the tail prepared for the precision of the settings
    frames_per_window : frames of a coupled clip in one pass
    items_per_pass, layout, seed : see `PerSampleBottleneck`
    with_lam : whether the results contain lambda
    draws : samples of the noise under which the finished bottleneck decides again
    on_step : see `PerSampleBottleneck.attribute`
    """

    split: SplitModel
    head: Head
    tail: Tail
    units: Units
    settings: BottleneckSettings
    frames_per_window: int
    items_per_pass: int
    layout: str | Layout
    seed: int
    with_lam: bool
    draws: int = 0
    on_step: OnStep | None = None

    def run(
        self, frames: torch.Tensor, target: torch.Tensor | None, alpha: torch.Tensor | None
    ) -> Attribution:
        """Maps of a batch.

        Parameters
        ----------
        frames : (T, 3, H, W) or (T, 3, t, H, W), on the device
        target : (T,) class indices; None = the predicted class of each frame
        alpha : (T, ...) to start from; None = the initial alpha of the settings
        """
        # A batch is one window; the frames of a coupled clip may be too many for one pass.
        size = self.frames_per_window if self.settings.coupled else len(frames)
        begins = range(0, len(frames), size)
        parts = [slice(begin, min(begin + size, len(frames))) for begin in begins]
        windows = [self._window(part, frames, target) for part in parts]
        layout, state = windows[0].layout, self._state(len(frames), alpha)
        optimizer = torch.optim.Adam([state.alpha], lr=self.settings.learning_rate, fused=True)
        history: dict[str, list[torch.Tensor]] = {"model_loss": [], "information_loss": []}
        for step in range(self.settings.steps):
            optimizer.zero_grad(set_to_none=True)
            outputs = [self._step(step, window, state) for window in windows]
            logits, loss = (torch.cat(parts) for parts in zip(*outputs, strict=True))
            if step < self.settings.steps - 1:  # the result is that of the last forward pass
                optimizer.step()
            information = state.nats.mean(tuple(range(1, state.nats.dim())))
            history["model_loss"].append(loss.cpu())
            history["information_loss"].append(information.cpu())
            if self.on_step is not None:
                self.on_step(step + 1, state.nats / LN2)
        drawn = [self._drawn(window, state.lam) for window in windows] if self.draws else []
        capacity = state.nats.div_(LN2)
        return Attribution(
            capacity=capacity.contiguous().cpu(),
            bits_per_pixel=layout.bits_per_pixel(capacity, input_size(frames)).cpu(),
            logits=logits.cpu(),
            logits_clean=torch.cat([window.clean for window in windows]).cpu(),
            target=torch.cat([window.target for window in windows]).cpu(),
            history={name: torch.stack(rows) for name, rows in history.items()},
            lam=state.lam.contiguous().cpu(),
            channel_means=torch.cat([window.means for window in windows]).cpu(),
            logits_drawn=torch.cat(drawn).cpu() if drawn else torch.zeros(0),
            prefix_bits=layout.prefix_bits(capacity).cpu(),
        )

    def _drawn(self, window: _Window, lam: torch.Tensor) -> torch.Tensor:
        """Logits (T, draws, classes) of a window under fresh noise."""
        noise = self.units.noise(self.seed + 1, self.settings.antithetic)
        r, lam = channels_last(window.r), channels_last(lam[window.rows])
        drawn = noisy_logits(self.tail, window.context, r, lam, noise, self.draws)
        return drawn.transpose(0, 1)

    def _window(self, rows: slice, frames: torch.Tensor, target: torch.Tensor | None) -> _Window:
        """The window of some rows of a batch."""
        with torch.no_grad():
            activation, context = self.head(frames[rows])
            r = channels_last(activation.float())
            clean = self.tail(r.clone(), context, 1)
        if not torch.isfinite(clean).all():
            raise VibaError("the model's output is not finite; check its weights")
        expected = self.units.mean.shape[1:]
        if expected != r.shape[1:]:
            raise VibaError(
                f"statistics are of {tuple(expected)}, the layer gives {tuple(r.shape[1:])}; "
                "estimate them again"
            )
        # timm's transformers tell how many tokens precede those of the image.
        prefix = getattr(self.split.model, "num_prefix_tokens", None)
        around = reach(self.settings.temporal_sigma)
        beyond = around + (self.settings.temporal_weight > 0)
        return _Window(
            rows=rows,
            source=slice(max(0, rows.start - around), min(len(frames), rows.stop + beyond)),
            layout=Layout.infer(self.layout, r, input_size(frames), prefix),
            r=r * self.units.active,
            target=target_classes(None if target is None else target[rows], clean),
            clean=clean,
            means=mean_of_channels(activation.float()),
            context=context,
            noise=self.units.noise(self.seed, self.settings.antithetic),
        )

    def _state(self, frames: int, alpha: torch.Tensor | None) -> _State:
        shape, device = (frames, *self.units.mean.shape[1:]), self.units.mean.device
        start = channels_last(torch.full(shape, self.settings.initial_alpha, device=device))
        if alpha is not None:
            start.copy_(alpha)
        lam = torch.empty_like(start) if self.with_lam else torch.zeros(0)
        skipped = 0 if alpha is not None else self.settings.information_steps
        return _State(start.requires_grad_(), torch.zeros_like(start), lam, skipped)

    def _step(self, step: int, window: _Window, state: _State) -> tuple[torch.Tensor, torch.Tensor]:
        """Add the gradient at alpha of a window's frames; their logits and model loss (T,)."""
        rows, source = window.rows, window.source
        here = slice(rows.start - source.start, rows.stop - source.start)
        r = channels_last(window.r)
        # A slice of all frames would copy the gradient once more.
        alone = rows == slice(0, len(state.alpha))
        alpha = state.alpha if alone else channels_last(state.alpha[source])
        # 1 - lambda is smoothed instead of lambda: near lambda = 1 it keeps the digits that the
        # slope of the information needs, and 1 minus the smoothed value is lambda, smoothed.
        smoothed = window.layout.smooth(torch.sigmoid(-alpha), self.settings.sigma)
        smoothed = smooth_time(smoothed, self.settings.temporal_sigma)
        one_minus_lam = smoothed.detach()[here]
        lam = 1 - one_minus_lam
        normal = torch.addcmul(self.units.shift, r, self.units.scale)
        nats = unit_kl(normal, lam, one_minus_lam) * self.units.active
        if self.with_lam:
            state.lam = _put(state.lam, rows, lam)
        state.nats = _put(state.nats, rows, nats)
        last = step == self.settings.steps - 1
        if last or step >= state.information_steps:
            logits, loss, gradient = self._noisy(window, r, lam, not last)
        else:
            logits, gradient = window.clean, torch.zeros_like(r)
            loss = functional.cross_entropy(logits, window.target, reduction="none")
        if not last:
            slope = unit_kl_slope(normal, lam, one_minus_lam) * self.units.active
            # The information is a mean over units.
            gradient = torch.add(gradient, slope, alpha=self.settings.beta / normal[0].numel())
            if source != rows or self.settings.temporal_weight > 0:
                gradient = self._with_neighbours(gradient, smoothed.detach(), here)
            smoothed.backward(-gradient)
        return logits, loss

    def _with_neighbours(
        self, gradient: torch.Tensor, one_minus_lam: torch.Tensor, here: slice
    ) -> torch.Tensor:
        """Gradient at lambda of a window and the frames around it, with the penalty on changes."""
        wide = torch.zeros_like(one_minus_lam)
        wide[here] = gradient
        # Each change belongs to the window of its first frame; the last frame has none.
        lam = (1 - one_minus_lam[here.start : here.stop + 1]).requires_grad_()
        if self.settings.temporal_weight > 0 and len(lam) > 1:
            (self.settings.temporal_weight * roughness(lam)).backward()
            assert lam.grad is not None
            wide[here.start : here.stop + 1] += lam.grad
        return wide

    def _noisy(
        self, window: _Window, r: torch.Tensor, lam: torch.Tensor, with_gradient: bool
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Logits and model loss (T,), means over noise samples, and the loss's gradient at `lam`.

        Without gradient, the third is empty.
        """
        lam = lam.detach().requires_grad_(with_gradient)
        frames, samples = len(r), self.settings.noise_samples
        logits, loss = torch.zeros((), device=r.device), torch.zeros(frames, device=r.device)
        per_pass = max(1, self.items_per_pass // frames)
        for start in range(0, samples, per_pass):
            count = min(per_pass, samples - start)
            epsilon = window.noise.sample(count)
            # Eq. (1) for each frame and each sample, epsilon + lambda (r - epsilon); one sample
            # needs no axis. Inactive units are zero in r and in the noise, and so in z.
            if count == 1:
                z = torch.lerp(channels_last(epsilon).expand_as(r), r, lam)
            else:
                wide = (len(r), count, *r.shape[1:])
                ends = (epsilon[None].expand(wide), r[:, None].expand(wide))
                z = channels_last(torch.lerp(*ends, lam[:, None].expand(wide)).flatten(0, 1))
            noisy = self.tail(z, window.context, count)
            each = functional.cross_entropy(
                noisy, window.target.repeat_interleave(count), reduction="none"
            ).view(frames, count)
            # Frames are summed, samples averaged: each frame is optimised independently.
            if with_gradient:
                (each.sum() / samples).backward()
            logits = logits + noisy.detach().view(frames, count, -1).sum(1) / samples
            loss += each.detach().sum(1) / samples
        return logits, loss, torch.zeros(0) if lam.grad is None else lam.grad


def _put(old: torch.Tensor, rows: slice, new: torch.Tensor) -> torch.Tensor:
    """`old` with some rows replaced; without a copy if all are."""
    if len(new) == len(old):
        return new
    old[rows] = new
    return old
