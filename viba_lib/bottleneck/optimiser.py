"""The optimisation of lambda for one batch of frames, Eq. (1) and (2) of the paper."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch.nn import functional

from viba_lib.bottleneck.attribution import Attribution
from viba_lib.bottleneck.information import LN2, unit_kl, unit_kl_slope
from viba_lib.bottleneck.layout import Layout
from viba_lib.bottleneck.noise import Noise
from viba_lib.bottleneck.settings import BottleneckSettings
from viba_lib.bottleneck.smoothing import reach, roughness, smooth_time
from viba_lib.bottleneck.split import SplitModel, Tail, TailContext
from viba_lib.bottleneck.statistics import LayerStatistics
from viba_lib.bottleneck.validate import target_classes
from viba_lib.core.errors import VibaError

OnStep = Callable[[int, torch.Tensor], None]


@dataclass(frozen=True)
class Passes:
    """What goes through the tail at once; it changes results by rounding only.

    frames : optimised side by side
    items : frames times noise samples in one pass
    channels_last : memory format of activations (T, C, h, w)
    """

    frames: int
    items: int
    channels_last: bool = True

    def format(self, units: torch.Tensor) -> torch.Tensor:
        """Activations in the memory format of the passes."""
        if self.channels_last and units.dim() == 4:
            return units.contiguous(memory_format=torch.channels_last)
        return units


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
    def of(
        cls, statistics: LayerStatistics, min_std: float, device: torch.device, passes: Passes
    ) -> "Units":
        """Statistics as the steps need them."""
        mean = statistics.mean.float()
        std = statistics.std.float().clamp_min(min_std)
        units = (mean, std, statistics.active.float(), 1 / std, -mean / std)
        return cls(*(passes.format(x.to(device)[None]) for x in units))

    def noise(self, seed: int, antithetic: bool) -> Noise:
        """Noise of these statistics; zero at inactive units."""
        active = self.active[0]
        return Noise(self.mean[0] * active, self.std[0] * active, seed, antithetic)


@dataclass(frozen=True)
class _Window:
    """Frames of a batch that share a pass, with what is the same in each step.

    rows : the numbers of these frames in the batch
    source : the frames whose alpha their lambda depends on: the same or, if coupled, neighbours too
    """

    rows: list[int]
    source: list[int]
    layout: Layout
    r: torch.Tensor
    target: torch.Tensor
    clean: torch.Tensor
    context: TailContext
    noise: Noise

    def select(self, chosen: list[int]) -> "_Window":
        """The window with some of its frames, which are not coupled."""
        if len(chosen) == len(self.rows):
            return self
        rows = [self.rows[n] for n in chosen]
        return replace(
            self,
            rows=rows,
            source=rows,
            r=self.r[chosen],
            target=self.target[chosen],
            context=self.context.select(chosen),
        )


@dataclass
class _State:
    """Alpha of a batch (T, ...), and the results of each frame's last forward pass.

    `leaves` are the parameters of Adam: all of alpha, or one per frame if frames may stop.
    """

    alpha: torch.Tensor
    leaves: list[torch.Tensor]
    nats: torch.Tensor
    lam: torch.Tensor
    logits: torch.Tensor
    loss: torch.Tensor
    change: torch.Tensor
    target: torch.Tensor

    def add_gradient(self, rows: list[int], gradient: torch.Tensor) -> None:
        """Add the gradient of some frames to that of the leaves."""
        if len(self.leaves) > 1:
            for row, one in zip(rows, gradient.split(1), strict=True):
                self.leaves[row].grad = one
        elif len(rows) == len(self.alpha):
            self.leaves[0].grad = gradient
        else:
            if self.leaves[0].grad is None:
                self.leaves[0].grad = torch.zeros_like(self.leaves[0])
            self.leaves[0].grad[rows[0] : rows[-1] + 1] += gradient

    def losses(self) -> dict[str, torch.Tensor]:
        """Model loss and information loss (T,) of the last step; NaN for frames that stopped."""
        information = self.nats.mean(tuple(range(1, self.nats.dim())))
        return {
            "model_loss": self.loss.cpu(),
            "information_loss": information.where(~self.loss.isnan(), math.nan).cpu(),
        }


@dataclass(frozen=True)
class Optimiser:
    """Optimises alpha of one batch after another.

    tail : of `split`, prepared for the precision of the settings
    layout, seed : see `PerSampleBottleneck`
    with_lam : whether the results contain lambda
    on_step : see `PerSampleBottleneck.attribute`
    """

    split: SplitModel
    tail: Tail
    units: Units
    settings: BottleneckSettings
    passes: Passes
    layout: str | Layout
    seed: int
    with_lam: bool
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
        size = self.passes.frames if self.settings.coupled else len(frames)
        begins = range(0, len(frames), size)
        parts = [range(begin, min(begin + size, len(frames))) for begin in begins]
        windows = [self._window(part, frames, target) for part in parts]
        layout, state = windows[0].layout, self._state(windows, alpha)
        optimizer = torch.optim.Adam(state.leaves, lr=self.settings.learning_rate, fused=True)
        clean, history = state.logits.clone(), []
        for step in range(1, self.settings.steps + 1):
            optimizer.zero_grad(set_to_none=True)
            state.loss = torch.full_like(state.loss, math.nan)
            for window in windows:
                self._step(window, state)
            optimizer.step()
            history.append(state.losses())
            if self.on_step is not None:
                self.on_step(step, state.nats / LN2)
            windows = self._active(windows, state.change)
            if not windows:
                break
        capacity = state.nats.div_(LN2)
        return Attribution(
            capacity=capacity.contiguous().cpu(),
            bits_per_pixel=layout.bits_per_pixel(capacity, tuple(frames.shape[2:])).cpu(),
            logits=state.logits.cpu(),
            logits_clean=clean.cpu(),
            target=state.target.cpu(),
            history={name: torch.stack([h[name] for h in history]) for name in history[0]},
            lam=state.lam.contiguous().cpu(),
            prefix_bits=layout.prefix_bits(capacity).cpu(),
        )

    def _window(self, rows: range, frames: torch.Tensor, target: torch.Tensor | None) -> _Window:
        """The window of some rows of a batch."""
        part = slice(rows.start, rows.stop)
        with torch.no_grad():
            activation, context = self.split.head(frames[part])
            r = self.passes.format(activation)
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
            rows=list(rows),
            source=list(range(max(0, rows.start - around), min(len(frames), rows.stop + beyond))),
            layout=Layout.infer(self.layout, r, tuple(frames.shape[2:]), prefix),
            r=r * self.units.active,
            target=target_classes(None if target is None else target[part], clean),
            clean=clean,
            context=context,
            noise=self.units.noise(self.seed, self.settings.antithetic),
        )

    def _state(self, windows: list[_Window], alpha: torch.Tensor | None) -> _State:
        frames, device = windows[-1].rows[-1] + 1, self.units.mean.device
        shape = (frames, *self.units.mean.shape[1:])
        start = self.passes.format(torch.full(shape, self.settings.initial_alpha, device=device))
        if alpha is not None:
            start.copy_(alpha)
        nats = self.passes.format(torch.zeros(shape, device=device))
        # Views: what Adam changes of them is alpha. Frames that may stop are separate parameters,
        # because Adam's momentum moves a parameter whose gradient is zero.
        each = 1 if self.settings.stop_below > 0 and not self.settings.coupled else frames
        return _State(
            alpha=start,
            leaves=[part.detach().requires_grad_() for part in start.split(each)],
            nats=nats,
            lam=torch.empty_like(nats) if self.with_lam else torch.zeros(0),
            logits=torch.cat([w.clean for w in windows]),
            loss=torch.full((frames,), math.nan, device=device),
            change=torch.full((frames,), math.inf, device=device),
            target=torch.cat([w.target for w in windows]),
        )

    def _active(self, windows: list[_Window], change: torch.Tensor) -> list[_Window]:
        """Windows of the frames that have not converged; coupled frames stop together."""
        if self.settings.stop_below <= 0:
            return windows
        moving = (change >= self.settings.stop_below).tolist()
        if self.settings.coupled:
            return windows if any(moving) else []
        (window,) = windows
        chosen = [n for n, row in enumerate(window.rows) if moving[row]]
        return [window.select(chosen)] if chosen else []

    def _step(self, window: _Window, state: _State) -> None:
        """Gradient at alpha of a window's frames, and the results of its forward pass."""
        rows, source = window.rows, window.source
        here = slice(source.index(rows[0]), source.index(rows[-1]) + 1)
        r = self.passes.format(window.r)
        alpha = self.passes.format(state.alpha[_block(source)]).detach().requires_grad_()
        # 1 - lambda is smoothed instead of lambda: near lambda = 1 it keeps the digits that the
        # slope of the information needs, and 1 minus the smoothed value is lambda, smoothed.
        smoothed = window.layout.smooth(torch.sigmoid(-alpha), self.settings.sigma)
        smoothed = smooth_time(smoothed, self.settings.temporal_sigma)
        one_minus_lam = smoothed.detach()[here]
        lam = (1 - one_minus_lam).requires_grad_()
        logits, loss = self._noisy(window, r, lam)
        assert lam.grad is not None  # _noisy went backward through the tail
        normal = torch.addcmul(self.units.shift, r, self.units.scale)
        nats = unit_kl(normal, lam.detach(), one_minus_lam) * self.units.active
        slope = unit_kl_slope(normal, lam.detach(), one_minus_lam) * self.units.active
        # The information is a mean over units.
        gradient = lam.grad.add_(slope, alpha=self.settings.beta / normal[0].numel())
        if len(source) > len(rows) or self.settings.temporal_weight > 0:
            gradient = self._with_neighbours(gradient, smoothed.detach(), here)
        smoothed.backward(-gradient)
        assert alpha.grad is not None
        state.add_gradient(source, alpha.grad)
        if self.settings.stop_below > 0:
            state.change[rows] = _change(nats, state.nats[rows])
        if self.with_lam:
            state.lam = _put(state.lam, rows, lam.detach())
        state.nats = _put(state.nats, rows, nats)
        state.logits, state.loss = _put(state.logits, rows, logits), _put(state.loss, rows, loss)

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
        self, window: _Window, r: torch.Tensor, lam: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits and model loss (T,), means over noise samples; the gradient goes to `lam`."""
        frames, samples = len(r), self.settings.noise_samples
        logits, loss = torch.zeros((), device=r.device), torch.zeros(frames, device=r.device)
        per_pass = max(1, self.passes.items // frames)
        for start in range(0, samples, per_pass):
            count = min(per_pass, samples - start)
            epsilon = window.noise.sample(count)
            # Eq. (1) for each frame and each sample, epsilon + lambda (r - epsilon); one sample
            # needs no axis. Inactive units are zero in r and in the noise, and so in z.
            if count == 1:
                z = torch.lerp(self.passes.format(epsilon).expand_as(r), r, lam)
            else:
                wide = (len(r), count, *r.shape[1:])
                ends = (epsilon[None].expand(wide), r[:, None].expand(wide))
                z = torch.lerp(*ends, lam[:, None].expand(wide)).flatten(0, 1)
                z = self.passes.format(z)
            noisy = self.tail(z, window.context, count)
            each = functional.cross_entropy(
                noisy, window.target.repeat_interleave(count), reduction="none"
            ).view(frames, count)
            # Frames are summed, samples averaged: each frame is optimised independently.
            (each.sum() / samples).backward()
            logits = logits + noisy.detach().view(frames, count, -1).sum(1) / samples
            loss += each.detach().sum(1) / samples
        return logits, loss


def _put(old: torch.Tensor, rows: list[int], new: torch.Tensor) -> torch.Tensor:
    """`old` with some rows replaced; without a copy if all are."""
    if len(rows) == len(old):
        return new
    old[_block(rows)] = new
    return old


def _block(rows: list[int]) -> slice | list[int]:
    """Index of rows: a slice, which takes a view, if they are consecutive."""
    block = rows[-1] - rows[0] + 1 == len(rows)
    return slice(rows[0], rows[-1] + 1) if block else rows


def _change(new: torch.Tensor, old: torch.Tensor) -> torch.Tensor:
    """Fraction of each frame's capacity (T, ...) that a step changed, unit by unit: (T,)."""
    a, b = new.flatten(1), old.flatten(1)
    return (a - b).abs().sum(1) / a.abs().sum(1).clamp_min(1e-12)
