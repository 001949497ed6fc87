"""The per-sample bottleneck: Eq. (1) and (2) of the paper, optimised for each frame."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from viba_lib.bottleneck.attribution import Attribution
from viba_lib.bottleneck.information import LN2, unit_kl, unit_kl_slope
from viba_lib.bottleneck.layout import Layout
from viba_lib.bottleneck.noise import Noise
from viba_lib.bottleneck.smoothing import reach, roughness, smooth_time
from viba_lib.bottleneck.split import SplitModel, Tail, TailContext, device_of, frozen, tail_dtype
from viba_lib.bottleneck.statistics import LayerStatistics
from viba_lib.bottleneck.validate import check_frames, check_target, spread_target
from viba_lib.core.errors import VibaError

# Larger tensors are given back to the system and asked for anew in each operation, page by page.
TENSOR_BYTES = 10 * 2**20
MOST_FRAMES = 32
# What the presets differ in. "default" is the reference's.
PRESETS: dict[str, dict[str, Any]] = {
    "default": {"steps": 10, "noise_samples": 10, "antithetic": False, "precision": "float32"},
    "fast": {"steps": 10, "noise_samples": 1, "antithetic": False, "precision": "bfloat16"},
    "accurate": {"steps": 40, "noise_samples": 2, "antithetic": True, "precision": "bfloat16"},
}


@dataclass(frozen=True)
class _Units:
    """Statistics of the layer's units (1, ...), on the device and in the format of activations.

    (r - mean) / std is r scale + shift, in one pass over the memory.
    """

    mean: torch.Tensor
    std: torch.Tensor
    active: torch.Tensor
    scale: torch.Tensor
    shift: torch.Tensor


@dataclass
class _Window:
    """Consecutive frames of a batch that share a pass, and what of them stays the same."""

    begin: int
    end: int
    layout: Layout
    r: torch.Tensor
    target: torch.Tensor
    clean: torch.Tensor
    context: TailContext
    noise: Noise


@dataclass
class _State:
    """Alpha of a batch (T, ...), and what the last forward pass found of each frame.

    `leaves` are what Adam changes: alpha as a whole, or its frames one by one where these may stop.
    """

    alpha: torch.Tensor
    leaves: list[torch.Tensor]
    nats: torch.Tensor
    lam: torch.Tensor
    logits: torch.Tensor
    loss: torch.Tensor
    change: torch.Tensor

    def collect(self, rows: list[int], gradient: torch.Tensor) -> None:
        """Add a gradient of some frames to what Adam reads."""
        if len(self.leaves) > 1:
            for row, one in zip(rows, gradient.split(1), strict=True):
                self.leaves[row].grad = one
        elif len(rows) == len(self.alpha):
            self.leaves[0].grad = gradient
        else:
            if self.leaves[0].grad is None:
                self.leaves[0].grad = torch.zeros_like(self.leaves[0])
            self.leaves[0].grad[rows[0] : rows[-1] + 1] += gradient


class PerSampleBottleneck:
    """Optimise lambda for each frame: what of a layer does the prediction need?

    The defaults compute what the reference implementation of Schulz et al. (2020) computes. All
    frames of a call are optimised side by side, each as if it were alone.

    Parameters
    ----------
    model : any module whose input is frames (T, 3, H, W) or clips (N, 3, T, H, W)
    layer : dotted name of a layer whose output is one tensor: (T, C, h, w), (N, C, t, h, w) or
        tokens (N, L, C)
    statistics : of that layer
    beta : weight of the information loss, which is a mean over units (beta / k in the paper)
    steps, learning_rate : of Adam
    noise_samples : draws of the noise per step
    sigma : Gaussian smoothing of lambda in units of the layer; 0 = none
    min_std : least standard deviation of the noise, so that a dead unit gives no NaN
    initial_alpha : start value; lambda = sigmoid(alpha)
    seed : of the noise, which is the same for each frame, so that results do not depend on batches
    precision : of the layers after the bottleneck: "float32", "bfloat16" or "float16"
    frames_per_batch, items_per_pass : frames optimised side by side; frames times samples that
        go through the tail at once. They bound the memory and change no result but rounding.
        None = as many as keep a tensor of the layer's size under 10 MiB.
    temporal_sigma : Gaussian smoothing of lambda along consecutive frames, in frames; 0 = each
        frame alone, as in the paper. Otherwise all frames of a call form one batch.
    temporal_weight : weight of a penalty on changes of lambda from frame to frame; couples the
        frames of a call as well
    antithetic : draw noise in pairs of opposite sign; an error of the first order cancels
    stop_below : a frame stops where a step changes less than this share of its map; 0 = never
    warm_start : each frame starts where the one before it ended, one after another
    channels_last : memory format of activations (T, C, h, w); changes rounding only
    compile : compile the tail with torch.compile; worth trying on a GPU, on a CPU it gains nothing
    layout : order of the layer's axes: "auto", "channels_first", "channels_last", "tokens", or a
        `Layout` with the grid and the number of tokens that belong to no place

    Raises
    ------
    VibaError
        Unknown layer, statistics of another layer, settings out of range or at odds.
    """

    def __init__(
        self,
        model: nn.Module,
        layer: str,
        statistics: LayerStatistics,
        beta: float = 10.0,
        steps: int = 10,
        learning_rate: float = 1.0,
        noise_samples: int = 10,
        sigma: float = 1.0,
        min_std: float = 0.01,
        initial_alpha: float = 5.0,
        seed: int = 0,
        precision: str = "float32",
        frames_per_batch: int | None = None,
        items_per_pass: int | None = None,
        temporal_sigma: float = 0.0,
        temporal_weight: float = 0.0,
        antithetic: bool = False,
        stop_below: float = 0.0,
        warm_start: bool = False,
        channels_last: bool = True,
        compile: bool = False,
        layout: str | Layout = "auto",
    ) -> None:
        self.split = SplitModel(model, layer)
        if statistics.layer != layer:
            raise VibaError(f"statistics are of {statistics.layer!r}, not of {layer!r}")
        self.dtype = tail_dtype(precision)
        fit = max(1, min(MOST_FRAMES, TENSOR_BYTES // (4 * statistics.mean.numel())))
        frames_per_batch = fit if frames_per_batch is None else frames_per_batch
        items_per_pass = fit if items_per_pass is None else items_per_pass
        above = {"steps": steps, "noise_samples": noise_samples, "min_std": min_std}
        above |= {"frames_per_batch": frames_per_batch, "items_per_pass": items_per_pass}
        above |= {"learning_rate": learning_rate}
        for name, value in above.items():
            if not value > 0:
                raise VibaError(f"{name} is {value}; expected a number above 0")
        least = {"beta": beta, "sigma": sigma, "stop_below": stop_below}
        least |= {"temporal_sigma": temporal_sigma, "temporal_weight": temporal_weight}
        for name, value in least.items():
            if not value >= 0:
                raise VibaError(f"{name} is {value}; expected 0 or more")
        self.coupled = temporal_sigma > 0 or temporal_weight > 0
        if self.coupled and warm_start:
            raise VibaError(
                "warm_start takes frames one after another, a temporal coupling takes them "
                "together; choose one of them"
            )
        self.model, self.layer, self.statistics = model, layer, statistics
        self.beta, self.steps, self.learning_rate = beta, steps, learning_rate
        self.noise_samples, self.sigma, self.min_std = noise_samples, sigma, min_std
        self.initial_alpha, self.seed, self.precision = initial_alpha, seed, precision
        self.frames_per_batch, self.items_per_pass = frames_per_batch, items_per_pass
        self.temporal_sigma, self.temporal_weight = temporal_sigma, temporal_weight
        self.antithetic, self.stop_below, self.warm_start = antithetic, stop_below, warm_start
        self.channels_last, self.compile, self.layout = channels_last, compile, layout

    @classmethod
    def fast(
        cls, model: nn.Module, layer: str, statistics: LayerStatistics, **settings: Any
    ) -> "PerSampleBottleneck":
        """Preset: one noise sample and the tail in bfloat16; same steps, nearly the same map."""
        return cls(model, layer, statistics, **(PRESETS["fast"] | settings))

    @classmethod
    def accurate(
        cls, model: nn.Module, layer: str, statistics: LayerStatistics, **settings: Any
    ) -> "PerSampleBottleneck":
        """Preset: 40 steps, paid for by noise samples; truer maps than the defaults, not the same.

        Ten steps from alpha = 5 do not converge (see the chapter on speed).
        """
        return cls(model, layer, statistics, **(PRESETS["accurate"] | settings))

    def attribute(
        self,
        frames: torch.Tensor,
        target: torch.Tensor | Sequence[int] | int | None = None,
        progress: Callable[[int], None] | None = None,
        start: torch.Tensor | None = None,
        on_step: Callable[[int, torch.Tensor], None] | None = None,
        with_lam: bool = False,
    ) -> Attribution:
        """Maps of frames.

        Parameters
        ----------
        frames : (T, 3, H, W), or clips (N, 3, T, H, W), each of which counts as one frame
        target : (T,) class indices, one for all, or None = predicted class of each frame
        progress : called with the number of finished frames
        start : lambda (T, C, h, w) to begin with, such as a readout's; None = initial_alpha
        on_step : called in each step with its number, from 1, and the capacity (T', C, h, w) of
            the frames of the batch before that step's update
        with_lam : give lambda as well, which takes as much memory as the capacity

        Returns
        -------
        Attribution with T frames; of clips, the maps of all frames, clip after clip. As in the
        reference, the map is that of the forward pass before the last Adam step.
        """
        check_frames(frames, self.statistics)
        targets = None if target is None else spread_target(target, len(frames))
        alpha = None if start is None else self._alpha(start, len(frames))
        with frozen(self.model):
            parts = self._parts(frames, targets, alpha, progress, on_step, with_lam)
            return Attribution.join(parts, len(frames))

    def predict_under_noise(
        self, frames: torch.Tensor, lam: torch.Tensor, samples: int, seed: int | None = None
    ) -> torch.Tensor:
        """Decisions of the network with a bottleneck that is done, under noise drawn anew.

        The logits of `attribute` are those of the last step, whose noise lambda was optimised for.

        Parameters
        ----------
        frames : (T, 3, H, W)
        lam : lambda (T, C, h, w) of these frames, see `attribute(..., with_lam=True)`
        samples : of the noise; all frames get the same ones
        seed : of the noise; None = one more than that of the optimisation

        Returns
        -------
        Logits (samples, T, classes).
        """
        check_frames(frames, self.statistics)
        self._alpha(lam, len(frames))  # refuses lambda of another shape
        units, tail = (
            self._units(device_of(self.model)),
            self.split.prepare(self.dtype, self.compile),
        )
        active = units.active[0]
        parts = []
        with frozen(self.model), torch.no_grad():
            for begin in range(0, len(frames), self.frames_per_batch):
                part = slice(begin, begin + self.frames_per_batch)
                noise = Noise(
                    units.mean[0] * active,
                    units.std[0] * active,
                    self.seed + 1 if seed is None else seed,
                    self.antithetic,
                )
                activation, context = self.split.head(frames[part].to(active.device))
                r = self._format(activation) * units.active
                passed = self._format(lam[part].to(active.device))
                found = [
                    tail(
                        torch.lerp(self._format(noise.sample(1)).expand_as(r), r, passed),
                        context,
                        1,
                    )
                    for _ in range(samples)
                ]
                parts.append(torch.stack(found).float().cpu())
        return torch.cat(parts, 1)

    def _parts(
        self,
        frames: torch.Tensor,
        targets: torch.Tensor | None,
        alpha: torch.Tensor | None,
        progress: Callable[[int], None] | None,
        on_step: Callable[[int, torch.Tensor], None] | None,
        with_lam: bool,
    ) -> Iterator[Attribution]:
        """Attributions of batch after batch."""
        device = device_of(self.model)
        size = len(frames) if self.coupled else 1 if self.warm_start else self.frames_per_batch
        tail = self.split.prepare(self.dtype, self.compile)
        last = torch.zeros(0)
        for begin in range(0, len(frames), size):
            part = slice(begin, begin + size)
            wanted = None if targets is None else targets[part]
            given = None if alpha is None else alpha[part]
            if self.warm_start and begin > 0:
                given = self._alpha(last, 1)
            batch = frames[part].to(device)
            found = self._optimise(batch, wanted, given, tail, on_step, with_lam)
            if self.warm_start:
                last = found.lam
            if progress is not None:
                progress(min(begin + size, len(frames)))
            yield found if with_lam else replace(found, lam=torch.zeros(0))

    def _alpha(self, start: torch.Tensor, frames: int) -> torch.Tensor:
        if tuple(start.shape) != (frames, *self.statistics.mean.shape):
            raise VibaError(
                f"start has shape {tuple(start.shape)}; expected lambda of {frames} frames, "
                f"{(frames, *self.statistics.mean.shape)}"
            )
        return torch.logit(start.float().clamp(0.0, 1.0), eps=1e-6)

    def _smooth(self, lam: torch.Tensor, layout: Layout) -> torch.Tensor:
        return smooth_time(layout.smooth(lam, self.sigma), self.temporal_sigma)

    def _format(self, units: torch.Tensor) -> torch.Tensor:
        if self.channels_last and units.dim() == 4:
            return units.contiguous(memory_format=torch.channels_last)
        return units

    def _units(self, device: torch.device) -> _Units:
        """Statistics as the steps need them."""
        mean = self.statistics.mean.float()
        std = self.statistics.std.float().clamp_min(self.min_std)
        units = (mean, std, self.statistics.active.float(), 1 / std, -mean / std)
        return _Units(*(self._format(x.to(device)[None]) for x in units))

    def _windows(
        self, frames: torch.Tensor, target: torch.Tensor | None, units: _Units, tail: Tail
    ) -> list[_Window]:
        """A batch is one window; the frames of a coupled clip may be too many for one pass."""
        size = self.frames_per_batch if self.coupled else len(frames)
        found = []
        for begin in range(0, len(frames), size):
            end = min(begin + size, len(frames))
            wanted = None if target is None else target[begin:end]
            found.append(self._window(frames[begin:end], wanted, begin, units, tail))
        return found

    def _window(
        self,
        frames: torch.Tensor,
        target: torch.Tensor | None,
        begin: int,
        units: _Units,
        tail: Tail,
    ) -> _Window:
        with torch.no_grad():
            activation, context = self.split.head(frames)
            r = self._format(activation)
            clean = tail(r.clone(), context, 1)
        if not torch.isfinite(clean).all():
            raise VibaError("the model's output is not finite; check its weights")
        if self.statistics.mean.shape != r.shape[1:]:
            raise VibaError(f"statistics are of {tuple(self.statistics.mean.shape)}, the layer "
                            f"gives {tuple(r.shape[1:])}; estimate them anew")  # fmt: skip
        if self.coupled and frames.dim() == 5:
            raise VibaError(
                "temporal_sigma and temporal_weight couple frames (T, 3, H, W); the model takes "
                "clips, whose layers span time already: leave both at 0"
            )
        # timm's transformers say how many tokens stand before those of the picture.
        prefix = getattr(self.model, "num_prefix_tokens", None)
        mean, std, active = units.mean[0], units.std[0], units.active[0]
        return _Window(
            begin=begin,
            end=begin + len(frames),
            layout=Layout.infer(self.layout, r, tuple(frames.shape[2:]), prefix),
            r=r * units.active,
            target=check_target(target, clean, len(frames)),
            clean=clean,
            context=context,
            noise=Noise(mean * active, std * active, self.seed, self.antithetic),
        )

    def _state(self, frames: int, units: _Units, start: torch.Tensor | None) -> _State:
        device = units.mean.device
        shape = (frames, *units.mean.shape[1:])
        alpha = self._format(torch.full(shape, self.initial_alpha, device=device))
        if start is not None:
            alpha.copy_(start)
        # Views: what Adam changes of them is alpha. Frames that may stop are parameters of their
        # own, since Adam moves what has a gradient of zero on.
        each = 1 if self.stop_below > 0 and not self.coupled else frames
        return _State(
            alpha=alpha,
            leaves=[part.detach().requires_grad_() for part in alpha.split(each)],
            nats=self._format(torch.zeros(shape, device=device)),
            lam=torch.zeros(0),
            logits=torch.zeros(0),
            loss=torch.full((frames,), math.nan, device=device),
            change=torch.full((frames,), math.inf, device=device),
        )

    def _optimise(
        self,
        frames: torch.Tensor,
        target: torch.Tensor | None,
        start: torch.Tensor | None,
        tail: Tail,
        on_step: Callable[[int, torch.Tensor], None] | None,
        with_lam: bool,
    ) -> Attribution:
        units = self._units(frames.device)
        windows = self._windows(frames, target, units, tail)
        clean = torch.cat([w.clean for w in windows])
        state = self._state(len(frames), units, start)
        state.logits = clean.clone()
        if with_lam or self.warm_start:
            state.lam = torch.empty_like(state.nats)
        optimizer = torch.optim.Adam(state.leaves, lr=self.learning_rate, fused=True)
        live = list(range(len(frames)))
        history: dict[str, list[torch.Tensor]] = {"model_loss": [], "information_loss": []}
        for step in range(1, self.steps + 1):
            optimizer.zero_grad(set_to_none=True)
            state.loss = torch.full_like(state.loss, math.nan)
            for window in windows:
                self._step(window, live, units, state, tail)
            optimizer.step()
            history["model_loss"].append(state.loss.cpu())
            information = state.nats.mean(tuple(range(1, state.nats.dim())))
            history["information_loss"].append(
                information.where(~state.loss.isnan(), math.nan).cpu()
            )
            if on_step is not None:
                on_step(step, state.nats / LN2)
            live = self._active_frames(live, state.change, windows)
            if not live:
                break
        capacity = state.nats.div_(LN2)
        layout = windows[0].layout
        return Attribution(
            capacity.contiguous().cpu(),
            layout.bits_per_pixel(capacity, tuple(frames.shape[2:])).cpu(),
            state.logits.cpu(),
            clean.cpu(),
            torch.cat([w.target for w in windows]).cpu(),
            {name: torch.stack(values) for name, values in history.items()},
            state.lam.contiguous().cpu(),
            layout.prefix_bits(capacity).cpu(),
        )

    def _active_frames(
        self, live: list[int], change: torch.Tensor, windows: list[_Window]
    ) -> list[int]:
        """Frames that go on; those of a coupled clip stop together."""
        if self.stop_below <= 0:
            return live
        if self.coupled:
            return live if bool((change >= self.stop_below).any()) else []
        rows = [n for n, value in enumerate(change[live].tolist()) if value >= self.stop_below]
        if 0 < len(rows) < len(live):
            windows[0].context = windows[0].context.select(rows)
        return [live[n] for n in rows]

    def _rows(self, window: _Window, live: list[int], frames: int) -> tuple[list[int], list[int]]:
        """Frames that a window optimises, and those whose alpha their lambda depends on."""
        if not self.coupled:
            return live, live
        around = reach(self.temporal_sigma)
        low = max(0, window.begin - around)
        high = min(frames, window.end + around + (self.temporal_weight > 0))
        return list(range(window.begin, window.end)), list(range(low, high))

    def _step(
        self, window: _Window, live: list[int], units: _Units, state: _State, tail: Tail
    ) -> None:
        """Gradients at alpha of a window's frames, and what its forward pass found."""
        rows, source = self._rows(window, live, len(state.alpha))
        # Views where all rows are there, copies where some have stopped.
        whole = self.coupled or len(rows) == len(window.r)
        block = slice(source[0], source[-1] + 1)
        r, target = (window.r, window.target) if whole else (window.r[rows], window.target[rows])
        given = state.alpha[block] if whole else state.alpha[rows]
        here = slice(source.index(rows[0]), source.index(rows[-1]) + 1)
        r, alpha = self._format(r), self._format(given).detach().requires_grad_()
        # What is smoothed is 1 - lambda: near lambda = 1 it keeps the digits that the information
        # needs for its slope, and 1 minus the smoothed is lambda, smoothed.
        around = self._smooth(torch.sigmoid(-alpha), window.layout)
        one_minus_lam = around.detach()[here]
        lam = (1 - one_minus_lam).requires_grad_()
        logits, loss = self._noisy(window, r, lam, target, tail)
        assert lam.grad is not None  # _noisy went backward through the tail
        normal = torch.addcmul(units.shift, r, units.scale)
        nats = unit_kl(normal, lam.detach(), one_minus_lam) * units.active
        slope = unit_kl_slope(normal, lam.detach(), one_minus_lam) * units.active
        # The information is a mean over units.
        gradient = lam.grad.add_(slope, alpha=self.beta / normal[0].numel())
        if len(source) > len(rows) or self.temporal_weight > 0:
            gradient = self._with_neighbours(gradient, around.detach(), here)
        around.backward(-gradient)
        assert alpha.grad is not None
        state.collect(source, alpha.grad)
        if self.stop_below > 0:
            state.change[rows] = _change(nats, state.nats[rows])
        if len(state.lam):
            state.lam = _put(state.lam, rows, lam.detach())
        state.nats = _put(state.nats, rows, nats)
        state.logits, state.loss = _put(state.logits, rows, logits), _put(state.loss, rows, loss)

    def _with_neighbours(
        self, gradient: torch.Tensor, around: torch.Tensor, here: slice
    ) -> torch.Tensor:
        """Gradient at lambda of a window and the frames around it, with the penalty on changes."""
        wide = torch.zeros_like(around)
        wide[here] = gradient
        # Each change belongs to the window of its first frame; the last frame has none.
        lam = (1 - around[here.start : here.stop + 1]).requires_grad_()
        if self.temporal_weight > 0 and len(lam) > 1:
            (self.temporal_weight * roughness(lam)).backward()
            assert lam.grad is not None
            wide[here.start : here.stop + 1] += lam.grad
        return wide

    def _noisy(
        self,
        window: _Window,
        r: torch.Tensor,
        lam: torch.Tensor,
        target: torch.Tensor,
        tail: Tail,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits and model loss (T,), means over noise samples; the gradient goes to `lam`."""
        frames, samples = len(r), self.noise_samples
        logits, loss = torch.zeros((), device=r.device), torch.zeros(frames, device=r.device)
        per_pass = max(1, self.items_per_pass // frames)
        for start in range(0, samples, per_pass):
            count = min(per_pass, samples - start)
            epsilon = window.noise.sample(count)
            # Eq. (1) for each frame and each draw, epsilon + lambda (r - epsilon); one draw needs
            # no axis of its own. Inactive units are zero in r and in the noise, and so in z.
            if count == 1:
                z = torch.lerp(self._format(epsilon).expand_as(r), r, lam)
            else:
                wide = (len(r), count, *r.shape[1:])
                ends = (epsilon[None].expand(wide), r[:, None].expand(wide))
                z = self._format(torch.lerp(*ends, lam[:, None].expand(wide)).flatten(0, 1))
            found = tail(z, window.context, count)
            each = functional.cross_entropy(
                found, target.repeat_interleave(count), reduction="none"
            ).view(frames, count)
            # Frames are summed, samples averaged: each frame is optimised as if it were alone.
            (each.sum() / samples).backward()
            logits = logits + found.detach().view(frames, count, -1).sum(1) / samples
            loss += each.detach().sum(1) / samples
        return logits, loss


def _put(old: torch.Tensor, rows: list[int], new: torch.Tensor) -> torch.Tensor:
    """`old` with some rows replaced; where all are, without a copy."""
    if len(rows) == len(old):
        return new
    # A slice is copied as a block, a list of rows value by value.
    block = rows[-1] - rows[0] + 1 == len(rows)
    old[slice(rows[0], rows[-1] + 1) if block else rows] = new
    return old


def _change(new: torch.Tensor, old: torch.Tensor) -> torch.Tensor:
    """Share of each frame's capacity (T, ...) that a step changed, unit by unit: (T,)."""
    a, b = new.flatten(1), old.flatten(1)
    return (a - b).abs().sum(1) / a.abs().sum(1).clamp_min(1e-12)
